//! Alerts: what is not as it should be, and whom to tell.
//!
//! `rules` are few and on by default. `seen` reads the history's events, `tracks` remembers what they say of late,
//! and the `board` begins and ends alerts by them and by `looks` at the fleet: all that without I/O and without a
//! clock. `telling` makes notices of what has begun and ended: grouped, past `quiet` hours, without what a
//! `silence` covers. `outbox` keeps them for `targets` until they are delivered. `run` ties it all to the
//! fleet, and to the store: an alert, the notices about it and how far the history was read are one commit, so that
//! nothing is told twice or never, however the server ends.

mod alert;
mod board;
mod happened;
mod holds;
pub(crate) mod looks;
mod notice;
mod operate;
mod outbox;
mod quiet;
mod recall;
mod rules;
pub mod run;
mod seen;
mod silence;
#[cfg(test)]
mod simulation;
mod targets;
mod telling;
#[cfg(test)]
mod telling_tests;
#[cfg(test)]
mod tests;
mod text;
mod touched;
mod tracks;

pub(crate) use board::Board;
pub use looks::Place;
pub use operate::AlertSelect;
pub(crate) use recall::Recall;
pub use rules::Rule;
pub(crate) use rules::Rules;
pub use text::clean;
pub(crate) use touched::Parts;
pub use touched::Touched;

use crate::api::types::{AlertSettings, NewAlertTarget};
use crate::store::committer::Committer;
use crate::store::{AlertRow, AlertSettingRow, NoticeRow, Write};
use alert::Alert;
use muster_protocol::id::HostId;
use notice::Notice;
use outbox::{Counts, Outbox};
use quiet::Quiet;
use serde::{Deserialize, Serialize};
use silence::Silence;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use targets::Target;
use telling::{Manner, Telling};

/// What an operator asked for makes no sense: one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

/// Keys of what is set, in the store.
mod key {
    pub const SETTINGS: &str = "settings";
    pub const POSITION: &str = "position";
    pub const TARGET: &str = "target/";
    pub const COUNTS: &str = "counts/";
    pub const SILENCE: &str = "silence/";
    pub const IMPORT: &str = "import/";
}

/// Notes that up to this place, an epoch and a number, a host's engine told of what was before the host joined. To be
/// stored with the list that shows its containers.
pub fn note_import(host: HostId, place: Place) -> Write {
    setting(format!("{}{host}", key::IMPORT), &place)
}

/// What was noted so, by host. A host that nothing usable is stored of has no such place.
pub fn imports(stored: &[AlertSettingRow]) -> HashMap<HostId, Place> {
    let noted = stored.iter().filter_map(|row| Some((row.key.strip_prefix(key::IMPORT)?, &row.json)));
    noted.filter_map(|(host, json)| Some((HostId::parse(host)?, serde_json::from_slice(json).ok()?))).collect()
}

/// Notes that the host is gone.
pub fn forget_import(host: HostId) -> Write {
    Write::AlertSettingGone(format!("{}{host}", key::IMPORT))
}

/// How far alerts have come: as it is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// The newest event that was taken.
    cursor: u64,
    /// The newest alert.
    alert: u64,
    /// The newest notice.
    notice: u64,
}

/// What operators have set.
#[derive(Debug)]
struct Set {
    settings: AlertSettings,
    rules: Rules,
    manner: Manner,
}

impl Set {
    fn read(settings: AlertSettings) -> Result<Set, Refused> {
        const LONGEST_S: u64 = 3600;
        let rules = Rules::read(&settings)?;
        let quiet = settings.quiet.as_ref().map(Quiet::read).transpose()?;
        if settings.group_wait_s > LONGEST_S || settings.group_interval_s > LONGEST_S {
            return Err(Refused(format!("group_wait_s, group_interval_s: at most {LONGEST_S} seconds")));
        }
        let manner =
            Manner { quiet, wait_ms: settings.group_wait_s * 1000, interval_ms: settings.group_interval_s * 1000 };
        let settings = AlertSettings { rules: rules.describe().collect(), ..settings };
        Ok(Set { settings, rules, manner })
    }
}

/// A target in use.
#[derive(Debug, Clone)]
struct InUse {
    target: Arc<Target>,
    /// Tells it from one of the same name before it.
    number: u64,
    /// Wakes whoever delivers to it.
    wake: (async_channel::Sender<()>, async_channel::Receiver<()>),
}

/// What is in memory.
#[derive(Debug)]
struct Live {
    board: Board,
    telling: Telling,
    outbox: Outbox,
    set: Set,
    silences: Vec<Silence>,
    targets: BTreeMap<String, InUse>,
    /// Of the newest notice.
    notice: u64,
    /// Of the newest target in use.
    number: u64,
}

/// What is true in memory and still to be stored; then to be shown, and sent.
#[derive(Debug, Default)]
struct Unstored {
    writes: Vec<Write>,
    shown: Vec<u64>,
    notices: Vec<Notice>,
    /// As it was last stored; `None`: never.
    position: Option<Position>,
    /// Events that were taken before the start have been read again.
    recalled: bool,
    /// When the whole fleet was last looked at, by the monotonic clock.
    looked_ms: Option<u64>,
    /// When what fires was last looked at, likewise.
    passed_ms: Option<u64>,
}

