use super::*;
use crate::docker::socket::within;
use futures_lite::future::{self, block_on};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

/// A directory that is removed with the value.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Directory {
        let mut random = [0; 8];
        getrandom::fill(&mut random).expect("randomness");
        let path = std::env::temp_dir().join(format!("muster-{:016x}", u64::from_le_bytes(random)));
        std::fs::create_dir(&path).expect("a directory");
        Directory(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const PING: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.47\r\nContent-Length: 2\r\n\r\nOK";

fn json(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// An engine of a few lines: for each connection the answers to its requests, after which it is closed.
struct Fake {
    _directory: Directory,
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
    requests: Receiver<String>,
}

impl Fake {
    fn new(connections: Vec<Vec<String>>) -> Fake {
        let directory = Directory::new();
        let path = directory.path().join("sock");
        let listener = UnixListener::bind(&path).expect("bind");
        let (told, requests) = channel();
        let thread = thread::spawn(move || {
            // Side by side, for a list may be open on one while another is used.
            let served: Vec<JoinHandle<()>> = connections
                .into_iter()
                .map(|answers| {
                    let (stream, _) = listener.accept().expect("accept");
                    let told = told.clone();
                    thread::spawn(move || serve(stream, answers, &told))
                })
                .collect();
            served.into_iter().for_each(|one| one.join().expect("served"));
        });
        Fake { _directory: directory, path, thread: Some(thread), requests }
    }

    fn engine(&self) -> Engine {
        Engine::new(&self.path)
    }

    /// The first lines of all requests, when all answers were given.
    fn requests(mut self) -> Vec<String> {
        self.thread.take().expect("once").join().expect("the fake engine");
        self.requests.try_iter().collect()
    }
}

fn serve(mut stream: UnixStream, answers: Vec<String>, told: &Sender<String>) {
    for answer in answers {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).unwrap_or(0) == 0 {
                return;
            }
            request.push(byte[0]);
        }
        let request = String::from_utf8(request).expect("ascii");
        told.send(request.lines().next().expect("a line").to_owned()).expect("a test");
        // The other end may have gone, as it does after what it does not understand.
        let _ = stream.write_all(answer.as_bytes());
    }
}

const ID: EngineId = EngineId([0x5a; 32]);

