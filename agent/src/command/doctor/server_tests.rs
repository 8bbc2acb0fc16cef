use super::*;
use crate::command::doctor::State;
use muster_protocol::id::HostId;

const NOW: fn() -> i64 = || 1_795_305_600_000;

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn answers(at: &str, health: Health) -> Knock {
    Knock { address: address(at), is_former: false, outcome: Ok(health) }
}

fn fails(at: &str, failure: Failure) -> Knock {
    Knock { address: address(at), is_former: false, outcome: Err(NoAnswer::of(&address(at), failure)) }
}

fn mismatch() -> Failure {
    Failure::PinMismatch { expected: "sha256:aa".into(), got: "sha256:bb".into() }
}

fn identity() -> Identity {
    Identity {
        host: HostId::parse("0123456789abcdef"),
        name: "pi".into(),
        credential: "ab".repeat(32).parse().unwrap(),
        spare: None,
        addresses: vec![address("a:1")],
        pins: vec![format!("sha256:{}", "a".repeat(64)).parse().unwrap()],
        former: vec![address("b:2")],
        revision: 0,
        generation: 3,
    }
}

#[test]
fn each_address_has_a_line_and_one_that_answers_is_enough() {
    let lost = Failure::Unreachable("b:2: no such host".into());
    let findings = of_addresses(&[answers("a:1", Health::default()), fails("b:2", lost.clone())]);
    assert_eq!(findings[0], Finding::okay(Check::Server, "a:1 answers"));
    assert_eq!(findings[1].state, State::Warning);
    assert!(findings[1].advice.as_ref().unwrap().contains("resolv.conf"), "{}", findings[1]);
    let findings = of_addresses(&[fails("b:2", lost), fails("c:3", Failure::TimedOut)]);
    assert!(findings.iter().all(|one| one.state == State::Failure(Exit::Unreachable)), "{findings:?}");
    let unknown = Failure::Unreachable("b:2: failed to lookup address information: Name or service not known".into());
    assert!(of_addresses(&[fails("b:2", unknown)])[0].advice.as_ref().unwrap().contains("resolv.conf"));
    let ill = Health { problem: Some("the disk is full".into()), ..Health::default() };
    assert!(of_addresses(&[answers("a:1", ill)])[0].what.ends_with("stores nothing: the disk is full"));
    let former = Knock { is_former: true, ..fails("b:2", mismatch()) };
    assert_eq!(of_addresses(&[answers("a:1", Health::default()), former]).len(), 1);
}

#[test]
fn a_wrong_pin_is_a_failure_even_if_another_address_has_the_right_one() {
    let finding = of_pin(&[answers("a:1", Health::default()), fails("b:2", mismatch())]);
    assert_eq!(finding.state, State::Failure(Exit::PinMismatch));
    assert!(finding.what.contains("expected sha256:aa, got sha256:bb") && finding.what.starts_with("b:2: "));
    let outdated = fails("a:1", Failure::Outdated { least: 4, got: 3 });
    assert_eq!(of_pin(&[outdated]).state, State::Failure(Exit::PinMismatch));
    assert_eq!(of_pin(&[answers("a:1", Health::default())]).state, State::Okay);
    assert_eq!(of_pin(&[fails("a:1", Failure::TimedOut)]).state, State::Skipped);
}

#[test]
fn who_has_not_joined_is_told_how() {
    let findings = look(Target::Nobody(None), Path::new("/x"), NOW);
    let credential = findings.iter().find(|one| one.check == Check::Credential).unwrap();
    assert_eq!(credential.state, State::Failure(Exit::Failed));
    assert!(credential.to_string().contains("muster join-command"), "{credential}");
    assert_eq!(findings.iter().filter(|one| one.state == State::Skipped).count(), 2);
    let join: JoinString = format!("muster://hush@a:1?pin=sha256:{}", "a".repeat(64)).parse().unwrap();
    let finding = of_credential(&Target::Joining(Box::new(join)), &[], Path::new("/x"));
    assert!(finding.advice.unwrap().contains("muster-agent run"));
}

#[test]
fn a_target_is_the_identity_before_the_join_string() {
    let join = || -> JoinString { format!("muster://hush@c:3?pin=sha256:{}", "a".repeat(64)).parse().unwrap() };
    let target = Target::of(Ok(Some(identity())), Ok(Some(join())));
    let asked: Vec<_> = target.settings().iter().map(|(it, former)| (it.address.to_string(), *former)).collect();
    assert_eq!(asked, [("a:1".to_owned(), false), ("b:2".to_owned(), true)]);
    assert_eq!(target.settings()[0].0.least_generation, 3);
    let pending = Identity { host: None, ..identity() };
    let target = Target::of(Ok(Some(pending)), Ok(Some(join())));
    assert_eq!(target.settings()[0].0.address, address("c:3"));
    let broken = Trouble::new(Exit::Failed, "identity:3", "it is not of the form", "put it back");
    assert!(matches!(Target::of(Err(broken), Ok(None)), Target::Nobody(Some(_))));
    assert!(matches!(Target::of(Ok(None), Ok(None)), Target::Nobody(None)));
}

#[test]
fn without_an_answer_what_depends_on_it_is_skipped() {
    let target = Target::Joined(Box::new(identity()));
    let knocks = [fails("a:1", Failure::TimedOut)];
    assert_eq!(of_credential(&target, &knocks, Path::new("/x")).state, State::Skipped);
}
