//! The one line that installs: on hosts with and without a service manager, into images, and what takes it back.

use muster_tests::place::Place;
use muster_tests::process::{Process, Ran};
use muster_tests::{Agents, Board, Engine, Link, Server, eventually, link::End, text, texts};
use std::path::Path;

/// What an installer can have made or changed on a board.
const TRACES: &str = "find /usr/local /var/lib /etc/systemd /etc/init.d /etc/default /root -mindepth 1 \
                      ! -name systemctl | sort; cat /etc/passwd /etc/group";

/// A server that offers this build's agent.
fn server(agents: &Agents) -> Server {
    Server::start_with(&["--agents", &agents.directory()])
}

/// The line for root's shell.
#[track_caller]
fn line(server: &Server, options: &[&str]) -> String {
    let line = server.muster(&[&["join-command", "--install"], options].concat()).ok();
    assert!(line.starts_with("curl ") && line.contains("--pinnedpubkey") && !line.contains('\n'), "{line}");
    line
}

/// Starts the agent as the installer has said, on a board that starts nothing by itself.
#[track_caller]
fn start_as_told(board: &Board, installed: &Ran) -> Process {
    let told = installed.stdout.lines().find_map(|line| line.strip_prefix("    "));
    let told = told.unwrap_or_else(|| panic!("it does not say how to start: {}", installed.stdout));
    board.start_line("agent", told, &[("MUSTER_INTERVAL", "1s")])
}

/// Shows only what differs.
#[track_caller]
fn assert_same(after: &str, before: &str) {
    let beyond = |one: &str, other: &str| -> Vec<String> {
        one.lines().filter(|line| !other.lines().any(|known| known == *line)).map(str::to_owned).collect()
    };
    assert_eq!((beyond(after, before), beyond(before, after)), (vec![], vec![]), "left behind, and gone");
}

fn wait_until_active(server: &Server, host: &str) {
    server.wait_for_host(host, "is active with an engine that is ok", |host| {
        host["state"] == "active" && host["engine"]["state"] == "ok"
    });
}

#[test]
fn the_printed_line_installs_joins_and_can_be_taken_back() {
    let (engine, agents) = (Engine::start("attic"), Agents::built());
    let mut server = server(&agents);
    engine.run("web");
    let mut board = Board::borrowed().with_engine(&engine);
    board.start();
    let before = board.run(TRACES).ok();
    let line = line(&server, &["--name", "attic"]);
    // What was printed is good for as long as its token, whatever the server goes through.
    server.crash();
    let installed = board.run(&line);
    assert!(installed.ok().contains("joined as attic "), "{}", installed.stdout);
    let agent = start_as_told(&board, &installed);
    wait_until_active(&server, "attic");
    server.wait_for_state("attic", "web", "running");
    // Under its own user, who may do nothing else.
    let user = "stat -c %U /proc/$(pgrep -x muster-agent); id -nG muster-agent; \
                stat -c %U:%a /var/lib/muster-agent /var/lib/muster-agent/identity";
    let seen = board.run(user).ok();
    assert_eq!(seen, "muster-agent\nmuster-agent docker\nmuster-agent:700\nmuster-agent:600");
    // Again, it is the same host.
    let id = server.host("attic")["id"].clone();
    board.run(&line).ok();
    assert_eq!((&server.host("attic")["id"], server.hosts().len()), (&id, 1));
    let kept = board.run("muster-agent-uninstall").ok();
    assert!(kept.contains("/var/lib/muster-agent"), "{kept}");
    assert_eq!(board.run("test -s /var/lib/muster-agent/identity && ! command -v muster-agent").code, 0);
    drop(agent);
    // It comes back as who it was, and then is gone for good.
    board.run(&line).ok();
    assert_eq!((&server.host("attic")["id"], server.hosts().len()), (&id, 1));
    board.run("muster-agent-uninstall --purge").ok();
    assert_same(&board.run(TRACES).ok(), &before);
}

