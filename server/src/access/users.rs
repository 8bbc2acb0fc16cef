//! Users: who signs in with a password. No I/O and no clock.
//!
//! As with tokens, nothing changes by itself: a row is stored first, and applied then.

use super::AccessError;
use super::tokens::Role;
use crate::store::{PasswordRow, UserRow};
use std::collections::BTreeMap;

/// Users at one time.
const USERS: usize = 1_000;

/// Characters of a user's name.
const NAME: usize = 64;

/// All users.
#[derive(Debug, Default)]
pub struct Users {
    rows: BTreeMap<String, UserRow>,
}

impl Users {
    /// As they are stored.
    pub fn new(rows: Vec<UserRow>) -> Users {
        Users { rows: rows.into_iter().map(|row| (row.name.clone(), row)).collect() }
    }

    /// A new user, to be stored and then applied.
    ///
    /// # Errors
    /// The name is none, or there are too many. That a name is taken is the caller's to say.
    pub fn make(&self, name: &str, role: Role, password: PasswordRow, now_ms: i64) -> Result<UserRow, AccessError> {
        check_name(name)?;
        if self.rows.len() >= USERS {
            return Err(AccessError::new(format!(
                "there are {USERS} users already: remove some with `muster user rm`"
            )));
        }
        let role = role.as_str().to_owned();
        Ok(UserRow { name: name.to_owned(), role, password, created_ms: now_ms, password_ms: now_ms })
    }

    /// Takes over a row that has been stored.
    pub fn apply(&mut self, row: UserRow) {
        self.rows.insert(row.name.clone(), row);
    }

    /// Removes a user whose end has been stored.
    pub fn remove(&mut self, name: &str) {
        self.rows.remove(name);
    }

    /// The user with this name.
    pub fn get(&self, name: &str) -> Option<&UserRow> {
        self.rows.get(name)
    }

    /// All, by name.
    pub fn list(&self) -> impl Iterator<Item = &UserRow> {
        self.rows.values()
    }
}

/// Whether somebody can be called so.
///
/// # Errors
/// What a name is made of.
pub fn check_name(name: &str) -> Result<(), AccessError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
    if (1..=NAME).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    let what = format!("a user's name has 1 to {NAME} letters, digits, '.', '_', '-', '@' and '+'");
    Err(AccessError::new(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::samples;

    #[test]
    fn names() {
        for good in ["a", "ada", "Ada.Lovelace+x@example.org", &"a".repeat(NAME)] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", "a b", "a/b", "é", "a\n", &"a".repeat(NAME + 1)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn there_are_not_endlessly_many() {
        let mut users = Users::default();
        for n in 0..USERS {
            users.apply(samples::user(&n.to_string()));
        }
        let password = samples::user("x").password;
        assert!(users.make("x", Role::Viewer, password.clone(), 0).is_err());
        users.remove("7");
        let row = users.make("x", Role::Viewer, password, 5).expect("there is room");
        assert_eq!((row.role.as_str(), row.created_ms), ("viewer", 5));
    }
}
