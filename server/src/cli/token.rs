//! `muster token`

use super::connection::Server;
use super::exit::{Exit, Failure};
use super::human;
use super::output::{Format, Table, json_line};
use crate::api::query::encode;
use crate::api::types::{ApiToken, JoinToken, MadeApiToken, NewApiToken};
use crate::time;
use clap::{Args, Subcommand, ValueEnum};
use muster_dial::client::Method;
use serde::Serialize;
use std::io::Write;

/// What `muster token` can do.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// List join tokens and API tokens: never the tokens themselves
    Ls(List),
    /// Make an API token, and print it: it is shown only now
    Create(Create),
    /// Revoke tokens of either kind. Hosts that joined with one stay
    Rm {
        /// As `token ls` shows it
        #[arg(required = true)]
        id: Vec<String>,
    },
}

/// Flags of `muster token ls`.
#[derive(Debug, Args)]
pub struct List {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Flags of `muster token create`.
#[derive(Debug, Args)]
pub struct Create {
    /// What it may do
    #[arg(long, value_enum)]
    role: RoleFlag,
    /// What it is for
    #[arg(long, default_value = "")]
    name: String,
    /// The token alone, or with all that is known of it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleFlag {
    /// Read
    Viewer,
    /// Read and change
    Admin,
}

/// Either kind, as `--format json` prints it: the API's object, and which kind it is.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Listed {
    Join(JoinToken),
    Api(ApiToken),
}

/// Runs it.
pub fn run(token: &Token, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    match token {
        Token::Ls(flags) => list(flags, server, out),
        Token::Create(flags) => create(flags, server, out),
        Token::Rm { id } => {
            for id in id {
                remove(id, |path| server.delete(path))?;
                writeln!(out, "{id}")?;
            }
            Ok(())
        }
    }
}

fn list(flags: &List, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let join: Vec<JoinToken> = server.list("/api/v1/join-tokens", &[])?;
    let api: Vec<ApiToken> = server.list("/api/v1/tokens", &[])?;
    let all: Vec<Listed> = join.into_iter().map(Listed::Join).chain(api.into_iter().map(Listed::Api)).collect();
    match flags.format {
        Format::Json => all.iter().try_for_each(|token| json_line(out, token)),
        Format::Table => table(&all, time::now_ms()).print(out),
    }
}

fn table(tokens: &[Listed], now_ms: i64) -> Table {
    let ago = |time: &str| human::since(Some(time), now_ms).map_or(String::new(), |span| format!("{span} ago"));
    let mut table = Table::new(&["KIND", "ID", "NAME", "ROLE", "CREATED", "EXPIRES", "USED", "USES LEFT"]);
    for token in tokens {
        table.row(match token {
            Listed::Join(token) => vec![
                "join".to_string(),
                token.id.clone(),
                token.name.clone().unwrap_or_else(|| "-".to_string()),
                "-".to_string(),
                ago(&token.created_at),
                expires(&token.expires_at, now_ms),
                token.used.to_string(),
                token.uses_left.map_or("any".to_string(), |left| left.to_string()),
            ],
            Listed::Api(token) => vec![
                "api".to_string(),
                token.id.clone(),
                if token.name.is_empty() { "-".to_string() } else { token.name.clone() },
                token.role.clone(),
                ago(&token.created_at),
                "never".to_string(),
                "-".to_string(),
                "-".to_string(),
            ],
        });
    }
    table
}

fn expires(time: &str, now_ms: i64) -> String {
    match time::parse_ms(time) {
        Some(ms) if ms <= now_ms => "ended".to_string(),
        Some(ms) => format!("in {}", human::duration(ms - now_ms).to_lowercase()),
        None => String::new(),
    }
}

fn create(flags: &Create, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let role = match flags.role {
        RoleFlag::Viewer => "viewer",
        RoleFlag::Admin => "admin",
    };
    let new = NewApiToken { role: role.to_string(), name: flags.name.clone() };
    let made: MadeApiToken = server.send(Method::POST, "/api/v1/tokens", &new)?;
    match flags.format {
        Format::Json => json_line(out, &made),
        Format::Table => Ok(writeln!(out, "{}", made.token)?),
    }
}

/// Its kind cannot be seen from an id: the other list is tried where the first does not have it.
fn remove(id: &str, delete: impl Fn(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    let path = |list: &str| format!("/api/v1/{list}/{}", encode(id));
    let missing = |failure: &Failure| failure.exit == Exit::NotFound;
    match delete(&path("join-tokens")) {
        Err(failure) if missing(&failure) => delete(&path("tokens")),
        other => other,
    }
    .map_err(|failure| match missing(&failure) {
        true => Failure::new(Exit::NotFound, format!("token rm {id}: there is no such token; see `muster token ls`")),
        false => failure.while_doing(format_args!("token rm {id}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;
    use std::cell::RefCell;

    fn api_token() -> ApiToken {
        ApiToken {
            id: "a1".into(),
            name: "wall".into(),
            role: "viewer".into(),
            created_at: "2026-11-22T09:59:00.000Z".into(),
        }
    }

    #[test]
    fn both_kinds_are_in_one_table() {
        let now = time::parse_ms("2026-11-22T10:00:00Z").expect("a time");
        let mut out = Vec::new();
        table(&[Listed::Join(samples::join_token("j1")), Listed::Api(api_token())], now)
            .print(&mut out)
            .expect("printed");
        let expected = "\
KIND      ID        NAME      ROLE      CREATED              EXPIRES       USED      USES LEFT
join      j1        -         -         About an hour ago    in 23 hours   0         1
api       a1        wall      viewer    About a minute ago   never         -         -
";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
        let json = serde_json::to_value(Listed::Api(api_token())).expect("JSON");
        assert_eq!((json["kind"].as_str(), json["id"].as_str()), (Some("api"), Some("a1")));
    }

    #[test]
    fn either_kind_is_removed_by_id() {
        let tried = RefCell::new(Vec::new());
        let server = |there: &'static str, other: Exit| {
            let tried = &tried;
            move |path: &str| {
                tried.borrow_mut().push(path.to_string());
                if path == there { Ok(()) } else { Err(Failure::new(other, "no")) }
            }
        };
        assert_eq!(remove("x", server("/api/v1/join-tokens/x", Exit::NotFound)), Ok(()));
        assert_eq!(remove("x", server("/api/v1/tokens/x", Exit::NotFound)), Ok(()));
        assert_eq!(*tried.borrow(), ["/api/v1/join-tokens/x", "/api/v1/join-tokens/x", "/api/v1/tokens/x"]);
        assert_eq!(remove("x", server("", Exit::NotFound)).map_err(|failure| failure.exit), Err(Exit::NotFound));
        assert_eq!(remove("x", server("", Exit::Refused)).map_err(|failure| failure.exit), Err(Exit::Refused));
    }
}
