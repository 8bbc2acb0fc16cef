//! What the agent's tasks share. They run on one thread, so that nothing here is locked; no borrow is held while
//! something is waited for.

use crate::census::outbox::Outbox;
use crate::census::roster::Roster;
use crate::docker::engine::Engine;
use crate::health::Health;
use crate::refused::Refused;
use muster_protocol::reporter::Reporter;
use muster_protocol::reporter::ledger::Ledger;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// Wakes one task. Rings while nobody listens are not lost, and count once.
#[derive(Debug)]
pub struct Wake {
    ring: async_channel::Sender<()>,
    heard: async_channel::Receiver<()>,
}

impl Default for Wake {
    fn default() -> Wake {
        let (ring, heard) = async_channel::bounded(1);
        Wake { ring, heard }
    }
}

impl Wake {
    /// Wakes the task, now or when it next listens.
    pub fn ring(&self) {
        // Full means that it is rung already.
        let _ = self.ring.try_send(());
    }

    /// Waits for a ring.
    pub async fn wait(&self) {
        let _ = self.heard.recv().await;
    }
}

/// What the agent's tasks share.
#[derive(Debug)]
pub struct Hub {
    /// The engine behind its socket.
    pub engine: Engine,
    /// This end of the synchronisation.
    pub reporter: RefCell<Reporter>,
    /// Which containers there are.
    pub roster: RefCell<Roster>,
    /// What the server has of them.
    pub ledger: RefCell<Ledger>,
    /// When everything was last sent.
    pub all_sent: Cell<Option<Instant>>,
    /// Readings on their way.
    pub outbox: RefCell<Outbox>,
    /// Whether the engine answers.
    pub health: RefCell<Health>,
    /// Calls that something before the engine does not let through.
    pub refused: RefCell<Refused>,
    /// Between reports, as it is now.
    pub interval: Cell<Duration>,
    /// Between reports, unless the server wants it otherwise.
    pub own_interval: Duration,
    /// Between looks at how the host and its containers do, as it is now; `None` for never.
    pub vitals_interval: Cell<Option<Duration>>,
    /// The same, unless the server wants it otherwise. If this is `None`, the server is not asked.
    pub own_vitals_interval: Option<Duration>,
    /// A hello is due although the server knows this run: something that it says has changed.
    pub greet: Cell<bool>,
    /// The last exchange with the server worked.
    pub online: Cell<bool>,
    /// How often one did.
    pub answers: Cell<u64>,
    /// A stream of events is open and its replay is through.
    pub subscribed: Cell<bool>,
    /// All containers are to be read as soon as possible.
    pub list_now: Cell<bool>,
    /// The number of the last whole list that was put into the outbox.
    pub listed: Cell<u64>,
    /// The server is to be told how the engine does.
    pub tell_engine: Cell<bool>,
    /// All containers are to be read at this time at the latest: a difference is to be confirmed.
    pub confirm_by: Cell<Option<Instant>>,
    /// For the uplink: there is something to send.
    pub to_send: Wake,
    /// For the census: there is something to read.
    pub to_read: Wake,
    /// For the watch: the stream of events is to be opened anew.
    pub replay: Wake,
    /// For the census: the outbox has room.
    pub room: Wake,
}

impl Hub {
    /// Before anything was heard.
    pub fn new(engine: Engine, reporter: Reporter, interval: Duration) -> Hub {
        Hub {
            engine,
            reporter: RefCell::new(reporter),
            roster: RefCell::default(),
            ledger: RefCell::default(),
            all_sent: Cell::new(None),
            outbox: RefCell::default(),
            health: RefCell::new(Health::new(Instant::now())),
            refused: RefCell::default(),
            interval: Cell::new(interval),
            own_interval: interval,
            vitals_interval: Cell::new(None),
            own_vitals_interval: None,
            greet: Cell::new(false),
            online: Cell::new(false),
            answers: Cell::new(0),
            subscribed: Cell::new(false),
            list_now: Cell::new(false),
            listed: Cell::new(0),
            tell_engine: Cell::new(true),
            confirm_by: Cell::new(None),
            to_send: Wake::default(),
            to_read: Wake::default(),
            replay: Wake::default(),
            room: Wake::default(),
        }
    }

    /// As before, but it is looked how the host and its containers do, so often.
    pub fn with_vitals(self, every: Option<Duration>) -> Hub {
        Hub { vitals_interval: Cell::new(every), own_vitals_interval: every, ..self }
    }

    /// What waits to be sent is thrown away, and read again when the server takes it.
    pub fn forget_readings(&self) {
        self.outbox.borrow_mut().clear();
        self.ledger.borrow_mut().doubt();
        self.room.ring();
    }

    /// Asks for a reading of all containers.
    pub fn read_all_soon(&self) {
        self.list_now.set(true);
        self.to_read.ring();
    }

    /// The engine's state has changed.
    pub fn engine_changed(&self) {
        self.tell_engine.set(true);
        self.to_send.ring();
    }
}
