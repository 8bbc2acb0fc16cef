//! A list or stream is cut into elements or is an error, and the same however it arrives in pieces. The first
//! byte chooses list or stream, the second says how large the pieces are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::docker::split::{Found, SplitError, Splitter, salvage_id};

/// Small, so that short inputs reach it too.
const LIMIT: usize = 64;

type Split = (Vec<(Found, Vec<u8>)>, Result<(), SplitError>);

fn split(mut splitter: Splitter, bytes: &[u8], piece: usize) -> Split {
    let mut found = Vec::new();
    for chunk in bytes.chunks(piece) {
        let mut rest = chunk;
        while !rest.is_empty() {
            match splitter.push(rest) {
                Ok((used, event)) => {
                    assert!(used > 0);
                    rest = &rest[used..];
                    assert!(splitter.element().len() <= LIMIT);
                    match event {
                        Some(event) => found.push((event, splitter.element().to_vec())),
                        None => assert!(rest.is_empty()),
                    }
                }
                Err(error) => return (found, Err(error)),
            }
        }
    }
    let end = splitter.end_of_input();
    (found, end)
}

fuzz_target!(|data: &[u8]| {
    let [kind, piece, bytes @ ..] = data else { return };
    let make = || if kind % 2 == 0 { Splitter::list(LIMIT) } else { Splitter::stream(LIMIT) };
    let whole = split(make(), bytes, bytes.len().max(1));
    assert_eq!(whole, split(make(), bytes, usize::from(*piece).max(1)));
    salvage_id(bytes);
});
