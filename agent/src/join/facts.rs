//! What a host is, as it can be read from its files: its names, and the fingerprint of its board.
//!
//! Paths are below a root, `/` in earnest. In a container without the host's UTS and network namespaces, the name is
//! the container's and no network interface of the board is seen: use `--name`, and `--fingerprint` if the board has
//! no serial number.

use crate::command::exit::one_line;
use muster_protocol::id::Fingerprint;
use muster_protocol::limits;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// A serial number or a kernel's release.
const SHORT_FILE: u64 = 256;
/// `/proc/cpuinfo`: its serial number is at the end; some 30 KiB on 64 cores.
const CPUINFO: u64 = 256 * 1024;
/// Network interfaces that are looked at. A host with many containers has hundreds of virtual ones.
const INTERFACES: usize = 4096;

/// What is known of this host. Empty where the system does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What the host calls itself.
    pub hostname: String,
    /// `linux`.
    pub os: &'static str,
    /// `x86_64`, `aarch64`, `arm`: what the agent was built for.
    pub arch: &'static str,
    /// The kernel's release.
    pub kernel: String,
}

/// Reads the facts below this root.
pub fn gather(root: &Path) -> Facts {
    let kernel = root.join("proc/sys/kernel/osrelease");
    Facts {
        hostname: hostname(root),
        os: std::env::consts::OS,
        arch: std::env::consts::ARCH,
        kernel: read(&kernel, SHORT_FILE).map(|text| one_line(&text, limits::FACT)).unwrap_or_default(),
    }
}

/// What the host calls itself, at most [`limits::HOST_NAME`] bytes; `host` if it does not say.
pub fn hostname(root: &Path) -> String {
    let name = read(&root.join("proc/sys/kernel/hostname"), SHORT_FILE);
    name.map(|name| one_line(&name, limits::HOST_NAME)).filter(|name| !name.is_empty()).unwrap_or("host".into())
}

/// Of the board, whatever card is in it: from its serial number, else its DMI numbers, else the lowest permanent MAC
/// address of its network interfaces. Zero if it has none of them.
pub fn fingerprint(root: &Path) -> Fingerprint {
    let serial = read(&root.join("proc/device-tree/serial-number"), SHORT_FILE).or_else(|| cpu_serial(root));
    let dmi = |name: &str| read(&root.join("sys/class/dmi/id").join(name), SHORT_FILE);
    let sources: [(&str, &dyn Fn() -> Option<String>); 4] = [
        ("serial", &|| serial.clone()),
        ("uuid", &|| dmi("product_uuid")),
        ("board", &|| dmi("board_serial")),
        ("mac", &|| lowest_mac(root)),
    ];
    let found = sources.iter().find_map(|(kind, source)| Some((kind, source().and_then(|text| telling(&text))?)));
    found.map(|(kind, value)| hashed(kind, &value)).unwrap_or_default()
}

/// Of a text that an operator gave instead.
pub fn fingerprint_of(text: &str) -> Fingerprint {
    hashed("given", text.trim())
}

fn hashed(kind: &str, value: &str) -> Fingerprint {
    let text = format!("muster board\0{kind}\0{value}");
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&digest.as_ref()[..16]);
    fingerprint
}

/// Raspberry Pis show the device tree's serial number there, too, and containers may read it only there.
fn cpu_serial(root: &Path) -> Option<String> {
    let text = read(&root.join("proc/cpuinfo"), CPUINFO)?;
    let line = text.lines().find(|line| line.starts_with("Serial"))?;
    line.split_once(':').map(|(_, serial)| serial.to_string())
}

/// The value in lower case, unless it is one of those that makers leave in a thousand boards.
fn telling(text: &str) -> Option<String> {
    const PLACEHOLDERS: [&str; 14] = [
        "to be filled by o.e.m.",
        "to be filled by oem",
        "default string",
        "not specified",
        "not applicable",
        "system serial number",
        "base board serial number",
        "none",
        "n/a",
        "unknown",
        "0123456789",
        "123456789",
        "1234567890",
        // The UUID of an American Megatrends firmware that nobody filled in.
        "03000200-0400-0500-0006-000700080009",
    ];
    let value = text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_lowercase();
    let says_nothing = value.len() < 4
        || value.chars().all(|c| matches!(c, '0' | '-' | ':' | '.' | 'x'))
        || value.chars().all(|c| matches!(c, 'f' | '-' | ':'))
        || PLACEHOLDERS.contains(&value.as_str());
    (!says_nothing).then_some(value)
}

/// Of interfaces that are devices and whose address was burnt in: bridges and random addresses change.
fn lowest_mac(root: &Path) -> Option<String> {
    let interfaces = fs::read_dir(root.join("sys/class/net")).ok()?;
    let burnt_in = |interface: &Path| {
        let permanent = read(&interface.join("addr_assign_type"), SHORT_FILE);
        interface.join("device").exists() && permanent.is_none_or(|kind| kind.trim() == "0")
    };
    interfaces
        .take(INTERFACES)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|interface| burnt_in(interface))
        .filter_map(|interface| telling(&read(&interface.join("address"), SHORT_FILE)?))
        .min()
}

