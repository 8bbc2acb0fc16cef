//! Keys that change under hosts that come and go: no host that was away is left behind, and none follows a thief.

use super::*;
use crate::access::trust;
use crate::store::FleetRow;
use crate::test_dir::TestDir;
use muster_dial::{Failure, Trust};
use rustls::pki_types::CertificateDer;

/// Rotations that a host can sleep through without help from the backup key.
const SLEPT: u64 = 3;

/// A host, as far as trust goes.
struct Host {
    trust: Trust,
    /// How many rotations there had been when it was last told.
    told: u64,
}

struct World {
    dir: TestDir,
    drawer: TestDir,
    keys: Keys,
    row: FleetRow,
    hosts: Vec<Host>,
    rotations: u64,
    /// Rotations at the last one that the backup key vouched for.
    vouched: Option<u64>,
    /// Keys in foreign hands, and what a thief presents with them.
    stolen: Vec<Vec<CertificateDer<'static>>>,
    random: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let (dir, drawer) = (TestDir::new(), TestDir::new());
        let keys = Keys::open(dir.path()).expect("keys");
        let backup = keys.make_backup().expect("a backup key");
        let place = drawer.path().join(BACKUP_FILE);
        std::fs::rename(dir.path().join(BACKUP_FILE), place).expect("moved");
        let row = trust::of_current(None, keys.pin(), Some(backup));
        let (hosts, stolen) = (Vec::new(), Vec::new());
        World { dir, drawer, keys, row, hosts, rotations: 0, vouched: None, stolen, random: seed * 2 + 1 }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    fn presented(&self) -> Vec<CertificateDer<'static>> {
        let state = self.keys.state();
        state.current.trial(state.current.chain(), self.row.generation).expect("a certificate")
    }

    fn join(&mut self) {
        let address = "a:1".parse().expect("an address");
        let pins = trust::to_join_by(&self.row);
        let trust = Trust { pins, addresses: vec![address], ..Trust::default() };
        self.hosts.push(Host { trust, told: self.rotations });
    }

    /// A host comes back, is let in or not, and is told.
    fn wake(&mut self, host: usize) {
        let presented = self.presented();
        let announced = Trust {
            revision: self.row.revision,
            generation: self.row.generation,
            pins: self.row.pins.iter().copied().map(Pin).collect(),
            ..Trust::default()
        };
        let (rotations, vouched) = (self.rotations, self.vouched);
        let host = &mut self.hosts[host];
        let followed = verify::recognise(&presented, &host.trust.pins, host.trust.generation);
        let slept = rotations - host.told;
        let is_helped = vouched.is_some_and(|vouched| rotations - vouched <= SLEPT && vouched >= host.told);
        if slept <= SLEPT || is_helped {
            assert_eq!(followed, Ok(()), "it slept through {slept} rotations");
        }
        if followed.is_ok() {
            host.trust.follow(&announced, None);
            host.told = rotations;
            assert!(!host.trust.pins.is_empty() && !host.trust.addresses.is_empty());
            assert_eq!(verify::recognise(&presented, &host.trust.pins, host.trust.generation), Ok(()));
            for stolen in &self.stolen {
                assert!(
                    verify::recognise(stolen, &host.trust.pins, host.trust.generation).is_err(),
                    "it follows a thief"
                );
            }
        }
    }

    fn rotate(&mut self, by_backup: bool, compromised: bool, is_killed: bool) {
        let thief = {
            let state = self.keys.state();
            state.current.trial(state.current.chain(), u64::MAX).expect("a certificate")
        };
        let voucher = by_backup.then(|| {
            let public = self.keys.prepare().expect("a key");
            voucher(&self.drawer.path().join(BACKUP_FILE), &public, self.row.generation + 1).expect("a voucher")
        });
        let rotation = Rotation { voucher, compromised };
        let pin = self.keys.rotate(&rotation, trust::backup(&self.row), self.row.generation + 1).expect("rotated");
        self.rotations += 1;
        if by_backup {
            self.vouched = Some(self.rotations);
        }
        if compromised {
            // What the thief has: the key, and whatever led to it.
            self.stolen.push(thief);
        }
        if is_killed && !compromised {
            // Before it could store what it announces.
            self.keys = Keys::open(self.dir.path()).expect("keys");
            self.row = trust::of_current(Some(self.row.clone()), self.keys.pin(), None);
        } else {
            self.row = trust::rotated(&self.row, pin, compromised);
        }
        assert_eq!(self.row.pins[0], pin.0);
    }

    fn step(&mut self) {
        match self.below(20) {
            0..=1 => self.join(),
            2..=3 => self.rotate(false, false, false),
            4 => self.rotate(false, false, true),
            5 => self.rotate(true, false, false),
            6 => self.rotate(true, true, false),
            7 => self.row = trust::finished(&self.row).unwrap_or(self.row.clone()),
            8 => {
                self.keys = Keys::open(self.dir.path()).expect("keys");
                assert_eq!(trust::of_current(Some(self.row.clone()), self.keys.pin(), None), self.row);
            }
            9 => self.row = trust::restored(&self.row),
            _ if self.hosts.is_empty() => self.join(),
            _ => {
                let host = self.below(self.hosts.len() as u64);
                self.wake(usize::try_from(host).expect("few"));
            }
        }
        assert!(self.row.pins.len() >= 2, "the backup key is always announced");
    }
}

