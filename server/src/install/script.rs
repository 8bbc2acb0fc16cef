//! The installer, filled in for one join token.

use super::offers::Offered;
use muster_dial::{Address, JoinString, Pin};

const INSTALLER: &str = include_str!("../../../packaging/install/install.sh");
const UNINSTALLER: &str = include_str!("../../../packaging/install/uninstall.sh");
const BEFORE_START: &str = include_str!("../../../packaging/install/before-start.sh");
const SYSTEMD: &str = include_str!("../../../packaging/systemd/muster-agent.service");
const OPENRC: &str = include_str!("../../../packaging/openrc/muster-agent");
const NETWORK_SYSTEMD: &str = include_str!("../../../packaging/systemd/muster-network.service");
const NETWORK_OPENRC: &str = include_str!("../../../packaging/openrc/muster-network");

/// What differs from one installer to the other.
pub(super) struct Facts<'a> {
    /// Where agents are fetched from.
    pub server: &'a Address,
    /// Of the serving certificate.
    pub pin: Pin,
    /// What the host is to join by.
    pub join: &'a JoinString,
    /// At least one.
    pub offered: &'a [Offered],
    /// The programs of the managed network, for hosts that want it.
    pub network: &'a [Offered],
}

/// The whole script. Nothing that is put into it has a quotation mark or a line that ends a text: addresses, tokens and
/// hashes are letters, digits and a few signs, and the files are this project's own.
pub(super) fn installer(facts: &Facts<'_>) -> String {
    let lines = |offered: &[Offered]| -> String {
        offered.iter().map(|offered| format!("{} {}", offered.target, offered.sha256)).collect::<Vec<_>>().join("\n")
    };
    // What comes from outside comes last, so that no part of it is filled in again.
    [
        ("@SYSTEMD@", SYSTEMD.trim_end()),
        ("@OPENRC@", OPENRC.trim_end()),
        ("@NETWORK_SYSTEMD@", NETWORK_SYSTEMD.trim_end()),
        ("@NETWORK_OPENRC@", NETWORK_OPENRC.trim_end()),
        ("@UNINSTALL@", UNINSTALLER.trim_end()),
        ("@BEFORE_START@", BEFORE_START.trim_end()),
        ("@SERVER@", &facts.server.to_string()),
        ("@PIN@", &facts.pin.base64()),
        ("@OFFERS@", &lines(facts.offered)),
        ("@NETWORK_OFFERS@", &lines(facts.network)),
        ("@TOKEN@", &facts.join.token),
        ("@JOIN@", &facts.join.to_string()),
    ]
    .iter()
    .fold(INSTALLER.to_string(), |script, (place, text)| script.replace(place, text))
}

/// A script that says one line on standard error and ends with this code.
pub(super) fn refusal(exit: u8, why: &str) -> String {
    let line: String = why.chars().filter(|c| !c.is_control()).collect();
    format!("#!/bin/sh\nprintf '%s\\n' 'muster: {}' >&2\nexit {exit}\n", line.replace('\'', r"'\''"))
}
