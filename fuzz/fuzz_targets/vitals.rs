//! Whatever the kernel's files or an agent's vitals say: nothing panics, and a picture keeps to its limits. The first byte
//! says which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::vitals::{mounts, parse};
use muster_protocol::limits;
use muster_protocol::mirror::vitals::{Picture, Said};

fn files(text: &str) {
    let _ = (parse::processors(text), parse::load(text), parse::uptime(text), parse::memory(text));
    let _ = (parse::named(text, "usage_usec"), parse::number(text), parse::limit(text), parse::limit_v1(text));
    let _ = (parse::block_io(text), parse::block_io_v1(text), parse::network(text), parse::throttled(text));
    assert!(parse::temperature(text).is_none_or(|tenths| (-600..=2000).contains(&tenths)));
    assert!(parse::worn_percent(text).is_none_or(|percent| (10..=110).contains(&percent)));
    for line in text.lines() {
        if let Some(mount) = mounts::parse(line) {
            assert!(mounts::unescaped(mount.point).is_none_or(|path| path.len() <= mount.point.len()));
        }
    }
}

/// Messages, each behind its length in two bytes.
fn messages(mut data: &[u8]) {
    let mut picture = Picture::default();
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (message, behind) = rest.split_at(length);
        data = behind;
        let Ok(Some(said)) = Said::find(message) else { continue };
        if picture.receive(&said) {
            assert!(!picture.receive(&said), "twice the same");
        }
        let _ = picture.host();
        assert!(picture.disks().count() <= limits::DISKS && picture.containers().count() <= limits::CONTAINERS);
    }
}

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((0, text)) => files(&String::from_utf8_lossy(text)),
        Some((_, said)) => messages(said),
        None => {}
    }
});