#[test]
fn with_a_service_manager_it_starts_and_starts_again_with_the_board() {
    let (engine, agents) = (Engine::start("cellar"), Agents::built());
    let server = server(&agents);
    let mut board = Board::borrowed().with_engine(&engine).with_systemd();
    board.start();
    let before = board.run(TRACES).ok();
    // By another shell, too.
    let line = line(&server, &["--name", "cellar"]).replace("| sh", "| busybox ash");
    let installed = board.run(&line).ok();
    assert!(installed.contains("is installed and runs") && installed.contains("engine "), "{installed}");
    wait_until_active(&server, "cellar");
    let asked = board.run("cat /run/systemctl.log").ok();
    assert_eq!(asked, "daemon-reload\nenable --quiet muster-agent.service\nrestart muster-agent.service");
    board.cut_power();
    let id = server.host("cellar")["id"].clone();
    let last = server.host("cellar")["last_seen"].clone();
    board.start();
    server.wait_for_host("cellar", "reports again", |host| host["last_seen"] != last && host["state"] == "active");
    assert_eq!(server.host("cellar")["id"], id);
    board.run("muster-agent-uninstall --purge").ok();
    assert!(board.run("cat /run/systemctl.log").ok().contains("disable --now muster-agent.service"));
    assert_same(&board.run(TRACES).ok(), &before);
}

#[test]
fn the_managed_network_is_installed_if_asked_for_and_taken_back_first() {
    let (engine, agents) = (Engine::start("loft"), Agents::built());
    let server = server(&agents);
    let mut board = Board::borrowed().with_engine(&engine).with_systemd();
    board.start();
    let before = board.run(TRACES).ok();
    let with_network = line(&server, &["--name", "loft", "--network"]);
    assert!(with_network.ends_with("| sh -s -- --network"), "{with_network}");
    let refused = board.run(&with_network);
    refused.refuses(6);
    assert!(refused.stderr.contains("no muster-network") && refused.stderr.contains("./dist.sh "), "{refused:?}");
    assert_same(&board.run(TRACES).ok(), &before);

    // Not this build's: what it does to a host is proven elsewhere.
    agents.offer_network("#!/bin/sh\n[ ! -e /root/refuse ] || exit 8\necho \"$*\" >>/root/network.calls\n");
    let with_network = with_network.replace("--network", "--network --docker-host unix:///var/run/docker.sock");
    let installed = board.run(&with_network).ok();
    assert!(installed.contains("with the managed network"), "{installed}");
    let asked = board.run("cat /run/systemctl.log").ok();
    assert!(asked.ends_with("enable --quiet muster-network.service\nrestart muster-network.service"), "{asked}");
    let unit = board.run("cat /etc/systemd/system/muster-network.service; cat /etc/default/muster-network").ok();
    assert!(unit.contains("/usr/local/bin/muster-network up"), "{unit}");
    assert!(unit.contains("\nDOCKER_HOST=unix:///var/run/docker.sock"), "{unit}");

    // It knows what it has made, and that goes before it. What it cannot take away now is not forgotten.
    board.run("mkdir -p /var/lib/muster-agent-network; touch /root/refuse").ok();
    let refused = board.run("muster-agent-uninstall --purge");
    refused.refuses(1);
    assert!(refused.stderr.contains("start the engine"), "{refused:?}");
    board.run("test ! -e /root/network.calls && test -x /usr/local/bin/muster-network").ok();
    board.run("rm /root/refuse; muster-agent-uninstall --purge").ok();
    assert_eq!(board.run("cat /root/network.calls; rm /root/network.calls").ok(), "down");
    assert_same(&board.run(TRACES).ok(), &before);
}

