//! The kernel's switches for bridge and device, in `/proc/sys/net`.
//!
//! `rp_filter` is left as it is: to every address in the range there is a route by the device that its packets come from, so
//! the strict check lets them through. `ip_forward` is the engine's; the same is said here for our two devices alone, which
//! is what counts for packets that come in by them.

use std::io;
use std::path::Path;

/// One switch of a device.
struct Switch {
    /// Below `/proc/sys/net`, with `DEVICE` for the device's name.
    path: &'static str,
    /// As it should be.
    wanted: &'static str,
    /// As the kernel has it for new devices; none where it may stay.
    before: Option<&'static str>,
    /// Whether a kernel may be without it.
    optional: bool,
}

/// Of the bridge. Containers take the whole range for their own link: the host answers in the place of those who are
/// elsewhere, at once, and does not tell containers that there is a shorter way.
const BRIDGE: [Switch; 4] = [
    Switch { path: "ipv4/conf/DEVICE/forwarding", wanted: "1", before: None, optional: false },
    Switch { path: "ipv4/conf/DEVICE/proxy_arp", wanted: "1", before: Some("0"), optional: false },
    Switch { path: "ipv4/neigh/DEVICE/proxy_delay", wanted: "0", before: Some("80"), optional: false },
    Switch { path: "ipv4/conf/DEVICE/send_redirects", wanted: "0", before: Some("1"), optional: false },
];

/// Of the tunnel's device. IPv6 would greet every peer with packets that no one wants.
const DEVICE: [Switch; 2] = [
    Switch { path: "ipv4/conf/DEVICE/forwarding", wanted: "1", before: None, optional: false },
    Switch { path: "ipv6/conf/DEVICE/disable_ipv6", wanted: "1", before: None, optional: true },
];

/// Sets the bridge's. Returns a line for each that was otherwise.
///
/// # Errors
/// There is no such device, or it cannot be set.
pub fn set_bridge(root: &Path, bridge: &str) -> io::Result<Vec<String>> {
    set(root, bridge, &BRIDGE)
}

/// Sets the tunnel's device's, likewise.
///
/// # Errors
/// As [`set_bridge`].
pub fn set_device(root: &Path, device: &str) -> io::Result<Vec<String>> {
    set(root, device, &DEVICE)
}

/// Sets the bridge's to what they were before, if it is there.
///
/// # Errors
/// One cannot be set.
pub fn put_back(root: &Path, bridge: &str) -> io::Result<Vec<String>> {
    let mut told = Vec::new();
    for switch in &BRIDGE {
        let Some(before) = switch.before else { continue };
        match turn(root, bridge, switch.path, before) {
            Ok(line) => told.extend(line),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(told)
}

fn set(root: &Path, device: &str, switches: &[Switch]) -> io::Result<Vec<String>> {
    let mut told = Vec::new();
    for switch in switches {
        match turn(root, device, switch.path, switch.wanted) {
            Ok(line) => told.extend(line),
            Err(error) if switch.optional && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(told)
}

/// Sets one, if it is otherwise.
fn turn(root: &Path, device: &str, path: &str, to: &str) -> io::Result<Option<String>> {
    let path = path.replace("DEVICE", device);
    let file = root.join(&path);
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("cannot set net/{path} to {to}: {error}"));
    if std::fs::read_to_string(&file).map_err(failed)?.trim() == to {
        return Ok(None);
    }
    std::fs::write(&file, to).map_err(failed)?;
    Ok(Some(format!("kernel: set net/{path} to {to}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_what_is_otherwise_is_set_and_told() {
        let root = std::env::temp_dir().join(format!("switches-{}", std::process::id()));
        let folders = ["ipv4/conf/muster0", "ipv4/neigh/muster0"];
        folders.iter().for_each(|folder| fs::create_dir_all(root.join(folder)).unwrap());
        let put = |path: &str, value| fs::write(root.join(path), value).unwrap();
        put("ipv4/conf/muster0/forwarding", "1\n");
        put("ipv4/conf/muster0/proxy_arp", "0\n");
        put("ipv4/conf/muster0/send_redirects", "1\n");
        put("ipv4/neigh/muster0/proxy_delay", "80\n");
        assert_eq!(set_bridge(&root, "muster0").unwrap().len(), 3);
        assert_eq!(set_bridge(&root, "muster0").unwrap(), Vec::<String>::new());
        assert_eq!(fs::read_to_string(root.join("ipv4/conf/muster0/proxy_arp")).unwrap(), "1");
        assert_eq!(put_back(&root, "muster0").unwrap().len(), 3);
        assert_eq!(put_back(&root, "gone").unwrap(), Vec::<String>::new());
        let error = set_bridge(&root, "gone").unwrap_err().to_string();
        assert!(error.starts_with("cannot set net/ipv4/conf/gone/forwarding to 1: "), "{error}");
        fs::remove_dir_all(root).unwrap();
    }
}
