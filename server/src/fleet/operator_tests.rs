//! What operators ask for, and what agents make of it, with the clock run ahead.

use super::{AuditSelect, By, HostChange, Refusal, Rhythm};
use crate::access::secret::hash;
use crate::access::tokens::Role;
use crate::agents::harness::{Agent, Bench, by};
use crate::api::types;
use futures_lite::future::block_on;
use muster_protocol::batch::Reason;
use muster_protocol::join::Join;
use muster_protocol::orders::{Renew, Renewed, Settings};
use muster_protocol::record::Kind;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn every(interval_ms: Option<u32>) -> Rhythm {
    Rhythm { interval_ms: Some(interval_ms), ..Rhythm::default() }
}

fn set(bench: &Bench, host: &str, interval_ms: Option<u32>) -> types::Host {
    let change = HostChange { rhythm: every(interval_ms), ..HostChange::default() };
    block_on(bench.fleet.change_host(&by(), host, change)).expect("set")
}

fn settings(agent: &mut Agent, bench: &Bench, is_hello: bool) -> Vec<u32> {
    agent.told::<Settings>(bench, is_hello, Kind::Settings).into_iter().map(|it| it.interval_ms).collect()
}

fn renewals(agent: &mut Agent, bench: &Bench, is_hello: bool) -> Vec<u32> {
    agent.told::<Renew>(bench, is_hello, Kind::Renew).into_iter().map(|it| it.number).collect()
}

fn audit(bench: &Bench) -> Vec<String> {
    let (rows, _) = block_on(bench.fleet.audit(u64::MAX, 100, AuditSelect::default())).expect("rows");
    rows.into_iter().map(|row| format!("{} {}", row.action, row.target)).collect()
}

fn passes(bench: &Bench, time: Duration) {
    bench.fleet.skip(time);
    block_on(bench.fleet.pass_time());
}

#[test]
fn an_interval_is_told_until_the_agent_says_hello_with_it_and_nothing_flaps() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    assert_eq!(settings(&mut agent, &bench, false), [0; 0], "nothing was set");
    assert_eq!(set(&bench, "pi", Some(60_000)).interval_set, Some(60.0));
    assert_eq!(agent.view(&bench).interval, 5.0, "it has not heard of it");
    assert_eq!(settings(&mut agent, &bench, false), [60_000]);
    // The answer may have been lost, or not: either way silence for so long is what was asked for.
    passes(&bench, 100 * SECOND);
    assert_eq!(agent.view(&bench).state, "active");
    assert_eq!(settings(&mut agent, &bench, false), [60_000], "it was lost: said again");
    agent.interval_ms = 60_000;
    agent.hello(&bench).expect("welcome");
    assert_eq!(agent.view(&bench).interval, 60.0);
    assert_eq!(settings(&mut agent, &bench, false), [0; 0], "it has heard");

    // Back to a shorter one: until the agent has heard of it, it is not missed.
    set(&bench, "pi", None);
    passes(&bench, 100 * SECOND);
    assert_eq!(agent.view(&bench).state, "active");
    assert_eq!(settings(&mut agent, &bench, false), [0]);
    agent.interval_ms = 5000;
    agent.hello(&bench).expect("welcome");
    passes(&bench, 16 * SECOND);
    assert_eq!(agent.view(&bench).state, "reconnecting");
    assert!(!bench.history().contains(&"pi host_disconnected".to_string()));
}

#[test]
fn what_is_set_outlives_both_ends() {
    let first = Bench::new();
    let mut agent = first.host("pi", &[1]);
    set(&first, "pi", Some(60_000));
    let bench = first.restarted();
    // It may have been told right before.
    passes(&bench, 100 * SECOND);
    assert_eq!(agent.view(&bench).state, "active");
    agent.start();
    assert_eq!(settings(&mut agent, &bench, true), [60_000]);
    passes(&bench, 100 * SECOND);
    assert_eq!(agent.view(&bench).state, "active");
}

