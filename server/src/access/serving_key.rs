//! The key of the serving certificate. It is kept over restarts, so that a line that was printed for `curl`, which
//! pins this very key, stays good for as long as its token. Each fleet key and generation has its own.

use super::fleet_key::{certificates_from_pem, certificates_to_pem, replace};
use muster_dial::Pin;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The key's file in the data directory: a line that says what it is for, then PKCS #8 in PEM. Never part of a backup.
pub const FILE: &str = "serving.key";
/// A line of 90 bytes and a key of 250, or a line of all names and a certificate of a kilobyte.
const FILE_LIMIT: u64 = 16 * 1024;

/// The file of its certificate. Browsers that were told to go on with it ask again when there is another, so it stays
/// over restarts too.
const CERTIFICATE_FILE: &str = "serving.crt";

/// What TLS itself is done with.
pub struct ServingKey {
    key: KeyPair,
    /// Where it is kept.
    folder: Option<PathBuf>,
}

impl ServingKey {
    /// The one that is kept for this fleet key and generation, else a new one, which is kept from now on.
    ///
    /// # Errors
    /// There is no randomness. One line.
    pub fn kept(data_dir: &Path, fleet: Pin, generation: u64) -> Result<ServingKey, String> {
        match load(data_dir, fleet, generation) {
            Some(key) => Ok(ServingKey { key, folder: Some(data_dir.into()) }),
            None => ServingKey::renewed(data_dir, fleet, generation),
        }
    }

    /// A new one in the place of what was kept. Where it cannot be kept, it is good until the server ends.
    ///
    /// # Errors
    /// There is no randomness. One line.
    pub fn renewed(data_dir: &Path, fleet: Pin, generation: u64) -> Result<ServingKey, String> {
        let key = ServingKey { folder: Some(data_dir.into()), ..ServingKey::ephemeral()? };
        let text = format!("{}\n{}", purpose(fleet, generation), key.key.serialize_pem());
        if let Err(error) = replace(data_dir, FILE, &text) {
            let path = data_dir.join(FILE);
            log::warn!("cannot keep {}: {error}; install commands are good until the server ends", path.display());
        }
        Ok(key)
    }

    /// One that is kept nowhere.
    ///
    /// # Errors
    /// There is no randomness. One line.
    pub fn ephemeral() -> Result<ServingKey, String> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| error.to_string())?;
        Ok(ServingKey { key, folder: None })
    }

    /// What a client pins that looks at the serving certificate alone, as curl does.
    pub fn pin(&self) -> Pin {
        Pin::of_public_key(&self.key.subject_public_key_info())
    }

    pub(super) fn pair(&self) -> &KeyPair {
        &self.key
    }

    /// Its certificate for a purpose, on one line: the one that is kept for that, else a new one, which is kept from now
    /// on. Where it cannot be kept, it is good until the server ends.
    pub(super) fn certificate(
        &self,
        purpose: &str,
        make: impl FnOnce() -> Result<CertificateDer<'static>, String>,
    ) -> Result<CertificateDer<'static>, String> {
        let Some(folder) = &self.folder else { return make() };
        let purpose = format!("certificate of {} {}", self.pin(), purpose.replace(['\n', '\r'], " "));
        let kept = read(&folder.join(CERTIFICATE_FILE)).and_then(|text| {
            let (first, pem) = text.split_once('\n')?;
            certificates_from_pem(pem).ok()?.into_iter().next().filter(|_| first == purpose)
        });
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let made = make()?;
        let text = format!("{purpose}\n{}", certificates_to_pem(&[&made]));
        if let Err(error) = replace(folder, CERTIFICATE_FILE, &text) {
            let path = folder.join(CERTIFICATE_FILE);
            log::warn!("cannot keep {}: {error}; browsers will ask about the next one", path.display());
        }
        Ok(made)
    }
}

impl fmt::Debug for ServingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServingKey").field(&self.pin()).finish()
    }
}

/// The first line of the file.
fn purpose(fleet: Pin, generation: u64) -> String {
    format!("serving by {fleet} in generation {generation}")
}

/// What is kept, if it is for that; what cannot be read is replaced like one for another key.
fn load(data_dir: &Path, fleet: Pin, generation: u64) -> Option<KeyPair> {
    let path = data_dir.join(FILE);
    let text = read(&path)?;
    let (first, pem) = text.split_once('\n')?;
    if first != purpose(fleet, generation) {
        return None;
    }
    let key = KeyPair::from_pkcs8_pem_and_sign_algo(pem, &PKCS_ECDSA_P256_SHA256);
    key.map_err(|error| log::warn!("{} is malformed and replaced: {error}", path.display())).ok()
}

/// A file's text; `None` if there is none that can be read.
fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(FILE_LIMIT).read_to_string(&mut text)) {
        Ok(_) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            log::warn!("cannot read {}: {error}", path.display());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_dir::TestDir;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_stays_for_one_fleet_key_and_generation_and_no_other() {
        let dir = TestDir::new();
        let (fleet, other) = (Pin([1; 32]), Pin([2; 32]));
        let kept = |fleet, generation| ServingKey::kept(dir.path(), fleet, generation).expect("a key").pin();
        let first = kept(fleet, 1);
        assert_eq!(kept(fleet, 1), first, "over restarts");
        assert_eq!(fs::metadata(dir.path().join(FILE)).expect("kept").permissions().mode() & 0o777, 0o600);
        let second = kept(fleet, 2);
        assert_ne!(second, first, "whoever has stolen the first has nothing");
        assert_ne!(kept(other, 2), second);
        let third = ServingKey::renewed(dir.path(), other, 2).expect("a key").pin();
        assert_eq!(kept(other, 2), third);
    }

    #[test]
    fn its_certificate_stays_for_one_purpose_and_no_other() {
        let dir = TestDir::new();
        let key = |generation| ServingKey::kept(dir.path(), Pin([1; 32]), generation).expect("a key");
        let made = |key: &ServingKey, purpose: &str, content: u8| {
            key.certificate(purpose, || Ok(CertificateDer::from(vec![content; 40]))).expect("a certificate")[0]
        };
        assert_eq!(made(&key(1), "for a", 1), 1);
        assert_eq!(made(&key(1), "for a", 2), 1, "over restarts");
        assert_eq!(made(&key(1), "for\nb", 3), 3);
        assert_eq!(made(&key(1), "for\nb", 4), 3);
        assert_eq!(made(&key(2), "for b", 5), 5, "another key");
        std::fs::write(dir.path().join(CERTIFICATE_FILE), "nonsense").expect("written");
        assert_eq!(made(&key(2), "for b", 6), 6);
        assert_eq!(made(&ServingKey::ephemeral().expect("a key"), "for b", 7), 7);
    }

    #[test]
    fn a_file_that_is_damaged_or_cannot_be_written_keeps_nobody_from_serving() {
        let dir = TestDir::new();
        for text in ["", "nonsense", &format!("{}\nnonsense", purpose(Pin([1; 32]), 1))] {
            fs::write(dir.path().join(FILE), text).expect("written");
            let made = ServingKey::kept(dir.path(), Pin([1; 32]), 1).expect("a key").pin();
            assert_eq!(ServingKey::kept(dir.path(), Pin([1; 32]), 1).expect("a key").pin(), made);
        }
        assert!(ServingKey::kept(&dir.path().join("nowhere"), Pin([1; 32]), 1).is_ok());
    }
}