#[test]
fn no_host_is_left_behind_and_none_follows_a_thief() {
    for seed in 1..17 {
        let mut world = World::new(seed);
        for _ in 0..60 {
            world.step();
        }
        // Whoever is lost after all is brought back by the backup key.
        world.rotate(true, false, false);
        for host in 0..world.hosts.len() {
            world.wake(host);
            assert_eq!(world.hosts[host].told, world.rotations, "seed {seed}");
        }
    }
}

#[test]
fn a_restored_server_is_followed_by_the_backup_key_whatever_happened_since() {
    let mut world = World::new(1);
    world.join();
    world.wake(0);
    let (row, file) = (world.row.clone(), world.dir.path().join(FILE));
    let backup = std::fs::read(&file).expect("a key");
    for _ in 0..5 {
        world.rotate(false, false, false);
        world.wake(0);
    }
    world.row = trust::finished(&world.row).expect("keys before");
    world.wake(0);
    std::fs::write(&file, backup).expect("restored");
    world.keys = Keys::open(world.dir.path()).expect("keys");
    world.row = trust::restored(&row);
    let presented = world.presented();
    let held = world.hosts[0].trust.clone();
    let refused = verify::recognise(&presented, &held.pins, held.generation);
    assert!(matches!(refused, Err(Failure::PinMismatch { .. })), "it has forgotten that key: {refused:?}");
    world.rotate(true, false, false);
    world.wake(0);
    assert_eq!(world.hosts[0].trust.revision, world.row.revision);
}

#[test]
fn only_the_backup_key_that_agents_know_can_vouch_and_only_for_what_was_prepared() {
    let (dir, other) = (TestDir::new(), TestDir::new());
    let keys = Keys::open(dir.path()).expect("keys");
    let backup = keys.make_backup().expect("a backup key");
    let file = dir.path().join(BACKUP_FILE);
    assert_eq!(keys.backup_here(), Some(file.clone()));
    let before = keys.pin();
    let refuse = |voucher: Option<String>, backup: Option<Pin>, part: &str| {
        let rotation = Rotation { voucher, compromised: true };
        match keys.rotate(&rotation, backup, 2) {
            Err(NotRotated::Invalid(why)) => assert!(why.contains(part) && !why.contains('\n'), "{why}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(keys.pin(), before);
    };
    refuse(None, Some(backup), "--backup-key");
    let stranger = FleetKey::ephemeral();
    let early = voucher(&file, &stranger.public(), 2).expect("a voucher");
    refuse(Some(early.clone()), Some(backup), "begin again");
    let public = keys.prepare().expect("a key");
    assert_eq!(PublicKey::parse(&public.to_string()), Some(public.clone()));
    refuse(Some(early), Some(backup), "not the backup key");
    refuse(Some("nonsense".into()), Some(backup), "not the backup key");
    refuse(Some("x".repeat(VOUCHER + 1)), Some(backup), "too long");
    let old = voucher(&file, &public, 1).expect("a voucher");
    refuse(Some(old), Some(backup), "changed meanwhile");
    let good = voucher(&file, &public, 2).expect("a voucher");
    refuse(Some(good.repeat(2)), Some(backup), "more in it");
    refuse(Some(good.clone()), None, "no backup key");
    FleetKey::load_or_create_backup(other.path()).expect("another key");
    let wrong = voucher(&other.path().join(BACKUP_FILE), &public, 2).expect("a voucher");
    refuse(Some(wrong), Some(backup), "not the backup key");
    assert!(voucher(&dir.path().join("nothing"), &public, 2).expect_err("no file").contains("there is no"));

    let rotated = keys.rotate(&Rotation { voucher: Some(good), compromised: true }, Some(backup), 2);
    assert_eq!(rotated, Ok(keys.pin()));
    assert_eq!(keys.pin(), public.pin());
    assert_eq!(Keys::open(dir.path()).expect("keys").pin(), public.pin());
    for bad in ["", "04", &"0".repeat(130), &"é".repeat(65)] {
        assert_eq!(PublicKey::parse(bad), None);
    }
}

#[test]
fn whoever_watches_is_told_and_serving_goes_on() {
    let dir = TestDir::new();
    let keys = Keys::open(dir.path()).expect("keys");
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    keys.when_changed(move |pin| tell.lock().expect("no panic").push(pin));
    keys.serve(1, &["fleet.example"]).expect("TLS");
    let first = keys.rotate(&Rotation::default(), None, 2).expect("rotated");
    let second = keys.rotate(&Rotation::default(), None, 3).expect("rotated");
    assert_eq!(*told.lock().expect("no panic"), [first, second]);
    std::fs::remove_file(dir.path().join(FILE)).expect("removed");
    std::fs::create_dir(dir.path().join(FILE)).expect("in the way");
    let failed = keys.rotate(&Rotation::default(), None, 4);
    assert!(matches!(failed, Err(NotRotated::Failed(why)) if why.contains("cannot write")));
    assert_eq!(keys.pin(), second, "what could be lost is not used");
}