#[test]
fn a_label_means_those_that_have_it_now() {
    let bench = Bench::new();
    let labelled = |name: &str| {
        let labels = [("site".to_string(), "attic".to_string())].into();
        let new = types::NewJoinToken { labels, ..Default::default() };
        let made = block_on(bench.fleet.make_join_token(&by(), new)).expect("a token");
        let string: muster_dial::JoinString = made.join.parse().expect("a join string");
        let join = Join { token: &string.token, name, fingerprint: [0; 16] };
        block_on(bench.fleet.enlist(Agent::new().hash(), &join)).expect("joined");
    };
    labelled("b");
    labelled("a");
    bench.host("other", &[]);
    let label = |value: &str| [("site".to_string(), value.to_string())];
    let before = audit(&bench).len();
    let hosts = block_on(bench.fleet.set_rhythm_of(&by(), &label("attic"), every(Some(30_000)))).expect("set");
    assert_eq!(hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(hosts.iter().all(|host| host.interval_set == Some(30.0)));
    assert_eq!(audit(&bench)[..audit(&bench).len() - before], ["host.set label site=attic"], "one row for all");
    labelled("late");
    assert_eq!(bench.fleet.host("late").expect("there").interval_set, None);
    assert_eq!(bench.fleet.host("other").expect("there").interval_set, None);
    let nobody = block_on(bench.fleet.set_rhythm_of(&by(), &label("cellar"), every(None)));
    assert!(matches!(nobody, Err(Refusal::NotFound(_))));
}

/// A copy of its card in another board.
fn copied(original: &Agent, board: u8) -> Agent {
    let mut copy = Agent::new();
    copy.credential.clone_from(&original.credential);
    copy.fingerprint = [board; 16];
    copy
}

fn on_board(bench: &Bench, name: &str, board: u8) -> Agent {
    let mut agent = Agent::new();
    agent.fingerprint = [board; 16];
    let token = bench.token(None);
    let join = Join { token: &token, name, fingerprint: agent.fingerprint };
    block_on(bench.fleet.enlist(agent.hash(), &join)).expect("joined");
    agent.catch_up(bench);
    agent
}

#[test]
fn a_clone_is_told_so_and_its_original_is_not_disturbed() {
    let bench = Bench::new();
    let mut original = on_board(&bench, "pi", 1);
    let mut clone = copied(&original, 2);
    let before = bench.history();
    assert_eq!(clone.hello(&bench), Err(Reason::Undecided));
    assert_eq!(clone.hello(&bench), Err(Reason::Undecided), "the card may have been moved a moment ago");
    bench.fleet.skip(SECOND);
    original.report(&bench).expect("taken");
    assert_eq!(clone.hello(&bench), Err(Reason::Clone));
    original.report(&bench).expect("taken");
    assert_eq!((bench.history(), original.view(&bench).conflict), (before.clone(), false), "it may become a host");
    // It could not.
    assert_eq!(clone.hello(&bench), Err(Reason::Clone));
    original.report(&bench).expect("taken, without another hello");
    assert_eq!(bench.history()[before.len()..], ["pi host_conflict"]);
    assert!(original.view(&bench).conflict);
    for _ in 0..61 {
        original.report(&bench).expect("taken");
        passes(&bench, 10 * SECOND);
    }
    assert!(!original.view(&bench).conflict, "it has not come for ten minutes");
}

#[test]
fn a_card_that_was_moved_keeps_its_identity_and_that_is_noted() {
    let bench = Bench::new();
    let original = on_board(&bench, "pi", 1);
    let mut moved = copied(&original, 2);
    assert_eq!(moved.hello(&bench), Err(Reason::Undecided));
    passes(&bench, 30 * SECOND);
    assert_eq!(moved.hello(&bench), Err(Reason::Undecided), "reconnecting");
    passes(&bench, 40 * SECOND);
    assert_eq!(moved.view(&bench).state, "disconnected");
    moved.catch_up(&bench);
    let history = bench.history();
    assert_eq!(history[history.len() - 3..], ["pi host_moved", "pi host_active", "pi gap"]);
    assert_eq!(moved.view(&bench).id, original.view(&bench).id);
    // Should the old board come back, it is the stranger now.
    let mut back = copied(&original, 1);
    assert_eq!(back.hello(&bench), Err(Reason::Undecided));
    let bench = bench.restarted();
    assert_eq!(moved.hello(&bench), Ok(()), "that is stored");
}

#[test]
fn a_board_without_a_fingerprint_is_judged_by_its_run_alone() {
    let bench = Bench::new();
    let mut original = bench.host("pi", &[]);
    let mut clone = copied(&original, 0);
    assert_eq!(clone.hello(&bench), Ok(()));
    assert_eq!(original.report(&bench), Err(Reason::StaleEpoch));
    assert_eq!(original.hello(&bench), Err(Reason::Superseded));
    assert!(original.view(&bench).conflict);
}

/// A credential, and its hash.
fn fresh(number: u32) -> (String, Renewed) {
    let credential = Agent::new().credential;
    let renewed = Renewed { number, hash: hash(credential.as_bytes()) };
    (credential, renewed)
}

fn use_it(bench: &Bench, agent: &Agent) {
    block_on(bench.fleet.shown(&agent.cell(bench), &agent.hash())).expect("stored");
}

fn is_known(bench: &Bench, credential: &str) -> bool {
    bench.fleet.by_credential(&hash(credential.as_bytes())).is_some()
}

#[test]
fn a_credential_is_renewed_and_the_old_one_counts_until_the_new_one_is_used() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[]);
    let old = agent.credential.clone();
    assert_eq!(renewals(&mut agent, &bench, false), [0; 0]);
    assert_eq!(block_on(bench.fleet.rotate_credential(&by(), "pi")).expect("asked").credential, "renewing");
    block_on(bench.fleet.rotate_credential(&by(), "pi")).expect("asked");
    assert_eq!(renewals(&mut agent, &bench, false), [1]);
    assert_eq!(renewals(&mut agent, &bench, false), [0; 0], "it was just said");
    bench.fleet.skip(60 * SECOND);
    assert_eq!(renewals(&mut agent, &bench, false), [1], "until it has done it");
    let (new, offer) = fresh(1);
    agent.offer = Some(Renewed { number: 7, ..offer });
    assert_eq!(renewals(&mut agent, &bench, true), [1], "that is an answer to something else");
    agent.offer = Some(offer);
    assert_eq!(renewals(&mut agent, &bench, true), [0; 0]);
    let bench = bench.restarted();
    assert!(is_known(&bench, &old) && is_known(&bench, &new), "both count");
    use_it(&bench, &agent);
    assert_eq!(agent.view(&bench).credential, "renewing", "the old one was used");
    agent.credential.clone_from(&new);
    use_it(&bench, &agent);
    assert!(!is_known(&bench, &old));
    assert_eq!(agent.view(&bench).credential, "valid");
    assert_eq!(bench.history().last().map(String::as_str), Some("pi host_credential_renewed"));
    assert!(!is_known(&bench.restarted(), &old));
}

