use super::*;
use crate::docker::seeded::Seeded;

/// Everything that a response gave, fed in pieces of the sizes that `piece` says.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    head: Option<Head>,
    body: Vec<u8>,
    /// Bytes that are not of this response; `None` if it is not complete.
    rest: Option<Vec<u8>>,
    keeps_alive: bool,
}

fn read(bytes: &[u8], mut piece: impl FnMut() -> usize) -> Result<Read, HttpError> {
    let mut response = Response::new();
    let mut got = Read { head: None, body: Vec::new(), rest: None, keeps_alive: false };
    let (mut at, mut end) = (0, 0);
    loop {
        let (used, step) = response.step(&bytes[at..end])?;
        if step == Step::Body {
            assert!(used > 0);
            got.body.extend_from_slice(&bytes[at..at + used]);
        }
        at += used;
        match step {
            Step::Head(head) => {
                assert!(got.head.is_none(), "two heads");
                got.head = Some(head);
            }
            Step::End => {
                got.rest = Some(bytes[at..].to_vec());
                got.keeps_alive = response.keeps_alive();
                return Ok(got);
            }
            Step::More if at == end => {
                if end == bytes.len() {
                    return Ok(got);
                }
                end = (end + piece().max(1)).min(bytes.len());
            }
            _ => {}
        }
    }
}

fn whole(bytes: &[u8]) -> Result<Read, HttpError> {
    let all = read(bytes, || usize::MAX / 2);
    assert_eq!(all, read(bytes, || 1), "byte by byte");
    let mut random = Seeded::new(bytes.len() as u64);
    assert_eq!(all, read(bytes, || random.below(9) as usize), "in pieces");
    all
}

fn complete(text: &str) -> Read {
    let read = whole(text.as_bytes()).expect("a response");
    assert!(read.rest.is_some(), "not complete: {read:?}");
    read
}

#[test]
fn content_length() {
    let read = complete(
        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nServer: Docker/20.10.24+dfsg1 (linux)\r\nContent-Length: 2\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\nOKHTTP/1.1",
    );
    assert_eq!(read.head, Some(Head { status: 200, json: false, api: ApiVersion::parse("1.41") }));
    assert_eq!(read.body, b"OK");
    assert_eq!(read.rest.as_deref(), Some(&b"HTTP/1.1"[..]), "what follows is not consumed");
    assert!(read.keeps_alive);
}

