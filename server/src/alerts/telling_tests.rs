use super::alert::Subject;
use super::board::{Board, Facts, Now};
use super::notice::{Notice, Turn};
use super::quiet::Quiet;
use super::rules::{Rule, Rules};
use super::silence::Silence;
use super::telling::{Manner, Round, Telling};
use crate::api::types::{NewAlertSilence, QuietHours};
use crate::time::parse_ms;
use muster_protocol::id::HostId;

struct Bench {
    board: Board,
    telling: Telling,
    manner: Manner,
    silences: Vec<Silence>,
    targets: Vec<String>,
    newest: u64,
    now: Now,
}

impl Bench {
    fn new() -> Bench {
        let wall_ms = parse_ms("2026-11-22T12:00:00Z").expect("a time");
        Bench {
            board: Board::default(),
            telling: Telling::default(),
            manner: Manner { quiet: None, wait_ms: 5_000, interval_ms: 60_000 },
            silences: Vec::new(),
            targets: vec!["ops".into(), "phone".into()],
            newest: 0,
            now: Now { wall_ms, monotonic_ms: 0 },
        }
    }

    fn quiet(mut self, ended: &str) -> Bench {
        let (from, to, zone) = ("11:00".into(), "13:00".into(), "Z".into());
        self.manner.quiet = Some(Quiet::read(&QuietHours { from, to, zone, ended: ended.into() }).expect("sense"));
        self
    }

    fn silence(&mut self, label: &str, for_s: u64) {
        let (label, for_s) = (Some(label.to_owned()), Some(for_s));
        let asked = NewAlertSilence { label, for_s, ..NewAlertSilence::default() };
        self.silences.push(Silence::new(asked, "s".into(), "me".into(), self.now.wall_ms).expect("sense"));
    }

    fn begins(&mut self, host: u8) {
        let labels = super::tests::labels(&[("site", "attic")]);
        let facts = Facts { host: format!("h{host}"), labels, ..Facts::default() };
        let subject = Subject::host(HostId([host; 8]));
        self.board.bad(Rule::Conflict, subject, &Rules::default(), self.now, facts);
    }

    fn ends(&mut self, host: u8) {
        self.board.end(Rule::Conflict, &Subject::host(HostId([host; 8])), self.now, "x");
    }

    /// Seconds pass; what is sent to `ops`, as the second and the turns.
    fn wait(&mut self, seconds: u64) -> Vec<(u64, Vec<Turn>)> {
        let all = self.wait_for_all(seconds).into_iter().filter(|(_, notice)| notice.to == "ops");
        all.map(|(at, notice)| (at, notice.turns.into_iter().map(|(_, turn)| turn).collect())).collect()
    }

    fn wait_for_all(&mut self, seconds: u64) -> Vec<(u64, Notice)> {
        let mut sent = Vec::new();
        for second in 1..=seconds {
            self.now.wall_ms += 1_000;
            self.now.monotonic_ms += 1_000;
            let mut number = 0;
            let mut key = || {
                number += 1;
                format!("k{number}")
            };
            let round = Round {
                manner: &self.manner,
                silences: &self.silences,
                targets: &self.targets,
                newest: &mut self.newest,
                key: &mut key,
            };
            let notices = self.telling.pass(&mut self.board, round, self.now);
            sent.extend(notices.into_iter().map(|notice| (second, notice)));
        }
        sent
    }
}

use Turn::{Began, CameAndWent, Ended};

#[test]
fn each_target_gets_each_notice_once() {
    let mut bench = Bench::new();
    bench.begins(1);
    let sent = bench.wait_for_all(100);
    let to: Vec<_> = sent.iter().map(|(_, notice)| (notice.id, notice.to.as_str())).collect();
    assert_eq!(to, [(1, "ops"), (2, "phone")]);
    assert_ne!(sent[0].1.body.id, sent[1].1.body.id);
    bench.targets = vec!["ops".into(), "new".into()];
    bench.ends(1);
    let sent = bench.wait_for_all(100);
    let to: Vec<_> = sent.iter().map(|(_, notice)| notice.to.as_str()).collect();
    assert_eq!(to, ["ops"], "who was not told that it began does not hear that it is over");
    assert_eq!(bench.board.untold().count(), 0);
}

#[test]
fn a_thousand_hosts_that_go_and_come_back_are_a_few_notices() {
    let mut bench = Bench::new();
    let mut sent = Vec::new();
    for host in 0..200 {
        bench.begins(host);
        sent.extend(bench.wait(1));
    }
    for host in 0..200 {
        bench.ends(host);
    }
    sent.extend(bench.wait(200));
    let sizes: Vec<usize> = sent.iter().map(|(_, turns)| turns.len()).collect();
    assert!(sizes.len() <= 6, "{sizes:?}");
    let told = sent.iter().flat_map(|(_, turns)| turns).map(|turn| if *turn == CameAndWent { 2 } else { 1 });
    assert_eq!(told.sum::<usize>(), 400);
}

#[test]
fn a_notice_has_a_line_for_people_whatever_it_tells() {
    let mut bench = Bench::new();
    (0..150).for_each(|host| bench.begins(host));
    let notice = bench.wait_for_all(10).remove(0).1;
    assert_eq!(notice.body.title, "150 alerts: 150 conflict");
    assert_eq!((notice.body.alerts.len(), notice.body.more, notice.turns.len()), (100, 50, 150));
    assert!(notice.body.text.ends_with("... and 130 more: see `muster alerts`"));
    let json = serde_json::to_value(&notice.body).expect("JSON");
    assert_eq!((json["severity"].as_str(), json["began"].as_u64()), (Some("critical"), Some(150)));
    assert_eq!((json["alerts"][0]["turn"].as_str(), json["alerts"][0]["host"].as_str()), (Some("began"), Some("h0")));
    let Some(crate::store::Write::Notice(row)) = Some(notice.write()) else { panic!("a notice") };
    assert_eq!(Notice::read(&row), Some(notice));
}

