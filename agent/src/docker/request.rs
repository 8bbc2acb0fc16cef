//! All that is ever asked of the engine: what is not here cannot be sent.

use super::dialect;
use super::event::{CONTAINER_ACTIONS, NETWORK_ACTIONS};
use muster_protocol::id::EngineId;
use std::fmt::{self, Write as _};
use std::io::Write as _;

/// A version of the engine's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// Docker has been at 1 ever since.
    pub major: u16,
    /// Counts up with the engine's releases.
    pub minor: u16,
}

impl ApiVersion {
    /// The oldest that is spoken: Docker 19.03.
    pub const OLDEST: ApiVersion = ApiVersion { major: 1, minor: 40 };
    /// The newest that was tried: Docker 28.5. Newer engines speak it too.
    pub const NEWEST: ApiVersion = ApiVersion { major: 1, minor: 51 };

    /// Reads `1.41`.
    pub fn parse(text: &str) -> Option<ApiVersion> {
        let (major, minor) = text.trim().split_once('.')?;
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?;
        Some(ApiVersion { major: digits(major)?, minor: digits(minor)? })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A request. None of them changes anything on the host, and none has a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Whether the engine answers, and which API it speaks at most.
    Ping,
    /// Which engine it is.
    Version,
    /// Facts about the host; costs as much as a list.
    Info,
    /// All containers, stopped ones too.
    List,
    /// The list's element of one container.
    ListOne(EngineId),
    /// Everything about one container.
    Inspect(EngineId),
    /// What the engine remembers of events, and from then on each as it happens.
    Events,
}

impl Request {
    /// Appends the request as it goes over the socket.
    pub fn write(&self, api: ApiVersion, out: &mut Vec<u8>) {
        out.extend_from_slice(b"GET ");
        // Writing into a Vec or a String cannot fail.
        let _ = match self {
            Request::Ping => out.write_all(b"/_ping"),
            Request::Version => out.write_all(b"/version"),
            Request::Info => write!(out, "/v{api}/info"),
            Request::List => write!(out, "/v{api}/containers/json?all=1"),
            Request::ListOne(id) => {
                let _ = write!(out, "/v{api}/containers/json?all=1&filters=");
                escape(&format!(r#"{{"id":["{id}"]}}"#), out);
                Ok(())
            }
            Request::Inspect(id) => write!(out, "/v{api}/containers/{id}/json"),
            Request::Events => {
                let _ = write!(out, "/v{api}/events?since=1&filters=");
                escape(&event_filter(), out);
                Ok(())
            }
        };
        out.extend_from_slice(b" HTTP/1.1\r\nHost: docker\r\nUser-Agent: muster-agent/");
        out.extend_from_slice(env!("CARGO_PKG_VERSION").as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// The engine lets an event through if its type is among the first and its action among the second; an action
/// such as `health_status` also stands for `health_status: healthy`.
fn event_filter() -> String {
    let mut filter = String::from(r#"{"type":["container","network"],"event":["#);
    let actions = CONTAINER_ACTIONS.iter().chain(&NETWORK_ACTIONS).chain(&dialect::FOREIGN_ACTIONS);
    for (index, action) in actions.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(filter, r#"{comma}"{action}""#);
    }
    filter.push_str("]}");
    filter
}

/// Percent-encodes everything that is not plain in a query.
fn escape(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(request: Request) -> String {
        let mut out = Vec::new();
        request.write(ApiVersion { major: 1, minor: 41 }, &mut out);
        String::from_utf8(out).expect("ascii")
    }

    fn target(request: Request) -> String {
        let text = written(request);
        let line = text.split("\r\n").next().expect("a line");
        line.strip_prefix("GET ").and_then(|l| l.strip_suffix(" HTTP/1.1")).expect("a request line").to_owned()
    }

    #[test]
    fn each_request_asks_for_its_path() {
        let id = EngineId([0xab; 32]);
        let hex = "ab".repeat(32);
        assert_eq!(target(Request::Ping), "/_ping");
        assert_eq!(target(Request::Version), "/version");
        assert_eq!(target(Request::Info), "/v1.41/info");
        assert_eq!(target(Request::List), "/v1.41/containers/json?all=1");
        assert_eq!(target(Request::Inspect(id)), format!("/v1.41/containers/{hex}/json"));
        assert_eq!(
            target(Request::ListOne(id)),
            format!("/v1.41/containers/json?all=1&filters=%7B%22id%22%3A%5B%22{hex}%22%5D%7D")
        );
    }

    #[test]
    fn events_are_filtered_by_the_engine() {
        let target = target(Request::Events);
        let filters = target.strip_prefix("/v1.41/events?since=1&filters=").expect("path");
        let mut bytes = Vec::new();
        let mut rest = filters.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            if byte == b'%' {
                let hex = std::str::from_utf8(&tail[..2]).expect("hex");
                bytes.push(u8::from_str_radix(hex, 16).expect("hex"));
                rest = &tail[2..];
            } else {
                bytes.push(byte);
                rest = tail;
            }
        }
        let json: serde_json::Value = serde_json::from_slice(&bytes).expect("json");
        assert_eq!(json["type"], serde_json::json!(["container", "network"]));
        let actions = json["event"].as_array().expect("actions");
        for action in ["create", "die", "health_status", "destroy", "remove", "died", "connect", "disconnect"] {
            assert!(actions.iter().any(|a| a == action), "{action}");
        }
        assert!(!actions.iter().any(|a| a == "exec_create"));
    }

    #[test]
    fn a_request_ends_with_an_empty_line_and_has_no_body() {
        for request in [Request::Ping, Request::List, Request::Events] {
            let text = written(request);
            assert!(text.ends_with("\r\n\r\n"));
            assert_eq!(text.matches("\r\n\r\n").count(), 1);
            assert!(text.contains("\r\nHost: docker\r\n"));
        }
    }

    #[test]
    fn versions_are_numbers_and_not_text() {
        let parse = |text| ApiVersion::parse(text);
        assert!(parse("1.9") < parse("1.40"));
        assert_eq!(parse("1.41"), Some(ApiVersion { major: 1, minor: 41 }));
        for bad in ["", "1", "1.", ".1", "1.x", "1.41.2", "-1.4", "1.+4", "1.99999", "v1.4"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