/// Alerts, while the server runs.
#[derive(Debug)]
pub struct Alerts {
    live: Mutex<Live>,
    /// Held by whoever changes something until that is durable.
    turn: Arc<smol::lock::Mutex<Unstored>>,
    committer: Committer,
    /// What of the fleet has changed since it was last looked at.
    touched: Arc<Touched>,
}

impl Alerts {
    /// As they were stored. `newest` is the newest event that there is: without a stored position, alerts begin behind it.
    pub fn open(
        committer: Committer,
        touched: Arc<Touched>,
        stored: (Vec<AlertSettingRow>, Vec<AlertRow>, Vec<NoticeRow>),
        newest: u64,
    ) -> Alerts {
        let (live, position) = Live::restored(stored, newest);
        let turn = Unstored { position, ..Unstored::default() };
        Alerts { live: Mutex::new(live), turn: Arc::new(smol::lock::Mutex::new(turn)), committer, touched }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many fire that no silence covers.
    pub fn firing(&self) -> usize {
        self.live().board.loud().count()
    }

    /// How many alerts of each rule fire.
    pub fn counts(&self) -> [(Rule, usize); 9] {
        let live = self.live();
        Rule::ALL.map(|rule| (rule, live.board.firing().filter(|alert| alert.rule == rule).count()))
    }

    /// Notices that wait, were delivered and were given up, by target.
    pub fn notices(&self) -> Vec<(String, usize, u64, u64)> {
        let live = self.live();
        let of = |name: &String| {
            let queue = live.outbox.get(name);
            let counts = queue.map(|queue| queue.counts).unwrap_or_default();
            (name.clone(), queue.map_or(0, outbox::Queue::len), counts.delivered, counts.dropped)
        };
        live.targets.keys().map(of).collect()
    }
}

impl Set {
    /// Nothing is set. For when what is stored cannot be used.
    fn plain() -> Set {
        let manner = Manner { quiet: None, wait_ms: 5_000, interval_ms: 60_000 };
        Set { settings: AlertSettings::default(), rules: Rules::default(), manner }
    }
}

impl Live {
    /// As it was stored, and how far it had come; `newest` as in [`Alerts::open`].
    fn restored(
        stored: (Vec<AlertSettingRow>, Vec<AlertRow>, Vec<NoticeRow>),
        newest: u64,
    ) -> (Live, Option<Position>) {
        let (settings, alerts, notices) = stored;
        let mut live = Live {
            board: Board::default(),
            telling: Telling::default(),
            outbox: Outbox::default(),
            set: Set::read(AlertSettings::default()).unwrap_or_else(|_| Set::plain()),
            silences: Vec::new(),
            targets: BTreeMap::new(),
            notice: 0,
            number: 0,
        };
        let mut position: Option<Position> = None;
        for row in settings {
            if let Err(why) = live.restore(&row, &mut position) {
                log::error!("alerts: what is stored as {} cannot be used: {why}", row.key);
            }
        }
        let begun = position.unwrap_or(Position { cursor: newest, ..Position::default() });
        live.notice = begun.notice;
        live.board = Board::restored(alerts.iter().filter_map(Alert::read), begun.cursor, begun.alert);
        for notice in notices.iter().filter_map(Notice::read) {
            live.notice = live.notice.max(notice.id);
            // Its target may have gone in the commit before the last.
            if live.targets.contains_key(&notice.to) {
                live.outbox.push(notice, 0);
            }
        }
        (live, position)
    }

    fn restore(&mut self, row: &AlertSettingRow, position: &mut Option<Position>) -> Result<(), String> {
        fn json<'a, T: Deserialize<'a>>(row: &'a AlertSettingRow) -> Result<T, String> {
            serde_json::from_slice(&row.json).map_err(|error| error.to_string())
        }
        let refused = |refused: Refused| refused.0;
        if row.key == key::SETTINGS {
            self.set = Set::read(json(row)?).map_err(refused)?;
        } else if row.key == key::POSITION {
            *position = Some(json(row)?);
        } else if let Some(name) = row.key.strip_prefix(key::TARGET) {
            let asked: NewAlertTarget = json(row)?;
            let target = Target::read(&asked).map_err(refused)?;
            self.use_target(name, target);
        } else if let Some(name) = row.key.strip_prefix(key::COUNTS) {
            let counts: Counts = json(row)?;
            self.outbox.of(name).counts = counts;
        } else if row.key.starts_with(key::SILENCE) {
            self.silences.push(json(row)?);
        }
        Ok(())
    }

    fn use_target(&mut self, name: &str, target: Target) {
        self.number += 1;
        let number = self.number;
        let wake = async_channel::bounded(1);
        self.targets.insert(name.to_owned(), InUse { target: Arc::new(target), number, wake });
    }

    fn wake(&self, target: &str) {
        if let Some(in_use) = self.targets.get(target) {
            // A full channel means that a wake-up already waits.
            let _ = in_use.wake.0.try_send(());
        }
    }
}

/// Something to be set.
fn setting(key: impl Into<String>, value: &impl Serialize) -> Write {
    // Of these types everything can be written.
    Write::AlertSetting(AlertSettingRow { key: key.into(), json: serde_json::to_vec(value).unwrap_or_default() })
}

fn random_hex<const N: usize>() -> String {
    use std::fmt::Write;
    let bytes: [u8; N] = crate::access::secret::random().unwrap_or([0; N]);
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
