//! The server that a command talks to: where it is, and requests to it.

use super::exit::{Exit, Failure};
use crate::api::query::encode;
use crate::api::types::{Page, Problem};
use crate::install;
use clap::Args;
use muster_dial::client::Method;
use muster_dial::{Address, Client, JoinString, Pin, Proxies, Settings, Stream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of an answer: 500 containers at their limits.
const ANSWER: usize = 32 * 1024 * 1024;

/// Bytes of a file in the data directory.
const FILE: u64 = 16 * 1024;

/// Items asked for at a time: the most that the API gives.
const PAGE: &str = "500";

/// Silence after which a stream counts as lost: three of the server's keep-alives.
const SILENCE: Duration = Duration::from_secs(45);

/// Written by `muster serve` into its data directory when it is ready: where commands on the same machine find it.
pub const SERVER_FILE: &str = "server.json";

/// The data directory unless a flag says otherwise.
pub const DATA_DIR: &str = "/var/lib/muster";

/// The first admin token, in the data directory.
pub const ADMIN_TOKEN_FILE: &str = "admin.token";

/// What is in [`SERVER_FILE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFile {
    /// `https://ADDR:PORT`, as it can be reached on this machine.
    pub url: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub pin: String,
    /// Where the Docker API is served without certificates, for `DOCKER_HOST`, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<String>,
}

/// Flags that say which server. An empty one counts as not given: so an environment variable can be switched off.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which server")]
pub struct Target {
    /// The server's directory: on its own machine, commands find address and token there
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "MUSTER_DATA_DIR",
        default_value = DATA_DIR,
        display_order = 100
    )]
    pub data_dir: PathBuf,
    /// The server, https://HOST:PORT; needs --pin and --token
    #[arg(long, global = true, env = "MUSTER_URL", display_order = 101)]
    pub url: Option<String>,
    /// What the server is recognised by, sha256:...; several are separated by commas
    #[arg(long, global = true, value_name = "PIN", env = "MUSTER_PIN", value_delimiter = ',', display_order = 102)]
    pub pin: Vec<String>,
    /// The API token
    #[arg(long, global = true, env = "MUSTER_TOKEN", hide_env_values = true, display_order = 103)]
    pub token: Option<Secret>,
}

/// A token, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl From<&str> for Secret {
    fn from(token: &str) -> Secret {
        Secret(token.trim().to_string())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Reads `https://HOST:PORT`.
fn read_url(text: &str) -> Result<Address, String> {
    let rest = text.strip_prefix("https://").ok_or("give https://HOST:PORT")?;
    rest.strip_suffix('/').unwrap_or(rest).parse().map_err(|error| format!("{error}; give https://HOST:PORT"))
}

/// Where a server is and what it asks for.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    address: Address,
    pins: Vec<Pin>,
    token: Secret,
    /// It was found in the data directory.
    is_here: bool,
}

impl Target {
    /// From the flags, else from the data directory.
    fn find(&self) -> Result<Found, Failure> {
        let usage = |what: &str, why: &dyn fmt::Display| Failure::new(Exit::Usage, format!("{what}: {why}"));
        let url = self.url.as_deref().filter(|url| !url.is_empty());
        let given: Vec<&str> = self.pin.iter().map(|pin| pin.trim()).filter(|pin| !pin.is_empty()).collect();
        let pins: Result<Vec<Pin>, _> = given.iter().map(|pin| pin.parse()).collect();
        let pins = pins.map_err(|error| usage("--pin", &error))?;
        let (address, pins) = match url {
            Some(_) if pins.is_empty() => {
                let why = "the server could not be recognised; give --pin or MUSTER_PIN, as `muster serve` prints it";
                return Err(usage("--url without --pin", &why));
            }
            Some(url) => (read_url(url).map_err(|why| usage("--url", &why))?, pins),
            None => self.find_here(pins)?,
        };
        let token = match self.token.as_ref().filter(|token| !token.0.is_empty()) {
            Some(token) => token.clone(),
            // The token of the server that is here is not for another one.
            None if url.is_some() => {
                let message = "--url without --token: the server would refuse; give --token or MUSTER_TOKEN, from `muster token create`";
                return Err(Failure::new(Exit::Refused, message));
            }
            None => {
                let path = self.data_dir.join(ADMIN_TOKEN_FILE);
                let advice = "run this as the user that runs `muster serve`, or set MUSTER_TOKEN";
                let refused = |why| Failure::new(Exit::Refused, format!("{}: {why}; {advice}", path.display()));
                Secret::from(read_file(&path).map_err(refused)?.as_str())
            }
        };
        Ok(Found { address, pins, token, is_here: url.is_none() })
    }

