//! The tunnel, from when there is a plan that wants one.

use super::DEVICE;
use super::tunnel::{Path, Settings, Table, Tunnel};
use muster_protocol::id::HostId;
use std::fmt;
use std::io;
use std::sync::Arc;

/// The tunnel, if it runs.
#[derive(Default)]
pub struct Carrier {
    running: Option<Running>,
}

struct Running {
    /// Shared with whoever waits for an echo.
    tunnel: Arc<Tunnel>,
    mtu: u16,
    table: Table,
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier").field("runs", &self.running.is_some()).finish()
    }
}

impl Carrier {
    /// Lets it carry by this table; starts it if it does not run, or has lost its device, or has packets of another size.
    pub fn carry(&mut self, key: [u8; 32], port: u16, mtu: u16, table: Table) -> io::Result<()> {
        if self.running.as_ref().is_some_and(|running| running.mtu != mtu || running.tunnel.failed()) {
            self.running = None;
        }
        match &mut self.running {
            Some(running) if running.table == table => Ok(()),
            Some(running) => {
                running.tunnel.set(&table)?;
                running.table = table;
                Ok(())
            }
            None => {
                let tunnel = Tunnel::start(Settings { key, port, device: DEVICE.into(), mtu })?;
                tunnel.set(&table)?;
                self.running = Some(Running { tunnel: Arc::new(tunnel), mtu, table });
                Ok(())
            }
        }
    }

    /// Registers with the relays at once: the server's may have started anew with it, and knows nobody then.
    pub fn register(&self) {
        if let Some(running) = &self.running {
            running.tunnel.register();
        }
    }

    /// How its peers are reached.
    pub fn paths(&self) -> Vec<Path> {
        self.running.as_ref().map_or_else(Vec::new, |running| running.tunnel.paths())
    }

    /// What sends an echo to a peer's own address, and blocks until it says how many microseconds it took; `u32::MAX`:
    /// none came back. `None`: there is no such peer.
    pub fn probe(&self, host: HostId) -> Option<impl FnOnce() -> u32 + Send + use<>> {
        let running = self.running.as_ref()?;
        let peer = running.table.peers.iter().find(|peer| peer.host == host)?;
        let from = running.table.own.first()?.first + 1;
        let to = peer.blocks.first()?.first + 1;
        let tunnel = running.tunnel.clone();
        Some(move || {
            let took = tunnel.probe(host, from, to);
            took.map_or(u32::MAX, |took| u32::try_from(took.as_micros()).unwrap_or(u32::MAX - 1))
        })
    }
}
