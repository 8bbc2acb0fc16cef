//! Whoever is to be told is told once of what happened and nobody asked for, and once that it is over: by HTTP and by
//! mail, however targets and the server come and go.

use muster_tests::mail::{MailServer, PASSWORD, USER};
use muster_tests::sink::Sink;
use muster_tests::wait::{eventually_within, when};
use muster_tests::{Agent, Engine, Server, eventually, text, texts};
use serde_json::Value;
use std::time::Duration;

/// What a sink was told: `turn rule host/container`, in order.
fn told(sink: &Sink) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    let mut told = Vec::new();
    for request in sink.received() {
        let notice = request.json();
        let id = text(&notice, "id").to_owned();
        assert_eq!(request.header("x-muster-id"), Some(id.as_str()));
        assert!(!seen.contains(&id), "the same notice again: {notice}");
        seen.push(id);
        for alert in notice["alerts"].as_array().expect("alerts") {
            let who = alert["container"].as_str().unwrap_or("-");
            told.push(format!("{} {} {}/{who}", text(alert, "turn"), text(alert, "rule"), text(alert, "host")));
        }
    }
    told
}

fn wait_until_told(sink: &Sink, what: &str) {
    eventually(what, || when(told(sink).iter().any(|line| line == what), told(sink)));
}

fn quick(server: &Server) {
    server.muster(&["alerts", "group", "--wait", "0s", "--interval", "0s"]).ok();
    server.muster(&["alerts", "rules", "crashed", "--for", "2s", "--clear", "2s"]).ok();
    server.muster(&["alerts", "rules", "host_away", "--clear", "0s"]).ok();
    // This machine's own disk and processor are no matter of these tests.
    for own in ["disk", "hot"] {
        server.muster(&["alerts", "rules", own, "--off"]).ok();
    }
}

fn alerts(server: &Server) -> Vec<Value> {
    server.json(&["alerts", "--all"])
}

#[test]
fn what_nobody_asked_for_is_told_once_and_what_was_asked_for_is_not() {
    let server = Server::start();
    let sink = Sink::start();
    quick(&server);
    let secret = server.data_file("secret");
    std::fs::write(&secret, "hush\n").expect("written");
    let added = server.muster(&["alerts", "to", "webhook", "ops", &sink.url("/hook"), "--secret-file", &secret]).ok();
    assert!(!added.contains("can be read on its way"), "it stays on this machine: {added}");
    // It has no engine, and goes at once: the server's grace is the longest wait here.
    let mut away = Agent::new("unix:///nowhere/docker.sock");
    away.join_with(&server.join_string(&["--name", "attic"])).ok();
    away.start();
    server.wait_for_host("attic", "is active", |host| host["state"] == "active");
    away.kill();

    let engine = Engine::start("alpha");
    engine.run_with("failed-before", &[], &["sh", "-c", "exit 3"]);
    eventually("it has failed", || when(engine.inspect("failed-before")["State"]["Running"] == false, ""));
    let _agent = Agent::join(&server, &engine);
    server.settle("alpha", &engine);
    for name in ["stopped", "killed", "restarted", "updated"] {
        engine.run(name);
    }
    engine.docker(&["stop", "-t", "0", "stopped"]);
    engine.docker(&["kill", "killed"]);
    engine.docker(&["restart", "-t", "0", "restarted"]);
    engine.docker(&["rm", "-f", "updated"]);
    engine.run("updated");
    engine.run_with("fine", &[], &["true"]);
    let greedy = engine.starve("greedy");
    engine.run_with("bad", &[], &["sh", "-c", "exit 3"]);
    wait_until_told(&sink, "began crashed alpha/bad");
    wait_until_told(&sink, "began oom alpha/greedy");
    let crash = alerts(&server).into_iter().find(|alert| alert["container"] == "bad").expect("it is listed");
    assert_eq!((text(&crash, "severity"), text(&crash["attributes"], "exit_code")), ("critical", "3"));
    assert_eq!(text(&crash, "text"), "bad on alpha crashed: exit code 3");
    eventually("it is known to be delivered", || {
        let all = alerts(&server);
        let it = all.iter().find(|alert| alert["id"] == crash["id"]).map(|it| it["delivered"].clone());
        when(it == Some(serde_json::json!([{"to": "ops", "state": "delivered"}])), it)
    });
    engine.docker(&["rm", "bad"]);
    wait_until_told(&sink, "ended crashed alpha/bad");

    wait_until_told_late(&sink, "began host_away attic/-");
    away.start();
    wait_until_told(&sink, "ended host_away attic/-");
    let mut all = told(&sink);
    // Of a first one whose engine did not hear of it nobody can tell that from a crash; but of this one.
    all.retain(|line| !line.ends_with(" crashed alpha/greedy"));
    let of_greedy = alerts(&server).into_iter().filter(|alert| alert["container_id"] == greedy.as_str());
    assert_eq!(texts(&of_greedy.collect::<Vec<_>>(), "rule"), ["oom"]);
    all.sort();
    let expected = [
        "began crashed alpha/bad",
        "began host_away attic/-",
        "began oom alpha/greedy",
        "ended crashed alpha/bad",
        "ended host_away attic/-",
    ];
    assert_eq!(all, expected);
    let request = sink.received().remove(0);
    assert_eq!((request.line.as_str(), request.header("content-type")), ("POST /hook", Some("application/json")));
    assert!(request.header("x-muster-signature").is_some_and(|it| it.starts_with("sha256=") && it.len() == 71));
    let shown = server.muster(&["alerts", "to", "ls", "--format", "json"]).ok();
    assert!(!shown.contains("hush") && !shown.contains("/hook"), "{shown}");
}

