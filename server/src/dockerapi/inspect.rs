//! `GET /containers/NAME/json`, which `docker inspect` asks for: what was never collected is left out.

use super::{DockerApi, Refused, Scope, names, parts};
use crate::api::types::{Container, Host};
use serde_json::{Map, Value, json};

/// Docker's word for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Answers it.
pub fn show(api: &DockerApi, scope: &Scope, reference: &str) -> Result<Value, Refused> {
    let container = names::find(&api.fleet, scope, reference)?;
    let host = api.fleet.host(&container.host_id).ok();
    Ok(describe(&container, host.as_ref(), scope))
}

fn describe(container: &Container, host: Option<&Host>, scope: &Scope) -> Value {
    let mut object = json!({
        "Id": container.id,
        "State": state(container),
        "Name": names::shown(container, scope),
        "RestartCount": container.restart_count,
        "HostConfig": {},
        "Mounts": parts::mounts(container),
        "Config": { "Image": container.image, "Labels": container.labels },
        "NetworkSettings": { "Ports": parts::ports_by_number(container), "Networks": parts::networks(container) },
        "Node": node(container, host),
        "Muster": {
            "Command": container.command,
            "Stale": container.stale,
            "AsOf": container.as_of,
            "Truncated": container.truncated,
        },
    });
    if let Some(why) = &container.network_refused {
        object["Muster"]["NetworkRefused"] = why.clone().into();
    }
    if let Some(created) = &container.created_at {
        object["Created"] = created.clone().into();
    }
    if let Some(id) = &container.image_id {
        object["Image"] = id.clone().into();
    }
    if let Some(os) = host.and_then(|host| host.os.clone()) {
        object["Platform"] = os.into();
    }
    object
}

fn state(container: &Container) -> Value {
    let is = |word: &str| container.state == word;
    let mut state = Map::new();
    let mut set = |key: &str, value: Value| drop(state.insert(key.into(), value));
    set("Status", container.state.clone().into());
    // Docker counts those that are paused and those that are about to run again as running.
    set("Running", (is("running") || is("paused") || is("restarting")).into());
    set("Paused", is("paused").into());
    set("Restarting", is("restarting").into());
    set("OOMKilled", container.oom_killed.into());
    set("Dead", is("dead").into());
    if let Some(code) = container.exit_code {
        set("ExitCode", code.into());
    }
    // Where inspect did not answer, it is not known whether it never was.
    let is_known = !container.truncated.iter().any(|field| field == "details");
    for (key, time) in [("StartedAt", &container.started_at), ("FinishedAt", &container.finished_at)] {
        match time {
            Some(time) => set(key, time.clone().into()),
            None if is_known => set(key, NEVER.into()),
            None => {}
        }
    }
    if let Some(health) = &container.health {
        set("Health", json!({ "Status": health }));
    }
    state.into()
}

/// The host, as Swarm had it.
fn node(container: &Container, host: Option<&Host>) -> Value {
    let mut node = json!({ "ID": container.host_id, "Name": container.host });
    if let Some(host) = host {
        node["Labels"] = json!(host.labels);
        node["State"] = host.state.clone().into();
        node["LastSeen"] = json!(host.last_seen);
        if let Some(cpus) = host.vitals.as_ref().and_then(|vitals| vitals.cpus) {
            node["Cpus"] = cpus.into();
        }
        if let Some(memory) = host.vitals.as_ref().and_then(|vitals| vitals.memory_total) {
            node["Memory"] = memory.into();
        }
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    #[test]
    fn states_are_docker_s_and_what_is_not_known_is_not_there() {
        let running = samples::container("web", "running");
        let state = state(&running);
        assert_eq!((&state["Running"], &state["Status"]), (&json!(true), &json!("running")));
        assert_eq!(state["FinishedAt"], NEVER);
        for unknown in ["Pid", "Error", "ExitCode", "Health"] {
            assert!(state.get(unknown).is_none(), "{unknown}");
        }
        let unasked = Container { truncated: vec!["details".into()], started_at: None, ..running };
        assert!(super::state(&unasked).get("StartedAt").is_none());
    }

    #[test]
    fn the_host_is_named() {
        let container = samples::container("web", "exited");
        let object = describe(&container, Some(&samples::host("pi1")), &Scope::Fleet);
        assert_eq!((&object["Name"], &object["Node"]["Name"]), (&json!("/pi1/web"), &json!("pi1")));
        assert_eq!(object["Config"]["Labels"]["tier"], "front");
        for unknown in ["Path", "Args", "Driver", "LogPath"] {
            assert!(object.get(unknown).is_none(), "{unknown}");
        }
    }
}
