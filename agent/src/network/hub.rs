//! What the network process' tasks share. They run on one thread, so that nothing here is locked; no borrow is held while
//! something is waited for.

use super::addresses::Freed;
use super::carrier::Carrier;
use super::members::Members;
use super::options::UpSettings;
use super::peers::Peers;
use super::plan::{Judge, Place, View};
use super::records::Records;
use super::session::Session;
use super::store::{KeyPair, Store};
use super::talk::Told;
use super::tunnel::Table;
use crate::docker::engine::Engine;
use crate::hub::Wake;
use log::{info, warn};
use muster_protocol::id::{EngineId, HostId};
use muster_protocol::network::NetworkProbe;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

/// A clock that says less is wrong: the first of January 2026, in days since 1970.
const FIRST_DAY: u32 = 20_454;
/// What is remembered is held by others for moments only.
const PEERS_LOCKED: Duration = Duration::from_millis(500);
/// What could not be saved is tried again after this.
const SAVE_AGAIN: Duration = Duration::from_secs(10);
/// Others that change what is remembered come seldom.
const TRIES: usize = 3;

/// How the line to the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineState {
    /// It was not tried yet.
    Unknown,
    /// It is open.
    Open,
    /// It is not, for this reason.
    Closed(String),
    /// The server has removed this host.
    Removed,
}

/// What the tasks share.
#[derive(Debug)]
pub struct Hub {
    /// As the operator has said.
    pub settings: UpSettings,
    /// What is kept.
    pub store: Store,
    /// This host's key.
    pub key: KeyPair,
    /// The engine behind its socket.
    pub engine: Engine,
    /// The line to the server.
    pub session: Session,
    /// The plan, as it came.
    pub records: RefCell<Records>,
    /// What peers were first seen with.
    pub remembered: RefCell<Peers>,
    /// Since when something of it could not be saved; tried again then.
    pub unsaved_peers: Cell<Option<Instant>>,
    /// The day of the newest judgement.
    pub judged_on: Cell<Option<u32>>,
    /// Of the file that they were read from.
    pub remembered_stamp: Cell<Option<(i64, i64, u64)>>,
    /// What the plan means.
    pub view: RefCell<View>,
    /// The place that this host has, or had last in this run: its bridge stays closed to others.
    pub place: RefCell<Option<Place>>,
    /// Where the server is.
    pub server: Cell<Option<IpAddr>>,
    /// By which address of its own this host reaches it.
    pub local: Cell<Option<IpAddr>>,
    /// The number of the line that is open; 0 for none.
    pub line: Cell<u64>,
    /// How it is.
    pub line_state: RefCell<LineState>,
    /// The labelled containers.
    pub members: RefCell<Members>,
    /// In which order addresses became free.
    pub freed: RefCell<Freed>,
    /// The managed network on the engine; `None`: to be looked for.
    pub network: Cell<Option<EngineId>>,
    /// Why there is none, or why the engine does not answer.
    pub engine_trouble: RefCell<Option<String>>,
    /// Containers to be looked at.
    pub dirty: RefCell<BTreeSet<EngineId>>,
    /// All of them are to be looked at.
    pub all_dirty: Cell<bool>,
    /// All of them were looked at once.
    pub is_listed: Cell<bool>,
    /// For the task that looks at them.
    pub to_look: Wake,
    /// For the task that lays the ground.
    pub to_lay: Wake,
    /// For the task that talks to the server: what a hello says may have changed, or members have.
    pub to_greet: Wake,
    /// Carries packets.
    pub carrier: RefCell<Carrier>,
    /// Something that could not be done on the host, to be shown.
    pub ground_trouble: RefCell<Option<String>>,
    /// Echoes that the server wants sent.
    pub probes: RefCell<VecDeque<NetworkProbe>>,
    /// For the task that sends them.
    pub to_probe: Wake,
    /// What the server was told.
    pub told: RefCell<Told>,
    /// The plan has changed since it was saved.
    pub is_unsaved: Cell<bool>,
    /// The engine has said which API it speaks.
    pub is_negotiated: Cell<bool>,
    /// The answerer does not have them yet.
    pub names_changed: Cell<bool>,
    /// When this process started.
    pub began: Instant,
    told_refused: RefCell<Vec<String>>,
}

