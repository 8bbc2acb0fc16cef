use super::*;
use crate::event::Event;
use crate::seeded::{Random, for_seeds};
use std::string::String;
use std::vec::Vec;

/// Texts for a list: each up to its limit, and all of them within `together`.
struct Texts {
    made: Vec<Vec<String>>,
}

impl Texts {
    fn new(random: &mut Random, items: usize, limits: &[usize], together: usize, full: bool) -> Texts {
        let mut left = together;
        let mut made = Vec::new();
        for _ in 0..items {
            let item: Vec<String> = limits
                .iter()
                .map(|limit| {
                    let limit = (*limit).min(left);
                    let text = if full { "x".repeat(limit) } else { random.text(limit) };
                    left -= text.len();
                    text
                })
                .collect();
            made.push(item);
        }
        Texts { made }
    }
}

/// With every text at its limit if `full`, else at random.
fn with_container<T>(random: &mut Random, full: bool, then: impl FnOnce(Container<'_>) -> T) -> T {
    let mut pick = |most: usize| if full { most } else { random.below(most + 1) };
    let counts = [pick(limits::LABELS), pick(limits::PORTS), pick(limits::NETWORKS), pick(limits::MOUNTS)];
    let mut text = |limit: usize| if full { "x".repeat(limit) } else { random.text(limit) };
    let (name, image, command) = (text(limits::NAME), text(limits::IMAGE), text(limits::COMMAND));
    let labels = Texts::new(random, counts[0], &[limits::LABEL_KEY, limits::LABEL_VALUE], limits::LABELS_BYTES, full);
    let ports = Texts::new(random, counts[1], &[limits::PORT_PROTOCOL, limits::ADDRESS], usize::MAX, full);
    let three = [limits::PATH, limits::ADDRESS, limits::ADDRESS];
    let networks = Texts::new(random, counts[2], &three, limits::NETWORKS_BYTES, full);
    let three = [limits::PATH, limits::MOUNT_KIND, limits::PATH];
    let mounts = Texts::new(random, counts[3], &three, limits::MOUNTS_BYTES, full);
    then(Container {
        id: EngineId([0xff; 32]),
        name: &name,
        image: &image,
        image_id: Some(EngineId([0xff; 32])),
        command: &command,
        state: u8::MAX,
        health: u8::MAX,
        exit_code: Some(i32::MIN),
        oom_killed: true,
        restart_count: u32::MAX,
        created_ms: i64::MIN,
        started_ms: Some(i64::MIN),
        finished_ms: Some(i64::MAX),
        labels: labels.made.iter().map(|it| (it[0].as_str(), it[1].as_str())).collect(),
        ports: ports
            .made
            .iter()
            .map(|it| Port { private: u16::MAX, protocol: &it[0], public: Some(u16::MAX), address: &it[1] })
            .collect(),
        networks: networks.made.iter().map(|it| Network { name: &it[0], ipv4: &it[1], ipv6: &it[2] }).collect(),
        mounts: mounts
            .made
            .iter()
            .map(|it| Mount { destination: &it[0], kind: &it[1], source: &it[2], writable: true })
            .collect(),
        truncated: u16::MAX,
    })
}

#[test]
fn a_container_with_everything_at_its_limit_fits_into_its_record() {
    for_seeds(1, |random| {
        with_container(random, true, |container| {
            assert!(container.is_within_limits());
            let bytes = postcard::to_stdvec(&(u64::MAX, &container)).unwrap();
            assert!(bytes.len() <= limits::LARGEST_CONTAINER, "{} bytes", bytes.len());
            assert!(bytes.len() + 500 > limits::LARGEST_CONTAINER, "the bound is no guess: {} bytes", bytes.len());
        });
    });
}

#[test]
fn an_event_with_everything_at_its_limit_fits_into_its_record() {
    let texts = Texts::new(
        &mut Random::of(0),
        limits::ATTRIBUTES,
        &[limits::ATTRIBUTE_KEY, limits::ATTRIBUTE_VALUE],
        limits::ATTRIBUTES_BYTES,
        true,
    );
    let event = Event {
        time_nano: i64::MIN,
        subject: u8::MAX,
        action: &"x".repeat(limits::ACTION),
        actor: EngineId([0xff; 32]),
        container: Some(EngineId([0xff; 32])),
        attributes: texts.made.iter().map(|it| (it[0].as_str(), it[1].as_str())).collect(),
        truncated: u16::MAX,
    };
    assert!(event.is_within_limits());
    let bytes = postcard::to_stdvec(&event).unwrap();
    assert!(bytes.len() <= limits::LARGEST_EVENT, "{} bytes", bytes.len());
}

#[test]
fn any_container_within_limits_is_read_as_it_was_written() {
    for_seeds(200, |random| {
        with_container(random, false, |container| {
            assert!(container.is_within_limits());
            let bytes = postcard::to_stdvec(&container).unwrap();
            assert!(bytes.len() + 10 <= limits::LARGEST_CONTAINER);
            assert_eq!(postcard::from_bytes::<Container<'_>>(&bytes).as_ref(), Ok(&container));
            let cut = random_cut(&bytes);
            assert!(postcard::from_bytes::<Container<'_>>(&bytes[..cut]).is_err());
        });
    });
}

/// Some place before the end.
fn random_cut(bytes: &[u8]) -> usize {
    bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>() % bytes.len()
}

#[test]
fn one_byte_more_than_any_limit_is_noticed() {
    let long = "x".repeat(300);
    let over = |limit: usize| &long[..limit + 1];
    for_seeds(20, |random| {
        with_container(random, true, |full| {
            let breaks: &[fn(&mut Container<'_>)] = &[
                |c| c.labels[0].0 = "",
                |c| c.ports[0].protocol = "",
                |c| c.networks[0].name = "",
                |c| c.mounts[0].kind = "",
            ];
            for change in breaks {
                let mut within = full.clone();
                change(&mut within);
                assert!(within.is_within_limits());
            }
            let check = |change: &dyn Fn(&mut Container<'_>)| {
                let mut broken = full.clone();
                change(&mut broken);
                assert!(!broken.is_within_limits());
            };
            // Leaked so that the texts outlive every container.
            let text = |limit| -> &'static str { String::from(over(limit)).leak() };
            let (name, image, path) = (text(limits::NAME), text(limits::IMAGE), text(limits::PATH));
            let (short, address, kind) = (text(limits::PORT_PROTOCOL), text(limits::ADDRESS), text(limits::MOUNT_KIND));
            check(&|c| c.name = name);
            check(&|c| c.image = image);
            check(&|c| c.command = image);
            check(&|c| c.labels[47].0 = name);
            check(&|c| c.labels[47].1 = "one byte above all labels together");
            check(&|c| c.ports[0].protocol = short);
            check(&|c| c.ports[0].address = address);
            check(&|c| c.networks[0].name = path);
            check(&|c| c.networks[15].ipv6 = "::1");
            check(&|c| c.mounts[0].source = path);
            check(&|c| c.mounts[0].kind = kind);
            check(&|c| c.mounts[23].source = "/");
        });
    });
}

#[test]
fn texts_are_cut_between_characters() {
    for_seeds(500, |random| {
        let text = random.text(60);
        let limit = random.below(60);
        let mut truncated = 0;
        let short = cut_text(&text, limit, cut::NAME, &mut truncated);
        assert!(short.len() <= limit && text.starts_with(short) && limit - short.len().min(limit) < 60);
        assert_eq!(truncated, if text.len() > limit { cut::NAME } else { 0 });
        assert!(text.len() <= limit || short.len() + 4 > limit, "no more than the character in the way is lost");
    });
}

#[test]
fn a_summary_is_the_beginning_of_a_container() {
    for_seeds(100, |random| {
        with_container(random, false, |container| {
            let mut buffer = [0; limits::RECORD];
            let body = postcard::to_slice(&container, &mut buffer).expect("it fits");
            let summary = Summary::of(body).expect("a summary");
            let Container { id, name, image, image_id, command, state, health, exit_code, oom_killed, .. } = container;
            let Container { restart_count, created_ms, started_ms, .. } = container;
            let same = Summary {
                id,
                name,
                image,
                image_id,
                command,
                state,
                health,
                exit_code,
                oom_killed,
                restart_count,
                created_ms,
                started_ms,
            };
            assert_eq!(summary, same);
            assert_eq!(Summary::of(&body[..40]), None);
        });
    });
}
