//! Asking an HTTP proxy for a tunnel (RFC 9110, CONNECT).

use super::{Credentials, Refusal};
use crate::join_string::Address;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::io::{Read, Write};

/// Largest head of an answer, in bytes. Proxies with much to say have some hundred.
const HEAD: usize = 8 * 1024;
/// What is shown of a reason, in bytes.
const REASON: usize = 80;

/// Asks for a tunnel to `server`. Reads no byte of what comes through it. The time limit is the stream's.
pub(super) fn tunnel(
    stream: &mut (impl Read + Write),
    credentials: Option<&Credentials>,
    server: &Address,
) -> Result<(), Refusal> {
    let mut request = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n");
    if let Some(Credentials { user, password }) = credentials {
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        request.push_str(&format!("Proxy-Authorization: Basic {encoded}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let head = read_head(stream)?;
    let (status, reason) = status_of(&head).ok_or(Refusal::Nonsense)?;
    let told = format!("{status} {reason}");
    let told = told.trim_end().to_string();
    match status {
        200..=299 => Ok(()),
        407 => Err(Refusal::Credentials),
        502..=504 => Err(Refusal::Unreachable(told)),
        _ => Err(Refusal::Forbidden(told)),
    }
}

/// To the empty line, byte by byte: the stream has a buffer, and what comes after is not ours.
fn read_head(stream: &mut impl Read) -> Result<Vec<u8>, Refusal> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !(head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n")) {
        // Those that speak another protocol may never send a line's end.
        let begins_well = head.iter().zip(b"HTTP/1.").all(|(byte, expected)| byte == expected);
        if head.len() >= HEAD || !begins_well {
            return Err(Refusal::Nonsense);
        }
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

fn status_of(head: &[u8]) -> Option<(u16, String)> {
    let line = head.split(|byte| *byte == b'\n').next()?.trim_ascii_end();
    let (_version, rest) = line.split_at_checked(b"HTTP/1.1".len())?;
    let (status, reason) = rest.strip_prefix(b" ")?.split_at_checked(3)?;
    let status = status.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(status).ok()?.parse().ok());
    let shown = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { ' ' };
    let reason: String = reason.trim_ascii().iter().take(REASON).map(shown).collect();
    Some((status??, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_read_strictly_and_shown_harmlessly() {
        let read = |text: &str| status_of(text.as_bytes());
        assert_eq!(read("HTTP/1.1 200 Connection established\r\n\r\n"), Some((200, "Connection established".into())));
        assert_eq!(read("HTTP/1.0 200\n\n"), Some((200, String::new())));
        assert_eq!(read("HTTP/1.1 403 a\x1b[2J\u{202e}b\r\n"), Some((403, "a [2J   b".into())));
        assert_eq!(read(&format!("HTTP/1.1 403 {}\r\n", "x".repeat(500))).map(|(_, text)| text.len()), Some(REASON));
        for wrong in ["", "HTTP/1.1", "HTTP/1.1 20\r\n", "HTTP/1.1 +20\r\n", "HTTP/1.1  200\r\n", "HTTP/1.1200 OK"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