    fn find_here(&self, pins: Vec<Pin>) -> Result<(Address, Vec<Pin>), Failure> {
        let path = self.data_dir.join(SERVER_FILE);
        let advice = "start `muster serve` with this data directory, or set MUSTER_URL, MUSTER_PIN and MUSTER_TOKEN";
        let failed = |why: String| Failure::new(Exit::Unreachable, format!("{}: {why}; {advice}", path.display()));
        let text = read_file(&path).map_err(failed)?;
        let file: ServerFile = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        let address = read_url(&file.url).map_err(failed)?;
        match pins.is_empty() {
            true => Ok((address, vec![file.pin.parse().map_err(|error| failed(format!("pin: {error}")))?])),
            false => Ok((address, pins)),
        }
    }

    /// Where the server of the data directory serves the Docker API without certificates, if it does.
    pub fn docker_here(&self) -> Result<Option<String>, Failure> {
        let path = self.data_dir.join(SERVER_FILE);
        let failed = |why: String| Failure::new(Exit::Unreachable, format!("{}: {why}", path.display()));
        let file: ServerFile =
            serde_json::from_str(&read_file(&path).map_err(failed)?).map_err(|error| failed(error.to_string()))?;
        Ok(file.docker)
    }

    /// Whether the server is the one of the data directory.
    pub fn is_here(&self) -> bool {
        self.url.as_deref().is_none_or(str::is_empty)
    }

    /// Connects to nothing yet.
    pub fn server(&self) -> Result<Server, Failure> {
        let found = self.find()?;
        let mut settings = Settings::roomy(found.address, found.pins);
        if found.is_here {
            // No proxy leads to the server of this machine.
            settings.proxies = Proxies::none();
        }
        let client = Client::new(settings)?;
        Ok(Server { client, token: found.token })
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE).read_to_string(&mut text))
        .map_err(|error| error.to_string())?;
    Ok(text)
}

/// A server that answers.
#[derive(Debug)]
pub struct Server {
    client: Client,
    token: Secret,
}

