//! Registering this host with its server, once in its life.
//!
//! The server is knocked at first, so that nothing is written where nobody answers. Then the credential is made and
//! stored, and only then sent: if the answer is lost, the same credential finds the same host again.

pub mod facts;
mod failed;
pub mod identity;
pub mod renewal;
pub mod state_dir;

use crate::command::exit::{Exit, Trouble, one_line};
pub(crate) use failed::{exit_of, reason};
use failed::{no_answer, of_another_server, refused};
use identity::{Credential, Identity};
use muster_dial::join_string::{ADDRESSES, PINS, TEXT_LIMIT};
use muster_dial::{Address, Client, Failure, JoinString, Settings};
use muster_protocol::id::Fingerprint;
use muster_protocol::join::{Join, Joined};
use muster_protocol::limits;
use muster_protocol::record::{Kind, Malformed, Reader, Writer};
use state_dir::Made;
use std::io::{self, BufRead};
use std::path::Path;

/// A file in the state directory that a join string can be put in, as on the card of a flashed image.
pub const STRING_FILE: &str = "join";
/// How to get a join string.
pub const GET_STRING: &str = "`muster join-command` on the server prints the whole command";

const KNOCK: &str = "/healthz";
const JOIN: &str = "/agent/v1/join";
/// Largest answer that is read. Those that matter have some hundred bytes.
const ANSWER: usize = 16 * 1024;
/// Token, name and fingerprint within their limits, and what frames them.
const REQUEST: usize = 1024;
/// White space around a join string.
const AROUND: usize = 64;

/// Who wants to join.
#[derive(Debug, Clone, Copy)]
pub struct Applicant<'a> {
    /// Where the identity is to be kept. Made if it is missing.
    pub state_dir: &'a Path,
    /// What the host calls itself, at most [`limits::HOST_NAME`] bytes; the server makes it unique.
    pub name: &'a str,
    /// Of the board.
    pub fingerprint: Fingerprint,
}

/// A host that has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// As it was stored.
    pub identity: Identity,
    /// The server's address that answered.
    pub server: Address,
}

/// Whether a join that failed can work later without anyone touching this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The network or the server may be back at any time.
    Soon,
    /// Only if an operator changes something at the server: rarely worth a question.
    Seldom,
    /// What is wrong is on this host.
    Never,
}

/// A join that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJoined {
    /// What went wrong.
    pub trouble: Trouble,
    /// The server refuses the credential itself, which it knew once.
    pub is_revoked: bool,
    /// Whether to try again.
    pub again: Again,
}

impl NotJoined {
    fn here(trouble: Trouble) -> NotJoined {
        NotJoined { trouble, is_revoked: false, again: Again::Never }
    }
}

/// Reads a join string that was given in this place.
pub fn parse_string(place: &str, text: &str) -> Result<JoinString, Trouble> {
    text.parse().map_err(|error| Trouble::new(Exit::Usage, place, format!("it cannot be used: {error}"), GET_STRING))
}

/// Reads a join string from the first line that is not empty.
pub fn read_string(from: impl BufRead) -> Result<JoinString, Trouble> {
    let mut from = from.take((TEXT_LIMIT + AROUND) as u64);
    let mut line = Vec::new();
    while line.trim_ascii().is_empty() {
        line.clear();
        let length = from.read_until(b'\n', &mut line).map_err(|error| {
            Trouble::new(Exit::Failed, "cannot read the join string from standard input", error, GET_STRING)
        })?;
        if length == 0 {
            let what = "the join string from standard input";
            return Err(Trouble::new(Exit::Usage, what, "there is none", GET_STRING));
        }
    }
    parse_string("the join string from standard input", &String::from_utf8_lossy(&line))
}

/// The join string in the state directory's file for it, if there is one.
pub fn string_in(state_dir: &Path) -> Result<Option<JoinString>, Trouble> {
    let path = state_dir.join(STRING_FILE);
    identity::close(&path);
    let text = state_dir::read(&path, TEXT_LIMIT + AROUND).map_err(|error| {
        Trouble::new(Exit::Failed, format!("cannot read {}", path.display()), error, "put it right, or remove it")
    })?;
    text.map(|text| parse_string(&path.display().to_string(), &text)).transpose()
}

