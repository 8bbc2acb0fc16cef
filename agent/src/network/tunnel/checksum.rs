//! The checksum of IP, TCP and UDP.

/// Adds bytes to a sum that is not folded yet. Only the last ones of a sum may be of odd number.
pub fn add(sum: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    // Of the machine's order: folded and swapped at the end, it is the same sum.
    let sum = words.iter().fold(sum, |sum, word| sum + u64::from(u32::from_ne_bytes(*word)));
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    sum + u64::from(u32::from_ne_bytes(last))
}

/// The sum in 16 bits, as bytes of a packet.
pub fn fold(mut sum: u64) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (sum as u16).to_ne_bytes()
}

/// What stands in a packet: the complement.
pub fn finish(sum: u64) -> [u8; 2] {
    fold(sum).map(|byte| !byte)
}

/// Of what TCP and UDP sum up of an IPv4 header, with the length of what follows that header.
pub fn pseudo(header: &[u8], length: usize) -> u64 {
    let addresses = header.get(12..20).unwrap_or_default();
    let protocol = header.get(9).copied().unwrap_or_default();
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    add(add(0, addresses), &[0, protocol, length[0], length[1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_known_header() {
        let header = [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];
        assert_eq!(finish(add(0, &header)), [0xb8, 0x61]);
    }

    #[test]
    fn of_an_odd_number_of_bytes() {
        assert_eq!(finish(add(0, &[1, 2, 3])), finish(add(0, &[1, 2, 3, 0])));
        assert_eq!(fold(add(add(0, &[0xff, 0xff]), &[0, 1])), [0, 1]);
    }
}
