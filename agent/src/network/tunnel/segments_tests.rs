use super::*;

/// A TCP segment with right checksums.
fn segment(sequence: u32, content: &[u8], flags: u8) -> Vec<u8> {
    let length = 40 + content.len();
    let mut packet = vec![0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, PROTOCOL_TCP, 0, 0, 10, 42, 0, 2, 10, 42, 1, 2];
    packet.extend([0x12, 0x34, 0, 80]);
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 7, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    packet.extend(content);
    packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
    let sum = finish(add(0, &packet[..20]));
    packet[10..12].copy_from_slice(&sum);
    let sum = finish(add(pseudo(&packet, length - 20), &packet[20..]));
    packet[36..38].copy_from_slice(&sum);
    packet
}

fn joined(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let (mut joiner, mut written) = (Joiner::default(), Vec::new());
    for packet in packets {
        joiner.push(packet, |bytes| written.push(bytes.to_vec()));
    }
    joiner.flush(|bytes| written.push(bytes.to_vec()));
    written
}

fn taken_apart(mut buffer: Vec<u8>) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    assert!(split(&mut buffer, &mut [0; 2048], |packet| packets.push(packet.to_vec())));
    packets
}

/// As the kernel gives them: with one number more each.
fn numbered(mut packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    for (packet, number) in packets.iter_mut().zip(1u16..) {
        packet[4..6].copy_from_slice(&number.to_be_bytes());
        packet[10..12].fill(0);
        let sum = finish(add(0, &packet[..20]));
        packet[10..12].copy_from_slice(&sum);
    }
    packets
}

#[test]
fn what_was_joined_is_taken_apart_as_it_was() {
    let content: Vec<u8> = (0..5_001u32).map(|number| number as u8).collect();
    let parts = content.chunks(1240).enumerate();
    let packets: Vec<_> = parts
        .map(|(at, part)| segment((u32::MAX - 1000).wrapping_add(at as u32 * 1240), part, ACK | ((at as u8 / 4) * PSH)))
        .collect();
    let packets = numbered(packets);
    let written = joined(&packets);
    assert_eq!(written.len(), 1);
    assert_eq!((written[0].len(), written[0][1]), (HEADER + 40 + 5_001, TCP_V4));
    assert_eq!(taken_apart(written[0].clone()), packets);
}

#[test]
fn what_does_not_follow_is_not_joined() {
    let first = segment(1000, &[1; 100], ACK);
    let others = [
        segment(1101, &[2; 100], ACK),
        segment(1100, &[2; 101], ACK),
        segment(1100, &[2; 100], ACK | FIN),
        segment(1100, &[], ACK),
        segment(1100, &[2; 100], ACK | 0x20),
    ];
    for other in others {
        let packets = [first.clone(), other];
        let written: Vec<_> = joined(&packets).into_iter().map(|bytes| bytes[HEADER..].to_vec()).collect();
        assert_eq!(written, packets);
    }
    let mut wrong_sum = segment(1100, &[2; 100], ACK);
    wrong_sum[50] ^= 1;
    assert_eq!(joined(&[first.clone(), wrong_sum]).len(), 2);
    let mut other_window = segment(1100, &[2; 100], ACK);
    (other_window[34], other_window[36]) = (other_window[34] ^ 1, other_window[36] ^ 1);
    assert_eq!(joined(&[first.clone(), other_window]).len(), 2);
    assert_eq!(joined(&[first, segment(1100, &[2; 100], ACK)]).len(), 1);
}

#[test]
fn a_short_or_pushed_segment_is_the_last() {
    let packets = [segment(0, &[1; 100], ACK), segment(100, &[2; 50], ACK), segment(150, &[3; 50], ACK)];
    assert_eq!(joined(&packets).len(), 2);
    let packets = [segment(0, &[1; 100], ACK | PSH), segment(100, &[2; 100], ACK)];
    assert_eq!(joined(&packets).len(), 2);
}

#[test]
fn no_more_than_a_packet_can_be() {
    let packets: Vec<_> = (0..100).map(|at| segment(at * 1240, &[at as u8; 1240], ACK)).collect();
    let written = joined(&packets);
    assert!(written.iter().all(|bytes| bytes.len() <= HEADER + LONGEST));
    assert_eq!(written.len(), 2);
    let back: Vec<_> = written.into_iter().flat_map(taken_apart).map(|packet| packet[40..].to_vec()).collect();
    assert_eq!(back.concat(), packets.iter().flat_map(|packet| packet[40..].to_vec()).collect::<Vec<_>>());
}

#[test]
fn a_missing_checksum_is_filled_in() {
    let right = segment(1, b"content", ACK);
    let mut given = [vec![0; HEADER], right.clone()].concat();
    given[0] = NEEDS_CHECKSUM;
    given[6..10].copy_from_slice(&[20u16.to_ne_bytes(), 16u16.to_ne_bytes()].concat());
    let partial = fold(pseudo(&right, right.len() - 20));
    given[HEADER + 36..HEADER + 38].copy_from_slice(&partial);
    assert_eq!(taken_apart(given), [right]);
}

#[test]
fn noise_is_survived() {
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let whole = joined(&[segment(0, &[1; 100], ACK), segment(100, &[2; 100], ACK)]).remove(0);
    let mut joiner = Joiner::default();
    for _ in 0..20_000 {
        let mut changed = whole.clone();
        for _ in 0..1 + random() % 3 {
            let place = random() % 60;
            changed[place] = random() as u8;
        }
        changed.truncate(random() % (whole.len() + 1));
        split(&mut changed, &mut [0; 2048], |packet| assert!(packet.len() <= 2048));
        joiner.push(changed.get(HEADER..).unwrap_or_default(), |bytes| assert!(bytes.len() <= HEADER + LONGEST));
    }
}
