//! What an operator hands to a new host, in one line:
//! `muster://TOKEN@HOST:PORT?pin=sha256:HEX[&pin=..][&addr=HOST:PORT..][&gen=NUMBER]`.
//!
//! Unknown parameters are skipped, so that a later server can add some without cutting off older agents.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Longest join string in bytes. Four pins and four addresses of the longest names fit.
pub const TEXT_LIMIT: usize = 2048;
/// Longest token in bytes.
pub const TOKEN_LIMIT: usize = 256;
/// Pins of one join string: a fleet key, its backup, and both successors during a rotation.
pub const PINS: usize = 4;
/// Addresses of one join string, the one before the `?` included.
pub const ADDRESSES: usize = 4;
/// Longest host name in bytes, as DNS has it.
const HOST_LIMIT: usize = 253;

const SCHEME: &str = "muster://";
const PIN_PREFIX: &str = "sha256:";

/// Where a server listens: a DNS name or an IP address, and a port.
///
/// Reads and prints `HOST:PORT`, an IPv6 address in brackets: `[2001:db8::1]:7443`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// From its parts; `host` without brackets.
    pub fn new(host: &str, port: u16) -> Result<Address, JoinStringError> {
        let host = match host.parse::<Ipv6Addr>() {
            Ok(address) => address.to_string(),
            Err(_) if is_host_name(host) => host.to_string(),
            Err(_) => return Err(JoinStringError::Host),
        };
        Ok(Address { host, port })
    }

    /// The name or IP address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port. 0 can be written, and means that the system chooses one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host with another port.
    pub fn with_port(mut self, port: u16) -> Address {
        self.port = port;
        self
    }

    /// The IP address, if the host is one and not a name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

fn is_host_name(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !host.is_empty() && host.len() <= HOST_LIMIT && host.bytes().all(allowed)
}

impl FromStr for Address {
    type Err = JoinStringError;

    fn from_str(text: &str) -> Result<Address, JoinStringError> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(JoinStringError::Host)?;
                host.parse::<Ipv6Addr>().map_err(|_| JoinStringError::Host)?;
                (host, port.strip_prefix(':').ok_or(JoinStringError::Port)?)
            }
            None => {
                let (host, port) = text.rsplit_once(':').ok_or(JoinStringError::Port)?;
                // More colons are an IPv6 address whose brackets are missing: where it ends can only be guessed.
                if host.contains(':') {
                    return Err(JoinStringError::Host);
                }
                (host, port)
            }
        };
        // `parse` alone would take a sign.
        if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(JoinStringError::Port);
        }
        Address::new(host, port.parse().map_err(|_| JoinStringError::Port)?)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// What a server is recognised by: the SHA-256 of a public key, as certificates carry it (SubjectPublicKeyInfo).
///
/// Reads and prints `sha256:` and 64 lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pin(pub [u8; 32]);

impl Pin {
    /// The pin of a public key in the DER form of a SubjectPublicKeyInfo.
    pub fn of_public_key(spki_der: &[u8]) -> Pin {
        let mut pin = [0; 32];
        pin.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, spki_der).as_ref());
        Pin(pin)
    }
}

impl Pin {
    /// As curl's `--pinnedpubkey` has it behind `sha256//`.
    pub fn base64(&self) -> String {
        BASE64_STANDARD.encode(self.0)
    }
}

impl FromStr for Pin {
    type Err = JoinStringError;

    fn from_str(text: &str) -> Result<Pin, JoinStringError> {
        let hex = text.strip_prefix(PIN_PREFIX).ok_or(JoinStringError::Pin)?.as_bytes();
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(JoinStringError::Pin),
        };
        let mut pin = [0; 32];
        if hex.len() != 2 * pin.len() {
            return Err(JoinStringError::Pin);
        }
        for (byte, pair) in pin.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Pin(pin))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PIN_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A join string, taken apart. `Debug` hides the token; `Display` prints the whole string.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinString {
    /// What the server lets a host join by. A secret; only the server judges it.
    pub token: String,
    /// Where the server may be reached: one to [`ADDRESSES`].
    pub addresses: Vec<Address>,
    /// What the server is recognised by, any one of them: one to [`PINS`].
    pub pins: Vec<Pin>,
    /// The least [generation](crate::generation) of its certificates; 0: any.
    pub generation: u64,
}