#[test]
fn who_is_not_the_pinned_server_or_has_no_token_installs_nothing() {
    let agents = Agents::built();
    let mut server = server(&agents);
    let mut board = Board::borrowed();
    board.start();
    let before = board.run(TRACES).ok();
    let good = line(&server, &[]);
    let (head, tail) = good.split_once("sha256//").expect("a pin");
    let other = format!("{head}sha256//{}{}", "A".repeat(43), &tail[43..]);
    let refused = board.run(&other);
    assert!(refused.stderr.contains("(90)") && refused.stdout.is_empty(), "{refused:?}");
    let token = good.split("Bearer ").nth(1).and_then(|rest| rest.split('\'').next()).expect("a token").to_owned();
    for row in server.json(&["token", "ls"]) {
        server.muster(&["token", "rm", text(&row, "id")]).ok();
    }
    let refused = board.run(&good);
    refused.refuses(4);
    assert!(refused.stderr.contains("not known here") && !refused.stderr.contains(&token), "{}", refused.stderr);
    assert_same(&board.run(TRACES).ok(), &before);
    // Nor is anything else given away without a token.
    for path in ["/install", &format!("/install/{}/muster-agent", muster_tests::agents::TARGET)] {
        assert_eq!(server.api_text("GET", path, None, None).0, 401);
        assert_eq!(server.api_text("GET", path, Some(&server.admin_token()), None).0, 401);
    }
    assert!(server.hosts().is_empty());
    assert!(!server.process().log().contains(&token), "no log has the token");
}

#[test]
fn a_certificate_for_browsers_is_not_in_the_way_and_a_rotation_ends_old_lines() {
    let (agents, place) = (Agents::built(), Place::new());
    let (cert, key) = (place.join("cert.pem"), place.join("key.pem"));
    let make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9"];
    let rest = ["-subj", "/CN=fleet.example", "-keyout", &key, "-out", &cert];
    Ran::of("openssl", &[&make[..], &rest].concat(), &[], 60).ok();
    let mut server = Server::start_with(&["--agents", &agents.directory(), "--tls-cert", &cert, "--tls-key", &key]);
    let fetch = |line: &str| Ran::of("sh", &["-c", &line.replace("| sh", "")], &[], 60);
    let first = line(&server, &[]);
    assert!(fetch(&first).ok().starts_with("#!/bin/sh"));
    // As curl is without being told otherwise, it is shown the other certificate.
    fetch(&first.replace("--no-alpn ", "")).refuses(90);
    let status = server.muster(&["key", "rotate", "--format", "json"]).json();
    server.is_known_by(text(&status[0], "pin"));
    fetch(&first).refuses(90);
    let second = line(&server, &[]);
    server.crash();
    assert!(fetch(&second).ok().starts_with("#!/bin/sh"));
}

#[test]
fn a_directory_of_agents_that_is_not_there_is_said_at_once() {
    let mut server = Server::start_with(&["--agents", "/no/such/agents"]);
    eventually("a line in its log", || {
        let log = server.process().log();
        if log.contains("there is no directory /no/such/agents") { Ok(()) } else { Err(log) }
    });
}

#[test]
fn what_the_server_does_not_have_is_said_with_what_to_do() {
    let (engine, agents) = (Engine::start("barn"), Agents::none());
    let server = server(&agents);
    let refused = server.muster(&["join-command", "--install"]);
    refused.refuses(6);
    assert!(refused.stderr.contains("./dist.sh") && refused.stderr.contains("--agents"), "{}", refused.stderr);
    assert!(server.json(&["token", "ls"]).is_empty(), "a token that nobody has is not left behind");
    // One for other boards only.
    let other = "arm-unknown-linux-musleabihf";
    std::fs::create_dir_all(format!("{}/{other}", agents.directory())).expect("a folder");
    std::fs::write(agents.file(other), "an agent").expect("written");
    let mut board = Board::borrowed().with_engine(&engine);
    board.start();
    let refused = board.run(&line(&server, &[]));
    refused.refuses(6);
    assert!(refused.stderr.contains("./dist.sh "), "{}", refused.stderr);
    assert!(server.hosts().is_empty());
}

