//! Echoes through the tunnel: asked by this host, answered by the peer's kernel, so that all between the two is proven.

use super::checksum::{add, finish};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// Echoes that are waited for at once.
const LIMIT: usize = 16;
const LENGTH: usize = 20 + 8 + 8;
const ICMP: u8 = 1;
const REQUEST: u8 = 8;

/// Those that are waited for.
#[derive(Default)]
pub struct Echoes {
    waiting: Vec<Waiting>,
}

struct Waiting {
    token: [u8; 8],
    from: u32,
    to: u32,
    since: Instant,
    done: SyncSender<Duration>,
}

impl Echoes {
    /// Makes an echo request from one address to another; `done` gets how long the answer took. `token` is random. None:
    /// too many are waited for.
    pub fn ask(&mut self, from: u32, to: u32, token: [u8; 8], done: SyncSender<Duration>) -> Option<[u8; LENGTH]> {
        self.waiting.retain(|waiting| waiting.since.elapsed() < super::ECHO_LIMIT);
        if self.waiting.len() >= LIMIT {
            return None;
        }
        let mut packet = [0; LENGTH];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&(LENGTH as u16).to_be_bytes());
        (packet[8], packet[9]) = (64, ICMP);
        packet[12..16].copy_from_slice(&from.to_be_bytes());
        packet[16..20].copy_from_slice(&to.to_be_bytes());
        packet[20] = REQUEST;
        packet[24..28].copy_from_slice(&token[..4]);
        packet[28..].copy_from_slice(&token);
        let sum = finish(add(0, &packet[..20]));
        packet[10..12].copy_from_slice(&sum);
        let sum = finish(add(0, &packet[20..]));
        packet[22..24].copy_from_slice(&sum);
        self.waiting.push(Waiting { token, from, to, since: Instant::now(), done });
        Some(packet)
    }

    /// Whether a packet is an answer that is waited for. Then it is not for the kernel.
    pub fn take(&mut self, packet: &[u8]) -> bool {
        if self.waiting.is_empty()
            || packet.len() != LENGTH
            || packet[0] != 0x45
            || (packet[9], packet[20]) != (ICMP, 0)
        {
            return false;
        }
        let is = |waiting: &Waiting| {
            packet[12..16] == waiting.to.to_be_bytes()
                && packet[16..20] == waiting.from.to_be_bytes()
                && packet[28..] == waiting.token
        };
        let Some(at) = self.waiting.iter().position(is) else { return false };
        let waiting = self.waiting.swap_remove(at);
        // Nobody waits any more.
        let _ = waiting.done.try_send(waiting.since.elapsed());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn an_answer_counts_once_and_only_from_the_one_that_was_asked() {
        let mut echoes = Echoes::default();
        let (done, answer) = sync_channel(1);
        let request = echoes.ask(1, 2, [7; 8], done).unwrap();
        assert_eq!(finish(add(0, &request[..20])), [0, 0]);
        assert_eq!(finish(add(0, &request[20..])), [0, 0]);
        assert!(!echoes.take(&request));
        let mut reply = request;
        reply[12..16].copy_from_slice(&2u32.to_be_bytes());
        reply[16..20].copy_from_slice(&1u32.to_be_bytes());
        reply[20] = 0;
        let mut other = reply;
        other[15] = 3;
        assert!(!echoes.take(&other));
        assert!(echoes.take(&reply));
        assert!(answer.try_recv().is_ok());
        assert!(!echoes.take(&reply));
    }

    #[test]
    fn there_are_not_more_than_the_limit() {
        let mut echoes = Echoes::default();
        let (done, _answer) = sync_channel(1);
        for token in 0..LIMIT as u8 {
            assert!(echoes.ask(1, 2, [token; 8], done.clone()).is_some());
        }
        assert!(echoes.ask(1, 2, [99; 8], done).is_none());
    }
}
