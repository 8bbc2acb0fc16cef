//! Who this host is to its server: `STATE_DIR/identity`, and the highest epoch that it has seen.

use crate::command::exit::{Exit, Trouble, one_line};
use crate::join::renewal::Spare;
use crate::join::state_dir;
use muster_dial::join_string::{ADDRESSES, Address, PINS, Pin};
use muster_dial::{Settings, Trust};
use muster_protocol::id::HostId;
use muster_protocol::limits;
use std::fmt::{self, Write};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;

/// The file's name in the state directory.
pub const FILE: &str = "identity";
/// The name of the file with which a clone becomes a host of its own: an identity of which no answer has come.
pub const ANEW: &str = "identity.anew";
/// The name of the file that keeps the epoch.
pub const EPOCH_FILE: &str = "epoch";
/// Four addresses and pins of the longest kind, with room for what later versions add.
pub(crate) const FILE_LIMIT: usize = 16 * 1024;
const EPOCH_LIMIT: usize = 64;
/// What this code writes, and the newest that it reads.
const VERSION: u32 = 1;

/// What a host proves itself by. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential([u8; 32]);

impl Credential {
    /// A new one, from the system's source of randomness.
    pub fn random() -> io::Result<Credential> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Credential(bytes))
    }

    /// What the server knows it by: SHA-256 of [`Credential::hex`].
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, self.hex().as_bytes()).as_ref());
        hash
    }

    /// As requests carry it: 64 lowercase hexadecimal digits. Secret.
    pub fn hex(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

impl FromStr for Credential {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Credential, &'static str> {
        let digits = muster_protocol::id::EngineId::parse(text).filter(|_| text.len() == 64);
        digits.map(|id| Credential(id.0)).ok_or("the credential is not 64 hexadecimal digits")
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What a host is known by, and whom it reports to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// As the server numbers it; `None` while a join was begun whose answer has not come.
    pub host: Option<HostId>,
    /// The name that the server gave it, or the one that was asked for.
    pub name: String,
    /// Made here, before anything was sent.
    pub credential: Credential,
    /// A second one, while it is changed and after that.
    pub spare: Option<Spare>,
    /// Where the server may be reached: one to [`ADDRESSES`].
    pub addresses: Vec<Address>,
    /// What it is recognised by: one to [`PINS`].
    pub pins: Vec<Pin>,
    /// Where the server was before it announced other addresses: tried last. Up to [`ADDRESSES`].
    pub former: Vec<Address>,
    /// Which of the server's announcements addresses and pins are of; 0: a join string.
    pub revision: u64,
    /// The least generation of a serving certificate that is accepted.
    pub generation: u64,
}

impl Identity {
    /// Whether any pin is of the same server as those of `pins`.
    pub fn is_of(&self, pins: &[Pin]) -> bool {
        self.pins.iter().any(|pin| pins.contains(pin))
    }

    /// All addresses in the order in which they are tried.
    pub fn all_addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter().chain(&self.former)
    }

    /// How to reach and recognise the server at this address.
    pub fn settings(&self, address: Address) -> Settings {
        Settings { least_generation: self.generation, ..Settings::small(address, self.pins.clone()) }
    }

    /// Takes over what the server announces, as [`Trust::follow`] does.
    pub fn follow(&mut self, announced: &Trust, in_use: Option<&Address>) -> bool {
        let mut trust = Trust {
            revision: self.revision,
            generation: self.generation,
            addresses: std::mem::take(&mut self.addresses),
            former: std::mem::take(&mut self.former),
            pins: std::mem::take(&mut self.pins),
        };
        let followed = trust.follow(announced, in_use);
        Trust {
            revision: self.revision,
            generation: self.generation,
            addresses: self.addresses,
            former: self.former,
            pins: self.pins,
        } = trust;
        followed
    }

    /// Reads it from the state directory; `None` if there is none. A file that others may read is closed to them.
    pub fn load(directory: &Path) -> Result<Option<Identity>, Trouble> {
        Identity::load_from(directory, FILE)
    }

    /// As [`Identity::load`], from a file of this name.
    pub(super) fn load_from(directory: &Path, file: &str) -> Result<Option<Identity>, Trouble> {
        let path = directory.join(file);
        let text = state_dir::read(&path, FILE_LIMIT).map_err(|error| {
            Trouble::new(Exit::Failed, format!("cannot read {}", path.display()), error, state_dir::BE_THE_OWNER)
        })?;
        let Some(text) = text else { return Ok(None) };
        close(&path);
        Identity::of_file(directory, file, &text).map(Some)
    }

    /// From what this file of the state directory has.
    pub(crate) fn of_file(directory: &Path, file: &str, text: &str) -> Result<Identity, Trouble> {
        Identity::from_text(text).map_err(|Unreadable { line, why }| {
            let what = format!("{}:{line}", directory.join(file).display());
            let advice = format!("put the file back from a copy, or remove {} and join again", directory.display());
            Trouble::new(Exit::Failed, what, why, advice)
        })
    }

    /// Writes it, whatever was there. The directory has to exist.
    pub fn store(&self, directory: &Path) -> io::Result<()> {
        state_dir::replace(directory, FILE, self.to_text().as_bytes())
    }

    /// As [`Identity::store`], in a file of this name.
    pub(super) fn store_as(&self, directory: &Path, file: &str) -> io::Result<()> {
        state_dir::replace(directory, file, self.to_text().as_bytes())
    }

    /// Writes it if there is none, and returns whether it did.
    pub fn store_first(&self, directory: &Path) -> io::Result<bool> {
        state_dir::create(directory, FILE, self.to_text().as_bytes())
    }

    /// As the file has it. Secret.
    pub fn to_text(&self) -> String {
        let mut text = format!("version = {VERSION}\n");
        let mut line = |key: &str, value: &dyn fmt::Display| {
            let _ = writeln!(text, "{key} = {value}");
        };
        if let Some(host) = self.host {
            line("host", &host);
        }
        line("name", &one_line(&self.name, limits::HOST_NAME));
        line("credential", &self.credential.hex());
        match &self.spare {
            Some(Spare::Next(number, credential)) => {
                line("next", &credential.hex());
                line("renewal", number);
            }
            Some(Spare::Previous(credential)) => line("previous", &credential.hex()),
            None => {}
        }
        self.addresses.iter().for_each(|address| line("address", address));
        self.pins.iter().for_each(|pin| line("pin", pin));
        self.former.iter().for_each(|address| line("former", address));
        if self.revision > 0 {
            line("revision", &self.revision);
        }
        if self.generation > 0 {
            line("generation", &self.generation);
        }
        text
    }
}

