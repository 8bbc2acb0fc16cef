//! The way to a server through a proxy.
//!
//! The proxy is asked for a connection to the server's host and port, and sees nothing but these: pinned TLS runs
//! inside, from here to the server. ureq has proxies of its own; they have no limit for what a proxy says, no
//! ranges in `NO_PROXY`, and errors that name neither the proxy nor what to do.

mod environment;
mod http;
mod socks;

pub use environment::Proxies;

use crate::failure::{Failure, is_cut, one_line};
use crate::join_string::Address;
use crate::socket::Tcp;
use crate::tcp;
use percent_encoding::percent_decode_str;
use socks::Target;
use std::net::SocketAddr;
use std::{fmt, io};
use ureq::Error;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, Resolver};
use ureq::unversioned::transport::ConnectionDetails;

/// Longest user name and longest password, in bytes: SOCKS has one byte for each length.
const CREDENTIAL: usize = 255;
/// Addresses of a server that a SOCKS proxy is asked for, if it does not look up names itself.
const TARGETS: usize = 4;
/// Where HTTP proxies listen if nothing else is said: as Docker's engine has it, which reads the same variables.
const HTTP_PORT: u16 = 80;
/// The same for SOCKS.
const SOCKS_PORT: u16 = 1080;

/// A proxy. Prints without its credentials.
pub(crate) struct Proxy {
    kind: Kind,
    address: Address,
    credentials: Option<Credentials>,
    /// Where it was named, for those who have to put it right.
    variable: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    /// Names are looked up here.
    Socks5,
    /// Names are looked up by the proxy.
    Socks5h,
}

/// Neither is longer than [`CREDENTIAL`]. Never shown.
struct Credentials {
    user: String,
    password: String,
}

/// Why a proxy that was reached does not lead to the server.
enum Refusal {
    /// It wants some, or does not accept those that it was given.
    Credentials,
    /// It does not want to, and says why.
    Forbidden(String),
    /// It would, but cannot, and says why.
    Unreachable(String),
    /// It speaks another protocol.
    Nonsense,
    /// The connection broke, or the time was over.
    Broken(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Broken(error)
    }
}

impl Proxy {
    /// Reads `[SCHEME://][USER[:PASSWORD]@]HOST[:PORT]`. Errors contain nothing of it.
    fn parse(variable: &'static str, text: &str) -> Result<Proxy, &'static str> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (kind, port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Kind::Http, HTTP_PORT),
            "socks5" => (Kind::Socks5, SOCKS_PORT),
            "socks5h" => (Kind::Socks5h, SOCKS_PORT),
            "https" => return Err("proxies that are spoken to by TLS are not supported"),
            _ => return Err("proxies of this kind are not supported"),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if path.contains('@') {
            return Err("of a user name or password, the characters / ? # @ have to be written as %2F %3F %23 %40");
        }
        let (userinfo, place) = match authority.rsplit_once('@') {
            Some((userinfo, place)) => (Some(userinfo), place),
            None => (None, authority),
        };
        let has_port = place.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let address = if has_port { place.parse() } else { format!("{place}:{port}").parse::<Address>() };
        let address = address.map_err(|_| "it names no host and port")?;
        if address.port() == 0 {
            return Err("0 is no port");
        }
        let credentials = userinfo.map(Credentials::parse).transpose()?;
        if kind == Kind::Http && credentials.as_ref().is_some_and(|credentials| credentials.user.contains(':')) {
            return Err("a user name for an HTTP proxy has no colon");
        }
        Ok(Proxy { kind, address, credentials, variable })
    }

    /// Where the proxy itself is.
    pub(crate) fn uri(&self) -> Result<Uri, Error> {
        // The scheme is one that ureq knows; it means nothing.
        Ok(Uri::try_from(format!("http://{}/", self.address)).map_err(ureq::http::Error::from)?)
    }

    /// The proxy's own name leads nowhere.
    pub(crate) fn not_found(&self, error: &Error) -> Failure {
        let (why, variable) = (reason(error), self.variable);
        Failure::Unreachable(format!("the name of the proxy {self} cannot be looked up ({why}); is {variable} right?"))
    }

