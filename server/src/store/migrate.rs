//! Stores of older formats.

use super::files::Place;
use super::history::{DIRECTORY, History, Retention, drop_old_events, old_events};
use super::trouble::{Fault, Trouble, line};
use super::{EventRow, StoreError, format};
use redb::{Database, ReadableDatabase};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Events that are moved at a time.
const PIECE: usize = 4000;

/// Moves the events of a store of format 1 into the history. If that is interrupted, it begins again from the start.
pub(super) fn events(
    place: &Place,
    state: &mut Database,
    data_dir: &Path,
    retention: Retention,
) -> Result<(), StoreError> {
    log::info!("{}: moving its events into {DIRECTORY}/", place.path.display());
    let directory = data_dir.join(DIRECTORY);
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(line(format!("cannot empty {}: {error}", directory.display())));
        }
        _ => {}
    }
    let history = History::find(data_dir, retention)?;
    move_all(place, state, &history).map_err(|fault| fault.explain("move the events of"))?;
    // They were most of it. If it stays large, the room is used later.
    if let Err(error) = state.compact() {
        log::warn!("cannot make {} smaller: {error}", place.path.display());
    }
    Ok(())
}

fn move_all(place: &Place, state: &Database, history: &History) -> Result<(), Fault> {
    let fault = |trouble: Trouble| place.fault(trouble);
    let transaction = state.begin_read().map_err(|error| fault(error.into()))?;
    let mut after = 0;
    loop {
        let (events, last) = old_events(&transaction, after, PIECE).map_err(|error| fault(error.into()))?;
        // What was received on one day goes into one file, as if it had been stored now.
        for day in events.chunk_by(|a, b| a.received_ms / 86_400_000 == b.received_ms / 86_400_000) {
            history.append(&day.iter().collect::<Vec<&EventRow>>())?;
            history.make_room();
        }
        match last {
            Some(last) => after = last,
            None => break,
        }
    }
    drop(transaction);
    history.close();
    let finish = || {
        let transaction = state.begin_write()?;
        drop_old_events(&transaction)?;
        format::mark(&transaction)?;
        Ok(transaction.commit()?)
    };
    finish().map_err(fault)
}
