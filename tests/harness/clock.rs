//! A host whose clock is set: an engine as it looks where time jumps.
//!
//! Stands before an engine's socket and changes the times in its answers. What happened keeps the time that the clock
//! showed then, as an engine's memory does, so after a step back newer events have older times.

use crate::place::Place;
use crate::truth::{nanoseconds, rfc3339};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

const SECOND: i128 = 1_000_000_000;

/// What a board without a battery shows shortly after its start: ten minutes after the beginning of 1970.
const POWER_ON: i128 = 600 * SECOND;

/// An engine behind a clock that can be set. Dropping it ends it.
#[derive(Debug)]
pub struct SteppedClock {
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
    place: Place,
}

#[derive(Debug, Default)]
struct Shared {
    /// From when on, and by how much the host's clock was ahead then, in nanoseconds; oldest first.
    steps: Mutex<Vec<(i128, i128)>>,
    connections: Mutex<Vec<UnixStream>>,
    ends: AtomicBool,
}

impl SteppedClock {
    /// Before the engine that answers at `docker_host`, a `unix://` address. The clock is right until it is set.
    pub fn before(docker_host: &str) -> SteppedClock {
        let engine = docker_host.strip_prefix("unix://").expect("an engine's socket").to_owned();
        let place = Place::new();
        let listener = UnixListener::bind(place.path().join("docker.sock")).expect("listening at a socket");
        let shared = Arc::new(Shared::default());
        let ours = shared.clone();
        let listener = thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if ours.ends.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(upstream) = UnixStream::connect(&engine) else { continue };
                let kept = [&client, &upstream].map(|socket| socket.try_clone().expect("duplicating a socket"));
                locked(&ours.connections).extend(kept);
                let shared = ours.clone();
                thread::spawn(move || {
                    // Either end may leave at any time.
                    let _ = shared.serve(&client, &upstream);
                    let _ = (client.shutdown(Shutdown::Both), upstream.shutdown(Shutdown::Both));
                });
            }
        });
        SteppedClock { shared, listener: Some(listener), place }
    }

    /// Where the engine answers with the times of this clock: for `--docker-host`.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.place.join("docker.sock"))
    }

    /// Sets the clock so much ahead of the real one; 0 sets it right.
    pub fn set_ahead(&self, time: Duration) {
        self.step(|_| time.as_nanos().cast_signed());
    }

    /// Sets the clock to what a board without a battery has when it is switched on.
    pub fn set_as_at_power_on(&self) {
        self.step(|now| POWER_ON - now);
    }

    /// What the clock showed at that moment, in nanoseconds since 1970 both.
    pub fn showed(&self, moment: i128) -> i128 {
        self.shared.showed(moment)
    }

    /// Takes effect with the next second, so that times in whole seconds belong to one side of it.
    fn step(&self, ahead: impl Fn(i128) -> i128) {
        let from = (now() / SECOND + 1) * SECOND;
        locked(&self.shared.steps).push((from, ahead(from)));
        while now() < from {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for SteppedClock {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // Wakes the listener up.
        let _ = UnixStream::connect(self.place.path().join("docker.sock"));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        for socket in locked(&self.shared.connections).drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// How long an answer is.
enum Length {
    Known(usize),
    Chunks,
}

impl Shared {
    fn showed(&self, moment: i128) -> i128 {
        let steps = locked(&self.steps);
        moment + steps.iter().rev().find(|(from, _)| *from <= moment).map_or(0, |(_, ahead)| *ahead)
    }

    /// One request after the other; none of them has a body.
    fn serve(&self, client: &UnixStream, upstream: &UnixStream) -> io::Result<()> {
        let (mut from_client, mut to_client) = (BufReader::new(client), client);
        let (mut from_engine, mut to_engine) = (BufReader::new(upstream), upstream);
        loop {
            let request = head(&mut from_client)?;
            to_engine.write_all(request.concat().as_bytes())?;
            let answer = head(&mut from_engine)?;
            let (plain, length) = measured(&answer)?;
            if request[0].contains("/events?") && matches!(length, Length::Chunks) {
                to_client.write_all(answer.concat().as_bytes())?;
                return self.stream(&mut from_engine, &mut to_client);
            }
            let mut body = Vec::new();
            match length {
                Length::Known(length) => {
                    body.resize(length, 0);
                    from_engine.read_exact(&mut body)?;
                }
                Length::Chunks => while chunk(&mut from_engine, &mut body)? {},
            }
            if let Ok(mut json) = serde_json::from_slice(&body) {
                self.set_times(&mut json);
                body = json.to_string().into_bytes();
            }
            let length = format!("Content-Length: {}\r\n\r\n", body.len());
            to_client.write_all(&[plain.as_bytes(), length.as_bytes(), &body].concat())?;
        }
    }

    /// Events, one a line, however they come in chunks.
    fn stream(&self, from: &mut impl BufRead, to: &mut impl Write) -> io::Result<()> {
        let mut waiting = Vec::new();
        while chunk(from, &mut waiting)? {
            while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = waiting.drain(..=end).collect();
                let mut event: Value = serde_json::from_slice(&line)?;
                self.set_times(&mut event);
                let line = event.to_string();
                write!(to, "{:x}\r\n{line}\n\r\n", line.len() + 1)?;
            }
        }
        to.write_all(b"0\r\n\r\n")
    }

    /// Times of events, list elements and inspects, wherever they are.
    fn set_times(&self, json: &mut Value) {
        match json {
            Value::Array(items) => items.iter_mut().for_each(|item| self.set_times(item)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    match (name.as_str(), &*value) {
                        ("timeNano", Value::Number(_)) => self.set_number(value, 1),
                        ("time" | "Created", Value::Number(_)) => self.set_number(value, SECOND),
                        ("Created" | "StartedAt" | "FinishedAt", Value::String(text)) => {
                            // What never was has a time of its own, before 1970.
                            if let Some(time) = nanoseconds(text).filter(|time| *time > 0) {
                                *value = rfc3339(self.showed(time)).into();
                            }
                        }
                        _ => self.set_times(value),
                    }
                }
            }
            _ => {}
        }
    }

    fn set_number(&self, value: &mut Value, unit: i128) {
        if let Some(number) = value.as_i64() {
            let showed = self.showed(i128::from(number) * unit).div_euclid(unit);
            *value = i64::try_from(showed).unwrap_or(i64::MAX).into();
        }
    }
}

/// The lines of a head, line ends and the empty last one included.
fn head(from: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        lines.push(line);
        if lines.last().is_some_and(|line| line == "\r\n") {
            return Ok(lines);
        }
    }
}

