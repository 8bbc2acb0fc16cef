//! `GET /info`: the fleet as if it were one engine, and its hosts one by one.

use super::version::MUSTER;
use super::{DockerApi, Refused, Scope};
use crate::api::types::{ContainerCounts, Host};
use crate::cli::human;
use crate::fleet::Fleet;
use crate::time::now_ms;
use serde_json::{Value, json};

/// Hosts that are named one by one.
const NAMED: usize = 100;

/// Hosts that are looked at once.
const PAGE: usize = 500;

/// Answers it.
pub async fn show(api: &DockerApi, scope: &Scope) -> Result<Value, Refused> {
    let _place = api.place_for_list().await?;
    let hosts = match scope {
        Scope::Host(id) => vec![api.fleet.host(id)?],
        Scope::Fleet => {
            let fleet = api.fleet.clone();
            smol::unblock(move || all(&fleet)).await
        }
    };
    Ok(describe(&hosts, scope, now_ms()))
}

fn all(fleet: &Fleet) -> Vec<Host> {
    let mut all: Vec<Host> = Vec::new();
    loop {
        let after = all.last().map(|host| [host.name.clone(), host.id.clone()]);
        let page = fleet.hosts(false, after.as_ref(), PAGE);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// An engine counts as stopped also what waits for its restart policy, and what never started.
fn stopped(counts: &ContainerCounts) -> u64 {
    [counts.stopped, counts.restarting, counts.created].into_iter().map(u64::from).sum()
}

fn describe(hosts: &[Host], scope: &Scope, now_ms: i64) -> Value {
    let sum = |of: fn(&Host) -> u64| hosts.iter().map(of).fold(0, u64::saturating_add);
    let away = hosts.iter().filter(|host| host.state != "active").count();
    let mut status =
        vec![["Hosts".to_owned(), hosts.len().to_string()], ["Active".to_owned(), (hosts.len() - away).to_string()]];
    status.extend(hosts.iter().take(NAMED).map(|host| [host.name.clone(), in_words(host, now_ms)]));
    if hosts.len() > NAMED {
        status.push([format!("and {} more", hosts.len() - NAMED), "see `muster hosts`".to_owned()]);
    }
    status.push(["Kernel features".to_owned(), "not collected; MemoryLimit and the like say nothing here".to_owned()]);
    let mut object = json!({
        "ID": "muster",
        "Name": "muster",
        "Containers": sum(|host| u64::from(host.containers.total) + u64::from(host.containers.created)),
        "ContainersRunning": sum(|host| host.containers.up().into()),
        "ContainersPaused": sum(|host| host.containers.paused.into()),
        "ContainersStopped": sum(|host| stopped(&host.containers)),
        "Driver": "muster",
        "DriverStatus": status,
        "ServerVersion": format!("muster/{MUSTER}"),
        "OperatingSystem": format!("Muster, a fleet of {} host{}", hosts.len(), if hosts.len() == 1 { "" } else { "s" }),
        "OSType": "linux",
        "Swarm": { "LocalNodeState": "inactive" },
        "Warnings": warnings(hosts, now_ms),
    });
    let cpus = sum(|host| host.vitals.as_ref().and_then(|vitals| vitals.cpus).unwrap_or(0));
    let memory = sum(|host| host.vitals.as_ref().and_then(|vitals| vitals.memory_total).unwrap_or(0));
    // Not collected, as the status says: older clients warn of each of these that is not true, where nothing is wrong.
    for known in ["MemoryLimit", "SwapLimit", "OomKillDisable", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet"] {
        object[known] = true.into();
    }
    for known in ["IPv4Forwarding", "BridgeNfIptables", "BridgeNfIp6tables"] {
        object[known] = true.into();
    }
    if cpus > 0 {
        object["NCPU"] = cpus.into();
    }
    if memory > 0 {
        object["MemTotal"] = memory.into();
    }
    if let (Scope::Host(_), [host]) = (scope, hosts) {
        object["ID"] = host.id.clone().into();
        object["Name"] = host.name.clone().into();
        object["OperatingSystem"] = format!("{}, seen by Muster", host.os.as_deref().unwrap_or("unknown")).into();
        object["Labels"] = host.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let known =
            [("KernelVersion", &host.kernel), ("Architecture", &host.arch), ("ServerVersion", &host.engine.version)];
        for (key, value) in known {
            if let Some(value) = value {
                object[key] = value.clone().into();
            }
        }
    }
    object
}

fn in_words(host: &Host, now_ms: i64) -> String {
    let mut words = vec![match host.state.as_str() {
        "active" => "active".to_owned(),
        state => match human::since(host.last_seen.as_deref(), now_ms) {
            Some(span) => format!("{state}, last heard {} ago", span.to_lowercase()),
            None => state.to_owned(),
        },
    }];
    if let Some(version) = &host.engine.version {
        words.push(format!("Docker {version}"));
    }
    words.push(format!("{} of {} running", host.containers.up(), host.containers.total));
    words.join(", ")
}

/// What an operator should know, host by host.
fn warnings(hosts: &[Host], now_ms: i64) -> Vec<String> {
    let of = |host: &Host| {
        if host.state != "active" {
            return Some(format!("WARNING: {} is {}", host.name, in_words(host, now_ms)));
        }
        let engine = host.engine.state.as_deref().filter(|state| *state != "ok")?;
        Some(format!("WARNING: the engine of {} is {}", host.name, engine.replace('_', " ")))
    };
    hosts.iter().filter_map(of).take(NAMED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    #[test]
    fn a_fleet_is_told_as_one_engine_and_by_its_hosts() {
        let hosts = [samples::host("pi1"), Host { state: "disconnected".into(), ..samples::host("pi2") }];
        let object = describe(&hosts, &Scope::Fleet, 0);
        assert_eq!(object["DriverStatus"][0], json!(["Hosts", "2"]));
        assert_eq!(object["DriverStatus"][1], json!(["Active", "1"]));
        assert_eq!(object["DriverStatus"][3][0], "pi2");
        assert_eq!(object["Warnings"].as_array().map(Vec::len), Some(1), "{object}");
        assert_eq!(object["OperatingSystem"], "Muster, a fleet of 2 hosts");
        let one = describe(&hosts[..1], &Scope::Fleet, 0);
        assert_eq!(one["OperatingSystem"], "Muster, a fleet of 1 host");
        let many: Vec<Host> = (0..NAMED + 5).map(|n| samples::host(&format!("pi{n}"))).collect();
        let object = describe(&many, &Scope::Fleet, 0);
        assert_eq!(object["DriverStatus"].as_array().map(Vec::len), Some(NAMED + 4));
    }

    #[test]
    fn containers_are_counted_as_an_engine_counts_them() {
        let mut host = samples::host("pi1");
        host.containers = ContainerCounts { running: 5, paused: 1, restarting: 2, stopped: 3, total: 8, created: 1 };
        let object = describe(&[host.clone(), host], &Scope::Fleet, 0);
        let counts = ["Containers", "ContainersRunning", "ContainersPaused", "ContainersStopped"];
        assert_eq!(counts.map(|count| object[count].as_u64()), [18, 4, 2, 12].map(Some));
        assert!(object["DriverStatus"][2][1].as_str().is_some_and(|words| words.ends_with("2 of 8 running")));
    }

    #[test]
    fn one_host_is_told_as_itself() {
        let host = samples::host("pi1");
        let object = describe(std::slice::from_ref(&host), &Scope::Host(host.id.clone()), 0);
        assert_eq!((&object["Name"], &object["ID"]), (&json!("pi1"), &json!(host.id)));
        assert_eq!(object["Labels"], json!(["site=attic"]));
    }
}
