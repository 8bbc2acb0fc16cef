//! Which chains of certificates a client takes for its server: keys that vouch for their successors, and generations.

use muster_dial::{Failure, Pin, generation, verify};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SerialNumber,
};
use rustls::pki_types::CertificateDer;

type Certificate = CertificateDer<'static>;

/// A fleet key with a name of its own.
struct Key {
    key: KeyPair,
    params: CertificateParams,
}

impl Key {
    fn new(name: &str) -> Key {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Key { key: KeyPair::generate().unwrap(), params }
    }

    fn pin(&self) -> Pin {
        Pin::of_public_key(&self.key.subject_public_key_info())
    }

    /// Signed by itself.
    fn own(&self) -> Certificate {
        self.params.self_signed(&self.key).unwrap().der().clone()
    }

    /// This key vouches for another one.
    fn vouch(&self, for_key: &Key) -> Certificate {
        for_key.params.signed_by(&for_key.key, &Issuer::from_params(&self.params, &self.key)).unwrap().der().clone()
    }

    /// The same in a generation.
    fn vouch_in(&self, for_key: &Key, generation: u64) -> Certificate {
        let mut params = for_key.params.clone();
        params.serial_number = Some(SerialNumber::from_slice(&generation::to_serial(generation, [7; 8])));
        params.signed_by(&for_key.key, &Issuer::from_params(&self.params, &self.key)).unwrap().der().clone()
    }

    /// A serving certificate, of a generation if there is to be one.
    fn leaf(&self, generation: Option<u64>) -> Certificate {
        let mut params = CertificateParams::new(vec!["elsewhere.example".to_string()]).unwrap();
        params.serial_number =
            generation.map(|number| SerialNumber::from_slice(&generation::to_serial(number, [7; 8])));
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone()
    }
}

