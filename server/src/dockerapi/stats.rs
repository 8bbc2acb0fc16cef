//! `GET /containers/NAME/stats`: what a container uses, in the counters that Docker's clients compute percents of.
//!
//! A host says how much of a processor a container uses and not what its counters were; so the counters here are made
//! to give that percent, and stand for the last second.

use super::places::Place;
use super::query::Query;
use super::{DockerApi, Refused, Scope, names};
use crate::api::types::{Container, ContainerVitals, Host};
use crate::fleet::{By, Fleet};
use crate::listen::Response;
use crate::time::{format_ms, parse_ms};
use async_io::Timer;
use futures_lite::stream;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How often a stream says something. Docker's command line gives up after two.
const PACE: Duration = Duration::from_secs(1);

/// Nanoseconds in a second, which counters are in.
const SECOND: f64 = 1e9;

/// Docker's word for a reading that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Answers it.
pub fn show(api: &DockerApi, by: &By, query: &Query, scope: Scope, reference: &str) -> Result<Response, Refused> {
    let container = names::find(&api.fleet, &scope, reference)?;
    let host = api.fleet.host(&container.host_id)?;
    if container.stale {
        let why = super::status::staleness(&container, Some(&host), crate::time::now_ms());
        return Err(Refused::new(503, format!("no stats of {}/{} now: {why}", container.host, container.name)));
    }
    let first = line(&container, &host, &scope);
    if !query.flag("stream", true) || query.flag("one-shot", false) {
        return Ok(Response::bytes(200, "application/json", first));
    }
    let place = api.place_for_stream(&api.samplings, by, "stats")?;
    let watch = Watch {
        fleet: api.fleet.clone(),
        container: container.id,
        host: container.host_id,
        scope,
        first: Some(first),
        _place: place,
    };
    Ok(Response::stream(
        200,
        "application/json",
        stream::unfold(watch, |mut watch| async { watch.next().await.map(|part| (part, watch)) }),
    ))
}

struct Watch {
    fleet: Arc<Fleet>,
    container: String,
    host: String,
    scope: Scope,
    first: Option<Vec<u8>>,
    _place: Place,
}

impl Watch {
    /// The next line; `None` when the container is gone.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        Timer::after(PACE).await;
        let container = self.fleet.container(&self.host, &self.container).ok()?;
        let host = self.fleet.host(&self.host).ok()?;
        // Silence shows as such: what was true before the host went away is not repeated.
        Some(if container.stale { Vec::new() } else { line(&container, &host, &self.scope) })
    }
}

fn line(container: &Container, host: &Host, scope: &Scope) -> Vec<u8> {
    let mut line = describe(container, host, scope).to_string().into_bytes();
    line.push(b'\n');
    line
}

fn describe(container: &Container, host: &Host, scope: &Scope) -> Value {
    let mut object = json!({ "id": container.id, "name": names::shown(container, scope) });
    match &container.vitals {
        // As Docker has it for what does not run.
        None => {
            object["read"] = NEVER.into();
            object["preread"] = NEVER.into();
            for part in ["cpu_stats", "precpu_stats", "memory_stats"] {
                object[part] = json!({});
            }
        }
        Some(vitals) => fill(&mut object, vitals, host),
    }
    object
}

fn fill(object: &mut Value, vitals: &ContainerVitals, host: &Host) {
    let read_ms = parse_ms(&vitals.as_of).unwrap_or(0);
    object["read"] = vitals.as_of.clone().into();
    object["preread"] = format_ms(read_ms.saturating_sub(1000)).into();
    let (before, now) = processor(vitals, host);
    object["precpu_stats"] = before;
    object["cpu_stats"] = now;
    let mut memory = Map::new();
    if let Some(usage) = vitals.memory {
        memory.insert("usage".into(), usage.into());
        // What is only cached is not in it: nothing is to be taken off.
        memory.insert("stats".into(), json!({}));
    }
    if let Some(most) = vitals.memory_max {
        memory.insert("limit".into(), most.into());
    }
    object["memory_stats"] = memory.into();
    object["pids_stats"] = match vitals.pids {
        Some(pids) => json!({ "current": pids }),
        None => json!({}),
    };
    if let Some((received, sent)) = vitals.received.zip(vitals.sent) {
        // Of all its interfaces together.
        object["networks"] = json!({ "all": { "rx_bytes": received, "tx_bytes": sent } });
    }
    if let Some((read, written)) = vitals.read.zip(vitals.written) {
        let bytes = |op: &str, value: u64| json!({ "major": 0, "minor": 0, "op": op, "value": value });
        object["blkio_stats"] = json!({ "io_service_bytes_recursive": [bytes("read", read), bytes("write", written)] });
    }
}

