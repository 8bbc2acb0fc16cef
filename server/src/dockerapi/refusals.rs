//! What is not done here, in one sentence that says where to do it.

use super::Refused;
use super::{DockerApi, Scope, names};
use crate::fleet::By;

/// Stands for a host where none is meant.
const SOME_HOST: &str = "HOST";

/// A change of a container: the sentence names its host.
pub fn change_container(api: &DockerApi, by: &By, scope: &Scope, command: &str, reference: &str) -> Refused {
    let container = match names::find(&api.fleet, scope, reference) {
        Ok(container) => container,
        Err(refusal) => return refusal.into(),
    };
    api.fleet.note_denied(by, &format!("docker {command} {}/{}", container.host, container.name));
    looks_only(&container.host, &format!("{command} {}", container.name))
}

/// Another change.
pub fn change(api: &DockerApi, by: &By, scope: &Scope, command: &str) -> Refused {
    api.fleet.note_denied(by, &format!("docker {command}"));
    looks_only(&host(api, scope), command)
}

fn looks_only(host: &str, command: &str) -> Refused {
    Refused::new(403, format!("muster only looks: run this on the host, e.g. `ssh {host} docker {command}`"))
}

/// What only a container's own host can tell.
pub fn elsewhere(api: &DockerApi, scope: &Scope, command: &str, reference: &str) -> Refused {
    match names::find(&api.fleet, scope, reference) {
        Ok(container) => Refused::new(
            501,
            format!(
                "muster collects nothing for docker {command}: run it on the host, e.g. `ssh {} docker {command} {}`",
                container.host, container.name
            ),
        ),
        Err(refusal) => refusal.into(),
    }
}

/// Things of a kind that nobody collects.
pub fn uncollected(api: &DockerApi, scope: &Scope, what: &str, command: &str) -> Refused {
    let host = host(api, scope);
    Refused::new(501, format!("muster does not collect {what}: ask a host, e.g. `ssh {host} docker {command}`"))
}

/// One thing of such a kind: there is none, so that `docker inspect` looks on.
pub fn unknown(what: &str, name: &str) -> Refused {
    Refused::new(404, format!("No such {what}: {}; muster knows containers only", crate::time::shown(name)))
}

fn host(api: &DockerApi, scope: &Scope) -> String {
    let named = match scope {
        Scope::Fleet => None,
        Scope::Host(id) => api.fleet.host(id).ok(),
    };
    named.map_or_else(|| SOME_HOST.to_owned(), |host| host.name)
}
