//! The column PORTS, as Docker renders it.

use crate::api::types::Port;
use std::net::Ipv6Addr;

/// Ports that follow each other and are published as themselves are shown as a range; those that are published as
/// others stand alone at the end.
pub fn render(ports: &[Port]) -> String {
    let mut sorted: Vec<&Port> = ports.iter().collect();
    sorted.sort_by_key(|port| (port.private, &port.address, port.public, &port.protocol));
    let mut done: Vec<String> = Vec::new();
    let mut open: Vec<Range<'_>> = Vec::new();
    let mut mapped: Vec<String> = Vec::new();
    for port in sorted {
        let address = port.address.as_deref();
        match (address, port.public) {
            (Some(address), Some(public)) if public != port.private => {
                mapped.push(format!("{}:{public}->{}/{}", bracketed(address), port.private, port.protocol));
                continue;
            }
            _ => {}
        }
        let same = open.iter_mut().find(|range| range.address == address && range.protocol == port.protocol);
        let next = Range { address, protocol: &port.protocol, first: port.private, last: port.private };
        match same {
            Some(range) if range.last == port.private => {}
            Some(range) if range.last.checked_add(1) == Some(port.private) => range.last = port.private,
            Some(range) => done.push(std::mem::replace(range, next).render()),
            None => open.push(next),
        }
    }
    done.extend(open.iter().map(Range::render));
    done.extend(mapped);
    done.join(", ")
}

/// Ports without a hole between them.
struct Range<'a> {
    address: Option<&'a str>,
    protocol: &'a str,
    first: u16,
    last: u16,
}

impl Range<'_> {
    fn render(&self) -> String {
        let span =
            if self.first == self.last { self.first.to_string() } else { format!("{}-{}", self.first, self.last) };
        match self.address {
            Some(address) => format!("{}:{span}->{span}/{}", bracketed(address), self.protocol),
            None => format!("{span}/{}", self.protocol),
        }
    }
}

fn bracketed(address: &str) -> String {
    if address.parse::<Ipv6Addr>().is_ok() { format!("[{address}]") } else { address.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(address: Option<&str>, public: Option<u16>, private: u16, protocol: &str) -> Port {
        Port { private, public, address: address.map(String::from), protocol: protocol.into() }
    }

    #[test]
    fn ports_are_rendered_as_docker_renders_them() {
        let all = Some("0.0.0.0");
        for (ports, expected) in [
            (vec![], ""),
            (vec![port(None, None, 80, "tcp")], "80/tcp"),
            (
                vec![port(all, Some(8080), 80, "tcp"), port(Some("::"), Some(8080), 80, "tcp")],
                "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
            ),
            (vec![port(all, Some(80), 80, "tcp"), port(None, None, 443, "tcp")], "0.0.0.0:80->80/tcp, 443/tcp"),
            (
                vec![port(None, None, 8002, "tcp"), port(None, None, 8001, "tcp"), port(None, None, 8000, "tcp")],
                "8000-8002/tcp",
            ),
            (
                vec![port(None, None, 1, "tcp"), port(None, None, 3, "tcp"), port(None, None, 3, "udp")],
                "1/tcp, 3/tcp, 3/udp",
            ),
            (
                vec![port(all, Some(9), 9, "tcp"), port(all, Some(10), 10, "tcp"), port(all, Some(99), 11, "tcp")],
                "0.0.0.0:9-10->9-10/tcp, 0.0.0.0:99->11/tcp",
            ),
            (vec![port(None, None, 65535, "udp")], "65535/udp"),
        ] {
            assert_eq!(render(&ports), expected);
        }
    }
}
