//! What a request asks for: method and path, without a look at the fleet.
//!
//! A path is `[/HOST][/vVERSION]/...`. A host in front is what the docker command line sends for
//! `tcp://SERVER:PORT/HOST`: it shows that host alone.

use super::version::Version;
use crate::api::query::decode;

/// The longest path that is looked at, in bytes.
const PATH: usize = 4096;

/// Where Docker's own paths begin. A host that is called so is reached by its id.
const HEADS: [&str; 24] = [
    "_ping",
    "auth",
    "build",
    "commit",
    "configs",
    "containers",
    "distribution",
    "events",
    "exec",
    "grpc",
    "images",
    "info",
    "networks",
    "nodes",
    "plugins",
    "secrets",
    "services",
    "session",
    "swarm",
    "system",
    "tasks",
    "version",
    "volumes",
    "debug",
];

/// A request, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The one host that is asked for, by name or id.
    pub host: Option<String>,
    /// The version that the path names.
    pub version: Option<Version>,
    /// What is asked for.
    pub what: What,
}

/// What can be asked for. A container is meant by what `names` understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Whether anybody is there.
    Ping,
    /// What answers.
    Version,
    /// What there is.
    Info,
    /// Containers.
    List,
    /// One container.
    Inspect(String),
    /// What one container uses.
    Stats(String),
    /// What happens.
    Events,
    /// One thing of a kind that nobody collects, such as an image: there is none.
    Unknown(&'static str, String),
    /// Things of a kind that nobody collects: what they are, and the arguments of `docker` that list them on a host.
    Uncollected(&'static str, &'static str),
    /// What only a container's host can tell: the command of `docker`, and the container.
    Elsewhere(&'static str, String),
    /// A change of a container: the command of `docker`, and the container.
    ChangeContainer(&'static str, String),
    /// Another change: the arguments of `docker`.
    Change(&'static str),
    /// Nothing that Docker has.
    Nothing,
}

/// A path that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Understands a request by its method and its path, which is still percent-encoded.
pub fn find(method: &str, path: &str) -> Result<Asked, Malformed> {
    if path.len() > PATH {
        return Err(Malformed);
    }
    // Slashes in a row are one, as Docker has it; those within a name may be encoded.
    let decoded: Option<Vec<String>> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let parts = decoded.ok_or(Malformed)?;
    if parts.iter().any(|part| part.chars().any(char::is_control)) {
        return Err(Malformed);
    }
    let mut parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mut host = None;
    if let [first, _, ..] = parts[..]
        && Version::of_path(first).is_none()
        && !HEADS.contains(&first)
    {
        host = Some(first.to_owned());
        parts.remove(0);
    }
    let version = parts.first().and_then(|first| Version::of_path(first));
    if version.is_some() {
        parts.remove(0);
    }
    let looks = matches!(method, "GET" | "HEAD");
    let what = if looks { look(&parts) } else { change(method, &parts) };
    Ok(Asked { host, version, what })
}

fn look(parts: &[&str]) -> What {
    match parts {
        ["_ping"] => What::Ping,
        ["version"] => What::Version,
        ["info"] => What::Info,
        ["events"] => What::Events,
        ["containers", "json"] => What::List,
        ["containers", name @ .., action] if !name.is_empty() => {
            let name = name.join("/");
            match *action {
                "json" => What::Inspect(name),
                "stats" => What::Stats(name),
                "logs" => What::Elsewhere("logs", name),
                "top" => What::Elsewhere("top", name),
                "changes" => What::Elsewhere("diff", name),
                "export" => What::Elsewhere("export", name),
                "archive" => What::Elsewhere("cp", name),
                "ws" => What::Elsewhere("attach", name.strip_suffix("/attach").unwrap_or(&name).to_owned()),
                _ => What::Nothing,
            }
        }
        ["images", "json"] => What::Uncollected("images", "images"),
        ["images", "search"] => What::Uncollected("what registries have", "search"),
        ["images", .., "get"] => What::Uncollected("images", "save"),
        ["images", name @ .., _] if !name.is_empty() => What::Unknown("image", name.join("/")),
        ["networks"] => What::Uncollected("networks", "network ls"),
        ["networks", name @ ..] => What::Unknown("network", name.join("/")),
        ["volumes"] => What::Uncollected("volumes", "volume ls"),
        ["volumes", name @ ..] => What::Unknown("volume", name.join("/")),
        ["plugins"] => What::Uncollected("plugins", "plugin ls"),
        ["plugins", name @ .., "json"] => What::Unknown("plugin", name.join("/")),
        ["system", "df"] => What::Uncollected("what takes disk space", "system df"),
        ["distribution", name @ .., "json"] => What::Unknown("image", name.join("/")),
        ["exec", name @ .., "json"] => What::Unknown("exec instance", name.join("/")),
        ["services"] => What::Uncollected("what a swarm has", "service ls"),
        ["configs"] => What::Uncollected("what a swarm has", "config ls"),
        ["secrets"] => What::Uncollected("what a swarm has", "secret ls"),
        ["tasks" | "nodes"] => What::Uncollected("what a swarm has", "node ls"),
        ["services" | "tasks" | "nodes" | "configs" | "secrets", name @ ..] => {
            What::Unknown("such thing of a swarm", name.join("/"))
        }
        ["swarm", ..] => What::Uncollected("what a swarm has", "info"),
        _ => What::Nothing,
    }
}

/// What would change something: the words of `docker` for it.
fn change(method: &str, parts: &[&str]) -> What {
    match (method, parts) {
        ("POST", ["containers", "create"]) => What::Change("run"),
        ("POST", ["containers", "prune"]) => What::Change("container prune"),
        ("DELETE", ["containers", name @ ..]) if !name.is_empty() => What::ChangeContainer("rm", name.join("/")),
        ("PUT", ["containers", name @ .., "archive"]) if !name.is_empty() => {
            What::ChangeContainer("cp", name.join("/"))
        }
        ("POST", ["containers", name @ .., action]) if !name.is_empty() => {
            const ACTIONS: [(&str, &str); 14] = [
                ("start", "start"),
                ("stop", "stop"),
                ("restart", "restart"),
                ("kill", "kill"),
                ("pause", "pause"),
                ("unpause", "unpause"),
                ("rename", "rename"),
                ("update", "update"),
                ("wait", "wait"),
                ("exec", "exec"),
                ("attach", "attach"),
                ("resize", "attach"),
                ("copy", "cp"),
                ("checkpoints", "checkpoint"),
            ];
            match ACTIONS.iter().find(|(path, _)| path == action) {
                Some((_, command)) => What::ChangeContainer(command, name.join("/")),
                None => What::Nothing,
            }
        }
        (_, ["build", ..]) => What::Change("build"),
        (_, ["session" | "grpc", ..]) => What::Change("build"),
        (_, ["commit"]) => What::Change("commit"),
        (_, ["auth"]) => What::Change("login"),
        (_, ["exec", ..]) => What::Change("exec"),
        ("POST", ["images", "create"]) => What::Change("pull"),
        ("POST", ["images", "load"]) => What::Change("load"),
        ("POST", ["images", "prune"]) => What::Change("image prune"),
        ("POST", ["images", .., "push"]) => What::Change("push"),
        ("POST", ["images", .., "tag"]) => What::Change("tag"),
        ("DELETE", ["images", ..]) => What::Change("rmi"),
        (_, ["networks", "prune"]) => What::Change("network prune"),
        (_, ["networks", .., "connect"]) => What::Change("network connect"),
        (_, ["networks", .., "disconnect"]) => What::Change("network disconnect"),
        ("DELETE", ["networks", ..]) => What::Change("network rm"),
        (_, ["networks", ..]) => What::Change("network create"),
        (_, ["volumes", "prune"]) => What::Change("volume prune"),
        ("DELETE", ["volumes", ..]) => What::Change("volume rm"),
        (_, ["volumes", ..]) => What::Change("volume create"),
        (_, ["plugins", ..]) => What::Change("plugin"),
        (_, ["swarm" | "services" | "tasks" | "nodes" | "configs" | "secrets", ..]) => What::Change("swarm"),
        _ => What::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> (Option<String>, Option<Version>, What) {
        let asked = find(method, path).expect(path);
        (asked.host, asked.version, asked.what)
    }

    fn get(path: &str) -> What {
        found("GET", path).2
    }

    #[test]
    fn a_container_is_named_with_and_without_its_host_encoded_or_not() {
        for (path, name) in [
            ("/v1.41/containers/web/json", "web"),
            ("/v1.41/containers/boat-1/web/json", "boat-1/web"),
            ("/v1.41/containers/boat-1%2Fweb/json", "boat-1/web"),
            ("/v1.41/containers/%2Fboat-1%2fweb/json", "/boat-1/web"),
            ("/containers//boat-1/web/json", "boat-1/web"),
            ("/containers/json/json", "json"),
            ("/containers/stats/json/json", "stats/json"),
        ] {
            assert_eq!(get(path), What::Inspect(name.into()), "{path}");
        }
        assert_eq!(get("/containers/json"), What::List);
        assert_eq!(get("/v1.44/containers/a/b/stats"), What::Stats("a/b".into()));
        assert_eq!(get("/containers/a/b/attach/ws"), What::Elsewhere("attach", "a/b".into()));
        assert_eq!(found("POST", "/containers/a/b/stop").2, What::ChangeContainer("stop", "a/b".into()));
        assert_eq!(found("DELETE", "/v1.30/containers/a/b").2, What::ChangeContainer("rm", "a/b".into()));
    }

    #[test]
    fn a_host_may_stand_in_front() {
        for path in
            ["/boat-1/v1.41/containers/json", "/boat%2D1/v1.41/containers/json/", "//boat-1/v1.41/containers/json"]
        {
            assert_eq!(found("GET", path), (Some("boat-1".into()), Some(Version(1, 41)), What::List), "{path}");
        }
        assert_eq!(found("HEAD", "/boat-1/_ping"), (Some("boat-1".into()), None, What::Ping));
        assert_eq!(found("GET", "/_ping"), (None, None, What::Ping));
        assert_eq!(found("GET", "/version").0, None);
        assert_eq!(found("GET", "/boat-1"), (None, None, What::Nothing));
    }

    #[test]
    fn what_is_not_collected_and_what_changes_is_told_apart_from_nonsense() {
        assert_eq!(get("/images/json"), What::Uncollected("images", "images"));
        assert_eq!(get("/images/get"), What::Uncollected("images", "save"));
        assert_eq!(get("/images/search"), What::Uncollected("what registries have", "search"));
        assert_eq!(get("/secrets"), What::Uncollected("what a swarm has", "secret ls"));
        assert_eq!(get("/images/a/b/c:1/json"), What::Unknown("image", "a/b/c:1".into()));
        assert_eq!(get("/networks/x"), What::Unknown("network", "x".into()));
        assert_eq!(get("/nothing"), What::Nothing);
        assert_eq!(found("POST", "/build").2, What::Change("build"));
        assert_eq!(found("POST", "/containers/create").2, What::Change("run"));
        assert_eq!(found("POST", "/containers/json").2, What::Nothing);
        assert_eq!(found("PATCH", "/containers/web").2, What::Nothing);
        for wrong in ["/%", "/containers/%ff/json", "/a\u{1}b/_ping", "/containers/%0a/json"] {
            assert_eq!(find("GET", wrong), Err(Malformed), "{wrong}");
        }
        assert_eq!(find("GET", &"/a".repeat(PATH)), Err(Malformed));
    }
}