fn is_accepted(chain: &[Certificate], pin: Pin) -> bool {
    match verify::recognise(chain, &[Pin([0; 32]), pin], 0) {
        Ok(()) => true,
        Err(Failure::PinMismatch { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_key_is_recognised_by_each_one_before_it_and_by_the_backup() {
    let [first, second, third, backup] = ["1", "2", "3", "b"].map(Key::new);
    let chain =
        [third.leaf(None), backup.vouch(&third), backup.own(), second.vouch(&third), first.vouch(&second), first.own()];
    for key in [&first, &second, &third, &backup] {
        assert!(is_accepted(&chain, key.pin()));
    }
    assert!(!is_accepted(&chain, Key::new("x").pin()));
    // Each link counts, and none of the others.
    assert!(!is_accepted(&[&chain[..3], &chain[4..]].concat(), first.pin()), "third is not vouched for by second");
    assert!(!is_accepted(&[&chain[..4], &chain[5..]].concat(), first.pin()), "second is not vouched for by first");
    assert!(is_accepted(&chain[..5], second.pin()), "a link has the key that it vouches for");
    assert!(!is_accepted(&chain[..5], first.pin()), "first's key is not there to check with");
}

#[test]
fn nobody_else_can_vouch() {
    let [fleet, next, thief] = ["fleet", "next", "thief"].map(Key::new);
    // Of the fleet's name, with a key of the thief's.
    let posing = Key { key: KeyPair::generate().unwrap(), params: fleet.params.clone() };
    for chain in [
        // The fleet's certificates are public.
        vec![thief.leaf(None), fleet.own()],
        vec![thief.leaf(None), thief.own(), fleet.own()],
        vec![thief.leaf(None), fleet.vouch(&next), fleet.own()],
        // The thief vouches for the fleet, not the fleet for the thief.
        vec![thief.leaf(None), thief.vouch(&fleet), fleet.own()],
        vec![thief.leaf(None), thief.vouch(&fleet), thief.own(), fleet.own()],
        vec![thief.leaf(None), posing.vouch(&thief), fleet.own()],
        vec![thief.leaf(None), posing.vouch(&thief), posing.own(), fleet.own()],
        vec![posing.leaf(None), fleet.own()],
        vec![posing.leaf(None), posing.own(), fleet.own()],
    ] {
        assert!(!is_accepted(&chain, fleet.pin()));
    }
    assert!(is_accepted(&[next.leaf(None), fleet.vouch(&next), fleet.own()], fleet.pin()));
}

#[test]
fn a_serving_key_vouches_for_nothing() {
    let (fleet, below) = (Key::new("fleet"), Key::new("below"));
    let serving = Key { key: KeyPair::generate().unwrap(), params: CertificateParams::default() };
    let certificate = fleet.vouch(&serving);
    let chain = [below.leaf(None), serving.vouch(&below), certificate.clone(), fleet.own()];
    assert!(!is_accepted(&chain, fleet.pin()));
    let end = CertificateParams::default();
    let leaf = end.signed_by(&below.key, &Issuer::from_params(&serving.params, &serving.key)).unwrap().der().clone();
    assert!(!is_accepted(&[leaf, certificate, fleet.own()], fleet.pin()));
}

#[test]
fn what_is_behind_the_limit_is_not_looked_at_and_a_maze_has_an_end() {
    let (fleet, others) = (Key::new("fleet"), Key::new("other"));
    let filler = vec![others.own(); verify::CHAIN];
    let chain = |before: usize| [&[fleet.leaf(None)], &filler[..before], &[fleet.own()]].concat();
    assert!(is_accepted(&chain(verify::CHAIN - 1), fleet.pin()));
    assert!(!is_accepted(&chain(verify::CHAIN), fleet.pin()));
    // Keys of one name that all vouch for each other, and none of whom the fleet vouches for.
    let maze: Vec<Key> = (0..verify::CHAIN - 1)
        .map(|_| Key { key: KeyPair::generate().unwrap(), params: fleet.params.clone() })
        .collect();
    let mut chain = vec![maze[0].leaf(None)];
    chain.extend(maze.iter().zip(maze.iter().cycle().skip(1)).map(|(one, next)| one.vouch(next)));
    chain.push(fleet.own());
    assert!(!is_accepted(&chain, fleet.pin()));
}

#[test]
fn what_is_no_certificate_is_said_so() {
    for chain in [vec![], vec![CertificateDer::from(vec![0x30, 0x00])]] {
        let failure = verify::recognise(&chain, &[Pin([1; 32])], 0).unwrap_err();
        assert!(matches!(&failure, Failure::Tls(why) if !why.contains('\n')), "{failure}");
    }
}

#[test]
fn certificates_of_an_earlier_generation_are_refused_and_none_can_be_forged() {
    let [first, second, thief] = ["1", "2", "thief"].map(Key::new);
    let chain = |leaf| [leaf, first.vouch_in(&second, 9), first.own()];
    let check = |generation, least| verify::recognise(&chain(second.leaf(generation)), &[first.pin()], least);
    assert_eq!(check(Some(5), 5), Ok(()));
    assert_eq!(check(Some(6), 5), Ok(()));
    assert_eq!(check(None, 0), Ok(()));
    assert_eq!(check(Some(4), 5), Err(Failure::Outdated { least: 5, got: 4 }));
    assert_eq!(check(None, 1), Err(Failure::Outdated { least: 1, got: 0 }));
    let said = check(Some(4), 5).unwrap_err().to_string();
    assert!(said.contains("generation 4") && said.contains("none below 5") && !said.contains('\n'), "{said}");
    // Whoever is not vouched for is told of pins, whatever generation they claim.
    let forged = verify::recognise(&chain(thief.leaf(Some(9))), &[first.pin()], 5);
    assert!(matches!(forged, Err(Failure::PinMismatch { .. })), "{forged:?}");
    // Nor can the number in a certificate be changed.
    let mut bytes = second.leaf(Some(4)).to_vec();
    let at = bytes.windows(4).position(|window| window == b"MusG").unwrap();
    bytes[at + 11] = 6;
    let changed = verify::recognise(&chain(CertificateDer::from(bytes)), &[first.pin()], 5);
    assert!(matches!(changed, Err(Failure::PinMismatch { .. })), "{changed:?}");
}

#[test]
fn a_link_of_an_earlier_generation_counts_no_longer() {
    let [stolen, backup] = ["stolen", "backup"].map(Key::new);
    // The backup key vouched for it in generation 4; the thief claims whatever is wanted.
    let chain = [stolen.leaf(Some(99)), backup.vouch_in(&stolen, 4), backup.own()];
    let check = |pin, least| verify::recognise(&chain, &[pin], least);
    assert_eq!(check(backup.pin(), 4), Ok(()));
    assert!(matches!(check(backup.pin(), 5), Err(Failure::PinMismatch { .. })));
    assert_eq!(check(stolen.pin(), 5), Ok(()), "while it is pinned itself it needs no link");
    // Nor can the stolen key vouch for another one.
    let other = Key::new("other");
    let further = [other.leaf(Some(99)), stolen.vouch_in(&other, 99), chain[1].clone(), chain[2].clone()];
    assert!(verify::recognise(&further, &[backup.pin()], 5).is_err());
    assert_eq!(verify::recognise(&further, &[backup.pin()], 4), Ok(()));
}
