use super::*;
use muster_protocol::network::Prefix;

fn ground() -> Ground {
    Ground {
        bridge: "muster0".into(),
        device: "muster-wg0".into(),
        range: Prefix::parse("10.42.0.0/16").unwrap(),
        own: Vec::new(),
        gateway: 0x0a2a_0001,
        remote: Vec::new(),
        mtu: 1420,
        names: true,
    }
}

const BARE: &str = "-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n";
const ENGINE: &str = "-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N DOCKER\n-N DOCKER-USER\n\
    -A FORWARD -j DOCKER-USER\n-A FORWARD -o docker0 -j DOCKER\n-A DOCKER-USER -j RETURN\n";

/// What a firewall becomes by these steps: enough of `iptables` for this. Panics at a step that it would refuse.
fn after(printed: &str, steps: &[Step]) -> String {
    let mut chains: Vec<(String, String, Vec<String>)> = Vec::new();
    for line in printed.lines() {
        let mut words = line.splitn(3, ' ');
        let (what, chain) = (words.next().unwrap(), words.next().unwrap());
        let rest = words.next().unwrap_or_default();
        match what {
            "-A" => chains.iter_mut().find(|it| it.1 == chain).unwrap().2.push(rest.into()),
            _ => chains.push((format!("{what} {chain} {rest}").trim_end().into(), chain.into(), Vec::new())),
        }
    }
    for step in steps {
        let [what, name, rest @ ..] = step.arguments.as_slice() else { panic!("{step:?}") };
        if what == "-N" {
            assert!(chains.iter().all(|it| it.1 != *name));
            chains.push((format!("-N {name}"), name.clone(), Vec::new()));
            continue;
        }
        let at = chains.iter().position(|it| it.1 == *name).unwrap_or_else(|| panic!("no chain: {step:?}"));
        match what.as_str() {
            "-F" => chains[at].2.clear(),
            "-X" => {
                assert!(chains[at].2.is_empty());
                let entry = format!("-j {name}");
                assert!(chains.iter().all(|it| it.2.iter().all(|rule| !rule.ends_with(&entry))), "entered: {name}");
                chains.remove(at);
            }
            "-I" => {
                // As it is printed: with quotation marks around what has unusual letters.
                let quote = |word: &String| if word.contains('|') { format!("\"{word}\"") } else { word.clone() };
                let rule = rest[1..].iter().map(quote).collect::<Vec<_>>().join(" ");
                chains[at].2.insert(rest[0].parse::<usize>().unwrap() - 1, rule);
            }
            "-D" if rest.len() == 1 => drop(chains[at].2.remove(rest[0].parse::<usize>().unwrap() - 1)),
            "-D" => {
                let rule = chains[at].2.iter().position(|rule| *rule == rest.join(" ")).unwrap();
                chains[at].2.remove(rule);
            }
            _ => panic!("{step:?}"),
        }
    }
    let heads = chains.iter().map(|it| it.0.clone());
    let rules = chains.iter().flat_map(|it| it.2.iter().map(|rule| format!("-A {} {rule}", it.1)));
    heads.chain(rules).collect::<Vec<_>>().join("\n") + "\n"
}

fn laid(printed: &str) -> String {
    after(printed, &lay(&Rules::read(printed), &ground(), true))
}

/// Rules of a chain.
fn rules(printed: &str, chain: &str) -> Vec<String> {
    Rules::read(printed).chain(chain).unwrap_or_default().iter().map(|rule| (*rule).to_owned()).collect()
}

#[test]
fn what_is_laid_is_left_alone() {
    for printed in [BARE, ENGINE] {
        let printed = laid(printed);
        assert_eq!(lay(&Rules::read(&printed), &ground(), true), []);
    }
}

#[test]
fn all_that_is_not_ours_is_dropped_after_what_is() {
    let printed = laid(ENGINE);
    let rules = rules(&printed, FORWARD);
    let drops = rules.iter().position(|rule| rule.ends_with("DROP")).unwrap();
    assert!(rules[..drops].iter().all(|rule| rule.ends_with("ACCEPT")));
    let (names, drop) = rules[drops..].split_last().unwrap();
    assert!(drop.iter().all(|rule| rule.ends_with("DROP")));
    assert!(names.ends_with("--dport 53 -j MUSTER-NAMES"));
    assert!(rules[drops..].contains(&"-o muster0 -j DROP".to_owned()));
}

#[test]
fn the_engines_chain_is_used_if_it_is_entered() {
    let printed = laid(ENGINE);
    assert_eq!(rules(&printed, "DOCKER-USER"), ["-j MUSTER-FORWARD", "-j RETURN"]);
    assert!(!rules(&printed, "FORWARD").contains(&"-j MUSTER-FORWARD".to_owned()));
    // All rules were flushed, and the chains are there.
    let flushed: String =
        ENGINE.lines().filter(|line| !line.starts_with("-A")).map(|line| format!("{line}\n")).collect();
    let printed = laid(&flushed);
    assert_eq!(rules(&printed, "DOCKER-USER"), Vec::<String>::new());
    assert_eq!(rules(&printed, "FORWARD"), ["-j MUSTER-FORWARD"]);
    // The engine comes back, and puts its own first.
    let printed = printed.replace("-A FORWARD", "-A FORWARD -j DOCKER-USER\n-A FORWARD") + "-A DOCKER-USER -j RETURN\n";
    let printed = laid(&printed);
    assert_eq!(rules(&printed, "DOCKER-USER"), ["-j MUSTER-FORWARD", "-j RETURN"]);
    assert_eq!(rules(&printed, "FORWARD"), ["-j DOCKER-USER"]);
}

