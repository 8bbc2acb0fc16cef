//! What hosts and containers use is seen wherever an operator looks, and does not fill the stream of changes.

use muster_tests::stream::Stream;
use muster_tests::{Agent, Engine, Server, eventually, text};
use serde_json::Value;

/// A fleet of one host that looks at its vitals with each report.
fn fleet() -> (Engine, Server, Agent) {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::new(&engine.docker_host());
    agent.join_with(&server.join_string(&["--name", "alpha", "--label", "site=attic"])).ok();
    agent.start_with(&[("MUSTER_VITALS_INTERVAL", "1s")]);
    agent.wait_until_heard(&server, "alpha");
    (engine, server, agent)
}

/// A container that keeps a processor busy.
fn burn(engine: &Engine, name: &str) -> String {
    engine.run_with(name, &["--memory", "64m"], &["sh", "-c", "while :; do :; done"])
}

/// The line of a container in `muster top`.
fn in_top(server: &Server, name: &str) -> Option<Value> {
    let lines = server.json(&["top", "--no-stream"]);
    lines.into_iter().find(|line| line["kind"] == "container" && text(line, "name") == name)
}

fn is_busy(container: &Value) -> bool {
    container["vitals"]["cpu_percent"].as_f64().is_some_and(|percent| percent > 5.0)
}

