//! The variables that name a proxy, and those servers that are reached without it.
//!
//! They are read as curl reads them: lowercase names win, an empty value is none, and loopback addresses are
//! proxied like all others unless `NO_PROXY` names them.

use super::Proxy;
use crate::failure::Failure;
use crate::join_string::Address;
use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

/// Longest value of a variable that is read, in bytes.
const VALUE_LIMIT: usize = 16 * 1024;

/// Names in the order in which they count. All requests are HTTPS, so `HTTP_PROXY` is none of them.
const PROXY: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const NO_PROXY: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// What the environment says about proxies. `Debug` shows no values, because they may hold passwords.
#[derive(Clone, Default)]
pub struct Proxies {
    /// The name of the variable that counts, and its value.
    proxy: Option<(&'static str, OsString)>,
    exceptions: Option<(&'static str, OsString)>,
}

impl Proxies {
    /// No proxy at all.
    pub fn none() -> Proxies {
        Proxies::default()
    }

    /// Takes `https_proxy`, `HTTPS_PROXY`, `all_proxy` or `ALL_PROXY`, and `no_proxy` or `NO_PROXY`, from this
    /// process's environment. What is wrong with them is said when they are used.
    pub fn from_environment() -> Proxies {
        Proxies::from_variables(|name| std::env::var_os(name))
    }

    /// The same from any place that has such variables.
    pub fn from_variables(value_of: impl Fn(&str) -> Option<OsString>) -> Proxies {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| Some((*name, value_of(name).filter(|value| !value.is_empty())?)))
        };
        Proxies { proxy: first(&PROXY), exceptions: first(&NO_PROXY) }
    }

    /// Whether a server is reached without a proxy. True also if the variables cannot be read: a request says so.
    pub fn is_direct(&self, server: &Address) -> bool {
        matches!(self.to(server), Ok(None) | Err(_))
    }

    /// The proxy that leads to a server, if there is one. Fails if the variables cannot be read.
    pub(crate) fn to(&self, server: &Address) -> Result<Option<Proxy>, Failure> {
        let Some((name, value)) = &self.proxy else { return Ok(None) };
        if let Some((name, value)) = &self.exceptions
            && is_exception(text(name, value)?, server)
        {
            return Ok(None);
        }
        let proxy = Proxy::parse(name, text(name, value)?);
        proxy.map(Some).map_err(|why| unusable(name, why))
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |variable: &Option<(&'static str, OsString)>| variable.as_ref().map(|(name, _)| *name);
        f.debug_tuple("Proxies").field(&name(&self.proxy)).field(&name(&self.exceptions)).finish()
    }
}

fn text<'a>(name: &str, value: &'a OsString) -> Result<&'a str, Failure> {
    let text = value.to_str().ok_or_else(|| unusable(name, "it is no text"))?;
    if text.len() > VALUE_LIMIT { Err(unusable(name, "it is too long")) } else { Ok(text.trim()) }
}

fn unusable(name: &str, why: &str) -> Failure {
    let form = "HOST:PORT, http://USER:PASSWORD@HOST:PORT or socks5h://HOST:PORT";
    let form = if NO_PROXY.contains(&name) { "names and addresses, separated by commas" } else { form };
    Failure::Unreachable(format!("the variable {name} cannot be used: {why}; set it to {form}, or unset it"))
}

/// Whether `NO_PROXY` names the server. Its parts are separated by commas or white space; those that make no sense
/// are skipped, as everywhere.
fn is_exception(list: &str, server: &Address) -> bool {
    list.split(|c: char| c == ',' || c.is_whitespace()).any(|part| !part.is_empty() && names(part, server))
}

/// `*`, an IP address, a range such as `10.0.0.0/8`, or a domain with all that is below it; a leading dot or `*.`
/// means the same. All but a range may have a port.
fn names(part: &str, server: &Address) -> bool {
    if part == "*" {
        return true;
    }
    let ip = server.ip().map(|ip| ip.to_canonical());
    if let Some((network, bits)) = part.split_once('/') {
        return match (network.parse::<IpAddr>(), bits.parse(), ip) {
            (Ok(network), Ok(bits), Some(ip)) => is_in(network, bits, ip),
            _ => false,
        };
    }
    let (host, port) = split_port(part);
    if port.is_some_and(|port| port != server.port()) {
        return false;
    }
    match (host.parse::<IpAddr>(), ip) {
        (Ok(named), Some(ip)) => named.to_canonical() == ip,
        (Ok(_), None) | (Err(_), Some(_)) => false,
        (Err(_), None) => is_domain_of(host, server.host()),
    }
}