/// A minute of grace is behind it.
fn wait_until_told_late(sink: &Sink, what: &str) {
    eventually_within(Duration::from_secs(150), what, || when(told(sink).iter().any(|line| line == what), told(sink)));
}

#[test]
fn neither_a_target_that_is_down_nor_a_server_that_dies_loses_or_doubles_a_notice() {
    let mut server = Server::start();
    let port = Sink::start().port();
    let other = Sink::start();
    quick(&server);
    server.muster(&["alerts", "to", "webhook", "down", &format!("http://127.0.0.1:{port}/")]).ok();
    server.muster(&["alerts", "to", "webhook", "other", &other.url("/")]).ok();
    let engine = Engine::start("alpha");
    let _agent = Agent::join(&server, &engine);
    server.settle("alpha", &engine);
    engine.run_with("first", &[], &["sh", "-c", "exit 1"]);
    wait_until_told(&other, "began crashed alpha/first");
    server.crash();
    engine.run_with("second", &[], &["sh", "-c", "exit 1"]);
    wait_until_told(&other, "began crashed alpha/second");
    let waiting = alerts(&server).into_iter().map(|alert| alert["delivered"].clone()).collect::<Vec<_>>();
    assert!(waiting.iter().all(|it| it.to_string().contains(r#"{"state":"waiting","to":"down"}"#)), "{waiting:?}");
    // Killed between what happens and its notice: the end is seen by nobody before the server is back.
    engine.run_with("third", &[], &["sh", "-c", "exit 1"]);
    server.wait_for_actions("alpha", "third", &["die"]);
    server.crash();
    let sink = Sink::start_at(port);
    let expected = ["began crashed alpha/first", "began crashed alpha/second", "began crashed alpha/third"];
    eventually("all is told in order", || when(told(&sink) == expected, told(&sink)));
    eventually("the other is told, too", || when(told(&other) == expected, told(&other)));
    eventually("nothing waits", || {
        let targets = server.json(&["alerts", "to", "ls"]);
        when(targets.iter().all(|it| it["waiting"] == 0 && it["delivered"] == 3 && it["dropped"] == 0), &targets)
    });
}

#[test]
fn what_ended_before_its_host_joined_is_no_alert_behind_a_restart_either() {
    let mut server = Server::start();
    quick(&server);
    let engine = Engine::start("alpha");
    engine.run_with("before", &[], &["sh", "-c", "exit 3"]);
    eventually("it has failed", || when(engine.inspect("before")["State"]["Running"] == false, ""));
    let _agent = Agent::join(&server, &engine);
    server.settle("alpha", &engine);
    // Its engine remembers it, so the history has it.
    server.wait_for_actions("alpha", "before", &["die"]);
    server.crash();
    engine.run_with("behind", &[], &["sh", "-c", "exit 3"]);
    eventually("it is an alert", || {
        let all = alerts(&server);
        when(all.iter().any(|alert| alert["container"] == "behind" && alert["until"].is_null()), all)
    });
    // What is older would have been one before.
    assert_eq!(texts(&alerts(&server), "container"), ["behind"]);
}

/// What is set of alerts: settings, targets and silences.
fn what_is_set(server: &Server) -> Vec<Value> {
    let get = |what: &str| {
        let path = format!("/api/v1/alerts/{what}");
        let (status, body) = server.api("GET", &path, Some(&server.admin_token()), None);
        assert_eq!(status, 200, "{body}");
        body
    };
    ["settings", "targets", "silences"].map(get).into()
}

#[test]
fn what_operators_set_survives_a_kill_and_what_makes_no_sense_is_said_in_one_line() {
    let mut server = Server::start();
    let attic = Agent::new("unix:///nowhere/docker.sock");
    attic.join_with(&server.join_string(&["--name", "attic"])).ok();
    let secret = server.data_file("secret");
    std::fs::write(&secret, "hush\n").expect("written");
    let hook = "http://127.0.0.1:9/hook";
    let mail = ["email", "mail", "--server", "localhost:9", "--tls", "none", "--from", "a@localhost"];
    let mail = [&["alerts", "to"][..], &mail, &["--to", "somebody@localhost"]].concat();
    for set in [
        &["alerts", "rules", "disk", "--at", "95", "--for", "5m"][..],
        &["alerts", "rules", "hot", "--off"],
        &["alerts", "quiet", "22:00-07:00", "--zone", "+01:00", "--drop"],
        &["alerts", "group", "--wait", "7s", "--interval", "3m"],
        &["alerts", "silence", "--host", "attic", "--for", "2h", "--why", "new roof"],
        &["alerts", "to", "webhook", "ops", hook, "--secret-file", &secret],
        &mail,
    ] {
        server.muster(set).ok();
    }
    let before = what_is_set(&server);
    server.crash();
    assert_eq!(what_is_set(&server), before);
    let shown = server.muster(&["alerts", "to", "ls"]).ok();
    assert!(shown.contains("s...@localhost") && !shown.contains("somebody"), "{shown}");

    for (wrong, why) in [
        (&["silence", "--host", "attik", "--for", "1h"][..], "no host has the name or id \"attik\""),
        (&["to", "webhook", "x", "example.org/hook"], "is no URL; give one such as https://example.org/hook"),
        (&["to", "webhook", "x", "ftp://example.org/"], "neither http:// nor https://"),
        (&["to", "rm", "nobody"], "no target is called \"nobody\""),
        (&["test", "nobody"], "no target is called \"nobody\""),
        (&["unsilence", "00000000"], "no silence has the id"),
    ] {
        let refused = server.muster(&[&["alerts"], wrong].concat());
        assert!(refused.stderr.contains(why) && refused.stderr.trim().lines().count() == 1, "{}", refused.stderr);
        assert_ne!(refused.code, 0, "{wrong:?}");
    }
    assert_eq!(what_is_set(&server), before);
    // The secret of the one before is not the new one's.
    let replaced = server.muster(&["alerts", "to", "webhook", "ops", hook]).ok();
    assert!(replaced.contains("ops (replaced; the secret that it had is not kept)"), "{replaced}");
}

#[test]
fn mail_goes_out_with_tls_and_a_login_and_ntfy_is_told() {
    let mail = MailServer::start();
    let sink = Sink::start();
    let mut server = Server::start();
    server.stop();
    server.environment.push(("SSL_CERT_FILE".into(), mail.certificate()));
    server.start_again();
    let password = server.data_file("password");
    let add = |given: &str| {
        std::fs::write(&password, given).expect("written");
        let flags = [
            "alerts",
            "to",
            "email",
            "mail",
            "--server",
            &mail.address(),
            "--from",
            "Muster <muster@localhost>",
            "--to",
            "ops@localhost",
            "--user",
            USER,
            "--password-file",
            &password,
        ];
        server.muster(&flags).ok()
    };
    assert_eq!(add("wrong"), "mail");
    let refused = server.muster(&["alerts", "test", "mail"]);
    refused.exits(1);
    let problem = server.api("POST", "/api/v1/alerts/test", Some(&server.admin_token()), None).1["items"][0].clone();
    assert!(problem["delivered"] == false && text(&problem, "problem").contains("535"), "{problem}");
    assert_eq!(add(PASSWORD), "mail (replaced)");
    server.muster(&["alerts", "to", "ntfy", "phone", "fleet", "--server", &sink.url(""), "--priority", "4"]).ok();
    let tests = server.json(&["alerts", "test"]);
    assert_eq!(texts(&tests, "to"), ["mail", "phone"]);
    assert!(tests.iter().all(|it| it["delivered"] == true), "{tests:?}");
    eventually("the mail is there", || {
        let inbox = mail.inbox();
        let is_there = inbox.contains("Subject: Muster: this is a test")
            && inbox.contains("Envelope-to: ops@localhost")
            && inbox.contains("Auto-Submitted: auto-generated");
        when(is_there && mail.log().contains("A=plain:muster"), mail.log())
    });
    let message = sink.received()[0].json();
    assert_eq!((text(&message, "topic"), &message["priority"]), ("fleet", &Value::from(4)));
    // Who is not trusted gets nothing.
    server.stop();
    server.environment.clear();
    server.start_again();
    let untrusted = server.muster(&["alerts", "test", "mail"]);
    untrusted.exits(1);
    assert_eq!(mail.inbox().matches("Subject:").count(), 1);
    let plain =
        ["alerts", "to", "email", "x", "--server", "mail.example.org", "--tls", "none", "--from", "a@b", "--to", "c@d"];
    server.muster(&plain).refuses(1);
}
