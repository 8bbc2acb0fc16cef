//! Whole requests, over a fleet in memory.

use super::*;
use crate::access::docker_ca::{DockerCa, hex};
use crate::agents::harness::{Bench, by};
use crate::api::types::NewDockerClient;
use crate::fleet::DockerDoor;
use crate::listen::{Content, KnownBy};
use futures_lite::future::{block_on, poll_once};
use futures_lite::stream::{Boxed, StreamExt};
use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::net::Ipv4Addr;

fn api(bench: &Bench) -> DockerApi {
    DockerApi::new(bench.fleet.clone(), Who::Anybody)
}

fn ask(api: &DockerApi, method: &str, url: &str) -> Response {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    block_on(api.respond(&by(), Ask { method, path, query }))
}

/// The status, and all of the body.
fn asked(api: &DockerApi, method: &str, url: &str) -> (u16, Value) {
    let response = ask(api, method, url);
    let bytes = match response.content {
        Content::Bytes(bytes) => bytes,
        Content::Stream(stream) => block_on(stream.collect::<Vec<_>>()).concat(),
        Content::Line(..) => panic!("nothing changes its protocol here"),
    };
    (response.status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn message(api: &DockerApi, method: &str, url: &str) -> (u16, String) {
    let (status, body) = asked(api, method, url);
    (status, body["message"].as_str().unwrap_or_else(|| panic!("{url}: {body}")).to_owned())
}

fn stream(response: Response) -> Boxed<Vec<u8>> {
    match response.content {
        Content::Stream(stream) => stream,
        other => panic!("{} {other:?}", response.status),
    }
}

/// What comes next that is not empty; `None` if nothing is there yet.
fn next(stream: &mut Boxed<Vec<u8>>) -> Option<String> {
    loop {
        match block_on(poll_once(stream.next())) {
            Some(Some(part)) if part.is_empty() => {}
            Some(Some(part)) => return Some(String::from_utf8(part).expect("text")),
            Some(None) => panic!("the stream is over"),
            None => return None,
        }
    }
}

#[test]
fn names_lead_to_one_container_or_to_those_it_could_be() {
    let bench = Bench::new();
    let _hosts = (bench.host("one", &[1, 2]), bench.host("two", &[2]));
    let api = api(&bench);
    let (status, list) = asked(&api, "GET", "/v1.41/containers/json");
    assert_eq!((status, list.as_array().map(Vec::len)), (200, Some(3)), "{list}");
    let name = list[0]["Names"][0].as_str().expect("a name").to_owned();
    assert!(name.starts_with("/one/"), "{name}");
    assert_eq!(asked(&api, "GET", &format!("/v1.41/containers{name}/json")).1["Name"], name);
    let (status, why) = message(&api, "GET", &format!("/containers/{}/json", "02".repeat(32)));
    assert!(status == 409 && why.contains("it could be one/"), "{why}");
    assert_eq!(asked(&api, "GET", &format!("/containers/{}/json", "01".repeat(32))).0, 200);
    assert_eq!(message(&api, "GET", "/containers/none/json"), (404, "No such container: none".into()));
    // One host alone.
    let (_, list) = asked(&api, "GET", "/two/v1.41/containers/json");
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list[0]["Names"][0].as_str().map(|name| name.matches('/').count()), Some(1));
    assert_eq!(asked(&api, "GET", &format!("/two/containers/{}/json", "02".repeat(32))).0, 200);
    assert_eq!(asked(&api, "GET", &format!("/two/containers{name}/json")).0, 404);
    assert_eq!(message(&api, "GET", "/three/_ping").0, 404);
}

#[test]
fn nothing_is_changed_and_the_place_to_change_it_is_named() {
    let bench = Bench::new();
    let _host = bench.host("boat-1", &[1]);
    let api = api(&bench);
    let id = "01".repeat(32);
    let (status, why) = message(&api, "POST", &format!("/v1.41/containers/{id}/stop?t=10"));
    assert!(
        status == 403 && why.starts_with("muster only looks: run this on the host, e.g. `ssh boat-1 docker stop "),
        "{why}"
    );
    for (method, url) in [
        ("POST", "/containers/create"),
        ("POST", "/v1.47/images/create?fromImage=x"),
        ("POST", "/build"),
        ("POST", "/networks/create"),
        ("DELETE", "/volumes/x"),
        ("DELETE", "/images/x"),
        ("POST", "/swarm/init"),
    ] {
        let (status, why) = message(&api, method, url);
        assert!(status == 403 && why.contains("`ssh HOST docker "), "{method} {url}: {why}");
        assert!(message(&api, method, &format!("/boat-1{url}")).1.contains("`ssh boat-1 docker "));
    }
    assert_eq!(message(&api, "GET", "/images/json").0, 501);
    assert_eq!(message(&api, "GET", "/images/x/json").0, 404);
    assert_eq!(message(&api, "GET", "/v1.23/version").0, 400);
    assert_eq!(message(&api, "GET", "/v1.99/version").0, 400);
    assert_eq!(message(&api, "PATCH", "/nonsense/at/all").0, 404);
}

#[test]
fn pings_and_versions_are_those_of_docker() {
    let bench = Bench::new();
    let api = api(&bench);
    for method in ["GET", "HEAD"] {
        let response = ask(&api, method, "/_ping");
        let header =
            |name: &str| response.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        assert_eq!((response.status, header("api-version"), header("ostype")), (200, Some("1.47"), Some("linux")));
    }
    let (_, version) = asked(&api, "GET", "/version");
    assert_eq!((&version["ApiVersion"], &version["MinAPIVersion"]), (&json!("1.47"), &json!("1.24")));
    assert_eq!(asked(&api, "GET", "/info").1["Containers"], 0);
    assert_eq!(asked(&api, "GET", "/containers/json"), (200, json!([])));
}

#[test]
fn events_go_on_from_the_past_without_a_gap_or_a_repeat() {
    let bench = Bench::new();
    let mut host = bench.host("one", &[1]);
    host.event("start", 1);
    host.catch_up(&bench);
    let api = api(&bench);
    let mut events = stream(ask(&api, "GET", "/events?since=1&filters=%7B%22type%22%3A%5B%22container%22%5D%7D"));
    // Read by nobody yet: it is in the history and in the feed.
    host.event("die", 1);
    host.catch_up(&bench);
    assert_eq!(read_until(&mut events, "die"), ["start", "die"]);
    host.event("start", 1);
    host.catch_up(&bench);
    assert_eq!(read_until(&mut events, "start"), ["start"]);
}

/// Actions of what comes, up to the last of these; the history is read on another thread.
fn read_until(events: &mut Boxed<Vec<u8>>, last: &str) -> Vec<String> {
    let mut actions: Vec<String> = Vec::new();
    while actions.last().is_none_or(|action| action != last) {
        let lines = String::from_utf8(block_on(events.next()).expect("more")).expect("text");
        let event = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
        actions.extend(lines.lines().map(|line| event(line)["Action"].as_str().expect("text").to_owned()));
    }
    actions
}

#[test]
fn followers_have_a_bound_and_give_their_places_back() {
    let bench = Bench::new();
    let api = api(&bench);
    let mut open: Vec<_> = (0..FOLLOWS).map(|_| stream(ask(&api, "GET", "/events"))).collect();
    assert_eq!(message(&api, "GET", "/events").0, 429);
    open.pop();
    assert_eq!(ask(&api, "GET", "/events").status, 200);
}

#[test]
fn an_unknown_node_is_no_filter_for_one_host_either() {
    let bench = Bench::new();
    let _host = bench.host("one", &[1]);
    let api = api(&bench);
    for of in ["", "/one"] {
        let url = |node: &str| format!("{of}/events?filters=%7B%22node%22%3A%5B%22{node}%22%5D%7D");
        assert_eq!(message(&api, "GET", &url("none")).0, 404, "{of}");
        assert_eq!(ask(&api, "GET", &url("one")).status, 200, "{of}");
    }
}

#[test]
fn a_client_is_known_by_its_certificate_until_it_is_revoked() {
    let bench = Bench::new();
    let new = |public_key: String| NewDockerClient {
        name: "fleet".into(),
        public_key,
        docker_host: Some("muster.example:2376".into()),
        role: None,
        days: None,
    };
    let key = KeyPair::generate().expect("a key");
    let make = || block_on(bench.fleet.make_docker_client(&by(), new(hex(key.der_bytes()))));
    assert!(make().is_err(), "the Docker API is not served");
    bench.fleet.serve_docker(DockerDoor::Tls(Box::new(DockerCa::ephemeral()), 2376)).expect("served");
    assert!(block_on(bench.fleet.make_docker_client(&by(), new("04".into()))).is_err());
    let made = make().expect("a client");
    assert_eq!((made.docker_host.as_str(), made.client.host.as_str()), ("tcp://muster.example:2376", "muster.example"));
    let certificate = CertificateDer::from_pem_slice(made.certificate.as_bytes()).expect("a certificate");
    let peer = IpAddr::from(Ipv4Addr::LOCALHOST);
    let who = |bench: &Bench| bench.fleet.docker_client(&certificate, peer);
    let known = |bench: &Bench| (KnownBy::clients(bench.fleet.clone()).0)(&certificate);
    let by_it = who(&bench).expect("known");
    assert_eq!((by_it.role, by_it.name.as_str()), (Role::Viewer, "fleet"));
    assert!(who(&bench.restarted()).is_some(), "it is stored");
    assert!(known(&bench).is_some(), "its connections are counted as its own");
    assert!(bench.fleet.docker_client(b"another", peer).is_none());

    let api = DockerApi::new(bench.fleet.clone(), Who::Clients);
    let ask = Ask { method: "GET", path: "/events", query: "" };
    let mut events = stream(block_on(api.respond(&by_it, ask)));
    next(&mut events);
    block_on(bench.fleet.revoke_docker_client(&by(), &made.client.id)).expect("revoked");
    assert!(who(&bench).is_none() && who(&bench.restarted()).is_none());
    assert_eq!(known(&bench), None, "its connections are a stranger's");
    assert_eq!(block_on(events.next()), None, "what it had open is cut");
    assert_eq!(block_on(api.respond(&by_it, ask)).status, 401);
    let missing = block_on(bench.fleet.revoke_docker_client(&by(), &made.client.id));
    assert!(matches!(missing, Err(Refusal::NotFound(_))));
}

#[test]
fn sizes_are_refused_in_a_list_and_left_out_of_one_container() {
    let bench = Bench::new();
    let _host = bench.host("boat-1", &[1]);
    let api = api(&bench);
    let (status, why) = message(&api, "GET", "/v1.41/containers/json?size=1");
    assert!(status == 501 && why.contains("sizes") && !why.contains('\n'), "{why}");
    assert_eq!(asked(&api, "GET", "/v1.41/containers/json?size=0").0, 200);
    let (status, object) = asked(&api, "GET", &format!("/containers/{}/json?size=1", "01".repeat(32)));
    assert!(status == 200 && object.get("SizeRw").is_none(), "{object}");
}

#[test]
fn versions_name_the_system_where_clients_look_for_it() {
    let bench = Bench::new();
    let _host = bench.host("boat-1", &[1]);
    for url in ["/version", "/boat-1/version"] {
        let (_, version) = asked(&api(&bench), "GET", url);
        let engine = version["Components"].as_array().and_then(|all| all.iter().find(|it| it["Name"] == "Engine"));
        let details = &engine.expect("what clients look for")["Details"];
        assert_eq!((&details["Os"], &details["Arch"]), (&version["Os"], &version["Arch"]), "{url}: {version}");
        assert!(details["Os"].as_str().is_some_and(|os| !os.is_empty()), "{url}: {version}");
    }
}

fn header<'a>(response: &'a Response, wanted: &str) -> Option<&'a str> {
    response.headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str())
}

