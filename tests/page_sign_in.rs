//! Signing in to the page, as a browser does it: links, passwords, cookies, and what ends that.

use muster_tests::process::Ran;
use muster_tests::{Server, eventually, text};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const PASSWORD: &str = "correct horse battery";
const PAGE: &str = "X-Muster: page";

/// An answer, with its headers.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {}", self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// What a browser sends back.
    fn cookie(&self) -> String {
        let set = self.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {}", self.head));
        format!("Cookie: {}", set.split(';').next().expect("a cookie"))
    }
}

/// Asks the server as a program of its machine, with further headers.
fn ask(server: &Server, method: &str, path: &str, headers: &[&str], body: Option<&Value>) -> Answer {
    let url = format!("https://127.0.0.1:{}{path}", server.port());
    let body = body.map(Value::to_string);
    let mut arguments = vec!["-sSki", "--max-time", "30", "-X", method];
    headers.iter().for_each(|header| arguments.extend(["-H", header]));
    if let Some(body) = &body {
        arguments.extend(["--data-binary", body]);
    }
    arguments.push(&url);
    let output = Ran::of("curl", &arguments, &[], 60).ok();
    let (head, body) = output.split_once("\r\n\r\n").or(output.split_once("\n\n")).unwrap_or((&output, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status: {head}"));
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn sign_in(server: &Server, body: &Value) -> Answer {
    ask(server, "POST", "/api/v1/session", &[PAGE, "Sec-Fetch-Site: same-origin"], Some(body))
}

fn by_password(server: &Server, name: &str, password: &str) -> Answer {
    sign_in(server, &json!({ "name": name, "password": password }))
}

fn add_user(server: &Server, name: &str, role: &str) {
    let script = "printf '%s\\n' \"$3\" | \"$0\" user add \"$1\" --role \"$2\" --password-stdin";
    let program = muster_tests::process::program("muster");
    let data = server.data_dir();
    let arguments = ["-c", script, &program, name, role, PASSWORD];
    assert_eq!(Ran::of("sh", &arguments, &[("MUSTER_DATA_DIR", &data)], 60).ok(), name);
}

/// A token of a new sign-in link.
fn link(server: &Server, options: &[&str]) -> String {
    let url = server.muster(&[&["sign-in-link"], options].concat()).ok();
    let (address, token) = url.split_once("/sign-in#").unwrap_or_else(|| panic!("no link: {url}"));
    assert_eq!(address, format!("https://127.0.0.1:{}", server.port()));
    assert!(token.starts_with("ml_"), "{url}");
    token.to_owned()
}

#[test]
fn a_link_signs_in_once_and_its_cookie_is_for_this_server_alone() {
    let server = Server::start();
    let token = link(&server, &[]);
    let first = sign_in(&server, &json!({ "token": token }));
    assert_eq!((first.status, first.json()["role"].as_str()), (200, Some("admin")), "{}", first.body);
    let set = first.header("set-cookie").expect("a cookie");
    assert!(set.starts_with("__Host-muster=mw_"), "{set}");
    for part in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(set.split("; ").any(|it| it == part), "{part}: {set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    assert_eq!(first.header("cache-control"), Some("no-store"));
    let second = sign_in(&server, &json!({ "token": token }));
    assert_eq!((second.status, second.header("set-cookie")), (401, None), "{}", second.body);
    let cookie = first.cookie();
    assert_eq!(ask(&server, "GET", "/api/v1/session", &[&cookie], None).json()["role"], "admin");
    assert_eq!(ask(&server, "GET", "/api/v1/session", &[], None).status, 401);
    let out = ask(&server, "DELETE", "/api/v1/session", &[&cookie, PAGE], None);
    assert!(out.status == 204 && out.header("set-cookie").is_some_and(|set| set.contains("Max-Age=0")), "{}", out.head);
    assert_eq!(ask(&server, "GET", "/api/v1/hosts", &[&cookie], None).status, 401);
    let store =
        ["-c", "grep -rlaF -- \"$1\" \"$2\"", "grep", cookie.split('=').nth(1).expect("a value"), &server.data_dir()];
    assert_eq!(Ran::of("sh", &store, &[], 30).stdout, "", "sessions are kept as hashes");
}

#[test]
fn a_wrong_password_lets_nobody_in_and_many_of_them_have_to_wait() {
    let server = Server::start();
    add_user(&server, "ada", "viewer");
    assert_eq!(by_password(&server, "ada", PASSWORD).status, 200);
    // Who has signed in from here before has tries of their own, which those of others do not take.
    for name in ["ada", "nobody", "ada", "nobody", "ada", "nobody", "ada", "ada"] {
        let wrong = by_password(&server, name, "wrong wrong wrong");
        assert_eq!(wrong.status, 401, "{}", wrong.body);
        assert!(wrong.header("set-cookie").is_none());
    }
    let locked = by_password(&server, "ada", PASSWORD);
    let wait: u32 = locked.header("retry-after").and_then(|wait| wait.parse().ok()).unwrap_or(0);
    assert!(locked.status == 429 && (1..=10).contains(&wait), "{}: {}", locked.head, locked.body);
    assert_eq!(by_password(&server, "nobody", PASSWORD).status, 401, "nor do theirs");
    // Whoever is at the server is never locked out.
    assert_eq!(sign_in(&server, &json!({ "token": link(&server, &["--role", "viewer"]) })).status, 200);
    let audit = server.json(&["audit"]);
    let refused: Vec<_> = audit.iter().filter(|row| row["action"] == "session.refused").collect();
    assert_eq!(refused.len(), 9);
    assert!(!format!("{audit:?}").contains("wrong wrong") && refused.iter().all(|row| row["target"] != "nobody"));
    assert!(audit.iter().any(|row| row["action"] == "session.begin" && row["target"] == "ada"));
}

#[test]
fn what_other_sites_make_a_browser_send_changes_nothing() {
    let server = Server::start();
    let cookie = sign_in(&server, &json!({ "token": link(&server, &[]) })).cookie();
    let make = |headers: &[&str]| {
        let headers = [&[cookie.as_str()], headers].concat();
        ask(&server, "POST", "/api/v1/join-tokens", &headers, Some(&json!({}))).status
    };
    for refused in [
        &[][..],
        &["Sec-Fetch-Site: same-origin"],
        &[PAGE, "Sec-Fetch-Site: same-site"],
        &[PAGE, "Sec-Fetch-Site: cross-site"],
        &[PAGE, "Origin: https://127.0.0.1:1"],
        &[PAGE, "Origin: null"],
    ] {
        assert_eq!(make(refused), 403, "{refused:?}");
    }
    assert_eq!(server.get("/api/v1/join-tokens")["items"], json!([]));
    assert_eq!(make(&[PAGE, "Sec-Fetch-Site: same-origin"]), 201);
    assert_eq!(make(&[PAGE]), 201);
    let read = |site: &str| ask(&server, "GET", "/api/v1/hosts", &[&cookie, site], None);
    assert_eq!(read("Sec-Fetch-Site: same-site").status, 403);
    assert_eq!(read("Sec-Fetch-Site: same-origin").status, 200);
    assert!(read("Origin: https://elsewhere.example").header("access-control-allow-origin").is_none());
    // Nor is anybody signed in as somebody else.
    let token = link(&server, &[]);
    let forced =
        ask(&server, "POST", "/api/v1/session", &["Sec-Fetch-Site: cross-site"], Some(&json!({ "token": token })));
    assert_eq!((forced.status, forced.header("set-cookie")), (403, None));
    assert_eq!(sign_in(&server, &json!({ "token": token })).status, 200, "and its link is not used up");
}

/// A stream that a browser has open.
struct Watching {
    curl: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Watching {
    fn begin(server: &Server, cookie: &str) -> Watching {
        let url = format!("https://127.0.0.1:{}/api/v1/stream", server.port());
        let mut curl = Command::new("curl")
            .args(["-sSkN", "--max-time", "120", "-H", cookie, &url])
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl, of the package curl");
        let lines = BufReader::new(curl.stdout.take().expect("its output"));
        let mut watching = Watching { curl, lines };
        assert!(watching.line().is_some_and(|line| line.starts_with("id: ")), "the stream begins");
        watching
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.lines.read_line(&mut line).expect("read") > 0).then_some(line)
    }

    /// Waits for its end.
    fn ends(mut self) {
        while self.line().is_some() {}
        assert!(self.curl.wait().expect("ended").success(), "it was ended by the server, and in order");
    }
}

#[test]
fn a_viewer_changes_nothing_and_ends_with_its_user() {
    let server = Server::start();
    add_user(&server, "ada", "viewer");
    let cookie = by_password(&server, "ada", PASSWORD).cookie();
    assert_eq!(ask(&server, "GET", "/api/v1/fleet", &[&cookie], None).json()["hosts"]["total"], 0);
    let denied = ask(&server, "POST", "/api/v1/join-tokens", &[&cookie, PAGE], Some(&json!({})));
    assert_eq!(denied.status, 403);
    for path in ["/api/v1/users", "/api/v1/audit"] {
        assert_eq!(ask(&server, "GET", path, &[&cookie], None).status, 403, "{path}");
    }
    let watching = Watching::begin(&server, &cookie);
    let users = server.json(&["user", "ls"]);
    assert_eq!((text(&users[0], "name"), &users[0]["sessions"]), ("ada", &json!(1)));
    server.muster(&["user", "role", "ada", "admin"]).ok();
    watching.ends();
    assert_eq!(ask(&server, "GET", "/api/v1/fleet", &[&cookie], None).status, 401);
    let cookie = by_password(&server, "ada", PASSWORD).cookie();
    let watching = Watching::begin(&server, &cookie);
    server.muster(&["user", "rm", "ada"]).ok();
    watching.ends();
    assert_eq!(ask(&server, "GET", "/api/v1/fleet", &[&cookie], None).status, 401);
    assert_eq!(by_password(&server, "ada", PASSWORD).status, 401);
    server.muster(&["user", "rm", "ada"]).refuses(6);
}

#[test]
fn a_restart_keeps_who_is_signed_in_and_a_restored_server_keeps_users() {
    let mut server = Server::start();
    add_user(&server, "ada", "admin");
    let cookie = by_password(&server, "ada", PASSWORD).cookie();
    let certificate = text(&server.json(&["sign-in-link"])[0], "certificate").to_owned();
    let backup = server.data_file("backup");
    server.muster(&["backup", &backup]).ok();
    server.crash();
    assert_eq!(ask(&server, "GET", "/api/v1/session", &[&cookie], None).json()["name"], "ada");
    assert_eq!(
        text(&server.json(&["sign-in-link"])[0], "certificate"),
        certificate,
        "browsers need not be asked again"
    );
    let restored = Server::start_restored(&backup, 0);
    assert_eq!(ask(&restored, "GET", "/api/v1/session", &[&cookie], None).status, 401);
    assert_eq!(by_password(&restored, "ada", PASSWORD).status, 200);
    drop(restored);
    server.stop();
}

#[test]
fn the_page_is_served_to_browsers_and_programs_hear_from_the_api() {
    let server = Server::start();
    let html = "Accept: text/html";
    for path in ["/", "/hosts/pi", "/sign-in"] {
        let page = ask(&server, "GET", path, &[html], None);
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
        assert!(page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
        let tag = format!("If-None-Match: {}", page.header("etag").expect("a tag"));
        assert_eq!(ask(&server, "GET", path, &[html, &tag], None).status, 304);
    }
    assert_eq!(ask(&server, "GET", "/", &[], None).status, 404);
    // A body of somebody who has shown nothing is read at one place, and not a large one.
    let large = json!({ "token": "x".repeat(5000) });
    assert_eq!(sign_in(&server, &large).status, 413);
    eventually("the server still answers", || match ask(&server, "GET", "/healthz", &[], None).status {
        200 => Ok(()),
        other => Err(other.to_string()),
    });
}