/// The beginning of a file, if it can be read.
fn read(path: &Path, limit: u64) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::state_dir::TestDir;

    /// A root with these files.
    fn tree(files: &[(&str, &str)]) -> TestDir {
        let root = TestDir::new();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn of(files: &[(&str, &str)]) -> Fingerprint {
        fingerprint(tree(files).path())
    }

    const PI: (&str, &str) = ("proc/device-tree/serial-number", "10000000a1b2c3d4\0");
    const UUID: (&str, &str) = ("sys/class/dmi/id/product_uuid", "4C4C4544-0042-3510-8054-B4C04F4D3232\n");
    const BOARD: (&str, &str) = ("sys/class/dmi/id/board_serial", ".ABC123.\n");
    const ETH: [(&str, &str); 3] = [
        ("sys/class/net/eth0/address", "b8:27:eb:00:00:02\n"),
        ("sys/class/net/eth0/addr_assign_type", "0\n"),
        ("sys/class/net/eth0/device/vendor", "x"),
    ];

    #[test]
    fn the_best_source_counts_and_the_rest_does_not() {
        assert_eq!(of(&[PI]), hashed("serial", "10000000a1b2c3d4"));
        assert_eq!(of(&[PI, UUID, BOARD, ETH[0], ETH[2]]), of(&[PI]));
        assert_eq!(of(&[UUID, BOARD]), hashed("uuid", "4c4c4544-0042-3510-8054-b4c04f4d3232"));
        assert_eq!(of(&[BOARD]), hashed("board", ".abc123."));
        assert_eq!(of(&ETH), hashed("mac", "b8:27:eb:00:00:02"));
        assert_eq!(of(&[]), [0; 16]);
    }

    #[test]
    fn a_pi_is_the_same_in_a_container_that_hides_the_device_tree() {
        let cpuinfo = "processor\t: 0\n\nHardware\t: BCM2835\nSerial\t\t: 10000000a1b2c3d4\nModel\t\t: Pi\n";
        assert_eq!(of(&[("proc/cpuinfo", cpuinfo)]), of(&[PI]));
        let zero = cpuinfo.replace("10000000a1b2c3d4", "0000000000000000");
        assert_eq!(of(&[("proc/cpuinfo", &zero), UUID]), of(&[UUID]));
    }

    #[test]
    fn placeholders_are_no_serial_numbers() {
        for text in ["To be filled by O.E.M.\n", "Default string", "00000000-0000-0000-0000-000000000000", "", "\0"] {
            assert_eq!(of(&[(UUID.0, text), BOARD]), of(&[BOARD]), "{text}");
        }
        assert_eq!(of(&[(UUID.0, "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF")]), [0; 16]);
        assert_eq!(of(&[(UUID.0, "03000200-0400-0500-0006-000700080009")]), [0; 16]);
    }

    #[test]
    fn the_lowest_lasting_address_of_a_device_counts() {
        let lower = [
            ("sys/class/net/veth1/address", "02:00:00:00:00:00\n"),
            ("sys/class/net/usb0/address", "02:00:00:00:00:01\n"),
            ("sys/class/net/usb0/addr_assign_type", "1\n"),
            ("sys/class/net/usb0/device/vendor", "x"),
            ("sys/class/net/lo/address", "00:00:00:00:00:00\n"),
            ("sys/class/net/lo/device/vendor", "x"),
            ("sys/class/net/wlan0/address", "b8:27:eb:00:00:03\n"),
            ("sys/class/net/wlan0/device/vendor", "x"),
        ];
        assert_eq!(of(&[&ETH[..], &lower].concat()), of(&ETH));
    }

    #[test]
    fn a_given_text_is_a_fingerprint_of_its_own() {
        assert_eq!(fingerprint_of(" rack 4\n"), fingerprint_of("rack 4"));
        assert_ne!(fingerprint_of("rack 4"), fingerprint_of("rack 5"));
        assert_ne!(fingerprint_of("10000000a1b2c3d4"), of(&[PI]));
    }

    #[test]
    fn facts_are_short_and_names_never_empty() {
        let long = "x".repeat(1000);
        let root = tree(&[
            ("proc/sys/kernel/hostname", "pi-7\n"),
            ("proc/sys/kernel/osrelease", "6.1.21-v8+\n"),
            ("x", &long),
        ]);
        let facts = gather(root.path());
        assert_eq!((facts.hostname.as_str(), facts.kernel.as_str()), ("pi-7", "6.1.21-v8+"));
        assert_eq!(facts.os, "linux");
        assert_eq!(hostname(tree(&[]).path()), "host");
        assert_eq!(hostname(tree(&[("proc/sys/kernel/hostname", &long)]).path()).len(), limits::HOST_NAME);
    }
}
