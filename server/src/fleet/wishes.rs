//! What is wanted of a host's agent beside its reports, and when that is said.
//!
//! An agent confirms by its hello. Until then it is told behind every welcome, and behind other answers as soon as it
//! is wanted and then once a minute: an answer may be lost, and an agent that is too old to understand pays for every
//! byte.

use super::{Fleet, HostCell, host::Host, locked};
use muster_protocol::orders::Settings;
use muster_protocol::vitals::Pace;

/// Between two times that the same is said, in milliseconds.
const AGAIN_MS: u64 = 60_000;

/// How often an agent looks at vitals is nothing that it confirms: it is said so many times, and with every welcome.
pub(super) const PACE_TIMES: u8 = 5;

/// What is wanted of an agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// To know the server by this revision of its keys and addresses.
    pub trust: Option<u64>,
    /// To report like this.
    pub settings: Option<Settings>,
    /// To make a new credential, under this number.
    pub renew: Option<u32>,
    /// To look at vitals like this.
    pub pace: Option<Pace>,
}

impl Fleet {
    /// What is to be said to a host now, behind a welcome or behind another answer.
    pub fn to_say(&self, cell: &HostCell, behind_welcome: bool) -> Wishes {
        let (revision, now_ms) = (locked(&self.state.trust).revision, self.now().monotonic_ms);
        let mut live = cell.live();
        let mut wishes = live.wishes(revision);
        let said = live.said.filter(|(said, _)| *said == wishes).map(|(_, at_ms)| at_ms);
        if !behind_welcome && said.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < AGAIN_MS) {
            return Wishes::default();
        }
        live.said = Some((wishes, now_ms));
        if behind_welcome {
            // Even if nothing is set: the agent may have been told otherwise.
            wishes.settings = Some(live.set());
            // An agent goes back to its own unless a welcome says otherwise.
            wishes.pace = live.row.orders.vitals_ms.map(|_| live.pace());
        } else if wishes.pace.is_some() {
            live.pace_due -= 1;
        }
        if let Some(settings) = wishes.settings {
            // Before it can go quiet for so long.
            live.liveness.allow(settings.interval_ms);
        }
        wishes
    }
}

impl Host {
    /// All that is wanted and not confirmed.
    fn wishes(&self, revision: u64) -> Wishes {
        Wishes {
            trust: (self.row.orders.trust_revision < revision).then_some(revision),
            settings: self.settings_due.then(|| self.set()),
            renew: self.renewal(),
            pace: (self.pace_due > 0).then(|| self.pace()),
        }
    }

    /// How its agent is to report.
    fn set(&self) -> Settings {
        Settings { interval_ms: self.row.orders.interval_ms.unwrap_or(0) }
    }

    /// How its agent is to look at vitals.
    fn pace(&self) -> Pace {
        Pace { interval_ms: self.row.orders.vitals_ms.unwrap_or(0) }
    }
}
