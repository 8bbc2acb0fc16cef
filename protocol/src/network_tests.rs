use super::*;
use std::format;

#[test]
fn a_prefix_reads_what_it_writes_and_refuses_what_is_none() {
    for text in ["10.42.0.0/16", "0.0.0.0/0", "10.42.3.192/26", "255.255.255.255/32"] {
        assert_eq!(Prefix::parse(text).map(|prefix| format!("{prefix}")).as_deref(), Some(text));
    }
    for text in ["", "10.42.0.0", "10.42.0.0/", "10.42.0.0/33", "10.42.0.0/+8", "10.42.0.1/16", "10.42.0/16", "::/0"] {
        assert_eq!(Prefix::parse(text), None, "{text}");
    }
}

#[test]
fn a_prefix_knows_what_is_in_it() {
    let prefix = |text| Prefix::parse(text).unwrap();
    let all = prefix("10.42.0.0/16");
    let block = prefix("10.42.3.192/26");
    assert!((all.size(), block.size(), prefix("0.0.0.0/0").size()) == (65_536, 64, 1 << 32));
    assert!(block.last() == 0x0a2a_03ff && prefix("0.0.0.0/0").last() == u32::MAX);
    assert!(all.covers(block) && !block.covers(all) && block.overlaps(all) && all.overlaps(block));
    assert!(!block.overlaps(prefix("10.42.3.128/26")) && prefix("0.0.0.0/0").covers(all));
    assert!(block.contains(0x0a2a_03c0) && !block.contains(0x0a2a_03bf));
    assert!(!Prefix { first: 1, length: 31 }.is_valid() && !Prefix { first: 0, length: 33 }.is_valid());
}
