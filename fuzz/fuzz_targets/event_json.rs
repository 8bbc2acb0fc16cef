//! Any event that can be read fits its limit and comes out as it went in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::docker::event::parse_event;
use muster_protocol::event::Event;
use muster_protocol::limits::EVENT;

fuzz_target!(|data: &[u8]| {
    let Ok(line) = parse_event(data) else { return };
    let Some(event) = line.event() else { return };
    let mut buffer = [0; EVENT];
    let bytes = postcard::to_slice(&event, &mut buffer).expect("fits an event's limit");
    let back: Event<'_> = postcard::from_bytes(bytes).expect("an event");
    assert_eq!(back, event);
    assert!(event.attributes.is_sorted());
});