/// The part of a join string that is wrong. The message never repeats any of its text, which may be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinStringError {
    /// It does not begin with `muster://`.
    Scheme,
    /// It is longer than [`TEXT_LIMIT`].
    TooLong,
    /// Empty, too long, missing its `@`, or with characters that no token has.
    Token,
    /// Neither a DNS name nor an IP address.
    Host,
    /// Missing or not a number up to 65535.
    Port,
    /// Not `sha256:` and 64 lowercase hexadecimal digits.
    Pin,
    /// There is none.
    NoPin,
    /// More than [`PINS`].
    TooManyPins,
    /// More than [`ADDRESSES`].
    TooManyAddresses,
    /// Not a number.
    Generation,
    /// A parameter without `=`.
    Parameter,
}

impl fmt::Display for JoinStringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("it does not begin with muster://"),
            Self::TooLong => write!(f, "it is longer than {TEXT_LIMIT} bytes"),
            Self::Token => f.write_str("its token (between muster:// and @) is missing or malformed"),
            Self::Host => f.write_str("a host is neither a name nor an IP address (IPv6 needs brackets: [::1]:7443)"),
            Self::Port => f.write_str("a port is missing or not a number up to 65535 (HOST:PORT)"),
            Self::Pin => f.write_str("a pin is not sha256: and 64 lowercase hexadecimal digits"),
            Self::NoPin => f.write_str("it has no pin (?pin=sha256:...): in a shell, put the join string in quotes"),
            Self::TooManyPins => write!(f, "it has more than {PINS} pins"),
            Self::TooManyAddresses => write!(f, "it has more than {ADDRESSES} addresses"),
            Self::Generation => f.write_str("its generation (gen=) is not a number"),
            Self::Parameter => f.write_str("a parameter after ? is not of the form name=value"),
        }
    }
}

impl std::error::Error for JoinStringError {}

fn is_token(token: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    !token.is_empty() && token.len() <= TOKEN_LIMIT && token.bytes().all(allowed)
}

fn joinable(text: &str) -> Result<Address, JoinStringError> {
    let address: Address = text.parse()?;
    // A port for the system to choose cannot be dialled.
    if address.port == 0 { Err(JoinStringError::Port) } else { Ok(address) }
}

impl FromStr for JoinString {
    type Err = JoinStringError;

    /// White space around it is skipped: it often comes from a file or a pipe.
    fn from_str(text: &str) -> Result<JoinString, JoinStringError> {
        let text = text.trim();
        if text.len() > TEXT_LIMIT {
            return Err(JoinStringError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(JoinStringError::Scheme)?;
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (token, address) = authority.rsplit_once('@').ok_or(JoinStringError::Token)?;
        if !is_token(token) {
            return Err(JoinStringError::Token);
        }
        let mut addresses = vec![joinable(address.strip_suffix('/').unwrap_or(address))?];
        let mut pins = Vec::new();
        let mut generation = 0;
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=').ok_or(JoinStringError::Parameter)? {
                ("pin", pin) => add(&mut pins, pin.parse()?, PINS, JoinStringError::TooManyPins)?,
                ("addr", address) => {
                    add(&mut addresses, joinable(address)?, ADDRESSES, JoinStringError::TooManyAddresses)?
                }
                ("gen", number) => generation = number.parse().map_err(|_| JoinStringError::Generation)?,
                _ => {}
            }
        }
        if pins.is_empty() {
            return Err(JoinStringError::NoPin);
        }
        Ok(JoinString { token: token.to_string(), addresses, pins, generation })
    }
}

/// Adds what is not there yet, up to a limit.
fn add<T: PartialEq>(list: &mut Vec<T>, item: T, limit: usize, full: JoinStringError) -> Result<(), JoinStringError> {
    if list.contains(&item) {
        return Ok(());
    }
    if list.len() == limit {
        return Err(full);
    }
    list.push(item);
    Ok(())
}

impl fmt::Display for JoinString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}@", self.token)?;
        if let Some(address) = self.addresses.first() {
            write!(f, "{address}")?;
        }
        let mut separator = '?';
        for pin in &self.pins {
            write!(f, "{separator}pin={pin}")?;
            separator = '&';
        }
        for address in self.addresses.iter().skip(1) {
            write!(f, "{separator}addr={address}")?;
            separator = '&';
        }
        if self.generation > 0 {
            write!(f, "{separator}gen={}", self.generation)?;
        }
        Ok(())
    }
}

