//! The server gives a backup of itself, without files.

use super::writer::Writer;
use super::{About, Part};
use crate::store::copying::Copying;
use crate::store::{Store, StoreError};
use crate::time::{format_ms, now_ms};
use std::sync::Arc;

/// Begins a backup, whose bytes come from the channel, made on a thread of its own as fast as they are taken. It is
/// over when the channel ends or is dropped. At most one is made at a time: a newer one ends an older one.
pub fn give(store: Arc<dyn Store>, with_history: bool) -> Result<async_channel::Receiver<Vec<u8>>, StoreError> {
    let copying = store.begin_copy(with_history)?;
    let mut copy = Copy { store, copying };
    let (sender, receiver) = async_channel::bounded(1);
    smol::unblock(move || copy.run(with_history, &sender)).detach();
    Ok(receiver)
}

/// Gives the store back what it holds for the copy, however it ends.
struct Copy {
    store: Arc<dyn Store>,
    copying: Copying,
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.store.end_copy(&self.copying);
    }
}

impl Copy {
    fn run(&mut self, with_history: bool, sender: &async_channel::Sender<Vec<u8>>) {
        let mut writer = Writer::new();
        writer.add(&Part::About(About {
            version: env!("CARGO_PKG_VERSION").into(),
            made_at: format_ms(now_ms()),
            newest_event: self.copying.newest_event,
            with_history,
        }));
        loop {
            let is_over = match self.store.copy_on(&mut self.copying) {
                Ok(Some(piece)) => {
                    for row in piece.rows {
                        writer.add(&Part::Row(piece.table, row));
                    }
                    false
                }
                Ok(None) => {
                    writer.end();
                    true
                }
                Err(error) => {
                    log::warn!("a backup could not be finished: {error}");
                    writer.fail(&error.message);
                    true
                }
            };
            // An error means that the client has left.
            if sender.send_blocking(writer.take()).is_err() || is_over {
                return;
            }
        }
    }
}
