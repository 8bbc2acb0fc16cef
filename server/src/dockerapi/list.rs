//! `GET /containers/json`, which `docker ps` asks for.

use super::filters::Filters;
use super::query::Query;
use super::status::status;
use super::{DockerApi, Refused, Scope, names, parts};
use crate::api::types::{Container, Host};
use crate::fleet::{ContainerSelect, Fleet};
use crate::listen::Response;
use crate::time::{now_ms, parse_ms};
use futures_lite::stream;
use regex_lite::{Regex, RegexBuilder};
use serde_json::{Value, json};
use smol::lock::SemaphoreGuardArc;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What can be filtered by.
pub const FILTERS: [&str; 6] = ["name", "label", "status", "health", "id", "node"];

/// Containers that are held at once: an answer goes out in pieces, however long it is.
const PAGE: usize = 500;

/// The most that can be asked for with `limit`, for these are held together.
const LIMIT: usize = 5_000;

/// How long a list may be under way: whoever takes it so slowly holds the place of another one.
const TIME: Duration = Duration::from_secs(600);

/// The longest pattern of a name, and bytes of what it is compiled to.
const PATTERN: usize = 256;
const COMPILED: usize = 64 * 1024;

/// Docker's states, as its filter has them.
const STATES: [&str; 7] = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];
/// Those that are listed if nothing is said.
const UP: [&str; 3] = ["running", "paused", "restarting"];

/// Which containers are wanted, beside what the fleet selects by itself.
#[derive(Debug)]
pub struct Wanted {
    select: ContainerSelect,
    names: Vec<Regex>,
    ids: Vec<String>,
    health: Vec<String>,
    /// The newest so many; `None`: all.
    limit: Option<usize>,
}

impl Wanted {
    /// Reads the query.
    pub fn read(query: &Query, scope: &Scope) -> Result<Wanted, Refused> {
        for gone in ["since", "before"] {
            if query.get(gone).is_some() {
                return Err(Refused::new(
                    400,
                    format!("muster does not know '{gone}' here: filter by {}", FILTERS.join(", ")),
                ));
            }
        }
        if query.flag("size", false) {
            return Err(Refused::new(
                501,
                "muster does not collect sizes: leave -s out, or ask the host, e.g. `ssh HOST docker ps -s`",
            ));
        }
        let filters = Filters::read(query.get("filters"), &FILTERS)?;
        let limit = match query.get("limit").map(str::parse::<i64>) {
            None => None,
            Some(Ok(limit)) => usize::try_from(limit).ok().filter(|limit| *limit > 0),
            Some(Err(_)) => return Err(Refused::new(400, "limit is not a number")),
        };
        if limit.is_some_and(|limit| limit > LIMIT) {
            return Err(Refused::new(400, format!("limit: give at most {LIMIT}, or none for all")));
        }
        let statuses = filters.words("status", &STATES)?;
        let all = query.flag("all", false) || limit.is_some() || !statuses.is_empty();
        let states = match (statuses.is_empty(), all) {
            (false, _) => statuses.to_vec(),
            (true, true) => Vec::new(),
            (true, false) => UP.map(str::to_owned).to_vec(),
        };
        let labels = filters.all("label").to_vec();
        if labels.iter().any(|label| label.is_empty() || label.starts_with('=')) {
            return Err(Refused::new(400, "invalid filter 'label': give key or key=value"));
        }
        let hosts = match scope {
            Scope::Fleet => filters.all("node").to_vec(),
            Scope::Host(id) => vec![id.clone()],
        };
        Ok(Wanted {
            select: ContainerSelect { all: true, hosts, states, labels, names: Vec::new() },
            names: filters.all("name").iter().map(|name| pattern(name)).collect::<Result<_, _>>()?,
            ids: filters.all("id").to_vec(),
            health: filters.words("health", &["starting", "healthy", "unhealthy", "none"])?.to_vec(),
            limit,
        })
    }

