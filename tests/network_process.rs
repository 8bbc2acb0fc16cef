//! The network process by itself: who starts it, what it says when something is missing, and what it leaves alone.

use muster_tests::agents::TARGET;
use muster_tests::host::{Host, NETWORK};
use muster_tests::managed::box_of;
use muster_tests::wait::when;
use muster_tests::{Managed, eventually, text};
use serde_json::Value;

/// What `network status` says, and its exit code.
fn status(host: &Host) -> (Value, i32) {
    let ran = host.network_command(&["status", "--json"]);
    (serde_json::from_str(&ran.stdout).unwrap_or(Value::Null), ran.code)
}

#[test]
fn without_the_program_it_says_what_to_install() {
    let host = Host::start("alpha");
    let place = host.engine.place();
    let alone = place.join("muster-agent");
    std::fs::copy(muster_tests::process::program("muster-agent"), &alone).expect("a copy");
    let ran = host.node.try_run(&alone, &["network", "up"]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("muster-network is not installed") && ran.stderr.lines().count() == 1,
        "{}",
        ran.stderr
    );
}

#[test]
fn what_is_missing_or_in_the_way_is_said() {
    let mut managed = Managed::joined(&["alpha"]);
    assert_eq!(status(&managed.hosts[0]).1, 1, "it does not run");
    managed.hosts[0].network_up();
    // The server has no network yet.
    let host = &managed.hosts[0];
    eventually("the server gives no place", || {
        let (status, code) = status(host);
        let refused = status["refused"].to_string();
        when(code == 1 && refused.contains("not enabled"), status)
    });
    let second = host.network_command(&["up"]);
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("runs already") && second.stderr.lines().count() == 1, "{}", second.stderr);
    assert_eq!(host.network_command(&["down"]).code, 1, "not while it runs");
    assert_eq!(host.network_command(&["accept", "00112233445566aa"]).code, 6);

    // Somebody else's network of that name stays as it is.
    host.engine.docker(&["network", "create", NETWORK]);
    let before = host.engine.docker(&["network", "inspect", NETWORK]);
    managed.enable(&[]);
    let host = &managed.hosts[0];
    eventually("the other network is in the way", || {
        let (status, code) = status(host);
        when(code == 8 && text(&status["engine"], "detail").contains("not ours"), status)
    });
    assert_eq!(host.engine.docker(&["network", "inspect", NETWORK]), before);
    managed.hosts[0].network_stop();
    let host = &managed.hosts[0];
    assert_eq!(host.network_command(&["down"]).code, 0);
    assert_eq!(host.engine.docker(&["network", "inspect", NETWORK]), before);
}

#[test]
fn the_range_that_was_accepted_is_the_limit() {
    let mut managed = Managed::joined(&["alpha"]);
    managed.hosts[0].flags = vec!["--accept".into(), "10.99.0.0/16".into()];
    managed.enable(&[]);
    managed.hosts[0].network_up();
    let host = &managed.hosts[0];
    let box_id = host.run_box("box");
    eventually("the range is refused", || {
        let (status, code) = status(host);
        when(code == 1 && status["refused"].to_string().contains("10.99.0.0/16"), status)
    });
    assert!(host.find_address(&box_id).is_none());
    assert!(!host.ground().contains("10.42."), "{}", host.ground());
}

#[test]
fn a_peers_new_key_is_refused_until_it_is_accepted() {
    let mut managed = Managed::up(&["alpha", "bravo"]);
    let keys = format!("{}-network/key", managed.host("bravo").agent.state_dir());
    managed.host_mut("bravo").network_stop();
    std::fs::remove_file(&keys).expect("a key");
    managed.host_mut("bravo").network_up();
    // First the server wants to be told by an operator.
    let bravo = managed.server.host("bravo");
    let id = text(&bravo, "id").to_owned();
    eventually("the server sees another key", || {
        let ran = managed.server.muster(&["network", "accept", "bravo"]);
        when(ran.code == 0, ran.stderr)
    });
    let alpha = managed.host("alpha");
    eventually("alpha refuses it as well", || {
        let (status, code) = status(alpha);
        when(code == 9 && status["changed_keys"][0] == id.as_str(), status)
    });
    assert_eq!(alpha.log().matches("seen first").count(), 1, "once: {}", alpha.log());
    alpha.network_command(&["accept", &id]).ok();
    managed.wait_for_all_pairs();
}

/// What the network process may have resident at its peak, as it is shipped: static and stripped.
const RESIDENT_KIB: u64 = 3 * 1024;

/// What it may have of its own, and not from its file. A build for tests, whose file is twenty times as big, has pages here that
/// the loader had to write into, and the arenas of another C library: some 1,400 KiB, where what is shipped has some 750.
const OWN_KIB: u64 = 2 * 1024;

/// Names, all kinds of records, and some megabytes have passed.
fn worked(programs: Option<String>) -> Managed {
    let mut managed = Managed::joined(&["alpha", "bravo"]);
    managed.hosts.iter_mut().for_each(|host| host.programs.clone_from(&programs));
    let managed = managed.brought_up(&["--names"]);
    for (from, to) in [("alpha", "bravo"), ("bravo", "alpha")] {
        let host = managed.host(from);
        host.wait_for_download(&box_of(host), &managed.address(to));
    }
    managed
}

#[test]
fn it_takes_little_memory_of_its_own() {
    for host in &mut worked(None).hosts {
        let own = host.network_memory("RssAnon");
        let most = host.network_memory("VmHWM");
        eprintln!("{}: {own} KiB of its own, {most} KiB with its file at most", host.name());
        assert!(own <= OWN_KIB, "{own} KiB");
    }
}

#[test]
#[ignore = "wants what ./dist.sh built: tests/boards.sh runs it"]
fn built_it_takes_three_megabytes_at_most() {
    let folder = format!("{}/../dist/{TARGET}", env!("CARGO_MANIFEST_DIR"));
    for name in ["muster-agent", "muster-network"] {
        let path = std::path::Path::new(&folder).join(name);
        assert!(path.is_file(), "there is no {}: run ./dist.sh {TARGET} first", path.display());
    }
    for host in &mut worked(Some(folder)).hosts {
        let most = host.network_memory("VmHWM");
        let own = host.network_memory("RssAnon");
        eprintln!("{}: {most} KiB at most, {own} KiB of its own", host.name());
        assert!(most <= RESIDENT_KIB, "{most} KiB");
    }
}
