//! The real docker command line looks at the whole fleet, and changes nothing.

use muster_tests::place::Place;
use muster_tests::process::{Process, Ran};
use muster_tests::{Agent, Engine, Server, eventually, wait};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// How many seconds one docker command may take.
const COMMAND_LIMIT: u32 = 60;

/// A fleet of two hosts, and where its Docker API is.
struct Fleet {
    docker: Docker,
    agents: Vec<Agent>,
    engines: Vec<Engine>,
    server: Server,
}

/// A docker command line, and what it talks to.
#[derive(Clone)]
struct Docker {
    program: String,
    environment: Vec<(String, String)>,
}

impl Docker {
    fn at(url: &str) -> Docker {
        Docker { program: "docker".into(), environment: vec![("DOCKER_HOST".into(), url.into())] }
    }

    fn try_run(&self, arguments: &[&str]) -> Ran {
        let environment: Vec<(&str, &str)> = self.environment.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        Ran::of(&self.program, arguments, &environment, COMMAND_LIMIT)
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        self.try_run(arguments).ok()
    }

    /// The lines of `docker ps` with these flags, one field or more each, sorted.
    #[track_caller]
    fn ps(&self, format: &str, flags: &[&str]) -> Vec<String> {
        let mut arguments = vec!["ps", "--format", format];
        arguments.extend(flags);
        let mut lines: Vec<String> = self.run(&arguments).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[track_caller]
    fn names(&self, flags: &[&str]) -> Vec<String> {
        self.ps("{{.Names}}", flags)
    }

    #[track_caller]
    fn inspect(&self, container: &str) -> Value {
        serde_json::from_str::<Value>(&self.run(&["inspect", container])).expect("JSON")[0].take()
    }

    /// Events from now on, on standard output.
    fn follow(&self, server: &Server, flags: &[&str]) -> Process {
        let mut command = Command::new(&self.program);
        command.args(["events", "--format", "{{json .}}"]).args(flags);
        command.envs(self.environment.iter().map(|(k, v)| (k, v)));
        Process::start_read("docker events", &mut command, &server.data_file("../events.log"))
    }
}

fn start(flags: &[&str]) -> (Server, String) {
    let mut server = Server::start_with(flags);
    let line = server.process().line(wait::PATIENCE).unwrap_or_default();
    let url = line.strip_prefix("docker ").unwrap_or_else(|| panic!("not where the Docker API is: {line:?}"));
    (server, url.to_owned())
}

fn two_hosts(flags: &[&str]) -> Fleet {
    let (server, url) = start(flags);
    let engines = vec![Engine::start("boat-1"), Engine::start("boat-2")];
    let agents = engines.iter().map(|engine| Agent::join_every("3s", &server, engine)).collect();
    engines[0].run_with("web", &["--label", "tier=front", "--restart", "always"], &["live"]);
    engines[1].run_with("web", &["--label", "tier=back"], &["live"]);
    engines[0].run("lamp");
    engines[1].docker(&["create", "--name", "never", muster_tests::engine::IMAGE, "live"]);
    server.wait_for_state("boat-1", "lamp", "running");
    server.wait_for_state("boat-1", "web", "running");
    server.wait_for_state("boat-2", "web", "running");
    server.wait_for_state("boat-2", "never", "created");
    Fleet { docker: Docker::at(&url), agents, engines, server }
}

#[test]
fn the_docker_command_line_looks_at_all_hosts() {
    let mut fleet = two_hosts(&["--docker-listen", "127.0.0.1:0"]);
    look_at_all(&fleet.docker, &fleet);
    // The system's own one, where another one is installed before it.
    let own = Docker { program: "/usr/bin/docker".into(), ..fleet.docker.clone() };
    if own.run(&["version", "--format", "{{.Client.Version}}"])
        != fleet.docker.run(&["version", "--format", "{{.Client.Version}}"])
    {
        look_at_all(&own, &fleet);
    }
    follow_events(&fleet.docker, &fleet);
    a_host_is_away(&fleet.docker.clone(), &mut fleet);
}

fn look_at_all(docker: &Docker, fleet: &Fleet) {
    // Names as Swarm had them.
    assert_eq!(docker.names(&[]), ["boat-1/lamp", "boat-1/web", "boat-2/web"]);
    assert_eq!(docker.names(&["-a"]), ["boat-1/lamp", "boat-1/web", "boat-2/never", "boat-2/web"]);
    for (filter, names) in [
        ("name=web", &["boat-1/web", "boat-2/web"][..]),
        ("name=^boat-2/", &["boat-2/web"]),
        ("label=tier=front", &["boat-1/web"]),
        ("label=tier", &["boat-1/web", "boat-2/web"]),
        ("status=created", &["boat-2/never"]),
        ("health=none", &["boat-1/lamp", "boat-1/web", "boat-2/web"]),
        ("health=unhealthy", &[]),
        ("node=boat-1", &["boat-1/lamp", "boat-1/web"]),
    ] {
        assert_eq!(docker.names(&["--filter", filter]), names, "{filter}");
    }
    let id = fleet.engines[0].inspect("lamp")["Id"].as_str().expect("an id").to_owned();
    assert_eq!(docker.names(&["--filter", &format!("id={}", &id[..12])]), ["boat-1/lamp"]);
    assert_eq!(docker.names(&["-n", "1"]).len(), 1);
    let refused = docker.try_run(&["ps", "--filter", "ancestor=probe"]);
    refused.exits(1);
    assert!(refused.stderr.contains("invalid filter 'ancestor'"), "{}", refused.stderr);
    assert!(docker.try_run(&["ps", "--filter", "node=nowhere"]).exits(1).stderr.contains("nowhere"));
    // As the engine itself says it.
    let engine =
        fleet.engines[0].docker(&["ps", "--no-trunc", "--format", "{{.ID}} {{.Image}} {{.Command}} {{.Ports}}"]);
    let mut engine: Vec<&str> = engine.lines().collect();
    engine.sort_unstable();
    assert_eq!(docker.ps("{{.ID}} {{.Image}} {{.Command}} {{.Ports}}", &["--no-trunc", "-f", "node=boat-1"]), engine);
    for status in docker.ps("{{.Status}}", &[]) {
        assert!(status.starts_with("Up ") && !status.contains('('), "{status}");
    }

    // A container by whatever means one.
    let truth = fleet.engines[0].inspect("lamp");
    for reference in ["boat-1/lamp", "/boat-1/lamp", "lamp", &id, &id[..12]] {
        let seen = docker.inspect(reference);
        assert_eq!((&seen["Id"], &seen["Image"]), (&truth["Id"], &truth["Image"]), "{reference}");
        assert_eq!((&seen["Name"], &seen["Node"]["Name"]), (&"/boat-1/lamp".into(), &"boat-1".into()));
        assert_eq!(seen["State"]["Running"], true);
        assert!(seen["Config"].get("Env").is_none() && seen.get("Path").is_none(), "never collected: {seen}");
    }
    assert_eq!(docker.inspect("boat-2/web")["Config"]["Labels"]["tier"], "back");
    let ambiguous = docker.try_run(&["inspect", "web"]);
    ambiguous.exits(1);
    assert!(ambiguous.stderr.contains("boat-1/web, boat-2/web"), "{}", ambiguous.stderr);
    let missing = docker.try_run(&["inspect", "nothing"]);
    assert!(missing.exits(1).stderr.contains("No such object"), "{}", missing.stderr);

    // Numbers as the command line computes them.
    eventually("stats of boat-1/lamp", || {
        let line = docker.run(&[
            "stats",
            "--no-stream",
            "--format",
            "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}",
            "boat-1/lamp",
        ]);
        let words: Vec<&str> = line.split(' ').collect();
        let known = words.len() == 6 && words[0] == "boat-1/lamp" && words[1].ends_with('%') && words[5] != "0";
        if known && words[2] != "0B" { Ok(()) } else { Err(line) }
    });
    let all = docker.run(&["stats", "--no-stream", "--format", "{{.Name}}"]);
    assert_eq!(all.lines().count(), 3, "{all}");

    let mut command = Command::new(&docker.program);
    command.args(["stats", "--format", "{{.Name}}={{.CPUPerc}}", "boat-2/web"]);
    command.envs(docker.environment.iter().map(|(k, v)| (k, v)));
    let mut stats = Process::start_read("docker stats", &mut command, &fleet.server.data_file("../stats.log"));
    let mut shown = 0;
    eventually("stats that go on", || {
        let line = stats.line(Duration::from_secs(5)).unwrap_or_default();
        shown += usize::from(line.contains("boat-2/web=") && line.contains('%'));
        if shown >= 3 { Ok(()) } else { Err(line) }
    });
    stats.kill();

    // The fleet as one engine, and each host by a path.
    assert_eq!(
        docker.run(&["info", "--format", "{{.Containers}} {{.ContainersRunning}} {{.ContainersStopped}}"]),
        "4 3 1"
    );
    assert!(docker.run(&["info"]).contains("boat-2: active"));
    assert!(!docker.try_run(&["info"]).stderr.contains("WARNING"), "nothing is wrong");
    assert!(docker.run(&["version"]).contains("Muster"));
    let one = Docker {
        environment: vec![("DOCKER_HOST".into(), format!("{}/boat-2", docker.environment[0].1))],
        ..docker.clone()
    };
    assert_eq!(one.names(&["-a"]), ["never", "web"]);
    assert_eq!(one.inspect("web")["Config"]["Labels"]["tier"], "back");
    assert_eq!(one.run(&["info", "--format", "{{.Name}}"]), "boat-2");
    let engine = fleet.engines[1].docker(&["version", "--format", "{{.Server.Version}}"]);
    assert!(one.run(&["version"]).contains(&engine));
    assert!(one.try_run(&["inspect", "lamp"]).exits(1).stderr.contains("No such"));

    // What would change something is refused with the place to do it.
    let sentence = |refused: Ran, code: i32, part: &str| {
        assert!(refused.exits(code).stderr.contains(part), "{part}: {}", refused.stderr);
    };
    sentence(
        docker.try_run(&["stop", "lamp"]),
        1,
        "muster only looks: run this on the host, e.g. `ssh boat-1 docker stop lamp`",
    );
    sentence(docker.try_run(&["rm", "-f", "boat-2/web"]), 1, "`ssh boat-2 docker rm web`");
    sentence(docker.try_run(&["exec", "lamp", "true"]), 1, "`ssh boat-1 docker exec lamp`");
    sentence(docker.try_run(&["restart", "web"]), 1, "boat-1/web, boat-2/web");
    sentence(docker.try_run(&["run", "probe"]), 125, "muster only looks");
    sentence(one.try_run(&["pull", "probe"]), 1, "`ssh boat-2 docker pull`");
    sentence(docker.try_run(&["volume", "create", "x"]), 1, "muster only looks");
    sentence(docker.try_run(&["images"]), 1, "muster does not collect images");
    sentence(docker.try_run(&["logs", "lamp"]), 1, "`ssh boat-1 docker logs lamp`");
    assert_eq!(docker.names(&["--filter", "name=lamp"]), ["boat-1/lamp"]);
    let audit = fleet.server.json(&["audit"]);
    assert!(
        audit.iter().any(|row| row["action"] == "denied" && row["target"] == "docker stop boat-1/lamp"),
        "{audit:?}"
    );
}

fn follow_events(docker: &Docker, fleet: &Fleet) {
    let mut live =
        docker.follow(&fleet.server, &["--filter", "node=boat-1", "--filter", "event=die", "--filter", "event=start"]);
    // It has no sign of being ready: so something happens until it is seen.
    let seen = eventually("a live event", || {
        fleet.engines[0].docker(&["restart", "lamp"]);
        live.line(Duration::from_secs(2)).ok_or_else(String::new)
    });
    let event: Value = serde_json::from_str(&seen).expect("JSON");
    assert_eq!(event["Type"], "container", "{event}");
    let attributes = &event["Actor"]["Attributes"];
    assert_eq!((&attributes["node.name"], &attributes["name"]), (&"boat-1".into(), &"lamp".into()), "{event}");
    fleet.engines[0].docker(&["stop", "web"]);
    eventually("the stop of web", || match live.line(Duration::from_secs(2)) {
        Some(line) if line.contains("\"web\"") && line.contains("die") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    live.kill();
    fleet.server.wait_for_state("boat-1", "web", "exited");
    assert!(docker.ps("{{.Names}} {{.Status}}", &["-f", "status=exited"])[0].starts_with("boat-1/web Exited (0) "));

    // The past, which ends by itself.
    eventually("the life of web", || {
        // To the second that has begun: the command line sends whole ones.
        let past = docker.run(&[
            "events",
            "--since",
            "1h",
            "--until",
            "0s",
            "--filter",
            "container=boat-1/web",
            "--format",
            "{{.Action}}",
        ]);
        let actions: Vec<String> = past.lines().map(str::to_owned).collect();
        if muster_tests::in_order(&actions, &["create", "start", "die"]) { Ok(()) } else { Err(past) }
    });
    let joined = docker.run(&["events", "--since", "1h", "--until", "0s", "--filter", "type=node"]);
    assert!(joined.contains("host_joined") && joined.contains("node.name=boat-2"), "{joined}");
    let refused = docker.try_run(&["events", "--since", "1h", "--until", "0s", "--filter", "volume=x"]);
    assert!(refused.exits(1).stderr.contains("invalid filter 'volume'"), "{}", refused.stderr);
}

fn a_host_is_away(docker: &Docker, fleet: &mut Fleet) {
    fleet.agents[1].kill();
    eventually("boat-2 is said to be away", || {
        let status = docker.ps("{{.Status}}", &["-f", "node=boat-2"]).join("\n");
        if status.contains("(host away for ") { Ok(()) } else { Err(status) }
    });
    assert!(!docker.ps("{{.Status}}", &["-f", "node=boat-1"])[0].contains("away"));
    let refused = docker.try_run(&["stats", "--no-stream", "boat-2/web"]);
    assert!(refused.exits(1).stderr.contains("host away"), "{}", refused.stderr);
    assert_eq!(docker.inspect("boat-2/web")["Muster"]["Stale"], true);
    let info = docker.try_run(&["info"]);
    assert!(info.stderr.contains("WARNING: boat-2 is"), "{}", info.stderr);
}

#[test]
fn a_context_has_a_certificate_that_can_be_revoked() {
    let (server, url) = start(&["--docker-listen", "127.0.0.1:0", "--docker-tls"]);
    let engine = Engine::start("boat-1");
    let _agent = Agent::join(&server, &engine);
    engine.run("web");
    server.wait_for_state("boat-1", "web", "running");
    let place = server.data_file("../docker");
    let make = |arguments: &[&str]| {
        let mut all = vec!["docker-context"];
        all.extend(arguments);
        let environment = [("MUSTER_DATA_DIR", server.data_dir()), ("DOCKER_CONFIG", place.clone())];
        let environment = environment.each_ref().map(|(key, value)| (*key, value.as_str()));
        Ran::of(&muster_tests::process::program("muster"), &all, &environment, COMMAND_LIMIT)
    };
    let said = make(&["fleet"]).ok();
    assert!(said.contains("docker --context fleet ps"), "{said}");
    make(&["fleet"]).refuses(1);
    let with = |arguments: &[&str]| {
        let mut all = vec!["--config", place.as_str()];
        all.extend(arguments);
        Ran::of("docker", &all, &[], COMMAND_LIMIT)
    };
    let names = || with(&["--context", "fleet", "ps", "--format", "{{.Names}}"]);
    assert_eq!(names().ok(), "boat-1/web");
    assert_eq!(with(&["context", "inspect", "fleet", "--format", "{{.Name}}"]).ok(), "fleet");

    // Without a certificate, or with one of somebody else's, nobody looks.
    let plain = Ran::of("docker", &["-H", &url, "ps"], &[], COMMAND_LIMIT);
    plain.exits(1);
    let stranger = Ran::of("curl", &["-sSk", &format!("{}/_ping", url.replace("tcp:", "https:"))], &[], COMMAND_LIMIT);
    assert!(stranger.code != 0 && stranger.stderr.contains("certificate required"), "{stranger:?}");

    // Another name of the server, which its certificate has from then on.
    let port = url.rsplit_once(':').expect("a port").1;
    make(&["other", "--docker-host", &format!("tcp://localhost:{port}"), "--days", "2"]).ok();
    assert_eq!(with(&["--context", "other", "ps", "--format", "{{.Names}}"]).ok(), "boat-1/web");
    let clients = server.json(&["docker-context", "ls"]);
    assert_eq!(muster_tests::texts(&clients, "name"), ["fleet", "other"]);

    // Revoked: at once, also what is open.
    let environment = vec![("DOCKER_CONFIG".into(), place.clone()), ("DOCKER_CONTEXT".into(), "fleet".into())];
    let mut open = Docker { program: "docker".into(), environment }.follow(&server, &[]);
    eventually("a live event", || {
        engine.docker(&["restart", "web"]);
        open.line(Duration::from_secs(2)).ok_or_else(String::new)
    });
    let cut = clients[0]["id"].as_str().expect("an id").to_owned();
    let kept = format!("{place}/kept");
    std::fs::create_dir(&kept).expect("a directory");
    Ran::of("cp", &["-r", &format!("{place}/contexts"), &kept], &[], COMMAND_LIMIT).ok();
    assert_eq!(make(&["rm", "fleet"]).ok(), cut);
    eventually("what was open is cut", || open.ended().map(|_| ()).ok_or_else(String::new));
    with(&["context", "inspect", "fleet"]).exits(1);
    let revoked = Ran::of("docker", &["--config", &kept, "--context", "fleet", "ps"], &[], COMMAND_LIMIT);
    assert!(revoked.exits(1).stderr.contains("revoked"), "{}", revoked.stderr);
    assert_eq!(with(&["--context", "other", "ps", "--format", "{{.Names}}"]).ok(), "boat-1/web");
    let audit = muster_tests::texts(&server.json(&["audit"]), "action");
    for action in ["docker_client.make", "docker_client.revoke"] {
        assert!(audit.iter().any(|one| one == action), "{audit:?}");
    }
}

#[test]
fn who_may_ask_is_decided_by_where() {
    // Without TLS only where nobody else gets to.
    let place = Place::new();
    let refused = Ran::of(
        &muster_tests::process::program("muster"),
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--docker-listen",
            "192.0.2.1:2375",
            "--docker-tls=false",
            "--data-dir",
            &place.join("none"),
        ],
        &[],
        COMMAND_LIMIT,
    );
    refused.refuses(1);
    assert!(refused.stderr.contains("without TLS"), "{}", refused.stderr);
    assert!(!std::path::Path::new(&place.join("none")).exists(), "a server that was refused has made nothing");

    let (server, url) = start(&["--docker-listen", "127.0.0.1:0"]);
    let base = url.replace("tcp://", "http://");
    let status = |headers: &[&str]| {
        let mut arguments = vec!["-s", "-o", "/dev/null", "-w", "%{http_code}"];
        for header in headers {
            arguments.extend(["-H", header]);
        }
        let path = format!("{base}/v1.41/containers/json");
        arguments.push(&path);
        Ran::of("curl", &arguments, &[], COMMAND_LIMIT).ok()
    };
    assert_eq!(status(&[]), "200");
    assert_eq!(status(&["Host: localhost:2375"]), "200");
    assert_eq!(status(&["Host: rebound.example"]), "403");
    assert_eq!(status(&["Origin: http://evil.example"]), "403");
    drop(server);

    // A socket file, and a context for it that needs no certificate.
    let place = Place::new();
    let socket = place.join("docker.sock");
    let (server, url) = start(&["--docker-listen", &format!("unix://{socket}")]);
    assert_eq!(url, format!("unix://{socket}"));
    let config = place.join("config");
    let environment = [("MUSTER_DATA_DIR", server.data_dir()), ("DOCKER_CONFIG", config.clone())];
    let environment = environment.each_ref().map(|(key, value)| (*key, value.as_str()));
    Ran::of(&muster_tests::process::program("muster"), &["docker-context", "here"], &environment, COMMAND_LIMIT).ok();
    let info = Ran::of(
        "docker",
        &["--config", &config, "--context", "here", "info", "--format", "{{.Name}}"],
        &[],
        COMMAND_LIMIT,
    );
    assert_eq!(info.ok(), "muster");
}

/// What a client finds that prints `ready` when it follows events, and then what it has found.
fn found_by(mut client: Process, fleet: &Fleet) -> Value {
    let first = client.line(Duration::from_secs(60));
    assert_eq!(first.as_deref(), Some("ready"), "{}", client.log());
    let line = eventually("what the client has found", || {
        fleet.engines[0].docker(&["restart", "lamp"]);
        client.line(Duration::from_secs(2)).ok_or_else(|| client.log())
    });
    serde_json::from_str(&line).expect("JSON")
}

/// What every client finds.
fn check_found(found: &Value, names: &[&str]) {
    let lamp = names[0];
    assert_eq!(found["names"], Value::from(names), "{found}");
    assert_eq!(found["lamp"][0], lamp);
    assert_eq!(found["hosts"], serde_json::json!(["Hosts", "2"]), "{found}");
    assert_eq!(found["live"], "boat-1", "{found}");
    assert_eq!(found["stop"][0], 403, "{found}");
    assert!(found["stop"][1].as_str().is_some_and(|why| why.contains("`ssh boat-1 docker stop lamp`")), "{found}");
    assert!(found["missing"].to_string().contains("No such container: nothing"), "{found}");
    assert!(found["stats"].to_string().contains("boat-1/lamp"), "{found}");
}

#[test]
#[ignore = "downloads the Python docker SDK: run by ./test.sh --all"]
fn the_python_sdk_looks_at_all_hosts() {
    let fleet = two_hosts(&["--docker-listen", "127.0.0.1:0"]);
    let place = Place::new();
    let python = format!("{}/bin/python", place.join("venv"));
    Ran::of("python3", &["-m", "venv", &place.join("venv")], &[], COMMAND_LIMIT).ok();
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "docker==7.1.0"]);
    assert!(
        install.status().expect("pip starts").success(),
        "cannot install the Python docker SDK: is there a network?"
    );
    let mut command = Command::new(&python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/docker_api_sdk.py"));
    muster_tests::process::clean(&mut command).env("DOCKER_HOST", &fleet.docker.environment[0].1);
    let found = found_by(Process::start_read("the SDK", &mut command, &place.join("sdk.log")), &fleet);
    check_found(&found, &["boat-1/lamp", "boat-1/web", "boat-2/never", "boat-2/web"]);
    assert_eq!(found["running"], serde_json::json!(["boat-1/web", "boat-2/web"]), "{found}");
    assert_eq!(found["past"], serde_json::json!(["create", "start"]), "{found}");
}

#[test]
#[ignore = "builds bollard: run by ./test.sh --all"]
fn bollard_looks_at_all_hosts() {
    let place = Place::new();
    let bench = concat!(env!("CARGO_MANIFEST_DIR"), "/../bench");
    let mut build = Command::new(env!("CARGO"));
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| format!("{bench}/../target"));
    build.current_dir(bench).args(["build", "--locked", "--package", "bollard-client", "--target-dir"]);
    assert!(build.arg(format!("{target}/bench")).status().expect("cargo starts").success(), "cannot build bollard");
    let socket = place.join("docker.sock");
    let fleet = two_hosts(&["--docker-listen", &format!("unix://{socket}")]);
    let mut command = Command::new(format!("{target}/bench/debug/bollard-client"));
    command.arg(&socket);
    let found = found_by(Process::start_read("bollard", &mut command, &place.join("bollard.log")), &fleet);
    check_found(&found, &["/boat-1/lamp", "/boat-1/web", "/boat-2/never", "/boat-2/web"]);
    assert_eq!(found["lamp"][1], true, "{found}");
}

#[test]
#[ignore = "downloads packages of other releases: run by ./test.sh --all"]
fn command_lines_of_other_releases_look_at_all_hosts() {
    let fleet = two_hosts(&["--docker-listen", "127.0.0.1:0"]);
    for (suite, oldest) in [("trixie", 26), ("forky", 28)] {
        let packages = muster_tests::debian::Packages::of(suite, &["docker-cli"]);
        let program = packages.path("usr/bin/docker").display().to_string();
        let docker = Docker { program, ..fleet.docker.clone() };
        let version = docker.run(&["version", "--format", "{{.Client.Version}}"]);
        let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default();
        assert!(major >= oldest, "{suite} has {version}");
        look_at_all(&docker, &fleet);
    }
    follow_events(&fleet.docker, &fleet);
}
