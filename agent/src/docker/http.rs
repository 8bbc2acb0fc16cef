//! An HTTP/1.1 response, read from slices of any size. No I/O, no clock, no panic: what is not HTTP is an error.

use super::limits::{CHUNK_LINE, HEADER_BYTES};
use super::request::ApiVersion;
use std::fmt;

/// What the status line and the headers say, of that what matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// 200 to 599; informational answers are skipped.
    pub status: u16,
    /// Whether the body is JSON by its content type.
    pub json: bool,
    /// The newest API version that the engine speaks: header `Api-Version`.
    pub api: Option<ApiVersion>,
}

/// Why bytes are not an HTTP response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpError {
    /// Does not begin like one.
    StatusLine,
    /// A header without a colon, a folded one, or one whose value cannot be.
    Header,
    /// Longer than [`HEADER_BYTES`].
    HeadTooLong,
    /// A chunk's size is no number, or its end is not where it should be.
    Chunk,
    /// A transfer encoding other than chunked.
    Encoding,
    /// Another protocol was switched to, which nobody asked for.
    Upgrade,
    /// The connection ended in the midst of it.
    Truncated,
}

impl HttpError {
    /// One phrase for the user.
    pub fn what(self) -> &'static str {
        match self {
            HttpError::StatusLine => "the answer does not begin like HTTP",
            HttpError::Header => "a header cannot be read",
            HttpError::HeadTooLong => "the headers are too long",
            HttpError::Chunk => "a chunk's size cannot be read",
            HttpError::Encoding => "the transfer encoding is not known",
            HttpError::Upgrade => "the protocol was switched",
            HttpError::Truncated => "the answer ended too early",
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

impl std::error::Error for HttpError {}

/// What one step found in the bytes that it consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Only framing so far. Go on with the rest of the input, or with more of it if none is left.
    More,
    /// The headers are complete.
    Head(Head),
    /// The consumed bytes are of the body, all of them.
    Body,
    /// The response is complete; bytes behind the consumed ones are not part of it.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    StatusLine,
    Headers,
    /// So many bytes of the body are to come.
    Counted(u64),
    /// The body ends with the connection.
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    /// The line end behind a chunk's data.
    ChunkEnd,
    Trailers,
    Done,
}

/// Reads one response.
#[derive(Debug)]
pub struct Response {
    state: State,
    /// The line that is being read, without its end.
    line: Vec<u8>,
    /// Bytes of the headers or trailers so far.
    head_bytes: usize,
    status: u16,
    length: Option<u64>,
    chunked: bool,
    /// The peer wants the connection closed, or speaks HTTP/1.0.
    close: bool,
    json: bool,
    api: Option<ApiVersion>,
}

impl Default for Response {
    fn default() -> Self {
        Response::new()
    }
}

impl Response {
    /// Before the first byte.
    pub fn new() -> Response {
        Response {
            state: State::StatusLine,
            line: Vec::new(),
            head_bytes: 0,
            status: 0,
            length: None,
            chunked: false,
            close: false,
            json: false,
            api: None,
        }
    }

    /// Whether a byte of it was seen.
    pub fn has_begun(&self) -> bool {
        self.head_bytes > 0
    }

    /// Whether the connection can carry another request. To be asked when the response is complete.
    pub fn keeps_alive(&self) -> bool {
        self.state == State::Done && !self.close
    }

