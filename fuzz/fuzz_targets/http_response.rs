//! Whatever answers at the engine's socket is a response or an error, and the same however it arrives in pieces.
//! The first byte says how large the pieces are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::docker::http::{Head, HttpError, Response, Step};

#[derive(Debug, PartialEq)]
struct Read {
    head: Option<Head>,
    body: Vec<u8>,
    /// Where it ended, if it did.
    end: Option<usize>,
}

fn read(bytes: &[u8], piece: usize) -> Result<Read, HttpError> {
    let mut response = Response::new();
    let mut read = Read { head: None, body: Vec::new(), end: None };
    let (mut at, mut there) = (0, 0);
    loop {
        let (used, step) = response.step(&bytes[at..there])?;
        match step {
            Step::Body => read.body.extend_from_slice(&bytes[at..at + used]),
            Step::Head(head) => assert!(read.head.replace(head).is_none()),
            _ => {}
        }
        assert!(used > 0 || at == there || step == Step::End);
        at += used;
        if step == Step::End {
            read.end = Some(at);
            return Ok(read);
        }
        if at == there {
            if there == bytes.len() {
                let _ = response.end_of_input();
                return Ok(read);
            }
            there = (there + piece).min(bytes.len());
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&piece, bytes)) = data.split_first() else { return };
    assert_eq!(read(bytes, bytes.len().max(1)), read(bytes, usize::from(piece).max(1)));
});
