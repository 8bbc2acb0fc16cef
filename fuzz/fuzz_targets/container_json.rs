//! Any list element or inspect that can be read becomes a container that fits a record and comes out as it
//! went in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::docker::container::{parse_list_element, to_container};
use muster_agent::docker::inspect::parse_inspect;
use muster_protocol::container::Container;
use muster_protocol::limits::RECORD;

/// Of a record's room: its kind, length and sequence number.
const HEADER: usize = 4 + 10;

fuzz_target!(|data: &[u8]| {
    let inspected = parse_inspect(data).ok().map(|(_, details)| details);
    let Ok(element) = parse_list_element(data) else { return };
    assert_eq!(element.fingerprint(), element.clone().fingerprint());
    let details = inspected.unwrap_or_else(|| element.details_from_status());
    let container = to_container(&element, &details, inspected.is_none());
    let mut buffer = [0; RECORD - HEADER];
    let bytes = postcard::to_slice(&container, &mut buffer).expect("fits a record");
    let back: Container<'_> = postcard::from_bytes(bytes).expect("a container");
    assert_eq!(back, container);
    assert!(container.labels.is_sorted() && container.ports.is_sorted());
    assert!(container.networks.is_sorted() && container.mounts.is_sorted());
});