#[test]
fn an_agent_that_lost_its_new_credential_is_asked_again_and_nobody_elses_is_taken() {
    let bench = Bench::new();
    let (mut agent, other) = (bench.host("pi", &[]), bench.host("other", &[]));
    block_on(bench.fleet.rotate_credential(&by(), "pi")).expect("asked");
    agent.offer = Some(Renewed { number: 1, hash: other.hash() });
    assert_eq!(renewals(&mut agent, &bench, true), [1]);
    assert_eq!(other.view(&bench).name, "other");
    let (lost, offer) = fresh(1);
    agent.offer = Some(offer);
    assert_eq!(renewals(&mut agent, &bench, true), [0; 0]);
    agent.offer = None;
    agent.start();
    assert_eq!(renewals(&mut agent, &bench, true), [1]);
    assert!(!is_known(&bench, &lost), "what was lost does not count");
}

#[test]
fn a_failed_commit_changes_no_credential() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[]);
    block_on(bench.fleet.rotate_credential(&by(), "pi")).expect("asked");
    let (new, offer) = fresh(1);
    agent.offer = Some(offer);
    bench.store.fail_commits(1);
    assert_eq!(agent.hello(&bench), Err(Reason::Store));
    assert!(!is_known(&bench, &new));
    bench.until(|fleet| fleet.committer().may_try());
    agent.hello(&bench).expect("welcome");
    let old = std::mem::replace(&mut agent.credential, new);
    bench.store.fail_commits(1);
    let cell = agent.cell(&bench);
    assert!(block_on(bench.fleet.shown(&cell, &agent.hash())).is_err());
    assert!(is_known(&bench, &old), "both still count");
    bench.until(|fleet| fleet.committer().may_try());
    use_it(&bench, &agent);
    assert!(!is_known(&bench, &old));
}