    fn matches(&self, container: &Container) -> bool {
        let any =
            |wanted: &[String], holds: &dyn Fn(&str) -> bool| wanted.is_empty() || wanted.iter().any(|one| holds(one));
        let whole = format!("/{}/{}", container.host, container.name);
        // Docker tries its patterns with and without the slash; so is the host's name.
        let forms = [whole.get(1..).unwrap_or_default(), &whole, &container.name, &format!("/{}", container.name)];
        any(&self.ids, &|id| container.id.starts_with(id))
            && any(&self.health, &|health| container.health.as_deref().unwrap_or("none") == health)
            && (self.names.is_empty() || self.names.iter().any(|name| forms.iter().any(|form| name.is_match(form))))
    }
}

/// Docker's names are patterns. This kind has no backtracking, so none takes long.
fn pattern(text: &str) -> Result<Regex, Refused> {
    let wrong = |why: String| Refused::new(400, format!("invalid filter 'name={}': {why}", crate::time::shown(text)));
    if text.len() > PATTERN {
        return Err(wrong(format!("more than {PATTERN} bytes")));
    }
    RegexBuilder::new(text).size_limit(COMPILED).build().map_err(|error| wrong(error.to_string().replace('\n', " ")))
}

/// Answers it.
pub async fn list(api: &DockerApi, query: &Query, scope: Scope) -> Result<Response, Refused> {
    let wanted = Wanted::read(query, &scope)?;
    for host in &wanted.select.hosts {
        api.fleet.host(host)?; // A misspelt name is an error and no empty list.
    }
    let place = api.place_for_list().await?;
    let walk = Walk::new(api.fleet.clone(), wanted, scope, place);
    Ok(Response::stream(
        200,
        "application/json",
        stream::unfold(walk, |mut walk| async { walk.next().await.map(|part| (part, walk)) }),
    ))
}

/// A list on its way out, piece by piece.
struct Walk {
    fleet: Arc<Fleet>,
    wanted: Wanted,
    scope: Scope,
    after: Option<[String; 4]>,
    stage: Stage,
    is_first: bool,
    begun: Instant,
    hosts: HashMap<String, Host>,
    _place: SemaphoreGuardArc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    Pages,
    End,
    Over,
}

impl Walk {
    fn new(fleet: Arc<Fleet>, wanted: Wanted, scope: Scope, place: SemaphoreGuardArc) -> Walk {
        let hosts = HashMap::new();
        Walk {
            fleet,
            wanted,
            scope,
            after: None,
            stage: Stage::Begin,
            is_first: true,
            begun: Instant::now(),
            hosts,
            _place: place,
        }
    }

    /// The next piece; empty ones are possible.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if self.begun.elapsed() > TIME {
            // Without its end it is no JSON: nobody takes it for all.
            return None;
        }
        match self.stage {
            Stage::Begin => {
                self.stage = Stage::Pages;
                Some(b"[".to_vec())
            }
            Stage::Pages => {
                let containers = match self.wanted.limit {
                    None => self.page().await,
                    Some(limit) => Some(self.newest(limit).await),
                };
                match containers {
                    Some(containers) => Some(self.written(&containers)),
                    None => {
                        self.stage = Stage::End;
                        Some(Vec::new())
                    }
                }
            }
            Stage::End => {
                self.stage = Stage::Over;
                Some(b"]\n".to_vec())
            }
            Stage::Over => None,
        }
    }

    /// The next page of those that are wanted, by host, then name; `None` at the end.
    async fn page(&mut self) -> Option<Vec<Container>> {
        let page = self.fleet.containers(self.wanted.select.clone(), self.after.take(), PAGE).await;
        let last = page.last()?;
        self.after = Some([&last.host, &last.name, &last.host_id, &last.id].map(Clone::clone));
        Some(page.into_iter().filter(|container| self.wanted.matches(container)).collect())
    }

    /// The newest so many, newest first.
    async fn newest(&mut self, limit: usize) -> Vec<Container> {
        let mut newest: Vec<Container> = Vec::new();
        let keep = |newest: &mut Vec<Container>| {
            newest.sort_by(|a, b| b.created_at.cmp(&a.created_at));
            newest.truncate(limit);
        };
        while let Some(page) = self.page().await {
            newest.extend(page);
            keep(&mut newest);
        }
        self.stage = Stage::End;
        newest
    }

    fn written(&mut self, containers: &[Container]) -> Vec<u8> {
        let now_ms = now_ms();
        let mut bytes = Vec::new();
        for container in containers {
            if !self.hosts.contains_key(&container.host_id)
                && let Ok(host) = self.fleet.host(&container.host_id)
            {
                // Pages go by host: those before are not needed again.
                self.hosts.clear();
                self.hosts.insert(container.host_id.clone(), host);
            }
            let host = self.hosts.get(&container.host_id);
            let object = item(container, host, &self.scope, now_ms);
            if !std::mem::take(&mut self.is_first) {
                bytes.push(b',');
            }
            bytes.extend_from_slice(object.to_string().as_bytes());
        }
        bytes
    }
}

