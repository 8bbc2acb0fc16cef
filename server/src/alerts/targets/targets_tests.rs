use super::*;
use crate::alerts::notice::Notice;

fn webhook() -> NewAlertTarget {
    let text = |text: &str| Some(text.to_owned());
    NewAlertTarget {
        name: "ops".into(),
        kind: "webhook".into(),
        url: text("https://hooks.example.org/services/T0/SECRET"),
        secret: text("hush"),
        ..NewAlertTarget::default()
    }
}

fn email() -> NewAlertTarget {
    let text = |text: &str| Some(text.to_owned());
    NewAlertTarget {
        name: "mail".into(),
        kind: "email".into(),
        server: text("mail.example.org"),
        user: text("muster"),
        password: text("hush"),
        from: text("Muster <muster@example.org>"),
        to: vec!["a@example.org".into(), "Bea <b@example.org>".into()],
        ..NewAlertTarget::default()
    }
}

fn ntfy() -> NewAlertTarget {
    let (name, kind, topic) = ("phone".into(), "ntfy".into(), Some("fleet".into()));
    NewAlertTarget { name, kind, topic, token: Some("hush".into()), ..NewAlertTarget::default() }
}

#[test]
fn nothing_that_is_shown_has_a_secret() {
    for asked in [webhook(), email(), ntfy()] {
        let target = Target::read(&asked).expect("a target");
        let view = target.view(&asked.name);
        assert!(view.has_secret && !view.plain);
        let shown = format!("{asked:?} {target:?} {view:?} {}", serde_json::to_string(&view).expect("JSON"));
        assert!(!shown.contains("hush") && !shown.contains("SECRET"), "{shown}");
    }
    let view = Target::read(&email()).expect("a target").view("mail");
    assert_eq!((view.address.as_str(), view.to.len()), ("mail.example.org:587", 2));
    assert_eq!(Target::read(&webhook()).expect("a target").view("ops").address, "https://hooks.example.org/...");
    assert_eq!(Target::read(&ntfy()).expect("a target").view("phone").address, "https://ntfy.sh/");
    for (topic, shown) in [("fleet", "f..."), ("my-secret-topic", "my-s...")] {
        let asked = NewAlertTarget { topic: Some(topic.into()), ..ntfy() };
        assert_eq!(Target::read(&asked).expect("a target").view("phone").to, [shown]);
    }
}

#[test]
fn what_cannot_be_a_target_is_refused_by_the_field() {
    let changed = |mut asked: NewAlertTarget, change: fn(&mut NewAlertTarget)| {
        change(&mut asked);
        Target::read(&asked).expect_err("no target").0
    };
    for (why, field) in [
        (changed(webhook(), |it| it.name = "a b".into()), "name"),
        (changed(webhook(), |it| it.name = String::new()), "name"),
        (changed(webhook(), |it| it.kind = "pager".into()), "kind"),
        (changed(webhook(), |it| it.url = None), "url"),
        (changed(webhook(), |it| it.url = Some("ftp://x/".into())), "url"),
        (changed(webhook(), |it| it.url = Some("https://u:p@x/".into())), "url"),
        (changed(webhook(), |it| it.url = Some("https:///x".into())), "url"),
        (changed(webhook(), |it| it.topic = Some("t".into())), "topic"),
        (changed(webhook(), |it| it.secret = Some("a\nb".into())), "secret"),
        (changed(ntfy(), |it| it.topic = Some("a/b".into())), "topic"),
        (changed(ntfy(), |it| it.priority = Some(6)), "priority"),
        (changed(email(), |it| it.tls = Some("none".into())), "tls"),
        (changed(email(), |it| it.tls = Some("maybe".into())), "tls"),
        (changed(email(), |it| it.password = None), "password"),
        (changed(email(), |it| it.from = Some("nobody".into())), "from"),
        (changed(email(), |it| it.to = vec![]), "to"),
        (changed(email(), |it| it.to = vec!["a\r\nBcc: x@y".into()]), "to"),
        (changed(email(), |it| it.server = Some("host:x".into())), "server"),
        (changed(email(), |it| it.server = Some("a b".into())), "server"),
    ] {
        assert!(why.contains(field), "{field}: {why}");
    }
    let local = NewAlertTarget { server: Some("[::1]:2525".into()), tls: Some("none".into()), ..email() };
    let view = Target::read(&local).expect("this machine").view("mail");
    assert_eq!((view.address.as_str(), view.plain, view.local), ("[::1]:2525", true, true));
}

