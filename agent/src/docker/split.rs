//! Cuts a stream of JSON into its elements, one at a time in a bounded buffer: the objects of a list, or those
//! of an endless stream of events. No I/O, no clock. Whether an object is valid is for its reader to say; here
//! only strings and brackets count.

use super::limits::{BUFFER_KEEP, BUFFER_START, JSON_DEPTH, SALVAGE};
use muster_protocol::id::EngineId;
use std::fmt;

/// What a push completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// One element; its bytes are in [`Splitter::element`] until the next push.
    Element,
    /// One element that was larger than the limit; its first bytes are in [`Splitter::element`].
    TooLarge,
    /// The list's closing bracket.
    End,
}

/// Why bytes are not a list, or not a stream of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitError {
    /// Something other than an object where one should begin, or behind the end.
    Unexpected,
    /// More brackets within brackets than [`JSON_DEPTH`].
    TooDeep,
    /// The input ended within an element, or before the list's closing bracket.
    Truncated,
}

impl SplitError {
    /// One phrase for the user.
    pub fn what(self) -> &'static str {
        match self {
            SplitError::Unexpected => "the JSON is not a list of objects",
            SplitError::TooDeep => "the JSON is nested too deep",
            SplitError::Truncated => "the JSON ended too early",
        }
    }
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

impl std::error::Error for SplitError {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A list's opening bracket, or `null` for an empty list.
    Opening,
    /// So many letters of `null` were seen.
    Null(usize),
    /// The first element, or the end of an empty list.
    FirstOrEnd,
    /// An element; an object of a stream.
    Object,
    /// A comma, or the end of the list.
    CommaOrEnd,
    /// Within an element.
    Within,
    /// Behind the end of the list.
    Behind,
}

/// Splits one list or one stream.
#[derive(Debug)]
pub struct Splitter {
    state: State,
    list: bool,
    limit: usize,
    /// The element so far.
    buffer: Vec<u8>,
    /// The element has outgrown the limit, and its bytes are dropped.
    overflowed: bool,
    /// What lies in the buffer was handed out.
    handed_out: bool,
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl Splitter {
    /// For a list, `[{...},{...}]`, with elements of at most `limit` bytes.
    pub fn list(limit: usize) -> Splitter {
        Splitter::new(State::Opening, true, limit)
    }

    /// For objects one behind the other, on lines or not, of at most `limit` bytes.
    pub fn stream(limit: usize) -> Splitter {
        Splitter::new(State::Object, false, limit)
    }

    fn new(state: State, list: bool, limit: usize) -> Splitter {
        Splitter {
            state,
            list,
            limit,
            buffer: Vec::new(),
            overflowed: false,
            handed_out: false,
            depth: 0,
            in_string: false,
            escaped: false,
        }
    }

    /// The element that the last push found.
    pub fn element(&self) -> &[u8] {
        &self.buffer
    }

    /// Consumes bytes up to the end of the next element, and says how many. `None`: all of them, and more are
    /// needed. An error is final.
    pub fn push(&mut self, input: &[u8]) -> Result<(usize, Option<Found>), SplitError> {
        if self.handed_out {
            self.begin();
        }
        let mut used = 0;
        while used < input.len() {
            if self.state == State::Within {
                let (taken, complete) = self.within(&input[used..])?;
                used += taken;
                if complete {
                    self.state = if self.list { State::CommaOrEnd } else { State::Object };
                    self.handed_out = true;
                    return Ok((used, Some(if self.overflowed { Found::TooLarge } else { Found::Element })));
                }
                continue;
            }
            let byte = input[used];
            match (self.state, byte) {
                (State::Null(_), _) => {}
                (_, b' ' | b'\t' | b'\r' | b'\n') => {
                    used += 1;
                    continue;
                }
                _ => {}
            }
            let mut found = None;
            self.state = match (self.state, byte) {
                (State::Opening, b'[') => State::FirstOrEnd,
                (State::Opening, b'n') => State::Null(1),
                (State::Null(seen), _) if b"null".get(seen) == Some(&byte) => {
                    if seen == 3 {
                        found = Some(Found::End);
                        State::Behind
                    } else {
                        State::Null(seen + 1)
                    }
                }
                (State::FirstOrEnd | State::CommaOrEnd, b']') => {
                    found = Some(Found::End);
                    State::Behind
                }
                (State::CommaOrEnd, b',') => State::Object,
                (State::FirstOrEnd | State::Object, b'{') => {
                    // The bracket itself is counted and kept by `within`.
                    self.state = State::Within;
                    continue;
                }
                _ => return Err(SplitError::Unexpected),
            };
            used += 1;
            if found.is_some() {
                return Ok((used, found));
            }
        }
        Ok((used, None))
    }

    /// The input ended. An error if it did so within an element or list.
    pub fn end_of_input(&self) -> Result<(), SplitError> {
        match self.state {
            State::Behind => Ok(()),
            State::Object if !self.list => Ok(()),
            _ => Err(SplitError::Truncated),
        }
    }

    /// Makes room for the next element, and gives back what a large one took.
    fn begin(&mut self) {
        self.handed_out = false;
        self.overflowed = false;
        self.buffer.clear();
        if self.buffer.capacity() > BUFFER_KEEP {
            self.buffer.shrink_to(BUFFER_START);
        }
    }

    /// Takes bytes of the element up to its closing bracket. Says how many, and whether it is complete.
    fn within(&mut self, input: &[u8]) -> Result<(usize, bool), SplitError> {
        let mut at = 0;
        let mut complete = false;
        while at < input.len() && !complete {
            let byte = input[at];
            at += 1;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.depth += 1;
                    if self.depth > JSON_DEPTH {
                        return Err(SplitError::TooDeep);
                    }
                }
                b'}' | b']' => {
                    self.depth -= 1;
                    complete = self.depth == 0;
                }
                _ => {}
            }
        }
        self.keep(&input[..at]);
        Ok((at, complete))
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.overflowed {
            return;
        }
        if self.buffer.len() + bytes.len() > self.limit {
            self.overflowed = true;
            let room = SALVAGE.min(self.limit).saturating_sub(self.buffer.len());
            self.buffer.extend_from_slice(&bytes[..room.min(bytes.len())]);
            self.buffer.truncate(SALVAGE);
            self.buffer.shrink_to(BUFFER_START);
            return;
        }
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(BUFFER_START.min(self.limit));
        }
        self.buffer.extend_from_slice(bytes);
    }
}

