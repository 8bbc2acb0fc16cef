use super::*;

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).unwrap()
}

fn ground(remote: &[&str]) -> Ground {
    Ground {
        bridge: "muster0".into(),
        device: "muster-wg0".into(),
        range: prefix("10.42.0.0/16"),
        own: vec![prefix("10.42.0.0/26")],
        gateway: 0x0a2a_0001,
        remote: remote.iter().map(|text| prefix(text)).collect(),
        mtu: 1420,
        names: true,
    }
}

/// Lines as a kernel prints them.
fn table(routes: &[(&str, &str, u32)]) -> String {
    let mut text =
        String::from("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT   \n");
    for (device, route, metric) in routes {
        let route = prefix(route);
        let mask = u32::MAX.checked_shl(32 - u32::from(route.length)).unwrap_or(0);
        let number = |address: u32| u32::from_ne_bytes(address.to_be_bytes());
        text += &format!(
            "{device}\t{:08X}\t00000000\t0001\t0\t0\t{metric}\t{:08X}\t0\t0\t0{:>60}\n",
            number(route.first),
            number(mask),
            ""
        );
    }
    text
}

#[test]
fn missing_routes_are_laid_and_surplus_ones_found() {
    let there = table(&[
        ("eth0", "0.0.0.0/0", 0),
        ("muster0", "10.42.0.0/16", 0),
        ("muster-wg0", "10.42.0.64/26", 0),
        ("muster-wg0", "10.42.9.0/26", 0),
        ("eth0", "10.42.1.0/24", 0),
    ]);
    let plan = plan(&there, &ground(&["10.42.0.64/26", "10.42.0.128/26"]));
    assert_eq!(plan.missing, [prefix("10.42.0.128/26")]);
    assert_eq!(plan.surplus, [prefix("10.42.9.0/26")]);
    assert_eq!(plan.refused, Vec::<String>::new());
}

#[test]
fn somebody_elses_route_is_not_replaced() {
    let there = table(&[("eth1", "10.42.0.64/26", 0)]);
    let plan = plan(&there, &ground(&["10.42.0.64/26", "10.42.0.128/26"]));
    assert_eq!(plan.missing, [prefix("10.42.0.128/26")]);
    assert!(plan.refused[0].contains("by eth1"), "{:?}", plan.refused);
}

#[test]
fn a_wider_or_narrower_route_of_somebody_else_is_not_shadowed() {
    let there = table(&[("cni0", "10.42.0.0/24", 0), ("veth9", "10.42.7.70/32", 0)]);
    let plan = plan(&there, &ground(&["10.42.0.64/26", "10.42.7.64/26", "10.42.9.0/26"]));
    assert_eq!(plan.missing, [prefix("10.42.9.0/26")]);
    assert_eq!(plan.refused.len(), 2);
    assert!(plan.refused[0].starts_with("10.42.0.64/26 ") && plan.refused[0].contains("by cni0"), "{:?}", plan.refused);
    assert!(plan.refused[1].contains("by veth9"), "{:?}", plan.refused);
}

#[test]
fn a_route_with_a_metric_is_somebody_elses_as_well() {
    let there = table(&[("ens5", "10.42.0.0/24", 100), ("eth1", "10.42.1.0/26", 100)]);
    let plan = plan(&there, &ground(&["10.42.0.64/26", "10.42.1.0/26"]));
    assert_eq!(plan.missing, []);
    assert!(plan.refused[0].contains("by ens5") && plan.refused[1].contains("by eth1"), "{:?}", plan.refused);
}

#[test]
fn default_routes_and_those_of_bridge_and_tunnel_are_in_nobodys_way() {
    let there = table(&[
        ("eth0", "0.0.0.0/0", 0),
        ("wlan0", "0.0.0.0/0", 600),
        // How others' tunnels say "all".
        ("tun0", "0.0.0.0/1", 0),
        ("muster0", "10.42.0.0/16", 0),
        ("muster-wg0", "10.42.0.0/24", 0),
    ]);
    let plan = plan(&there, &ground(&["10.42.0.64/26"]));
    assert_eq!(plan.missing, [prefix("10.42.0.64/26")]);
    assert_eq!(plan.refused, Vec::<String>::new());
}

#[test]
fn only_other_hosts_addresses_within_the_range_are_routed() {
    let plan = plan("", &ground(&["10.43.0.0/26", "10.42.0.0/24", "0.0.0.0/0", "10.42.3.0/26"]));
    assert_eq!(plan.missing, [prefix("10.42.3.0/26")]);
    assert_eq!(plan.refused.len(), 3);
}

#[test]
fn lines_that_are_no_routes_are_skipped() {
    let there = "head\n\nmuster-wg0\nmuster-wg0\tzz\t0\t1\t0\t0\t0\t0\nmuster-wg0\t0000002A\t0\t0\t0\t0\t0\t00FF00FF\n";
    assert_eq!(plan(there, &ground(&[])), Plan::default());
}

#[test]
fn only_ours_are_removed() {
    let printed = "10.42.9.0/26 scope link src 10.42.0.1 \n10.42.9.64 scope link \n10.42.1.0/26 scope link\nrubbish\n";
    let surplus = [prefix("10.42.9.0/26"), prefix("10.42.9.64/32"), prefix("10.42.7.0/26")];
    let lines = removals(printed, &surplus, "muster-wg0");
    assert_eq!(
        lines,
        ["route del 10.42.9.0/26 dev muster-wg0 proto 77", "route del 10.42.9.64/32 dev muster-wg0 proto 77"]
    );
}

#[test]
fn additions_have_our_mark_and_the_hosts_address() {
    let lines = additions(&[prefix("10.42.3.0/26")], &ground(&[]));
    assert_eq!(lines, ["route replace 10.42.3.0/26 dev muster-wg0 proto 77 src 10.42.0.1"]);
}