impl fmt::Debug for JoinString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinString")
            .field("token", &"(hidden)")
            .field("addresses", &self.addresses)
            .field("pins", &self.pins)
            .field("generation", &self.generation)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn parse(text: &str) -> Result<JoinString, JoinStringError> {
        text.replace("HEX", HEX).parse()
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        let other = HEX.replace('0', "a");
        for text in [
            "muster://tok-EN_9@fleet.example:7443?pin=sha256:HEX",
            "muster://t@192.0.2.7:1?pin=sha256:HEX",
            "muster://t@[2001:db8::1]:65535?pin=sha256:HEX&pin=sha256:OTHER&addr=b:1&addr=[::1]:2",
            "muster://t@a:1?pin=sha256:HEX&addr=b:1&gen=7",
        ] {
            let text = text.replace("OTHER", &other);
            let parsed = parse(&text).unwrap();
            assert_eq!(parsed.to_string(), text.replace("HEX", HEX));
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
    }

    #[test]
    fn parts_come_out_in_order_and_unknown_ones_are_skipped() {
        let join = parse(" muster://t@a:1?x=y&pin=sha256:HEX&later=1%20&addr=b:2&addr=b:2&addr=[::1]:3\n").unwrap();
        assert_eq!(join.token, "t");
        let addresses: Vec<String> = join.addresses.iter().map(Address::to_string).collect();
        assert_eq!(addresses, ["a:1", "b:2", "[::1]:3"]);
        assert_eq!(join.pins, [format!("sha256:{HEX}").parse().unwrap()]);
        assert_eq!(join.addresses[2].ip(), Some("::1".parse().unwrap()));
        assert_eq!(join.addresses[0].ip(), None);
        assert_eq!(parse("muster://t@a:1/?pin=sha256:HEX").unwrap().addresses[0].to_string(), "a:1");
    }

    #[test]
    fn the_wrong_part_is_named() {
        use JoinStringError::*;
        for (text, error) in [
            ("", Scheme),
            ("https://t@a:1?pin=sha256:HEX", Scheme),
            ("muster://a:1?pin=sha256:HEX", Token),
            ("muster://@a:1?pin=sha256:HEX", Token),
            ("muster://to ken@a:1?pin=sha256:HEX", Token),
            ("muster://t@a?pin=sha256:HEX", Port),
            ("muster://t@a:?pin=sha256:HEX", Port),
            ("muster://t@a:+1?pin=sha256:HEX", Port),
            ("muster://t@a:0?pin=sha256:HEX", Port),
            ("muster://t@a:65536?pin=sha256:HEX", Port),
            ("muster://t@[::1]?pin=sha256:HEX", Port),
            ("muster://t@:1?pin=sha256:HEX", Host),
            ("muster://t@::1:1?pin=sha256:HEX", Host),
            ("muster://t@[::1:1?pin=sha256:HEX", Host),
            ("muster://t@[a]:1?pin=sha256:HEX", Host),
            ("muster://t@a/b:1?pin=sha256:HEX", Host),
            ("muster://t@a:1", NoPin),
            ("muster://t@a:1?later=1", NoPin),
            ("muster://t@a:1?pin=sha256:HEX&gen=x", Generation),
            ("muster://t@a:1?pin", Parameter),
            ("muster://t@a:1?pin=HEX", Pin),
            ("muster://t@a:1?pin=sha256:HEX0", Pin),
            ("muster://t@a:1?pin=sha1:HEX", Pin),
            ("muster://t@a:1?pin=sha256:HEX&addr=b", Port),
            ("muster://t@a:1?pin=sha256:HEX&addr=b:1&addr=c:1&addr=d:1&addr=e:1", TooManyAddresses),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        assert_eq!(format!("sha256:{}", HEX.to_uppercase()).parse::<super::Pin>(), Err(Pin));
        assert_eq!(format!("sha256:{}é", &HEX[2..]).parse::<super::Pin>(), Err(Pin));
        let long = format!("muster://t@a:1?pin=sha256:{HEX}&x={}", "y".repeat(TEXT_LIMIT));
        assert_eq!(long.parse::<JoinString>(), Err(TooLong));
        let pins: String = (0..5).map(|n| format!("&pin=sha256:{n}{}", &HEX[1..])).collect();
        assert_eq!(format!("muster://t@a:1?{pins}").parse::<JoinString>(), Err(TooManyPins));
    }

    #[test]
    fn the_token_stays_out_of_errors_and_debug_output() {
        let join = parse("muster://hush@a:1?pin=sha256:HEX").unwrap();
        assert!(!format!("{join:?}").contains("hush"));
        let error = parse("muster://hush@a?pin=sha256:HEX").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
        assert!(!error.to_string().contains('\n'));
    }
}
