//! Bytes to parts.

use super::{ABOUT, END, FAILED, FILE, FILES, MAGIC, PART, Part, ROW};
use crate::store::copying::Table;
use ring::digest::{Context, SHA256};
use std::io::{ErrorKind, Read};

/// Reads a backup part by part.
pub(crate) struct Reader<R> {
    input: R,
    digest: Context,
    /// The end was there.
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Of what begins like a backup.
    ///
    /// # Errors
    /// Why it is none, or cannot be read: one line.
    pub(crate) fn new(input: R) -> Result<Reader<R>, String> {
        let mut reader = Reader { input, digest: Context::new(&SHA256), ended: false };
        let mut magic = [0; MAGIC.len()];
        reader.fill(&mut magic).map_err(|why| if why == SHORT { "it is no backup".into() } else { why })?;
        let stem = &MAGIC[..MAGIC.len() - 2];
        match magic {
            _ if magic == MAGIC => Ok(reader),
            _ if magic.starts_with(stem) => Err("it was made by a newer muster: install that version".into()),
            _ => Err("it is no backup".into()),
        }
    }

    /// The next part; `None` at the end, when all that came before is proven whole.
    ///
    /// # Errors
    /// Why it is not whole, or cannot be read: one line.
    pub(crate) fn next(&mut self) -> Result<Option<Part>, String> {
        if self.ended {
            return Ok(None);
        }
        let before = self.digest.clone();
        let mut head = [0; 5];
        self.fill(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        if length > PART {
            return Err(DAMAGED.into());
        }
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        let damaged = || DAMAGED.to_owned();
        match kind {
            ABOUT => Ok(Some(Part::About(serde_json::from_slice(&bytes).map_err(|_| damaged())?))),
            FILE => {
                let (number, content) = bytes.split_first().ok_or_else(damaged)?;
                let name = FILES.get(usize::from(*number)).ok_or_else(damaged)?;
                Ok(Some(Part::File(name, content.to_vec())))
            }
            ROW => {
                let (number, row) = bytes.split_first().ok_or_else(damaged)?;
                Ok(Some(Part::Row(Table::from_number(*number).ok_or_else(damaged)?, row.to_vec())))
            }
            FAILED => Err(String::from_utf8_lossy(&bytes).replace(char::is_control, " ")),
            END => {
                if before.finish().as_ref() != bytes {
                    return Err(damaged());
                }
                match self.input.read(&mut [0]) {
                    Ok(0) => {}
                    Ok(_) => return Err("something follows behind its end: it was damaged or changed".into()),
                    Err(error) => return Err(error.to_string()),
                }
                self.ended = true;
                Ok(None)
            }
            _ => Err(damaged()),
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => SHORT.to_owned(),
            _ => error.to_string(),
        })?;
        self.digest.update(bytes);
        Ok(())
    }
}

const SHORT: &str = "its end is missing";
const DAMAGED: &str = "it was damaged or changed";
