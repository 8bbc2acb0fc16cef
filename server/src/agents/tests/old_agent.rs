//! An agent of version 0.1.0 and today's server: what that agent sends, byte by byte as it was released, and what it can
//! make of the answers. It knows the kinds 1 to 14, and skips the others.

use super::{Port, post};
use crate::fleet::ContainerSelect;
use futures_lite::future::block_on;
use muster_dial::Client;

const CREDENTIAL: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// In the join; the test's own token takes its place.
const TOKEN: &str = "mj_0123456789abcdef0123456789abcdef";

const JOIN: &str = "
        010137236d6a5f3031323334353637383961626364656630313233343536373839616263646566027069f1f1f1f1f1f1
        f1f1f1f1f1f1f1f1f1f1
";
const HELLO: &str = "
        01033daaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa01f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f100882705302e312e30056c69
        6e7578076161726368363404362e3132
";
/// A list with one container that runs.
const FIRST_REPORT: &str = "
        01050501020002000b0f01ac020632382e302e3104312e34380e4f01c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1
        c1c1c1c1c1c1c1c1c1c1c1c1037765620a6e67696e783a312e323700056e67696e78020000000080a0abfef9620180a0
        abfef9620000000000000a03010100
";
/// It dies, and a list shows that.
const SECOND_REPORT: &str = "
        0105050105020500063b038080d0e2c6bfce972f0103646965c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1
        c1c1c1c1c1c1c1c1c10001046e616d6503776562000e5604c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1
        c1c1c1c1c1c1c1c1037765620a6e67696e783a312e323700056e67696e7806000100000080a0abfef9620180a0abfef9
        6201d0afabfef96200000000000a03040100
";

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

/// The records of an answer that the agent knows: kind and payload.
fn known(mut answer: &[u8]) -> Vec<(u8, Vec<u8>)> {
    assert_eq!(answer.first(), Some(&1), "the version");
    answer = &answer[1..];
    let mut found = Vec::new();
    while let [kind, length, rest @ ..] = answer {
        let (length, rest) = match rest {
            [more, rest @ ..] if length & 0x80 != 0 => (usize::from(length & 0x7f) | usize::from(*more) << 7, rest),
            _ => (usize::from(*length), rest),
        };
        if *kind <= 14 {
            found.push((*kind, rest[..length].to_vec()));
        }
        answer = &rest[length..];
    }
    found
}

#[track_caller]
fn ask(client: &Client, what: &str, body: &[u8]) -> (u8, Vec<u8>) {
    let (status, answer) = post(client, what, CREDENTIAL, body);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    let mut known = known(&answer);
    assert_eq!(known.len(), 1, "one record that it knows");
    known.remove(0)
}

#[test]
fn an_agent_of_the_first_version_joins_and_reports() {
    let port = Port::open();
    let client = port.client();
    let token = port.bench.token(Some(1));
    let mut join = unhex(JOIN);
    let at = join.windows(TOKEN.len()).position(|part| part == TOKEN.as_bytes()).expect("a token");
    assert_eq!(token.len(), TOKEN.len());
    join.splice(at..at + TOKEN.len(), token.bytes());
    let (kind, joined) = ask(&client, "join", &join);
    assert_eq!((kind, &joined[8..]), (2, &b"\x02pi"[..]));

    let (kind, welcome) = ask(&client, "hello", &unhex(HELLO));
    // Epoch 1, nothing acknowledged, no last event; then the kinds.
    assert_eq!((kind, &welcome[..3]), (4, &[1, 0, 0][..]));
    assert_eq!(welcome[4..18], (1..=14).collect::<Vec<u8>>());
    assert!(usize::from(welcome[3]) == welcome.len() - 4 && welcome[3] <= 64);

    // Epoch, acknowledged, listed, unexplained.
    assert_eq!(ask(&client, "report", &unhex(FIRST_REPORT)), (12, vec![1, 2, 1, 0]));
    assert_eq!(ask(&client, "report", &unhex(SECOND_REPORT)), (12, vec![1, 5, 4, 0]));
    let containers = block_on(port.bench.fleet.containers(ContainerSelect::default(), None, 10));
    assert_eq!((containers[0].name.as_str(), containers[0].state.as_str()), ("web", "exited"));
    assert_eq!(port.bench.history(), ["pi host_joined", "pi host_active", "pi engine_ok", "pi die web"]);

    // Whatever is wanted of it: it does not know, and reports on.
    let change = crate::fleet::HostChange {
        rhythm: crate::fleet::Rhythm { interval_ms: Some(Some(1000)), ..Default::default() },
        ..Default::default()
    };
    block_on(port.bench.fleet.change_host(&super::by(), "pi", change)).expect("set");
    block_on(port.bench.fleet.rotate_credential(&super::by(), "pi")).expect("asked");
    assert_eq!(ask(&client, "report", &unhex(SECOND_REPORT)), (12, vec![1, 5, 4, 0]), "as it was sent again");
    assert_eq!(ask(&client, "hello", &unhex(HELLO)).0, 4);
    assert_eq!(port.bench.fleet.host("pi").expect("there").state, "active");
}
