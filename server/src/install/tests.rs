//! Agents for boards: what is offered, and what goes into the script.

use super::offers::{Missing, Offered, Program};
use super::*;
use crate::listen::Content;
use crate::test_dir::TestDir;
use futures_lite::StreamExt;
use futures_lite::future::block_on;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const ARM: &str = "armv7-unknown-linux-musleabihf";
const AGENT: &str = "muster-agent";
const SIGNATURE: &str = "muster-agent.sig";

fn put(dir: &Path, target: &str, name: &str, content: &[u8]) {
    fs::create_dir_all(dir.join(target)).expect("a folder");
    fs::write(dir.join(target).join(name), content).expect("written");
}

fn offers(dirs: &[&TestDir]) -> Arc<Offers> {
    Arc::new(Offers::of(dirs.iter().map(|dir| dir.path().to_path_buf()).collect()))
}

async fn body(response: Response) -> Vec<u8> {
    match response.content {
        Content::Bytes(bytes) => bytes,
        Content::Stream(parts) => parts.collect::<Vec<_>>().await.concat(),
        Content::Line(..) => panic!("no body"),
    }
}

fn give(offers: &Arc<Offers>, target: &str, signature: bool) -> Result<Vec<u8>, Missing> {
    block_on(async { Ok(body(Offers::give(offers, target, Program::Agent, signature).await?).await) })
}

#[test]
fn only_what_is_there_is_offered_and_the_first_directory_counts() {
    let (own, system) = (TestDir::new(), TestDir::new());
    let offers = offers(&[&own, &system]);
    assert_eq!(offers.all(Program::Agent), []);
    put(system.path(), ARM, AGENT, b"abc");
    put(system.path(), "mips-unknown-linux-musl", AGENT, b"abc");
    // FIPS 180-2, appendix B.1.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(offers.all(Program::Agent), [Offered { target: ARM, sha256: abc.into() }]);
    assert_eq!(give(&offers, ARM, false), Ok(b"abc".to_vec()));
    put(own.path(), ARM, AGENT, b"another");
    let [newer] = &offers.all(Program::Agent)[..] else { panic!("more or less than one") };
    assert_ne!(newer.sha256, abc);
    put(own.path(), ARM, AGENT, b"a third one");
    assert_ne!(offers.all(Program::Agent)[0].sha256, newer.sha256, "a file that changed is read again");
    assert_eq!(give(&offers, ARM, false), Ok(b"a third one".to_vec()));
}

#[test]
fn large_agents_come_whole_and_what_is_missing_is_named() {
    let dir = TestDir::new();
    let offers = offers(&[&dir]);
    let large: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
    put(dir.path(), ARM, AGENT, &large);
    assert_eq!(give(&offers, ARM, false), Ok(large));
    let missing = give(&offers, ARM, true).expect_err("no signature");
    assert!(missing.status == 404 && missing.why.contains("signature") && missing.why.contains("dist.sh armv7"));
    put(dir.path(), ARM, SIGNATURE, b"signed");
    assert_eq!(give(&offers, ARM, true), Ok(b"signed".to_vec()));
    let missing = give(&offers, "x86_64-unknown-linux-musl", false).expect_err("none");
    assert!(missing.status == 404 && missing.why.contains("./dist.sh x86_64"), "{}", missing.why);
    for target in ["..", "", "%2e%2e", "../../etc", "mips-unknown-linux-musl"] {
        assert_eq!(give(&offers, target, false).expect_err("none").status, 404, "{target}");
    }
    put(dir.path(), ARM, SIGNATURE, &[b'x'; 5000]);
    assert_eq!(give(&offers, ARM, true).expect_err("too long").status, 500);
    assert!(offers.all(Program::Agent).len() == 1);
    put(dir.path(), ARM, AGENT, b"");
    assert_eq!(offers.all(Program::Agent), [], "an empty file is no agent");
}

#[test]
fn only_so_many_are_fetched_at_a_time() {
    let dir = TestDir::new();
    let offers = offers(&[&dir]);
    put(dir.path(), ARM, AGENT, b"abc");
    block_on(async {
        let mut under_way = Vec::new();
        let refused = loop {
            match Offers::give(&offers, ARM, Program::Agent, false).await {
                Ok(response) => under_way.push(response),
                Err(missing) => break missing,
            }
        };
        assert_eq!((refused.status, under_way.len()), (503, 16));
        under_way.pop();
        assert!(Offers::give(&offers, ARM, Program::Agent, false).await.is_ok(), "one has ended");
    });
}

