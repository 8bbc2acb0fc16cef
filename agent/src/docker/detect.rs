//! Where the engine listens if nobody says so: as the docker command finds it, then where engines usually are.
//!
//! In this order: the socket that Docker's context names; `/var/run/docker.sock`; a rootless Docker's in the user's runtime
//! directory; Podman's as root; Podman's of the user. Of those that exist, the first to which this user may connect counts,
//! else the first that exists, else Docker's usual one: it may appear later.

use super::address::EngineAddress;
use crate::join::state_dir;
use rustix::fs::{Access, access};
use serde::Deserialize;
use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Docker's usual socket.
pub const USUAL: &str = "/var/run/docker.sock";
/// Podman's, if it runs as root.
const PODMAN: &str = "/run/podman/podman.sock";
/// Docker's files of settings have some hundred bytes.
const FILE_LIMIT: usize = 256 * 1024;
/// The context that stands for no context.
const NO_CONTEXT: &str = "default";

/// What of the environment matters.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Where Docker's command has its settings.
    config: Option<PathBuf>,
    /// The context that was asked for.
    context: Option<String>,
    /// The user's directory for sockets.
    runtime: Option<PathBuf>,
}

impl Surroundings {
    /// Reads what matters from these variables.
    pub fn of(variable: impl Fn(&str) -> Option<OsString>) -> Surroundings {
        let path = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Surroundings {
            config: path("DOCKER_CONFIG").or_else(|| Some(path("HOME")?.join(".docker"))),
            context: variable("DOCKER_CONTEXT")
                .and_then(|name| name.into_string().ok())
                .filter(|name| !name.is_empty()),
            runtime: path("XDG_RUNTIME_DIR"),
        }
    }

    /// Where the engine listens, with sockets looked for below this root (`/`).
    pub fn engine(&self, root: &Path) -> EngineAddress {
        let below = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
        let is_socket = |path: &&PathBuf| std::fs::metadata(below(path)).is_ok_and(|it| it.file_type().is_socket());
        let candidates = self.candidates(&below);
        let there: Vec<&PathBuf> = candidates.iter().filter(is_socket).collect();
        let open = there.iter().find(|path| access(below(path), Access::WRITE_OK).is_ok());
        let found = open.or(there.first()).map_or_else(|| PathBuf::from(USUAL), |path| (*path).clone());
        EngineAddress::Unix(found)
    }

    fn candidates(&self, below: &dyn Fn(&Path) -> PathBuf) -> Vec<PathBuf> {
        let uid = std::fs::metadata("/proc/self").map_or(0, |own| own.uid());
        let runtime = self.runtime.clone().unwrap_or_else(|| format!("/run/user/{uid}").into());
        let usual = [USUAL.into(), runtime.join("docker.sock"), PODMAN.into(), runtime.join("podman/podman.sock")];
        self.of_context(below).into_iter().chain(usual).collect()
    }

