//! The firewall's rules: what is wanted, what is there, and the commands between the two. Pure.
//!
//! There are three chains of our own. [`FORWARD`] is about packets that this host passes on, and is entered from the
//! engine's `DOCKER-USER`, or from `FORWARD` where that does not begin with it. [`INPUT`] is about packets to this host.
//! Both are entered first, so that nobody's rule lets in what has no business here. [`NAMES`] is entered from both with
//! questions for names to anybody but this host's answerer: those for `muster.internal` do not get there. It is not for
//! them to know, and musl's resolver, which asks everybody at once, would believe the first who says that there is no such
//! name.

use super::Ground;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Our chain for packets that this host passes on.
pub const FORWARD: &str = "MUSTER-FORWARD";
/// Our chain for packets to this host.
pub const INPUT: &str = "MUSTER-INPUT";
/// Our chain for questions that others are asked.
pub const NAMES: &str = "MUSTER-NAMES";
/// Where the engine lets others have rules before its own.
const ENGINES: &str = "DOCKER-USER";
/// More rules than this in a chain of ours are nobody's work but a fault's: they are thrown away in one go.
const MANY: usize = 64;

/// A call of `iptables`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it is for, if that is worth telling.
    pub told: Option<String>,
    /// Whether the rest is as good without it: not every kernel has what it asks for.
    pub may_fail: bool,
}

/// The rules as they are, as `iptables -S` prints them.
pub struct Rules<'a>(BTreeMap<&'a str, Vec<&'a str>>);

