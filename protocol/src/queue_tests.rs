use super::*;
use crate::seeded::{Random, for_seeds};
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

fn event(queue: &mut Queue, seq: u64, body: &[u8]) -> u32 {
    queue.push_event(seq, seq as i64 * 10, EventIdentity::of(body), body)
}

fn whats(queue: &Queue) -> Vec<(u64, What)> {
    queue.iter().map(|entry| (entry.seq, entry.what)).collect()
}

fn gap(count: Option<u32>, from: i64, to: i64) -> What {
    What::Gap(Gap { cause: Cause::QueueFull as u8, count, from_nano: from, to_nano: to })
}

/// The bodies of all events, in order, as the ring has them.
fn bodies(queue: &Queue) -> Vec<Vec<u8>> {
    let mut offset = 0;
    let mut bodies = Vec::new();
    for entry in queue.iter() {
        if let What::Event { len, .. } = entry.what {
            let (head, tail) = queue.bytes(offset, len.into());
            bodies.push([head, tail].concat());
            offset += usize::from(len);
        }
    }
    bodies
}

#[test]
fn a_queue_that_is_emptied_takes_no_other_memory_than_before() {
    let mut queue = Queue::new();
    let mut places = Vec::new();
    for seq in 1..=1000 {
        event(&mut queue, seq, &[7; 200]);
        places.push((queue.bytes(0, 200).0.as_ptr(), core::ptr::from_ref(queue.iter().next().expect("one"))));
        assert!(if seq % 2 == 0 { queue.pop_front() } else { queue.pop_back() }.is_some());
    }
    places.dedup();
    assert_eq!(places.len(), 1);
}

#[test]
fn when_it_is_full_the_oldest_events_become_a_counted_gap() {
    let mut queue = Queue::new();
    let full = limits::QUEUED_EVENTS as u64;
    for seq in 1..=full {
        assert_eq!(event(&mut queue, seq, b"e"), 0);
    }
    assert_eq!(event(&mut queue, full + 1, b"e"), 2, "the gap takes a place too");
    assert_eq!(event(&mut queue, full + 2, b"e"), 1);
    assert_eq!(queue.len(), limits::QUEUED_EVENTS);
    assert_eq!(whats(&queue)[0], (3, gap(Some(3), 10, 30)), "with the number of the last that it swallowed");
    assert_eq!(whats(&queue)[1].0, 4);
}

#[test]
fn what_may_be_stored_is_not_counted_with_what_was_never_sent() {
    let mut queue = Queue::new();
    let full = limits::QUEUED_EVENTS as u64;
    for seq in 1..=full {
        event(&mut queue, seq, b"e");
    }
    queue.sent(3);
    queue.sent(full);
    for seq in 1..=8 {
        event(&mut queue, full + seq, b"e");
    }
    let marks = |queue: &Queue| {
        whats(queue).into_iter().take_while(|(_, what)| matches!(what, What::Gap(_))).collect::<Vec<_>>()
    };
    assert_eq!(marks(&queue), [(3, gap(Some(3), 10, 30)), (10, gap(Some(7), 40, 100))]);
    assert_eq!(queue.len(), limits::QUEUED_EVENTS);
    // The answer has come, and nothing of it was stored: it is one gap again.
    queue.answered();
    event(&mut queue, full + 9, b"e");
    assert_eq!(marks(&queue), [(10, gap(Some(10), 10, 100))]);
    event(&mut queue, full + 10, b"e");
    assert_eq!(marks(&queue), [(11, gap(Some(11), 10, 110))]);
}

#[test]
fn a_mark_finds_room_in_a_full_queue() {
    for what in [What::Pending { dropped: 0 }, gap(Some(1), 7, 7)] {
        let mut queue = Queue::new();
        for seq in 1..=limits::QUEUED_EVENTS as u64 {
            event(&mut queue, seq, b"e");
        }
        assert_eq!(queue.push_mark(1000, what), 2);
        assert_eq!(whats(&queue).last(), Some(&(1000, what)));
        assert_eq!(whats(&queue)[0], (2, gap(Some(2), 10, 20)));
    }
    let mut queue = Queue::new();
    for seq in 1..=limits::QUEUED_EVENTS as u64 {
        event(&mut queue, seq, b"e");
    }
    let restored = Gap { cause: Cause::ServerRestored as u8, count: None, from_nano: 0, to_nano: 0 };
    assert_eq!(queue.push_gap_front(restored), 2);
    assert_eq!(whats(&queue)[0].1, What::Gap(restored));
    assert_eq!(whats(&queue)[1].1, gap(Some(2), 10, 20));
}

