//! `muster events --follow`: the history, then the stream, with nothing lost and nothing twice.
//!
//! Events of the fleet have ids without holes. What the stream brings next in line is printed; where it jumps (at
//! its start, after a reset, or because we were away for longer than the server remembers) the history is asked for
//! what lies between, before it goes on. A history that was asked after an id became known holds everything up to it.

use super::connection::Server;
use super::events::query;
use super::exit::{Exit, Failure};
use super::sse::{Message, Messages};
use crate::api::select::event_matches;
use crate::api::types::{Change, Event};
use crate::fleet::EventSelect;
use std::io::{self, Write};
use std::time::Duration;

/// The first wait before a lost server is tried again, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// What prints one event.
type Print<'p> = dyn FnMut(&Event) -> Result<(), Failure> + 'p;

/// Prints until it fails: a lost server is waited for, but not one that cannot be reached at the start, refuses the
/// token or is another one.
pub fn run(server: &Server, select: &EventSelect, print: &mut Print<'_>) -> Result<(), Failure> {
    let fetch = |after: u64, take: &mut Print<'_>| {
        let mut query = query(select);
        query.push(("after", after.to_string()));
        server.each_page("/api/v1/events", &query, |events: Vec<Event>| events.iter().try_for_each(&mut *take))
    };
    let mut follower = Follower { last: 0, select, fetch };
    let mut resume: Option<String> = None;
    let mut reached = false;
    let mut wait = FIRST_WAIT;
    loop {
        let lost = match server.stream(resume.as_deref()) {
            Ok(stream) => {
                let mut messages = Messages::new(stream);
                loop {
                    match messages.read() {
                        Ok(Some(message)) => match follower.take(&message, print) {
                            Ok(()) => {
                                if reached && wait != FIRST_WAIT {
                                    note("the server is back");
                                }
                                (reached, wait) = (true, FIRST_WAIT);
                                resume = message.id;
                            }
                            Err(failure) => {
                                // Not all up to here was printed: begin with a reset.
                                resume = None;
                                break failure;
                            }
                        },
                        Ok(None) => break Failure::new(Exit::Unreachable, "the server ended the stream"),
                        Err(error) => break Failure::new(Exit::Unreachable, error.to_string()),
                    }
                }
            }
            Err(failure) => failure,
        };
        if !(reached && may_pass(lost.exit)) {
            return Err(lost);
        }
        if wait == FIRST_WAIT {
            note(&format!("{}; trying again until the server is back", lost.message));
        }
        std::thread::sleep(wait);
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Whether waiting may help.
fn may_pass(exit: Exit) -> bool {
    matches!(exit, Exit::Unreachable | Exit::Unavailable)
}

/// For the person at the terminal. If nobody reads it, nothing is lost.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "muster: events: {text}");
}

/// How far the printing came.
struct Follower<'s, F> {
    /// The newest event that is printed or known to be of no interest.
    last: u64,
    select: &'s EventSelect,
    /// Gives the selected events behind an id from the history, in order.
    fetch: F,
}

