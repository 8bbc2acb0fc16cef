//! Generations of certificates: a number that only grows, in the serial number of each serving certificate and of each
//! certificate by which one fleet key vouches for another.
//!
//! The serial is covered by the fleet key's signature, is read by every library, and costs no byte more than the
//! random one that would stand there otherwise. Whoever was told a generation refuses certificates of lower ones:
//! what was served before, and may have been copied since, is worth nothing then, and a key that was replaced because
//! it was stolen is vouched for by nobody.

/// Bytes of a serial number, the most that X.509 allows.
pub const SERIAL: usize = 20;

/// What a serial with a generation begins with. Its first bit is 0: serials are positive.
const MARK: [u8; 4] = *b"MusG";
const NUMBER: usize = MARK.len() + 8;

/// The serial number of a certificate of this generation; `random` tells it from others of its generation.
pub fn to_serial(generation: u64, random: [u8; 8]) -> [u8; SERIAL] {
    let mut serial = [0; SERIAL];
    serial[..MARK.len()].copy_from_slice(&MARK);
    serial[MARK.len()..NUMBER].copy_from_slice(&generation.to_be_bytes());
    serial[NUMBER..].copy_from_slice(&random);
    serial
}

/// The generation in a certificate's serial number; 0 if there is none.
pub fn of_serial(serial: &[u8]) -> u64 {
    let number = serial.strip_prefix(&MARK).filter(|_| serial.len() == SERIAL);
    let number = number.and_then(|rest| rest.first_chunk::<8>());
    number.map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_other_serials_have_none() {
        for generation in [0, 1, 7, 1 << 20, u64::MAX] {
            let serial = to_serial(generation, [0xff; 8]);
            assert_eq!(of_serial(&serial), generation);
            assert!(serial[0] < 0x80, "it is positive");
            assert_eq!(of_serial(&serial[..SERIAL - 1]), 0);
            assert_eq!(of_serial(&[&serial[..], &[0]].concat()), 0);
        }
        assert_eq!(of_serial(&[]), 0);
        assert_eq!(of_serial(&[0xff; SERIAL]), 0);
    }
}
