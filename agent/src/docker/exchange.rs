//! One request and its response on a connection: the sans-IO parser fed from the socket.

use super::error::EngineError;
use super::http::{Head, Response, Step};
use super::limits::{ERROR_BODY, ERROR_TEXT};
use super::socket::{Connection, Patience};
use serde::Deserialize;
use std::borrow::Cow;

/// A response that is being read. Whoever stops waiting for one of its calls can call again.
#[derive(Debug)]
pub struct Exchange {
    connection: Connection,
    response: Response,
    /// Bytes at the front of the connection's unread ones that are body.
    ready: usize,
    complete: bool,
}

impl Exchange {
    /// Sends a request.
    pub async fn begin(
        mut connection: Connection,
        request: &[u8],
        patience: Patience,
    ) -> Result<Exchange, EngineError> {
        connection.send(request, patience).await?;
        Ok(Exchange { connection, response: Response::new(), ready: 0, complete: false })
    }

    /// Whether any byte of the response has come.
    pub fn has_begun(&self) -> bool {
        self.response.has_begun()
    }

    /// Waits for the headers. To be called once, before the body.
    pub async fn head(&mut self, patience: Patience) -> Result<Head, EngineError> {
        loop {
            match self.step()? {
                Step::Head(head) => return Ok(head),
                Step::More => self.read(patience).await?,
                Step::Body | Step::End => return Err(EngineError::Malformed("an answer without headers")),
            }
        }
    }

    /// Waits until [`Exchange::body`] is not empty. False at the end of the body.
    pub async fn fill(&mut self, patience: Patience) -> Result<bool, EngineError> {
        while self.ready == 0 && !self.complete {
            match self.step()? {
                Step::More => self.read(patience).await?,
                Step::Head(_) => return Err(EngineError::Malformed("an answer with two heads")),
                Step::Body | Step::End => {}
            }
        }
        Ok(self.ready > 0)
    }

    /// The part of the body that is there.
    pub fn body(&self) -> &[u8] {
        &self.connection.unread()[..self.ready]
    }

    /// So many bytes of it were used.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.ready);
        self.connection.consume(count);
        self.ready -= count;
    }

    /// The whole body, appended; an error if it has more than `limit` bytes.
    pub async fn read_all(&mut self, out: &mut Vec<u8>, limit: usize, patience: Patience) -> Result<(), EngineError> {
        while self.fill(patience).await? {
            let body = self.body();
            if out.len() + body.len() > limit {
                return Err(EngineError::TooLarge);
            }
            out.extend_from_slice(body);
            self.consume(usize::MAX);
        }
        Ok(())
    }

    /// The engine's own words of why it refused.
    pub async fn refusal(&mut self, status: u16, patience: Patience) -> EngineError {
        let mut body = Vec::new();
        while body.len() < ERROR_BODY && matches!(self.fill(patience).await, Ok(true)) {
            body.extend_from_slice(self.body());
            self.consume(usize::MAX);
        }
        EngineError::Refused { status, message: error_text(&body) }
    }

    /// The connection for another request, if the response is complete and both ends want it.
    pub fn finish(mut self) -> Option<Connection> {
        let reusable = self.response.keeps_alive() && self.connection.unread().is_empty();
        self.connection.rest();
        reusable.then_some(self.connection)
    }

    fn step(&mut self) -> Result<Step, EngineError> {
        let unread = self.connection.unread();
        let (used, step) = self.response.step(unread).map_err(|error| EngineError::Malformed(error.what()))?;
        match step {
            Step::Body => self.ready = used,
            _ => self.connection.consume(used),
        }
        self.complete |= step == Step::End;
        Ok(step)
    }

    async fn read(&mut self, patience: Patience) -> Result<(), EngineError> {
        if self.connection.fill(patience).await? {
            return Ok(());
        }
        self.response.end_of_input().map_err(|_| EngineError::Lost(std::io::ErrorKind::UnexpectedEof))
    }
}

/// What the engine says is wrong, on one line: `{"message":"..."}`, or the text itself.
pub fn error_text(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal<'a> {
        #[serde(borrow)]
        message: Cow<'a, str>,
    }
    let text = match serde_json::from_slice::<Refusal<'_>>(body) {
        Ok(refusal) => refusal.message,
        Err(_) => String::from_utf8_lossy(body),
    };
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > ERROR_TEXT {
            break;
        }
    }
    if line.len() > ERROR_TEXT {
        let end = (0..=ERROR_TEXT).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(end);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_texts_are_one_line_and_short() {
        assert_eq!(
            error_text(b"{\"message\":\"No such container: x\\n\\u001b[31m y\"}\n"),
            "No such container: x [31m y"
        );
        let podman = br#"{"cause":"no such container","message":"no container with name","response":404}"#;
        assert_eq!(error_text(podman), "no container with name");
        assert_eq!(error_text(b"404 page\r\nnot found\n"), "404 page not found");
        assert_eq!(error_text(b"\xff\x00{"), "\u{fffd} {");
        assert_eq!(error_text(b""), "");
        let long = error_text("é".repeat(4000).as_bytes());
        assert!(long.len() <= ERROR_TEXT && long.len() > ERROR_TEXT - 4);
    }
}
