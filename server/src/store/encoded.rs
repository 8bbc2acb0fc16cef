//! Rows as bytes: one byte for the version of the row's layout, then postcard.
//!
//! Postcard has no names and no lengths of its own, so a field that is added, removed or moved makes old rows
//! unreadable or, worse, read as something else. A layout that was ever released is therefore frozen: the tests
//! below hold its bytes. To change one, keep the old struct beside the new one, raise [`Row::VERSION`], and
//! convert in [`Row::decode_older`].

use super::trouble::Trouble;
use super::{
    AlertRow, AlertSettingRow, ApiTokenRow, AuditRow, ContainerRow, DockerClientRow, EngineRow, EventRow, FleetRow,
    HostFacts, HostOrders, HostRow, JoinTokenRow, NetworkMemberRow, NetworkRow, NoticeRow, StreamRow, UserRow,
    WebSessionRow,
};
use muster_protocol::id::{Fingerprint, HostId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a table can hold.
pub(super) trait Row: Serialize + DeserializeOwned {
    /// Of the layout that this program writes.
    const VERSION: u8;

    /// Reads the rest of a row that has an older version; `None` if it cannot.
    fn decode_older(_version: u8, _rest: &[u8]) -> Option<Self> {
        None
    }
}

impl Row for HostRow {
    const VERSION: u8 = 2;

    fn decode_older(version: u8, rest: &[u8]) -> Option<HostRow> {
        match (version, postcard::take_from_bytes::<HostRow1>(rest)) {
            (1, Ok((old, []))) => Some(old.into()),
            _ => None,
        }
    }
}

/// A host, before operators could want something of it.
#[derive(Serialize, Deserialize)]
struct HostRow1 {
    id: HostId,
    name: String,
    labels: BTreeMap<String, String>,
    credential: [u8; 32],
    fingerprint: Fingerprint,
    joined_ms: i64,
    state: String,
    since_ms: i64,
    last_seen_ms: Option<i64>,
    interval_ms: u32,
    facts: HostFacts,
    engine: EngineRow,
    hidden: u32,
    events_dropped: u64,
    conflict: bool,
    dropped_before: u64,
    listed_ms: Option<i64>,
}

impl From<HostRow1> for HostRow {
    fn from(old: HostRow1) -> HostRow {
        HostRow {
            id: old.id,
            name: old.name,
            labels: old.labels,
            credential: old.credential,
            fingerprint: old.fingerprint,
            joined_ms: old.joined_ms,
            state: old.state,
            since_ms: old.since_ms,
            last_seen_ms: old.last_seen_ms,
            interval_ms: old.interval_ms,
            facts: old.facts,
            engine: old.engine,
            hidden: old.hidden,
            events_dropped: old.events_dropped,
            conflict: old.conflict,
            dropped_before: old.dropped_before,
            listed_ms: old.listed_ms,
            orders: HostOrders::default(),
            sync_error: false,
        }
    }
}

impl Row for FleetRow {
    const VERSION: u8 = 1;
}

impl Row for NetworkRow {
    const VERSION: u8 = 1;
}

impl Row for NetworkMemberRow {
    const VERSION: u8 = 1;
}

impl Row for DockerClientRow {
    const VERSION: u8 = 1;
}

impl Row for AlertSettingRow {
    const VERSION: u8 = 1;
}

impl Row for AlertRow {
    const VERSION: u8 = 1;
}

impl Row for NoticeRow {
    const VERSION: u8 = 1;
}

impl Row for AuditRow {
    const VERSION: u8 = 1;
}

impl Row for StreamRow {
    const VERSION: u8 = 1;
}

impl Row for ContainerRow {
    const VERSION: u8 = 1;
}

impl Row for EventRow {
    const VERSION: u8 = 1;
}

impl Row for JoinTokenRow {
    const VERSION: u8 = 1;
}

impl Row for ApiTokenRow {
    const VERSION: u8 = 1;
}

impl Row for UserRow {
    const VERSION: u8 = 1;
}

impl Row for WebSessionRow {
    const VERSION: u8 = 1;
}

/// A row cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// A newer program wrote it.
    Newer(u8),
    /// Its bytes make no sense.
    Damaged,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Newer(version) => write!(f, "was written by a newer muster (row version {version})"),
            Unreadable::Damaged => f.write_str("is damaged"),
        }
    }
}

