//! Which versions of Docker's API are spoken, and what answers.

use super::Scope;
use crate::fleet::Fleet;
use crate::fleet::Refusal;
use serde_json::{Value, json};
use std::fmt;

/// A version of Docker's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16);

/// The oldest that is spoken: the first that has every field that is answered.
pub const OLDEST: Version = Version(1, 24);

/// The newest that is spoken. Newer clients come down to it.
pub const NEWEST: Version = Version(1, 47);

impl Version {
    /// Of a path's part, such as `v1.41`.
    pub fn of_path(part: &str) -> Option<Version> {
        let (major, minor) = part.strip_prefix('v')?.split_once('.')?;
        let plain = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = |text: &str| if plain(text) { text.parse().ok() } else { None };
        Some(Version(number(major)?, number(minor)?))
    }

    /// Why it is not spoken, in Docker's words; `None` if it is.
    pub fn refused(self) -> Option<String> {
        if self < OLDEST {
            return Some(format!(
                "client version {self} is too old. Minimum supported API version is {OLDEST}, please upgrade your client to a newer version"
            ));
        }
        (self > NEWEST).then(|| format!("client version {self} is too new. Maximum supported API version is {NEWEST}"))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The version of Muster.
pub const MUSTER: &str = env!("CARGO_PKG_VERSION");

/// `GET /version`: Muster itself; for one host its engine beside it.
pub(super) fn show(fleet: &Fleet, scope: &Scope) -> Result<Value, Refusal> {
    let about =
        |name: &str, version: &str, details: Value| json!({ "Name": name, "Version": version, "Details": details });
    let mut muster = json!({ "ApiVersion": NEWEST.to_string(), "MinAPIVersion": OLDEST.to_string() });
    let mut components = Vec::new();
    let (mut os, mut arch) = (std::env::consts::OS.to_owned(), machine(std::env::consts::ARCH).to_owned());
    let mut answer = json!({
        "Platform": { "Name": "Muster" },
        "Version": MUSTER,
        "ApiVersion": NEWEST.to_string(),
        "MinAPIVersion": OLDEST.to_string(),
    });
    if let Scope::Host(id) = scope {
        let host = fleet.host(id)?;
        answer["Platform"]["Name"] = format!("Muster: {}", host.name).into();
        (os, arch) = (host.os.unwrap_or(os), host.arch.map_or(arch, |arch| machine(&arch).to_owned()));
        if let Some(engine) = &host.engine.version {
            let mut details = json!({ "Os": os, "Arch": arch });
            if let Some(version) = &host.engine.api_version {
                details["ApiVersion"] = version.clone().into();
            }
            components.push(about("Engine", engine, details));
        }
        components.push(about("Muster", MUSTER, muster.clone()));
        if let Some(kernel) = host.kernel {
            answer["KernelVersion"] = kernel.into();
        }
    }
    if components.is_empty() {
        // By the name that clients look for: they would add one of theirs.
        (muster["Os"], muster["Arch"]) = (os.clone().into(), arch.clone().into());
        components.push(about("Engine", MUSTER, muster));
    }
    answer["Components"] = components.into();
    answer["Os"] = os.into();
    answer["Arch"] = arch.into();
    Ok(answer)
}

/// Docker's word for an architecture, which is Go's.
fn machine(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" | "armv6l" => "arm",
        "i686" | "x86" => "386",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_as_numbers() {
        assert_eq!(Version::of_path("v1.41"), Some(Version(1, 41)));
        assert!(Version(1, 9) < Version(1, 24));
        for wrong in ["1.41", "v1", "v1.", "v.1", "v1.4a", "v1.41.0", "v+1.4", "v1.9999", "version"] {
            assert_eq!(Version::of_path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_too_old_and_too_new_is_told_in_words_that_clients_know() {
        assert!(Version(1, 23).refused().is_some_and(|why| why.contains("is too old")));
        assert!(Version(1, 48).refused().is_some_and(|why| why.contains("is too new")));
        assert_eq!((OLDEST.refused(), NEWEST.refused(), Version(1, 44).refused()), (None, None, None));
    }
}
