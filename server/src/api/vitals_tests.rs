//! Vitals through the router: who may see them, and as what.

use super::router::answer;
use super::{ApiAnswer, ApiRequest, Body, Role, query};
use crate::agents::harness::{Bench, by};
use crate::fleet::By;
use crate::fleet::vitals_for_tests::{Saying, says};
use crate::test_dir::TestDir;
use crate::vitals::{History, HistoryShape};
use futures_lite::future::block_on;
use serde_json::{Value, json};

fn ask(bench: &Bench, by: Option<&By>, method: &str, path: &str, body: &str) -> ApiAnswer {
    let (path, text) = path.split_once('?').unwrap_or((path, ""));
    let query = query::parse(text).expect("a query");
    let request = ApiRequest {
        method,
        path,
        query: &query,
        body: body.as_bytes(),
        by,
        last_event_id: None,
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
    };
    block_on(answer(&bench.fleet, &request))
}

fn json(answer: ApiAnswer) -> (u16, Value) {
    let Body::Bytes(bytes) = answer.body else { panic!("not an object") };
    (answer.status, serde_json::from_slice(&bytes).expect("JSON"))
}

fn get(bench: &Bench, path: &str) -> Value {
    let viewer = By { role: Role::Viewer, ..by() };
    let (status, object) = json(ask(bench, Some(&viewer), "GET", path, ""));
    assert_eq!(status, 200, "{path}: {object}");
    object
}

#[test]
fn a_viewer_sees_them_everywhere() {
    let dir = TestDir::new();
    let bench = Bench::new().with_vitals(History::new(dir.path(), HistoryShape::default()));
    let mut agent = bench.host("pi", &[1, 2]);
    assert!(get(&bench, "/api/v1/hosts/pi").get("vitals").is_none(), "absent before they were ever heard of");
    says(&bench, &mut agent, &Saying::whole(10_000));
    says(&bench, &mut agent, &Saying::moved(20_000, 110_000, 65_000));
    block_on(bench.fleet.end_minute());
    for host in [get(&bench, "/api/v1/hosts/pi"), get(&bench, "/api/v1/hosts")["items"][0].clone()] {
        assert_eq!(host["vitals"]["cpu_percent"], json!(25.0), "{host}");
        assert_eq!(host["vitals"]["disks"][0]["path"], "/");
    }
    for container in [get(&bench, "/api/v1/containers/pi/c1"), get(&bench, "/api/v1/containers")["items"][0].clone()] {
        assert_eq!(container["vitals"]["cpu_percent"], json!(50.0), "{container}");
    }
    assert!(get(&bench, "/api/v1/containers/pi/c2").get("vitals").is_none());
    let top = get(&bench, "/api/v1/top?host=pi&limit=1");
    assert_eq!((top["containers"][0]["name"].as_str(), top["running"].as_u64()), (Some("c1"), Some(2)));
    let history = get(&bench, "/api/v1/hosts/pi/vitals?since=10m&step=1d");
    assert_eq!((history["step"].as_u64(), history["items"][0]["cpu_percent"].as_f64()), (Some(86_400), Some(25.0)));
    let history = get(&bench, "/api/v1/containers/pi/c1/vitals?since=10m&step=1s");
    assert_eq!(history["items"][0]["cpu_percent"], json!(50.0), "{history}");
}

#[test]
fn wrong_questions_are_answered_as_such() {
    let bench = Bench::new();
    bench.host("pi", &[1]);
    for (path, expected) in [
        ("/api/v1/hosts/nobody/vitals", 404),
        ("/api/v1/containers/pi/nothing/vitals", 404),
        ("/api/v1/hosts/pi/vitals?step=1s", 400),
        ("/api/v1/hosts/pi/vitals?sinse=1h", 400),
        ("/api/v1/top?limit=501", 400),
        ("/api/v1/top?host=nobody", 404),
        ("/metrics?containers=no", 400),
        ("/metrics?host=nobody", 404),
    ] {
        assert_eq!(json(ask(&bench, Some(&by()), "GET", path, "")).0, expected, "{path}");
    }
}

#[test]
fn metrics_need_a_token_and_a_viewers_will_do() {
    let bench = Bench::new();
    bench.host("pi", &[1]);
    let refused = ask(&bench, None, "GET", "/metrics", "");
    assert_eq!(refused.status, 401);
    assert!(refused.headers.iter().any(|(name, value)| *name == "www-authenticate" && value == "Bearer"));
    let viewer = By { role: Role::Viewer, ..by() };
    let answer = ask(&bench, Some(&viewer), "GET", "/metrics", "");
    assert_eq!((answer.status, answer.content_type), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(matches!(answer.body, Body::Parts(_)));
}

#[test]
fn an_admin_sets_how_often_to_look() {
    let bench = Bench::new();
    bench.host("pi", &[1]);
    let patch = |body: &str| json(ask(&bench, Some(&by()), "PATCH", "/api/v1/hosts/pi", body));
    assert_eq!(patch(r#"{"vitals_interval": 15}"#).1["vitals_interval_set"], json!(15.0));
    assert_eq!(patch(r#"{"vitals_interval": 0, "interval": 30}"#).1["interval_set"], json!(30.0));
    assert_eq!(patch(r#"{"vitals_interval": null}"#).1["vitals_interval_set"], Value::Null);
    for wrong in [r#"{"vitals_interval": 0.5}"#, r#"{"vitals_interval": 3601}"#, "{}"] {
        assert_eq!(patch(wrong).0, 422, "{wrong}");
    }
    let viewer = By { role: Role::Viewer, ..by() };
    assert_eq!(ask(&bench, Some(&viewer), "PATCH", "/api/v1/hosts/pi", "{}").status, 403);
    let all = ask(&bench, Some(&by()), "PATCH", "/api/v1/hosts?label=a=b", "{}");
    assert_eq!(all.status, 422);
}
