//! The API has the fields, the routes and the manners that were promised to other programs.

use muster_tests::truth::nanoseconds;
use muster_tests::{Agent, Engine, Server};
use serde_json::{Value, json};

const HOST: &[&str] = &[
    "id",
    "name",
    "state",
    "since",
    "labels",
    "last_seen",
    "interval",
    "engine",
    "agent_version",
    "os",
    "arch",
    "kernel",
    "containers",
    "hidden",
    "events_dropped",
    "conflict",
];
const CONTAINER: &[&str] = &[
    "id",
    "name",
    "host",
    "host_id",
    "image",
    "image_id",
    "command",
    "state",
    "health",
    "exit_code",
    "oom_killed",
    "restart_count",
    "created_at",
    "started_at",
    "finished_at",
    "labels",
    "ports",
    "networks",
    "mounts",
    "stale",
    "as_of",
];
const EVENT: &[&str] = &[
    "id",
    "time",
    "received_at",
    "host",
    "host_id",
    "container",
    "container_id",
    "action",
    "attributes",
    "epoch",
    "seq",
    "derived",
];
const TIMES: &[&str] =
    &["since", "last_seen", "created_at", "started_at", "finished_at", "as_of", "time", "received_at", "expires_at"];

#[track_caller]
fn has(object: &Value, fields: &[&str]) {
    for field in fields {
        assert!(object.get(field).is_some(), "no {field} in {object}");
    }
}