    /// Connects to the proxy at the addresses of `details`, and through it to `server`. The time limit of the
    /// stream is what is left of the time for connecting.
    pub(crate) fn open(&self, details: &ConnectionDetails, server: &Address) -> Result<Tcp, Failure> {
        let credentials = self.credentials.as_ref();
        let targets = match (self.kind, server.ip()) {
            (Kind::Http, _) => {
                let mut stream = self.reach(details)?;
                http::tunnel(&mut stream, credentials, server).map_err(|refusal| self.refused(refusal, server))?;
                return Ok(stream);
            }
            (_, Some(ip)) => vec![Target::Ip(SocketAddr::new(ip, server.port()))],
            (Kind::Socks5h, None) => vec![Target::Name(server.host(), server.port())],
            (Kind::Socks5, None) => self.look_up(details, server)?,
        };
        let mut failed = None;
        for (tried, target) in targets.iter().enumerate() {
            let mut stream = self.reach(details)?;
            stream.set_timeout(tcp::share(tcp::left_of(details), targets.len() - tried));
            match socks::connect(&mut stream, credentials, target) {
                Ok(()) => {
                    stream.set_timeout(tcp::left_of(details));
                    return Ok(stream);
                }
                // Only another address can help, and only against this.
                Err(refusal @ (Refusal::Unreachable(_) | Refusal::Broken(_))) => {
                    failed.get_or_insert(self.refused(refusal, server));
                }
                Err(refusal) => return Err(self.refused(refusal, server)),
            }
        }
        Err(failed.unwrap_or(Failure::TimedOut))
    }

    fn reach(&self, details: &ConnectionDetails) -> Result<Tcp, Failure> {
        tcp::open(details).map_err(|error| {
            let what = match &error {
                Error::Timeout(_) => return self.silent(),
                Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => "refused the connection".into(),
                error => format!("cannot be reached ({})", reason(error)),
            };
            Failure::Unreachable(format!("the proxy {self} {what}; does it run, and is {} right?", self.variable))
        })
    }

    /// The server's addresses, as this host sees them.
    fn look_up(&self, details: &ConnectionDetails, server: &Address) -> Result<Vec<Target<'static>>, Failure> {
        let left = tcp::left_of(details);
        let found = DefaultResolver::default().resolve(details.uri, details.config, left).map_err(|error| {
            let why = format!("the name of {server} cannot be looked up here ({})", reason(&error));
            let advice = format!("with socks5h:// in {} the proxy {self} looks it up", self.variable);
            Failure::Unreachable(format!("{why}; {advice}"))
        })?;
        Ok(tcp::alternate(&found).into_iter().take(TARGETS).map(Target::Ip).collect())
    }

    fn refused(&self, refusal: Refusal, server: &Address) -> Failure {
        let variable = self.variable;
        let (protocol, scheme) = match self.kind {
            Kind::Http => ("an HTTP", "http"),
            Kind::Socks5 | Kind::Socks5h => ("a SOCKS5", "socks5"),
        };
        let (what, advice) = match refusal {
            Refusal::Credentials if self.credentials.is_some() => {
                let what = format!("the proxy {self} does not accept the user name and password in {variable}");
                (what, "put them right".to_string())
            }
            Refusal::Credentials => {
                let what = format!("the proxy {self} demands a user name and password");
                (what, format!("add them to {variable}, as USER:PASSWORD@ before the host"))
            }
            Refusal::Forbidden(why) => {
                let what = format!("the proxy {self} refuses to connect to {server} ({why})");
                (what, "allow it there, or name the server in NO_PROXY if it can be reached without".to_string())
            }
            Refusal::Unreachable(why) => {
                let what = format!("the proxy {self} cannot connect to {server} ({why})");
                (what, "does the server run, and can it be reached from there?".to_string())
            }
            Refusal::Nonsense => {
                (format!("what answers at {self} is not {protocol} proxy"), format!("is {variable} right?"))
            }
            Refusal::Broken(error) => match error.downcast::<Error>() {
                Ok(Error::Timeout(_)) => return self.silent(),
                Ok(error) => return self.broke(&error),
                Err(error) if is_cut(&error) => {
                    let what = format!("the proxy {self} closed the connection without an answer");
                    (what, format!("is {scheme}:// in {variable} right?"))
                }
                Err(error) => return self.broke(&error),
            },
        };
        Failure::Unreachable(format!("{what}; {advice}"))
    }

    /// The same failure of what was tried through the tunnel.
    pub(crate) fn behind(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Unreachable(why) => Failure::Unreachable(format!("{why} (through the proxy {self})")),
            Failure::TimedOut => {
                let why =
                    format!("nothing came from it in time through the proxy {self}, which says that it connected");
                Failure::Unreachable(why)
            }
            Failure::PinMismatch { expected, got } => {
                // Proxies that open TLS to look inside are known by this.
                Failure::PinMismatch { expected, got: format!("{got} (through the proxy {self})") }
            }
            Failure::Tls(why) => Failure::Tls(format!("{why} (through the proxy {self})")),
            other => other,
        }
    }

    fn silent(&self) -> Failure {
        let variable = self.variable;
        Failure::Unreachable(format!("the proxy {self} did not answer in time; does it work, and is {variable} right?"))
    }

    fn broke(&self, error: &dyn fmt::Display) -> Failure {
        let why = one_line(error);
        Failure::Unreachable(format!("the connection to the proxy {self} broke ({why}); does it work?"))
    }
}

