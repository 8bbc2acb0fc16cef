//! The line to the server, in a thread of its own: it opens one again and again, hands over what comes, sends what is
//! given to it, and finds out when the line is dead. What is said is for others to understand.

use crate::join::identity::{self, Credential, Identity};
use crate::join::renewal::Spare;
use crate::uplink::backoff::Backoff;
use log::{debug, info, warn};
use muster_dial::pinned::Kept;
use muster_dial::{Address, Failure, Line, Opened, Settings};
use muster_protocol::{limits, record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Where the line is asked for.
const PATH: &str = "/agent/v1/network";
/// What the thread needs: rustls's handshake is the deepest it goes.
const STACK: usize = 256 * 1024;
/// For a connection, on links that take their time.
const CONNECT: Duration = Duration::from_secs(15);
/// For opening a line, and for a message to be taken by the network.
const OVERALL: Duration = Duration::from_secs(30);
/// A line that is silent for so long is asked whether it lives.
const SILENCE: Duration = Duration::from_secs(60);
/// And has so much time to answer.
const ANSWERED: Duration = Duration::from_secs(20);
/// A line that has lived for so long was a good one: the first address has its turn again.
const GOOD: Duration = Duration::from_secs(60);
/// A removed host asks this often whether it is one again.
const REMOVED: Duration = Duration::from_secs(3600);
/// A server that knows no managed network is asked again after this: it may have been replaced by a newer one.
const UNKNOWN: Duration = Duration::from_secs(300);
/// A host that has not joined yet, or whose credential is not known.
const REFUSED: Duration = Duration::from_secs(30);
/// While it waits, the identity is looked at this often.
const LOOK: Duration = Duration::from_secs(5);
/// Messages that wait for the line. A whole hello has a few; if there are more, the line is begun anew.
const WAITING: usize = 64;
/// Messages that have come and were not looked at: then the line has to wait.
const HEARD: usize = 8;

/// What comes of the line.
#[derive(Debug)]
pub enum Heard {
    /// It is open. What is sent from now on says so by this number.
    Opened {
        /// Counts up with each line.
        line: u64,
        /// Where the server is, if that is known.
        server: Option<IpAddr>,
        /// By which address of its own this host reaches it.
        local: Option<IpAddr>,
    },
    /// A message.
    Said {
        /// Of which line.
        line: u64,
        /// As in `WIRE.md`.
        message: Vec<u8>,
    },
    /// It is at its end, or did not open.
    Closed(String),
    /// The server has removed this host.
    Removed,
}

/// The thread's other end. Dropping it does not end the thread before its next message.
#[derive(Debug)]
pub struct Session {
    heard: async_channel::Receiver<Heard>,
    outbox: Arc<Outbox>,
    wake: UnixStream,
}

#[derive(Debug, Default)]
struct Outbox(Mutex<Out>);

#[derive(Debug, Default)]
struct Out {
    /// The line that is open; messages for others are of no use any more.
    line: u64,
    messages: VecDeque<Vec<u8>>,
    /// The line is to be begun anew.
    anew: bool,
}

impl Outbox {
    fn held(&self) -> MutexGuard<'_, Out> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Starts the thread. The identity is read from this directory, whenever a line is opened.
    pub fn start(state_dir: PathBuf) -> io::Result<Session> {
        let (to, heard) = async_channel::bounded(HEARD);
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let outbox = Arc::<Outbox>::default();
        let mut caller = Caller {
            state_dir,
            to,
            outbox: outbox.clone(),
            woken,
            line: 0,
            turn: 0,
            spare: false,
            tls: Kept::default(),
        };
        std::thread::Builder::new().name("line".into()).stack_size(STACK).spawn(move || caller.run())?;
        Ok(Session { heard, outbox, wake })
    }

    /// What comes next.
    pub async fn heard(&self) -> Heard {
        match self.heard.recv().await {
            Ok(heard) => heard,
            // The thread has panicked, and the process ends with it.
            Err(_) => std::future::pending().await,
        }
    }

    /// Sends a message over this line, if it is still open.
    pub fn send(&self, line: u64, message: Vec<u8>) {
        let mut out = self.outbox.held();
        if out.line == line {
            if out.messages.len() < WAITING {
                out.messages.push_back(message);
            } else {
                out.anew = true;
            }
            drop(out);
            self.wake();
        }
    }

    /// Ends the line; another one will be opened.
    pub fn begin_anew(&self) {
        self.outbox.held().anew = true;
        self.wake();
    }

    fn wake(&self) {
        // One that is full wakes as well.
        let _ = (&self.wake).write(&[0]);
    }
}

/// What the thread has.
struct Caller {
    state_dir: PathBuf,
    to: async_channel::Sender<Heard>,
    outbox: Arc<Outbox>,
    woken: UnixStream,
    line: u64,
    /// Which address has its turn.
    turn: usize,
    /// The spare credential has its turn.
    spare: bool,
    tls: Kept,
}

/// Nobody listens any more.
struct Gone;

/// Why there is no line.
enum NoLine {
    /// For a reason that may pass.
    Failed(String),
    /// The server does not know the credential.
    Refused,
    Removed,
    /// For a reason that needs somebody to do something.
    Unlikely(String, Duration),
}

impl Caller {
    fn run(&mut self) {
        let mut backoff = Backoff::default();
        let mut told = String::new();
        loop {
            let began = Instant::now();
            let (why, wait) = match self.open() {
                Ok(line) => {
                    info!("the line for the managed network is open, to {}", line.address());
                    told.clear();
                    self.spare = false;
                    let opened = Instant::now();
                    let Ok(failure) = self.serve(line) else { return };
                    if opened.elapsed() >= GOOD {
                        backoff.succeed();
                        self.turn = 0;
                    } else {
                        self.turn += 1;
                    }
                    (format!("the line has ended: {failure}"), backoff.fail(random()))
                }
                Err(NoLine::Failed(why)) => {
                    self.turn += 1;
                    (why, backoff.fail(random()))
                }
                Err(NoLine::Refused) => {
                    // The reporting process may be about to renew the credential: both are tried, and read anew.
                    self.spare = !self.spare;
                    let wait = if self.spare { backoff.fail(random()) } else { REFUSED };
                    ("the server does not know this host's credential; see muster-agent status".into(), wait)
                }
                Err(NoLine::Removed) => {
                    if self.to.send_blocking(Heard::Removed).is_err() {
                        return;
                    }
                    ("the server has removed this host; asking again in an hour".into(), REMOVED)
                }
                Err(NoLine::Unlikely(why, wait)) => (why, wait),
            };
            if why == told {
                debug!("{why}");
            } else {
                warn!("{why}");
                told.clone_from(&why);
            }
            self.outbox.held().line = 0;
            if self.to.send_blocking(Heard::Closed(why)).is_err() {
                return;
            }
            debug!("trying again in {wait:?}, {:?} after the last try", began.elapsed());
            self.rest(wait);
        }
    }

    /// Waits, but no longer than until the identity is another one: the host may have joined anew.
    fn rest(&self, wait: Duration) {
        let path = self.state_dir.join(identity::FILE);
        // Also of a file that is refused, and then put right.
        let stamp =
            || std::fs::symlink_metadata(&path).ok().map(|there| (there.ino(), there.ctime(), there.ctime_nsec()));
        let (before, until) = (stamp(), Instant::now() + wait);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || stamp() != before {
                return;
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    fn open(&mut self) -> Result<Line, NoLine> {
        let not_joined = |why: String| NoLine::Unlikely(why, REFUSED);
        let identity = super::identity::load(&self.state_dir).map_err(|trouble| not_joined(trouble.to_string()))?;
        let identity = identity.filter(|identity| identity.host.is_some());
        let identity = identity.ok_or_else(|| not_joined(crate::join::not_joined(&self.state_dir).to_string()))?;
        let count = identity.all_addresses().count().max(1);
        let address = identity.all_addresses().nth(self.turn % count).cloned();
        let address = address.ok_or_else(|| not_joined("the identity names no address".into()))?;
        let settings = Settings {
            connect_timeout: CONNECT,
            overall_timeout: OVERALL,
            tls: self.tls.clone(),
            ..identity.settings(address.clone())
        };
        let credential = self.credential(&identity).hex();
        match Line::open(settings, PATH, &credential, limits::MESSAGE) {
            Ok(Opened::Line(line)) => Ok(*line),
            Ok(Opened::Refused(status)) => Err(match status.0 {
                401 | 403 => NoLine::Refused,
                410 => NoLine::Removed,
                404 | 405 | 426 => {
                    let why =
                        format!("the server at {address} knows no managed network (status {}); update it", status.0);
                    NoLine::Unlikely(why, UNKNOWN)
                }
                status => NoLine::Failed(format!("no line to {address}: it answers with status {status}")),
            }),
            Err(failure) => Err(NoLine::Failed(format!("no line to {address}: {failure}"))),
        }
    }

    fn credential<'i>(&self, identity: &'i Identity) -> &'i Credential {
        match &identity.spare {
            Some(Spare::Next(_, spare) | Spare::Previous(spare)) if self.spare => spare,
            _ => &identity.credential,
        }
    }

    /// Until the line ends.
    fn serve(&mut self, mut line: Line) -> Result<Failure, Gone> {
        self.line += 1;
        *self.outbox.held() = Out { line: self.line, messages: VecDeque::new(), anew: false };
        let server = server_of(&line);
        let local = line.local().ok().map(|address| address.ip().to_canonical());
        self.tell(Heard::Opened { line: self.line, server, local })?;
        let mut heard_at = Instant::now();
        let mut asked_at = None;
        loop {
            match self.step(&mut line, &mut heard_at, &mut asked_at) {
                Ok(said) => {
                    for message in said {
                        self.tell(Heard::Said { line: self.line, message })?;
                    }
                }
                Err(failure) => return Ok(failure),
            }
        }
    }

    /// Takes what has come, sends what waits, and waits for more.
    fn step(
        &self,
        line: &mut Line,
        heard_at: &mut Instant,
        asked_at: &mut Option<Instant>,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let mut messages = Vec::new();
        while messages.len() < HEARD
            && let Some(said) = line.heard()?
        {
            *heard_at = Instant::now();
            if said.is_answer {
                *asked_at = None;
            }
            // An answer is a version alone.
            if said.message.len() > 1 {
                messages.push(said.message);
            }
        }
        if !messages.is_empty() {
            return Ok(messages);
        }
        while let Some(message) = self.next_message()? {
            line.send(&message, false, OVERALL)?;
        }
        let wait = match *asked_at {
            Some(asked) => ANSWERED.checked_sub(asked.elapsed()).ok_or(Failure::TimedOut)?,
            None => match SILENCE.checked_sub(heard_at.elapsed()) {
                Some(left) => left,
                None => {
                    line.send(&[record::VERSION], true, OVERALL)?;
                    *asked_at = Some(Instant::now());
                    ANSWERED
                }
            },
        };
        let both = &mut [PollFd::new(line, PollFlags::IN), PollFd::new(&self.woken, PollFlags::IN)];
        let wait = Timespec::try_from(wait).unwrap_or_default();
        match poll(both, Some(&wait)) {
            Err(error) if error != rustix::io::Errno::INTR => return Err(Failure::Protocol(error.to_string())),
            _ => {}
        }
        while matches!((&self.woken).read(&mut [0; 64]), Ok(64)) {}
        Ok(messages)
    }

    fn next_message(&self) -> Result<Option<Vec<u8>>, Failure> {
        let mut out = self.outbox.held();
        if out.anew {
            return Err(Failure::Protocol("it is begun anew".into()));
        }
        Ok(out.messages.pop_front())
    }

    fn tell(&self, heard: Heard) -> Result<(), Gone> {
        self.to.send_blocking(heard).map_err(|_| Gone)
    }
}

/// The address of the server itself: of its name, the one that was reached if that is among them, for a proxy may have
/// been on the way.
fn server_of(line: &Line) -> Option<IpAddr> {
    let reached = line.peer().ok().map(|peer| peer.ip().to_canonical());
    let address: &Address = line.address();
    if let Some(ip) = address.ip() {
        return Some(ip.to_canonical());
    }
    let found: Vec<IpAddr> =
        (address.host(), address.port()).to_socket_addrs().ok()?.map(|found| found.ip().to_canonical()).collect();
    reached.filter(|reached| found.contains(reached)).or(found.first().copied())
}

fn random() -> u64 {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_or(u64::MAX, |()| u64::from_le_bytes(random))
}
