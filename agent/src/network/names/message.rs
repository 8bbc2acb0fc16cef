//! Messages of the domain name system: one question in, one answer out. Pure; no more of RFC 1035 than that needs.

use super::table::Table;

/// Bytes of a message without extensions. Answers never are longer: nobody has to come back by TCP.
pub const MESSAGE: usize = 512;
/// The labels that all names here end with.
const ZONE: [&[u8]; 2] = [b"muster", b"internal"];
/// Seconds that an answer, or that there is none, may be remembered: containers come and go.
const TTL: u32 = 5;
/// Bytes of a header.
const HEADER: usize = 12;
/// Bytes of a name with its lengths, the last zero included.
const NAME: usize = 255;
/// Bytes of a label.
const LABEL: usize = 63;
/// Labels of a name here: `NAME.HOST.muster.internal`. What has more is no name here.
const LABELS: usize = 4;
/// Bytes of an answer: a pointer to the question's name, type, class, TTL, length, and an address.
const RECORD: usize = 16;

/// An answer's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Code {
    /// The name is there; perhaps with nothing of the type that was asked for.
    Fine = 0,
    /// The question could not be read.
    Malformed = 1,
    /// There is no such name.
    NoName = 3,
    /// Another kind of request than a question.
    NotKnown = 4,
    /// Somebody else has to be asked.
    Refused = 5,
}

const TYPE_A: u16 = 1;
const TYPE_SOA: u16 = 6;
const TYPE_ANY: u16 = 255;
const CLASS_IN: u16 = 1;

/// A question that could be read.
struct Question<'a> {
    /// With lengths, as it came.
    name: &'a [u8],
    kind: u16,
    class: u16,
}

/// Answers a message, into `out`, and returns how long the answer is; none if there is to be none. `turn` says which of
/// several addresses comes first.
pub fn answer(message: &[u8], names: &Table, turn: u32, out: &mut [u8; MESSAGE]) -> Option<usize> {
    let (header, rest) = message.split_first_chunk::<HEADER>()?;
    // An answer is not answered: two of us would never stop.
    if header[2] & 0x80 != 0 {
        return None;
    }
    let mut answer = Answer { out, length: HEADER, records: 0, authority: 0 };
    let opcode = header[2] >> 3 & 0x0f;
    let one_question = header[4..6] == [0, 1];
    let question = read(rest);
    let code = match question {
        _ if opcode != 0 => Code::NotKnown,
        Some(question) if one_question => {
            answer.push(question.name);
            answer.push(&question.kind.to_be_bytes());
            answer.push(&question.class.to_be_bytes());
            fill(&question, names, turn, &mut answer)
        }
        _ => Code::Malformed,
    };
    let questions = u8::from(answer.length > HEADER);
    Some(answer.end(header, code, questions))
}

/// Says what there is, and returns how it went.
fn fill(question: &Question<'_>, names: &Table, turn: u32, answer: &mut Answer<'_>) -> Code {
    let Some(labels) = below_zone(question.name).filter(|_| question.class == CLASS_IN) else { return Code::Refused };
    let is_there = match labels.as_slice() {
        [] => true,
        [name] => {
            let of_name = names.of_name(name);
            if wants_addresses(question) {
                answer.addresses(of_name.clone(), turn);
            }
            // A host is no name itself, but the names of its containers are below it.
            of_name.count() > 0 || names.has_host(name)
        }
        [name, host] => {
            let of_both = names.of_name_and_host(name, host);
            if wants_addresses(question) {
                answer.addresses(of_both.clone(), turn);
            }
            of_both.count() > 0
        }
        _ => false,
    };
    if answer.records == 0 {
        answer.authority(question.name.len());
    }
    if is_there { Code::Fine } else { Code::NoName }
}

fn wants_addresses(question: &Question<'_>) -> bool {
    matches!(question.kind, TYPE_A | TYPE_ANY)
}

/// Reads the question behind a header. Its name has no pointers: there is nothing before it to point to.
fn read(rest: &[u8]) -> Option<Question<'_>> {
    let mut end = 0;
    loop {
        let length = usize::from(*rest.get(end)?);
        end += 1;
        if length == 0 {
            break;
        }
        end += length;
        if length > LABEL || end >= NAME {
            return None;
        }
    }
    let (name, rest) = rest.split_at_checked(end)?;
    let (kind, rest) = rest.split_first_chunk()?;
    let class = rest.first_chunk()?;
    Some(Question { name, kind: u16::from_be_bytes(*kind), class: u16::from_be_bytes(*class) })
}