/// An IPv6 address has a port only if it has brackets.
fn split_port(part: &str) -> (&str, Option<u16>) {
    if let Some((host, rest)) = part.strip_prefix('[').and_then(|part| part.split_once(']')) {
        return (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match part.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
        _ => (part, None),
    }
}

fn is_domain_of(domain: &str, host: &str) -> bool {
    let domain = domain.strip_prefix("*.").or(domain.strip_prefix('.')).unwrap_or(domain);
    let (domain, host) = (domain.trim_end_matches('.'), host.trim_end_matches('.'));
    let Some(before) = host.len().checked_sub(domain.len()).filter(|_| !domain.is_empty()) else { return false };
    let ends = host.is_char_boundary(before) && host[before..].eq_ignore_ascii_case(domain);
    ends && (before == 0 || host[..before].ends_with('.'))
}

fn is_in(network: IpAddr, bits: u32, ip: IpAddr) -> bool {
    match (network, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) if bits <= 32 => {
            let host_bits = u32::MAX.checked_shr(bits).unwrap_or(0);
            u32::from(network) | host_bits == u32::from(ip) | host_bits
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) if bits <= 128 => {
            let host_bits = u128::MAX.checked_shr(bits).unwrap_or(0);
            u128::from(network) | host_bits == u128::from(ip) | host_bits
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    fn chosen(variables: &[(&str, &str)]) -> Option<String> {
        proxies(variables).to(&address("a.example:7443")).unwrap().map(|proxy| proxy.to_string())
    }

    #[test]
    fn variables_have_an_order_and_empty_ones_do_not_count() {
        assert_eq!(chosen(&[]), None);
        assert_eq!(chosen(&[("HTTP_PROXY", "p:1"), ("http_proxy", "p:1")]), None);
        assert_eq!(chosen(&[("ALL_PROXY", "p:1")]).unwrap(), "http://p:1");
        assert_eq!(chosen(&[("ALL_PROXY", "p:1"), ("HTTPS_PROXY", "q:1")]).unwrap(), "http://q:1");
        assert_eq!(chosen(&[("HTTPS_PROXY", "p:1"), ("https_proxy", "q:1")]).unwrap(), "http://q:1");
        assert_eq!(chosen(&[("https_proxy", ""), ("all_proxy", "q:1")]).unwrap(), "http://q:1");
        assert_eq!(chosen(&[("ALL_PROXY", "p:1"), ("NO_PROXY", ".example")]), None);
        assert_eq!(chosen(&[("ALL_PROXY", "p:1"), ("NO_PROXY", "*"), ("no_proxy", "b")]).unwrap(), "http://p:1");
    }

    #[test]
    fn exceptions_are_names_addresses_and_ranges() {
        for (list, server, expected) in [
            ("*", "a:1", true),
            ("a.example", "a.example:1", true),
            ("b, a.example ,c", "A.Example:1", true),
            ("b a.example", "a.example:1", true),
            ("example", "a.example:1", true),
            (".example", "a.example:1", true),
            ("*.example", "a.example:1", true),
            ("example.", "a.example:1", true),
            ("ample", "a.example:1", false),
            ("a.example", "example:1", false),
            ("a.example:1", "a.example:1", true),
            ("a.example:2", "a.example:1", false),
            ("127.0.0.1", "127.0.0.1:1", true),
            ("127.0.0.1:2", "127.0.0.1:1", false),
            ("0.0.1", "127.0.0.1:1", false),
            ("localhost", "127.0.0.1:1", false),
            ("10.0.0.0/8", "10.255.0.1:1", true),
            ("10.0.0.0/8", "11.0.0.1:1", false),
            ("10.1.2.3/0", "11.0.0.1:1", true),
            ("10.1.2.3/32", "10.1.2.3:1", true),
            ("10.1.2.3/33", "10.1.2.3:1", false),
            ("fd00::/8", "[fd12::1]:1", true),
            ("fd00::/8", "[fe80::1]:1", false),
            ("::/0", "[fe80::1]:1", true),
            ("::1", "[::1]:1", true),
            ("[::1]", "[::1]:1", true),
            ("[::1]:1", "[::1]:1", true),
            ("[::1]:2", "[::1]:1", false),
            ("::ffff:10.0.0.1", "10.0.0.1:1", true),
            (".", "a:1", false),
            (",,", "a:1", false),
            ("a/b,:,[,*a,é", "a:1", false),
        ] {
            assert_eq!(is_exception(list, &address(server)), expected, "{list} {server}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_and_not_shown() {
        for value in [
            "ftp://hush:hush@p:1",
            "https://hush@p:1",
            "http://hush:hu/sh@p:1",
            "http://hush:hush@p:hush",
            "http://p:0",
            "http://",
            "http://hush@",
            "socks4://hush@p:1",
            "http://a%3Ab:hush@p:1",
            "http://%ff:hush@p:1",
        ] {
            let proxies = proxies(&[("HTTPS_PROXY", value)]);
            let failure = proxies.to(&address("a:1")).unwrap_err();
            assert!(matches!(failure, Failure::Unreachable(_)), "{value}");
            let told = format!("{failure} {proxies:?}");
            assert!(told.contains("HTTPS_PROXY") && !told.contains("hush"), "{told}");
        }
        let long = format!("http://{}", "a".repeat(VALUE_LIMIT));
        assert!(proxies(&[("ALL_PROXY", &long)]).to(&address("a:1")).is_err());
    }
}
