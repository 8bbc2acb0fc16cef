//! Any message is records that decode or an error; a record that decodes can be written again, and reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_protocol::record::{Kind, Malformed, Reader, Record};
use muster_protocol::{batch, container, event, hello, join, orders, vitals};

/// Reads `$bytes` as `$type`, writes it, and reads that: the same value in the same bytes.
macro_rules! again {
    ($type:ty, $bytes:expr) => {{
        let bytes: &[u8] = $bytes;
        if let Ok(value) = postcard::from_bytes::<$type>(bytes) {
            // Numbers may come in more bytes than they need, but are never written in more.
            let mut buffer = vec![0; bytes.len()];
            let written = postcard::to_slice(&value, &mut buffer).expect("no longer than it was");
            assert_eq!(postcard::from_bytes::<$type>(written).expect("reads again"), value);
        }
    }};
}

fn decode(record: Record<'_>) -> Result<(), Malformed> {
    match record.kind {
        Kind::Join => again!(join::Join<'_>, record.payload),
        Kind::Joined => again!(join::Joined<'_>, record.payload),
        Kind::Hello => again!(hello::Hello<'_>, record.payload),
        Kind::Welcome => again!(hello::Welcome, record.payload),
        Kind::Batch => again!(batch::Batch, record.payload),
        Kind::Event => again!(event::Event<'_>, record.numbered()?.1),
        Kind::Gap => again!(event::Gap, record.numbered()?.1),
        Kind::Container => again!(container::Container<'_>, record.numbered()?.1),
        Kind::Absent => again!(batch::Absent, record.payload),
        Kind::ListEnd => again!(batch::ListEnd, record.payload),
        Kind::Engine => again!(batch::Engine<'_>, record.payload),
        Kind::Answer => again!(batch::Answer, record.payload),
        Kind::Refused => again!(batch::Refused, record.payload),
        Kind::Digest => again!(batch::Digest, record.payload),
        Kind::Differs => again!(batch::Differs, record.payload),
        Kind::Session => again!(orders::Session, record.payload),
        Kind::Settings => again!(orders::Settings, record.payload),
        Kind::Trust => again!(orders::Trust<'_>, record.payload),
        Kind::Trusted => again!(orders::Trusted, record.payload),
        Kind::Renew => again!(orders::Renew, record.payload),
        Kind::Renewed => again!(orders::Renewed, record.payload),
        Kind::Vitals => again!(vitals::Vitals, record.payload),
        Kind::Usage => again!(vitals::Usage, record.payload),
        Kind::Disk => again!(vitals::Disk<'_>, record.payload),
        Kind::Pace => again!(vitals::Pace, record.payload),
        _ => {}
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let Ok(mut reader) = Reader::message(data) else { return };
    while let Ok(Some(record)) = reader.next_record() {
        let _ = decode(record);
    }
});
