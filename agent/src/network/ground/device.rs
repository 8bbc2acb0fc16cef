//! The tunnel's device: up, and with its MTU. It is the tunnel that makes it.

use super::program::Program;
use std::io;
use std::path::Path;

/// How a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    mtu: u32,
    up: bool,
}

/// Lets it be up, with this MTU. Returns a line if it was not.
///
/// # Errors
/// There is no such device, or it cannot be set.
pub fn lay(ip: impl Fn() -> io::Result<Program>, device: &str, mtu: u16) -> io::Result<Option<String>> {
    let wanted = State { mtu: mtu.into(), up: true };
    // Where a container or a namespace has a /sys of another place, `ip` knows better.
    let found = match read(Path::new("/sys/class/net"), device) {
        Some(state) => Some(state),
        None => shown(&ip()?.run(&["-o", "link", "show", "dev", device], "")?),
    };
    if found == Some(wanted) {
        return Ok(None);
    }
    ip()?.run(&["link", "set", "dev", device, "mtu", &mtu.to_string(), "up"], "")?;
    Ok(Some(format!("device: {device} is up, with an MTU of {mtu}")))
}

/// Removes it. Returns a line if it was there.
///
/// # Errors
/// It is there, and cannot be removed.
pub fn take_away(ip: impl Fn() -> io::Result<Program>, device: &str) -> io::Result<Option<String>> {
    if !Path::new("/proc/sys/net/ipv4/conf").join(device).exists() {
        return Ok(None);
    }
    ip()?.run(&["link", "delete", "dev", device], "")?;
    Ok(Some(format!("device: removed {device}")))
}

/// What the kernel tells by files.
fn read(root: &Path, device: &str) -> Option<State> {
    let file = |name| std::fs::read_to_string(root.join(device).join(name)).ok();
    let flags = file("flags")?;
    let flags = u32::from_str_radix(flags.trim().strip_prefix("0x")?, 16).ok()?;
    Some(State { mtu: file("mtu")?.trim().parse().ok()?, up: flags & 1 == 1 })
}

/// What `ip -o link show` prints: `3: muster-wg0: <POINTOPOINT,UP> mtu 1420 qdisc ...`.
fn shown(line: &str) -> Option<State> {
    let flags = line.split_once('<')?.1.split_once('>')?.0;
    let mut words = line.split_whitespace().skip_while(|word| *word != "mtu");
    Some(State { mtu: words.nth(1)?.parse().ok()?, up: flags.split(',').any(|flag| flag == "UP") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_from_what_ip_prints() {
        let line =
            "3: muster-wg0: <POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP> mtu 1420 qdisc fq_codel state UNKNOWN mode";
        assert_eq!(shown(line), Some(State { mtu: 1420, up: true }));
        assert_eq!(shown("3: x: <NO-CARRIER,LOWER_UP> mtu 9 q"), Some(State { mtu: 9, up: false }));
        assert_eq!(shown("3: x: <UP> qdisc"), None);
        assert_eq!(shown(""), None);
    }
}