/// Every time in the object, however deep, is RFC 3339 in UTC or null.
fn check_times(object: &Value, path: &str) {
    match object {
        Value::Object(fields) => {
            for (name, value) in fields {
                let here = format!("{path}.{name}");
                if TIMES.contains(&name.as_str()) && !path.ends_with("labels") && !path.ends_with("attributes") {
                    let good = value.is_null() || value.as_str().and_then(nanoseconds).is_some();
                    assert!(good, "{here} is no time: {value}");
                }
                check_times(value, &here);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| check_times(item, path)),
        _ => {}
    }
}

#[test]
fn every_promised_field_is_there() {
    let (engine, server) = (Engine::start_with_bridge("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let options = ["-p", "8080:80", "-v", "data:/data", "--tmpfs", "/cache", "-l", "app=shop"];
    engine.run_with("web", &options, &["live"]);
    server.wait_for_state("alpha", "web", "running");
    engine.docker(&["create", "--name", "idle", "probe", "live"]);
    server.wait_for_state("alpha", "idle", "created");

    let hosts = server.get("/api/v1/hosts");
    has(&hosts, &["items", "next"]);
    let host = &hosts["items"][0];
    has(host, HOST);
    has(&host["engine"], &["state", "version", "api_version"]);
    has(&host["containers"], &["running", "paused", "restarting", "stopped", "total"]);
    assert_eq!(host["interval"].as_f64(), Some(1.0), "{host}");
    assert_eq!(host["engine"]["version"], engine.docker(&["version", "--format", "{{.Server.Version}}"]).as_str());
    assert_eq!(host["os"], "linux");
    assert_eq!(host["conflict"], false);
    check_times(host, "host");

    for container in server.all_items("/api/v1/containers?all=true", 500) {
        has(&container, CONTAINER);
        check_times(&container, "container");
    }
    let web = server.get("/api/v1/containers/alpha/web");
    has(&web, CONTAINER);
    let expected = json!([{"kind": "volume", "source": "data", "destination": "/data", "writable": true}]);
    assert_eq!(web["mounts"], expected, "{web}");
    assert_eq!(server.get("/api/v1/hosts/alpha")["id"], host["id"]);

    for event in server.all_items("/api/v1/events", 500) {
        has(&event, EVENT);
        check_times(&event, "event");
    }
}

#[test]
fn the_document_lists_every_route() {
    let server = Server::start();
    let document = server.get("/api/v1/openapi.json");
    let paths = document["paths"].as_object().expect("paths").keys().cloned().collect::<Vec<_>>();
    for route in [
        "/api/v1/hosts",
        "/api/v1/containers",
        "/api/v1/events",
        "/api/v1/join-tokens",
        "/api/v1/tokens",
        "/api/v1/stream",
        "/healthz",
        "/api/v1/openapi.json",
    ] {
        assert!(paths.iter().any(|path| path == route || format!("/api/v1{path}") == *route), "no {route}: {paths:?}");
    }
    let with =
        |parts: usize| paths.iter().any(|path| path.contains("/containers/") && path.matches('{').count() == parts);
    assert!(with(1) && with(2), "one container by id, and by host and id: {paths:?}");
    let schemas = &document["components"]["schemas"];
    for (name, fields) in [("Host", HOST), ("Container", CONTAINER), ("Event", EVENT)] {
        has(&schemas[name]["properties"], fields);
    }
}

#[test]
fn errors_are_problems_and_tokens_are_needed() {
    let server = Server::start();
    let admin = server.admin_token();
    let (status, made) = server.api("POST", "/api/v1/tokens", Some(&admin), Some(&json!({"role": "viewer"})));
    assert!(status == 200 || status == 201, "{status} {made}");
    let viewer = made["token"].as_str().expect("the token is shown once").to_owned();

    let check = |method: &str, path: &str, token: Option<&str>, body: Option<&Value>, expected: u16| {
        let (status, problem) = server.api(method, path, token, body);
        assert_eq!(status, expected, "{method} {path}: {problem}");
        has(&problem, &["title", "status", "detail"]);
        assert_eq!(problem["status"], expected, "{problem}");
        assert!(!problem["detail"].as_str().unwrap_or("").contains('\n'), "one line: {problem}");
    };
    for path in ["/api/v1/hosts", "/api/v1/containers", "/api/v1/events", "/api/v1/stream", "/api/v1/tokens"] {
        check("GET", path, None, None, 401);
        check("GET", path, Some("wrong"), None, 401);
    }
    check("POST", "/api/v1/join-tokens", Some(&viewer), Some(&json!({})), 403);
    check("POST", "/api/v1/tokens", Some(&viewer), Some(&json!({"role": "admin"})), 403);
    check("DELETE", "/api/v1/hosts/alpha", Some(&viewer), None, 403);
    check("GET", "/api/v1/hosts/alpha", Some(&viewer), None, 404);
    check("GET", "/api/v1/containers/nothing", Some(&admin), None, 404);
    check("GET", "/api/v1/containers/alpha/nothing", Some(&admin), None, 404);
    check("GET", "/api/v1/nothing", Some(&admin), None, 404);
    check("GET", "/api/v1/events?cursor=nonsense", Some(&admin), None, 400);
    check("GET", "/api/v1/hosts?cursor=nonsense", Some(&admin), None, 400);
    check("GET", "/api/v1/containers?cursor=nonsense", Some(&admin), None, 400);
    check("GET", "/api/v1/containers?limit=501", Some(&admin), None, 400);
    check("GET", "/api/v1/containers?limit=0", Some(&admin), None, 400);
    check("GET", "/api/v1/events?since=nonsense", Some(&admin), None, 400);
    check("POST", "/api/v1/tokens", Some(&admin), Some(&json!({"role": "king"})), 422);
    check("POST", "/api/v1/join-tokens", Some(&admin), Some(&json!({"ttl": "soon"})), 422);
    check("PUT", "/api/v1/hosts", Some(&admin), None, 405);

    let (status, health) = server.api("GET", "/healthz", None, None);
    assert_eq!((status, &health["status"]), (200, &json!("ok")), "{health}");
    let (status, _) = server.api("GET", "/api/v1/hosts", Some(&viewer), None);
    assert_eq!(status, 200, "a viewer may look");
}

#[test]
fn lists_are_paged() {
    let server = Server::start();
    let join = server.join_string(&["--name", "alpha"]);
    for _ in 0..5 {
        muster_tests::Agent::new("unix:///nowhere/docker.sock").join_with(&join).ok();
    }
    let whole = server.all_items("/api/v1/hosts", 500);
    assert_eq!(whole.len(), 5);
    assert_eq!(server.all_items("/api/v1/hosts", 2), whole);
    let events = server.all_items("/api/v1/events", 500);
    assert_eq!(server.all_items("/api/v1/events", 2), events);
}
