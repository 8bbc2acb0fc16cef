//! Records, packed into messages as the agent does it.

use muster_protocol::limits;
use muster_protocol::record::{Full, Writer};

/// Puts a record into the last part, or into a new one.
pub fn put(parts: &mut Vec<Vec<u8>>, record: impl Fn(&mut Writer<'_>) -> Result<(), Full>) {
    for _ in 0..2 {
        let part = parts.last_mut().expect("there is always one");
        let len = part.len();
        part.resize(limits::READINGS, 0);
        let mut writer = Writer::resume(part, len);
        let full = record(&mut writer).is_err();
        let len = if full { len } else { writer.len() };
        part.truncate(len);
        if !full {
            return;
        }
        parts.push(Vec::new());
    }
    panic!("a record always fits into an empty part");
}

/// A message with what `write` puts into it.
pub fn message(write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>) -> Vec<u8> {
    let mut buffer = vec![0; limits::MESSAGE];
    let written = Writer::message(&mut buffer).and_then(|mut writer| {
        write(&mut writer)?;
        Ok(writer.len())
    });
    buffer.truncate(written.expect("a message holds its events and readings at once"));
    buffer
}
