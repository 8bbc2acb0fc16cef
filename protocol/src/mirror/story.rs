//! What the events say of a container, held against what the readings show.
//!
//! Docker changes a container first and tells about it a moment later, so a reading may be ahead of its events.
//! That is why a difference is only doubted when a list shows it, and believed when a later list still does.

use crate::container::{Container, Health, State};
use alloc::string::String;
use alloc::vec::Vec;

/// Where the events have left a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Chapter {
    /// Nothing was ever heard of it.
    #[default]
    Untold = 0,
    /// Created, never started.
    Created = 1,
    /// Running.
    Running = 2,
    /// Paused.
    Paused = 3,
    /// Ended.
    Ended = 4,
    /// Removed.
    Removed = 5,
}

/// Something that an event explains, or that a reading shows and no event does.
pub mod what {
    /// It was started (again).
    pub const STARTED: u8 = 1;
    /// It was renamed.
    pub const RENAMED: u8 = 1 << 1;
    /// Its health changed.
    pub const HEALTH: u8 = 1 << 2;
    /// Besides [`STARTED`]: it had been started before, so that run has ended.
    pub const AGAIN: u8 = 1 << 3;
    /// In `told`: events are missing behind the one that made the chapter.
    pub const LOST: u8 = 1 << 4;
    /// In `told`: events are missing between the last reading and the event that made the chapter. In `doubts`,
    /// besides [`STARTED`]: the start that nobody told of may lie before the chapter.
    pub const EARLIER: u8 = 1 << 5;
    /// In `told`: a reading has shown the run that the chapter is about.
    pub const SEEN: u8 = 1 << 6;
}

/// What the events say of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Story {
    /// Where the events have left it.
    pub chapter: Chapter,
    /// Bits of [`what`] that events told since the last reading.
    pub told: u8,
    /// Bits of [`what`] that readings showed and no event has told.
    pub doubts: u8,
    /// Whether the last reading had it.
    pub present: bool,
}

impl Story {
    /// For a store's row: four bytes.
    pub fn to_bytes(self) -> [u8; 4] {
        [self.chapter as u8, self.told, self.doubts, u8::from(self.present)]
    }

    /// From a store's row; a shorter or unknown one is a story untold.
    pub fn from_bytes(bytes: &[u8]) -> Story {
        let [chapter, told, doubts, present] = bytes else { return Story::default() };
        let chapter = match chapter {
            1 => Chapter::Created,
            2 => Chapter::Running,
            3 => Chapter::Paused,
            4 => Chapter::Ended,
            5 => Chapter::Removed,
            _ => Chapter::Untold,
        };
        Story { chapter, told: *told, doubts: *doubts, present: *present != 0 }
    }

    /// An event tells something.
    pub fn tell(&mut self, action: &str) {
        let (chapter, told) = match action {
            "create" => (Some(Chapter::Created), 0),
            "start" | "restart" => (Some(Chapter::Running), what::STARTED | what::AGAIN),
            "unpause" => (Some(Chapter::Running), 0),
            "pause" => (Some(Chapter::Paused), 0),
            "die" | "stop" => (Some(Chapter::Ended), what::AGAIN),
            "destroy" => (Some(Chapter::Removed), 0),
            "rename" => (None, what::RENAMED),
            action if action.starts_with("health_status") => (None, what::HEALTH),
            _ => (None, 0),
        };
        if let Some(chapter) = chapter {
            self.chapter = chapter;
            if self.told & what::LOST != 0 {
                self.told = self.told & !what::LOST | what::EARLIER;
            }
            if self.doubts & what::STARTED != 0 {
                self.doubts |= what::EARLIER;
            }
        }
        if told & what::STARTED != 0 {
            self.told &= !what::SEEN;
            self.doubts &= !what::EARLIER;
        }
        self.told |= told;
        self.doubts &= !told;
    }

    /// Events are missing here, perhaps some about this container.
    pub fn lose(&mut self) {
        self.told |= what::LOST;
    }

    /// A reading shows the container, which was `old` at the last one. `after` tells whether the reading was
    /// numbered after all events about it that were heard: a later event may still explain a later reading.
    pub fn show(&mut self, old: Option<&Container<'_>>, new: &Container<'_>, after: bool) {
        if let Some(old) = old {
            let mut changed = 0;
            if old.started_ms != new.started_ms {
                changed |= what::STARTED | if old.started_ms.is_some() { what::AGAIN } else { 0 };
            }
            if old.name != new.name {
                changed |= what::RENAMED;
            }
            // A start sets the check back to `starting`, and a stop to the last result: Docker tells neither.
            let restarted = changed & what::STARTED != 0 || Health::from_number(new.health) == Health::Starting;
            if old.health != new.health && !restarted && new.health != Health::None as u8 && is_up(new) {
                changed |= what::HEALTH;
            }
            if restarted {
                self.doubts &= !what::HEALTH; // That was another run's check.
            }
            let doubts = changed & !self.told;
            self.doubts |= doubts;
            if doubts & what::STARTED != 0 {
                self.doubts |= self.told & what::EARLIER;
            }
        }
        self.show_unchanged(new, after);
        self.present = true;
    }

