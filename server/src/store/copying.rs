//! All rows of a store, as they were at one moment, piece by piece while the store works on.

use super::encoded::{Row, decode};
use super::{
    AlertRow, AlertSettingRow, ApiTokenRow, AuditRow, ContainerRow, DockerClientRow, EventRow, FleetRow, HostRow,
    JoinTokenRow, NetworkMemberRow, NetworkRow, NoticeRow, StreamRow, UserRow, Write,
};

/// What a row is about. The numbers are part of the format of backups: they are never used for anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// A host.
    Hosts = 1,
    /// A stream's place.
    Streams = 2,
    /// A container.
    Containers = 3,
    /// A join token.
    JoinTokens = 4,
    /// An API token.
    ApiTokens = 5,
    /// Where the server is reached.
    Fleet = 6,
    /// What an operator did.
    Audit = 7,
    /// An event.
    Events = 8,
    /// The managed network.
    Network = 9,
    /// A host of the managed network.
    NetworkMembers = 10,
    /// Somebody who signs in with a password. 12 would be the sessions of browsers, which no backup has.
    Users = 11,
    /// A client of the Docker API.
    DockerClients = 16,
    /// What is set of alerts.
    AlertSettings = 13,
    /// An alert.
    Alerts = 14,
    /// A notice that waits.
    Notices = 15,
}

impl Table {
    /// All, in the order in which they are copied.
    pub const ALL: [Table; 15] = [
        Table::Hosts,
        Table::Streams,
        Table::Containers,
        Table::JoinTokens,
        Table::ApiTokens,
        Table::Users,
        Table::Fleet,
        Table::Audit,
        Table::Network,
        Table::NetworkMembers,
        Table::DockerClients,
        Table::AlertSettings,
        Table::Alerts,
        Table::Notices,
        Table::Events,
    ];

    /// The table with a number.
    pub fn from_number(number: u8) -> Option<Table> {
        Table::ALL.into_iter().find(|table| *table as u8 == number)
    }

    /// Reads one of its rows, as [`Copied::rows`] has them.
    ///
    /// # Errors
    /// Why the row cannot be read, in one line.
    pub fn read(self, row: &[u8]) -> Result<Write, String> {
        fn read<R: Row>(row: &[u8], write: fn(R) -> Write) -> Result<Write, String> {
            decode(row).map(write).map_err(|why| why.to_string())
        }
        match self {
            Table::Hosts => read::<HostRow>(row, Write::Host),
            Table::Streams => read::<StreamRow>(row, Write::Stream),
            Table::Containers => read::<ContainerRow>(row, Write::Container),
            Table::JoinTokens => read::<JoinTokenRow>(row, Write::JoinToken),
            Table::ApiTokens => read::<ApiTokenRow>(row, Write::ApiToken),
            Table::Fleet => read::<FleetRow>(row, Write::Fleet),
            Table::Audit => read::<AuditRow>(row, Write::Audit),
            Table::Network => read::<NetworkRow>(row, Write::Network),
            Table::NetworkMembers => read::<NetworkMemberRow>(row, Write::NetworkMember),
            Table::Users => read::<UserRow>(row, Write::User),
            Table::DockerClients => read::<DockerClientRow>(row, Write::DockerClient),
            Table::AlertSettings => read::<AlertSettingRow>(row, Write::AlertSetting),
            Table::Alerts => read::<AlertRow>(row, Write::Alert),
            Table::Notices => read::<NoticeRow>(row, Write::Notice),
            Table::Events => read::<EventRow>(row, Write::Event),
        }
    }
}

/// A copy that has been begun: where it is.
#[derive(Debug)]
pub struct Copying {
    /// Tells this copy from others.
    pub(super) number: u64,
    /// The newest event at its beginning.
    pub newest_event: u64,
    /// Index in [`Table::ALL`].
    pub(super) table: usize,
    /// The key of the last row of that table that was copied.
    pub(super) last: Option<Vec<u8>>,
    /// Events are copied too.
    pub(super) with_events: bool,
}

/// A piece of a copy.
#[derive(Debug, PartialEq, Eq)]
pub struct Copied {
    /// Whose rows they are.
    pub table: Table,
    /// Encoded with their version, as they are stored.
    pub rows: Vec<Vec<u8>>,
}

/// Rows as they are stored, and the key of the last of them; `None` if there are none.
pub(super) type Rows = (Vec<Vec<u8>>, Option<Vec<u8>>);