impl Server {
    /// One object.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let mut answer = Vec::new();
        let status = self.client.get(path, &self.token.0, &mut answer, ANSWER)?;
        read(status.0, &answer)
    }

    /// Sends an object and gets one.
    pub fn send<T: DeserializeOwned>(&self, method: Method, path: &str, object: &impl Serialize) -> Result<T, Failure> {
        let body = serde_json::to_vec(object).map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
        let mut answer = Vec::new();
        let status = self.client.send_json(method, path, &self.token.0, &body, &mut answer, ANSWER)?;
        read(status.0, &answer)
    }

    /// Removes something. What is answered to that is not needed.
    pub fn delete(&self, path: &str) -> Result<(), Failure> {
        let mut answer = Vec::new();
        let status = self.client.delete(path, &self.token.0, &mut answer, ANSWER)?;
        if status.is_success() { Ok(()) } else { Err(failure(status.0, &answer)) }
    }

    /// All of a list, page by page.
    pub fn each_page<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        take: impl FnMut(Vec<T>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        each_page(|path| self.get(path), path, query, take)
    }

    /// All of a list.
    pub fn list<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<T>, Failure> {
        let mut all = Vec::new();
        self.each_page(path, query, |items| {
            all.extend(items);
            Ok(())
        })?;
        Ok(all)
    }

    /// Whether the server has any agent for hosts to install, as whoever holds this join string is told.
    pub fn offers_agents(&self, join: &str) -> Result<(), Failure> {
        let join: JoinString = join.parse().map_err(|error| {
            Failure::new(Exit::Failure, format!("the server gives a join string that cannot be read: {error}"))
        })?;
        let mut answer = Vec::new();
        let status = self.client.get(install::SCRIPT, &join.token, &mut answer, ANSWER)?;
        match status.0 {
            200 => Ok(()),
            404 => Err(Failure::new(Exit::NotFound, install::NOTHING_OFFERED)),
            status => Err(failure(status, &answer)),
        }
    }

    /// The bytes of a backup.
    pub fn backup(&self, with_history: bool) -> Result<Stream, Failure> {
        self.open(&format!("/api/v1/backup?history={with_history}"), None)
    }

    /// The stream of changes, behind the one with the id `resume`.
    pub fn stream(&self, resume: Option<&str>) -> Result<Stream, Failure> {
        self.open("/api/v1/stream", resume)
    }

    fn open(&self, path: &str, resume: Option<&str>) -> Result<Stream, Failure> {
        let mut stream = self.client.stream(path, &self.token.0, resume, SILENCE)?;
        if stream.status().is_success() {
            return Ok(stream);
        }
        let status = stream.status().0;
        let mut answer = Vec::new();
        // Without the reason the status has to do.
        let _ = (&mut stream).take(FILE).read_to_end(&mut answer);
        Err(failure(status, &answer))
    }
}

