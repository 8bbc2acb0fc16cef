use super::*;
use muster_protocol::network::Prefix;

const NET: EngineId = EngineId([7; 32]);

fn place() -> Place {
    let prefix = |text| Prefix::parse(text).expect("a prefix");
    Place {
        range: prefix("10.42.0.0/16"),
        blocks: vec![prefix("10.42.3.0/26")],
        label: ("io.rancher.container.network".into(), "true".into()),
        names: false,
        mtu: 1400,
    }
}

fn bits(text: &str) -> u32 {
    text.parse::<Ipv4Addr>().expect("an address").to_bits()
}

/// A list's element. `networks` is the inside of its object.
fn seen(state: &str, mode: &str, labels: &str, networks: &str) -> Seen {
    let json = format!(
        r#"{{"Id":"{}","Names":["/other/alias","/web"],"State":"{state}","Labels":{labels},
            "HostConfig":{{"NetworkMode":"{mode}"}},"NetworkSettings":{{"Networks":{{{networks}}}}}}}"#,
        "ab".repeat(32)
    );
    parse(json.as_bytes(), &place().label).expect("an element")
}

const LABELLED: &str = r#"{"a":"b","io.rancher.container.network":"true"}"#;

fn ours(fixed: &str, live: &str, network: EngineId) -> String {
    format!(r#""muster":{{"IPAMConfig":{{"IPv4Address":"{fixed}"}},"IPAddress":"{live}","NetworkID":"{network}"}}"#)
}

fn verdict(seen: &Seen) -> Verdict {
    seen.judge(&place(), NET, true, None)
}

#[test]
fn only_the_label_with_its_value_counts() {
    for labels in
        ["null", "{}", r#"{"io.rancher.container.network":"false"}"#, r#"{"io.rancher.container.network":null}"#]
    {
        assert_eq!(verdict(&seen("running", "default", labels, "")), Verdict::Foreign, "{labels}");
        let connected = seen("running", "default", labels, &ours("10.42.3.9", "10.42.3.9", NET));
        assert_eq!(verdict(&connected), Verdict::Foreign);
        assert_eq!(connected.holds(), Some(bits("10.42.3.9")), "but nobody else gets its address");
    }
    assert_eq!(seen("running", "default", LABELLED, "").name, "web");
}

#[test]
fn a_container_is_joined_when_it_runs_and_not_before() {
    let join = Verdict::Join { leave: false, leave_none: false, keep: None };
    assert_eq!(verdict(&seen("created", "default", LABELLED, "")), Verdict::Waits);
    assert_eq!(verdict(&seen("exited", "default", LABELLED, "")), Verdict::Waits);
    assert_eq!(verdict(&seen("running", "default", LABELLED, "")), join);
    assert_eq!(verdict(&seen("paused", "bridge", LABELLED, r#""bridge":null"#)), join);
    let none = seen("running", "none", LABELLED, r#""none":{}"#);
    assert_eq!(verdict(&none), Verdict::Join { leave: false, leave_none: true, keep: None });
    let before = seen("running", "bridge", LABELLED, "").judge(&place(), NET, true, Some(bits("10.42.3.9")));
    assert_eq!(before, Verdict::Join { leave: false, leave_none: false, keep: Some(bits("10.42.3.9")) });
}

#[test]
fn modes_without_a_network_of_their_own_cannot_join() {
    for mode in ["host", "container:abc"] {
        assert!(matches!(verdict(&seen("running", mode, LABELLED, "")), Verdict::Cannot(_)), "{mode}");
    }
}

#[test]
fn who_has_its_place_keeps_it() {
    let address = bits("10.42.3.9");
    let well = ours("10.42.3.9", "10.42.3.9", NET);
    assert_eq!(verdict(&seen("running", "default", LABELLED, &well)), Verdict::Joined(address));
    let stopped = ours("10.42.3.9", "", NET);
    assert_eq!(verdict(&seen("exited", "default", LABELLED, &stopped)), Verdict::Joined(address));
}

#[test]
fn a_place_that_is_not_right_is_made_anew_with_the_same_address_where_it_can_be() {
    let address = bits("10.42.3.9");
    let again = |keep| Verdict::Join { leave: true, leave_none: false, keep };
    let of = |state, networks: &str| verdict(&seen(state, "default", LABELLED, networks));
    // Connected by hand: the engine would give it another address at its next start.
    assert_eq!(of("running", &ours("", "10.42.3.9", NET)), again(Some(address)));
    // Another host's, the gateway's, or half gone.
    assert_eq!(of("running", &ours("10.42.9.9", "10.42.9.9", NET)), again(None));
    assert_eq!(of("running", &ours("10.42.3.1", "10.42.3.1", NET)), again(None));
    assert_eq!(of("running", &ours("10.42.3.9", "", NET)), again(Some(address)));
    // The network was made anew while it was stopped: the engine would not start it.
    assert_eq!(of("exited", &ours("10.42.3.9", "", EngineId([8; 32]))), again(Some(address)));
    // Somebody else has the same.
    let two = seen("exited", "default", LABELLED, &ours("10.42.3.9", "", NET)).judge(&place(), NET, false, None);
    assert_eq!(two, again(None));
}