fn join() -> JoinString {
    let text = format!("muster://mj_00ff@[2001:db8::1]:7443?pin={}&addr=fleet.example:1", Pin([0xfb; 32]));
    text.parse().expect("a join string")
}

#[test]
fn the_program_of_the_managed_network_is_given_beside_the_agent() {
    let dir = TestDir::new();
    let offers = offers(&[&dir]);
    put(dir.path(), ARM, AGENT, b"abc");
    assert_eq!(offers.all(Program::Network), []);
    let given = |signature| block_on(Offers::give(&offers, ARM, Program::Network, signature));
    let Err(missing) = given(false) else { panic!("there is none") };
    assert_eq!(missing.status, 404);
    assert!(missing.why.contains("no network program") && missing.why.contains("./dist.sh armv7"), "{missing:?}");
    put(dir.path(), ARM, "muster-network", b"def");
    put(dir.path(), ARM, "muster-network.sig", b"signed");
    assert_ne!(offers.all(Program::Network)[0].sha256, offers.all(Program::Agent)[0].sha256);
    assert_eq!(block_on(body(given(false).expect("there"))), b"def");
    assert_eq!(block_on(body(given(true).expect("there"))), b"signed");
    for (file, program) in [
        ("muster-agent", Some((Program::Agent, false))),
        ("muster-agent.sig", Some((Program::Agent, true))),
        ("muster-network.sig", Some((Program::Network, true))),
        ("muster", None),
        ("muster-agent.sig.sig", None),
        ("", None),
    ] {
        assert_eq!(Program::of_file(file), program, "{file}");
    }
}

#[test]
fn the_command_is_one_line_that_pins_the_serving_key_and_nothing_else() {
    let line = command(&join(), Some(Pin([0xfb; 32])));
    assert_eq!(
        line,
        "curl -sSk --no-alpn --pinnedpubkey 'sha256//+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=' \
         -H 'Authorization: Bearer mj_00ff' https://[2001:db8::1]:7443/install | sh"
    );
}

/// What a shell thinks of a script.
fn check(shell: &[&str], script: &str) {
    let (program, arguments) = shell.split_first().expect("a shell");
    let mut command = Command::new(program);
    let mut child = command.args(arguments).arg("-n").stdin(Stdio::piped()).spawn().expect("a shell");
    child.stdin.take().expect("its input").write_all(script.as_bytes()).expect("taken");
    assert!(child.wait().expect("its end").success(), "{shell:?}");
}

#[test]
fn the_script_is_filled_in_and_is_one_for_every_shell() {
    let (join, server) = (join(), "fleet.example:7443".parse().expect("an address"));
    let sum = "0a".repeat(32);
    let offered = TARGETS.map(|target| Offered { target, sha256: sum.clone() });
    let facts =
        script::Facts { server: &server, pin: Pin([1; 32]), join: &join, offered: &offered, network: &offered[..1] };
    let script = script::installer(&facts);
    for part in [
        "server='fleet.example:7443'\n",
        &format!("join='{join}'\n"),
        "token='mj_00ff'\n",
        &format!("\narm-unknown-linux-musleabihf {sum}\n"),
        "\nNoNewPrivileges=yes\n",
        "\nsupervisor=supervise-daemon\n",
        &format!("network_offers='aarch64-unknown-linux-musl {sum}'\n"),
        "\nExecStart=/usr/local/bin/muster-network up\n",
        "\ncommand=/usr/local/bin/muster-network\n",
    ] {
        assert!(script.contains(part), "{part}");
    }
    let left: Vec<&str> = script.lines().filter(|line| line.starts_with('@') || line.contains("'@")).collect();
    assert!(left.is_empty(), "{left:?}");
    check(&["sh"], &script);
}

#[test]
fn a_refusal_is_a_script_that_says_why() {
    let script = script::refusal(4, "it's over; ask `Ann`\n$(reboot)");
    let mut command = Command::new("sh");
    let output = command.args(["-c", &script]).output().expect("a shell");
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "muster: it's over; ask `Ann`$(reboot)\n");
    assert!(output.stdout.is_empty());
}

#[test]
fn paths_are_told_apart() {
    for (path, ours) in
        [("/install", true), ("/install/x/muster-agent", true), ("/installer", false), ("/", false), ("/r", false)]
    {
        assert_eq!(is_asked(path), ours, "{path}");
    }
}
