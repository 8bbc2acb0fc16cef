use super::*;
use crate::id::EngineId;
use std::vec;
use std::vec::Vec;

/// One that was started at `started`.
fn shown(state: State, started: i64) -> Container<'static> {
    Container {
        id: EngineId::default(),
        name: "web",
        image: "nginx",
        image_id: None,
        command: "",
        state: state as u8,
        health: Health::None as u8,
        exit_code: (state == State::Exited).then_some(137),
        oom_killed: false,
        restart_count: 0,
        created_ms: 0,
        started_ms: (started > 0).then_some(started),
        finished_ms: None,
        labels: heapless::Vec::new(),
        ports: heapless::Vec::new(),
        networks: heapless::Vec::new(),
        mounts: heapless::Vec::new(),
        truncated: 0,
    }
}

/// As at import.
fn accepted(container: &Container<'_>) -> Story {
    let mut story = Story { present: true, ..Story::default() };
    story.accept(container);
    story
}

/// What has to have happened for `new` to be shown, once the reading is believed.
fn derived(story: &mut Story, old: Option<&Container<'_>>, new: &Container<'_>) -> Vec<String> {
    story.show(old, new, true);
    let mut happened = Vec::new();
    if story.is_doubtful(Some(new)) {
        story.conclude(Some(new), &mut happened);
    }
    assert!(!story.is_doubtful(Some(new)), "concluded once and for all");
    happened.into_iter().map(|happened| happened.action).collect()
}

#[test]
fn what_no_event_tells_is_derived_from_what_changed() {
    use State::{Created, Exited, Paused, Restarting, Running};
    let cases: [(State, i64, State, i64, &[&str]); 12] = [
        (Created, 0, Running, 5, &["start"]),
        (Created, 0, Exited, 5, &["start", "die"]),
        (Created, 0, Paused, 5, &["start", "pause"]),
        (Running, 5, Running, 5, &[]),
        (Running, 5, Exited, 5, &["die"]),
        (Running, 5, Paused, 5, &["pause"]),
        (Running, 5, Running, 6, &["die", "start"]),
        (Running, 5, Exited, 6, &["die", "start", "die"]),
        (Paused, 5, Running, 5, &["unpause"]),
        (Paused, 5, Exited, 5, &["die"]),
        (Exited, 5, Running, 6, &["start"]),
        (Running, 5, Restarting, 5, &[]),
    ];
    for (before, started, after, again, wanted) in cases {
        let (old, new) = (shown(before, started), shown(after, again));
        let mut story = accepted(&old);
        assert_eq!(derived(&mut story, Some(&old), &new), wanted, "{before:?} to {after:?}");
    }
}

#[test]
fn what_an_event_tells_is_not_derived() {
    let (old, new) = (shown(State::Running, 5), shown(State::Running, 6));
    for events in [&["die", "start"][..], &["die", "start", "restart"], &["start"]] {
        let mut story = accepted(&old);
        for action in events {
            story.tell(action);
        }
        assert_eq!(derived(&mut story, Some(&old), &new), [""; 0]);
        // The other way round: the engine changes first and tells a moment later.
        let mut story = accepted(&old);
        story.show(Some(&old), &new, true);
        assert!(story.is_doubtful(Some(&new)));
        for action in events {
            story.tell(action);
        }
        assert!(!story.is_doubtful(Some(&new)));
    }
}

#[test]
fn a_container_that_is_gone_has_an_end() {
    for (state, wanted) in [(State::Running, vec!["die", "destroy"]), (State::Exited, vec!["destroy"])] {
        let container = shown(state, 5);
        let mut story = accepted(&container);
        story.show_absent();
        assert!(story.is_doubtful(Some(&container)));
        let mut happened = Vec::new();
        story.conclude(Some(&container), &mut happened);
        let actions: Vec<_> = happened.iter().map(|happened| happened.action.as_str()).collect();
        assert_eq!(actions, wanted);
        assert!(happened.iter().all(|it| it.attributes.contains(&("name".into(), "web".into()))));
        assert!(!story.is_doubtful(Some(&container)));
    }
    let mut story = accepted(&shown(State::Exited, 5));
    story.tell("destroy");
    story.show_absent();
    assert!(!story.is_doubtful(None));
}

#[test]
fn a_start_that_was_lost_before_a_later_event_does_not_repeat_that_event() {
    // Run 5 is known. Lost: it died, and run 6 started. Told: run 6 died, or was paused.
    for (told, state) in [("die", State::Exited), ("pause", State::Paused)] {
        let (old, new) = (shown(State::Running, 5), shown(state, 6));
        let mut story = accepted(&old);
        story.lose();
        story.tell(told);
        assert_eq!(derived(&mut story, Some(&old), &new), ["start"], "{told}");
        // Nor if the reading comes before that event.
        let mut story = accepted(&old);
        story.lose();
        story.show(Some(&old), &shown(State::Running, 6), true);
        story.tell(told);
        assert_eq!(derived(&mut story, Some(&shown(State::Running, 6)), &new), ["start"], "{told}");
    }
    // Lost behind the last event: it leads on from there.
    let (old, new) = (shown(State::Running, 5), shown(State::Exited, 6));
    let mut story = accepted(&old);
    story.tell("die");
    story.lose();
    assert_eq!(derived(&mut story, Some(&old), &new), ["start", "die"]);
}

#[test]
fn an_unpause_is_derived_only_if_it_must_be_the_same_run() {
    let mut story = Story::default();
    for action in ["create", "start", "pause"] {
        story.tell(action);
    }
    story.lose();
    // It may have been stopped and started as well: the gap says that something is missing.
    assert_eq!(derived(&mut story, None, &shown(State::Running, 9)), [""; 0]);
    assert_eq!(story.chapter, Chapter::Running);
}

#[test]
fn a_change_of_health_or_name_is_derived_and_a_new_run_s_check_is_not() {
    let with = |health: Health, started| Container { health: health as u8, ..shown(State::Running, started) };
    let old = with(Health::Healthy, 5);
    let mut story = accepted(&old);
    assert_eq!(derived(&mut story, Some(&old), &with(Health::Unhealthy, 5)), ["health_status: unhealthy"]);
    let mut story = accepted(&old);
    assert_eq!(derived(&mut story, Some(&old), &with(Health::Starting, 6)), ["die", "start"]);
    // A change that is doubted, and then the container starts anew.
    let mut story = accepted(&old);
    story.show(Some(&old), &with(Health::Unhealthy, 5), true);
    let next = with(Health::Starting, 6);
    assert_eq!(derived(&mut story, Some(&with(Health::Unhealthy, 5)), &next), ["die", "start"]);
    let mut story = accepted(&old);
    story.tell("health_status: unhealthy");
    assert_eq!(derived(&mut story, Some(&old), &with(Health::Unhealthy, 5)), [""; 0]);
    let mut story = accepted(&old);
    assert_eq!(derived(&mut story, Some(&old), &Container { name: "web2", ..old.clone() }), ["rename"]);
}

#[test]
fn a_story_survives_its_row() {
    for chapter in 0..=6 {
        let story = Story::from_bytes(&[chapter, 0xff, 0x0f, 1]);
        assert_eq!(Story::from_bytes(&story.to_bytes()), story);
    }
    assert_eq!(Story::from_bytes(&[]), Story::default());
    assert_eq!(Story::from_bytes(&[1, 2, 3]), Story::default());
}
