//! What the maker of an agent says of it, and signs: its name, version, target and content.
//!
//! ```text
//! muster release 1
//! name: muster-agent
//! version: 0.2.0
//! target: armv7-unknown-linux-musleabihf
//! sha256: 64 hexadecimal digits
//! signature: 128 hexadecimal digits
//! ```
//!
//! The signature is Ed25519 over all that stands before its line. `packaging/release.sh` writes it.

use super::version::Version;
use muster_protocol::id::EngineId;
use ring::signature::{ED25519, UnparsedPublicKey};
use std::fmt;

/// The longest text that is read, in bytes: some 300 are usual.
pub const LIMIT: usize = 1024;
const FIRST: &str = "muster release 1";
/// What this program is called in it.
pub const NAME: &str = "muster-agent";
/// Release keys of one build: the one in use, and those that follow it.
const KEYS: usize = 4;

/// What is known of a release. Only [`Manifest::verified`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Newer than what it replaces, if it is to.
    pub version: Version,
    /// What it is built for.
    pub target: String,
    /// Of its content.
    pub sha256: [u8; 32],
}

/// Why a manifest does not count. Prints as part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It is not what `packaging/release.sh` writes.
    Malformed(&'static str),
    /// None of the release keys has signed it.
    Unsigned,
    /// It is of another program than the one that was asked for.
    Name(String, &'static str),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Malformed(why) => write!(f, "its signature file is malformed: {why}"),
            Unfit::Unsigned => f.write_str("the release key of this agent has not signed it"),
            Unfit::Name(name, asked) => write!(f, "it is {name}, and not {asked}"),
        }
    }
}

impl Manifest {
    /// Reads a manifest that one of these keys has signed and that is of the program with this name.
    pub fn verified(text: &[u8], keys: &[ReleaseKey], asked: &'static str) -> Result<Manifest, Unfit> {
        let malformed = Unfit::Malformed;
        let text = std::str::from_utf8(text).map_err(|_| malformed("it is no text"))?;
        let at = text.rfind("signature: ").ok_or(malformed("there is no signature"))?;
        let (signed, last) = text.split_at(at);
        let signature = last.strip_prefix("signature: ").and_then(|last| last.strip_suffix('\n')).and_then(signature);
        let signature = signature.ok_or(malformed("the signature is not a line of 128 hexadecimal digits"))?;
        // Before anything else of it is looked at.
        let is_signed =
            |key: &ReleaseKey| UnparsedPublicKey::new(&ED25519, &key.0).verify(signed.as_bytes(), &signature).is_ok();
        if !keys.iter().any(is_signed) {
            return Err(Unfit::Unsigned);
        }
        let mut lines = signed.strip_suffix('\n').unwrap_or(signed).split('\n');
        if lines.next() != Some(FIRST) {
            return Err(malformed("it is of another kind than this agent knows"));
        }
        let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(": ");
        let name = value("name").ok_or(malformed("the name is missing"))?;
        let version = value("version").ok_or(malformed("the version is missing"))?;
        let target = value("target").ok_or(malformed("the target is missing"))?;
        let sha256 = value("sha256").and_then(digits).ok_or(malformed("the hash is not 64 hexadecimal digits"))?;
        if lines.next().is_some() {
            return Err(malformed("there is more in it than belongs there"));
        }
        if name != asked {
            return Err(Unfit::Name(crate::command::exit::one_line(name, 60), asked));
        }
        Ok(Manifest { version: version.parse().map_err(malformed)?, target: target.to_string(), sha256 })
    }
}

/// The public half of what signs releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseKey([u8; 32]);

impl ReleaseKey {
    /// Those of a list that is separated by commas, each of 64 lowercase hexadecimal digits; `None` if it is no such list.
    pub fn list(text: &str) -> Option<Vec<ReleaseKey>> {
        let keys: Vec<_> = text.split(',').map(|key| digits(key.trim()).map(ReleaseKey)).collect::<Option<_>>()?;
        (keys.len() <= KEYS).then_some(keys)
    }
}

