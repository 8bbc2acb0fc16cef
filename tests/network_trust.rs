//! What a host takes from its server, and what it does not.

use muster_tests::managed::box_of;
use muster_tests::wait::{eventually_within, when};
use muster_tests::{Host, Managed, eventually, text};
use serde_json::Value;
use std::time::Duration;

fn shown(managed: &Managed, name: &str) -> Value {
    let network = managed.network();
    let hosts = network["hosts"].as_array().cloned().unwrap_or_default();
    hosts.into_iter().find(|host| text(host, "name") == name).unwrap_or_default()
}

#[test]
fn a_range_that_is_not_accepted_changes_nothing() {
    let mut managed = Managed::joined(&["alpha", "bravo"]);
    let alpha = managed.host_mut("alpha");
    alpha.run_box(&box_of(alpha));
    let before = alpha.ground();
    alpha.flags.extend(["--accept".into(), "10.99.0.0/16".into()]);
    managed.enable(&["--cidr", "10.98.0.0/16"]);
    managed.hosts.iter_mut().for_each(Host::network_up);
    eventually("the server shows why", || {
        let host = shown(&managed, "alpha");
        when(text(&host, "state") == "not_accepted" && !host["reason"].is_null(), host)
    });
    let bravo = managed.host("bravo");
    bravo.run_box(&box_of(bravo));
    assert!(managed.address("bravo").starts_with("10.98."));
    let alpha = managed.host("alpha");
    assert_eq!(alpha.ground(), before);
    assert_eq!(alpha.find_address("box-alpha"), None);

    // A range that it accepts: it takes part by itself.
    managed.enable(&["--cidr", "10.99.0.0/16", "--force"]);
    managed.wait_for_all_pairs();
    for name in ["alpha", "bravo"] {
        let address = managed.address(name);
        assert!(address.starts_with("10.99."), "{name}: {address}");
    }
    eventually("nothing is left of the range before", || {
        let routes = managed.host("bravo").node.run("ip", &["route"]);
        when(!routes.contains("10.98."), routes)
    });
}

#[test]
fn another_key_is_shown_and_not_followed() {
    let mut managed = Managed::up(&["alpha", "bravo"]);
    let address = managed.address("bravo");
    let first = text(&shown(&managed, "bravo"), "key").to_owned();
    let bravo = managed.host_mut("bravo");
    bravo.network_stop();
    let key = format!("{}-network/key", bravo.agent.state_dir());
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&key).expect("the host's key"));
    assert_eq!(mode & 0o777, 0o600);
    std::fs::remove_file(&key).expect("removing the key");
    bravo.network_up();
    eventually("the server shows another key", || {
        let host = shown(&managed, "bravo");
        when(text(&host, "state") == "key_changed" && host["new_key"].is_string(), host)
    });
    let alpha = managed.host("alpha");
    assert!(!alpha.pings("box-alpha", &address));

    // An operator of the server is not enough: alpha remembers.
    managed.server.muster(&["network", "accept", "bravo"]).ok();
    let refused = eventually("alpha shows it", || {
        let said = alpha.network_command(&["status", "--format", "json"]).stdout;
        let status: Value = serde_json::from_str(&said).unwrap_or_default();
        let refused = status["refused"][0].as_str().unwrap_or_default().to_owned();
        when(refused.contains("bravo"), &status).map(|()| refused)
    });
    assert!(!alpha.pings("box-alpha", &address), "{refused}");
    let host = shown(&managed, "bravo");
    assert_ne!(text(&host, "key"), first);
    alpha.network_command(&["accept", text(&host, "id")]).ok();
    managed.wait_for_all_pairs();
}

#[test]
fn a_block_that_was_another_hosts_is_refused_until_it_is_accepted() {
    let mut managed = Managed::joined(&["alpha", "bravo", "charlie"]);
    // Two blocks.
    managed.enable(&["--cidr", "10.98.0.0/28", "--block", "/29"]);
    for name in ["alpha", "bravo"] {
        let host = managed.host_mut(name);
        host.network_up();
        host.run_box(&box_of(host));
    }
    managed.wait_for_pairs(&[managed.host("alpha"), managed.host("bravo")]);
    let stolen = managed.address("bravo");
    managed.host_mut("bravo").network_stop();
    // As a stolen server would: what was bravo's is charlie's now.
    managed.server.muster(&["hosts", "rm", "bravo"]).ok();
    let charlie = managed.host_mut("charlie");
    charlie.network_up();
    charlie.run_box(&box_of(charlie));
    assert_eq!(managed.address("charlie"), stolen);
    let alpha = managed.host("alpha");
    eventually("alpha shows it", || {
        let said = alpha.network_command(&["status", "--format", "json"]).stdout;
        let status: Value = serde_json::from_str(&said).unwrap_or_default();
        let refused = status["refused"][0].as_str().unwrap_or_default().to_owned();
        when(refused.contains("charlie") && refused.contains("10.98.0."), status)
    });
    eventually_within(Duration::from_secs(60), "the server shows it", || {
        when(managed.way("alpha", "charlie") == "refused", managed.way("alpha", "charlie"))
    });
    assert!(!alpha.pings("box-alpha", &stolen));
    assert!(!alpha.node.run("ip", &["route"]).contains("dev muster-wg0"), "no way to what is refused");

    let id = text(&shown(&managed, "charlie"), "id").to_owned();
    alpha.network_command(&["accept", &id]).ok();
    managed.wait_for_pairs(&[alpha, managed.host("charlie")]);
}