/// The engine's id of an element of which only the beginning is known: its own `Id`, not one further within.
pub fn salvage_id(beginning: &[u8]) -> Option<EngineId> {
    const KEY: &[u8] = b"\"Id\"";
    let mut depth = 0u32;
    let mut at = 0;
    while at < beginning.len() {
        match beginning[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                if depth == 1 && beginning[at..].starts_with(KEY) {
                    let value = beginning[at + KEY.len()..].trim_ascii_start();
                    if let Some(value) = value.strip_prefix(b":") {
                        let digits = value.trim_ascii_start().strip_prefix(b"\"")?.get(..64)?;
                        return EngineId::parse(std::str::from_utf8(digits).ok()?);
                    }
                }
                at += string_length(&beginning[at..]);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Bytes of the string that begins here, both quotes included.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::seeded::Seeded;

    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Item {
        Element(String),
        TooLarge(String),
        End,
    }

    fn split(
        mut splitter: Splitter,
        bytes: &[u8],
        mut piece: impl FnMut() -> usize,
    ) -> (Vec<Item>, Result<(), SplitError>) {
        let mut items = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let end = at + piece().clamp(1, bytes.len() - at);
            while at < end {
                let (used, found) = match splitter.push(&bytes[at..end]) {
                    Ok(pushed) => pushed,
                    Err(error) => return (items, Err(error)),
                };
                assert!(used > 0);
                at += used;
                let text = String::from_utf8_lossy(splitter.element()).into_owned();
                match found {
                    Some(Found::Element) => items.push(Item::Element(text)),
                    Some(Found::TooLarge) => items.push(Item::TooLarge(text)),
                    Some(Found::End) => items.push(Item::End),
                    None => assert_eq!(at, end),
                }
            }
        }
        (items, splitter.end_of_input())
    }

    fn both(make: impl Fn() -> Splitter, text: &str) -> (Vec<Item>, Result<(), SplitError>) {
        let all = split(make(), text.as_bytes(), || usize::MAX / 2);
        assert_eq!(all, split(make(), text.as_bytes(), || 1), "byte by byte");
        all
    }

    fn element(text: &str) -> Item {
        Item::Element(text.to_owned())
    }

    #[test]
    fn a_list_is_cut_into_its_elements() {
        let text = r#" [ {"a":"}]\"\\"} , {"b":[{"c":"{"}]},{}] "#;
        let (items, end) = both(|| Splitter::list(100), text);
        assert_eq!(items, [element(r#"{"a":"}]\"\\"}"#), element(r#"{"b":[{"c":"{"}]}"#), element("{}"), Item::End]);
        assert_eq!(end, Ok(()));
        for empty in ["[]", " [ ]\n", "null"] {
            assert_eq!(both(|| Splitter::list(100), empty), (vec![Item::End], Ok(())), "{empty}");
        }
    }

    #[test]
    fn a_stream_is_cut_into_its_objects() {
        let text = "{\"a\":1}\n{\"b\":2}{\"c\":3}\r\n\r\n{}\n";
        let (items, end) = both(|| Splitter::stream(100), text);
        assert_eq!(items, [element("{\"a\":1}"), element("{\"b\":2}"), element("{\"c\":3}"), element("{}")]);
        assert_eq!(end, Ok(()));
    }

    #[test]
    fn an_element_beyond_the_limit_is_skipped_and_told() {
        let id = "0123456789abcdef".repeat(4);
        let large = format!(r#"{{"Id":"{id}","Labels":{{"x":"{}"}}}}"#, "y\\\"}".repeat(5000));
        let text = format!(r#"[{{"a":1}},{large},{{"b":2}}]"#);
        for limit in [SALVAGE, 6000, large.len() - 1] {
            let mut random = Seeded::new(limit as u64);
            let (items, end) = split(Splitter::list(limit), text.as_bytes(), || random.below(3000) as usize);
            assert_eq!(end, Ok(()));
            assert_eq!(items.len(), 4);
            let Item::TooLarge(beginning) = &items[1] else { panic!("{items:?}") };
            assert_eq!(salvage_id(beginning.as_bytes()), EngineId::parse(&id));
            assert!(large.starts_with(beginning.as_str()) && beginning.len() <= SALVAGE);
            assert_eq!(items[2], element(r#"{"b":2}"#));
        }
        let (items, _) = split(Splitter::list(large.len()), text.as_bytes(), || 700);
        assert_eq!(items[1], Item::Element(large));
    }

    #[test]
    fn memory_of_a_large_element_is_given_back() {
        let large = format!(r#"{{"x":"{}"}}"#, "y".repeat(100 * 1024));
        let mut splitter = Splitter::stream(128 * 1024);
        assert_eq!(splitter.push(large.as_bytes()), Ok((large.len(), Some(Found::Element))));
        assert!(splitter.buffer.capacity() > BUFFER_KEEP);
        assert_eq!(splitter.push(b"{}"), Ok((2, Some(Found::Element))));
        assert_eq!(splitter.element(), b"{}");
        assert!(splitter.buffer.capacity() <= BUFFER_KEEP);
    }

    #[test]
    fn what_is_not_a_list_or_stream_is_an_error() {
        use SplitError::*;
        for (text, error) in [
            ("{}", Unexpected),
            ("[1]", Unexpected),
            ("[{}{}]", Unexpected),
            ("[{},]", Unexpected),
            ("[,{}]", Unexpected),
            ("[{}]]", Unexpected),
            ("nul1", Unexpected),
            ("nu ll", Unexpected),
            ("", Truncated),
            ("nul", Truncated),
            ("[", Truncated),
            ("[{}", Truncated),
            ("[{},", Truncated),
            ("[{\"a", Truncated),
        ] {
            assert_eq!(both(|| Splitter::list(100), text).1, Err(error), "{text}");
        }
        assert_eq!(both(|| Splitter::stream(100), "{}]").1, Err(Unexpected));
        assert_eq!(both(|| Splitter::stream(100), "{").1, Err(Truncated));
        let deep = format!("[{}", "{\"a\":".repeat(JSON_DEPTH as usize + 1));
        assert_eq!(both(|| Splitter::list(10_000), &deep).1, Err(TooDeep));
    }

    #[test]
    fn an_id_further_within_is_not_the_elements() {
        let id = "ab".repeat(32);
        let own = format!(r#"{{"x":{{"Id":"{}"}},"y":"\"Id\":","Id" : "{id}","z"#, "cd".repeat(32));
        assert_eq!(salvage_id(own.as_bytes()), EngineId::parse(&id));
        for none in ["", "{", "{\"Id\":", "{\"Id\":\"abc", "{\"Id\":7}", "{\"a\\", "\"Id\""] {
            assert_eq!(salvage_id(none.as_bytes()), None, "{none}");
        }
    }

    /// Any JSON of objects comes out as it went in, however it is cut.
    #[test]
    fn random_lists_survive_random_cuts() {
        for seed in 0..500 {
            let mut random = Seeded::new(seed);
            let elements: Vec<String> = (0..random.below(6)).map(|_| object(&mut random, 0)).collect();
            let text = format!("[{}]", elements.join(","));
            let (items, end) = split(Splitter::list(1 << 20), text.as_bytes(), || random.below(40) as usize);
            let mut want: Vec<Item> = elements.into_iter().map(Item::Element).collect();
            want.push(Item::End);
            assert_eq!((items, end), (want, Ok(())), "seed {seed}");
        }
    }

    fn object(random: &mut Seeded, depth: u32) -> String {
        let fields: Vec<String> =
            (0..random.below(4)).map(|_| format!("{}:{}", string(random), value(random, depth + 1))).collect();
        format!("{{{}}}", fields.join(","))
    }

    fn value(random: &mut Seeded, depth: u32) -> String {
        match random.below(if depth > 4 { 3 } else { 5 }) {
            0 => random.below(1000).to_string(),
            1 => "null".to_owned(),
            2 => string(random),
            3 => object(random, depth),
            _ => format!("[{}]", (0..random.below(3)).map(|_| value(random, depth + 1)).collect::<Vec<_>>().join(",")),
        }
    }

    fn string(random: &mut Seeded) -> String {
        let pieces = ["a", "\\\"", "\\\\", "{", "}", "[", "]", "é", "\\u007d", ",", " "];
        let text: String = (0..random.below(6)).map(|_| pieces[random.below(pieces.len() as u64) as usize]).collect();
        format!("\"{text}\"")
    }
}