#[test]
fn a_revoked_credential_is_known_and_counts_for_nothing() {
    let bench = Bench::new();
    let agent = bench.host("pi", &[]);
    let host = block_on(bench.fleet.revoke_credential(&by(), "pi")).expect("revoked");
    assert_eq!(host.credential, "revoked");
    let status = |bench: &Bench| block_on(agent.send(bench, &[], true)).status;
    assert_eq!((status(&bench), status(&bench.restarted())), (401, 401));
    let token = bench.token(None);
    let join = Join { token: &token, name: "pi", fingerprint: [0; 16] };
    assert!(block_on(bench.fleet.enlist(agent.hash(), &join)).is_err(), "not with the same one");
    let anew = block_on(bench.fleet.enlist(Agent::new().hash(), &join)).expect("joined");
    assert_eq!(anew.name, "pi-2");
    assert!(matches!(block_on(bench.fleet.rotate_credential(&by(), "pi")), Err(Refusal::Conflict(_))));
}

#[test]
fn a_removed_host_can_be_restored_with_its_history_and_goes_on_where_it_was() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1, 2]);
    let id = agent.view(&bench).id;
    block_on(bench.fleet.remove_host(&by(), "pi")).expect("removed");
    assert_eq!(block_on(agent.send(&bench, &[], false)).status, 410);
    let taken = bench.host("pi", &[]);
    let bench = bench.restarted();
    assert!(matches!(block_on(bench.fleet.restore_host(&by(), "nobody")), Err(Refusal::NotFound(_))));
    let back = block_on(bench.fleet.restore_host(&by(), "pi")).expect("restored");
    assert_eq!((back.name.as_str(), back.state.as_str(), back.id == id), ("pi-2", "disconnected", true));
    assert_eq!(taken.view(&bench).name, "pi");
    assert!(matches!(block_on(bench.fleet.restore_host(&by(), "pi-2")), Err(Refusal::Conflict(_))));
    let before = bench.history().len();
    agent.catch_up(&bench);
    assert_eq!(agent.shown(&bench), ["c1", "c2"]);
    assert_eq!(bench.history()[before..], ["pi-2 host_active"], "its containers did not just come to be");
}

#[test]
fn a_host_whose_agent_has_joined_again_is_not_restored_beside_it() {
    let bench = Bench::new();
    let agent = bench.host("pi", &[]);
    let id = agent.view(&bench).id;
    block_on(bench.fleet.remove_host(&by(), "pi")).expect("removed");
    let token = bench.token(None);
    let join = Join { token: &token, name: "pi", fingerprint: [0; 16] };
    block_on(bench.fleet.enlist(agent.hash(), &join)).expect("joined anew");
    let refused = block_on(bench.fleet.restore_host(&by(), &id));
    assert!(matches!(refused, Err(Refusal::Conflict(why)) if why.contains("joined again as \"pi\"")));
}

