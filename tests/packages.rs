//! What `./dist.sh` makes for this machine: the container image runs as the documentation says, and the Debian packages come
//! and go without a trace. `tests/boards.sh` runs these where it was built.

use muster_tests::{Board, Engine, Server, text};
use std::path::PathBuf;

/// Where `./dist.sh` leaves what it makes for this machine.
#[track_caller]
fn built(name: impl Fn(&str) -> String) -> String {
    let folder = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let debian = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dist").join(folder).join(name(debian));
    assert!(file.is_file(), "there is no {}: run ./dist.sh {} first", file.display(), std::env::consts::ARCH);
    file.display().to_string()
}

/// The version that everything has.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
#[ignore = "needs ./dist.sh"]
fn built_image_runs_beside_the_containers_that_it_reports() {
    let (engine, server) = (Engine::start("barge"), Server::start());
    let image = built(|_| "muster-agent-image.tar".into());
    let loaded = engine.docker(&["load", "-i", &image]);
    assert!(loaded.contains(&format!("muster-agent:{VERSION}")), "{loaded}");
    let image = format!("muster-agent:{VERSION}");
    assert_eq!(engine.docker(&["run", "--rm", &image, "--version"]), format!("muster-agent {VERSION}"));

    let socket = engine.docker_host().replace("unix://", "");
    let mount = format!("{socket}:/var/run/docker.sock");
    let join = format!("MUSTER_JOIN={}", server.join_string(&[]));
    let options =
        ["run", "-d", "--name", "muster-agent", "--network", "host", "--uts", "host", "--pid", "host", "-v", &mount];
    let settings = ["-v", "muster-agent:/var/lib/muster-agent", "-e", "MUSTER_NAME=barge", "-e", "MUSTER_INTERVAL=1s"];
    engine.docker(&[&options[..], &settings, &["-e", &join, &image]].concat());
    let web = engine.run("web");
    assert_eq!(server.wait_for_state("barge", "web", "running")["id"], web.as_str());
    server.wait_for_state("barge", "muster-agent", "running");

    // The volume has the identity: the next one is the same host.
    let id = text(&server.host("barge"), "id").to_owned();
    engine.docker(&["stop", "muster-agent"]);
    assert_eq!(
        engine.inspect("muster-agent")["State"]["ExitCode"],
        0,
        "as a container's first process it ends when told"
    );
    engine.docker(&["rm", "muster-agent"]);
    engine.docker(&["stop", "web"]);
    engine.docker(&[&options[..], &settings, &[&image]].concat());
    server.wait_for_state("barge", "web", "exited");
    assert_eq!(text(&server.host("barge"), "id"), id);
    engine.docker(&["rm", "-f", "muster-agent"]);
    engine.docker(&["volume", "rm", "muster-agent"]);
}

#[test]
#[ignore = "needs ./dist.sh, and makes a Debian"]
fn built_packages_install_in_a_clean_debian_and_are_purged_without_a_trace() {
    let traces = "find /usr/bin /usr/lib/systemd /usr/share/muster /usr/share/doc /var/lib /etc/systemd -path /var/lib/dpkg -prune \
                  -o -name '*muster*' -print 2>/dev/null | sort; grep muster /etc/passwd /etc/group || true";
    let engine = Engine::start("quay");
    let server = Server::start();
    let mut board = Board::debian("init-system-helpers,passwd,iproute2,iptables").with_engine(&engine);
    let agent = format!("muster-agent_{VERSION}_");
    board.copy_in(&built(|debian| format!("{agent}{debian}.deb")), "root/agent.deb");
    board.copy_in(&built(|debian| format!("muster_{VERSION}_{debian}.deb")), "root/server.deb");
    board.copy_in(&built(|debian| format!("muster-network_{VERSION}_{debian}.deb")), "root/network.deb");
    board.start();
    let before = board.run(traces).ok();
    let installed = board.run("dpkg -i /root/agent.deb /root/server.deb 2>&1").ok();
    assert!(installed.contains("has not joined a fleet"), "{installed}");
    assert_eq!(board.run("stat -c '%U %a' /var/lib/muster-agent /var/lib/muster").ok(), "muster-agent 700\nmuster 700");
    let enabled = board.run("ls /etc/systemd/system/multi-user.target.wants").ok();
    assert!(enabled.contains("muster-agent.service") && enabled.contains("muster.service"), "{enabled}");
    assert_eq!(board.run("muster --version").ok(), format!("muster {VERSION}"));
    let offered = board.run("ls /usr/share/muster/agents/*").ok();
    for file in ["muster-agent.sig", "muster-network.sig"] {
        assert!(offered.contains(file), "the server offers what was built: {offered}");
    }
    // The managed network is installed, and off.
    let installed = board.run("dpkg -i /root/network.deb 2>&1").ok();
    assert!(installed.contains("is installed and not started"), "{installed}");
    assert!(!board.run("ls /etc/systemd/system/multi-user.target.wants").ok().contains("muster-network"));
    assert_eq!(board.run("muster-agent network --version").ok(), format!("muster-network {VERSION}"));
    let unit = board.run("cat /usr/lib/systemd/system/muster-network.service").ok();
    assert!(unit.contains("ExecStart=/usr/bin/muster-network up\n"), "{unit}");

    // As the message says.
    let join = server.join_string(&["--name", "quay"]);
    let as_agent = |what: &str| format!("su -s /bin/sh muster-agent -c \"muster-agent {what}\"");
    let joined = board.run(&as_agent(&format!("join '{join}'"))).ok();
    assert!(joined.starts_with("joined as quay "), "{joined}");
    assert!(server.find_host("quay").is_some());

    board.run("dpkg -i /root/agent.deb 2>&1").ok();
    assert_ne!(board.run(&as_agent("status >/dev/null 2>&1; echo $?")).ok(), "1", "it is still joined");
    board.run("dpkg --purge muster-network muster-agent muster 2>&1").ok();
    assert_eq!(board.run(traces).ok(), before, "what is left behind");
}