#[test]
fn an_image_that_is_flashed_twice_becomes_two_hosts() {
    let (engine, agents) = (Engine::start("boards"), Agents::built());
    let server = server(&agents);
    let image = Board::borrowed().with_systemd();
    image.write("usr/lib/systemd/systemd", "");
    image.copy_in("/bin/dash", "usr/bin/dash");
    // One that has never heard of the agent, nor of Docker.
    let clean = "sed -i -e /^docker:/d -e /^muster-agent:/d etc/passwd etc/group etc/shadow etc/gshadow";
    Ran::of("sh", &["-c", &format!("cd {} && {clean}", image.root())], &[], 60).ok();
    let mut workshop = Board::borrowed();
    workshop.start();
    // Where it is mounted on the machine that flashes.
    Ran::of("cp", &["-a", &image.root(), &workshop.path("mnt/card")], &[], 120).ok();
    drop(image);
    let printed = line(&server, &["--root", "/mnt/card", "--label", "batch=7"]);
    let installed = workshop.run(&printed).ok();
    assert!(installed.contains("joins as a host of its own"), "{installed}");
    assert!(server.hosts().is_empty(), "nothing has joined so far");
    assert_eq!(workshop.run("ls /usr/local/bin/ /var/lib/").ok(), "/usr/local/bin/:\n\n/var/lib/:");
    let seen = workshop.run(
        "cd /mnt/card && grep -h -e ^muster -e ^docker etc/passwd etc/group && stat -c %a var/lib/muster-agent/join && \
         readlink etc/systemd/system/multi-user.target.wants/muster-agent.service && ls var/lib/muster-agent",
    );
    let lines: Vec<String> = seen.ok().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert!(lines[1].starts_with("docker:x:") && lines[1].ends_with(":muster-agent"), "{lines:?}");
    assert_eq!(lines[3..], ["600", "../muster-agent.service", "join"]);
    workshop.run(&printed).ok();
    assert_eq!(workshop.run("grep -c muster-agent /mnt/card/etc/group").ok(), "2", "again, it changes nothing");

    // Two cards from it, in two boards.
    let mut boards = Vec::new();
    for serial in ["10000000aaaaaaaa", "10000000bbbbbbbb"] {
        let mut card = Board::from_folder(&workshop.path("mnt/card")).with_engine(&engine);
        card.write("var/lib/muster-agent/agent.conf", &format!("fingerprint = {serial}\ninterval = 1s\n"));
        card.start();
        boards.push(card);
    }
    eventually("both are active", || {
        let hosts = server.hosts();
        let active = hosts.iter().filter(|host| host["state"] == "active").count();
        if hosts.len() == 2 && active == 2 { Ok(()) } else { Err(format!("{hosts:?}")) }
    });
    let hosts = server.hosts();
    assert_ne!(hosts[0]["id"], hosts[1]["id"]);
    assert!(hosts.iter().all(|host| host["labels"]["batch"] == "7" && host["conflict"] == false), "{hosts:?}");
    let ids: Vec<String> = texts(&hosts, "id");
    boards.iter_mut().for_each(Board::cut_power);
    boards.iter_mut().for_each(Board::start);
    eventually("both are back as who they were", || {
        let hosts = server.hosts();
        let same = texts(&hosts, "id") == ids;
        if same && hosts.iter().all(|host| host["state"] == "active") { Ok(()) } else { Err(format!("{hosts:?}")) }
    });
    // A card that has joined is no image for others.
    boards[0].cut_power();
    Ran::of(
        "cp",
        &["-a", &boards[0].path("var/lib/muster-agent/identity"), &workshop.path("mnt/card/var/lib/muster-agent/")],
        &[],
        60,
    )
    .ok();
    workshop.run(&printed).refuses(1);
}

