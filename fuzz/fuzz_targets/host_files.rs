//! Whatever is in the files of a host: facts have their limits and are fit to be shown, and an identity is read as it
//! was written. The first byte says which file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::join::facts;
use muster_agent::join::identity::Identity;
use muster_protocol::limits;
use std::path::PathBuf;
use std::sync::OnceLock;

/// What the agent looks for below the root of a host.
const FILES: [&str; 6] = [
    "proc/sys/kernel/hostname",
    "proc/sys/kernel/osrelease",
    "proc/device-tree/serial-number",
    "proc/cpuinfo",
    "sys/class/dmi/id/product_uuid",
    "sys/class/net/eth0/address",
];

/// A directory with these files, made once.
fn root() -> &'static PathBuf {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = std::env::temp_dir().join(format!("muster-fuzz-host-{}", std::process::id()));
        for file in FILES {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().expect("a file lies in a directory")).expect("making a directory");
        }
        root
    })
}

fuzz_target!(|data: &[u8]| {
    let Some((&which, content)) = data.split_first() else { return };
    let Some(file) = FILES.get(usize::from(which)) else {
        let Ok(text) = std::str::from_utf8(content) else { return };
        if let Ok(identity) = Identity::from_text(text) {
            assert_eq!(Identity::from_text(&identity.to_text()), Ok(identity));
        }
        return;
    };
    let path = root().join(file);
    std::fs::write(&path, content).expect("writing a file");
    let facts = facts::gather(root());
    assert!((1..=limits::HOST_NAME).contains(&facts.hostname.len()) && facts.kernel.len() <= limits::FACT);
    assert!(!facts.hostname.chars().chain(facts.kernel.chars()).any(char::is_control));
    assert_eq!(facts::fingerprint(root()), facts::fingerprint(root()));
    std::fs::remove_file(&path).expect("removing a file");
});