impl Hub {
    /// With what was kept, and the keys of peers among it.
    pub fn new(settings: UpSettings, store: Store, key: KeyPair, remembered: Peers, session: Session) -> Hub {
        Hub {
            engine: Engine::new(settings.docker_host.clone()),
            records: RefCell::new(store.plan()),
            remembered: RefCell::new(remembered),
            unsaved_peers: Cell::new(None),
            judged_on: Cell::new(None),
            remembered_stamp: Cell::new(store.peers_stamp()),
            view: RefCell::default(),
            place: RefCell::default(),
            server: Cell::new(store.server()),
            local: Cell::new(None),
            line: Cell::new(0),
            line_state: RefCell::new(LineState::Unknown),
            members: RefCell::default(),
            freed: RefCell::new(Freed::from_text(&store.freed())),
            network: Cell::new(None),
            engine_trouble: RefCell::default(),
            dirty: RefCell::default(),
            all_dirty: Cell::new(true),
            is_listed: Cell::new(false),
            to_look: Wake::default(),
            to_lay: Wake::default(),
            to_greet: Wake::default(),
            carrier: RefCell::default(),
            ground_trouble: RefCell::default(),
            probes: RefCell::default(),
            to_probe: Wake::default(),
            told: RefCell::default(),
            is_unsaved: Cell::new(false),
            is_negotiated: Cell::new(false),
            names_changed: Cell::new(true),
            began: Instant::now(),
            told_refused: RefCell::default(),
            settings,
            store,
            key,
            session,
        }
    }

    /// Takes over what the records say now: the tunnel at once, the rest by its tasks.
    pub fn plan_changed(&self) {
        let view = self.judged();
        self.tell_refused(&view);
        if let Some(place) = &view.place
            && self.place.borrow().as_ref() != Some(place)
        {
            let before = self.place.replace(Some(place.clone()));
            if before.as_ref().is_none_or(|before| before.range != place.range || before.blocks != place.blocks) {
                let blocks: Vec<String> = place.blocks.iter().map(ToString::to_string).collect();
                info!("this host's place in {} is {}", place.range, blocks.join(", "));
            }
            self.network.set(None);
            // Else a block would be asked for again and again before the containers were looked at.
            self.members.borrow_mut().place_changed();
            self.look_at_all();
        }
        self.names_changed.set(true);
        let has_place = view.place.is_some();
        if self.view.replace(view).place.is_some() != has_place {
            self.look_at_all();
        }
        self.carry();
        self.to_lay.ring();
        self.to_greet.ring();
    }

    /// What the records mean. What is new of peers is remembered before it is used, and not used if it cannot be.
    fn judged(&self) -> View {
        self.judged_on.set(today());
        for _ in 0..TRIES {
            let mut view = self.view_of_records(None);
            let Some(peers) = view.remember.take() else {
                self.unsaved_peers.set(None);
                return view;
            };
            match self.save_peers(peers) {
                Ok(true) => {
                    self.unsaved_peers.set(None);
                    view.noted.iter().for_each(|line| warn!("{line}"));
                    return view;
                }
                // An operator has changed it meanwhile.
                Ok(false) => {}
                Err(error) => return self.without_news(&error.to_string()),
            }
        }
        self.without_news("others change it all the time")
    }

    fn without_news(&self, why: &str) -> View {
        if self.unsaved_peers.replace(Some(Instant::now())).is_none() {
            warn!("cannot save what peers were seen with: {why}; nothing new of them is used");
        }
        self.view_of_records(Some(why))
    }

    fn view_of_records(&self, cannot_remember: Option<&str>) -> View {
        let remembered = self.remembered.borrow();
        let judge = Judge {
            accepted: self.settings.accept,
            own_key: self.key.public,
            server: self.server.get(),
            remembered: &remembered,
            today: self.judged_on.get(),
            cannot_remember,
            label: self.settings.label.as_ref(),
        };
        View::of(&self.records.borrow(), &judge)
    }