fn named(name: &str) -> String {
    format!(r#"{{"Id":"{ID}","Names":["/{name}"]}}"#)
}

fn version(api: &str, min: &str) -> String {
    json(&format!(r#"{{"Version":"9","ApiVersion":"{api}","MinAPIVersion":"{min}","Os":"linux","Extra":[{{}}]}}"#))
}

fn text(element: Option<Element<'_>>) -> Option<String> {
    element.map(|element| match element {
        Element::Whole(json) => String::from_utf8(json.to_vec()).expect("text"),
        Element::TooLarge { id } => format!("{id:?}"),
    })
}

#[test]
fn the_newest_common_version_is_spoken() {
    for (api, min, want) in [("1.41", "1.12", "1.41"), ("1.52", "1.44", "1.51"), ("1.40", "", "1.40")] {
        let fake = Fake::new(vec![vec![PING.into(), version(api, min), json("[]")]]);
        let engine = fake.engine();
        block_on(async {
            let version = engine.negotiate().await.expect("a version");
            assert_eq!((version.api.to_string().as_str(), version.version.as_str()), (want, "9"));
            assert_eq!(engine.list().await.expect("a list").next().await, Ok(None));
        });
        let list = format!("GET /v{want}/containers/json?all=1 HTTP/1.1");
        assert_eq!(fake.requests(), ["GET /_ping HTTP/1.1", "GET /version HTTP/1.1", &list]);
    }
}

#[test]
fn no_common_version_is_said_plainly() {
    for (api, min, word) in [("1.39", "1.12", "too old"), ("1.60", "1.52", "too new"), ("x", "y", "")] {
        let fake = Fake::new(vec![vec![PING.into(), version(api, min)]]);
        let error = block_on(fake.engine().negotiate()).map(|v| v.api.to_string());
        match error {
            // Without a version in the body, the one of the ping counts.
            Ok(api) => assert_eq!((word, api.as_str()), ("", "1.47")),
            Err(error) => assert!(error.to_string().contains(word), "{error}"),
        }
    }
}

#[test]
fn a_list_is_read_piece_by_piece_while_another_call_runs() {
    let list = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n";
    let (one, two) = (named("one"), named("two"));
    let list = format!("{list}{:x}\r\n{one}\r\n1\r\n,\r\n{:x}\r\n{two}]\n\r\n0\r\n\r\n", one.len(), two.len() + 2);
    let inspect = json(&format!(r#"{{"Id":"{ID}","State":{{"Status":"running"}},"RestartCount":3}}"#));
    let fake = Fake::new(vec![vec![list, json("[]"), json("[]")], vec![inspect]]);
    let engine = fake.engine();
    block_on(async {
        let mut list = engine.list().await.expect("a list");
        assert_eq!(text(list.next().await.expect("one")), Some(one));
        let (id, details) = engine.inspect(ID).await.expect("answers").expect("exists");
        assert_eq!((id, details.restart_count), (ID, 3));
        assert_eq!(text(list.next().await.expect("two")), Some(two));
        assert_eq!(list.next().await, Ok(None));
        assert_eq!(list.next().await, Ok(None));
        // Both connections were kept.
        assert_eq!(engine.idle.borrow().len(), 2);
        assert_eq!(engine.list_one(ID).await, Ok(None));
        let mut list = engine.list().await.expect("a list");
        assert_eq!(list.next().await, Ok(None));
    });
    assert_eq!(fake.requests().len(), 4);
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_replaced_once() {
    let fake = Fake::new(vec![vec![PING.into()], vec![json("[]")]]);
    let engine = fake.engine();
    block_on(async {
        engine.ping().await.expect("an answer");
        let mut list = engine.list().await.expect("a list, on a new connection");
        assert_eq!(list.next().await, Ok(None));
    });
    assert_eq!(fake.requests().len(), 2);

    // On a new connection a silent end is an error and not tried for ever.
    let fake = Fake::new(vec![vec![String::new()]]);
    let error = block_on(fake.engine().ping());
    assert!(matches!(error, Err(EngineError::Lost(_))), "{error:?}");
}

#[test]
fn one_container_or_none() {
    let not_found = "HTTP/1.1 404 Not Found\r\nContent-Length: 35\r\n\r\n{\"message\":\"No such container: 5a\"}";
    let other = named("x").replace("5a5a", "5a5b");
    let mine = named("mine");
    let fake = Fake::new(vec![vec![not_found.into(), json(&format!("[{other},{mine}]")), json(&format!("[{other}]"))]]);
    let engine = fake.engine();
    block_on(async {
        assert_eq!(engine.inspect(ID).await, Ok(None));
        assert_eq!(engine.list_one(ID).await, Ok(Some(mine.into_bytes())));
        assert_eq!(engine.list_one(ID).await, Ok(None));
    });
    assert_eq!(fake.requests().len(), 3, "all on one connection");
}

#[test]
fn the_engines_own_words_are_passed_on() {
    let body = r#"{"message":"client version 1.40 is too old.\nMinimum is 1.44"}"#;
    let refused = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let fake = Fake::new(vec![vec![refused, PING.into()]]);
    let engine = fake.engine();
    let error = block_on(engine.list()).map(|_| ()).expect_err("refused");
    let message = "client version 1.40 is too old. Minimum is 1.44".to_owned();
    assert_eq!(error, EngineError::Refused { status: 400, message });
    block_on(engine.ping()).expect("on the same connection");
    drop(fake);
}

async fn read(engine: &Engine) -> Result<(), EngineError> {
    let mut list = engine.list().await?;
    while list.next().await?.is_some() {}
    Ok(())
}

#[test]
fn what_is_no_engine_is_malformed() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{\"Id\":";
    for (answer, lost) in
        [("SSH-2.0-OpenSSH_9\r\n", false), (&json("{}"), false), (&json("[{}{}]"), false), (cut, true)]
    {
        let fake = Fake::new(vec![vec![answer.to_owned()]]);
        let engine = fake.engine();
        let error = block_on(async { read(&engine).await }).expect_err(answer);
        match error {
            EngineError::Lost(_) => assert!(lost, "{answer}"),
            EngineError::Malformed(_) => assert!(!lost, "{answer}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_container_that_is_too_large_is_told_and_the_next_is_read() {
    let large = format!(r#"{{"Id":"{ID}","Labels":{{"x":"{}"}}}}"#, "y".repeat(ELEMENT));
    let fake = Fake::new(vec![vec![json(&format!("[{large},{}]", named("small"))), json(&large)]]);
    let engine = fake.engine();
    block_on(async {
        let mut list = engine.list().await.expect("a list");
        assert_eq!(list.next().await, Ok(Some(Element::TooLarge { id: Some(ID) })));
        assert_eq!(text(list.next().await.expect("the next")), Some(named("small")));
        assert_eq!(list.next().await, Ok(None));
        assert_eq!(engine.inspect(ID).await, Err(EngineError::TooLarge));
    });
}

#[test]
fn events_come_as_they_happen_and_waiting_can_be_given_up() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let directory = Directory::new();
    let path = directory.path().join("sock");
    let listener = UnixListener::bind(&path).expect("bind");
    let (tell, told) = channel::<String>();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accept");
        let mut request = [0; 4096];
        let count = stream.read(&mut request).expect("a request");
        assert!(request[..count].starts_with(b"GET /v1.40/events?since=1&filters=%7B"));
        for piece in told {
            stream.write_all(piece.as_bytes()).expect("sent");
        }
    });
    let engine = Engine::new(&path);
    let gone = || Patience::Until(Instant::now());
    block_on(async {
        tell.send(head.to_owned()).expect("told");
        let mut stream = engine.events().await.expect("a stream");
        assert!(within(gone(), stream.next()).await.is_none(), "nothing has happened");
        tell.send("b\r\n{\"a\":\"}\"}\n{\r\n4\r\n\"b\":\r\n".to_owned()).expect("told");
        assert_eq!(stream.next().await, Ok(Some(Line::Whole(b"{\"a\":\"}\"}"))));
        for _ in 0..3 {
            assert!(within(gone(), stream.next()).await.is_none(), "half an event is none");
            future::yield_now().await;
        }
        tell.send("3\r\n1}\n\r\n".to_owned()).expect("told");
        assert_eq!(stream.next().await, Ok(Some(Line::Whole(b"{\"b\":1}"))));
        tell.send("0\r\n\r\n".to_owned()).expect("told");
        assert_eq!(stream.next().await, Ok(None));
    });
    drop(tell);
    thread.join().expect("the fake engine");
}

#[test]
fn who_is_not_there() {
    let directory = Directory::new();
    let missing = directory.path().join("missing");
    let error = block_on(Engine::new(&missing).ping()).expect_err("absent");
    assert!(error.is_absence() && error.to_string().contains("does not exist"), "{error}");
    let refused = directory.path().join("refused");
    drop(UnixListener::bind(&refused).expect("bind"));
    let error = block_on(Engine::new(&refused).ping()).expect_err("absent");
    assert!(error.is_absence() && error.to_string().contains("nobody listens"), "{error}");
}
