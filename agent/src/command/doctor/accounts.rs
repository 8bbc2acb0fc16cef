//! Users and groups of this host, by their files: a host whose users come from elsewhere shows numbers.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Far more than the accounts of a host.
const LIMIT: u64 = 1024 * 1024;

/// What `/etc/passwd` and `/etc/group` say. Empty if they cannot be read.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    pub(super) fn below(root: &Path) -> Accounts {
        let read = |path: &str| {
            let mut bytes = Vec::new();
            let file = File::open(root.join(path)).ok()?;
            file.take(LIMIT).read_to_end(&mut bytes).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        Accounts { passwd: read("etc/passwd").unwrap_or_default(), group: read("etc/group").unwrap_or_default() }
    }

    /// What a user is called: its number, if it has no name here.
    pub(super) fn user(&self, uid: u32) -> String {
        let found = fields(&self.passwd).find(|user| number(user, 2) == Some(uid));
        found.map_or_else(|| uid.to_string(), |user| user[0].to_owned())
    }

    /// What a group is called; `None` if it has no name here.
    pub(super) fn group(&self, gid: u32) -> Option<&str> {
        fields(&self.group).find(|group| number(group, 2) == Some(gid)).map(|group| group[0])
    }

    /// Whether a user is in a group by these files.
    pub(super) fn is_member(&self, uid: u32, gid: u32) -> bool {
        let name = self.user(uid);
        let is_primary =
            fields(&self.passwd).any(|user| number(&user, 2) == Some(uid) && number(&user, 3) == Some(gid));
        let named = |group: &Vec<&str>| group.get(3).is_some_and(|members| members.split(',').any(|one| one == name));
        is_primary || fields(&self.group).any(|group| number(&group, 2) == Some(gid) && named(&group))
    }
}

fn fields(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.trim_end().split(':').collect())
}

fn number(fields: &[&str], at: usize) -> Option<u32> {
    fields.get(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_either_file() {
        let accounts = Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:\nmuster:x:998:120::/:\nbad\n".into(),
            group: "root:x:0:\nann:x:1000:\ndocker:x:120:bob,ann\nbad\n".into(),
        };
        assert_eq!((accounts.user(1000), accounts.user(5)), ("ann".to_owned(), "5".to_owned()));
        assert_eq!((accounts.group(120), accounts.group(5)), (Some("docker"), None));
        assert!(accounts.is_member(1000, 120) && accounts.is_member(998, 120) && accounts.is_member(1000, 1000));
        assert!(!accounts.is_member(0, 120) && !accounts.is_member(5, 120));
        assert!(!Accounts::default().is_member(0, 0));
    }
}
