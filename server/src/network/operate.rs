//! What operators do with the managed network.

use super::basis::{Acceptance, Basis};
use super::live::Waiting;
use super::settings::Settings;
use crate::api::types;
use crate::fleet::{By, Fleet, HostCell, Refusal};
use futures_lite::future;
use muster_protocol::id::HostId;
use muster_protocol::network::{NoPlace, Prefix};
use smol::Timer;
use std::sync::Arc;
use std::time::Duration;

/// So long an operator waits for an echo: the host itself gives up after five seconds.
const ECHO: Duration = Duration::from_secs(10);

impl Fleet {
    /// Enables the network, or changes what is set of it. What is not given stays as it is.
    pub async fn enable_network(&self, by: &By, wanted: types::EnableNetwork) -> Result<(), Refusal> {
        let prefix = |name: &str, text: &str| {
            Prefix::parse(text)
                .ok_or_else(|| Refusal::Invalid(format!("{name}: {text:?} is no range; give one such as 10.42.0.0/16")))
        };
        let range = wanted.cidr.as_deref().map(|text| prefix("cidr", text)).transpose()?;
        self.network()
            .change(|basis| {
                let old = &basis.settings;
                let settings = Settings {
                    range: range.unwrap_or(old.range),
                    block_length: wanted.block.unwrap_or(old.block_length),
                    label: wanted.label.unwrap_or_else(|| old.label.clone()),
                    names: wanted.names.unwrap_or(old.names),
                    mtu: wanted.mtu.unwrap_or(old.mtu),
                    relay_port: match wanted.relay_port {
                        None => old.relay_port,
                        Some(0) => None,
                        port => port,
                    },
                };
                settings.check().map_err(Refusal::Invalid)?;
                let moves = (old.range, old.block_length) != (settings.range, settings.block_length);
                let inside = basis.members().filter(|member| !member.blocks.is_empty()).count();
                if moves && inside > 0 && !wanted.force {
                    return Err(Refusal::Conflict(format!(
                        "{inside} hosts have addresses in {} (blocks of /{}): with others all of their containers get new \
                         addresses, and are cut off until they have them; if that is meant, say so with --force",
                        old.range, old.block_length,
                    )));
                }
                let details = [
                    ("cidr", settings.range.to_string()),
                    ("block", format!("/{}", settings.block_length)),
                    ("label", settings.label.clone()),
                    ("names", settings.names.to_string()),
                    ("mtu", settings.mtu.to_string()),
                    ("relay_port", settings.relay_port.map_or("default".into(), |port| port.to_string())),
                ];
                basis.set(settings);
                basis.enabled = true;
                Ok(((), vec![by.audit("network.enable", "", details)]))
            })
            .await
    }

    /// Disables the network. Hosts take their containers out of it; each keeps its blocks for when it is enabled again.
    pub async fn disable_network(&self, by: &By) -> Result<(), Refusal> {
        self.network()
            .change(|basis| {
                if !basis.enabled {
                    return Err(Refusal::Conflict("the network is not enabled".into()));
                }
                basis.enabled = false;
                Ok(((), vec![by.audit("network.disable", "", [])]))
            })
            .await
    }

    /// Takes a host's place away. If its network process is there, it says hello again, and gets another.
    pub async fn remove_from_network(&self, by: &By, host: &str) -> Result<(), Refusal> {
        let (cell, name) = self.named(host)?;
        self.network()
            .change(|basis| {
                if basis.member(cell.id).is_none() {
                    return Err(Refusal::NotFound(format!("{name} is not in the network")));
                }
                basis.remove(cell.id);
                Ok(((), vec![by.audit("network.rm", &name, [("id", cell.id.to_string())])]))
            })
            .await?;
        self.network().forget(cell.id);
        cell.lines.cut_network();
        Ok(())
    }

    /// Takes this key for a host's own, if it is still the one that the host has come with last.
    pub async fn accept_network_key(
        &self,
        by: &By,
        host: &str,
        wanted: &types::AcceptNetworkKey,
    ) -> Result<types::NetworkHost, Refusal> {
        let (cell, name) = self.named(host)?;
        let key = read_key(&wanted.key).ok_or_else(|| {
            Refusal::Invalid("key: this is none; give 32 bytes in base64, as `muster network` shows them".into())
        })?;
        let accept = |basis: &mut Basis| match basis.accept(cell.id, &key) {
            Acceptance::Done => {
                let details = [("id", cell.id.to_string()), ("key", shown_key(&key))];
                Ok(((), vec![by.audit("network.accept", &name, details)]))
            }
            Acceptance::Taken => Err(Refusal::Conflict(format!("{name}: {}", super::why(NoPlace::KeyTaken)))),
            Acceptance::Other(new) => Err(Refusal::Conflict(format!(
                "{name} has come with another key by now, {}: find out why before you accept any",
                shown_key(&new)
            ))),
            Acceptance::Nothing => {
                Err(Refusal::Conflict(format!("{name} has come with no other key: there is nothing to accept")))
            }
        };
        self.network().change(accept).await?;
        self.network_host(host)
    }

    /// Asks a host to send an echo to another one through the tunnel.
    pub async fn ping_network(&self, wanted: &types::PingNetwork) -> Result<types::NetworkPing, Refusal> {
        let ((from, from_name), (to, to_name)) = (self.named(&wanted.from)?, self.named(&wanted.to)?);
        if from.id == to.id {
            return Err(Refusal::Invalid("a host does not reach itself through the network: give two hosts".into()));
        }
        let basis = self.network().basis();
        for (cell, name) in [(&from, &from_name), (&to, &to_name)] {
            match basis.place(cell.id) {
                NoPlace::HasOne => {}
                _ if basis.enabled && basis.member(cell.id).is_none() && !is_stranger(&basis, cell.id) => {
                    let what = "is not in the network: run `muster-agent network up` there";
                    return Err(Refusal::Conflict(format!("{name} {what}")));
                }
                place => return Err(Refusal::Conflict(format!("{name}: {}", super::why(place)))),
            }
        }
        let Waiting { told, .. } = &self.network().probe(from.id, to.id);
        let late = async {
            Timer::after(ECHO).await;
            Ok(u32::MAX)
        };
        let away = |_| {
            let what = "its network process is not connected to the server now";
            Refusal::Conflict(format!("{from_name} cannot be asked: {what}"))
        };
        let took_us = future::or(told.recv(), late).await.map_err(away)?;
        let answered = took_us != u32::MAX;
        let milliseconds = answered.then(|| f64::from(took_us) / 1000.0);
        Ok(types::NetworkPing { from: from_name, to: to_name, answered, milliseconds })
    }

    pub(super) fn named(&self, host: &str) -> Result<(Arc<HostCell>, String), Refusal> {
        let cell = self.find_host(host)?;
        let name = cell.live().row.name.clone();
        Ok((cell, name))
    }
}

fn is_stranger(basis: &Basis, host: HostId) -> bool {
    basis.strangers().any(|(stranger, _)| stranger == host)
}

/// A public key as WireGuard's tools write it.
pub(super) fn shown_key(key: &[u8; 32]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(key)
}

/// The key that [`shown_key`] shows so.
fn read_key(text: &str) -> Option<[u8; 32]> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok()?.try_into().ok()
}