fn each_page<T: DeserializeOwned>(
    get: impl Fn(&str) -> Result<Page<T>, Failure>,
    path: &str,
    query: &[(&str, String)],
    mut take: impl FnMut(Vec<T>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut cursor: Option<String> = None;
    loop {
        let mut url = format!("{path}?limit={PAGE}");
        // The API wants to know either where to begin or how to go on.
        let began = |key: &str| key == "after" && cursor.is_some();
        for (key, value) in query.iter().filter(|(key, _)| !began(key)) {
            url.push_str(&format!("&{key}={}", encode(value)));
        }
        if let Some(cursor) = &cursor {
            url.push_str(&format!("&cursor={}", encode(cursor)));
        }
        let page = get(&url)?;
        take(page.items)?;
        if page.next.is_none() {
            return Ok(());
        }
        if page.next == cursor {
            return Err(Failure::new(Exit::Failure, "the server gives the same page again and again; see its log"));
        }
        cursor = page.next;
    }
}

fn read<T: DeserializeOwned>(status: u16, answer: &[u8]) -> Result<T, Failure> {
    if !(200..300).contains(&status) {
        return Err(failure(status, answer));
    }
    serde_json::from_slice(answer).map_err(|error| {
        let message = format!(
            "the server's answer makes no sense: {error}; are the server and this command of the same version?"
        );
        Failure::new(Exit::Failure, message)
    })
}

/// The error in an answer; what is no problem+json has only its status to say.
fn failure(status: u16, answer: &[u8]) -> Failure {
    let bare = |_| Problem {
        title: String::new(),
        status,
        detail: format!("the server answered with status {status}; see its log"),
        candidates: Vec::new(),
    };
    let problem: Problem = serde_json::from_slice(answer).unwrap_or_else(bare);
    Failure::of_problem(&Problem { status, detail: super::output::printable(&problem.detail), ..problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::VecDeque;

    const PIN: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

    fn target(data_dir: &Path) -> Target {
        Target { data_dir: data_dir.to_path_buf(), url: None, token: None, pin: Vec::new() }
    }

    struct Dir(PathBuf);

    impl Dir {
        fn new() -> Dir {
            let mut random = [0; 8];
            getrandom::fill(&mut random).expect("random bytes");
            let dir = std::env::temp_dir().join(format!("muster-cli-{:x}", u64::from_le_bytes(random)));
            std::fs::create_dir(&dir).expect("a directory");
            Dir(dir)
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.join(name), text).expect("written");
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_data_directory_says_where_the_server_is() {
        let dir = Dir::new();
        let failure = target(&dir.0).find().expect_err("no server was ever here");
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(
            failure.message.contains("server.json") && failure.message.contains("MUSTER_URL"),
            "{}",
            failure.message
        );
        dir.write(SERVER_FILE, &format!(r#"{{"url":"https://127.0.0.1:7443","pin":"{PIN}"}}"#));
        let failure = target(&dir.0).find().expect_err("no token is there");
        assert_eq!(failure.exit, Exit::Refused);
        dir.write(ADMIN_TOKEN_FILE, "secret\n");
        let found = target(&dir.0).find().expect("all is there");
        assert_eq!((found.address.to_string().as_str(), found.token.0.as_str()), ("127.0.0.1:7443", "secret"));
        assert_eq!(found.pins[0].to_string(), PIN);
        dir.write(SERVER_FILE, "{");
        assert_eq!(target(&dir.0).find().map_err(|failure| failure.exit), Err(Exit::Unreachable));
    }

    #[test]
    fn another_server_needs_its_own_pin_and_token() {
        let dir = Dir::new();
        dir.write(ADMIN_TOKEN_FILE, "of the server that is here");
        let mut target = target(&dir.0);
        target.url = Some(String::new());
        assert_eq!(target.find().map_err(|failure| failure.exit), Err(Exit::Unreachable), "as if it were not given");
        target.url = Some("https://fleet.example:7443/".into());
        assert_eq!(target.find().map_err(|failure| failure.exit), Err(Exit::Usage));
        target.pin = vec!["sha256:12".into()];
        assert_eq!(target.find().map_err(|failure| failure.exit), Err(Exit::Usage));
        target.pin = vec![PIN.into()];
        assert_eq!(target.find().map_err(|failure| failure.exit), Err(Exit::Refused));
        target.token = Some("t".into());
        assert!(!format!("{target:?}").contains("\"t\""));
        assert_eq!(target.find().expect("all is given").address.to_string(), "fleet.example:7443");
    }

    #[test]
    fn urls() {
        assert!(read_url("https://[::1]:7443").is_ok());
        for wrong in ["http://a:1", "a:1", "https://a", "https://a:b", "https://a:1/api"] {
            assert!(read_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_are_followed_to_their_end() {
        let pages = RefCell::new(VecDeque::from([
            Page { items: vec![1, 2], next: Some("c 1".to_string()) },
            Page { items: vec![3], next: None },
        ]));
        let asked = RefCell::new(Vec::new());
        let get = |path: &str| {
            asked.borrow_mut().push(path.to_string());
            Ok(pages.borrow_mut().pop_front().expect("a page"))
        };
        let mut all: Vec<i32> = Vec::new();
        let query = [("host", "a&b".to_string()), ("after", "7".to_string())];
        each_page(get, "/x", &query, |items| {
            all.extend(items);
            Ok(())
        })
        .expect("both pages");
        assert_eq!(all, [1, 2, 3]);
        assert_eq!(*asked.borrow(), ["/x?limit=500&host=a%26b&after=7", "/x?limit=500&host=a%26b&cursor=c%201"]);
    }

    #[test]
    fn errors_are_read_whatever_they_are() {
        let problem = br#"{"title":"Not Found","status":404,"detail":"no host is called 'x'"}"#;
        let of = |status, body: &[u8]| read::<Problem>(status, body).expect_err("a failure");
        assert_eq!(of(404, problem), Failure::new(Exit::NotFound, "no host is called 'x'"));
        assert_eq!(of(502, b"<html>").exit, Exit::Failure);
        assert_eq!(of(503, b"").exit, Exit::Unavailable);
        assert_eq!(of(200, b"[]").exit, Exit::Failure);
    }
}