/// What is wrong with an identity's text, and in which line. Never repeats any of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Identity {
    /// Reads what the file has. Keys that are not known are skipped: a later version may have written them before it
    /// was taken back.
    pub fn from_text(text: &str) -> Result<Identity, Unreadable> {
        let (mut version, mut host, mut name, mut credential) = (None, None, None, None);
        let (mut next, mut previous, mut renewal) = (None, None, 0);
        let (mut addresses, mut pins, mut former) = (Vec::new(), Vec::new(), Vec::new());
        let (mut revision, mut generation) = (0, 0);
        let mut last = 0;
        for (number, line) in (1..).zip(text.lines()) {
            last = number;
            let wrong = |why: String| Unreadable { line: number, why };
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').ok_or_else(|| wrong("it is not of the form key = value".into()))?;
            let value = value.trim();
            match key.trim() {
                "version" => {
                    version = Some(value.parse::<u32>().map_err(|_| wrong("the version is no number".into()))?)
                }
                "host" => {
                    let id =
                        HostId::parse(value).ok_or_else(|| wrong("the host is not 16 hexadecimal digits".into()))?;
                    host = Some(id);
                }
                "name" => name = Some(one_line(value, limits::HOST_NAME)),
                "credential" => credential = Some(value.parse().map_err(|why: &str| wrong(why.into()))?),
                "next" => next = Some(value.parse().map_err(|why: &str| wrong(why.into()))?),
                "previous" => previous = Some(value.parse().map_err(|why: &str| wrong(why.into()))?),
                "renewal" => renewal = value.parse().map_err(|_| wrong("the renewal is no number".into()))?,
                "address" if addresses.len() < ADDRESSES => {
                    addresses.push(value.parse().map_err(|error| wrong(format!("a bad address: {error}")))?);
                }
                "pin" if pins.len() < PINS => {
                    pins.push(value.parse().map_err(|error| wrong(format!("a bad pin: {error}")))?);
                }
                "former" if former.len() < ADDRESSES => {
                    former.push(value.parse().map_err(|error| wrong(format!("a bad address: {error}")))?);
                }
                "revision" => revision = value.parse().map_err(|_| wrong("the revision is no number".into()))?,
                "generation" => {
                    generation = value.parse().map_err(|_| wrong("the generation is no number".into()))?;
                }
                "address" | "pin" | "former" => return Err(wrong("there are too many of this key".into())),
                _ => {}
            }
        }
        let missing = |key: &str| Unreadable { line: last + 1, why: format!("the file ends without a line for {key}") };
        match version {
            None => return Err(missing("version")),
            Some(VERSION) => {}
            Some(other) => {
                let why = format!("it has version {other}, and this agent reads version {VERSION}");
                return Err(Unreadable { line: 1, why });
            }
        }
        if addresses.is_empty() {
            return Err(missing("address"));
        }
        if pins.is_empty() {
            return Err(missing("pin"));
        }
        let credential = credential.ok_or_else(|| missing("credential"))?;
        let spare = next.map(|next| Spare::Next(renewal, next)).or(previous.map(Spare::Previous));
        let name = name.ok_or_else(|| missing("name"))?;
        Ok(Identity { host, name, credential, spare, addresses, pins, former, revision, generation })
    }
}