#[test]
fn every_answer_says_that_a_browser_must_not_guess_what_it_is() {
    let bench = Bench::new();
    let _host = bench.host("boat-1", &[1]);
    let api = api(&bench);
    for (method, url) in [
        ("GET", "/_ping"),
        ("HEAD", "/_ping"),
        ("GET", "/events"),
        ("GET", "/containers/json"),
        ("GET", "/nothing"),
        ("POST", "/build"),
        ("GET", "/version"),
    ] {
        let response = ask(&api, method, url);
        assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"), "{method} {url}");
    }
    // As those are that are refused before they are read.
    let refused = DockerApi::sign(refuse(&Refused::new(401, "no")));
    assert_eq!(header(&refused, "x-content-type-options"), Some("nosniff"));
}

#[test]
fn pages_in_browsers_get_nothing_by_whatever_name_they_ask() {
    let status = |headers: &[(&str, &str)]| {
        let header = |wanted: &str| headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        if is_of_a_page(header) { 403 } else { 200 }
    };
    for own in ["127.0.0.1:2375", "127.0.0.1", "localhost", "localhost:2375", "[::1]:2375", "[::1]", ""] {
        assert_eq!(status(&[("host", own)]), 200, "{own}");
    }
    assert_eq!(status(&[]), 200, "old clients");
    assert_eq!(status(&[("host", "127.0.0.1:2375"), ("sec-fetch-site", "none")]), 200, "typed by a person");
    for nobodys in ["0.0.0.0:2375", "0.0.0.0", "[::]:2375", "[::]", "[::ffff:0.0.0.0]:2375"] {
        assert_eq!(status(&[("host", nobodys)]), 403, "{nobodys}");
    }
    // A name of theirs that leads here.
    for name in ["evil.example", "evil.example:2375", "127.0.0.1.evil.example:2375", "localhost.evil.example", "[x]:1"]
    {
        assert_eq!(status(&[("host", name)]), 403, "{name}");
    }
    for site in ["cross-site", "same-site", "same-origin"] {
        assert_eq!(status(&[("host", "localhost:2375"), ("sec-fetch-site", site)]), 403, "{site}");
    }
    assert_eq!(status(&[("host", "localhost:2375"), ("origin", "http://localhost:2375")]), 403);
    assert_eq!(status(&[("host", "localhost:2375"), ("origin", "null")]), 403);
}
