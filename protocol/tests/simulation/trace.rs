//! What happens, in words, for whoever replays a seed with `MUSTER_TRACE` set.

use crate::world::World;
use muster_protocol::id::EventIdentity;
use muster_protocol::record::{Kind, Reader};

impl World {
    /// Prints a message, for whoever replays a seed with MUSTER_TRACE set.
    pub fn trace(&self, number: u64, request: &[u8], commit: bool, survive: bool) {
        if !self.tracing {
            return;
        }
        println!("request {number} commit {commit} survive {survive}");
        let mut reader = Reader::message(request).expect("a message");
        while let Ok(Some(record)) = reader.next_record() {
            match record.kind {
                Kind::Batch => println!("  {:?}", record.decode::<muster_protocol::batch::Batch>()),
                Kind::Event => {
                    let (seq, body) = record.numbered().expect("numbered");
                    let event: muster_protocol::event::Event = postcard::from_bytes(body).expect("decodes");
                    let index = self.indices.get(&EventIdentity::of(body));
                    println!("  {seq} event {index:?} {} {:?}", event.action, event.actor);
                }
                Kind::Container | Kind::Listed => {
                    let (seq, body) = record.numbered().expect("numbered");
                    let it: muster_protocol::container::Container = postcard::from_bytes(body).expect("decodes");
                    println!("  {seq} {:?} {:?} {} {} {:?}", record.kind, it.id, it.name, it.state, it.started_ms);
                }
                Kind::ListEnd => println!("  {:?}", record.decode::<muster_protocol::batch::ListEnd>()),
                Kind::Absent => println!("  {:?}", record.decode::<muster_protocol::batch::Absent>()),
                Kind::Gap => println!("  {:?}", record.decode::<(u64, muster_protocol::event::Gap)>()),
                kind => println!("  {kind:?}"),
            }
        }
    }

    pub fn say_answer(&self, number: u64, answer: &[u8]) {
        let record = Reader::message(answer).and_then(|mut reader| reader.next_record());
        let Ok(Some(record)) = record else { return };
        match record.kind {
            Kind::Welcome => {
                let welcome: muster_protocol::hello::Welcome = record.decode().expect("decodes");
                let last = welcome.last_event.and_then(|last| self.indices.get(&last));
                let (epoch, through) = (welcome.epoch, welcome.acknowledged);
                self.say(&format!("answer {number} welcome to {epoch}, {through}, last {last:?}"));
            }
            Kind::Answer => {
                self.say(&format!("answer {number} {:?}", record.decode::<muster_protocol::batch::Answer>()));
            }
            _ => self.say(&format!("answer {number} {:?}", record.decode::<muster_protocol::batch::Refused>())),
        }
    }

    pub fn say(&self, what: &str) {
        if self.tracing {
            println!("{what}");
        }
    }
}