#[test]
fn a_container_that_burns_processor_time_is_seen_everywhere() {
    let (engine, server, _agent) = fleet();
    let id = burn(&engine, "oven");
    engine.run("idle");
    server.wait_for_state("alpha", "idle", "running");
    let oven = eventually("the container is busy in `muster top`", || match in_top(&server, "oven") {
        Some(line) if is_busy(&line) => Ok(line),
        other => Err(format!("{other:?}")),
    });
    assert_eq!((text(&oven, "id"), text(&oven, "host")), (id.as_str(), "alpha"));
    assert_eq!(oven["vitals"]["memory_limit"], 64 << 20, "{oven}");
    assert!(oven["vitals"]["memory"].as_u64().is_some_and(|bytes| (1..=64 << 20).contains(&bytes)), "{oven}");
    assert!(oven["vitals"]["pids"].as_u64().is_some_and(|pids| pids >= 1), "{oven}");
    let host = server.json(&["top", "alpha", "--no-stream"]).remove(0);
    assert_eq!((text(&host, "kind"), text(&host, "name")), ("host", "alpha"));
    assert!(host["vitals"]["cpus"].as_u64().is_some_and(|cpus| cpus > 0), "{host}");
    assert!(host["vitals"]["memory_total"].as_u64().is_some_and(|bytes| bytes > 64 << 20), "{host}");
    assert!(host["vitals"]["clock_offset"].as_f64().is_some_and(|offset| offset.abs() < 30.0), "{host}");
    // The table has both, the busy one first.
    let table = server.muster(&["top", "--no-stream"]).ok();
    assert!(table.contains("MEM USAGE / LIMIT") && table.find("oven") < table.find("idle"), "{table}");

    let shown = server.find_container("alpha", "oven").expect("it is in `muster ps`");
    assert!(shown["vitals"]["cpu_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{shown}");
    assert!(server.muster(&["ps", "--vitals"]).ok().contains("/ 64MiB"));
    assert!(server.muster(&["hosts"]).ok().lines().any(|line| line.contains("alpha") && line.contains('%')));
    let inspected: Value = serde_json::from_str(&server.muster(&["hosts", "inspect", "alpha"]).ok()).expect("JSON");
    assert!(inspected[0]["vitals"]["memory_available"].is_u64(), "{inspected}");
    let past = server.get("/api/v1/containers/alpha/oven/vitals?step=1s");
    assert!(past["items"].as_array().is_some_and(|items| !items.is_empty()), "{past}");

    // It ends: it uses nothing any more.
    engine.docker(&["rm", "-f", "oven"]);
    eventually("it has left `muster top`", || match in_top(&server, "oven") {
        None => Ok(()),
        Some(line) => Err(line.to_string()),
    });
}

#[test]
fn prometheus_reads_the_same_with_a_viewers_token() {
    let (engine, server, _agent) = fleet();
    burn(&engine, "oven");
    let made = server.json(&["token", "create", "--role", "viewer"]).remove(0);
    let viewer = text(&made, "token");
    let seconds = |metrics: &str| {
        let lines = metrics.lines().filter(|line| line.starts_with("muster_container_cpu_seconds_total{"));
        let mut of_oven = lines.filter(|line| line.contains("host=\"alpha\"") && line.contains("name=\"oven\""));
        of_oven.next()?.rsplit(' ').next()?.parse::<f64>().ok()
    };
    eventually("the container's processor time grows", || {
        let (status, metrics) = server.api_text("GET", "/metrics", Some(viewer), None);
        assert_eq!(status, 200);
        match seconds(&metrics) {
            Some(seconds) if seconds > 1.0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(server.api_text("GET", "/metrics", None, None).0, 401);
    // As a password, which scrapers of all ages can send; and nowhere else.
    let with_password = |path: &str| {
        let url = format!("https://127.0.0.1:{}{path}", server.port());
        let user = format!("prometheus:{viewer}");
        let mut curl = std::process::Command::new("curl");
        curl.args(["-sS", "-k", "--max-time", "30", "-o", "/dev/null", "-w", "%{http_code}", "-u", &user, &url]);
        let output = curl.output().expect("curl runs: it is in the package curl");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(with_password("/metrics"), "200");
    assert_eq!(with_password("/api/v1/hosts"), "401");
}

#[test]
fn how_often_hosts_look_is_set_from_the_server_and_the_stream_stays_quiet() {
    let (engine, server, _agent) = fleet();
    burn(&engine, "oven");
    server.settle("alpha", &engine);
    let as_of = || text(&server.host("alpha")["vitals"], "as_of").to_owned();
    let before = eventually("vitals come", || match server.host("alpha").get("vitals") {
        Some(_) => Ok(as_of()),
        None => Err("none".to_owned()),
    });
    let mut live = Stream::open(&server, None);
    assert_eq!(live.change().expect("the stream is open").kind, "reset");
    eventually("newer vitals come", || if as_of() > before { Ok(()) } else { Err(as_of()) });
    // The next change is one that somebody has made, and none that vitals made.
    let set = server.muster(&["hosts", "set", "--label", "site=attic", "--vitals-interval", "off"]).ok();
    assert_eq!(set, "alpha");
    let change = live.change().expect("a change");
    assert_eq!((change.kind.as_str(), &change.data["vitals_interval_set"]), ("host", &Value::from(0.0)), "{change:?}");

    eventually("no vitals come any more", || {
        let (before, seen) = (as_of(), text(&server.host("alpha"), "last_seen").to_owned());
        server.wait_for_host("alpha", "has reported three times", |host| {
            seconds_between(&seen, text(host, "last_seen")) > 3.0
        });
        let now = as_of();
        if now == before { Ok(()) } else { Err(now) }
    });
    let off = as_of();
    server.muster(&["hosts", "set", "alpha", "--vitals-interval", "1s"]).ok();
    eventually("they come again", || if as_of() > off { Ok(()) } else { Err(as_of()) });
    assert_eq!(server.host("alpha")["vitals_interval_set"], 1.0);
    server.muster(&["hosts", "set", "alpha", "--vitals-interval", "default"]).ok();
    assert_eq!(server.host("alpha")["vitals_interval_set"], Value::Null);
    server.muster(&["hosts", "set", "alpha"]).refuses(2);
}

fn seconds_between(earlier: &str, later: &str) -> f64 {
    let nanoseconds = |time: &str| muster_tests::truth::nanoseconds(time).expect("RFC 3339");
    (nanoseconds(later) - nanoseconds(earlier)) as f64 / 1e9
}

#[test]
fn the_past_of_a_host_survives_a_crash_of_the_server() {
    let (_engine, mut server, _agent) = fleet();
    let minutes = |server: &Server| {
        let past = server.get("/api/v1/hosts/alpha/vitals?since=1h&step=60");
        past["items"].as_array().expect("a list").clone()
    };
    let kept = muster_tests::eventually_within(std::time::Duration::from_secs(150), "a minute is over", || {
        let kept = minutes(&server);
        if kept.is_empty() { Err("none".to_owned()) } else { Ok(kept) }
    });
    assert!(kept[0]["memory_used"].as_u64().is_some_and(|bytes| bytes > 0), "{kept:?}");
    server.crash();
    assert_eq!(minutes(&server)[0], kept[0]);
}

#[test]
fn a_history_that_cannot_be_kept_hurts_nothing_and_goes_on_when_it_can() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    server.stop();
    let in_the_way = server.data_file("vitals");
    std::fs::remove_dir_all(&in_the_way).expect("the server has made it");
    std::fs::write(&in_the_way, "x").expect("written");
    server.start_again();
    let mut agent = Agent::new(&engine.docker_host());
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    agent.start_with(&[("MUSTER_VITALS_INTERVAL", "1s")]);
    agent.wait_until_heard(&server, "alpha");
    let (status, health) = server.api("GET", "/healthz", None, None);
    assert_eq!((status, &health["status"]), (200, &Value::from("ok")), "{health}");
    assert!(text(&health, "warning").contains("history of vitals"), "{health}");
    server.settle("alpha", &engine);
    server.wait_for_host("alpha", "shows vitals", |host| host.get("vitals").is_some());

    std::fs::remove_file(&in_the_way).expect("removed");
    muster_tests::eventually_within(std::time::Duration::from_secs(150), "minutes are kept again", || {
        let past = server.get("/api/v1/hosts/alpha/vitals?since=1h");
        match past["items"].as_array() {
            Some(items) if !items.is_empty() => Ok(()),
            _ => Err(past.to_string()),
        }
    });
    assert_eq!(server.api("GET", "/healthz", None, None).1["warning"], Value::Null);
}

#[test]
fn top_goes_on_when_the_server_comes_back() {
    let (engine, mut server, _agent) = fleet();
    burn(&engine, "oven");
    let place = muster_tests::place::Place::new();
    let mut command = std::process::Command::new(muster_tests::process::program("muster"));
    command.args(["top", "alpha", "-d", "1s", "--format", "json"]).env("MUSTER_DATA_DIR", server.data_dir());
    let mut top = muster_tests::process::Process::start_read("top", &mut command, &place.join("top.log"));
    let mut until_busy = |after: &str| {
        eventually("a line of the container", || {
            let line = top.line(muster_tests::wait::PATIENCE).unwrap_or_default();
            let is_it =
                |line: &Value| line["name"] == "oven" && is_busy(line) && text(&line["vitals"], "as_of") > after;
            match serde_json::from_str::<Value>(&line) {
                Ok(line) if is_it(&line) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    };
    until_busy("");
    server.crash();
    let host = server.wait_for_host("alpha", "is heard again", |host| host.get("vitals").is_some());
    until_busy(text(&host["vitals"], "as_of"));
}