impl<F> Follower<'_, F>
where
    F: Fn(u64, &mut Print<'_>) -> Result<(), Failure>,
{
    /// Prints what a message of the stream makes known.
    fn take(&mut self, message: &Message, print: &mut Print<'_>) -> Result<(), Failure> {
        if message.kind == "reset" {
            let newest = serde_json::from_str::<serde_json::Value>(&message.data)
                .ok()
                .and_then(|data| data.get("newest_event")?.as_u64());
            return self.catch_up(newest.unwrap_or(0), print);
        }
        let Some(Change::Event(event)) = Change::parse(&message.kind, &message.data) else { return Ok(()) };
        if event.id <= self.last {
            return Ok(());
        }
        if event.id > self.last + 1 {
            return self.catch_up(event.id, print);
        }
        if event_matches(self.select, &event) {
            print(&event)?;
        }
        self.last = event.id;
        Ok(())
    }

    /// Asks the history for all behind the last one; it has everything up to `known` at least.
    fn catch_up(&mut self, known: u64, print: &mut Print<'_>) -> Result<(), Failure> {
        let last = &mut self.last;
        (self.fetch)(*last, &mut |event| {
            print(event)?;
            *last = event.id;
            Ok(())
        })?;
        self.last = self.last.max(known);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;
    use std::cell::{Cell, RefCell};

    /// A history of events that all match, up to an id that grows, and how often it was asked.
    #[derive(Default)]
    struct History {
        newest: Cell<u64>,
        asked: RefCell<Vec<u64>>,
        fails_after: Cell<Option<u64>>,
    }

    impl History {
        fn fetch(&self, after: u64, take: &mut Print<'_>) -> Result<(), Failure> {
            self.asked.borrow_mut().push(after);
            for id in after + 1..=self.newest.get() {
                if self.fails_after.get() == Some(id - 1) {
                    return Err(Failure::new(Exit::Unreachable, "gone"));
                }
                take(&sample(id))?;
            }
            Ok(())
        }
    }

    fn sample(id: u64) -> Event {
        samples::event(id, if id.is_multiple_of(2) { "start" } else { "die" })
    }

    fn event(id: u64) -> Message {
        let event = sample(id);
        Message { id: None, kind: "event".into(), data: serde_json::to_string(&event).expect("JSON") }
    }

    fn reset(newest: u64) -> Message {
        Message { id: None, kind: "reset".into(), data: format!("{{\"reason\":\"new\",\"newest_event\":{newest}}}") }
    }

    fn printed(history: &History, select: &EventSelect, last: u64, messages: &[Message]) -> Vec<u64> {
        let mut seen = Vec::new();
        let fetch = |after: u64, take: &mut Print<'_>| history.fetch(after, take);
        let mut follower = Follower { last, select, fetch };
        for message in messages {
            let result = follower.take(message, &mut |event: &Event| {
                seen.push(event.id);
                Ok(())
            });
            if result.is_err() {
                history.fails_after.set(None);
            }
        }
        seen
    }

    #[test]
    fn history_and_stream_overlap_without_doubles() {
        let history = History::default();
        history.newest.set(5);
        // The history was read when 5 was there; the stream had begun at 3.
        let messages = [reset(3), event(4), event(5), event(6), event(7)];
        assert_eq!(printed(&history, &EventSelect::default(), 0, &messages), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(*history.asked.borrow(), [0]);
    }

    #[test]
    fn a_jump_is_filled_from_the_history() {
        let history = History::default();
        history.newest.set(9);
        let all = EventSelect::default();
        assert_eq!(
            printed(&history, &all, 3, &[event(4), event(7), event(8), event(9), event(10)]),
            [4, 5, 6, 7, 8, 9, 10]
        );
        assert_eq!(*history.asked.borrow(), [4]);
    }

    #[test]
    fn events_of_no_interest_do_not_ask_the_history_again() {
        let history = History::default();
        let select = EventSelect { actions: vec!["die".into()], ..Default::default() };
        let messages: Vec<Message> = (1..=8).map(event).collect();
        assert_eq!(printed(&history, &select, 0, &messages), [1, 3, 5, 7]);
        assert_eq!(*history.asked.borrow(), [0; 0]);
    }

    #[test]
    fn a_reset_makes_known_what_the_history_left_out() {
        let history = History::default();
        // Nothing of the first 40 events is of interest.
        assert_eq!(printed(&history, &EventSelect::default(), 0, &[reset(40), event(41)]), [41]);
        assert_eq!(history.asked.borrow().len(), 1);
    }

    #[test]
    fn a_history_that_breaks_off_is_continued_where_it_broke() {
        let history = History::default();
        history.newest.set(6);
        history.fails_after.set(Some(2));
        assert_eq!(
            printed(&history, &EventSelect::default(), 0, &[reset(6), reset(6), event(7)]),
            [1, 2, 3, 4, 5, 6, 7]
        );
    }

    #[test]
    fn other_changes_print_nothing() {
        let history = History::default();
        let other = Message { id: None, kind: "container_gone".into(), data: r#"{"host_id":"h","id":"c"}"#.into() };
        let later = Message { id: None, kind: "of_a_later_version".into(), data: "{}".into() };
        assert_eq!(printed(&history, &EventSelect::default(), 0, &[other, later]), [0; 0]);
    }
}