/// Keeps a join string in the state directory, for its owner alone: should the card be copied, the copy needs it to
/// become a host of its own. It is good for as long as its token is.
pub fn keep_string(state_dir: &Path, string: &JoinString) {
    let text = format!("{string}\n");
    // Flash is spared.
    if state_dir::read(&state_dir.join(STRING_FILE), TEXT_LIMIT + AROUND).is_ok_and(|kept| kept.as_ref() == Some(&text))
    {
        return;
    }
    if let Err(error) = state_dir::replace(state_dir, STRING_FILE, text.as_bytes()) {
        log::warn!("cannot keep the join string in {}: {error}", state_dir.display());
    }
}

/// This host has not joined, and does not know where to.
pub fn not_joined(state_dir: &Path) -> Trouble {
    let why = format!("there is no identity in {}", state_dir.display());
    let advice = format!("run muster-agent join STRING; {GET_STRING}");
    Trouble::new(Exit::Failed, "this host has not joined", why, advice)
}

/// This board is a copy of another one, and has nothing to join by.
pub fn no_string(state_dir: &Path) -> Trouble {
    let why = format!("there is no join string in {}", state_dir.join(STRING_FILE).display());
    let advice = format!("remove {} and run muster-agent join STRING; {GET_STRING}", state_dir.display());
    Trouble::new(Exit::Failed, "cannot join as a host of its own", why, advice)
}

/// Registers this host, or finds it again if its credential is known there already. Blocks for at most a minute for
/// each address.
///
/// A failure leaves nothing behind, unless the server may have heard the request: then what was stored stays, and
/// the same call again makes it good. What was there before stays in any case.
pub fn join(applicant: &Applicant<'_>, string: &JoinString) -> Result<Registration, NotJoined> {
    join_as(applicant, string, identity::FILE)
}

/// As [`join`], with a credential that was never used, for a host whose own is refused or belongs to another board: it
/// becomes a host of its own. Only then is its old credential replaced, for good.
pub fn join_anew(applicant: &Applicant<'_>, string: &JoinString) -> Result<Registration, NotJoined> {
    join_as(applicant, string, identity::ANEW)
}

fn join_as(applicant: &Applicant<'_>, string: &JoinString, file: &'static str) -> Result<Registration, NotJoined> {
    let stored = Identity::load(applicant.state_dir).map_err(NotJoined::here)?;
    let kept = match file {
        identity::FILE => stored.clone(),
        // What has become this host's identity already is not used for another one.
        _ => Identity::load_from(applicant.state_dir, file).ok().flatten().filter(|pending| {
            let is_used = |stored: &Identity| stored.credential == pending.credential;
            pending.is_of(&string.pins) && !stored.as_ref().is_some_and(is_used)
        }),
    };
    if stored.as_ref().is_some_and(|stored| !stored.is_of(&string.pins)) {
        return Err(NotJoined::here(of_another_server(applicant.state_dir)));
    }
    let (known_addresses, known_pins) =
        stored.as_ref().map(|stored| (&stored.addresses[..], &stored.pins[..])).unwrap_or_default();
    let known_generation = stored.as_ref().map_or(0, |stored| stored.generation);
    let mut wanted = Wanted {
        applicant,
        string,
        file,
        addresses: merged(&string.addresses, known_addresses, ADDRESSES),
        // A server that has changed its key since the string was made is still ours.
        pins: merged(&string.pins, known_pins, PINS),
        generation: string.generation.max(known_generation),
        kept: kept.map(|identity| Kept { identity, made: Made::default(), is_new: false }),
    };
    let mut failures = Vec::new();
    let mut asked = false;
    for address in wanted.addresses.clone() {
        let failure = match wanted.knock(&address) {
            Err(failure) => failure,
            Ok(client) => {
                wanted.keep()?;
                match wanted.ask(&client) {
                    Ok(answer) => return wanted.conclude(address, answer),
                    Err(failure) => {
                        asked = true;
                        failure
                    }
                }
            }
        };
        log::debug!("join at {address}: {failure}");
        failures.push((address, failure));
    }
    Err(no_answer(failures, asked))
}

/// The first list, and of the second what is not in it, up to a limit.
fn merged<T: Clone + PartialEq>(first: &[T], second: &[T], limit: usize) -> Vec<T> {
    let more = second.iter().filter(|item| !first.contains(item));
    first.iter().chain(more).take(limit).cloned().collect()
}

/// The identity under which a join is tried, as it is on the disk.
struct Kept {
    identity: Identity,
    made: Made,
    /// By this call.
    is_new: bool,
}