#[test]
fn an_engines_chain_that_is_not_entered_first_does_not_keep_us_behind_others() {
    let behind = ENGINE.replace("-A FORWARD -j DOCKER-USER", "-A FORWARD -j ACCEPT\n-A FORWARD -j DOCKER-USER");
    // Also if we were there already.
    for before in [behind.clone(), behind.clone() + "-N MUSTER-FORWARD\n-A DOCKER-USER -j MUSTER-FORWARD\n"] {
        let printed = laid(&before);
        assert_eq!(rules(&printed, "FORWARD")[..2], ["-j MUSTER-FORWARD", "-j ACCEPT"]);
        assert_eq!(rules(&printed, "DOCKER-USER"), ["-j RETURN"]);
        assert_eq!(lay(&Rules::read(&printed), &ground(), true), []);
        assert_eq!(after(&printed, &take_away(&Rules::read(&printed))), behind);
    }
}

#[test]
fn our_chain_is_entered_first_and_once() {
    let printed = laid(ENGINE).replace(
        "-A DOCKER-USER -j MUSTER-FORWARD\n",
        "-A DOCKER-USER -s 192.168.0.0/16 -j ACCEPT\n-A DOCKER-USER -j MUSTER-FORWARD\n-A DOCKER-USER -j MUSTER-FORWARD\n",
    );
    let printed = laid(&printed);
    assert_eq!(rules(&printed, "DOCKER-USER"), ["-j MUSTER-FORWARD", "-s 192.168.0.0/16 -j ACCEPT", "-j RETURN"]);
}

#[test]
fn only_addresses_of_the_network_ask_for_names() {
    let printed = laid(ENGINE);
    let asked: Vec<String> = rules(&printed, INPUT).into_iter().filter(|rule| rule.contains("10.42.0.1/32")).collect();
    let accepts = |rule: &&String| rule.ends_with("ACCEPT") && rule.contains("--dport 53");
    let accepting: Vec<&String> = asked.iter().filter(accepts).collect();
    assert_eq!(accepting, ["-s 10.42.0.0/16 -d 10.42.0.1/32 -i muster0 -p udp -m udp --dport 53 -j ACCEPT"]);
}

#[test]
fn the_bridge_of_a_host_without_a_place_stays_closed() {
    let close = |printed: &str| after(printed, &close(&Rules::read(printed), "muster0", "muster-wg0"));
    for before in [BARE.to_owned(), ENGINE.to_owned(), laid(ENGINE)] {
        let printed = close(&before);
        let forward = rules(&printed, FORWARD);
        assert_eq!(forward[0], "-i muster0 -o muster0 -j ACCEPT");
        assert!(forward[1..].iter().all(|rule| rule.ends_with("DROP")), "{forward:?}");
        assert!(forward.contains(&"-o muster0 -j DROP".to_owned()));
        assert_eq!(rules(&printed, INPUT), ["-i muster-wg0 -j DROP"]);
        assert_eq!(close(&printed), printed);
    }
    assert_eq!(rules(&close(ENGINE), "DOCKER-USER"), ["-j MUSTER-FORWARD", "-j RETURN"]);
    // With a place all is as it was, and without the network as well.
    assert_eq!(rules(&laid(&close(&laid(ENGINE))), FORWARD), forward(&ground()));
    let closed = close(ENGINE);
    assert_eq!(after(&closed, &take_away(&Rules::read(&closed))), ENGINE);
}

#[test]
fn a_changed_chain_gets_its_rules_before_the_old_ones_go() {
    let printed = laid(ENGINE).replace("-A MUSTER-FORWARD -o muster0 -j DROP\n", "-A MUSTER-FORWARD -j ACCEPT\n");
    let steps = lay(&Rules::read(&printed), &ground(), true);
    let first_removal = steps.iter().position(|step| step.arguments[0] == "-D").unwrap();
    assert_eq!(first_removal, forward(&ground()).len());
    assert!(steps.iter().all(|step| step.arguments[0] != "-F"));
    assert_eq!(rules(&after(&printed, &steps), FORWARD), forward(&ground()));
    assert_eq!(
        steps.iter().filter_map(|step| step.told.as_deref()).collect::<Vec<_>>(),
        ["firewall: repaired the chain MUSTER-FORWARD"]
    );
}

#[test]
fn a_kernel_that_cannot_look_into_questions_is_no_fault() {
    let there = Rules::read(ENGINE);
    let steps = lay(&there, &ground(), true);
    let may_fail: Vec<&Step> = steps.iter().filter(|step| step.may_fail).collect();
    assert_eq!(may_fail.len(), 1);
    assert!(may_fail[0].arguments.contains(&"|066d757374657208696e7465726e616c00|".to_owned()), "{may_fail:?}");
    // From then on it is not wanted, and what there is counts as whole.
    let rest: Vec<Step> = steps.iter().filter(|step| !step.may_fail).cloned().collect();
    let printed = after(ENGINE, &rest);
    assert_eq!(lay(&Rules::read(&printed), &ground(), false), []);
    assert_eq!(after(&printed, &take_away(&Rules::read(&printed))), ENGINE);
}

#[test]
fn a_chain_full_of_rubbish_is_emptied_in_one_step() {
    let printed = laid(ENGINE) + &"-A MUSTER-INPUT -j ACCEPT\n".repeat(MANY);
    let steps = lay(&Rules::read(&printed), &ground(), true);
    assert!(steps.len() < 20);
    assert_eq!(rules(&after(&printed, &steps), INPUT), input(&ground()));
}

#[test]
fn nothing_of_ours_is_left_and_all_else_is() {
    for printed in [BARE, ENGINE] {
        let laid = laid(printed);
        assert_eq!(after(&laid, &take_away(&Rules::read(&laid))), printed);
        assert_eq!(take_away(&Rules::read(printed)), []);
    }
}
