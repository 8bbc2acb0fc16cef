//! A host's lines: the long-lived connections over which its agent reports.
//!
//! There is one, or two for as long as the server does not know yet that the older one is dead. Two agents with one
//! identity have one each, and neither loses it to the other by coming: which of them is heard is the mirror's to
//! say, and only who was heard takes over from others.
//!
//! Beside them a host has at most one line for the managed network. What ends the credential ends that one, too.

use crate::listen::Handle;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lines of one host at once. What comes beyond replaces the oldest that was never heard.
const MOST: usize = 8;

/// The lines of one host.
#[derive(Debug, Default)]
pub struct Lines {
    open: Mutex<Vec<Open>>,
    /// That of the managed network.
    network: Mutex<Option<Handle>>,
}

#[derive(Debug)]
struct Open {
    handle: Handle,
    /// Something that came over it was taken.
    heard: bool,
}

impl Lines {
    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a line that was opened, until what this gives is dropped.
    pub fn enter(&self, handle: Handle) -> Entered<'_> {
        let mut open = self.open();
        let surplus = (open.len() >= MOST).then(|| {
            let oldest = open.iter().position(|line| !line.heard).unwrap_or(0);
            open.remove(oldest)
        });
        open.push(Open { handle: handle.clone(), heard: false });
        drop(open);
        if let Some(line) = surplus {
            line.handle.cut();
        }
        Entered { lines: self, handle }
    }

    /// A hello was welcomed, or a report was taken, over this line or over none: lines that were heard before are
    /// left over, and are cut.
    pub fn heard_over(&self, handle: Option<&Handle>) {
        let left_over: Vec<Open> = {
            let mut open = self.open();
            let is_this = |line: &Open| handle.is_some_and(|handle| line.handle.is(handle));
            let left_over = open.extract_if(.., |line| line.heard && !is_this(line)).collect();
            if let Some(line) = open.iter_mut().find(|line| is_this(line)) {
                line.heard = true;
            }
            left_over
        };
        left_over.iter().for_each(|line| line.handle.cut());
    }

    /// Cuts all: what the host was allowed, it is not any more.
    pub fn cut(&self) {
        let all = std::mem::take(&mut *self.open());
        all.iter().for_each(|line| line.handle.cut());
        self.cut_network();
    }

    /// Cuts the line of the managed network.
    pub fn cut_network(&self) {
        let network = self.network().take();
        network.iter().for_each(Handle::cut);
    }

    fn network(&self) -> MutexGuard<'_, Option<Handle>> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters the line of the managed network until what this gives is dropped. An older one ends.
    pub fn enter_network(&self, handle: Handle) -> EnteredNetwork<'_> {
        let older = self.network().replace(handle.clone());
        older.iter().for_each(Handle::cut);
        EnteredNetwork { lines: self, handle }
    }

    /// How many there are for reports.
    pub fn len(&self) -> usize {
        self.open().len()
    }

    /// Whether there is none for reports.
    pub fn is_empty(&self) -> bool {
        self.open().is_empty()
    }
}

/// Lives as long as its line.
#[derive(Debug)]
pub struct Entered<'a> {
    lines: &'a Lines,
    handle: Handle,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.lines.open().retain(|line| !line.handle.is(&self.handle));
    }
}

/// Lives as long as its line of the managed network.
#[derive(Debug)]
pub struct EnteredNetwork<'a> {
    lines: &'a Lines,
    handle: Handle,
}

impl Drop for EnteredNetwork<'_> {
    fn drop(&mut self) {
        self.lines.network().take_if(|network| network.is(&self.handle));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_was_heard_takes_over() {
        let lines = Lines::default();
        let handles = [1, 2, 3].map(Handle::of_nothing);
        let entered = handles.clone().map(|handle| lines.enter(handle));
        assert_eq!(lines.len(), 3, "coming alone replaces nobody");
        lines.heard_over(Some(&handles[0]));
        lines.heard_over(Some(&handles[0]));
        assert_eq!(lines.len(), 3);
        lines.heard_over(Some(&handles[1]));
        assert_eq!(lines.len(), 2, "the one that was heard before is left over, the silent one is not");
        lines.heard_over(None);
        assert_eq!(lines.len(), 1, "plain requests took over");
        drop(entered);
        assert!(lines.is_empty());
    }

    #[test]
    fn their_number_is_bounded_and_those_that_are_heard_stay() {
        let lines = Lines::default();
        let handles: Vec<_> = (0..2 * MOST as u64).map(Handle::of_nothing).collect();
        let _first = lines.enter(handles[0].clone());
        lines.heard_over(Some(&handles[0]));
        let _rest: Vec<_> = handles[1..].iter().map(|handle| lines.enter(handle.clone())).collect();
        assert_eq!(lines.len(), MOST);
        assert!(lines.open().iter().any(|line| line.handle.is(&handles[0])));
        lines.cut();
        assert!(lines.is_empty());
    }

    #[test]
    fn the_networks_line_is_a_line_of_its_own_and_is_cut_with_the_others() {
        let lines = Lines::default();
        let handles = [1, 2, 3].map(Handle::of_nothing);
        let _report = lines.enter(handles[0].clone());
        let older = lines.enter_network(handles[1].clone());
        let newer = lines.enter_network(handles[2].clone());
        assert_eq!(lines.len(), 1, "it replaces no line for reports");
        drop(older);
        assert!(lines.network().is_some(), "the end of the older one is not that of the newer one");
        lines.heard_over(Some(&handles[0]));
        assert!(lines.network().is_some());
        lines.cut();
        assert!(lines.is_empty() && lines.network().is_none());
        drop(newer);
    }
}
