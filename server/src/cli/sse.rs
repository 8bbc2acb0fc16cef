//! Server-Sent Events, read.

use std::io::{self, BufRead, Read};

/// Bytes of a line at most: a container at its limits takes some 40 KiB as JSON.
const LINE: u64 = 1024 * 1024;

/// One event. Comments are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The last `id:` up to here.
    pub id: Option<String>,
    /// `event:`
    pub kind: String,
    /// `data:`
    pub data: String,
}

/// Reads one after the other.
#[derive(Debug)]
pub struct Messages<R> {
    source: io::BufReader<R>,
    id: Option<String>,
}

impl<R: Read> Messages<R> {
    /// Of a body.
    pub fn new(body: R) -> Messages<R> {
        Messages { source: io::BufReader::new(body), id: None }
    }

    /// Waits for the next one; `None` at the end. One that the end cut off is left out.
    pub fn read(&mut self) -> io::Result<Option<Message>> {
        let mut message = Message::default();
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            if line.is_empty() {
                if message.data.is_empty() {
                    continue;
                }
                message.id.clone_from(&self.id);
                return Ok(Some(message));
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => self.id = Some(value.to_string()),
                "event" => message.kind = value.to_string(),
                "data" => message.data.push_str(value),
                _ => {} // a comment, or a field of a later version
            }
        }
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        (&mut self.source).take(LINE).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            let whole = line.len() as u64 + 1 < LINE;
            return if whole { Ok(None) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "an endless line")) };
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8(line).map(Some).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "no UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_and_the_rest_is_skipped() {
        let body = ": keep-alive\n\nid: b.1\nevent: reset\ndata: {\"x\": 1}\n\nretry: 5\n\nevent: host\r\ndata: {}\r\n\r\nid: b.2\ndata: cut";
        let mut messages = Messages::new(body.as_bytes());
        let message = |id: &str, kind: &str, data: &str| Message {
            id: Some(id.to_string()),
            kind: kind.to_string(),
            data: data.to_string(),
        };
        assert_eq!(messages.read().expect("read"), Some(message("b.1", "reset", "{\"x\": 1}")));
        assert_eq!(messages.read().expect("read"), Some(message("b.1", "host", "{}")));
        assert_eq!(messages.read().expect("read"), None);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let body = io::repeat(b'x');
        assert!(Messages::new(body).read().is_err());
        assert!(Messages::new(&b"data: \xff\n\n"[..]).read().is_err());
    }
}
