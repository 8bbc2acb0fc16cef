//! How messages travel: lines, and requests with sessions.

use super::{Port, post, reason, record};
use crate::agents::harness::{Agent, by, one_record};
use muster_dial::line::Said;
use muster_dial::{Failure, Line, Opened, Settings, Status};
use muster_protocol::batch::{Answer, Batch, Reason, Refused};
use muster_protocol::container::State;
use muster_protocol::hello::Welcome;
use muster_protocol::limits;
use muster_protocol::orders::{Session, Trusted};
use muster_protocol::record::{Kind, Reader, Writer};
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::time::Duration;

/// So long nothing here should take.
const PATIENCE: Duration = Duration::from_secs(30);

fn open(port: &Port, credential: &str) -> Result<Line, Status> {
    let address = port.address.to_string().parse().expect("an address");
    let settings = Settings::small(address, vec![port.key.pin()]);
    match Line::open(settings, "/agent/v1/stream", credential, 4096).expect("an answer") {
        Opened::Line(line) => Ok(*line),
        Opened::Refused(status) => Err(status),
    }
}

fn ask(line: &mut Line, message: &[u8]) -> Vec<u8> {
    line.send(message, true, PATIENCE).expect("it takes it");
    let Said { message, is_answer } = line.wait(PATIENCE).expect("an answer");
    assert!(is_answer);
    message
}

fn first<T: DeserializeOwned>(kind: Kind, message: &[u8]) -> T {
    Reader::message(message).and_then(|mut records| records.expect(kind)).expect("that record")
}

/// A hello of an agent that needs to be told nothing.
fn greeting(port: &Port, agent: &Agent) -> Vec<u8> {
    let trusted = Trusted { revision: port.bench.fleet.trust().revision };
    [&agent.hello_bytes()[..], &one_record(Kind::Trusted, &trusted)[1..]].concat()
}

fn hello(port: &Port, line: &mut Line, agent: &mut Agent) {
    let welcome: Welcome = first(Kind::Welcome, &ask(line, &greeting(port, agent)));
    agent.reporter.welcomed(&welcome);
}

/// That the host is there, and nothing else.
fn heartbeat(agent: &mut Agent) -> Vec<u8> {
    let mut buffer = vec![0; limits::MESSAGE];
    let mut writer = Writer::message(&mut buffer).expect("room");
    agent.reporter.message(&mut writer, None, &[]).expect("room").expect("welcome");
    writer.as_bytes().to_vec()
}

fn until_it_ends(line: &mut Line) {
    assert!(!matches!(line.wait(PATIENCE), Ok(_) | Err(Failure::TimedOut)));
}

#[test]
fn one_line_carries_hello_and_reports_and_is_silent_where_nothing_needs_saying() {
    let port = Port::open();
    let mut agent = port.bench.join("pi");
    agent.containers = vec![(1, State::Running)];
    let mut line = open(&port, &agent.credential).expect("a line");
    hello(&port, &mut line, &mut agent);
    let answer: Answer = first(Kind::Answer, &ask(&mut line, &agent.report_bytes()));
    assert!(answer.listed > 0 && agent.reporter.answered(&answer));
    assert_eq!(agent.shown(&port.bench), ["c1"]);
    for _ in 0..20 {
        line.send(&heartbeat(&mut agent), false, PATIENCE).expect("it takes it");
    }
    // The next answer belongs to the one that asked, and nothing came in between.
    let answer: Answer = first(Kind::Answer, &ask(&mut line, &heartbeat(&mut agent)));
    assert!(agent.reporter.answered(&answer));
    assert_eq!(line.heard(), Ok(None));
    assert_eq!(agent.cell(&port.bench).lines.len(), 1);
    drop(line);
    port.bench.until(|_| agent.cell(&port.bench).lines.is_empty());
}

#[test]
fn what_goes_wrong_is_said_unasked() {
    let port = Port::open();
    let mut agent = port.bench.join("pi");
    let mut line = open(&port, &agent.credential).expect("a line");
    let refused = |said: Said| {
        assert!(!said.is_answer);
        Reason::from_number(first::<Refused>(Kind::Refused, &said.message).reason)
    };
    let early = one_record(Kind::Batch, &Batch { epoch: 1, seq: 1, base: 0, through: 1, events_dropped: 0 });
    line.send(&early, false, PATIENCE).expect("it takes it");
    assert_eq!(line.wait(PATIENCE).map(refused), Ok(Reason::HelloFirst));
    hello(&port, &mut line, &mut agent);
    line.send(&[9, 9, 9], false, PATIENCE).expect("it takes it");
    assert_eq!(line.wait(PATIENCE).map(refused), Ok(Reason::Malformed));
    let answer: Answer = first(Kind::Answer, &ask(&mut line, &agent.report_bytes()));
    assert!(agent.reporter.answered(&answer), "the line goes on");
    let (cell, line, agent) = (agent.cell(&port.bench), RefCell::new(line), RefCell::new(agent));
    port.bench.until(|fleet| {
        while cell.pace.take(fleet.now().monotonic_ms, 0).is_some() {}
        let answer = ask(&mut line.borrow_mut(), &heartbeat(&mut agent.borrow_mut()));
        let refused = Reader::message(&answer).and_then(|mut records| records.expect::<Refused>(Kind::Refused));
        refused.is_ok_and(|refused| refused.reason == Reason::TooMany as u8)
    });
}