/// A head without what says how long the body is, and how long it is.
fn measured(answer: &[String]) -> io::Result<(String, Length)> {
    let mut plain = String::new();
    let mut length = Length::Known(0);
    for line in &answer[..answer.len() - 1] {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if name.eq_ignore_ascii_case("transfer-encoding") {
            length = Length::Chunks;
        } else if name.eq_ignore_ascii_case("content-length") {
            length = Length::Known(value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?);
        } else {
            plain.push_str(line);
        }
    }
    Ok((plain, length))
}

/// Appends the next chunk; false if it was the last, which is empty.
fn chunk(from: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<bool> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let size = usize::from_str_radix(line.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
    let before = body.len();
    body.resize(before + size, 0);
    from.read_exact(&mut body[before..])?;
    from.read_exact(&mut [0; 2])?;
    Ok(size > 0)
}

fn now() -> i128 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the machine's clock is after 1970");
    since.as_nanos().cast_signed()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_happened_keeps_the_time_of_then() {
        let shared = Shared::default();
        locked(&shared.steps).extend([(100 * SECOND, 50 * SECOND), (200 * SECOND, -150 * SECOND)]);
        let mut events = json!([{"time": 99, "timeNano": 99_000_000_001_i64}, {"time": 100}, {"time": 210}]);
        shared.set_times(&mut events);
        assert_eq!(events, json!([{"time": 99, "timeNano": 99_000_000_001_i64}, {"time": 150}, {"time": 60}]));
        let mut inspect = json!({"Created": "1970-01-01T00:01:40.000000005Z", "State": {
            "StartedAt": "1970-01-01T00:03:20.5Z", "FinishedAt": "0001-01-01T00:00:00Z"}});
        shared.set_times(&mut inspect);
        let then = json!({"Created": "1970-01-01T00:02:30.000000005Z", "State": {
            "StartedAt": "1970-01-01T00:00:50.500000000Z", "FinishedAt": "0001-01-01T00:00:00Z"}});
        assert_eq!(inspect, then);
    }

    #[test]
    fn chunks_and_lines_need_not_agree() {
        let mut from = BufReader::new(&b"8\r\n{\"time\":\r\n6\r\n5}\n{}\n\r\n0\r\n\r\n"[..]);
        let mut to = Vec::new();
        Shared::default().stream(&mut from, &mut to).expect("a stream");
        assert_eq!(String::from_utf8_lossy(&to), "b\r\n{\"time\":5}\n\r\n3\r\n{}\n\r\n0\r\n\r\n");
    }
}
