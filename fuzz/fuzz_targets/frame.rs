//! Bytes of a line are frames or an error: the same whether they come at once or one by one, and written again as
//! they were.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_protocol::frame::{Frame, Head, HeadReader, split, wants_answer};
use muster_protocol::limits::MESSAGE;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    while let Ok(Some(Frame { flag, message, rest: behind })) = split(rest) {
        assert!((1..=MESSAGE).contains(&message.len()));
        let (head, used) = Head { length: message.len(), flag }.encode().expect("it is a length");
        assert_eq!([&head[..used], message, behind].concat(), rest);
        wants_answer(message);
        assert!(behind.len() < rest.len());
        rest = behind;
    }
    let mut reader = HeadReader::default();
    let one_by_one = data.iter().map(|byte| reader.push(*byte)).find(|read| *read != Ok(None));
    let at_once = split(data);
    match one_by_one {
        Some(Err(error)) => assert_eq!(at_once, Err(error)),
        Some(Ok(Some(head))) => {
            let has_come = matches!(at_once, Ok(Some(frame)) if frame.message.len() == head.length);
            assert!(has_come || at_once == Ok(None));
        }
        Some(Ok(None)) | None => assert_eq!(at_once, Ok(None)),
    }
});