#[test]
fn scripts_and_units_are_sound() {
    let agents = Agents::built();
    let server = server(&agents);
    let packaging = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging");
    let scripts = ["install/install.sh", "install/uninstall.sh", "install/before-start.sh"];
    let services = ["openrc/muster-agent", "openrc/muster-network"];
    for script in scripts.iter().chain(&services).map(|script| format!("{packaging}/{script}")) {
        shellcheck(&["--shell=sh", &script]);
        for shell in [&["dash", "-n"][..], &["busybox", "ash", "-n"]] {
            Ran::of(shell[0], &[&shell[1..], &[script.as_str()]].concat(), &[], 60).ok();
        }
    }
    shellcheck(&["--shell=bash", &format!("{packaging}/release.sh")]);
    // As it is given out.
    let token = line(&server, &[]).split("Bearer ").nth(1).and_then(|rest| rest.split('\'').next().map(str::to_owned));
    let (status, script) = server.api_text("GET", "/install", token.as_deref(), None);
    assert_eq!(status, 200);
    let mut board = Board::borrowed();
    board.write("root/install.sh", &script);
    shellcheck(&["--shell=sh", &board.path("root/install.sh")]);
    // The units on a host that has what they name.
    for name in ["muster-agent", "muster-network"] {
        board.write(&format!("etc/systemd/system/{name}.service"), &unit(packaging, name));
    }
    let programs = ["bin/muster-agent", "bin/muster-network", "lib/muster-agent/before-start"];
    for program in programs.map(|program| format!("usr/local/{program}")) {
        let program = program.as_str();
        board.write(program, "#!/bin/sh\n");
        Ran::of("chmod", &["755", &board.path(program)], &[], 60).ok();
    }
    board.start();
    board.run("useradd --system --user-group muster-agent").ok();
    let verified = board.run("systemd-analyze verify --man=no /etc/systemd/system/muster-*.service");
    assert_eq!((verified.code, verified.stderr.as_str()), (0, ""), "{}", verified.stdout);
}

fn unit(packaging: &str, name: &str) -> String {
    std::fs::read_to_string(format!("{packaging}/systemd/{name}.service")).expect("the unit")
}

fn shellcheck(arguments: &[&str]) {
    assert!(Path::new("/usr/bin/shellcheck").exists(), "this needs Debian's shellcheck: `./test.sh` installs it");
    Ran::of("shellcheck", arguments, &[], 60).ok();
}

#[test]
#[ignore = "fetches a Debian: runs with `./test.sh --all`"]
fn a_clean_debian_on_another_network_needs_nothing_but_the_line() {
    let (engine, agents, link) = (Engine::start("fresh"), Agents::built(), Link::new());
    let server = Server::start_at_link_with(&link, &["--agents", &agents.directory()]);
    engine.run("web");
    let mut board = Board::debian("curl,ca-certificates").with_engine(&engine).in_network(link.namespace(End::Agent));
    board.start();
    board.run("groupadd --gid $(stat -c %g /run/docker.sock) docker || true").ok();
    let before = board.run(TRACES).ok();
    let installed = board.run(&line(&server, &["--name", "fresh"]));
    installed.ok();
    let agent = start_as_told(&board, &installed);
    wait_until_active(&server, "fresh");
    server.wait_for_state("fresh", "web", "running");
    board.run("muster-agent-uninstall --purge").ok();
    drop(agent);
    assert_same(&board.run(TRACES).ok(), &before);
}