/// The labels before `muster.internal`, if that is what the name ends with; of many, enough to see that there are.
fn below_zone(name: &[u8]) -> Option<heapless::Vec<&[u8], LABELS>> {
    let mut rest = name;
    let mut labels: heapless::Vec<&[u8], LABELS> = heapless::Vec::new();
    let mut count = 0_usize;
    let mut last = [&[][..]; 2];
    while let Some((&length, behind)) = rest.split_first().filter(|(length, _)| **length != 0) {
        let (label, behind) = behind.split_at_checked(length.into())?;
        rest = behind;
        count += 1;
        last = [last[1], label];
        // More than there are names for do not fit, and need not.
        let _all_there_is_room_for = labels.push(label);
    }
    let is_zone = last.iter().zip(ZONE).all(|(label, zone)| label.eq_ignore_ascii_case(zone));
    if !is_zone {
        return None;
    }
    labels.truncate(count - ZONE.len());
    Some(labels)
}

/// An answer as it grows.
struct Answer<'a> {
    out: &'a mut [u8; MESSAGE],
    length: usize,
    records: u16,
    authority: u16,
}

impl Answer<'_> {
    /// What does not fit is left out: a question always fits, and others are asked first whether they do.
    fn push(&mut self, bytes: &[u8]) {
        if let Some(place) = self.out.get_mut(self.length..self.length + bytes.len()) {
            place.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }

    /// As many as fit, beginning with another one at each turn.
    fn addresses(&mut self, found: impl Iterator<Item = u32> + Clone, turn: u32) {
        let count = found.clone().count();
        if count == 0 {
            return;
        }
        let fits = (MESSAGE - self.length) / RECORD;
        let first = turn as usize % count;
        for address in found.clone().skip(first).chain(found.take(first)).take(fits) {
            // The question's name is right behind the header.
            self.push(&[0xc0, HEADER as u8]);
            self.push(&TYPE_A.to_be_bytes());
            self.push(&CLASS_IN.to_be_bytes());
            self.push(&TTL.to_be_bytes());
            self.push(&4_u16.to_be_bytes());
            self.push(&address.to_be_bytes());
            self.records += 1;
        }
    }

    /// Says for how long it may be remembered that there is nothing: `muster.internal` is its own server. `name` is the
    /// length of the question's name.
    fn authority(&mut self, name: usize) {
        // `muster.internal` are the last bytes of the question's name.
        let zone: usize = ZONE.iter().map(|label| label.len() + 1).sum::<usize>() + 1;
        let pointer = (0xc000 | (HEADER + name - zone) as u16).to_be_bytes();
        let numbers = [1, 60, 60, 60, TTL];
        let data = 2 * pointer.len() + 4 * numbers.len();
        if MESSAGE - self.length < 12 + data {
            return;
        }
        self.push(&pointer);
        self.push(&TYPE_SOA.to_be_bytes());
        self.push(&CLASS_IN.to_be_bytes());
        self.push(&TTL.to_be_bytes());
        self.push(&(data as u16).to_be_bytes());
        self.push(&pointer);
        self.push(&pointer);
        for number in numbers {
            self.push(&number.to_be_bytes());
        }
        self.authority = 1;
    }

    /// Writes the header, and returns how long it all is.
    fn end(self, asked: &[u8; HEADER], code: Code, questions: u8) -> usize {
        let knows = matches!(code, Code::Fine | Code::NoName);
        let header = &mut self.out[..HEADER];
        header.copy_from_slice(asked);
        // An answer, with the request's opcode and its wish for recursion.
        header[2] = 0x80 | asked[2] & 0x79 | if knows { 0x04 } else { 0 };
        header[3] = code as u8;
        header[4..6].copy_from_slice(&[0, questions]);
        header[6..8].copy_from_slice(&self.records.to_be_bytes());
        header[8..10].copy_from_slice(&self.authority.to_be_bytes());
        header[10..12].copy_from_slice(&[0, 0]);
        self.length
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
