//! Labelled containers find each other by name on all hosts, and lose no other name.

use muster_tests::host::LABEL;
use muster_tests::internet::SERVER;
use muster_tests::managed::{ALL, box_of};
use muster_tests::resolvers::{Library, OUTSIDE, OUTSIDE_ADDRESS, OutsideNames};
use muster_tests::wait::when;
use muster_tests::{Host, Managed, eventually};

#[test]
fn names_with_glibc() {
    names_with(Library::Glibc);
}

#[test]
#[ignore = "downloads a package: run by ./test.sh --all"]
fn names_with_musl() {
    names_with(Library::Musl);
}

#[test]
#[ignore = "the others show what names are; this is all pairs of four hosts: run by ./test.sh --all"]
fn all_reach_all_by_name() {
    let managed = Managed::joined(&ALL).brought_up(&["--names"]);
    for host in &managed.hosts {
        Library::Glibc.import(&host.engine);
        host.engine.docker(&["run", "-d", "--name", "asker", "-l", LABEL, Library::Glibc.image(), "live"]);
    }
    for from in &managed.hosts {
        for to in managed.hosts.iter().filter(|to| to.name() != from.name()) {
            let name = format!("{}.muster.internal", box_of(to));
            finds(from, "asker", &name, &managed.address(to.name()));
            eventually(&format!("{} reaches {name}", from.name()), || {
                let address = resolve(from, "asker", &name).concat();
                let answer = from.asks("asker", &address);
                when(answer == box_of(to) && from.pings("asker", &address), answer)
            });
        }
    }
}

/// A container's resolver: the addresses, sorted.
fn resolve(host: &Host, container: &str, name: &str) -> Vec<String> {
    let ran = host.engine.try_docker(&["exec", container, "resolve", name]);
    let mut addresses: Vec<String> = ran.stdout.split_whitespace().map(str::to_owned).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

#[track_caller]
fn finds(host: &Host, container: &str, name: &str, address: &str) {
    eventually(&format!("{container} finds {name}"), || {
        let found = resolve(host, container, name);
        when(found == [address], found)
    });
}

fn names_with(library: Library) {
    let mut managed = Managed::joined(&["alpha", "bravo"]);
    let _outside = OutsideNames::start(&managed.server_node);
    let alpha = managed.host("alpha");
    library.import(&alpha.engine);
    alpha.engine.docker(&["network", "create", "garden"]);
    managed = managed.brought_up(&["--names"]);
    let alpha = managed.host("alpha");
    let start = |name: &str, options: &[&str]| {
        let mut all = vec!["run", "-d", "--name", name, "--dns", SERVER];
        all.extend(options);
        all.extend([library.image(), "live"]);
        alpha.engine.docker(&all);
    };
    start("asker", &["-l", LABEL]);
    start("gardener", &["-l", LABEL, "--network", "garden"]);
    start("rose", &["--network", "garden"]);
    start("foreign", &[]);
    let (near, far) = (managed.address("alpha"), managed.address("bravo"));

    for asker in ["asker", "gardener"] {
        finds(alpha, asker, "box-alpha.muster.internal", &near);
        finds(alpha, asker, "box-alpha.alpha.muster.internal", &near);
        finds(alpha, asker, "box-bravo.muster.internal", &far);
        finds(alpha, asker, "box-bravo.bravo.muster.internal", &far);
        finds(alpha, asker, "BOX-Bravo.Muster.Internal", &far);
        finds(alpha, asker, OUTSIDE, OUTSIDE_ADDRESS);
        assert!(resolve(alpha, asker, "box-bravo.alpha.muster.internal").is_empty(), "no such name");
        assert!(resolve(alpha, asker, "nobody.muster.internal").is_empty(), "no such name");
        assert!(resolve(alpha, asker, "nobody.example").is_empty(), "no such name");
    }
    let rose =
        alpha.engine.docker(&["inspect", "-f", "{{(index .NetworkSettings.Networks \"garden\").IPAddress}}", "rose"]);
    finds(alpha, "gardener", "rose", &rose);
    finds(alpha, "foreign", OUTSIDE, OUTSIDE_ADDRESS);
    assert!(resolve(alpha, "foreign", "box-alpha.muster.internal").is_empty(), "without the label there are no names");

    // A restart writes the file anew; a container that is gone has no name.
    alpha.engine.docker(&["restart", "-t", "1", "asker"]);
    finds(alpha, "asker", "box-bravo.muster.internal", &far);
    finds(alpha, "asker", OUTSIDE, OUTSIDE_ADDRESS);
    let bravo = managed.host("bravo");
    bravo.engine.docker(&["rm", "-f", &box_of(bravo)]);
    eventually("the name is gone", || {
        let found = resolve(alpha, "asker", "box-bravo.muster.internal");
        when(found.is_empty(), found)
    });

    // Dead or frozen, it takes no other names along.
    managed.host_mut("alpha").network().signal("STOP");
    let alpha = managed.host("alpha");
    finds(alpha, "asker", OUTSIDE, OUTSIDE_ADDRESS);
    finds(alpha, "gardener", "rose", &rose);
    managed.host_mut("alpha").network_kill();
    let alpha = managed.host("alpha");
    finds(alpha, "asker", OUTSIDE, OUTSIDE_ADDRESS);
    finds(alpha, "gardener", "rose", &rose);
    managed.host_mut("alpha").network_up();
    let alpha = managed.host("alpha");
    finds(alpha, "asker", "box-alpha.muster.internal", &near);

    // Taken away, nothing of it is left in the files.
    managed.host_mut("alpha").network_stop();
    let alpha = managed.host("alpha");
    alpha.network_command(&["down"]).ok();
    for name in ["asker", "gardener", "foreign"] {
        let file = alpha.engine.docker(&["exec", name, "cat", "/etc/resolv.conf"]);
        assert!(!file.contains("10.42."), "{name}: {file}");
        finds(alpha, name, OUTSIDE, OUTSIDE_ADDRESS);
    }
}