#[test]
fn what_leaves_this_machine_without_tls_is_told_from_what_stays() {
    let open = |url: &str| {
        let view = Target::read(&NewAlertTarget { url: Some(url.into()), ..webhook() }).expect("a target").view("ops");
        (view.plain, view.local)
    };
    assert_eq!(open("http://127.0.0.1:9000/hook"), (true, true));
    assert_eq!(open("http://[::1]:9000/hook"), (true, true));
    assert_eq!(open("http://LocalHost/hook"), (true, true));
    assert_eq!(open("http://192.0.2.1/hook"), (true, false));
    assert_eq!(open("http://localhost.example.org/hook"), (true, false));
    assert_eq!(open("https://example.org/hook"), (false, false));
}

#[test]
fn where_nobody_listens_is_told_in_words() {
    // Bound and not listening: nobody else gets it meanwhile.
    let taken = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None);
    let taken = taken.expect("a socket");
    rustix::net::bind(&taken, &std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address: std::net::SocketAddr =
        rustix::net::getsockname(&taken).expect("its address").try_into().expect("of a network");
    let hook = NewAlertTarget { url: Some(format!("http://{address}/hook")), ..webhook() };
    let mail = NewAlertTarget {
        server: Some(address.to_string()),
        tls: Some("none".into()),
        user: None,
        password: None,
        ..email()
    };
    for asked in [hook, mail] {
        let target = Target::read(&asked).expect("a target");
        let failure = target.send(&Notice::test("00ff", "ops", 0).body).expect_err("nobody listens");
        assert!(failure.message.contains("nobody listens there"), "{}", failure.message);
        assert!(failure.message.contains(&address.to_string()) && !failure.message.contains("os error"));
        assert!(!failure.refused, "it may listen later");
    }
}

#[test]
fn a_webhook_is_signed_over_its_body() {
    // RFC 4231, case 2.
    let signed = webhook::signature(&Hidden("Jefe".into()), b"what do ya want for nothing?");
    assert_eq!(signed, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

#[test]
fn a_mail_says_of_itself_what_it_is_and_cannot_be_given_further_headers() {
    let Target::Email(target) = Target::read(&email()).expect("a target") else { panic!("mail") };
    let mut body = Notice::test("00ff", "mail", 0).body;
    body.title = "web on pi\r\nBcc: evil@example.org crashed".into();
    let text = String::from_utf8(target.message(&body).expect("a mail").formatted()).expect("text");
    let (head, rest) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("Message-ID: <00ff@muster>") && head.contains("Auto-Submitted: auto-generated"), "{head}");
    assert!(head.contains("b@example.org") && rest.contains("notice 00ff"), "{text}");
    assert!(!head.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{head}");
}

#[test]
fn ntfy_is_told_how_bad_it_is() {
    let Target::Ntfy(target) = Target::read(&ntfy()).expect("a target") else { panic!("ntfy") };
    let mut body = Notice::test("00ff", "phone", 0).body;
    let priority = |body: &Body| target.message(body)["priority"].as_u64();
    assert_eq!(priority(&body), Some(2));
    body.severity = "critical".into();
    assert_eq!(priority(&body), Some(5));
    body.text = "é".repeat(4000);
    assert!(target.message(&body)["message"].as_str().expect("text").len() <= 3_800);
    let Target::Ntfy(quiet) = Target::read(&NewAlertTarget { priority: Some(1), ..ntfy() }).expect("a target") else {
        panic!("ntfy")
    };
    assert_eq!(quiet.message(&body)["priority"], 1);
}
