use super::*;
use std::vec::Vec;

fn answer(listed: u64) -> Answer {
    Answer { epoch: 1, acknowledged: 0, listed, unexplained: 0 }
}

/// Makes a report of these bodies; which of them are sent.
fn report(ledger: &mut Ledger, seq: u64, rested: bool, known: &mut [Known], bodies: &[&[u8]]) -> (bool, Vec<bool>) {
    let mut report = ledger.begin(seq, true, rested);
    let sent = bodies.iter().zip(known).map(|(body, known)| report.see(ledger, body, known)).collect();
    ledger.finish(&report);
    (report.everything, sent)
}

#[test]
fn everything_goes_once_and_then_only_what_has_changed() {
    let (mut ledger, mut known) = (Ledger::default(), [Known::default(); 2]);
    assert_eq!(report(&mut ledger, 1, false, &mut known, &[b"a", b"b"]), (true, Vec::from([true, true])));
    ledger.answered(&answer(1));
    assert_eq!(report(&mut ledger, 2, false, &mut known, &[b"a", b"c"]), (false, Vec::from([false, true])));
    ledger.answered(&answer(2));
    assert_eq!(report(&mut ledger, 3, false, &mut known, &[b"a", b"c"]), (false, Vec::from([false, false])));
    assert!(ledger.is_gone(&mut known[0]) && !ledger.is_gone(&mut known[0]), "it is told once");
}

#[test]
fn everything_goes_again_when_what_was_sent_may_not_have_arrived() {
    let (mut ledger, mut known) = (Ledger::default(), [Known::default()]);
    report(&mut ledger, 1, false, &mut known, &[b"a"]);
    ledger.doubt();
    assert!(report(&mut ledger, 2, false, &mut known, &[b"a"]).0, "not even the first one arrived");
    ledger.answered(&answer(2));
    ledger.doubt();
    assert!(!report(&mut ledger, 3, false, &mut known, &[b"a"]).0, "nothing that matters was lost");
    ledger.answered(&answer(3));
    assert!(ledger.changes(b"b", &mut known[0]));
    ledger.doubt();
    assert!(report(&mut ledger, 4, false, &mut known, &[b"b"]).0);
}

#[test]
fn after_two_whole_reports_in_vain_the_next_one_waits() {
    let (mut ledger, mut known) = (Ledger::default(), [Known::default()]);
    report(&mut ledger, 1, false, &mut known, &[b"a"]);
    ledger.answered(&answer(1));
    report(&mut ledger, 2, false, &mut known, &[b"a"]);
    ledger.differs(&Differs { seq: 2 });
    for seq in 3..5 {
        assert!(!ledger.is_failing());
        assert!(report(&mut ledger, seq, false, &mut known, &[b"a"]).0);
        ledger.differs(&Differs { seq });
    }
    assert!(ledger.is_failing());
    assert!(!report(&mut ledger, 5, false, &mut known, &[b"a"]).0, "it is too early");
    ledger.differs(&Differs { seq: 5 });
    assert!(report(&mut ledger, 6, true, &mut known, &[b"a"]).0);
    ledger.answered(&answer(6));
    assert!(!ledger.is_failing());
    assert!(!report(&mut ledger, 7, false, &mut known, &[b"a"]).0);
}

#[test]
fn a_difference_that_is_told_late_makes_the_next_report_whole() {
    let (mut ledger, mut known) = (Ledger::default(), [Known::default()]);
    report(&mut ledger, 1, false, &mut known, &[b"a"]);
    ledger.answered(&answer(1));
    report(&mut ledger, 2, false, &mut known, &[b"a"]);
    report(&mut ledger, 3, false, &mut known, &[b"a"]);
    ledger.differs(&Differs { seq: 2 });
    assert!(report(&mut ledger, 4, false, &mut known, &[b"a"]).0);
    ledger.differs(&Differs { seq: 3 });
    ledger.answered(&answer(4));
    assert!(!report(&mut ledger, 5, false, &mut known, &[b"a"]).0, "everything was on its way already");
}

#[test]
fn a_server_that_knows_no_digests_is_sent_everything_and_none() {
    let (mut ledger, mut known) = (Ledger::default(), Known::default());
    for seq in 1..4 {
        let mut report = ledger.begin(seq, false, false);
        assert!(report.everything && report.see(&mut ledger, b"a", &mut known));
        assert_eq!(report.end(7), (Some(ListEnd { seq, total: 1, hidden: 7 }), None));
        ledger.finish(&report);
        ledger.answered(&answer(seq));
    }
}

#[test]
fn the_sum_does_not_depend_on_the_order_and_does_on_every_body() {
    let sum_of = |bodies: &[&[u8]]| {
        let (mut ledger, mut known) = (Ledger::default(), Known::default());
        let mut report = ledger.begin(1, true, false);
        for body in bodies {
            report.see(&mut ledger, body, &mut known);
        }
        report.end(0).1
    };
    assert_eq!(sum_of(&[b"a", b"b", b"c"]), sum_of(&[b"c", b"a", b"b"]));
    assert_ne!(sum_of(&[b"a", b"b", b"c"]), sum_of(&[b"a", b"b", b"d"]));
    assert_ne!(sum_of(&[b"a", b"b"]), sum_of(&[b"a", b"b", b"b"]));
}
