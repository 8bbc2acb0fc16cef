//! How one message changes the mirror.

use super::story::{Chapter, Story};
use super::{Effect, Held, Mirror};
use crate::batch::{Absent, Batch, Digest, Engine, ListEnd};
use crate::container::Container;
use crate::event::{Event, Gap};
use crate::id::{EngineId, EventIdentity};
use crate::limits;
use crate::record::{Kind, Malformed, Reader};
use alloc::vec::Vec;

/// A message whose every record decodes.
pub(super) struct Message<'a> {
    pub batch: Batch,
    parts: Vec<Part<'a>>,
}

enum Part<'a> {
    Engine(&'a [u8]),
    /// Number, body, identity's parts.
    Event(u64, &'a [u8], EventHead<'a>),
    Gap(u64, &'a [u8]),
    /// Number, id, body, whether it belongs to a list.
    Container(u64, EngineId, &'a [u8], bool),
    Absent(Absent),
    ListEnd(ListEnd),
    Digest(Digest),
}

/// What of an event the mirror acts on.
struct EventHead<'a> {
    container: Option<EngineId>,
    action: &'a str,
}

impl<'a> Message<'a> {
    pub fn decode(bytes: &'a [u8]) -> Result<Message<'a>, Malformed> {
        let mut reader = Reader::message(bytes)?;
        let batch: Batch = reader.expect(Kind::Batch)?;
        let mut parts = Vec::new();
        while let Some(record) = reader.next_record()? {
            let bad = Err(Malformed::Payload(record.kind));
            parts.push(match record.kind {
                Kind::Engine => {
                    let engine: Engine = record.decode()?;
                    if engine.version.len() > limits::FACT || engine.api_version.len() > limits::FACT {
                        return bad;
                    }
                    Part::Engine(record.payload)
                }
                Kind::Event => {
                    let (seq, body) = record.numbered()?;
                    let event: Event = decode(record.kind, body)?;
                    if body.len() > limits::EVENT || !event.is_within_limits() {
                        return bad;
                    }
                    let container = event.container_id();
                    Part::Event(seq, body, EventHead { container, action: event.action })
                }
                Kind::Gap => {
                    let (seq, body) = record.numbered()?;
                    let _: Gap = decode(record.kind, body)?;
                    Part::Gap(seq, body)
                }
                Kind::Container | Kind::Listed => {
                    let (seq, body) = record.numbered()?;
                    let container: Container = decode(record.kind, body)?;
                    if body.len() > limits::RECORD || !container.is_within_limits() {
                        return bad;
                    }
                    Part::Container(seq, container.id, body, record.kind == Kind::Listed)
                }
                Kind::Absent => Part::Absent(record.decode()?),
                Kind::ListEnd => Part::ListEnd(record.decode()?),
                Kind::Digest => Part::Digest(record.decode()?),
                // Nothing of them is kept here: see [`super::vitals`].
                Kind::Vitals | Kind::Disk | Kind::Usage => continue,
                _ => return Err(Malformed::Order),
            });
        }
        Ok(Message { batch, parts })
    }
}

fn decode<'a, T: serde::Deserialize<'a>>(kind: Kind, body: &'a [u8]) -> Result<T, Malformed> {
    postcard::from_bytes(body).map_err(|_| Malformed::Payload(kind))
}

pub(super) fn container(body: &[u8]) -> Option<Container<'_>> {
    postcard::from_bytes(body).ok()
}

impl Mirror {
    pub(super) fn apply(&mut self, message: &Message<'_>, effects: &mut Vec<Effect>) {
        let before = self.place.acknowledged;
        if message.batch.seq > self.newest {
            self.newest = message.batch.seq;
            let dropped = message.batch.events_dropped;
            if self.dropped.replace(dropped) != Some(dropped) {
                effects.push(Effect::Dropped(dropped));
            }
        }
        for part in &message.parts {
            match part {
                Part::Engine(body) => {
                    if message.batch.seq > self.engine_at {
                        self.engine_at = message.batch.seq;
                        effects.push(Effect::Engine(body.to_vec()));
                    }
                }
                Part::Event(seq, body, head) if *seq > before => self.event(*seq, body, head, effects),
                Part::Gap(seq, body) if *seq > before => self.gap(*seq, body, effects),
                Part::Event(..) | Part::Gap(..) => {}
                Part::Container(seq, id, body, listed) => self.container(*seq, *id, body, *listed, effects),
                Part::Absent(absent) => self.absent(absent, effects),
                Part::ListEnd(end) => self.list_end(end, effects),
                Part::Digest(digest) => self.digest(digest, effects),
            }
        }
        if message.batch.through > before {
            self.place.acknowledged = message.batch.through;
        }
        let stored = effects.iter().any(|effect| !matches!(effect, Effect::Engine(_) | Effect::Dropped(_)));
        if stored {
            effects.push(Effect::Place);
        }
    }

    fn event(&mut self, seq: u64, body: &[u8], head: &EventHead<'_>, effects: &mut Vec<Effect>) {
        let identity = EventIdentity::of(body);
        if self.recent.contains(&identity) {
            return;
        }
        if self.recent.len() >= limits::RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(identity);
        self.place.last_event = Some(identity);
        effects.push(Effect::Event(seq, body.to_vec()));
        let Some(id) = head.container else { return };
        if !self.make_place(id, false, effects) {
            return;
        }
        let Some(held) = self.held.get_mut(&id) else { return };
        let before = held.story;
        held.story.tell(head.action);
        held.heard = seq;
        held.settled = false;
        if !held.story.is_doubtful(container(&held.body).as_ref()) {
            held.doubted = 0;
        }
        if held.story != before {
            effects.push(Effect::Container { id, visible: false });
        }
    }

    /// Sees to it that something is held of a container; false if there is no place for it.
    ///
    /// A place that is wanted for a reading may be that of a container which does not exist. If for that or for
    /// lack of places a story is not told to its end, the next list is taken as an import: it proves nothing.
    fn make_place(&mut self, id: EngineId, reading: bool, effects: &mut Vec<Effect>) -> bool {
        if self.held.len() >= limits::HELD && !self.held.contains_key(&id) {
            self.let_go(effects, |held| held.story.chapter == Chapter::Removed);
            if self.held.len() >= limits::HELD {
                self.place.imported = false;
                effects.push(Effect::Place);
                if reading {
                    self.let_go(effects, |_| true);
                }
                if self.held.len() >= limits::HELD {
                    return false;
                }
            }
        }
        self.held.entry(id).or_insert_with(|| Held::restored((0, 0), [].into(), Story::default()));
        true
    }

    /// Forgets those of the containers that do not exist.
    fn let_go(&mut self, effects: &mut Vec<Effect>, which: impl Fn(&Held) -> bool) {
        self.held.retain(|id, held| {
            let goes = !held.story.present && which(held);
            if goes {
                effects.push(Effect::Forgotten(*id));
            }
            !goes
        });
    }

    fn gap(&mut self, seq: u64, body: &[u8], effects: &mut Vec<Effect>) {
        effects.push(Effect::Gap(seq, body.to_vec()));
        self.gap_at = self.gap_at.max(seq);
        for (id, held) in self.held.iter_mut() {
            let before = held.story;
            held.story.lose();
            held.settled = false;
            if held.story != before {
                effects.push(Effect::Container { id: *id, visible: false });
            }
        }
    }

    fn container(&mut self, seq: u64, id: EngineId, body: &[u8], listed: bool, effects: &mut Vec<Effect>) {
        let epoch = self.place.epoch;
        if seq <= self.listed {
            // Older than a whole list that took effect, which has said the same or newer of every container.
            return;
        }
        if !self.make_place(id, true, effects) {
            return;
        }
        let gap_at = self.gap_at;
        let Some(held) = self.held.get_mut(&id) else { return };
        if held.body.is_empty() && seq < gap_at {
            held.settled = false;
            held.story.lose(); // The gap came when nothing was held of it.
        }
        if listed {
            if self.listing.0 < seq {
                self.listing = (seq, 0);
            }
            if self.listing.0 == seq && held.listed != seq {
                held.listed = seq;
                self.listing.1 += 1;
            }
        }
        if held.touched >= (epoch, seq) {
            return;
        }
        held.touched = (epoch, seq);
        let after = held.heard.max(gap_at) < seq;
        if *held.body == *body && held.exists() {
            held.show_unchanged(id, after, effects);
            return;
        }
        let mut story = held.story;
        {
            let old = if story.present { container(&held.body) } else { None };
            if let Some(new) = container(body) {
                story.show(old.as_ref(), &new, after);
            }
        }
        held.story = story;
        held.settled = false;
        held.body = body.into();
        effects.push(Effect::Container { id, visible: true });
    }

    fn absent(&mut self, absent: &Absent, effects: &mut Vec<Effect>) {
        let at = (self.place.epoch, absent.seq);
        let Some(held) = self.held.get_mut(&absent.id) else { return };
        if held.touched >= at {
            return;
        }
        held.touched = at;
        let visible = held.exists();
        held.settled = false;
        held.story.show_absent();
        if visible {
            effects.push(Effect::Container { id: absent.id, visible });
        }
    }

    pub(super) fn list_end(&mut self, end: &ListEnd, effects: &mut Vec<Effect>) {
        if end.seq <= self.listed {
            return;
        }
        let came = if self.listing.0 == end.seq { self.listing.1 } else { 0 };
        if came != end.total {
            return; // A part is missing: the answer shows that this list took no effect.
        }
        self.listed = end.seq;
        let at = (self.place.epoch, end.seq);
        for (id, held) in self.held.iter_mut() {
            if held.listed != end.seq && held.touched < at && held.story.present {
                held.touched = at;
                held.settled = false;
                held.story.show_absent();
                effects.push(Effect::Container { id: *id, visible: !held.body.is_empty() });
            }
        }
        if self.place.imported {
            self.judge(end, effects);
        } else {
            self.place.imported = true;
            // What a later event has told stands.
            for held in self.held.values_mut().filter(|held| held.heard < end.seq) {
                if let Some(container) = container(&held.body).filter(|_| held.story.present) {
                    held.settled = false;
                    held.story.accept(&container);
                    if end.seq < self.gap_at {
                        held.story.lose();
                    }
                }
            }
        }
        self.forget(end.seq, effects);
        effects.push(Effect::Listed { hidden: end.hidden });
    }

    /// Holds the story of every container against what the readings show.
    fn judge(&mut self, end: &ListEnd, effects: &mut Vec<Effect>) {
        let seq = end.seq;
        let mut happened = Vec::new();
        for (id, held) in self.held.iter_mut() {
            // Only what this list itself showed: a later reading or event has its own turn.
            if held.touched > (self.place.epoch, seq) || held.heard.max(self.gap_at) > seq {
                continue;
            }
            if !held.story.present && end.hidden > 0 {
                // It may be one of the hidden ones: that it was not listed proves nothing.
                held.doubted = 0;
                continue;
            }
            if held.settled {
                continue;
            }
            let shown = container(&held.body);
            if !held.story.is_doubtful(shown.as_ref()) {
                held.doubted = 0;
                held.settled = held.touched == (self.place.epoch, seq) && held.story.is_quiet();
            } else if held.doubted == 0 {
                held.doubted = seq;
            } else {
                held.doubted = 0;
                held.story.conclude(shown.as_ref(), &mut happened);
                effects.extend(happened.drain(..).map(|happened| Effect::Derived(seq, *id, happened)));
                effects.push(Effect::Container { id: *id, visible: false });
            }
        }
    }

    /// Lets go of containers that are gone, and whose end is told.
    fn forget(&mut self, seq: u64, effects: &mut Vec<Effect>) {
        let epoch = self.place.epoch;
        self.held.retain(|id, held| {
            let told = matches!(held.story.chapter, Chapter::Removed | Chapter::Untold);
            let over = !held.story.present && told && held.touched <= (epoch, seq) && held.heard < seq;
            if over {
                effects.push(Effect::Forgotten(*id));
            }
            !over
        });
    }
}