#[test]
fn a_removed_host_is_forgotten_in_the_end() {
    let bench = Bench::new();
    let agent = bench.host("pi", &[1]);
    let kept = bench.host("kept", &[1]);
    block_on(bench.fleet.remove_host(&by(), "pi")).expect("removed");
    passes(&bench, DAY);
    assert_eq!(block_on(agent.send(&bench, &[], false)).status, 410, "it can still be restored");
    // By the wall clock, which tests cannot let run.
    agent.cell(&bench).live().row.since_ms -= 31 * 24 * 3_600_000;
    passes(&bench, DAY);
    assert!(bench.fleet.by_credential(&agent.hash()).is_none());
    let bench = bench.restarted();
    assert!(bench.fleet.by_credential(&agent.hash()).is_none());
    assert_eq!(bench.fleet.hosts(true, None, 9).len(), 1);
    assert_eq!(kept.shown(&bench), ["c1"]);
}

#[test]
fn who_did_what_is_stored_with_it_and_what_failed_is_not_told() {
    let bench = Bench::new();
    bench.host("pi", &[]);
    let viewer = By { role: Role::Viewer, token: "t1".into(), name: "wall".into(), peer: "10.0.0.9".into() };
    let rename = |name: &str| {
        let change = HostChange { name: Some(name.into()), ..HostChange::default() };
        block_on(bench.fleet.change_host(&by(), "pi", change))
    };
    bench.store.fail_commits(1);
    assert!(rename("x").is_err());
    bench.until(|fleet| fleet.committer().may_try());
    rename("attic").expect("renamed");
    set(&bench, "attic", Some(1500));
    set(&bench, "attic", Some(1500));
    block_on(bench.fleet.rotate_credential(&by(), "attic")).expect("asked");
    block_on(bench.fleet.remove_host(&by(), "attic")).expect("removed");
    block_on(bench.fleet.restore_host(&by(), "attic")).expect("restored");
    let new = types::NewApiToken { role: "viewer".into(), name: "wall".into() };
    let made = block_on(bench.fleet.make_api_token(&by(), new)).expect("a token");
    block_on(bench.fleet.revoke_api_token(&by(), &made.about.id)).expect("revoked");
    for _ in 0..30 {
        bench.fleet.note_denied(&viewer, "DELETE /api/v1/hosts/attic");
    }
    // In the order of the commits: behind all of these.
    block_on(bench.fleet.revoke_credential(&by(), "attic")).expect("revoked");
    let rows = audit(&bench);
    let token = &made.about.id;
    let denied = rows.iter().filter(|row| row.starts_with("denied DELETE")).count();
    assert_eq!((rows[0].as_str(), denied), ("host.credential.revoke attic", 10));
    let done = [
        format!("api_token.revoke {token}"),
        format!("api_token.make {token}"),
        "host.restore attic".into(),
        "host.remove attic".into(),
        "host.credential.rotate attic".into(),
        "host.set attic".into(),
        "host.rename pi".into(),
    ];
    assert_eq!(rows[11..rows.len() - 1], done);
    assert!(rows[rows.len() - 1].starts_with("join_token.make"));
    // Page by page.
    let (mut seen, mut before) = (Vec::new(), u64::MAX);
    loop {
        let (page, next) = block_on(bench.fleet.audit(before, 4, AuditSelect::default())).expect("rows");
        seen.extend(page.into_iter().map(|row| format!("{} {}", row.action, row.target)));
        let Some(next) = next else { break };
        before = next;
    }
    assert_eq!(seen, rows);
    let all = format!("{:?}", block_on(bench.fleet.audit(u64::MAX, 100, AuditSelect::default())));
    assert!(!all.contains(&made.token), "{all}");
    let future = AuditSelect { since_ms: Some(i64::MAX), until_ms: None };
    assert!(block_on(bench.fleet.audit(u64::MAX, 100, future)).expect("rows").0.is_empty());
}

#[test]
fn pages_of_hosts_hold_every_host_once() {
    let bench = Bench::new();
    for name in ["c", "a", "e", "b", "d"] {
        bench.join(name);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = bench.fleet.hosts(false, after.as_ref(), 2);
        let Some(last) = page.last() else { break };
        after = Some([last.name.clone(), last.id.clone()]);
        seen.extend(page.into_iter().map(|host| host.name));
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
}