/// A join under way.
struct Wanted<'a> {
    applicant: &'a Applicant<'a>,
    string: &'a JoinString,
    /// Where the credential lies until the server has answered.
    file: &'static str,
    addresses: Vec<Address>,
    pins: Vec<muster_dial::Pin>,
    generation: u64,
    kept: Option<Kept>,
}

/// A status and a body.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Wanted<'_> {
    /// Connects, and asks for something that changes nothing.
    fn knock(&self, address: &Address) -> Result<Client, Failure> {
        let settings = Settings::small(address.clone(), self.pins.clone());
        let client = Client::new(Settings { least_generation: self.generation, ..settings })?;
        match client.get(KNOCK, "", &mut Vec::new(), ANSWER) {
            // Whatever it says: it is the pinned server, and it is there.
            Ok(_) | Err(Failure::TooLarge) => Ok(client),
            Err(failure) => Err(failure),
        }
    }

    /// Stores a new credential, unless there is one.
    fn keep(&mut self) -> Result<(), NotJoined> {
        if self.kept.is_some() {
            return Ok(());
        }
        let directory = self.applicant.state_dir;
        let cannot = |error: io::Error| {
            let advice = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room there, then repeat the command",
                io::ErrorKind::ReadOnlyFilesystem => "mount it writable, or name another directory with --state-dir",
                _ => "run this as root, or name another directory with --state-dir",
            };
            let what = format!("cannot keep an identity in {}", directory.display());
            NotJoined::here(Trouble::new(Exit::Failed, what, error, advice))
        };
        let credential = Credential::random().map_err(cannot)?;
        let made = state_dir::make(directory).map_err(cannot)?;
        let identity = Identity {
            host: None,
            name: one_line(self.applicant.name, limits::HOST_NAME),
            credential,
            spare: None,
            addresses: self.addresses.clone(),
            pins: self.pins.clone(),
            former: Vec::new(),
            revision: 0,
            generation: self.generation,
        };
        let stored = match self.file {
            identity::FILE => identity.store_first(directory),
            file => identity.store_as(directory, file).map(|()| true),
        };
        match stored {
            Ok(true) => self.kept = Some(Kept { identity, made, is_new: true }),
            // Another join began in this directory meanwhile: it has to be the same host.
            Ok(false) => match Identity::load(directory) {
                Ok(Some(theirs)) if theirs.is_of(&self.string.pins) => {
                    self.kept = Some(Kept { identity: theirs, made: Made::default(), is_new: false });
                }
                Ok(Some(_)) => return Err(NotJoined::here(of_another_server(directory))),
                Ok(None) => return Err(cannot(io::ErrorKind::Interrupted.into())),
                Err(trouble) => return Err(NotJoined::here(trouble)),
            },
            Err(error) => {
                let _ = state_dir::remove(directory, self.file);
                made.undo();
                return Err(cannot(error));
            }
        }
        Ok(())
    }

    fn ask(&self, client: &Client) -> Result<Answer, Failure> {
        let too_long = || Failure::Protocol("the request does not fit in its limit".to_string());
        let name = one_line(self.applicant.name, limits::HOST_NAME);
        let join = Join { token: &self.string.token, name: &name, fingerprint: self.applicant.fingerprint };
        let mut request = [0; REQUEST];
        let mut writer = Writer::message(&mut request).map_err(|_| too_long())?;
        writer.record(Kind::Join, &join).map_err(|_| too_long())?;
        let mut body = Vec::new();
        let credential = self.kept.as_ref().map(|kept| kept.identity.credential.hex()).unwrap_or_default();
        let status = client.post(JOIN, &credential, writer.as_bytes(), &mut body, ANSWER)?;
        Ok(Answer { status: status.0, body })
    }

    /// Does what the answer says.
    fn conclude(self, server: Address, answer: Answer) -> Result<Registration, NotJoined> {
        let Some(kept) = self.kept else { return Err(NotJoined::here(not_joined(self.applicant.state_dir))) };
        let directory = self.applicant.state_dir;
        if answer.status != 200 {
            let secrets = [self.string.token.as_str(), &kept.identity.credential.hex()];
            let reason = secrets.iter().fold(reason(&answer.body), |text, secret| text.replace(secret, "(hidden)"));
            let was_known = kept.identity.host.is_some();
            kept.forget(directory, self.file);
            let not_joined = refused(&server, answer.status, &reason, directory);
            // A credential that is new cannot have been revoked.
            return Err(NotJoined { is_revoked: not_joined.is_revoked && was_known, ..not_joined });
        }
        let joined = Reader::message(&answer.body).and_then(|mut reader| reader.expect::<Joined<'_>>(Kind::Joined));
        let joined = match joined {
            Ok(joined) if !joined.name.is_empty() => joined,
            Ok(_) => return Err(no_answer(vec![(server, protocol(Malformed::Payload(Kind::Joined)))], true)),
            Err(malformed) => return Err(no_answer(vec![(server, protocol(malformed))], true)),
        };
        if kept.identity.host.is_some_and(|host| host != joined.host) {
            log::warn!("the server at {server} knows this host as another one than before");
        }
        let identity = Identity {
            host: Some(joined.host),
            name: one_line(joined.name, limits::HOST_NAME),
            credential: kept.identity.credential.clone(),
            // Whatever differs from what the server announced last: it announces that again.
            revision: if self.pins == kept.identity.pins { kept.identity.revision } else { 0 },
            spare: kept.identity.spare.clone(),
            addresses: self.addresses,
            pins: self.pins,
            former: kept.identity.former.clone(),
            generation: self.generation,
        };
        let is_anew = self.file != identity::FILE;
        if is_anew {
            // Its events are counted from the beginning. Should this be all that happens, the server knows better.
            let _ = state_dir::remove(directory, identity::EPOCH_FILE);
        }
        // Flash is spared if nothing is new.
        let stored = if identity == kept.identity { Ok(()) } else { identity.store(directory) };
        if is_anew && stored.is_ok() {
            let _ = state_dir::remove(directory, self.file);
        }
        stored.map_err(|error| {
            let what = format!("has joined, but cannot write {}", directory.join(identity::FILE).display());
            NotJoined::here(Trouble::new(Exit::Failed, what, error, "make room there, and repeat the same command"))
        })?;
        Ok(Registration { identity, server })
    }
}

