//! The history of hosts' vitals: what each was like in each minute of about a day and each hour of about a month, in
//! files of their own beside the store, which never take more room than they are given.
//!
//! It is worth less than the store, and behaves so: nothing waits for it, nothing fails because of it, and what it
//! could not keep is not missed by anything else. No clock decides what is kept. The server's clock only gives minutes
//! and hours their names.

mod block;
mod file;
mod history;
mod row;
mod series;

pub use history::{History, HistoryShape};
pub use row::{Field, Row, Sums};

/// Milliseconds.
pub const MINUTE_MS: i64 = 60_000;
/// Milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