    /// Consumes some of the input and says how much, and what it was. While there is input and the response is
    /// not complete, each step consumes at least a byte.
    pub fn step(&mut self, input: &[u8]) -> Result<(usize, Step), HttpError> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match self.state {
                State::Done => return Ok((used, Step::End)),
                // The framing in front is told apart from the body behind it.
                State::Counted(_) | State::ChunkData(_) | State::UntilClose if used > 0 || rest.is_empty() => {
                    return Ok((used, Step::More));
                }
                State::Counted(left) | State::ChunkData(left) => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left - take as u64;
                    self.state = match self.state {
                        State::Counted(_) if left == 0 => State::Done,
                        State::Counted(_) => State::Counted(left),
                        _ if left == 0 => State::ChunkEnd,
                        _ => State::ChunkData(left),
                    };
                    return Ok((take, Step::Body));
                }
                State::UntilClose => return Ok((rest.len(), Step::Body)),
                State::StatusLine | State::Headers | State::ChunkSize | State::ChunkEnd | State::Trailers => {
                    let (taken, complete) = self.take_line(rest)?;
                    used += taken;
                    if !complete {
                        return Ok((used, Step::More));
                    }
                    let line = std::mem::take(&mut self.line);
                    let head = self.line(&line);
                    self.line = line;
                    self.line.clear();
                    if let Some(head) = head? {
                        return Ok((used, Step::Head(head)));
                    }
                }
            }
        }
    }

    /// The connection ended. An error if the response is not complete by that.
    pub fn end_of_input(&mut self) -> Result<(), HttpError> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(HttpError::Truncated),
        }
    }

    /// Collects bytes up to a line's end. Says how many were consumed and whether the line is complete.
    fn take_line(&mut self, input: &[u8]) -> Result<(usize, bool), HttpError> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(input.len(), |at| at + 1);
        let limit = match self.state {
            State::ChunkSize | State::ChunkEnd => CHUNK_LINE.saturating_sub(self.line.len()),
            _ => HEADER_BYTES.saturating_sub(self.head_bytes),
        };
        if taken > limit {
            let chunk = matches!(self.state, State::ChunkSize | State::ChunkEnd);
            return Err(if chunk { HttpError::Chunk } else { HttpError::HeadTooLong });
        }
        if !matches!(self.state, State::ChunkSize | State::ChunkEnd) {
            self.head_bytes += taken;
        }
        self.line.extend_from_slice(&input[..end.unwrap_or(input.len())]);
        if end.is_some() && self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        Ok((taken, end.is_some()))
    }

    /// One complete line in a state that reads lines.
    fn line(&mut self, line: &[u8]) -> Result<Option<Head>, HttpError> {
        match self.state {
            State::StatusLine => {
                self.status_line(line)?;
                self.state = State::Headers;
            }
            State::Headers if !line.is_empty() => self.header(line)?,
            State::Headers => return self.headers_end(),
            State::ChunkSize => {
                self.state = match chunk_size(line)? {
                    0 => {
                        self.head_bytes = 1;
                        State::Trailers
                    }
                    size => State::ChunkData(size),
                }
            }
            State::ChunkEnd if line.is_empty() => self.state = State::ChunkSize,
            State::ChunkEnd => return Err(HttpError::Chunk),
            State::Trailers if line.is_empty() => self.state = State::Done,
            _ => {}
        }
        Ok(None)
    }

    fn status_line(&mut self, line: &[u8]) -> Result<(), HttpError> {
        let rest = line.strip_prefix(b"HTTP/1.").ok_or(HttpError::StatusLine)?;
        let (minor, rest) = rest.split_first().ok_or(HttpError::StatusLine)?;
        self.close = match minor {
            b'0' => true,
            b'1' => false,
            _ => return Err(HttpError::StatusLine),
        };
        let rest = rest.strip_prefix(b" ").ok_or(HttpError::StatusLine)?;
        let (digits, reason) = rest.split_at_checked(3).ok_or(HttpError::StatusLine)?;
        if !digits.iter().all(u8::is_ascii_digit) || !(reason.is_empty() || reason[0] == b' ') {
            return Err(HttpError::StatusLine);
        }
        self.status = digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
        if !(100..600).contains(&self.status) {
            return Err(HttpError::StatusLine);
        }
        Ok(())
    }

    fn header(&mut self, line: &[u8]) -> Result<(), HttpError> {
        let colon = line.iter().position(|byte| *byte == b':').ok_or(HttpError::Header)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || name.iter().any(|byte| !byte.is_ascii_graphic()) {
            return Err(HttpError::Header);
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = decimal(value).ok_or(HttpError::Header)?;
            if self.length.is_some_and(|before| before != length) {
                return Err(HttpError::Header);
            }
            self.length = Some(length);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HttpError::Encoding);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            let mut words = value.split(|byte| *byte == b',');
            self.close |= words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"));
        } else if name.eq_ignore_ascii_case(b"content-type") {
            let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
            self.json = kind.trim_ascii().eq_ignore_ascii_case(b"application/json");
        } else if name.eq_ignore_ascii_case(b"api-version") {
            self.api = std::str::from_utf8(value).ok().and_then(ApiVersion::parse);
        }
        Ok(())
    }

    /// The empty line behind the headers: how long is the body?
    fn headers_end(&mut self) -> Result<Option<Head>, HttpError> {
        match self.status {
            101 => return Err(HttpError::Upgrade),
            100..200 => {
                // The real answer follows; the limit on headers holds for all together.
                *self =
                    Response { head_bytes: self.head_bytes, line: std::mem::take(&mut self.line), ..Response::new() };
                return Ok(None);
            }
            _ => {}
        }
        // Both lengths at once may be an attempt to make two readers disagree.
        self.close |= self.chunked && self.length.is_some();
        self.state = match (self.status, self.chunked, self.length) {
            (204 | 304, ..) => State::Done,
            (_, true, _) => State::ChunkSize,
            (_, _, Some(0)) => State::Done,
            (_, _, Some(length)) => State::Counted(length),
            _ => {
                self.close = true;
                State::UntilClose
            }
        };
        Ok(Some(Head { status: self.status, json: self.json, api: self.api }))
    }
}

/// A chunk's size in front of its extensions.
fn chunk_size(line: &[u8]) -> Result<u64, HttpError> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if digits.is_empty() || digits.len() > 15 {
        return Err(HttpError::Chunk);
    }
    digits.iter().try_fold(0, |number, digit| {
        (*digit as char).to_digit(16).map(|value| number * 16 + u64::from(value)).ok_or(HttpError::Chunk)
    })
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
