//! Lets the containers that have joined ask for names of the managed network.

use super::container::Seen;
use super::hub::Hub;
use super::names;
use super::plan::Place;
use log::{debug, warn};
use serde::Deserialize;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Lists our name server first in a container that runs if names are answered, and takes it out if not.
pub async fn see_to_names(hub: &Hub, place: &Place, seen: &Seen) {
    if !seen.runs || hub.members.borrow().lists_ours(seen.id) == Some(place.names) {
        return;
    }
    let path = match hub.engine.inspected(seen.id).await {
        Ok(Some(json)) => resolv_conf(&json),
        Ok(None) => None,
        Err(error) => {
            debug!("{}: {error}", seen.name);
            None
        }
    };
    let Some(path) = path else { return };
    let gateway = Ipv4Addr::from_bits(place.gateway());
    let done = if place.names { names::list_first(&path, gateway) } else { names::unlist(&path, gateway) };
    if let Err(error) = done {
        warn!("the name servers of {} stay as they are: {}: {error}", seen.name, path.display());
    }
    // One that cannot be written now will not be at the next look either; at its next start the file is new.
    hub.members.borrow_mut().note_listed(seen.id, place.names);
}

/// Where a container's file of name servers is on the host.
pub fn resolv_conf(json: &[u8]) -> Option<PathBuf> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Inspected {
        resolv_conf_path: String,
    }
    let inspected: Inspected = serde_json::from_slice(json).ok()?;
    let path = PathBuf::from(inspected.resolv_conf_path);
    (path.is_absolute() && path.ends_with("resolv.conf")).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_of_name_servers_is_ever_written() {
        let of = |path: &str| resolv_conf(format!(r#"{{"Id":"x","ResolvConfPath":"{path}"}}"#).as_bytes());
        let usual = "/var/lib/docker/containers/abc/resolv.conf";
        assert_eq!(of(usual), Some(PathBuf::from(usual)));
        for other in ["", "resolv.conf", "/etc/passwd"] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(resolv_conf(b"{}"), None);
    }
}
