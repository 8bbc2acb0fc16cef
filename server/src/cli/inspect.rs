//! `muster inspect`

use super::connection::Server;
use super::exit::{Exit, Failure};
use super::output::{Format, json_line};
use crate::api::query::encode;
use crate::api::types::Container;
use clap::Args;
use serde::Serialize;
use std::io::{self, Write};

/// Flags of `muster inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// HOST/NAME, HOST/ID, NAME or ID; the beginning of an id will do
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
    /// An array for people, or one object a line
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs it. Prints those that are there, then fails for those that are not.
pub fn run(flags: &Inspect, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let (found, failed) = look_up("inspect", &flags.containers, |name| server.get::<Container>(&path(name)));
    match flags.format {
        Format::Json => found.iter().try_for_each(|container| json_line(out, container))?,
        Format::Table if found.is_empty() => {}
        Format::Table => pretty(out, &found)?,
    }
    failed.map_or(Ok(()), Err)
}

/// Those that are there, and one failure with a line for each that is not.
pub(super) fn look_up<T>(
    command: &str,
    names: &[String],
    get: impl Fn(&str) -> Result<T, Failure>,
) -> (Vec<T>, Option<Failure>) {
    let mut found = Vec::new();
    let mut failed: Option<Failure> = None;
    for name in names {
        let failure = match get(name) {
            Ok(object) => {
                found.push(object);
                continue;
            }
            Err(failure) => failure.while_doing(format_args!("{command} {name}")),
        };
        let last = !matches!(failure.exit, Exit::NotFound | Exit::Failure);
        match &mut failed {
            None => failed = Some(failure),
            Some(first) => first.message = format!("{}\nmuster: {}", first.message, failure.message),
        }
        if last {
            break;
        }
    }
    (found, failed)
}

/// The name as Docker's own inspect shows it has a slash in front.
fn path(container: &str) -> String {
    let container = container.strip_prefix('/').unwrap_or(container);
    match container.split_once('/') {
        Some((host, container)) => format!("/api/v1/containers/{}/{}", encode(host), encode(container)),
        None => format!("/api/v1/containers/{}", encode(container)),
    }
}

/// As Docker prints what it inspects.
pub(super) fn pretty(out: &mut dyn Write, objects: &[impl Serialize]) -> Result<(), Failure> {
    let four_spaces = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut *out, four_spaces);
    objects.serialize(&mut writer).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    #[test]
    fn references_become_paths() {
        assert_eq!(path("pi1/web"), "/api/v1/containers/pi1/web");
        assert_eq!(path("web"), "/api/v1/containers/web");
        assert_eq!(path("/web"), "/api/v1/containers/web");
        assert_eq!(path("pi 1/a/b"), "/api/v1/containers/pi%201/a%2Fb");
    }

    #[test]
    fn what_is_missing_hides_nothing_else() {
        let get = |path: &str| match path.rsplit('/').next() {
            Some("web") => Ok(samples::container("web", "running")),
            Some("down") => Err(Failure::new(Exit::Unreachable, "away")),
            _ => Err(Failure::new(Exit::NotFound, "not there")),
        };
        let look_up =
            |names: &[&str]| look_up("inspect", &names.iter().map(|name| name.to_string()).collect::<Vec<_>>(), get);
        let (found, failed) = look_up(&["a", "web", "b"]);
        assert_eq!(found.len(), 1);
        let lines = "inspect a: not there\nmuster: inspect b: not there";
        assert_eq!(failed, Some(Failure::new(Exit::NotFound, lines)));
        assert_eq!(look_up(&["down", "web"]).0.len(), 0, "a server that is away is not asked again");
        assert_eq!(look_up(&["web"]).1, None);
    }

    #[test]
    fn the_array_is_indented_as_dockers() {
        let mut out = Vec::new();
        pretty(&mut out, &[samples::container("web", "running")]).expect("printed");
        let text = String::from_utf8(out).expect("text");
        assert!(text.starts_with("[\n    {\n        \"id\": \"abcdef") && text.ends_with("}\n]\n"), "{text}");
        assert_eq!(serde_json::from_str::<Vec<Container>>(&text).expect("JSON").len(), 1);
    }
}