    /// The Unix socket of the context in force. Other machines' engines, by TCP or SSH, are none of this host's.
    fn of_context(&self, below: &dyn Fn(&Path) -> PathBuf) -> Option<PathBuf> {
        #[derive(Deserialize)]
        struct Config {
            #[serde(rename = "currentContext")]
            current: Option<String>,
        }
        #[derive(Deserialize)]
        struct Meta {
            #[serde(rename = "Endpoints")]
            endpoints: Endpoints,
        }
        #[derive(Deserialize)]
        struct Endpoints {
            docker: Endpoint,
        }
        #[derive(Deserialize)]
        struct Endpoint {
            #[serde(rename = "Host")]
            host: String,
        }
        let read = |path: &Path| state_dir::read(&below(path), FILE_LIMIT).ok().flatten();
        let config = self.config.as_ref()?;
        let current = || serde_json::from_str::<Config>(&read(&config.join("config.json"))?).ok()?.current;
        let name = self.context.clone().or_else(current).filter(|name| name != NO_CONTEXT)?;
        // Docker's command names the directory of a context by the hash of the context's name.
        let hash = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
        let hex = hash.as_ref().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let meta = read(&config.join("contexts/meta").join(hex).join("meta.json"))?;
        let meta: Meta = serde_json::from_str(&meta).ok()?;
        EngineAddress::parse(&meta.endpoints.docker.host).ok()?.path().map(Path::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::state_dir::TestDir;
    use std::fs;
    use std::os::unix::net::UnixListener;

    fn surroundings(variables: &[(&str, &str)]) -> Surroundings {
        Surroundings::of(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    fn write(root: &TestDir, path: &str, text: &str) {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn socket(root: &TestDir, path: &str) -> UnixListener {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        UnixListener::bind(path).unwrap()
    }

    fn found(root: &TestDir, variables: &[(&str, &str)]) -> String {
        surroundings(variables).engine(root.path()).to_string()
    }

    #[test]
    fn sockets_are_found_in_their_order() {
        let root = TestDir::new();
        let runtime = [("XDG_RUNTIME_DIR", "/run/user/77")];
        assert_eq!(found(&root, &runtime), USUAL, "there is none yet");
        let _podman = socket(&root, "run/user/77/podman/podman.sock");
        assert_eq!(found(&root, &runtime), "/run/user/77/podman/podman.sock");
        let _root_podman = socket(&root, "run/podman/podman.sock");
        assert_eq!(found(&root, &runtime), PODMAN);
        let _rootless = socket(&root, "run/user/77/docker.sock");
        assert_eq!(found(&root, &runtime), "/run/user/77/docker.sock");
        write(&root, "var/run/docker.sock", "no socket");
        assert_eq!(found(&root, &runtime), "/run/user/77/docker.sock");
        fs::remove_file(root.path().join("var/run/docker.sock")).unwrap();
        let _docker = socket(&root, "var/run/docker.sock");
        assert_eq!(found(&root, &runtime), USUAL);
    }

    #[test]
    fn without_a_runtime_directory_the_users_own_is_looked_at() {
        let root = TestDir::new();
        let uid = fs::metadata("/proc/self").unwrap().uid();
        let path = format!("run/user/{uid}/docker.sock");
        let _rootless = socket(&root, &path);
        assert_eq!(found(&root, &[]), format!("/{path}"));
    }

    #[test]
    fn a_context_goes_before_the_usual_places_if_it_names_a_socket_of_this_host() {
        let root = TestDir::new();
        let _docker = socket(&root, "var/run/docker.sock");
        let _mine = socket(&root, "mine.sock");
        // sha256 of "mine" and of "far".
        let hex = |name: &str| {
            let hash = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
            hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let meta = |name: &str, host: &str| {
            let text = format!(
                r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
            );
            write(&root, &format!("home/.docker/contexts/meta/{}/meta.json", hex(name)), &text);
        };
        meta("mine", "unix:///mine.sock");
        meta("far", "ssh://ann@far");
        meta("gone", "unix:///gone.sock");
        let home = ("HOME", "/home");
        assert_eq!(found(&root, &[home]), USUAL);
        assert_eq!(found(&root, &[home, ("DOCKER_CONTEXT", "mine")]), "/mine.sock");
        write(&root, "home/.docker/config.json", r#"{"auths":{},"currentContext":"mine"}"#);
        assert_eq!(found(&root, &[home]), "/mine.sock");
        assert_eq!(found(&root, &[("DOCKER_CONFIG", "/home/.docker")]), "/mine.sock");
        for other in ["far", "gone", "default", "nobody's"] {
            assert_eq!(found(&root, &[home, ("DOCKER_CONTEXT", other)]), USUAL, "{other}");
        }
        write(&root, "home/.docker/config.json", "{");
        assert_eq!(found(&root, &[home]), USUAL);
    }
}
