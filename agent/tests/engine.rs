//! The client against a live engine. Runs if MUSTER_TEST_ENGINE names one, `unix:///path`, on which containers
//! may be made and removed; says that it was skipped otherwise. Needs the docker command and a static busybox.

use async_io::Timer;
use futures_lite::future::{self, block_on};
use muster_agent::docker::address::EngineAddress;
use muster_agent::docker::container::{ListElement, parse_list_element, to_container};
use muster_agent::docker::engine::{Element, Engine, EventStream, Line};
use muster_agent::docker::event::parse_event;
use muster_protocol::container::{Health, State};
use muster_protocol::id::EngineId;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

/// An image, a network and containers whose names nobody else uses. Removed at the end, however it comes.
struct Stage {
    host: String,
    name: String,
}

impl Stage {
    fn new(host: String) -> Stage {
        let mut random = [0; 4];
        getrandom::fill(&mut random).expect("randomness");
        let stage = Stage { host, name: format!("muster-test-{:08x}", u32::from_le_bytes(random)) };
        stage.import();
        stage.docker(&["network", "create", &stage.name]);
        stage
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("-H").arg(&self.host).args(args);
        command
    }

    fn docker(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("the docker command");
        assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// Nothing can be pulled, so the image is one static busybox.
    fn import(&self) {
        let tar = Command::new("sh")
            .args(["-c", "d=$(mktemp -d) && mkdir $d/bin && cp /bin/busybox $d/bin/sh && ln -s sh $d/bin/sleep && tar -C $d -c bin && rm -r $d"])
            .output()
            .expect("a shell");
        assert!(tar.status.success(), "no image: {}", String::from_utf8_lossy(&tar.stderr));
        let mut import = self.command(&["import", "-", &self.name]).stdin(Stdio::piped()).spawn().expect("docker");
        import.stdin.take().expect("a pipe").write_all(&tar.stdout).expect("imported");
        assert!(import.wait().expect("docker").success());
    }

    /// `docker ARGS... IMAGE /bin/sh -c SCRIPT` for `run` and `create`.
    fn start(&self, args: &[&str], script: &str) -> EngineId {
        let mut all = args.to_vec();
        all.extend([self.name.as_str(), "/bin/sh", "-c", script]);
        let id = self.docker(&all);
        EngineId::parse(&id).unwrap_or_else(|| panic!("no id: {id}"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for name in CONTAINERS {
            let _ = self.command(&["rm", "-f", &format!("{}-{name}", self.name)]).output();
        }
        let _ = self.command(&["network", "rm", &self.name]).output();
        let _ = self.command(&["rmi", "-f", &self.name]).output();
        let _ = self.command(&["volume", "rm", &self.name]).output();
    }
}

/// The names of all containers, behind the stage's.
const CONTAINERS: [&str; 5] = ["web", "shop", "failed", "never", "looping"];

/// An event as it is compared: engine's time, actor, action.
type Seen = (i64, EngineId, String);

/// Reads events of these containers, network events of theirs too, until one has this action.
async fn events_until(stream: &mut EventStream, ids: &[EngineId], id: EngineId, action: &str, seen: &mut Vec<Seen>) {
    let read = async {
        loop {
            let line = stream.next().await.expect("a stream").expect("no end");
            let Line::Whole(json) = line else { panic!("an event too large") };
            let line = parse_event(json).expect("an event");
            let Some(event) = line.event() else { continue };
            let Some(of) = event.container_id().filter(|of| ids.contains(of)) else { continue };
            seen.push((event.time_nano, event.actor, event.action.to_owned()));
            if of == id && event.action == action {
                return true;
            }
        }
    };
    let late = async {
        Timer::after(Duration::from_secs(60)).await;
        false
    };
    assert!(future::or(read, late).await, "no {action}; seen: {seen:?}");
}

async fn listed<T>(engine: &Engine, id: EngineId, read: impl FnOnce(&ListElement<'_>) -> T) -> T {
    let mut list = engine.list().await.expect("a list");
    let mut found = None;
    while let Some(element) = list.next().await.expect("an element") {
        let Element::Whole(json) = element else { continue };
        if parse_list_element(json).expect("an element").id == id {
            found = Some(json.to_vec());
        }
    }
    read(&parse_list_element(&found.expect("listed")).expect("an element"))
}

#[test]
fn a_live_engine() {
    let Ok(host) = std::env::var("MUSTER_TEST_ENGINE") else {
        println!("skipped: set MUSTER_TEST_ENGINE=unix:///path of an engine to be tested with");
        return;
    };
    let engine = Engine::new(EngineAddress::parse(&host).expect("an address"));
    let stage = Stage::new(host);
    block_on(live(&engine, &stage));
}

async fn live(engine: &Engine, stage: &Stage) {
    let version = engine.negotiate().await.expect("a version");
    println!("engine {} on {} {}, API {}", version.version, version.os, version.arch, version.api);
    assert!(!version.version.is_empty() && version.os == "linux");
    assert!(engine.info().await.expect("info").starts_with(b"{"));

    let mut stream = engine.events().await.expect("events");
    let label = format!("test={}", stage.name);
    let volume = format!("{}:/data:ro", stage.name);
    let name = |what: &str| format!("{}-{what}", stage.name);
    let web = stage.start(
        &[
            "run",
            "-d",
            "--name",
            &name("web"),
            "-l",
            &label,
            "-v",
            &volume,
            "--health-cmd=exit 0",
            "--health-interval=1s",
        ],
        "while :; do sleep 1; done",
    );
    let failed = stage.start(&["run", "-d", "--name", &name("failed")], "exit 3");
    let never = stage.start(&["create", "--name", &name("never")], "exit 0");
    let looping = stage.start(&["run", "-d", "--restart=always", "--name", &name("looping")], "exit 1");
    let ids = [web, failed, never, looping];
    let mut seen = Vec::new();
    events_until(&mut stream, &ids, web, "health_status: healthy", &mut seen).await;

    let (_, details) = engine.inspect(web).await.expect("an answer").expect("exists");
    assert_eq!((details.state, details.health, details.exit_code), (State::Running, Health::Healthy, None));
    assert!(details.started_ms.is_some());
    let print = listed(engine, web, |element| {
        let container = to_container(element, &details, false);
        assert_eq!((container.name, container.image), (name("web").as_str(), stage.name.as_str()));
        assert!(container.labels.contains(&("test", stage.name.as_str())));
        let mount = &container.mounts[0];
        assert_eq!((mount.destination, mount.kind, mount.source), ("/data", "volume", stage.name.as_str()));
        assert!(!mount.writable);
        element.fingerprint()
    })
    .await;
    assert_eq!(listed(engine, web, |element| element.fingerprint()).await, print, "nothing has changed");
    let one = engine.list_one(web).await.expect("an answer").expect("exists");
    assert_eq!(parse_list_element(&one).expect("an element").fingerprint(), print);

    stage.docker(&["network", "connect", &stage.name, &name("web")]);
    events_until(&mut stream, &ids, web, "connect", &mut seen).await;
    listed(engine, web, |element| {
        let container = to_container(element, &details, false);
        assert!(container.networks.iter().any(|network| network.name == stage.name && !network.ipv4.is_empty()));
        assert_ne!(element.fingerprint(), print);
    })
    .await;
    stage.docker(&["pause", &name("web")]);
    assert_eq!(engine.inspect(web).await.expect("an answer").expect("exists").1.state, State::Paused);
    stage.docker(&["unpause", &name("web")]);
    stage.docker(&["rename", &name("web"), &name("shop")]);
    stage.docker(&["update", "--restart=no", &name("shop")]);
    stage.docker(&["restart", "-t", "0", &name("shop")]);
    stage.docker(&["kill", &name("shop")]);
    events_until(&mut stream, &ids, web, "kill", &mut seen).await;
    stage.docker(&["wait", &name("shop")]);
    let killed = engine.inspect(web).await.expect("an answer").expect("exists").1;
    assert_eq!((killed.state, killed.exit_code), (State::Exited, Some(137)));

    let (_, exited) = engine.inspect(failed).await.expect("an answer").expect("exists");
    assert_eq!((exited.state, exited.exit_code), (State::Exited, Some(3)));
    assert!(exited.finished_ms >= exited.started_ms);
    let (_, created) = engine.inspect(never).await.expect("an answer").expect("exists");
    assert_eq!((created.state, created.exit_code, created.started_ms), (State::Created, None, None));
    let (_, restarted) = engine.inspect(looping).await.expect("an answer").expect("exists");
    assert!(restarted.restart_count > 0);

    for what in ["shop", "failed", "never", "looping"] {
        stage.docker(&["rm", "-f", &name(what)]);
    }
    for id in [web, failed, never, looping] {
        assert_eq!(engine.inspect(id).await, Ok(None));
        assert_eq!(engine.list_one(id).await, Ok(None));
    }
    events_until(&mut stream, &ids, looping, "destroy", &mut seen).await;
    compare(stage, &ids, &seen);
    replay(engine, &ids, looping, &seen).await;
}

/// The same as `docker events` says of these containers, but for what is left out on purpose.
fn compare(stage: &Stage, ids: &[EngineId], seen: &[Seen]) {
    let until = stage.docker(&["info", "--format", "{{.SystemTime}}"]);
    let lines = stage.docker(&["events", "--since", "1", "--until", &until, "--format", "{{json .}}"]);
    let mut theirs = Vec::new();
    for line in lines.lines() {
        let json: serde_json::Value = serde_json::from_str(line).expect("json");
        let id = |value: &serde_json::Value| EngineId::parse(value.as_str().unwrap_or_default());
        let actor = &json["Actor"];
        let of = if json["Type"] == "network" { &actor["Attributes"]["container"] } else { &actor["ID"] };
        let action = json["Action"].as_str().expect("an action");
        let left_out = ["exec_create", "exec_start", "exec_die", "attach", "mount", "unmount"];
        if id(of).is_some_and(|of| ids.contains(&of)) && !left_out.iter().any(|name| action.starts_with(name)) {
            let time = json["timeNano"].as_i64().expect("a time");
            theirs.push((time, id(&actor["ID"]).expect("an id"), action.to_owned()));
        }
    }
    // The engine remembers 256 events; a long test may have pushed out the first.
    let first = theirs.first().expect("events").clone();
    let from = seen.iter().position(|one| *one == first).expect("the engine's first is among ours");
    assert_eq!(&seen[from..], theirs.as_slice());
    for action in ["create", "start", "die", "connect", "disconnect", "pause", "unpause", "rename", "restart", "kill"] {
        assert!(seen.iter().any(|(_, _, name)| name == action), "no {action}");
    }
    println!("{} events, {} of them compared", seen.len(), theirs.len());
}

/// A second subscription begins with what the engine remembers.
async fn replay(engine: &Engine, ids: &[EngineId], last: EngineId, seen: &[Seen]) {
    let mut stream = engine.events().await.expect("events");
    let mut again = Vec::new();
    events_until(&mut stream, ids, last, "destroy", &mut again).await;
    assert!(seen.ends_with(&again), "{again:?}");
}