/// Takes from others the right to read the file.
pub(super) fn close(path: &Path) {
    let open = fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    if !open {
        return;
    }
    match fs::set_permissions(path, Permissions::from_mode(0o600)) {
        Ok(()) => log::warn!("{} could be read by others; it is now closed to them", path.display()),
        Err(error) => log::warn!("{} can be read by others, and stays so: {error}", path.display()),
    }
}

/// The highest epoch that this host has seen. 0 if that is not known: the server then asks its own memory alone.
pub fn load_epoch(directory: &Path) -> u64 {
    let text = state_dir::read(&directory.join(EPOCH_FILE), EPOCH_LIMIT);
    text.ok().flatten().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Remembers an epoch, unless one as high is known already: flash is spared.
pub fn store_epoch(directory: &Path, epoch: u64) -> io::Result<()> {
    if load_epoch(directory) >= epoch {
        return Ok(());
    }
    state_dir::replace(directory, EPOCH_FILE, format!("{epoch}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::state_dir::TestDir;

    const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn pin(digit: &str) -> Pin {
        format!("sha256:{}", digit.repeat(64)).parse().unwrap()
    }

    fn sample() -> Identity {
        Identity {
            host: HostId::parse("0123456789abcdef"),
            name: "pi-7".into(),
            credential: HEX.parse().unwrap(),
            spare: None,
            addresses: vec!["fleet.example:7443".parse().unwrap(), "[2001:db8::1]:1".parse().unwrap()],
            pins: vec![pin("a"), pin("b")],
            former: Vec::new(),
            revision: 0,
            generation: 0,
        }
    }

    #[test]
    fn what_is_stored_comes_back_and_only_the_owner_may_read_it() {
        let dir = TestDir::new();
        assert_eq!(Identity::load(dir.path()).unwrap(), None);
        let pending = Identity { host: None, ..sample() };
        assert!(pending.store_first(dir.path()).unwrap());
        assert_eq!(Identity::load(dir.path()).unwrap(), Some(pending));
        assert!(!sample().store_first(dir.path()).unwrap());
        sample().store(dir.path()).unwrap();
        assert_eq!(Identity::load(dir.path()).unwrap(), Some(sample()));
        let file = dir.path().join(FILE);
        let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(Identity::load(dir.path()).unwrap(), Some(sample()));
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn what_a_server_announces_comes_back_and_files_from_before_are_read() {
        let mut told = sample();
        let announced = Trust {
            revision: 7,
            generation: 3,
            addresses: vec!["new.example:7443".parse().unwrap()],
            former: Vec::new(),
            pins: vec![pin("c")],
        };
        assert!(told.follow(&announced, Some(&sample().addresses[1])));
        assert_eq!((told.revision, told.generation, &told.pins), (7, 3, &announced.pins));
        assert_eq!(told.addresses, announced.addresses);
        assert_eq!(told.former, [sample().addresses[1].clone(), sample().addresses[0].clone()]);
        assert_eq!(Identity::from_text(&told.to_text()), Ok(told.clone()));
        assert!(!told.follow(&announced, None));
        let before = sample().to_text();
        assert!(!before.contains("revision") && !before.contains("generation"));
        assert_eq!(Identity::from_text(&before), Ok(sample()));
        for (key, why) in [("revision", "no number"), ("generation", "no number"), ("former", "a bad address")] {
            let error = Identity::from_text(&format!("{before}{key} = x\n")).unwrap_err();
            assert!(error.line == 9 && error.why.contains(why), "{error:?}");
        }
    }

    #[test]
    fn a_second_credential_comes_back_too() {
        let other = HEX.replace('0', "f");
        for spare in [Spare::Next(7, other.parse().unwrap()), Spare::Previous(other.parse().unwrap())] {
            let identity = Identity { spare: Some(spare), ..sample() };
            assert_eq!(Identity::from_text(&identity.to_text()), Ok(identity.clone()));
            assert!(!format!("{identity:?}").contains(&other));
        }
    }

    #[test]
    fn keys_of_later_versions_are_skipped_and_later_versions_are_not_read() {
        let text = sample().to_text() + "\n# a remark\nlater = x\n";
        assert_eq!(Identity::from_text(&text), Ok(sample()));
        let newer = text.replace("version = 1", "version = 2");
        assert_eq!(Identity::from_text(&newer).unwrap_err().line, 1);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_the_way_out_and_no_secret() {
        let dir = TestDir::new();
        let good = sample().to_text();
        let pin = format!("pin = {}\n", pin("c"));
        let many = good.clone() + &pin.repeat(3);
        for (text, line, why) in [
            (good.replace(HEX, "hush"), 4, "64 hexadecimal"),
            (good.replace("0123456789abcdef", "xyz"), 2, "16 hexadecimal"),
            (good.replace(":7443", ""), 5, "a bad address"),
            (good.replace("sha256:", ""), 7, "a bad pin"),
            (good.replace("name = pi-7", "name"), 3, "key = value"),
            (good.replace("credential", "x"), 9, "without a line for credential"),
            (good.replace("pin", "x"), 9, "without a line for pin"),
            (good.replace("address", "x"), 9, "without a line for address"),
            (good.replace("version = 1", "version = y"), 1, "no number"),
            (many, 11, "too many"),
            (String::new(), 1, "without a line for version"),
        ] {
            fs::write(dir.path().join(FILE), &text).unwrap();
            let trouble = Identity::load(dir.path()).unwrap_err();
            let said = trouble.to_string();
            assert!(trouble.what.ends_with(&format!("/identity:{line}")) && trouble.why.contains(why), "{said}");
            assert!(!said.contains("hush") && !said.contains(HEX) && said.contains("join again"), "{said}");
        }
        fs::remove_file(dir.path().join(FILE)).unwrap();
        fs::create_dir(dir.path().join(FILE)).unwrap();
        assert!(Identity::load(dir.path()).unwrap_err().why.contains("no plain file"));
    }

    #[test]
    fn the_credential_stays_out_of_debug_output() {
        assert!(!format!("{:?}", sample()).contains("0011"));
        assert_eq!(sample().credential.hex(), HEX);
        assert_ne!(Credential::random().unwrap(), Credential::random().unwrap());
        assert!(format!("sha256:{HEX}").parse::<Credential>().is_err());
    }

    #[test]
    fn servers_are_the_same_if_they_share_a_pin() {
        assert!(sample().is_of(&[pin("c"), pin("b")]));
        assert!(!sample().is_of(&[pin("c")]));
    }

    #[test]
    fn the_epoch_only_grows_and_is_zero_when_lost() {
        let dir = TestDir::new();
        assert_eq!(load_epoch(dir.path()), 0);
        store_epoch(dir.path(), 7).unwrap();
        store_epoch(dir.path(), 5).unwrap();
        assert_eq!(load_epoch(dir.path()), 7);
        fs::write(dir.path().join(EPOCH_FILE), "x").unwrap();
        assert_eq!(load_epoch(dir.path()), 0);
        store_epoch(dir.path(), 5).unwrap();
        assert_eq!(load_epoch(dir.path()), 5);
    }
}