#[test]
fn chunks_with_extensions_and_trailers() {
    let read = complete(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: Chunked\r\n\r\n\
         5;name=value\r\n[{\"a\"\r\nA ; x\r\n:1},{\"b\":2\r\n002\r\n}]\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n",
    );
    assert_eq!(read.body, br#"[{"a":1},{"b":2}]"#);
    assert!(read.head.expect("head").json);
    assert!(read.keeps_alive);
}

#[test]
fn answers_without_a_body() {
    for text in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 204\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    ] {
        let read = complete(text);
        assert!(read.body.is_empty() && read.keeps_alive && read.head.is_some(), "{text}");
    }
}

#[test]
fn bare_line_feeds_are_understood() {
    assert_eq!(complete("HTTP/1.1 200 OK\nContent-Length: 1\n\nx").body, b"x");
}

#[test]
fn a_connection_is_kept_only_if_both_want_it() {
    let close = "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n";
    let old = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n";
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    for text in [close, old, both] {
        assert!(!complete(text).keeps_alive, "{text}");
    }
}

#[test]
fn a_body_that_ends_with_the_connection() {
    let mut response = Response::new();
    let text = b"HTTP/1.1 500 Oops\r\n\r\n";
    assert!(matches!(response.step(text), Ok((n, Step::Head(Head { status: 500, .. }))) if n == text.len()));
    assert_eq!(response.step(b"no such"), Ok((7, Step::Body)));
    assert_eq!(response.step(b""), Ok((0, Step::More)));
    assert_eq!(response.end_of_input(), Ok(()));
    assert_eq!(response.step(b""), Ok((0, Step::End)));
    assert!(!response.keeps_alive());
}

#[test]
fn an_end_in_the_midst_is_an_error() {
    let text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for cut in 0..text.len() {
        let mut response = Response::new();
        let mut at = 0;
        while let (used, step @ (Step::Head(_) | Step::Body | Step::More)) =
            response.step(&text[at..cut]).expect("good so far")
        {
            at += used;
            if step == Step::More && at == cut {
                break;
            }
        }
        assert_eq!(response.end_of_input(), Err(HttpError::Truncated), "cut at {cut}");
    }
}

#[test]
fn what_is_not_http_is_an_error() {
    use HttpError::*;
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (text, error) in [
        ("\r\n".to_owned(), StatusLine),
        ("SSH-2.0-OpenSSH\r\n".to_owned(), StatusLine),
        ("HTTP/2.0 200 OK\r\n".to_owned(), StatusLine),
        ("HTTP/1.2 200 OK\r\n".to_owned(), StatusLine),
        ("HTTP/1.1 20\r\n".to_owned(), StatusLine),
        ("HTTP/1.1 2000 OK\r\n".to_owned(), StatusLine),
        ("HTTP/1.1 099 OK\r\n".to_owned(), StatusLine),
        ("HTTP/1.1 999 OK\r\n".to_owned(), StatusLine),
        (format!("{ok}no colon\r\n"), Header),
        (format!("{ok} folded: x\r\n"), Header),
        (format!("{ok}: x\r\n"), Header),
        (format!("{ok}Space : x\r\n"), Header),
        (format!("{ok}Content-Length: -1\r\n"), Header),
        (format!("{ok}Content-Length: \r\n"), Header),
        (format!("{ok}Content-Length: 1, 1\r\n"), Header),
        (format!("{ok}Content-Length: 99999999999999999999\r\n"), Header),
        (format!("{ok}Content-Length: 1\r\nContent-Length: 2\r\n"), Header),
        (format!("{ok}Transfer-Encoding: gzip, chunked\r\n"), Encoding),
        (format!("{ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), Encoding),
        ("HTTP/1.1 101 UPGRADED\r\n\r\n".to_owned(), Upgrade),
        (format!("{chunked}\r\n"), Chunk),
        (format!("{chunked}g\r\n"), Chunk),
        (format!("{chunked}-1\r\n"), Chunk),
        (format!("{chunked}ffffffffffffffff\r\n"), Chunk),
        (format!("{chunked}1\r\nab\r\n"), Chunk),
        (format!("{chunked}1;{}\r\n", "x".repeat(CHUNK_LINE)), Chunk),
        (format!("{ok}X: {}\r\n", "x".repeat(HEADER_BYTES)), HeadTooLong),
        (format!("{ok}{}", "X: y\r\n".repeat(HEADER_BYTES / 6)), HeadTooLong),
        (format!("{chunked}0\r\n{}", "X: y\r\n".repeat(HEADER_BYTES / 6 + 1)), HeadTooLong),
        ("HTTP/1.1 100 Continue\r\n\r\n".repeat(HEADER_BYTES / 25 + 1), HeadTooLong),
        ("x".repeat(HEADER_BYTES + 1), HeadTooLong),
    ] {
        assert_eq!(whole(text.as_bytes()).map(|_| ()), Err(error), "{}", &text[..text.len().min(80)]);
    }
}

#[test]
fn any_damage_is_survived_and_splits_do_not_matter() {
    let text =
        b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\
        \r\n5;a=b\r\n[{\"a\"\r\n4\r\n:1}]\r\n0\r\nT: 1\r\n\r\n";
    for seed in 0..3000 {
        let mut random = Seeded::new(seed);
        let mut bytes = text.to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(3) {
                0 => bytes[at] = random.below(256) as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"\r\n0:; f"[random.below(7) as usize]),
            }
        }
        let all = read(&bytes, || usize::MAX / 2);
        assert_eq!(all, read(&bytes, || 1), "seed {seed}");
        assert_eq!(all, read(&bytes, || random.below(20) as usize), "seed {seed}");
    }
}
