//! The history is bounded: whole files go, the oldest first, and it says where it begins.

use muster_tests::{Agent, Engine, Server, eventually, text};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

/// The files of the history, by the id of their first event, and the bytes that they take.
///
/// The server may delete the oldest between its name and its size; such a file is gone.
fn files(server: &Server) -> Vec<(u64, u64)> {
    let entries = fs::read_dir(server.data_file("history")).expect("a history");
    let mut files: Vec<(u64, u64)> = entries
        .filter_map(|entry| {
            let entry = entry.expect("a name");
            let about = match entry.metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => return None,
                about => about.expect("a file"),
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            let first = name.trim_end_matches(".redb").rsplit('-').next().and_then(|id| id.parse().ok());
            Some((first.expect("an id"), about.blocks() * 512))
        })
        .collect();
    files.sort_unstable();
    files
}

#[test]
fn a_history_that_is_too_large_loses_its_oldest_files() {
    let engine = Engine::start("alpha");
    let mut server = Server::start_with(&["--history-size", "1MB", "--history-days", "3"]);
    let _agent = Agent::join(&server, &engine);
    // Each event of it brings 3 KB.
    let labels: Vec<String> = (0..12).map(|number| format!("--label=weight{number}={}", "x".repeat(240))).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let id = engine.run_with("heavy", &labels, &["live"]);
    server.wait_for_actions("alpha", &id, &["start"]);
    assert_eq!(files(&server).first().map(|file| file.0), Some(1));
    assert_eq!(server.get("/api/v1/events")["history_begins"], serde_json::Value::Null);

    let mut rounds = 0;
    while files(&server)[0].0 == 1 {
        assert!(rounds < 100, "nothing is deleted: {:?}", files(&server));
        rounds += 1;
        for _ in 0..5 {
            engine.docker(&["rename", "heavy", "moved"]);
            engine.docker(&["rename", "moved", "heavy"]);
        }
        server.wait_for_state("alpha", "heavy", "running");
    }
    let marker = engine.run("marker");
    server.wait_for_actions("alpha", &marker, &["start"]);
    // Files go behind the commit that is shown.
    eventually("it is within its size", || {
        let size: u64 = files(&server).iter().map(|(_, bytes)| bytes).sum();
        if size <= 1024 * 1024 { Ok(()) } else { Err(format!("{size} bytes")) }
    });
    assert!(files(&server).len() > 2, "it goes piece by piece");

    let check = |server: &Server| {
        let first = files(server)[0].0;
        let all = server.all_items("/api/v1/events", 500);
        assert_eq!(all[0]["id"].as_u64(), Some(first), "what is kept is whole");
        let ids: Vec<u64> = all.iter().filter_map(|event| event["id"].as_u64()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{ids:?}");
        let begins = server.get("/api/v1/events")["history_begins"].clone();
        assert_eq!(begins, all[0]["received_at"], "and it says from when on");
        let said = server.muster(&["events", "--host", "alpha"]);
        said.ok();
        assert!(said.stderr.contains(&format!("the history begins at {}", text(&all[0], "received_at"))), "{said:?}");
        let said = server.muster(&["events", "--since", &format!("{}", i64::from(u32::MAX))]);
        said.ok();
        assert!(!said.stderr.contains("begins"), "who asks for less is told nothing: {said:?}");
    };
    check(&server);
    server.crash();
    check(&server);
    engine.docker(&["rm", "-f", "marker"]);
    eventually("it goes on", || match server.find_container("alpha", "marker") {
        None => Ok(()),
        Some(one) => Err(one.to_string()),
    });
    server.wait_for_actions("alpha", &marker, &["destroy"]);
}
