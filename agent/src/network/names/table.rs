//! All names, small: four thousand of them are some hundred kilobytes.

use super::Name;
use muster_protocol::limits;

/// Names by their text, in order.
#[derive(Debug, Default)]
pub struct Table {
    /// All labels, in small letters, one behind the other.
    text: Box<str>,
    /// By container's name, then by host's.
    entries: Box<[Entry]>,
    /// Where a host's label is, each once, in order.
    hosts: Box<[Label]>,
}

/// A label's place in the text.
#[derive(Debug, Clone, Copy)]
struct Label {
    at: u32,
    length: u8,
}

#[derive(Debug)]
struct Entry {
    name: Label,
    host: Label,
    address: u32,
}

impl Table {
    /// Takes names in any order. What is no label, and what is more than a host may hold, is left out.
    pub fn new(mut names: Vec<Name>) -> Table {
        names.retain(|name| is_label(&name.name) && is_label(&name.host_label));
        for name in &mut names {
            name.name.make_ascii_lowercase();
            name.host_label.make_ascii_lowercase();
        }
        names.sort_unstable_by(|a, b| (&a.name, &a.host_label, a.address).cmp(&(&b.name, &b.host_label, b.address)));
        names.dedup();
        names.truncate(limits::NETWORK_NAMES);
        let mut text = String::new();
        let mut put = |label: &str| {
            let place = Label { at: text.len() as u32, length: label.len() as u8 };
            text.push_str(label);
            place
        };
        let mut hosts: Vec<&str> = names.iter().map(|name| name.host_label.as_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let places: Vec<Label> = hosts.iter().map(|host| put(host)).collect();
        let mut last: Option<(&str, Label)> = None;
        let mut entries = Vec::with_capacity(names.len());
        for name in &names {
            // Names of several hosts are kept once.
            let label = last.filter(|(text, _)| *text == name.name).map_or_else(|| put(&name.name), |(_, label)| label);
            last = Some((&name.name, label));
            let Ok(host) = hosts.binary_search(&name.host_label.as_str()) else { continue };
            entries.push(Entry { name: label, host: places[host], address: name.address });
        }
        Table { text: text.into(), entries: entries.into(), hosts: places.into() }
    }

    /// The addresses of a name on all hosts. Its letters may be large ones.
    pub fn of_name(&self, name: &[u8]) -> impl Iterator<Item = u32> + Clone {
        self.named(name).iter().map(|entry| entry.address)
    }

    /// Those on one host.
    pub fn of_name_and_host(&self, name: &[u8], host: &[u8]) -> impl Iterator<Item = u32> + Clone {
        let on_host = move |entry: &&Entry| self.text(entry.host).eq_ignore_ascii_case(host);
        self.named(name).iter().filter(on_host).map(|entry| entry.address)
    }

    /// Whether there is a name on this host.
    pub fn has_host(&self, host: &[u8]) -> bool {
        let host = host.to_ascii_lowercase();
        self.hosts.binary_search_by(|label| self.text(*label).cmp(&host)).is_ok()
    }

    fn named(&self, name: &[u8]) -> &[Entry] {
        let name = name.to_ascii_lowercase();
        let from = self.entries.partition_point(|entry| self.text(entry.name) < &name[..]);
        let to = self.entries.partition_point(|entry| self.text(entry.name) <= &name[..]);
        &self.entries[from..to]
    }

    fn text(&self, label: Label) -> &[u8] {
        let at = label.at as usize;
        &self.text.as_bytes()[at..at + usize::from(label.length)]
    }
}

/// Whether a text can be a label: the server makes them of letters, digits and hyphens.
fn is_label(text: &str) -> bool {
    (1..=limits::DNS_LABEL).contains(&text.len()) && text.is_ascii() && !text.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str, host: &str, address: u32) -> Name {
        Name { name: name.into(), host_label: host.into(), address }
    }

    #[test]
    fn names_are_found_whatever_their_letters_and_order() {
        let table = Table::new(vec![name("web", "pi-2", 3), name("DB", "pi-1", 1), name("web", "PI-1", 2)]);
        assert_eq!(table.of_name(b"WEB").collect::<Vec<_>>(), [2, 3]);
        assert_eq!(table.of_name(b"db").collect::<Vec<_>>(), [1]);
        assert_eq!(table.of_name(b"we").count() + table.of_name(b"webs").count() + table.of_name(b"").count(), 0);
        assert_eq!(table.of_name_and_host(b"web", b"Pi-2").collect::<Vec<_>>(), [3]);
        assert_eq!(table.of_name_and_host(b"web", b"pi-3").count(), 0);
        assert!(table.has_host(b"PI-1") && table.has_host(b"pi-2") && !table.has_host(b"pi"));
    }

    #[test]
    fn what_is_no_label_or_too_much_is_left_out() {
        let long = "x".repeat(64);
        let table = Table::new(vec![name("", "a", 1), name("a.b", "a", 1), name(&long, "a", 1), name("ä", "a", 1)]);
        assert_eq!(table.entries.len(), 0);
        let many = (0..limits::NETWORK_NAMES as u32 + 10).map(|number| name(&format!("n{number}"), "a", number));
        assert_eq!(Table::new(many.collect()).entries.len(), limits::NETWORK_NAMES);
    }

    #[test]
    fn one_name_on_many_hosts_is_kept_once() {
        let table = Table::new((0..100).map(|host| name("web", &format!("pi-{host}"), host)).collect());
        assert_eq!(table.text.matches("web").count(), 1);
        assert_eq!(table.of_name(b"web").count(), 100);
    }
}