    /// A reading shows what the last one showed; `after` as in [`Story::show`].
    pub fn show_unchanged(&mut self, shown: &Container<'_>, after: bool) {
        if after {
            self.told &= what::SEEN;
            if is_up(shown) && self.doubts & what::STARTED == 0 && agrees(self.chapter, shown) {
                self.told |= what::SEEN;
            }
        }
    }

    /// Whether a reading that shows the same again has nothing to say, if this one left no doubt.
    pub fn is_quiet(&self) -> bool {
        self.told & !what::SEEN == 0 && self.doubts == 0
    }

    /// A reading shows that there is no such container.
    pub fn show_absent(&mut self) {
        self.present = false;
    }

    /// Whether what the events say and what the last reading showed differ.
    pub fn is_doubtful(&self, container: Option<&Container<'_>>) -> bool {
        match container.filter(|_| self.present) {
            Some(container) => self.doubts != 0 || !agrees(self.chapter, container),
            None => self.chapter != Chapter::Removed && self.chapter != Chapter::Untold,
        }
    }

    /// Makes the story agree with what is shown, and says what must have happened.
    pub fn conclude(&mut self, container: Option<&Container<'_>>, happened: &mut Vec<Happened>) {
        let shown = container.filter(|_| self.present);
        let mut say = |action: &str| happened.push(Happened::new(action, container));
        let Some(container) = shown else {
            if matches!(self.chapter, Chapter::Running | Chapter::Paused) {
                say("die");
            }
            if !matches!(self.chapter, Chapter::Removed | Chapter::Untold) {
                say("destroy");
            }
            self.chapter = Chapter::Removed;
            self.doubts = 0;
            return;
        };
        let target = chapter_of(container);
        let started = self.doubts & what::STARTED != 0;
        // What was lost before the chapter is told late; only what was lost behind it leads on from it.
        let restarted = started && self.doubts & what::EARLIER == 0;
        let mut say_start = started && !restarted;
        if matches!(self.chapter, Chapter::Untold | Chapter::Removed) {
            say("create");
            self.chapter = Chapter::Created;
        }
        if restarted && matches!(self.chapter, Chapter::Running | Chapter::Paused) {
            if self.doubts & what::AGAIN != 0 {
                say("die");
            }
            self.chapter = Chapter::Ended;
        }
        if (restarted || !agrees(self.chapter, container)) && target != Chapter::Created {
            if matches!(self.chapter, Chapter::Created | Chapter::Ended) {
                say("start");
                say_start = false;
                self.chapter = Chapter::Running;
            }
            match (self.chapter, target) {
                (Chapter::Running, Chapter::Paused) => say("pause"),
                // If no reading has shown this run, another may have been started: the gap has to do.
                (Chapter::Paused, Chapter::Running) if !started && self.told & what::SEEN != 0 => say("unpause"),
                (Chapter::Running | Chapter::Paused, Chapter::Ended) => say("die"),
                _ => {}
            }
        }
        if say_start {
            say("start");
        }
        self.chapter = target;
        if self.doubts & what::RENAMED != 0 {
            say("rename");
        }
        if self.doubts & what::HEALTH != 0 {
            let health = Health::from_number(container.health);
            if matches!(health, Health::Healthy | Health::Unhealthy) {
                say(&alloc::format!("health_status: {}", health.word()));
            }
        }
        self.doubts = 0;
    }

    /// Takes what is shown for told: at import.
    pub fn accept(&mut self, container: &Container<'_>) {
        self.chapter = chapter_of(container);
        self.doubts = 0;
        self.told = if is_up(container) { what::SEEN } else { 0 };
    }
}

/// What no event said and must have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Docker's name of it.
    pub action: String,
    /// As Docker would have sent them, as far as they are known.
    pub attributes: Vec<(String, String)>,
}

impl Happened {
    fn new(action: &str, container: Option<&Container<'_>>) -> Happened {
        let mut attributes = Vec::new();
        if let Some(container) = container {
            if let Some(code) = container.exit_code.filter(|_| action == "die") {
                attributes.push(("exitCode".into(), alloc::format!("{code}")));
            }
            attributes.push(("image".into(), container.image.into()));
            attributes.push(("name".into(), container.name.into()));
        }
        Happened { action: action.into(), attributes }
    }
}

fn is_up(container: &Container<'_>) -> bool {
    State::from_number(container.state).is_up()
}

fn chapter_of(container: &Container<'_>) -> Chapter {
    match State::from_number(container.state) {
        State::Created => Chapter::Created,
        State::Running => Chapter::Running,
        State::Paused => Chapter::Paused,
        State::Restarting | State::Removing | State::Exited | State::Dead | State::Unknown => Chapter::Ended,
    }
}

fn agrees(chapter: Chapter, container: &Container<'_>) -> bool {
    match State::from_number(container.state) {
        // Between two runs: the story may be at either of them.
        State::Restarting => matches!(chapter, Chapter::Running | Chapter::Ended),
        // Seen for a moment on the way out, from any state.
        State::Removing | State::Dead | State::Unknown => true,
        _ => chapter == chapter_of(container),
    }
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