/// Of ureq's errors those parts that people need.
fn reason(error: &Error) -> String {
    match error {
        Error::Timeout(_) => "not in time".to_string(),
        Error::Io(error) => one_line(error),
        error => one_line(error),
    }
}

impl Credentials {
    fn parse(userinfo: &str) -> Result<Credentials, &'static str> {
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let decoded = |text: &str| match percent_decode_str(text).decode_utf8() {
            Ok(text) if text.len() <= CREDENTIAL => Ok(text.into_owned()),
            Ok(_) => Err("a user name or password has at most 255 bytes"),
            Err(_) => Err("the user name or password is no UTF-8"),
        };
        Ok(Credentials { user: decoded(user)?, password: decoded(password)? })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Http => "http",
            Kind::Socks5 => "socks5",
            Kind::Socks5h => "socks5h",
        };
        write!(f, "{scheme}://{}", self.address)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_and_printed_without_their_secrets() {
        for (text, printed, user, password) in [
            ("p", "http://p:80", None, None),
            ("p:3128", "http://p:3128", None, None),
            ("HTTP://p:3128/", "http://p:3128", None, None),
            ("http://10.0.0.1:3128", "http://10.0.0.1:3128", None, None),
            ("http://[fd00::1]:3128", "http://[fd00::1]:3128", None, None),
            ("socks5://[fd00::1]", "socks5://[fd00::1]:1080", None, None),
            ("socks5h://u:hush@p", "socks5h://p:1080", Some("u"), Some("hush")),
            ("http://u@p:1", "http://p:1", Some("u"), Some("")),
            ("http://u:h%40u%2fs:h@p:1", "http://p:1", Some("u"), Some("h@u/s:h")),
            ("http://u@x:hu@sh@p:1", "http://p:1", Some("u@x"), Some("hu@sh")),
            ("socks5://u%3Av:hush@p:1", "socks5://p:1", Some("u:v"), Some("hush")),
        ] {
            let proxy = Proxy::parse("ALL_PROXY", text).unwrap();
            assert_eq!(proxy.to_string(), printed);
            assert_eq!(format!("{proxy:?}"), format!("Proxy({printed})"));
            let credentials = proxy.credentials.as_ref();
            assert_eq!(credentials.map(|credentials| credentials.user.as_str()), user, "{text}");
            assert_eq!(credentials.map(|credentials| credentials.password.as_str()), password, "{text}");
        }
    }
}
