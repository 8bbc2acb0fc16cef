//! Whatever is asked for a name, the answer is one that a resolver can read, and is never longer than a plain message. The
//! first byte chooses the table and whose turn it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::network::names::Name;
use muster_agent::network::names::message::{MESSAGE, answer};
use muster_agent::network::names::table::Table;
use std::sync::LazyLock;

/// Few names, and many with the same name.
static TABLES: LazyLock<[Table; 2]> = LazyLock::new(|| {
    let name = |name: &str, host: u32| Name { name: name.into(), host_label: format!("h{host}"), address: host };
    let many = (0..100).map(|host| name("a", host));
    [Table::new(vec![name("a", 0), name("b", 1), name("h1", 1)]), Table::new(many.collect())]
});

/// Where a name behind `at` ends, pointers followed back only.
fn skip_name(message: &[u8], mut at: usize) -> usize {
    loop {
        match message[at] {
            0 => return at + 1,
            length @ 1..=63 => at += 1 + usize::from(length),
            high => {
                let to = usize::from(high & 0x3f) << 8 | usize::from(message[at + 1]);
                assert!(high >= 0xc0 && to < at);
                skip_name(message, to);
                return at + 2;
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [choice, message @ ..] = data else { return };
    let mut out = [0; MESSAGE];
    let table = &TABLES[usize::from(choice & 1)];
    let Some(length) = answer(message, table, u32::from(*choice), &mut out) else {
        assert!(message.len() < 12 || message[2] & 0x80 != 0);
        return;
    };
    let out = &out[..length];
    assert_eq!(out[..2], message[..2]);
    let count = |at: usize| usize::from(u16::from_be_bytes([out[at], out[at + 1]]));
    let mut at = 12;
    for _ in 0..count(4) {
        at = skip_name(out, at) + 4;
    }
    for _ in 0..count(6) + count(8) + count(10) {
        at = skip_name(out, at) + 10;
        at += usize::from(u16::from_be_bytes([out[at - 2], out[at - 1]]));
    }
    assert_eq!(at, length);
    // Only what is ours is answered for.
    let is_ours = message.to_ascii_lowercase().windows(17).any(|bytes| bytes == b"\x06muster\x08internal\0");
    assert!(is_ours || !matches!(out[3], 0 | 3));
});