#[test]
#[ignore = "fetches a Debian: runs with `./test.sh --all`"]
fn under_openrc_it_is_a_service_that_can_be_upgraded_and_removed() {
    let (engine, agents) = (Engine::start("shed"), Agents::built());
    let server = server(&agents);
    let mut board = Board::debian("curl,ca-certificates,openrc").with_engine(&engine);
    board.start();
    // As OpenRC does when it boots.
    let booted = "mkdir /run/openrc && cd /run/openrc && touch softlevel && mkdir daemons exclusive failed hotplugged \
                  inactive options scheduled started starting stopped stopping tmp wasinactive";
    board.run(booted).ok();
    board.run("groupadd --gid $(stat -c %g /run/docker.sock) docker || true").ok();
    let before = board.run(TRACES).ok();
    let installed = board.run(&line(&server, &["--name", "shed"])).ok();
    assert!(installed.contains("is installed and runs"), "{installed}");
    wait_until_active(&server, "shed");
    assert!(board.run("rc-update show default").ok().contains("muster-agent"));
    let key = [("MUSTER_RELEASE_KEY", agents.public_key())].map(|(name, key)| (name, key));
    let key = key.each_ref().map(|(name, key)| (*name, key.as_str()));
    for (body, code) in [("exit 1", 1), ("exec /usr/local/bin/muster-agent.previous \"$@\"", 0)] {
        let script = format!("#!/bin/sh\n[ \"$1\" != --version ] || {{ echo 'muster-agent 99.0.0'; exit; }}\n{body}\n");
        agents.publish(&script, "99.0.0");
        board.run_with("muster-agent upgrade --within 20s", &key).exits(code);
        wait_until_active(&server, "shed");
    }
    board.run("muster-agent-uninstall --purge").ok();
    assert_eq!(board.run("pgrep -f '^/usr/local/bin/muster-agent' || true").ok(), "", "it was stopped");
    assert_same(&board.run(TRACES).ok(), &before);
}

#[test]
#[ignore = "fetches a Debian: runs with `./test.sh --all`"]
fn under_systemd_the_hardened_unit_reaches_all_that_it_has_to() {
    let (engine, agents) = (Engine::start("tower"), Agents::built());
    let server = server(&agents);
    engine.run("web");
    let mut board = Board::debian_with_systemd("curl,ca-certificates,procps").with_engine(&engine);
    board.start();
    board.run("groupadd --gid $(stat -c %g /run/docker.sock) docker || true").ok();
    let before = board.run(TRACES).ok();
    let installed = board.run(&line(&server, &["--name", "tower"])).ok();
    assert!(installed.contains("is installed and runs"), "{installed}");
    wait_until_active(&server, "tower");
    server.wait_for_state("tower", "web", "running");
    // What the host and its containers use is read from files that the unit has to leave readable.
    server.wait_for_host("tower", "tells its vitals", |host| {
        host["vitals"]["memory_total"].is_number() && host["vitals"]["cpu_percent"].is_number()
    });
    let confined = board.run("grep -E '^(NoNewPrivs|Seccomp|CapBnd):' /proc/$(pgrep -x muster-agent)/status").ok();
    assert_eq!(confined, "CapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2");
    // It is there again with the board, as who it was, and an upgrade that is no good goes back.
    let id = server.host("tower")["id"].clone();
    board.cut_power();
    let last = server.host("tower")["last_seen"].clone();
    board.start();
    server.wait_for_host("tower", "is back", |host| host["last_seen"] != last && host["state"] == "active");
    assert_eq!((&server.host("tower")["id"], server.hosts().len()), (&id, 1));
    let key = agents.public_key();
    for (body, code) in [("exit 1", 1), ("exec /usr/local/bin/muster-agent.previous \"$@\"", 0)] {
        let script = format!("#!/bin/sh\n[ \"$1\" != --version ] || {{ echo 'muster-agent 99.0.0'; exit; }}\n{body}\n");
        agents.publish(&script, "99.0.0");
        board.run_with("muster-agent upgrade --within 20s", &[("MUSTER_RELEASE_KEY", &key)]).exits(code);
        wait_until_active(&server, "tower");
    }
    board.run("muster-agent-uninstall --purge").ok();
    assert_eq!(board.run("pgrep -x muster-agent || true").ok(), "", "it was stopped");
    assert_same(&board.run(TRACES).ok(), &before);
}
