//! TCP to the first of several addresses that answers.
//!
//! ureq's own connector gives up on all of them when one fails in a way that it does not expect, such as a kernel
//! without IPv6, and takes them in the order in which the resolver gives them: two dead ones of one kind leave
//! little time for the other kind.

use crate::socket::{Socket, Tcp};
use std::io;
use std::net::SocketAddr;
use ureq::Error;
use ureq::unversioned::transport::time::Duration as Limit;
use ureq::unversioned::transport::{ConnectionDetails, NextTimeout, TransportAdapter};

/// Tries the addresses of `details` in turn, and hands over a stream whose time limit is what is left of the time
/// for connecting. Fails with what is the most telling about them.
pub(crate) fn open(details: &ConnectionDetails) -> Result<Tcp, Error> {
    let addresses = alternate(&details.addrs);
    let mut failed = None;
    for (tried, address) in addresses.iter().enumerate() {
        match Socket::connect(details, *address, share(left_of(details), addresses.len() - tried)) {
            Ok(tcp) => {
                let mut stream = TransportAdapter::new(tcp, details.current_time.clone());
                stream.set_timeout(left_of(details));
                return Ok(stream);
            }
            Err(error) => {
                log::debug!("{address}: {error}");
                // That somebody is there and refuses says more than that a network is missing.
                if failed.is_none() || is_refusal(&error) {
                    failed = Some(error);
                }
            }
        }
    }
    Err(failed.unwrap_or(Error::HostNotFound))
}

/// What is left of the time for connecting.
pub(crate) fn left_of(details: &ConnectionDetails) -> NextTimeout {
    use ureq::unversioned::transport::time::Instant::Exact;
    let mut timeout = details.timeout;
    if let (Limit::Exact(limit), Exact(from), Exact(now)) = (timeout.after, details.now, (details.current_time)()) {
        timeout.after = Limit::Exact(limit.saturating_sub(now.saturating_duration_since(from)));
    }
    timeout
}

/// The time for the next one of `to_try`: half of what is left, or all of it for the last.
pub(crate) fn share(mut left: NextTimeout, to_try: usize) -> NextTimeout {
    if let (Limit::Exact(time), true) = (left.after, to_try > 1) {
        left.after = Limit::Exact(time / 2);
    }
    left
}

/// The same addresses, IPv6 and IPv4 by turns; the resolver's first stays the first.
pub(crate) fn alternate(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let preferred = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let of = |first: bool| addresses.iter().filter(move |one| (one.is_ipv6() == preferred) == first).copied();
    let (mut one, mut other) = (of(true), of(false));
    let mut mixed = Vec::with_capacity(addresses.len());
    while mixed.len() < addresses.len() {
        mixed.extend(one.next());
        mixed.extend(other.next());
    }
    mixed
}

fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::Arc;
    use std::time::Duration;
    use ureq::config::Config;
    use ureq::http::Uri;
    use ureq::unversioned::resolver::{DefaultResolver, Resolver};
    use ureq::unversioned::transport::time::Instant;

    fn open_any_of(addresses: &[SocketAddr]) -> Result<Tcp, Error> {
        let (uri, config, resolver) = (Uri::from_static("https://a:1/"), Config::default(), DefaultResolver::default());
        let mut addrs = resolver.empty();
        addresses.iter().for_each(|address| addrs.push(*address));
        let timeout =
            NextTimeout { after: Limit::from_secs(10), reason: ureq::Timeout::Connect, ..NextTimeout::default() };
        open(&ConnectionDetails {
            uri: &uri,
            addrs,
            config: &config,
            request_level: false,
            resolver: &resolver,
            now: Instant::now(),
            timeout,
            current_time: Arc::new(Instant::now),
            run_connector: Arc::new(|_| Err(Error::ConnectionFailed)),
            register_shutdown: Arc::new(|_| Ok(())),
        })
    }

    #[test]
    fn an_address_that_fails_in_whatever_way_is_not_the_end() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let alive = listener.local_addr().unwrap();
        let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        // No permission to connect to everybody, and no way to a link that is not named.
        let [everybody, nowhere] = ["255.255.255.255:9", "[fe80::1]:9"].map(|text| text.parse().unwrap());
        for addresses in [&[alive][..], &[everybody, alive], &[nowhere, everybody, closed, alive], &[alive, closed]] {
            assert!(open_any_of(addresses).is_ok(), "{addresses:?}");
        }
        for addresses in [&[closed, everybody][..], &[everybody, closed], &[nowhere, closed]] {
            assert!(is_refusal(&open_any_of(addresses).map(drop).unwrap_err()), "{addresses:?}");
        }
        assert!(open_any_of(&[]).is_err());
    }

    #[test]
    fn the_last_address_has_all_the_time_that_is_left() {
        let left = NextTimeout { after: Limit::from_secs(8), reason: ureq::Timeout::Connect, ..NextTimeout::default() };
        assert_eq!([3, 2, 1].map(|to_try| *share(left, to_try).after), [4, 4, 8].map(Duration::from_secs));
    }

    #[test]
    fn both_kinds_of_addresses_get_their_turn() {
        let list = |texts: &[&str]| -> Vec<SocketAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        let found = list(&["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1"]);
        assert_eq!(alternate(&found), list(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "[::3]:1"]));
        let found = list(&["10.0.0.1:1", "10.0.0.2:1", "[::1]:1"]);
        assert_eq!(alternate(&found), list(&["10.0.0.1:1", "[::1]:1", "10.0.0.2:1"]));
        assert_eq!(alternate(&[]), []);
    }
}
