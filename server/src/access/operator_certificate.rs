//! The operator's own certificate, for browsers: two PEM files that something else renews, read again when they change.

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest file that is read: a chain has some 10 KiB.
const FILE_LIMIT: u64 = 256 * 1024;

/// Where the certificate is, and what was last seen there.
#[derive(Debug)]
pub struct OperatorCertificate {
    certificate: PathBuf,
    key: PathBuf,
    seen: [Stamp; 2],
}

/// What changes when a file does: device and inode, length, and the time to the nanosecond. `None`: it cannot be
/// looked at.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl OperatorCertificate {
    /// Reads both files: the certificate with what leads to its root behind it, and its key.
    ///
    /// # Errors
    /// One line: what is wrong with which file.
    pub fn load(certificate: &Path, key: &Path) -> Result<(OperatorCertificate, Arc<CertifiedKey>), String> {
        let seen = [stamp(certificate), stamp(key)];
        let read = read(certificate, key)?;
        Ok((OperatorCertificate { certificate: certificate.into(), key: key.into(), seen }, read))
    }

    /// Reads both files again if one has changed since the last look; `None` if none has. An error is told once: the
    /// files are looked at again when they change again.
    pub fn look_again(&mut self) -> Option<Result<Arc<CertifiedKey>, String>> {
        let now = [stamp(&self.certificate), stamp(&self.key)];
        if now == self.seen {
            return None;
        }
        self.seen = now;
        Some(read(&self.certificate, &self.key))
    }
}

fn stamp(path: &Path) -> Stamp {
    let data = fs::metadata(path).ok()?;
    Some((data.dev(), data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, String> {
    let of = |path: &Path, why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let text = bytes(certificate)?;
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|error| of(certificate, &error))?;
    if chain.is_empty() {
        return Err(of(certificate, &"there is no certificate in it; give a PEM file"));
    }
    let private = PrivateKeyDer::from_pem_slice(&bytes(key)?)
        .map_err(|error| of(key, &format_args!("there is no private key in it that can be read ({error})")))?;
    let private = ring::default_provider().key_provider.load_private_key(private).map_err(|error| of(key, &error))?;
    let certified = CertifiedKey::new(chain, private);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(Arc::new(certified)),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(of(certificate, &format_args!("it is for another key than {}", key.display())))
        }
        Err(error) => Err(of(certificate, &error)),
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        Ok(_) if bytes.len() as u64 > FILE_LIMIT => {
            Err(format!("{} is longer than {FILE_LIMIT} bytes", path.display()))
        }
        Ok(_) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_dir::TestDir;
    use rcgen::KeyPair;

    /// A certificate and its key.
    fn make(name: &str) -> [String; 2] {
        let key = KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec![name.to_string()]).expect("a name");
        [params.self_signed(&key).expect("signed").pem(), key.serialize_pem()]
    }

    fn write(dir: &TestDir, [cert, key]: &[String; 2]) {
        fs::write(dir.path().join("cert"), cert).expect("written");
        fs::write(dir.path().join("key"), key).expect("written");
    }

    #[test]
    fn changes_are_seen_and_broken_files_are_told_once() {
        let dir = TestDir::new();
        let (cert, key) = (dir.path().join("cert"), dir.path().join("key"));
        let (first, second) = (make("a.example"), make("a-longer-name.example"));
        write(&dir, &first);
        let (mut operators, shown) = OperatorCertificate::load(&cert, &key).expect("good files");
        assert!(operators.look_again().is_none());
        write(&dir, &second);
        let next = operators.look_again().expect("a change").expect("good files");
        assert_ne!(next.cert, shown.cert);
        assert!(operators.look_again().is_none());
        // Half of a renewal, then nonsense, then gone.
        fs::write(&cert, &first[0]).expect("written");
        let error = operators.look_again().expect("a change").expect_err("a mismatch");
        assert!(error.contains("another key") && !error.contains('\n'), "{error}");
        assert!(operators.look_again().is_none(), "told once");
        fs::write(&cert, "nonsense").expect("written");
        assert!(operators.look_again().expect("a change").expect_err("nothing").contains("no certificate"));
        fs::remove_file(&cert).expect("removed");
        assert!(operators.look_again().expect("a change").expect_err("nothing").contains("cannot read"));
        write(&dir, &second);
        assert_eq!(operators.look_again().expect("a change").expect("good files").cert, next.cert);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let dir = TestDir::new();
        write(&dir, &make("a.example"));
        let (cert, key) = (dir.path().join("cert"), dir.path().join("key"));
        let swapped = OperatorCertificate::load(&key, &cert).expect_err("swapped");
        assert!(swapped.contains("no certificate") && swapped.contains("key"), "{swapped}");
        fs::write(&key, "x".repeat(300_000)).expect("written");
        assert!(OperatorCertificate::load(&cert, &key).expect_err("too long").contains("longer"));
    }
}
