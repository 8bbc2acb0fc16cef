//! Names of containers, as the domain name system has them.

use super::basis::Basis;
use super::member::Member;
use muster_protocol::id::HostId;
use muster_protocol::limits;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The container's host.
    pub host: HostId,
    /// The host's name as a label.
    pub host_label: String,
    /// The container's name as a label.
    pub name: String,
    /// Its address.
    pub address: u32,
}

/// A name as a label: in lower case, what is no letter, digit or hyphen becomes one, and none stands at an end. `None` if
/// nothing is left, or too much.
pub fn label(name: &str) -> Option<String> {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let label: String = name.chars().map(letter).collect();
    let label = label.trim_matches('-');
    (1..=limits::DNS_LABEL).contains(&label.len()).then(|| label.to_owned())
}

/// Why nobody has a name inside the network by this host's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unnamed {
    /// No label can be made of it.
    Unfit,
    /// The label is that of another host already.
    Taken {
        /// As a label.
        label: String,
        /// The other host's name.
        by: String,
    },
}

impl fmt::Display for Unnamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unnamed::Unfit => write!(
                f,
                "its name makes no label of 1 to {} letters, digits and hyphens; give it another with `muster hosts rename`",
                limits::DNS_LABEL
            ),
            Unnamed::Taken { label, by } => write!(
                f,
                "{label}.muster.internal is {by}, which has been in the network longer; give one of them another name with \
                 `muster hosts rename`"
            ),
        }
    }
}

/// The label of each host. Of hosts whose names make the same, the one that has been in the network longest has it, whether or
/// not it has a place just now: nobody takes over another one's names by what he calls himself.
pub fn hosts(basis: &Basis) -> BTreeMap<HostId, Result<String, Unnamed>> {
    let mut holders: BTreeMap<String, &str> = BTreeMap::new();
    let mut labels = BTreeMap::new();
    for member in basis.members() {
        let found = label(&member.name).ok_or(Unnamed::Unfit).and_then(|label| match holders.get(&label) {
            Some(by) => Err(Unnamed::Taken { label, by: (*by).to_owned() }),
            None => {
                holders.insert(label.clone(), &member.name);
                Ok(label)
            }
        });
        labels.insert(member.host, found);
    }
    labels
}

/// All names, those of the first hosts first: of two containers of a host that would have the same, the first has it. A host
/// without a label has none. Addresses that are not the host's are left out.
pub fn all(basis: &Basis) -> Vec<Name> {
    let mut names = Vec::new();
    let labels = hosts(basis);
    for member in basis.placed() {
        let Some(Ok(host_label)) = labels.get(&member.host) else { continue };
        let mut taken = BTreeSet::new();
        for (name, address) in of(basis, member) {
            if names.len() == limits::NETWORK_NAMES {
                return names;
            }
            if taken.insert(name.clone()) {
                names.push(Name { host: member.host, host_label: host_label.clone(), name, address });
            }
        }
    }
    names
}

fn of<'a>(basis: &'a Basis, member: &'a Member) -> impl Iterator<Item = (String, u32)> + 'a {
    let is_its = |address: u32| member.blocks.iter().any(|index| basis.settings.block(*index).contains(address));
    let joined = member.containers.iter().filter_map(|it| Some((it, *it.joined.as_ref().ok()?)));
    joined.filter(move |(_, address)| is_its(*address)).filter_map(|(it, address)| Some((label(&it.name)?, address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_labels() {
        for (name, wanted) in [
            ("web", Some("web")),
            ("Shop_DB.1", Some("shop-db-1")),
            ("_x_", Some("x")),
            ("Grün", Some("gr-n")),
            ("", None),
            ("__", None),
        ] {
            assert_eq!(label(name).as_deref(), wanted, "{name}");
        }
        assert!(label(&"a".repeat(63)).is_some() && label(&"a".repeat(64)).is_none());
    }
}
