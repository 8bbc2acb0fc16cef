//! Any text is a join string, or an address, or neither; what is one is written and read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_dial::join_string::{ADDRESSES, PINS, TOKEN_LIMIT};
use muster_dial::{Address, JoinString, Pin};

fuzz_target!(|text: &str| {
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
    if let Ok(pin) = text.parse::<Pin>() {
        assert_eq!(pin.to_string(), text);
    }
    match text.parse::<JoinString>() {
        Ok(join) => {
            assert!((1..=TOKEN_LIMIT).contains(&join.token.len()));
            assert!((1..=ADDRESSES).contains(&join.addresses.len()) && (1..=PINS).contains(&join.pins.len()));
            // A token may be written as one of the addresses is, which are no secret.
            let token = format!("{:?}", join.token);
            let is_public = format!("{:?}", join.addresses).contains(&token);
            assert!(is_public || !format!("{join:?}").contains(&token), "a secret in debug output");
            assert_eq!(join.to_string().parse(), Ok(join));
        }
        // It may be shown to anybody: its text has nothing of the input.
        Err(error) => assert!(error.to_string().is_ascii()),
    }
});
