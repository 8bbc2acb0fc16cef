//! `muster user`: who signs in to the page with a password.

use super::connection::Server;
use super::exit::{Exit, Failure};
use super::human;
use super::output::{Format, Table, json_line};
use super::prompt;
use crate::access::password::Password;
use crate::api::query::encode;
use crate::api::types::{ChangeUser, NewUser, User};
use crate::time;
use clap::{Args, Subcommand, ValueEnum};
use muster_dial::client::Method;
use std::io::Write;

/// What `muster user` can do.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List users
    Ls(List),
    /// Make a user. Asks for the password
    Add(Add),
    /// Set a user's password, and sign out its browsers. Asks for it
    Passwd(Passwd),
    /// Set a user's role, and sign out its browsers
    Role {
        /// The user's name
        name: String,
        /// What it may do
        #[arg(value_enum)]
        role: RoleFlag,
    },
    /// Remove users, and sign out their browsers
    Rm {
        /// Names of users
        #[arg(required = true)]
        name: Vec<String>,
    },
}

/// Flags of `muster user ls`.
#[derive(Debug, Args)]
pub struct List {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Flags of `muster user add`.
#[derive(Debug, Args)]
pub struct Add {
    /// What to call it: letters, digits and ._-@+
    name: String,
    /// What it may do
    #[arg(long, value_enum)]
    role: RoleFlag,
    #[command(flatten)]
    from: PasswordFrom,
}

/// Flags of `muster user passwd`.
#[derive(Debug, Args)]
pub struct Passwd {
    /// The user's name
    name: String,
    #[command(flatten)]
    from: PasswordFrom,
}

/// Where a password comes from. Never from an argument, which everybody on the machine can read.
#[derive(Debug, Args)]
pub struct PasswordFrom {
    /// Take the password from standard input: its first line
    #[arg(long)]
    password_stdin: bool,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleFlag {
    /// Read
    Viewer,
    /// Read and change
    Admin,
}

impl RoleFlag {
    /// The API's word for it.
    pub fn word(self) -> &'static str {
        match self {
            RoleFlag::Viewer => "viewer",
            RoleFlag::Admin => "admin",
        }
    }
}

/// Runs it.
pub fn run(command: &UserCommand, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        UserCommand::Ls(flags) => list(flags, server, out),
        UserCommand::Add(flags) => {
            let role = flags.role.word().to_string();
            let new = NewUser { name: flags.name.clone(), role, password: password(&flags.from)? };
            let made: User = server.send(Method::POST, "/api/v1/users", &new)?;
            Ok(writeln!(out, "{}", made.name)?)
        }
        UserCommand::Passwd(flags) => {
            let change = ChangeUser { password: Some(password(&flags.from)?), role: None };
            change_one(&flags.name, &change, server, out)
        }
        UserCommand::Role { name, role } => {
            change_one(name, &ChangeUser { role: Some(role.word().to_string()), password: None }, server, out)
        }
        UserCommand::Rm { name } => {
            for name in name {
                server.delete(&path(name)).map_err(|failure| failure.while_doing(format_args!("user rm {name}")))?;
                writeln!(out, "{name}")?;
            }
            Ok(())
        }
    }
}

fn path(name: &str) -> String {
    format!("/api/v1/users/{}", encode(name))
}

fn change_one(name: &str, change: &ChangeUser, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let user: User = server.send(Method::PATCH, &path(name), change)?;
    Ok(writeln!(out, "{}", user.name)?)
}

fn password(from: &PasswordFrom) -> Result<Password, Failure> {
    let typed = match from.password_stdin {
        true => prompt::first_line()?,
        false => prompt::new_password()?,
    };
    let password = Password::new(typed);
    password.check().map_err(|error| Failure::new(Exit::Usage, error.message))?;
    Ok(password)
}

fn list(flags: &List, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let users: Vec<User> = server.list("/api/v1/users", &[])?;
    match flags.format {
        Format::Json => users.iter().try_for_each(|user| json_line(out, user)),
        Format::Table => table(&users, time::now_ms()).print(out),
    }
}

fn table(users: &[User], now_ms: i64) -> Table {
    let ago = |time: &str| human::since(Some(time), now_ms).map_or(String::new(), |span| format!("{span} ago"));
    let mut table = Table::new(&["NAME", "ROLE", "CREATED", "PASSWORD SET", "SESSIONS"]);
    for user in users {
        let (created, set) = (ago(&user.created_at), ago(&user.password_set_at));
        table.row(vec![user.name.clone(), user.role.clone(), created, set, user.sessions.to_string()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_listed() {
        let user = User {
            name: "ada".into(),
            role: "admin".into(),
            created_at: "2026-11-22T08:00:00.000Z".into(),
            password_set_at: "2026-11-22T09:59:00.000Z".into(),
            sessions: 2,
        };
        let now = time::parse_ms("2026-11-22T10:00:00Z").expect("a time");
        let mut out = Vec::new();
        table(&[user], now).print(&mut out).expect("printed");
        let expected = "\
NAME      ROLE      CREATED       PASSWORD SET         SESSIONS
ada       admin     2 hours ago   About a minute ago   2
";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
