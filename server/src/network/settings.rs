//! What operators set of the managed network.

use muster_protocol::limits;
use muster_protocol::network::Prefix;

/// Addresses that are no host's: this network, loopback, link-local, multicast and beyond.
const NOBODYS: [Prefix; 4] = [
    Prefix { first: 0, length: 8 },
    Prefix { first: 0x7f00_0000, length: 8 },
    Prefix { first: 0xa9fe_0000, length: 16 },
    Prefix { first: 0xe000_0000, length: 3 },
];

/// Bits of a block's length: a host needs a few addresses, and 4,096 are more than an engine has containers.
const BLOCKS: std::ops::RangeInclusive<u8> = 20..=29;

/// Most bits between the range and its blocks: 65,536 blocks.
const BLOCK_BITS: u8 = 16;

/// Bytes of the largest packet inside: what IPv4 asks for at least, to what a jumbo frame carries.
const MTU: std::ops::RangeInclusive<u16> = 576..=8920;

/// What operators set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// All addresses of the network.
    pub range: Prefix,
    /// The length of each host's blocks, in bits.
    pub block_length: u8,
    /// Containers with this label belong to it: `KEY=VALUE`.
    pub label: String,
    /// Whether names are answered inside labelled containers.
    pub names: bool,
    /// The largest packet inside, in bytes.
    pub mtu: u16,
    /// The UDP port of the server's relay; `None`: the number of its TCP port.
    pub relay_port: Option<u16>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            range: Prefix { first: 0x0a2a_0000, length: 16 },
            block_length: 26,
            label: "io.rancher.container.network=true".into(),
            names: false,
            // Fits what tunnels and mobile networks let through, IPv6 as well.
            mtu: 1280,
            relay_port: None,
        }
    }
}

impl Settings {
    /// How many blocks the range has.
    pub fn blocks(&self) -> u32 {
        1u32.checked_shl(u32::from(self.block_length.saturating_sub(self.range.length))).unwrap_or(0)
    }

    /// The block with this index.
    pub fn block(&self, index: u32) -> Prefix {
        let size = 1u32.checked_shl(32 - u32::from(self.block_length.min(32))).unwrap_or(0);
        Prefix { first: self.range.first.wrapping_add(index.wrapping_mul(size)), length: self.block_length }
    }

    /// Refuses what makes no network.
    ///
    /// # Errors
    /// What is wrong and what to give instead, in one line.
    pub fn check(&self) -> Result<(), String> {
        let range = self.range;
        if !range.is_valid() || NOBODYS.iter().any(|nobodys| nobodys.overlaps(range)) {
            return Err(format!("cidr: {range} cannot be a network's range; give one such as 10.42.0.0/16"));
        }
        let bits = self.block_length.checked_sub(range.length);
        if !BLOCKS.contains(&self.block_length) || bits.is_none_or(|bits| bits > BLOCK_BITS) {
            return Err(format!(
                "block: /{} is no size for blocks of {range}; give /{} to /{}, at most {BLOCK_BITS} bits longer than the \
                 range",
                self.block_length,
                BLOCKS.start().max(&range.length),
                BLOCKS.end(),
            ));
        }
        let is_label = self.label.split_once('=').is_some_and(|(key, _)| !key.is_empty());
        if !is_label || self.label.len() > limits::NETWORK_LABEL || self.label.chars().any(char::is_control) {
            return Err(format!("label: give KEY=VALUE, at most {} bytes", limits::NETWORK_LABEL));
        }
        if !MTU.contains(&self.mtu) {
            return Err(format!("mtu: give {} to {} bytes", MTU.start(), MTU.end()));
        }
        if self.relay_port == Some(0) {
            return Err("relay_port: 0 is no port; leave it out for the number of the server's TCP port".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cidr: &str, block_length: u8) -> Settings {
        Settings { range: Prefix::parse(cidr).unwrap(), block_length, ..Settings::default() }
    }

    #[test]
    fn a_range_is_cut_into_blocks() {
        let settings = Settings::default();
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(settings.blocks(), 1024);
        let shown: Vec<String> = [0, 1, 1023].map(|index| settings.block(index).to_string()).into();
        assert_eq!(shown, ["10.42.0.0/26", "10.42.0.64/26", "10.42.255.192/26"]);
        assert_eq!(with("10.0.0.0/26", 26).blocks(), 1);
    }

    #[test]
    fn what_makes_no_network_is_refused() {
        for good in [with("10.0.0.0/8", 24), with("192.168.7.0/24", 29), with("100.64.0.0/10", 26)] {
            assert_eq!(good.check(), Ok(()), "{good:?}");
        }
        for bad in [
            with("0.0.0.0/0", 20),
            with("127.0.0.0/16", 26),
            with("224.0.0.0/16", 26),
            with("10.0.0.0/8", 26),
            with("10.42.0.0/27", 26),
            with("10.42.0.0/16", 30),
            Settings { label: "x".into(), ..Settings::default() },
            Settings { label: "=x".into(), ..Settings::default() },
            Settings { label: format!("a={}", "x".repeat(300)), ..Settings::default() },
            Settings { mtu: 500, ..Settings::default() },
            Settings { relay_port: Some(0), ..Settings::default() },
        ] {
            let why = bad.check().expect_err("refused");
            assert!(!why.contains('\n') && why.contains("give") || why.contains("leave"), "{why}");
        }
    }
}