fn digits(text: &str) -> Option<[u8; 32]> {
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    EngineId::parse(text).filter(|_| is_lower && text.len() == 64).map(|id| id.0)
}

fn signature(text: &str) -> Option<[u8; 64]> {
    let (first, second) = text.split_at_checked(64)?;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&digits(first)?);
    signature[32..].copy_from_slice(&digits(second)?);
    Some(signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{Ed25519KeyPair, KeyPair};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A key of this number, and its public half as a build has it.
    fn key(number: u8) -> (Ed25519KeyPair, String) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap();
        let public = hex(pair.public_key().as_ref());
        (pair, public)
    }

    fn sign(pair: &Ed25519KeyPair, text: &str) -> Vec<u8> {
        format!("{text}signature: {}\n", hex(pair.sign(text.as_bytes()).as_ref())).into_bytes()
    }

    fn text() -> String {
        let sha256 = "0a".repeat(32);
        format!("{FIRST}\nname: muster-agent\nversion: 0.2.0\ntarget: x86_64-unknown-linux-musl\nsha256: {sha256}\n")
    }

    #[test]
    fn what_a_release_key_has_signed_is_read() {
        let ((first, one), (second, two)) = (key(1), key(2));
        let keys = ReleaseKey::list(&format!("{one}, {two}")).unwrap();
        for pair in [&first, &second] {
            let manifest = Manifest::verified(&sign(pair, &text()), &keys, NAME).unwrap();
            assert_eq!((manifest.version.to_string().as_str(), manifest.sha256), ("0.2.0", [10; 32]));
            assert_eq!(manifest.target, "x86_64-unknown-linux-musl");
        }
        let (_, three) = key(3);
        let others = ReleaseKey::list(&three).unwrap();
        assert_eq!(Manifest::verified(&sign(&first, &text()), &others, NAME), Err(Unfit::Unsigned));
        assert_eq!(Manifest::verified(&sign(&first, &text()), &[], NAME), Err(Unfit::Unsigned));
    }

    #[test]
    fn no_byte_of_it_can_be_changed() {
        let (pair, public) = key(1);
        let keys = ReleaseKey::list(&public).unwrap();
        let good = sign(&pair, &text());
        assert!(Manifest::verified(&good, &keys, NAME).is_ok());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(Manifest::verified(&bad, &keys, NAME).is_err(), "byte {at}");
            assert!(Manifest::verified(&good[..at], &keys, NAME).is_err(), "{at} bytes");
        }
        let more = [&good[..], b"x"].concat();
        assert!(Manifest::verified(&more, &keys, NAME).is_err());
    }

    #[test]
    fn a_signature_on_something_else_is_none_on_an_agent() {
        let (pair, public) = key(1);
        let keys = ReleaseKey::list(&public).unwrap();
        let of = |text: &str| Manifest::verified(&sign(&pair, text), &keys, NAME);
        assert_eq!(of(&text().replace("muster-agent", "muster")), Err(Unfit::Name("muster".into(), NAME)));
        for wrong in [
            text().replace(FIRST, "muster release 2"),
            text().replace("version: 0.2.0", "version: new"),
            text().replace("version: 0.2.0\n", ""),
            text().replace("sha256: 0a", "sha256: 0A"),
            format!("{}more: x\n", text()),
            String::new(),
        ] {
            assert!(matches!(of(&wrong), Err(Unfit::Malformed(_))), "{wrong}");
        }
    }

    #[test]
    fn release_keys_are_hexadecimal_digits() {
        let (_, public) = key(1);
        for bad in ["", ",", "x", &public[1..], &format!("{public},"), &[public.as_str(); 5].join(",")] {
            assert_eq!(ReleaseKey::list(bad), None, "{bad}");
        }
    }
}
