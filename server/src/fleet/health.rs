//! How the store does, and what is done for it from time to time.

use super::{By, Fleet, Refusal};
use crate::backup;
use crate::time::now_ms;

impl Fleet {
    /// What keeps the store from working now, if anything.
    pub fn problem(&self) -> Option<String> {
        self.committer.problem().map(|error| error.message)
    }

    /// What is wrong with what is stored, in one line, if the server goes on without it.
    pub fn warning(&self) -> Option<String> {
        let warnings = [self.history.0.warning(), self.vitals.warning()];
        warnings.into_iter().flatten().reduce(|all, one| format!("{all}; {one}"))
    }

    /// Why the store will not work again by itself, if that is so.
    pub fn lost(&self) -> Option<String> {
        self.history.0.lost().map(|error| error.message)
    }

    /// Begins a backup: its bytes, as they are made. That it was noted need not be stored before: a store that cannot
    /// be written can be saved all the same.
    pub async fn backup(&self, by: &By, with_history: bool) -> Result<async_channel::Receiver<Vec<u8>>, Refusal> {
        let store = self.history.0.clone();
        let details = [("history", with_history.to_string())];
        drop(self.committer.commit(vec![by.audit("server.backup", "server", details)], |_| {}));
        smol::unblock(move || backup::give(store, with_history)).await.map_err(Refusal::Store)
    }

    /// Deletes events that are too old or too many. To be called each hour.
    pub async fn tidy(&self) {
        let store = self.history.0.clone();
        smol::unblock(move || store.tidy(now_ms())).await;
    }
}