/// One container, as lists have it.
fn item(container: &Container, host: Option<&Host>, scope: &Scope, now_ms: i64) -> Value {
    let mut object = json!({
        "Id": container.id,
        "Names": [names::shown(container, scope)],
        "Image": container.image,
        "Command": container.command,
        "Created": container.created_at.as_deref().and_then(parse_ms).map_or(0, |ms| ms.div_euclid(1000)),
        "Ports": parts::ports_of_list(container),
        "Labels": container.labels,
        "State": container.state,
        "Status": status(container, host, now_ms),
        "HostConfig": {},
        "NetworkSettings": { "Networks": parts::networks(container) },
        "Mounts": parts::mounts(container),
        "Node": { "ID": container.host_id, "Name": container.host },
    });
    if let Some(id) = &container.image_id {
        object["ImageID"] = id.clone().into();
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    fn wanted(query: &str) -> Result<Wanted, Refused> {
        Wanted::read(&Query::read(query)?, &Scope::Fleet)
    }

    fn filtered(filters: &str) -> Wanted {
        wanted(&format!("filters={}", crate::api::query::encode(filters))).expect(filters)
    }

    #[test]
    fn running_ones_are_listed_unless_more_is_asked_for() {
        assert_eq!(wanted("").expect("a query").select.states, UP);
        for all in ["all=1", "limit=3", "all=true&limit=-1"] {
            assert!(wanted(all).expect(all).select.states.is_empty(), "{all}");
        }
        assert_eq!(filtered(r#"{"status":["exited"]}"#).select.states, ["exited"]);
        assert_eq!(wanted("limit=-1").expect("Python's").limit, None);
        assert_eq!(wanted("limit=0&size=0").expect("none").limit, None);
        for wrong in ["limit=many", "limit=5001", "since=abc", "filters=%7B%22ancestor%22%3A%5B%22x%22%5D%7D"] {
            assert_eq!(wanted(wrong).expect_err(wrong).status, 400);
        }
    }

    #[test]
    fn names_are_patterns_with_and_without_their_host() {
        let container = samples::container("web", "running");
        for (name, matches) in [
            ("web", true),
            ("we", true),
            ("^web$", true),
            ("^/web$", true),
            ("^pi1/web$", true),
            ("/pi1/", true),
            ("^pi1", true),
            ("^eb", false),
            ("db", false),
        ] {
            let filters = json!({ "name": [name] }).to_string();
            assert_eq!(filtered(&filters).matches(&container), matches, "{name}");
        }
        assert!(
            pattern("(").is_err() && pattern(&"a".repeat(PATTERN + 1)).is_err() && pattern("a{1000}{1000}").is_err()
        );
    }

    #[test]
    fn ids_and_health_are_matched() {
        let container = samples::container("web", "running");
        assert!(filtered(r#"{"id":["abcdef0"]}"#).matches(&container));
        assert!(!filtered(r#"{"id":["bcdef0"]}"#).matches(&container));
        assert!(filtered(r#"{"health":["none"]}"#).matches(&container));
        assert!(!filtered(r#"{"health":["healthy"]}"#).matches(&container));
    }

    #[test]
    fn a_container_is_told_with_what_is_known_and_nothing_else() {
        let container = samples::container("web", "running");
        let now = parse_ms("2026-11-22T10:00:00Z").expect("a time");
        let object = item(&container, None, &Scope::Fleet, now);
        assert_eq!(object["Names"], json!(["/pi1/web"]));
        assert_eq!(object["Status"], "Up 3 minutes");
        assert_eq!(object["Created"], 1_795_338_000);
        assert!(object.get("ImageID").is_none() && object.get("SizeRw").is_none());
    }
}
