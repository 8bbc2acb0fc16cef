//! Parts to bytes.

use super::{ABOUT, END, FAILED, FILE, FILES, MAGIC, Part, ROW};
use ring::digest::{Context, SHA256};

/// Makes the bytes of a backup, piece by piece.
pub(crate) struct Writer {
    digest: Context,
    /// Made, and not taken yet.
    bytes: Vec<u8>,
}

impl Writer {
    /// Begins one.
    pub(crate) fn new() -> Writer {
        let mut writer = Writer { digest: Context::new(&SHA256), bytes: Vec::new() };
        writer.put(&[MAGIC]);
        writer
    }

    fn put(&mut self, pieces: &[&[u8]]) {
        for piece in pieces {
            self.digest.update(piece);
            self.bytes.extend_from_slice(piece);
        }
    }

    fn put_part(&mut self, kind: u8, pieces: &[&[u8]]) {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        // Parts are far shorter than 4 GiB; a reader refuses any beyond 1 MiB.
        self.put(&[&[kind], &u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()]);
        self.put(pieces);
    }

    /// Adds a part.
    pub(crate) fn add(&mut self, part: &Part) {
        match part {
            Part::About(about) => self.put_part(ABOUT, &[&serde_json::to_vec(about).unwrap_or_default()]),
            Part::File(name, content) => {
                if let Some(number) = FILES.iter().position(|known| known == name) {
                    self.put_part(FILE, &[&[number as u8], content]);
                }
            }
            Part::Row(table, row) => self.put_part(ROW, &[&[*table as u8], row]),
        }
    }

    /// Says that it ends without being whole.
    pub(crate) fn fail(&mut self, why: &str) {
        self.put_part(FAILED, &[why.as_bytes()]);
    }

    /// Ends it.
    pub(crate) fn end(&mut self) {
        let digest = self.digest.clone().finish();
        self.put_part(END, &[digest.as_ref()]);
    }

    /// The bytes that were made since the last time.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}