impl<'a> Rules<'a> {
    /// Reads them. Lines that are neither chain nor rule are skipped.
    pub fn read(printed: &'a str) -> Rules<'a> {
        let mut chains: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in printed.lines() {
            let Some((what, rest)) = line.trim_end().split_once(' ') else { continue };
            let (chain, rule) = rest.split_once(' ').unwrap_or((rest, ""));
            match what {
                "-P" | "-N" => drop(chains.entry(chain).or_default()),
                "-A" => chains.entry(chain).or_default().push(rule),
                _ => {}
            }
        }
        Rules(chains)
    }

    fn chain(&self, name: &str) -> Option<&[&'a str]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Whether the engine's chain is there and is entered first: a reload of the firewall may have left it without a way
    /// in, or somebody's rules before it.
    fn engines_is_first(&self) -> bool {
        self.chain(ENGINES).is_some() && self.chain("FORWARD").unwrap_or_default().first() == Some(&&*jump(ENGINES))
    }
}

/// The commands that make the rules what they should be; none if they are. In this order nothing is let through, or
/// held up, that would not be before and afterwards. `looks_inside`: whether questions for names are looked at.
pub fn lay(there: &Rules<'_>, ground: &Ground, looks_inside: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    fill(there, NAMES, if looks_inside { &[NAMED] } else { &[] }, &mut steps);
    for step in steps.iter_mut().filter(|step| step.arguments.iter().any(|argument| argument == "string")) {
        step.may_fail = true;
    }
    fill(there, FORWARD, &forward(ground), &mut steps);
    fill(there, INPUT, &input(ground), &mut steps);
    enter_all(there, &mut steps);
    steps
}

/// As [`lay`], for a host that has no place: a bridge of before, which the engine keeps, lets in nobody but the host.
pub fn close(there: &Rules<'_>, bridge: &str, device: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let forward = [
        format!("-i {bridge} -o {bridge} -j ACCEPT"),
        format!("-o {bridge} -j DROP"),
        format!("-o {device} -j DROP"),
        format!("-i {device} -j DROP"),
        format!("-i {bridge} -j DROP"),
    ];
    fill(there, FORWARD, &forward, &mut steps);
    fill(there, INPUT, &[format!("-i {device} -j DROP")], &mut steps);
    enter_all(there, &mut steps);
    steps
}

fn enter_all(there: &Rules<'_>, steps: &mut Vec<Step>) {
    let place = if there.engines_is_first() { ENGINES } else { "FORWARD" };
    enter(there, place, FORWARD, steps);
    for other in [ENGINES, "FORWARD"].into_iter().filter(|other| *other != place) {
        leave(there, other, FORWARD, steps);
    }
    enter(there, "INPUT", INPUT, steps);
}

/// The commands after which nothing of ours is left.
pub fn take_away(there: &Rules<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for (chain, places) in [(FORWARD, &[ENGINES, "FORWARD"][..]), (INPUT, &["INPUT"]), (NAMES, &[])] {
        for place in places {
            leave(there, place, chain, &mut steps);
        }
        if there.chain(chain).is_some() {
            steps.push(step(format!("-F {chain}"), None));
            steps.push(step(format!("-X {chain}"), Some(format!("firewall: removed the chain {chain}"))));
        }
    }
    steps
}

/// A question for a name that ends with `muster.internal`, as it is in a message, in whatever letters. Whoever asks is told
/// at once that there is nobody.
const NAMED: &str = "-m string --hex-string \"|066d757374657208696e7465726e616c00|\" --algo bm --icase -j REJECT --reject-with icmp-port-unreachable";

/// What is passed on, word for word as `iptables -S` prints it.
fn forward(ground: &Ground) -> Vec<String> {
    let Ground { bridge, device, range, .. } = ground;
    vec![
        format!("-s {range} -d {range} -i {device} -o {bridge} -j ACCEPT"),
        format!("-s {range} -d {range} -i {bridge} -o {device} -j ACCEPT"),
        format!("-i {bridge} -o {bridge} -j ACCEPT"),
        format!("-o {bridge} -j DROP"),
        format!("-o {device} -j DROP"),
        format!("-i {device} -j DROP"),
        // What leaves for elsewhere would carry an address that nobody there can answer.
        format!("-i {bridge} -j DROP"),
        format!("-p udp -m udp --dport 53 -j {NAMES}"),
    ]
}

/// What this host takes: from other hosts' containers only answers and echo requests, whatever it listens on; and
/// questions for names only from its own containers, and itself.
fn input(ground: &Ground) -> Vec<String> {
    let Ground { bridge, device, gateway, range, .. } = ground;
    let gateway = Ipv4Addr::from_bits(*gateway);
    vec![
        format!("-i {device} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
        format!("-d {gateway}/32 -i {device} -p icmp -m icmp --icmp-type 8 -j ACCEPT"),
        format!("-i {device} -j DROP"),
        format!("-s {range} -d {gateway}/32 -i {bridge} -p udp -m udp --dport 53 -j ACCEPT"),
        format!("-d {gateway}/32 ! -i lo -p udp -m udp --dport 53 -j DROP"),
        format!("! -d {gateway}/32 -p udp -m udp --dport 53 -j {NAMES}"),
    ]
}

/// Makes a chain of ours hold exactly these rules: new ones go before old ones, which go then.
fn fill<S: AsRef<str>>(there: &Rules<'_>, chain: &str, wanted: &[S], steps: &mut Vec<Step>) {
    let found = there.chain(chain);
    let wanted: Vec<&str> = wanted.iter().map(AsRef::as_ref).collect();
    if found.is_some_and(|found| found == wanted) {
        return;
    }
    let verb = if found.is_some() { "repaired" } else { "made" };
    if found.is_none() {
        steps.push(step(format!("-N {chain}"), None));
    }
    let mut old = found.unwrap_or_default().len();
    if old > MANY {
        steps.push(step(format!("-F {chain}"), None));
        old = 0;
    }
    for (index, rule) in wanted.iter().enumerate() {
        steps.push(step(format!("-I {chain} {} {rule}", index + 1), None));
    }
    for _ in 0..old {
        steps.push(step(format!("-D {chain} {}", wanted.len() + 1), None));
    }
    if let Some(last) = steps.last_mut() {
        last.told = Some(format!("firewall: {verb} the chain {chain}"));
    }
}

/// Lets `place` begin with our chain, and hold it nowhere else. By what the rule says and not by its number: others
/// change these chains, too.
fn enter(there: &Rules<'_>, place: &str, chain: &str, steps: &mut Vec<Step>) {
    let entry = jump(chain);
    let rules = there.chain(place).unwrap_or_default();
    let count = rules.iter().filter(|rule| **rule == entry).count();
    if count == 1 && rules.first() == Some(&entry.as_str()) {
        return;
    }
    leave(there, place, chain, steps);
    steps.push(step(format!("-I {place} 1 {entry}"), Some(format!("firewall: {place} begins with {chain}"))));
}

/// Takes our chain out of `place`.
fn leave(there: &Rules<'_>, place: &str, chain: &str, steps: &mut Vec<Step>) {
    let entry = jump(chain);
    for _ in there.chain(place).unwrap_or_default().iter().filter(|rule| **rule == entry) {
        steps.push(step(format!("-D {place} {entry}"), None));
    }
}

fn jump(chain: &str) -> String {
    format!("-j {chain}")
}

fn step(arguments: String, told: Option<String>) -> Step {
    // Quotation marks are what a shell would want.
    let arguments = arguments.split(' ').map(|argument| argument.trim_matches('"').to_owned());
    Step { arguments: arguments.collect(), told, may_fail: false }
}

#[cfg(test)]
#[path = "firewall_tests.rs"]
mod tests;