#[test]
fn bytes_are_limited_as_well() {
    let mut queue = Queue::new();
    let large = vec![7; limits::EVENT];
    let fit = limits::QUEUED_BYTES / limits::EVENT;
    for seq in 1..=fit as u64 {
        assert_eq!(event(&mut queue, seq, &large), 0);
    }
    assert_eq!(event(&mut queue, 1000, b"e"), 1, "one large event makes room");
    assert_eq!(event(&mut queue, 1001, &large), 1);
    assert_eq!(whats(&queue)[0], (2, gap(Some(2), 10, 20)));
    assert_eq!(bodies(&queue).len(), fit);
}

#[test]
fn what_is_pending_is_never_swallowed() {
    let mut queue = Queue::new();
    queue.push_mark(1, gap(Some(5), 1, 2));
    queue.push_mark(2, What::Pending { dropped: 0 });
    event(&mut queue, 3, b"a");
    queue.push_mark(4, What::Pending { dropped: 0 });
    for seq in 5..=2000 {
        event(&mut queue, seq, b"e");
    }
    let marks: Vec<_> = whats(&queue).into_iter().take(3).map(|(_, what)| what).collect();
    let behind = 2000 - 4 - (limits::QUEUED_EVENTS as u32 - 3);
    let pending = [What::Pending { dropped: 1 }, What::Pending { dropped: behind }];
    assert_eq!(marks, [gap(Some(5), 1, 2), pending[0], pending[1]]);
    assert!(matches!(whats(&queue)[3].1, What::Event { .. }));
}

#[test]
fn gaps_beside_each_other_become_one_when_room_is_short() {
    let mut queue = Queue::new();
    queue.push_mark(1, gap(Some(5), 1, 2));
    queue.push_mark(2, gap(Some(3), 3, 4));
    queue.push_mark(3, gap(None, 5, 0));
    queue.push_mark(4, What::Nothing);
    for seq in 5..5 + limits::QUEUED_EVENTS as u64 - 4 {
        assert_eq!(event(&mut queue, seq, b"e"), 0);
    }
    assert_eq!(event(&mut queue, 1000, b"e"), 0);
    assert_eq!(whats(&queue)[0], (2, gap(Some(8), 1, 4)));
    assert_eq!(event(&mut queue, 1001, b"e"), 0);
    assert_eq!(whats(&queue)[0], (3, gap(None, 1, 4)), "an unknown count stays unknown");
    assert_eq!(event(&mut queue, 1002, b"e"), 0, "a place that holds nothing goes for nothing");
}

#[test]
fn whatever_is_pushed_and_popped_nothing_goes_uncounted_and_no_byte_is_mixed_up() {
    for_seeds(24, |random: &mut Random| {
        let mut queue = Queue::new();
        // The bodies that it should hold.
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        let (mut seq, mut pushed, mut dropped, mut taken) = (0u64, 0u32, 0u32, 0u32);
        let largest = [3, 200, 2000, limits::EVENT][random.below(4)];
        for _ in 0..900 {
            seq += 1 + random.below(3) as u64;
            match random.below(20) {
                0 => {
                    let went = queue.push_mark(seq, gap(Some(0), 0, 0));
                    dropped += went;
                    model.drain(..went as usize);
                }
                1 | 2 => {
                    if let Some(Entry { what: What::Event { .. }, .. }) = queue.pop_front() {
                        taken += 1;
                        model.pop_front();
                    }
                }
                3 => {
                    if let Some(Entry { what: What::Event { .. }, .. }) = queue.pop_back() {
                        taken += 1;
                        model.pop_back();
                    }
                }
                _ => {
                    let len = random.below(largest + 1);
                    let body = random.bytes(len);
                    let went = event(&mut queue, seq, &body);
                    pushed += 1;
                    dropped += went;
                    model.drain(..went as usize);
                    model.push_back(body);
                }
            }
            assert!(queue.len() <= limits::QUEUED_EVENTS);
        }
        let bodies = bodies(&queue);
        assert_eq!(bodies.len() as u32 + dropped + taken, pushed);
        assert_eq!(bodies, Vec::from(model));
        let numbers: Vec<u64> = queue.iter().map(|entry| entry.seq).collect();
        assert!(numbers.is_sorted());
    });
}
