//! Random secrets: made here, shown once, kept as hashes.

use super::AccessError;
use ring::digest::{Context, SHA256};
use std::fmt;

/// The longest secret that is looked at.
pub const LONGEST: usize = 256;

/// The shortest secret that is taken from a file or a person.
pub const SHORTEST: usize = 32;

/// In front of a join token, so that one is recognised where it does not belong.
pub const JOIN_PREFIX: &str = "mj_";

/// In front of an API token and of the admin token.
pub const API_PREFIX: &str = "ma_";

/// In front of the token of a sign-in link.
pub const LINK_PREFIX: &str = "ml_";

/// In front of the secret of a browser's session.
pub const SESSION_PREFIX: &str = "mw_";

/// Random bytes of a join token. It is typed at times, ends within a day, and is checked over the network only.
const JOIN_BYTES: usize = 16;

/// Random bytes of an API token, which may live for years.
const API_BYTES: usize = 32;

/// How many hexadecimal digits an id has.
const ID_DIGITS: usize = 12;

/// A secret in the clear. It is ASCII and can stand in a URL in front of the `@` as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A new join token: 32 hexadecimal digits behind [`JOIN_PREFIX`].
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn join_token() -> Result<Secret, AccessError> {
        Ok(Secret(format!("{JOIN_PREFIX}{}", hex(&random::<JOIN_BYTES>()?))))
    }

    /// A new API token: 64 hexadecimal digits behind [`API_PREFIX`].
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn api_token() -> Result<Secret, AccessError> {
        Ok(Secret(format!("{API_PREFIX}{}", hex(&random::<API_BYTES>()?))))
    }

    /// A new token of a sign-in link: 64 hexadecimal digits behind [`LINK_PREFIX`].
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn link_token() -> Result<Secret, AccessError> {
        Ok(Secret(format!("{LINK_PREFIX}{}", hex(&random::<API_BYTES>()?))))
    }

    /// A new secret of a browser's session: 64 hexadecimal digits behind [`SESSION_PREFIX`].
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn session() -> Result<Secret, AccessError> {
        Ok(Secret(format!("{SESSION_PREFIX}{}", hex(&random::<API_BYTES>()?))))
    }

    /// Takes one that somebody chose: [`SHORTEST`] to [`LONGEST`] letters, digits and `- . _ ~`.
    pub fn parse(text: &str) -> Option<Secret> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        ((SHORTEST..=LONGEST).contains(&text.len()) && text.bytes().all(plain)).then(|| Secret(text.to_owned()))
    }

    /// In the clear: for whoever it was made for, and for no log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What is kept of a secret: its SHA-256. It needs no salt, for nobody can guess 128 random bits.
pub fn hash(secret: &[u8]) -> [u8; 32] {
    sha256(&[secret])
}

/// A number for whoever has the secret with this hash, to count by.
pub fn number(hash: &[u8; 32]) -> u64 {
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Whether two hashes are the same, in a time that does not depend on where they differ.
pub fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let different = a.iter().zip(b).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    std::hint::black_box(different) == 0
}

/// The name of a token: 12 hexadecimal digits that show nothing of it, and that only who has the token can tell.
pub fn id(token: &str) -> String {
    let mut id = hex(&sha256(&[b"muster token id", token.as_bytes()]));
    id.truncate(ID_DIGITS);
    id
}

/// Random bytes from the system.
///
/// # Errors
/// It has none.
pub fn random<const N: usize>() -> Result<[u8; N], AccessError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| AccessError::new(format!("the system gives no random numbers: {error}")))?;
    Ok(bytes)
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// As hexadecimal digits, two for each byte.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_their_length_and_their_characters() {
        let (join, api) = (Secret::join_token().expect("random"), Secret::api_token().expect("random"));
        for (secret, prefix, digits) in [(&join, "mj_", 32), (&api, "ma_", 64)] {
            let rest = secret.expose().strip_prefix(prefix).expect("the prefix");
            assert_eq!(rest.len(), digits);
            assert!(rest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
            assert_eq!(Secret::parse(secret.expose()).as_ref(), Some(secret));
        }
        assert_ne!(join, Secret::join_token().expect("random"));
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::api_token().expect("random");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(..) Some(Secret(..))");
    }

    #[test]
    fn what_cannot_stand_in_a_url_is_no_secret() {
        let good = "a".repeat(SHORTEST);
        assert!(Secret::parse(&good).is_some());
        assert!(Secret::parse(&good[1..]).is_none());
        assert!(Secret::parse(&"a".repeat(LONGEST)).is_some());
        assert!(Secret::parse(&"a".repeat(LONGEST + 1)).is_none());
        for bad in ["@", ":", "/", "%41", " ", "\n", "?", "#", "ä", "'", "\0"] {
            assert!(Secret::parse(&format!("{good}{bad}")).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn hashes_are_known_ones() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&hash(b"abc")), abc);
        assert_eq!(hash(b"muster token idabc")[..6], sha256(&[b"muster token id", b"abc"])[..6]);
    }

    #[test]
    fn an_id_is_frozen_and_shows_nothing() {
        let token = "mj_00112233445566778899aabbccddeeff";
        assert_eq!(id(token), "c40be29cfe08");
        assert!(!hex(&hash(token.as_bytes())).contains(&id(token)));
    }

    #[test]
    fn hashes_that_differ_anywhere_differ() {
        let one = hash(b"one");
        assert!(same(&one, &one.clone()));
        for at in 0..32 {
            for bit in 0..8 {
                let mut other = one;
                other[at] ^= 1 << bit;
                assert!(!same(&one, &other));
            }
        }
    }
}