impl Kept {
    /// Leaves the disk as it was before, unless another join has made use of it.
    fn forget(self, directory: &Path, file: &str) {
        if !self.is_new || Identity::load_from(directory, file).ok().flatten().as_ref() != Some(&self.identity) {
            return;
        }
        match state_dir::remove(directory, file) {
            Ok(()) => self.made.undo(),
            Err(error) => log::warn!("cannot remove {}: {error}", directory.join(file).display()),
        }
    }
}

fn protocol(malformed: Malformed) -> Failure {
    Failure::Protocol(malformed.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::state_dir::TestDir;
    use std::io::Read;

    const STRING: &str =
        "muster://hush@a:1?pin=sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn a_join_string_is_read_from_the_first_line_that_has_one() {
        let string: JoinString = STRING.parse().unwrap();
        for text in [STRING.to_string(), format!("\r\n  \n{STRING}\r\nmore\n")] {
            assert_eq!(read_string(text.as_bytes()), Ok(string.clone()));
        }
        assert_eq!(read_string(&b"\n\n"[..]).unwrap_err().exit, Exit::Usage);
        let endless = BufReadRepeat(b'x');
        assert!(read_string(endless).unwrap_err().why.contains("cannot be used"));
        let trouble = read_string(&b"muster://hush@a?pin=x\n"[..]).unwrap_err();
        assert!(!trouble.to_string().contains("hush"));
    }

    /// One byte for ever.
    struct BufReadRepeat(u8);

    impl Read for BufReadRepeat {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(self.0);
            Ok(buffer.len())
        }
    }

    impl BufRead for BufReadRepeat {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            Ok(std::slice::from_ref(&self.0))
        }

        fn consume(&mut self, _: usize) {}
    }

    #[test]
    fn a_join_string_can_lie_in_the_state_directory() {
        let dir = TestDir::new();
        assert_eq!(string_in(dir.path()), Ok(None));
        std::fs::write(dir.path().join(STRING_FILE), format!("{STRING}\n")).unwrap();
        assert_eq!(string_in(dir.path()), Ok(Some(STRING.parse().unwrap())));
        std::fs::write(dir.path().join(STRING_FILE), "muster://hush@").unwrap();
        let trouble = string_in(dir.path()).unwrap_err();
        assert!(trouble.what.ends_with("/join") && !trouble.to_string().contains("hush"));
    }

    #[test]
    fn lists_are_merged_without_doubles_and_up_to_the_limit() {
        assert_eq!(merged(&[1, 2], &[2, 3, 4], 3), [1, 2, 3]);
        assert_eq!(merged(&[1], &[], 3), [1]);
    }
}
