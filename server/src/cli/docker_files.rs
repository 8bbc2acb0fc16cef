//! Docker contexts as the docker command line keeps them: a description and TLS files, each in a directory that is
//! called by the SHA-256 of the context's name.

use super::exit::{Exit, Failure};
use crate::access::docker_ca::{fingerprint, hex};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The longest file that is read, in bytes.
const FILE_LIMIT: u64 = 64 * 1024;

/// The longest name, in bytes.
const NAME: usize = 64;

/// What a client needs for TLS, as PEM.
#[derive(Debug)]
pub struct Material<'a> {
    /// What it knows the server by.
    pub ca: &'a str,
    /// What the server knows it by.
    pub certificate: &'a str,
    /// Its own key.
    pub key: &'a str,
}

/// The configuration directory of the docker command line.
#[derive(Debug)]
pub struct Config(PathBuf);

impl Config {
    /// `DOCKER_CONFIG`, else `~/.docker`.
    pub fn find() -> Result<Config, Failure> {
        let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let path = given("DOCKER_CONFIG").or_else(|| given("HOME").map(|home| home.join(".docker")));
        path.map(Config).ok_or_else(|| {
            let message = "where the docker command line keeps its contexts is not known: set DOCKER_CONFIG or HOME";
            Failure::new(Exit::Failure, message)
        })
    }

    /// Whether a context can be written under this name.
    pub fn check(&self, name: &str, may_replace: bool) -> Result<(), Failure> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
        let starts = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if !(2..=NAME).contains(&name.len()) || !starts || !name.bytes().all(is_plain) || name == "default" {
            let message = format!(
                "{name:?} cannot be a docker context's name: give 2 to {NAME} letters, digits and _ . + -, and not `default`"
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        if self.meta(name).exists() && !may_replace {
            let message =
                format!("there is a docker context {name} already: choose another name, or replace it with --force");
            return Err(Failure::new(Exit::Failure, message));
        }
        Ok(())
    }

    fn meta(&self, name: &str) -> PathBuf {
        self.0.join("contexts/meta").join(directory(name))
    }

    fn tls(&self, name: &str) -> PathBuf {
        self.0.join("contexts/tls").join(directory(name))
    }

    /// Writes a context, readable by its owner only; what was there under that name goes.
    pub fn write(&self, name: &str, url: &str, material: Option<&Material<'_>>) -> Result<(), Failure> {
        let about = json!({
            "Name": name,
            "Metadata": { "Description": "A Muster fleet, to look at" },
            "Endpoints": { "docker": { "Host": url, "SkipTLSVerify": false } },
        });
        let (meta, tls) = (self.meta(name), self.tls(name));
        let written = remove(&tls)
            .and_then(|()| match material {
                None => Ok(()),
                Some(material) => {
                    let folder = tls.join("docker");
                    write(&folder, "ca.pem", material.ca)?;
                    write(&folder, "cert.pem", material.certificate)?;
                    write(&folder, "key.pem", material.key)
                }
            })
            // The description comes last: it makes the context.
            .and_then(|()| write(&meta, "meta.json", &about.to_string()));
        written.map_err(|error| {
            Failure::new(Exit::Failure, format!("cannot write the docker context into {}: {error}", self.0.display()))
        })
    }

    /// Removes the context of this name if it has the certificate with this fingerprint (`sha256:...`).
    pub fn remove_if_of(&self, name: &str, wanted: &str) -> Result<(), Failure> {
        let mut text = Vec::new();
        let path = self.tls(name).join("docker/cert.pem");
        let read = File::open(&path).and_then(|file| file.take(FILE_LIMIT).read_to_end(&mut text));
        let is_it = read.is_ok()
            && CertificateDer::from_pem_slice(&text)
                .is_ok_and(|certificate| format!("sha256:{}", hex(&fingerprint(&certificate))) == wanted);
        if !is_it {
            return Ok(());
        }
        remove(&self.meta(name)).and_then(|()| remove(&self.tls(name))).map_err(|error| {
            Failure::new(
                Exit::Failure,
                format!("revoked, but the docker context {name} is still in {}: {error}", self.0.display()),
            )
        })
    }
}

/// What the docker command line calls a context's directories.
fn directory(name: &str) -> String {
    hex(&fingerprint(name.as_bytes()))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let (path, new) = (folder.join(name), folder.join(format!("{name}.new")));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_dir::TestDir;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_context_is_where_docker_looks_for_it() {
        let place = TestDir::new();
        let config = Config(place.path().to_path_buf());
        config.check("fleet", false).expect("a name");
        let material = Material { ca: "ca", certificate: "certificate", key: "key" };
        config.write("fleet", "tcp://fleet.example:2376", Some(&material)).expect("written");
        // As `printf fleet | sha256sum` has it.
        let hash = directory("fleet");
        assert_eq!(hash.len(), 64);
        let meta = place.path().join("contexts/meta").join(&hash).join("meta.json");
        let about: serde_json::Value = serde_json::from_slice(&fs::read(&meta).expect("there")).expect("JSON");
        assert_eq!(
            (&about["Name"], &about["Endpoints"]["docker"]["Host"]),
            (&json!("fleet"), &json!("tcp://fleet.example:2376"))
        );
        let key = place.path().join("contexts/tls").join(&hash).join("docker/key.pem");
        assert_eq!(fs::read_to_string(&key).expect("there"), "key");
        for path in [&meta, &key] {
            assert_eq!(fs::metadata(path).expect("there").permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(config.check("fleet", false).expect_err("taken").exit, Exit::Failure);
        config.check("fleet", true).expect("may be replaced");
        config.write("fleet", "tcp://127.0.0.1:2375", None).expect("written");
        assert!(!key.exists() && meta.exists());
        config.remove_if_of("fleet", "sha256:00").expect("not it");
        assert!(meta.exists());
    }

    #[test]
    fn names_are_those_that_docker_takes() {
        let config = Config("/nowhere".into());
        for name in ["fleet", "a1", "my.fleet-2+_"] {
            assert_eq!(config.check(name, false), Ok(()), "{name}");
        }
        for name in ["", "a", "default", "-a1", "a b", "a/b", "..", "é1", &"a".repeat(65)] {
            assert!(config.check(name, false).is_err(), "{name}");
        }
    }
}
