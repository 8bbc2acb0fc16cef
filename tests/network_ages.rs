//! The managed network with engines of other ages, and with the older of the kernel's two firewalls.

use muster_tests::debian::Packages;
use muster_tests::engine::Options;
use muster_tests::host::LABEL;
use muster_tests::managed::box_of;
use muster_tests::wait::when;
use muster_tests::{Managed, eventually};
use std::sync::Arc;

/// The oldest engine, and the older firewall: what old boards have.
#[test]
#[ignore = "downloads packages of another release: run by ./test.sh --all"]
fn docker_20_10_with_the_older_firewall() {
    let packages = docker_of("bookworm");
    let version = works_with(Options { programs: Some(&packages), legacy_firewall: true, ..Options::default() });
    is_of(&version, "20.10", "bookworm");
}

#[test]
#[ignore = "downloads packages of another release: run by ./test.sh --all"]
fn docker_26_1() {
    let packages = docker_of("trixie");
    let version = works_with(Options { programs: Some(&packages), ..Options::default() });
    is_of(&version, "26.1", "trixie");
}

#[test]
#[ignore = "downloads packages of another release: run by ./test.sh --all"]
fn docker_28_5() {
    let packages = docker_of("forky");
    let version = works_with(Options { programs: Some(&packages), ..Options::default() });
    is_of(&version, "28.5", "forky");
}

/// Says it if a release has gone on to another engine: then the docs and this test name one that was not tried.
#[track_caller]
fn is_of(version: &str, wanted: &str, suite: &str) {
    eprintln!("{suite}: tried with the engine {version}");
    assert!(
        version.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(['.', '+'])),
        "all works with the engine {version}, but {suite} was to bring {wanted}: find that elsewhere (such as snapshot.debian.org), \
         and name {version} beside it in docs/network.md"
    );
}

/// Docker of a Debian release.
fn docker_of(suite: &str) -> Arc<Packages> {
    let packages = Packages::of(suite, &["docker.io", "containerd", "tini"]);
    // It wants a newer C library than this machine may have; the machine's own serves as well.
    packages.without("runc");
    packages
}

/// What matters, between a public host, one behind a router, and one behind another; the engine's version.
fn works_with(options: Options) -> String {
    let mut managed = Managed::joined_with(&["alpha", "bravo", "charlie"], options).brought_up(&[]);
    for (from, to) in [("alpha", "bravo"), ("bravo", "charlie")] {
        let host = managed.host(from);
        host.wait_for_download(&box_of(host), &managed.address(to));
    }
    let alpha = managed.host("alpha");
    alpha.run_box_with("published", &["-l", LABEL, "-p", "8080:80"]);
    alpha.run_box_with("foreign", &[]);
    alpha.run_box_with("alone", &["-l", LABEL, "--network", "none"]);
    let alone = alpha.address("alone");
    let bravo = managed.host("bravo");
    eventually("one that has no other network is reached", || {
        when(bravo.asks("box-bravo", &alone) == "alone", "no answer")
    });
    eventually("the published port answers", || {
        let answer = managed.server_node.script("busybox nc -w 3 198.51.100.2 8080 </dev/null");
        when(answer.trim() == "published", answer)
    });
    for name in ["alpha", "bravo"] {
        // With the label, and without.
        alpha.wait_for_ping("published", &managed.address(name));
        assert!(!alpha.pings("foreign", &managed.address(name)), "without the label");
    }

    let address = managed.address("bravo");
    let bravo = managed.host_mut("bravo");
    bravo.engine.restart();
    bravo.engine.docker(&["start", "box-bravo"]);
    assert_eq!(bravo.address("box-bravo"), address);
    managed.wait_for_all_pairs();

    for host in &mut managed.hosts {
        host.network_stop();
        host.network_command(&["down"]).ok();
        let left = host.ground();
        // Chains are in capitals.
        assert!(!left.to_lowercase().contains("muster"), "{left}");
    }
    managed.hosts[0].engine.docker(&["version", "--format", "{{.Server.Version}}"])
}