#[test]
fn in_quiet_hours_nothing_is_sent_and_then_what_still_is_so() {
    for (ended, expected) in [("summarise", vec![Began, CameAndWent]), ("drop", vec![Began])] {
        let mut bench = Bench::new();
        bench.begins(3);
        assert_eq!(bench.wait(10).len(), 1);
        let mut bench = Bench { ..bench }.quiet(ended);
        bench.begins(1);
        bench.begins(2);
        assert_eq!(bench.wait(60), []);
        bench.ends(2);
        bench.ends(3);
        assert_eq!(bench.wait(3000), []);
        let sent = bench.wait(3600);
        assert_eq!(sent.len(), 1, "{sent:?}");
        let mut turns = sent[0].1.clone();
        turns.sort();
        let mut expected = [expected, vec![Ended]].concat();
        expected.sort();
        assert_eq!(turns, expected, "who was told that it began hears that it is over");
    }
}

#[test]
fn what_began_and_ended_while_it_was_gathered_is_told_though_quiet_hours_drop_such() {
    let mut bench = Bench::new().quiet("drop");
    bench.now.wall_ms += 2 * 3_600_000;
    bench.begins(1);
    bench.ends(1);
    assert_eq!(bench.wait(10).len(), 1);
}

#[test]
fn a_silence_keeps_quiet_and_what_still_is_so_at_its_end_is_told() {
    let mut bench = Bench::new();
    bench.silence("site=attic", 100);
    bench.begins(1);
    bench.begins(2);
    assert_eq!(bench.wait(50), []);
    assert!(bench.board.firing().all(|alert| alert.silenced));
    assert_eq!(bench.board.loud().count(), 0, "a silence quiets the headline");
    bench.ends(2);
    assert_eq!(bench.wait(40), []);
    let sent = bench.wait(30);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1, [Began], "what came and went was silenced");
    assert!(bench.board.firing().all(|alert| !alert.silenced));
    assert_eq!(bench.board.loud().count(), bench.board.firing().count());
    bench.silence("site", 1000);
    bench.ends(1);
    assert_eq!(bench.wait(10).len(), 1, "who was told that it began hears that it is over");
}

#[test]
fn a_silence_covers_only_what_all_of_it_says() {
    let mut bench = Bench::new();
    bench.begins(1);
    let alert = bench.board.firing().next().expect("one").clone();
    let covers = |change: fn(&mut NewAlertSilence)| {
        let mut asked = NewAlertSilence { for_s: Some(60), ..NewAlertSilence::default() };
        change(&mut asked);
        Silence::new(asked, "s".into(), "me".into(), bench.now.wall_ms).expect("sense").covers(&alert)
    };
    assert!(covers(|it| it.host = Some("h1".into())));
    assert!(covers(|it| it.host = Some("0101010101010101".into())));
    assert!(covers(|it| it.rule = Some("conflict".into())));
    assert!(covers(|it| it.label = Some("site".into())));
    assert!(!covers(|it| it.label = Some("site=cellar".into())));
    assert!(!covers(|it| it.host = Some("h".into())));
    assert!(!covers(|it| it.container = Some("h1".into())));
    assert!(!covers(|it| (it.host, it.rule) = (Some("h1".into()), Some("oom".into()))));
    let now = bench.now.wall_ms;
    for asked in [
        NewAlertSilence { for_s: Some(60), ..NewAlertSilence::default() },
        NewAlertSilence { host: Some("h".into()), ..NewAlertSilence::default() },
        NewAlertSilence { host: Some(String::new()), for_s: Some(60), ..NewAlertSilence::default() },
        NewAlertSilence { rule: Some("x".into()), for_s: Some(60), ..NewAlertSilence::default() },
        NewAlertSilence { host: Some("h".into()), for_s: Some(0), ..NewAlertSilence::default() },
        NewAlertSilence { host: Some("h".into()), for_s: Some(u64::MAX), ..NewAlertSilence::default() },
        NewAlertSilence { host: Some("h".into()), until: Some("soon".into()), ..NewAlertSilence::default() },
        NewAlertSilence {
            host: Some("h".into()),
            until: Some("2026-11-22T11:00:00Z".into()),
            ..NewAlertSilence::default()
        },
    ] {
        assert!(Silence::new(asked.clone(), "s".into(), "me".into(), now).is_err(), "{asked:?}");
    }
}

#[test]
fn a_notice_is_of_bounded_size_whatever_labels_say() {
    let mut bench = Bench::new();
    bench.begins(1);
    let mut alert = bench.board.firing().next().expect("one").clone();
    alert.labels = (0..20).map(|number| (format!("l{number}"), "x".repeat(1_000))).collect();
    alert.labels.insert("long".into(), "x".repeat(1_024));
    let notice = Notice::new(1, "key", "ops", 0, &[(&alert, Began); 10]);
    assert_eq!((notice.body.alerts.len(), notice.body.more), (4, 6));
    let labels = &notice.body.alerts[0].alert["labels"];
    assert!(labels.get("l0").is_some() && labels.get("long").is_none());
    assert!(serde_json::to_vec(&notice.body).expect("JSON").len() < 128 * 1024);
}