/// The bytes of a row.
pub(super) fn encode<R: Row>(row: &R) -> Result<Vec<u8>, Trouble> {
    postcard::to_extend(row, vec![R::VERSION]).map_err(Trouble::Row)
}

/// The row of some bytes. Nothing may be left over.
pub(super) fn decode<R: Row>(bytes: &[u8]) -> Result<R, Unreadable> {
    let (&version, rest) = bytes.split_first().ok_or(Unreadable::Damaged)?;
    if version > R::VERSION {
        return Err(Unreadable::Newer(version));
    }
    if version < R::VERSION {
        return R::decode_older(version, rest).ok_or(Unreadable::Damaged);
    }
    match postcard::take_from_bytes(rest) {
        Ok((row, [])) => Ok(row),
        _ => Err(Unreadable::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::samples;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The frozen bytes of version 1. A failure here means that files of released versions cannot be read any more:
    /// do not correct the bytes, add a version.
    #[track_caller]
    fn frozen<R: Row + PartialEq + std::fmt::Debug>(row: R, golden: &str) {
        let bytes = encode(&row).expect("bytes");
        assert_eq!(hex(&bytes), golden.replace(char::is_whitespace, ""));
        assert_eq!(decode::<R>(&bytes), Ok(row));
    }

    #[test]
    fn hosts_are_frozen() {
        frozen(
            samples::host(1),
            "
            02010101010101010107626f6172642d310104726f6f6d0663656c6c6172010101010101010101010101010101010101
            01010101010101010101010101010707070707070707070707070707070780a0abfef96206616374697665d0afabfef9
            620109882705302e312e30056c696e7578076161726368363403362e310101e8a7abfef9620632372e332e3104312e34
            3703ac0201c80101b8b7abfef96201b0ea0103020101090909090909090909090909090909090909090909090909090909
            09090909090101987501
            ",
        );
    }

    #[test]
    fn a_host_of_version_1_is_read_as_one_of_whom_nothing_is_wanted() {
        let old = "
            01010101010101010107626f6172642d310104726f6f6d0663656c6c6172010101010101010101010101010101010101
            01010101010101010101010101010707070707070707070707070707070780a0abfef96206616374697665d0afabfef9
            620109882705302e312e30056c696e7578076161726368363403362e310101e8a7abfef9620632372e332e3104312e34
            3703ac0201c80101b8b7abfef962
        ";
        let digits: Vec<u8> = old.chars().filter_map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
        let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]).collect();
        let expected = HostRow { orders: HostOrders::default(), sync_error: false, ..samples::host(1) };
        assert_eq!(decode::<HostRow>(&bytes), Ok(expected));
    }

    #[test]
    fn fleets_and_audits_are_frozen() {
        frozen(
            samples::fleet(),
            "
            0103020116706c616e742e6578616d706c652e6f72673a37343433020a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a
            0a0a0a0a0a0a0a0a0a0a0a0a0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b
            ",
        );
        frozen(
            samples::audit(7),
            "
            010780a0abfef9620561646d696e00093132372e302e302e310b686f73742e72656e616d6507626f6172642d3101
            0466726f6d056174746963
            ",
        );
    }

    #[test]
    fn networks_are_frozen() {
        frozen(samples::network(), "01018080a851101a056e65743d3101800a01d836ac0205020301");
        frozen(
            samples::network_member(1),
            "
            010101010101010101010101010101010101010101010101010101010101010101010101010101010101015555555555
            555555555555555555555555555555555555555555555555555555ec940380808050080100c6336407a01f010200c0a8
            01020120010db8000000000000000000000007020100c633640702000401090909090909090909090909090909090909
            0909090909090909090909090909037765628280a851
            ",
        );
    }

    #[test]
    fn docker_clients_are_frozen() {
        frozen(
            samples::docker_client(1),
            "
            010c303030303030303030303031010101010101010101010101010101010101010101010101010101010101010106
            76696577657205666c6565740e6d75737465722e6578616d706c6580a0abfef96280f0c1ffe464
            ",
        );
    }

    #[test]
    fn alerts_are_frozen() {
        frozen(samples::alert_setting(), "010873657474696e6773027b7d");
        frozen(samples::alert(300), "01ac02027b7d");
        frozen(samples::notice(300), "01ac02027b7d");
    }

    #[test]
    fn streams_are_frozen() {
        frozen(
            samples::stream(1),
            "
            0101010101010101010109e80701888e98a8c0e0808101ffffffffffffffffff01020303030303030303030303030303
            030308040404040404040404040404040404040901
            ",
        );
    }

    #[test]
    fn containers_are_frozen() {
        frozen(
            samples::container(1, 2),
            "
            010101010101010101020202020202020202020202020202020202020202020202020202020202020209110201020303
            0405a0bfabfef962
            ",
        );
    }

    #[test]
    fn events_are_frozen() {
        let [gap, derived, host] = samples::other_events();
        frozen(samples::event(300), "01ac02f0ceabfef9620101010101010101091200020607");
        frozen(gap, "0102f0ceabfef96201010101010101010912010108");
        frozen(
            derived,
            "
            0103f0ceabfef96201010101010101010912020505050505050505050505050505050505050505050505050505050505
            0505050764657374726f7901046e616d6503776562
            ",
        );
        frozen(host, "0104f0ceabfef96201010101010101010912030c686f73745f72656d6f76656401046e616d6503776562");
    }

    #[test]
    fn tokens_are_frozen() {
        frozen(
            samples::join_token(1),
            "
            010c303030303030303030303031010101010101010101010101010101010101010101010101010101010101010180a0
            abfef9628090ded0fa620102010104726f6f6d0663656c6c617201027069
            ",
        );
        frozen(
            samples::api_token(1),
            "
            010c30303030303030303030303101010101010101010101010101010101010101010101010101010101010101010676
            69657765720c77616c6c20646973706c617980a0abfef962
            ",
        );
    }

    #[test]
    fn users_and_sessions_are_frozen() {
        frozen(
            samples::user("ada"),
            "
            010361646106766965776572ac0202010505050505050505050505050505050506060606060606060606060606060606
            0606060606060606060606060606060680a0abfef962d0afabfef962
            ",
        );
        let [user, token, admin] = samples::web_sessions();
        frozen(
            user,
            "
            010c30303030303030303030303101010101010101010101010101010101010101010101010101010101010101010003
            616461036164610676696577657280a0abfef962d0afabfef962
            ",
        );
        frozen(
            token,
            "
            010c30303030303030303030303202020202020202020202020202020202020202020202020202020202020202020108
            3030313132323333036164610676696577657280a0abfef962d0afabfef962
            ",
        );
        frozen(
            admin,
            "
            010c30303030303030303030303303030303030303030303030303030303030303030303030303030303030303030208
            3434353536363737036164610676696577657280a0abfef962d0afabfef962
            ",
        );
    }

    #[test]
    fn what_is_no_row_is_told_apart() {
        let mut bytes = encode(&samples::event(1)).expect("bytes");
        assert_eq!(decode::<EventRow>(&[]), Err(Unreadable::Damaged));
        assert_eq!(decode::<EventRow>(&bytes[..bytes.len() - 1]), Err(Unreadable::Damaged));
        bytes.push(0);
        assert_eq!(decode::<EventRow>(&bytes), Err(Unreadable::Damaged), "something is left over");
        bytes.pop();
        bytes[0] = 2;
        assert_eq!(decode::<EventRow>(&bytes), Err(Unreadable::Newer(2)));
        bytes[0] = 0;
        assert_eq!(decode::<EventRow>(&bytes), Err(Unreadable::Damaged), "there never was a version 0");
    }

    #[test]
    fn no_bytes_make_a_decoder_panic() {
        let bytes = encode(&samples::host(1)).expect("bytes");
        for at in 1..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                let _ = decode::<HostRow>(&changed);
            }
        }
    }
}
