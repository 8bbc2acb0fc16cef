//! Passwords: what is kept of them, and whether one is right. To look takes a moment and much memory on purpose; the
//! caller gives it a thread, and lets one look at a time.

use super::AccessError;
use super::secret::{random, same};
use crate::store::PasswordRow;
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Memory of one look, in KiB: what OWASP names as the least for two passes. One look at a time fits a small server.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over it.
const PASSES: u32 = 2;
/// One processor is enough to be kept from the agents.
const LANES: u32 = 1;

/// The most that a stored row may ask for: a damaged one must not take all memory.
const MEMORY_KIB_MOST: u32 = 256 * 1024;

/// Characters of a password at least. There are no rules about which: long is what helps.
pub const SHORTEST: usize = 10;
/// Bytes of a password at most.
pub const LONGEST: usize = 256;

/// A password in the clear, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// One that somebody typed.
    pub fn new(typed: String) -> Password {
        Password(typed)
    }

    /// In the clear: where it is a token and no password.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it may be somebody's.
    ///
    /// # Errors
    /// It is too short or too long.
    pub fn check(&self) -> Result<(), AccessError> {
        if self.0.chars().count() < SHORTEST {
            return Err(AccessError::new(format!("a password has at least {SHORTEST} characters")));
        }
        if self.0.len() > LONGEST {
            return Err(AccessError::new(format!("a password has at most {LONGEST} bytes")));
        }
        Ok(())
    }

    /// What is kept of it.
    ///
    /// # Errors
    /// The system has no random numbers, or no memory.
    pub fn keep(&self) -> Result<PasswordRow, AccessError> {
        let mut row =
            PasswordRow { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt: random()?, hash: [0; 32] };
        row.hash = derive(&row, &self.0)
            .ok_or_else(|| AccessError::new("the system has no memory to look at a password".to_owned()))?;
        Ok(row)
    }

    /// Whether this is the one. Without a row it never is, and that takes as long.
    pub fn is(&self, kept: Option<&PasswordRow>) -> bool {
        let nobody = PasswordRow { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt: [0; 16], hash: [0; 32] };
        let row = kept.unwrap_or(&nobody);
        if self.0.len() > LONGEST || row.memory_kib > MEMORY_KIB_MOST {
            return false;
        }
        let derived = derive(row, &self.0);
        derived.is_some_and(|hash| same(&hash, &row.hash)) && kept.is_some()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

fn derive(row: &PasswordRow, password: &str) -> Option<[u8; 32]> {
    let params = Params::new(row.memory_kib, row.passes, row.lanes, Some(32)).ok()?;
    let mut hash = [0; 32];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(password.as_bytes(), &row.salt, &mut hash).ok()?;
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    #[test]
    fn only_the_same_password_is_right() {
        let kept = password("correct horse battery").keep().expect("kept");
        assert!(password("correct horse battery").is(Some(&kept)));
        assert!(!password("correct horse batterY").is(Some(&kept)));
        assert!(!password("correct horse battery").is(None));
        assert_ne!(password("correct horse battery").keep().expect("kept"), kept, "each has its own salt");
        assert!(!password(&"x".repeat(LONGEST + 1)).is(Some(&kept)));
    }

    #[test]
    fn what_was_kept_by_other_costs_is_still_right() {
        let mut kept = PasswordRow { memory_kib: 300, passes: 3, lanes: 1, salt: *b"somesalt16bytes!", hash: [0; 32] };
        kept.hash = derive(&kept, "an old password").expect("derived");
        assert!(password("an old password").is(Some(&kept)));
        let greedy = PasswordRow { memory_kib: u32::MAX, ..kept };
        assert!(!password("an old password").is(Some(&greedy)), "a damaged row takes no memory");
    }

    #[test]
    fn short_and_endless_ones_are_refused_and_none_prints() {
        assert!(password("ééééééééé").check().is_err() && password("éééééééééé").check().is_ok());
        assert!(password(&"x".repeat(LONGEST)).check().is_ok() && password(&"x".repeat(LONGEST + 1)).check().is_err());
        let kept = password("correct horse battery").keep().expect("kept");
        assert_eq!(format!("{:?} {kept:?}", password("secret")), "Password(..) PasswordRow(..)");
    }
}
