//! What a host has still to be told, behind a welcome or an answer. It is repeated until the host confirms it.

use crate::fleet::{Fleet, HostCell};
use crate::store::FleetRow;
use muster_protocol::orders::{Renew, Renewed, Trust, Trusted};
use muster_protocol::record::{Full, Kind, Malformed, Reader, Writer};

/// Appends it to the answer of a hello (`behind_welcome`) or of a report.
pub(super) fn append(
    fleet: &Fleet,
    cell: &HostCell,
    behind_welcome: bool,
    writer: &mut Writer<'_>,
) -> Result<(), Full> {
    let wishes = fleet.to_say(cell, behind_welcome);
    if wishes.trust.is_some() {
        writer.record(Kind::Trust, &trust(&fleet.trust()))?;
    }
    if let Some(settings) = wishes.settings {
        writer.record(Kind::Settings, &settings)?;
    }
    if let Some(number) = wishes.renew {
        writer.record(Kind::Renew, &Renew { number })?;
    }
    if let Some(pace) = wishes.pace {
        writer.record(Kind::Pace, &pace)?;
    }
    Ok(())
}

fn trust(row: &FleetRow) -> Trust<'_> {
    Trust {
        revision: row.revision,
        generation: row.generation,
        addresses: row.addresses.iter().map(String::as_str).take(muster_protocol::limits::ADDRESSES).collect(),
        pins: row.pins.iter().copied().take(muster_protocol::limits::PINS).collect(),
    }
}

/// What an agent says it has done, in the records behind its hello.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    /// The revision of what it recognises and reaches the server by; `None` if it does not say.
    pub trust_revision: Option<u64>,
    /// The new credential that it has made.
    pub renewed: Option<Renewed>,
}

impl Confirmed {
    /// Reads what is left of a message. What does not belong there is passed over.
    pub(super) fn read(records: &mut Reader<'_>) -> Result<Confirmed, Malformed> {
        let mut confirmed = Confirmed::default();
        while let Some(record) = records.next_record()? {
            match record.kind {
                Kind::Trusted => confirmed.trust_revision = Some(record.decode::<Trusted>()?.revision),
                Kind::Renewed => confirmed.renewed = Some(record.decode()?),
                _ => {}
            }
        }
        Ok(confirmed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Agent, Bench, by};
    use super::*;
    use crate::api::types::{FinishRotation, RotateKey};
    use crate::fleet::Refusal;
    use crate::listen::Content;
    use futures_lite::future::block_on;

    /// The agent's hello, with this behind it; what it is told, and the status.
    fn hello(bench: &Bench, agent: &Agent, behind: &[u8]) -> (u16, Option<u64>) {
        let body = [&agent.hello_bytes(), behind].concat();
        told(block_on(agent.send(bench, &body, true)))
    }

    fn told(answer: crate::listen::Response) -> (u16, Option<u64>) {
        let Content::Bytes(bytes) = &answer.content else { panic!("an answer is no stream") };
        let mut revision = None;
        if answer.status == 200 {
            let mut records = Reader::message(bytes).expect("a message");
            while let Some(record) = records.next_record().expect("well formed") {
                if record.kind == Kind::Trust {
                    revision = Some(record.decode::<Trust<'_>>().expect("it decodes").revision);
                }
            }
        }
        (answer.status, revision)
    }

    fn trusted(revision: u64) -> Vec<u8> {
        let mut buffer = [0; 32];
        let mut writer = Writer::records(&mut buffer);
        writer.record(Kind::Trusted, &Trusted { revision }).expect("room");
        writer.as_bytes().to_vec()
    }

    #[test]
    fn a_host_is_told_until_it_confirms_and_again_after_each_change() {
        let bench = Bench::new();
        let mut agent = bench.host("pi", &[]);
        assert_eq!(hello(&bench, &agent, &[]), (200, Some(1)));
        let mut by_report = || {
            let report = agent.report_bytes();
            told(block_on(agent.send(&bench, &report, false)))
        };
        assert_eq!(by_report(), (200, None), "it was just told");
        bench.fleet.skip(std::time::Duration::from_secs(60));
        assert_eq!(by_report(), (200, Some(1)), "with reports, too, but not with each");
        assert_eq!(by_report(), (200, None));
        assert_eq!(bench.fleet.key_status().unconfirmed.len(), 1);
        assert_eq!(hello(&bench, &agent, &trusted(1)), (200, None));
        assert!(bench.fleet.key_status().unconfirmed.is_empty());
        let again = bench.restarted();
        assert!(again.fleet.key_status().unconfirmed.is_empty(), "it is stored");

        block_on(bench.fleet.rotate_key(&by(), RotateKey::default())).expect("rotated");
        assert_eq!(hello(&bench, &agent, &trusted(1)), (200, Some(2)));
        let early = block_on(bench.fleet.finish_rotation(&by(), FinishRotation::default().force));
        assert!(matches!(early, Err(Refusal::Conflict(why)) if why.contains("1 hosts have not")));
        assert_eq!(hello(&bench, &agent, &trusted(2)), (200, None));
        let finished = block_on(bench.fleet.finish_rotation(&by(), false)).expect("finished");
        assert!(finished.former_pins.is_empty() && finished.unconfirmed.len() == 1);
        assert!(
            matches!(block_on(bench.fleet.finish_rotation(&by(), false)), Err(Refusal::Conflict(_))),
            "nothing is left"
        );
    }

    #[test]
    fn what_is_behind_a_hello_may_be_anything_that_is_well_formed() {
        let bench = Bench::new();
        let agent = bench.host("pi", &[]);
        let unknown = [200, 1, 0];
        let misplaced = agent.hello_bytes()[1..].to_vec();
        assert_eq!(hello(&bench, &agent, &[&unknown, &misplaced[..], &trusted(1)].concat()), (200, None));
        assert_eq!(hello(&bench, &agent, &[Kind::Trusted as u8, 9, 0]).0, 400, "longer than the message");
        assert_eq!(hello(&bench, &agent, &[Kind::Trusted as u8, 1, 0xff]).0, 400, "not a number");
    }

    #[test]
    fn a_key_that_could_not_be_announced_is_announced_with_the_next_change() {
        let bench = Bench::new();
        let before = bench.fleet.key_status();
        bench.store.fail_commits(1);
        assert!(matches!(block_on(bench.fleet.rotate_key(&by(), RotateKey::default())), Err(Refusal::Store(_))));
        let between = bench.fleet.key_status();
        assert_eq!((between.revision, between.generation), (before.revision, before.generation));
        assert_ne!(between.pin, before.pin, "it serves by the new key, with a link from the old");
        let healed = bench.restarted().fleet.key_status();
        assert_eq!((&healed.pin, &healed.former_pins[..]), (&between.pin, &[before.pin.clone()][..]));
        let address = "other.example:7443".parse().expect("an address");
        bench.until(|fleet| block_on(fleet.add_address(&by(), &address)).is_ok());
        let after = bench.fleet.key_status();
        assert_eq!((&after.pin, &after.former_pins[..]), (&between.pin, &[before.pin][..]));
        assert_eq!(bench.fleet.addresses().len(), 2);
    }
}