    /// Saves them, unless the file was changed since it was read: then it is read again, and false.
    fn save_peers(&self, peers: Peers) -> io::Result<bool> {
        let _lock = self.store.lock_peers(PEERS_LOCKED)?;
        let stamp = self.store.peers_stamp();
        if stamp != self.remembered_stamp.get() {
            self.remembered.replace(self.store.peers()?);
            self.remembered_stamp.set(stamp);
            return Ok(false);
        }
        self.store.keep_peers(&peers)?;
        self.remembered.replace(peers);
        self.remembered_stamp.set(self.store.peers_stamp());
        Ok(true)
    }

    /// What of the plan decides who reaches whom: all but names.
    pub fn records_of_weight(&self) -> (Option<Place>, Table) {
        let view = self.view.borrow();
        (view.place.clone(), view.table.clone())
    }

    /// Saves the plan.
    pub fn save_plan(&self) {
        self.is_unsaved.set(false);
        if let Err(error) = self.store.keep_plan(&self.records.borrow()) {
            warn!("cannot save the plan: {error}; after a restart the server is needed");
        }
    }

    /// Gives the tunnel its table. Without a plan there is none.
    pub fn carry(&self) {
        let Some(mtu) = self.place.borrow().as_ref().map(|place| place.mtu) else { return };
        let table = self.view.borrow().table.clone();
        let carried = self.carrier.borrow_mut().carry(self.key.private, self.settings.port, mtu, table);
        self.note_ground(carried.err().map(|error| format!("no tunnel: {error}")));
    }

    /// Sends an echo through the tunnel.
    pub async fn probe(&self, host: HostId) -> u32 {
        let probe = self.carrier.borrow().probe(host);
        match probe {
            Some(probe) => smol::unblock(probe).await,
            None => u32::MAX,
        }
    }

    /// Notes what could not be done on the host, and says it once.
    pub fn note_ground(&self, trouble: Option<String>) {
        let before = self.ground_trouble.replace(trouble.clone());
        if let Some(trouble) = trouble.filter(|trouble| before.as_ref() != Some(trouble)) {
            warn!("{trouble}; trying again");
        }
    }

    /// Notes why the engine does not do what is wanted of it, and says it once.
    pub fn note_engine(&self, trouble: Option<String>) {
        let before = self.engine_trouble.replace(trouble.clone());
        if let Some(trouble) = trouble.filter(|trouble| before.as_ref() != Some(trouble)) {
            warn!("{trouble}");
        }
    }

    /// Wants all containers looked at.
    pub fn look_at_all(&self) {
        self.all_dirty.set(true);
        self.to_look.ring();
    }

    /// Judges the plan anew if an operator has changed what is remembered, if that could not be saved, and on another day.
    pub fn look_at_peers(&self) {
        let stamp = self.store.peers_stamp();
        if stamp != self.remembered_stamp.get() {
            match self.store.peers() {
                Ok(peers) => {
                    self.remembered_stamp.set(stamp);
                    self.remembered.replace(peers);
                }
                Err(error) => return warn!("cannot read what peers were seen with: {error}"),
            }
        } else if self.unsaved_peers.get().is_none_or(|since| since.elapsed() < SAVE_AGAIN)
            && self.judged_on.get() == today()
        {
            return;
        }
        self.plan_changed();
    }

    fn tell_refused(&self, view: &View) {
        let mut told = self.told_refused.borrow_mut();
        for line in view.refused.iter().filter(|line| !told.contains(line)) {
            warn!("refused: {line}");
        }
        told.clone_from(&view.refused);
    }
}

/// In days since 1970; `None` if the clock was not set yet, as that of a board without a battery.
fn today() -> Option<u32> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u32::try_from(since.as_secs() / 86_400).ok().filter(|day| *day >= FIRST_DAY)
}