/// Counters of a second ago and of now. Clients compute used / passed * processors of their differences.
fn processor(vitals: &ContainerVitals, host: &Host) -> (Value, Value) {
    let Some(percent) = vitals.cpu_percent else { return (json!({}), json!({})) };
    let known = host.vitals.as_ref();
    let processors = known.and_then(|host| host.cpus).filter(|cpus| *cpus > 0).unwrap_or(1);
    let uptime = known.and_then(|host| host.uptime).unwrap_or(0);
    // Floats are cut off to whole nanoseconds and never negative.
    let used = (percent / 100.0 * SECOND) as u64;
    let total = ((vitals.cpu_seconds.unwrap_or(0.0) * SECOND) as u64).max(used);
    let passed = processors.saturating_mul(SECOND as u64);
    let all = uptime.saturating_mul(passed).max(passed);
    let counters = |total: u64, all: u64| json!({ "cpu_usage": { "total_usage": total }, "system_cpu_usage": all, "online_cpus": processors });
    (counters(total - used, all - passed), counters(total, all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    /// As Docker's command line computes it.
    fn percent(object: &Value) -> f64 {
        let get = |of: &str, path: &str| object[of].pointer(path).and_then(Value::as_f64).unwrap_or(0.0);
        let used = get("cpu_stats", "/cpu_usage/total_usage") - get("precpu_stats", "/cpu_usage/total_usage");
        let passed = get("cpu_stats", "/system_cpu_usage") - get("precpu_stats", "/system_cpu_usage");
        if passed > 0.0 { used / passed * get("cpu_stats", "/online_cpus") * 100.0 } else { 0.0 }
    }

    #[test]
    fn clients_compute_the_percent_that_was_measured() {
        let host = Host { vitals: Some(samples::host_vitals()), ..samples::host("pi1") };
        for wanted in [0.0, 0.5, 101.5, 399.9] {
            let vitals = ContainerVitals { cpu_percent: Some(wanted), ..samples::container_vitals() };
            let container = Container { vitals: Some(vitals), ..samples::container("web", "running") };
            let object = describe(&container, &host, &Scope::Fleet);
            assert!((percent(&object) - wanted).abs() < 0.01, "{wanted}: {object}");
            assert_eq!(object["name"], "/pi1/web");
            assert_eq!(object["memory_stats"]["usage"], 96 << 20);
        }
        // A container that has just begun, on a host that says nothing of itself.
        let vitals = ContainerVitals { cpu_percent: Some(50.0), cpu_seconds: None, ..samples::container_vitals() };
        let container = Container { vitals: Some(vitals), ..samples::container("web", "running") };
        let object = describe(&container, &Host { vitals: None, ..host.clone() }, &Scope::Fleet);
        assert!((percent(&object) - 50.0).abs() < 0.01, "{object}");
    }

    #[test]
    fn what_was_not_measured_is_not_there() {
        let host = samples::host("pi1");
        let stopped = describe(&samples::container("web", "exited"), &host, &Scope::Fleet);
        assert_eq!((&stopped["read"], &stopped["cpu_stats"]), (&json!(NEVER), &json!({})));
        let vitals = ContainerVitals { as_of: "2026-11-22T09:59:50.000Z".into(), ..ContainerVitals::default() };
        let container = Container { vitals: Some(vitals), ..samples::container("web", "running") };
        let object = describe(&container, &host, &Scope::Fleet);
        assert_eq!(object["memory_stats"], json!({}));
        assert!(object.get("networks").is_none() && object.get("blkio_stats").is_none());
    }
}