#[test]
fn what_is_no_frame_ends_the_line_and_harms_nobody() {
    let port = Port::open();
    let mut agent = port.bench.host("pi", &[1]);
    let before = agent.shown(&port.bench);
    for bytes in [&[0u8][..], &[0xff, 0xff, 0xff, 0xff], &[0x84, 0x00], &[250, 1, 1, 2, 3]] {
        let mut raw = port.raw();
        let head = format!(
            "GET /agent/v1/stream HTTP/1.1\r\nhost: m\r\nconnection: upgrade\r\nupgrade: muster/1\r\n\
             authorization: Bearer {}\r\n\r\n",
            agent.credential
        );
        // At once with the request: as early as bytes can come.
        raw.write_all(&[head.as_bytes(), bytes].concat()).and_then(|()| raw.flush()).expect("sent");
        raw.sock.shutdown(std::net::Shutdown::Write).expect("half closed");
        let mut answer = Vec::new();
        let _ = raw.read_to_end(&mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    }
    agent.catch_up(&port.bench);
    assert_eq!(agent.shown(&port.bench), before);
    port.bench.until(|_| agent.cell(&port.bench).lines.is_empty());
}

#[test]
fn lines_are_for_hosts_that_ask_for_one() {
    let port = Port::open();
    let agent = port.bench.host("pi", &[]);
    assert_eq!(open(&port, &"0".repeat(64)).err(), Some(Status(401)));
    let mut answer = Vec::new();
    let status = port.client().get("/agent/v1/stream", &agent.credential, &mut answer, 100);
    assert_eq!(status, Ok(Status(426)), "as where a proxy has taken the wish away");
    assert_eq!(post(&port.client(), "stream", &agent.credential, &[]).0, 405);
    futures_lite::future::block_on(port.bench.fleet.remove_host(&by(), "pi")).expect("removed");
    assert_eq!(open(&port, &agent.credential).err(), Some(Status(410)));
}

#[test]
fn removing_a_host_ends_its_line_and_its_session_at_once() {
    let port = Port::open();
    let mut agent = port.bench.join("pi");
    let client = port.client();
    let session = session_of(&post(&client, "hello", &agent.credential, &greeting(&port, &agent)));
    let mut line = open(&port, &agent.credential).expect("a line");
    hello(&port, &mut line, &mut agent);
    futures_lite::future::block_on(port.bench.fleet.remove_host(&by(), "pi")).expect("removed");
    until_it_ends(&mut line);
    assert_eq!(short(&client, &session, &heartbeat(&mut agent)).0, 200, "it means nothing any more");
    assert_eq!(reason(&short(&client, &session, &heartbeat(&mut agent))), Reason::HelloFirst);
}

#[test]
fn an_older_line_ends_when_a_newer_run_is_welcomed_and_not_before() {
    let port = Port::open();
    let mut agent = port.bench.join("pi");
    let mut old = open(&port, &agent.credential).expect("a line");
    hello(&port, &mut old, &mut agent);
    // The same card in a new life of its agent, which is newer than what the server knows.
    agent.start();
    let mut new = open(&port, &agent.credential).expect("a line");
    assert_eq!(old.heard(), Ok(None), "to come is not enough");
    hello(&port, &mut new, &mut agent);
    until_it_ends(&mut old);
    first::<Answer>(Kind::Answer, &ask(&mut new, &heartbeat(&mut agent)));
    // Its network has changed, and the server does not know yet that the connection is dead.
    let mut again = open(&port, &agent.credential).expect("a line");
    first::<Answer>(Kind::Answer, &ask(&mut again, &heartbeat(&mut agent)));
    until_it_ends(&mut new);
}

#[test]
fn two_agents_with_one_identity_do_not_throw_each_other_out_by_turns() {
    let port = Port::open();
    let mut agent = port.bench.join("pi");
    let mut line = open(&port, &agent.credential).expect("a line");
    hello(&port, &mut line, &mut agent);
    let mut copy = Agent::new();
    copy.credential.clone_from(&agent.credential);
    let mut other = open(&port, &copy.credential).expect("a line");
    hello(&port, &mut other, &mut copy);
    until_it_ends(&mut line);
    for _ in 0..3 {
        let mut line = open(&port, &agent.credential).expect("a line");
        let refused: Refused = first(Kind::Refused, &ask(&mut line, &agent.hello_bytes()));
        assert_eq!(Reason::from_number(refused.reason), Reason::Superseded);
        let refused: Refused = first(Kind::Refused, &ask(&mut line, &heartbeat(&mut agent)));
        assert_eq!(Reason::from_number(refused.reason), Reason::StaleEpoch);
        first::<Answer>(Kind::Answer, &ask(&mut other, &heartbeat(&mut copy)));
    }
}

#[test]
fn the_end_of_the_server_is_the_end_of_its_lines() {
    let mut port = Port::open();
    let mut agent = port.bench.join("pi");
    let mut line = open(&port, &agent.credential).expect("a line");
    hello(&port, &mut line, &mut agent);
    port.stop = None;
    until_it_ends(&mut line);
}

fn session_of(answer: &(u16, Vec<u8>)) -> Session {
    record::<Welcome>(Kind::Welcome, answer);
    let mut records = Reader::message(&answer.1).expect("a message");
    records.next_record().expect("the welcome");
    records.expect(Kind::Session).expect("a session behind it")
}

/// A report by its session.
fn short(client: &muster_dial::Client, session: &Session, message: &[u8]) -> (u16, Vec<u8>) {
    let mut buffer = [0; 32];
    let mut writer = Writer::records(&mut buffer);
    writer.record(Kind::Session, session).expect("room");
    let body = [&message[..1], writer.as_bytes(), &message[1..]].concat();
    let mut answer = Vec::new();
    let status = client.post_short(crate::agents::SHORT, "m", &body, &mut answer, 4096).expect("an answer");
    (status.0, answer)
}

#[test]
fn a_session_stands_for_the_credential_and_nothing_to_say_is_nothing() {
    let port = Port::open();
    let client = port.client();
    let mut agent = port.bench.join("pi");
    agent.containers = vec![(1, State::Running)];
    let answer = post(&client, "hello", &agent.credential, &greeting(&port, &agent));
    let session = session_of(&answer);
    agent.reporter.welcomed(&record::<Welcome>(Kind::Welcome, &answer));
    let body = agent.report_bytes();
    let answer: Answer = record(Kind::Answer, &short(&client, &session, &body));
    assert!(answer.listed > 0 && agent.reporter.answered(&answer));
    assert_eq!(short(&client, &session, &heartbeat(&mut agent)), (204, Vec::new()));
    assert_eq!(agent.shown(&port.bench), ["c1"]);
    // The largest message there may be has room beside its session.
    let mut large = heartbeat(&mut agent);
    let rest = limits::MESSAGE - large.len() - 4;
    large.extend([200, rest as u8 | 0x80, (rest >> 7) as u8 | 0x80, (rest >> 14) as u8]);
    large.resize(limits::MESSAGE, 0);
    assert_eq!(short(&client, &session, &large).0, 204);
    large.push(0);
    assert_eq!(short(&client, &session, &large).0, 413);

    assert_eq!(reason(&short(&client, &[0; 12], &heartbeat(&mut agent))), Reason::HelloFirst);
    for body in [&[][..], &[1], &[1, 5, 1, 0], &[1, 17, 11], &[2; 20]] {
        let mut answer = Vec::new();
        assert_eq!(client.post(crate::agents::SHORT, "", body, &mut answer, 100), Ok(Status(400)), "{body:?}");
    }
    // Each hello brings another one.
    let again = session_of(&post(&client, "hello", &agent.credential, &greeting(&port, &agent)));
    assert_eq!(reason(&short(&client, &session, &heartbeat(&mut agent))), Reason::HelloFirst);
    assert_eq!(short(&client, &again, &heartbeat(&mut agent)).0, 204);
    assert_eq!(client.connections(), 1);
}

#[test]
fn a_short_answer_has_nothing_that_can_be_left_out() {
    let port = Port::open();
    let mut agent = port.bench.host("pi", &[1]);
    let session = session_of(&post(&port.client(), "hello", &agent.credential, &greeting(&port, &agent)));
    let beat = heartbeat(&mut agent);
    let body = [&beat[..1], &[17, 12], &session[..], &beat[1..]].concat();
    let mut raw = port.raw();
    let head = format!("POST /r HTTP/1.1\r\nhost: m\r\ncontent-length: {}\r\n\r\n", body.len());
    raw.write_all(&[head.as_bytes(), &body].concat()).and_then(|()| raw.flush()).expect("sent");
    let mut answer = [0; 100];
    let length = raw.read(&mut answer).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer[..length]), "HTTP/1.1 204 No Content\r\n\r\n");
}
