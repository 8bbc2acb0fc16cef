//! The command line: `serve`, and the operator's commands, which ask the server's API.
//!
//! One file each command. [`connection`] finds the server, `output` prints, [`exit`] says how it went.

mod alerts;
mod amounts;
mod audit;
mod backup;
pub mod connection;
mod docker_context;
mod docker_files;
mod events;
pub mod exit;
mod filter;
mod follow;
mod hosts;
pub(crate) mod human;
mod inspect;
mod join_command;
mod key;
mod network;
mod output;
mod ports;
mod prompt;
pub(crate) mod ps;
mod serve;
mod server;
mod sign_in_link;
mod sse;
mod token;
mod top;
mod user;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use connection::Target;
use exit::{Exit, Failure};
use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// Roll call for a fleet of Docker hosts.
///
/// Commands other than `serve` ask a server. On its own machine they find it in --data-dir; elsewhere set
/// MUSTER_URL, MUSTER_PIN (both printed by `muster serve`) and MUSTER_TOKEN (from `muster token create`).
#[derive(Debug, Parser)]
#[command(name = "muster", bin_name = "muster", version, after_help = EXIT_CODES, subcommand_required = true, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line is wrong
  3  the server cannot be reached
  4  the token is refused, or there is none
  5  what answers is not the pinned server
  6  no such host, container or token
  7  the host was removed
  8  the server's store is not available";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Serve),
    /// Print the command that lets a host join
    JoinCommand(join_command::JoinCommand),
    /// Write a backup of the server, which goes on meanwhile
    ///
    /// It has everything that a server needs to go on on another machine: also its key and its admin token, if this
    /// runs on the server's machine. It never has the backup fleet key, which is to be kept apart. Whoever has it can
    /// pass for the server: keep it like a key.
    Backup(backup::Backup),
    /// Make a data directory from a backup, for a server that does not run
    Restore(backup::Restore),
    /// List hosts, and change them
    Hosts(hosts::Hosts),
    /// List containers of all hosts: running, and stopped ones too
    ///
    /// Unlike `docker ps` it shows every container that exists and has ever started. -a adds those that were only
    /// created.
    Ps(ps::Ps),
    /// Show what containers and hosts use, the busiest first, again and again
    ///
    /// As `docker stats`, for all hosts.
    Top(top::TopFlags),
    /// Print what happened on all hosts, oldest first
    Events(events::Events),
    /// Print all that is known of containers
    Inspect(inspect::Inspect),
    /// List, make and revoke join tokens and API tokens
    #[command(subcommand)]
    Token(token::Token),
    /// Print a link that signs a browser in to the page, once
    SignInLink(sign_in_link::SignInLink),
    /// List users of the page, and change them
    #[command(subcommand)]
    User(user::UserCommand),
    /// Print what operators did, newest first
    Audit(audit::AuditLog),
    /// Make a docker context, by which the docker command line looks at the fleet
    ///
    /// Makes a key and a certificate, and writes both where the docker command line expects them: in DOCKER_CONFIG, else in
    /// ~/.docker. Then `docker --context NAME ps` shows all hosts. Needs `muster serve --docker-listen`.
    DockerContext(docker_context::DockerContext),
    /// Show and change the keys that agents recognise the server by
    #[command(subcommand)]
    Key(key::Key),
    /// Show alerts, and say what is one and where they are sent
    Alerts(alerts::AlertsFlags),
    /// Show and change the managed network: containers with a label get addresses that cross hosts
    Network(network::NetworkFlags),
    /// Say where agents reach the server
    #[command(subcommand)]
    Server(server::ServerCommand),
}

/// Runs the program: arguments in, exit code out.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return explain(&error, &arguments).into(),
    };
    match run(&cli) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                complain(&failure.message);
            }
            failure.exit.into()
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    if let Command::Serve(flags) = &cli.command {
        return serve::run(flags, &cli.target.data_dir);
    }
    if let Command::Restore(flags) = &cli.command {
        return backup::run_restore(flags, &cli.target.data_dir, &mut io::stdout().lock());
    }
    let server = cli.target.server()?;
    let mut out = BufWriter::new(io::stdout().lock());
    let result = match &cli.command {
        Command::Backup(flags) => backup::run(flags, &cli.target, &server, &mut out),
        Command::Serve(_) | Command::Restore(_) => Ok(()),
        Command::JoinCommand(flags) => join_command::run(flags, &server, &mut out),
        Command::Hosts(flags) => hosts::run(flags, &server, &mut out),
        Command::Ps(flags) => ps::run(flags, &server, &mut out),
        Command::Top(flags) => top::run(flags, &server, &mut out),
        Command::Events(flags) => events::run(flags, &server, &mut out),
        Command::Inspect(flags) => inspect::run(flags, &server, &mut out),
        Command::Token(flags) => token::run(flags, &server, &mut out),
        Command::SignInLink(flags) => sign_in_link::run(flags, &cli.target, &server, &mut out),
        Command::User(command) => user::run(command, &server, &mut out),
        Command::Audit(flags) => audit::run(flags, &server, &mut out),
        Command::DockerContext(flags) => docker_context::run(flags, &cli.target, &server, &mut out),
        Command::Key(flags) => key::run(flags, &server, &mut out),
        Command::Alerts(flags) => alerts::run(flags, &server, &mut out),
        Command::Network(flags) => network::run(flags, &server, &mut out),
        Command::Server(flags) => server::run(flags, &server, &mut out),
    };
    // What was printed before a failure is to be seen before its message.
    let flushed = out.flush();
    result?;
    Ok(flushed?)
}

/// Says what is wrong. If nobody reads it, the exit code still says it.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "muster: {message}");
}

/// Prints help, or one line about a wrong command line.
fn explain(error: &clap::Error, arguments: &[OsString]) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that has gone needs no help.
            let _ = error.print();
            Exit::Ok
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Exit::Usage
        }
        _ => {
            complain(&one_line(&error.render().to_string(), &command_of(arguments)));
            Exit::Usage
        }
    }
}

/// The command that a command line means, as far as it names one: `muster network enable`.
fn command_of(arguments: &[OsString]) -> String {
    let root = Cli::command();
    let (mut command, mut words) = (&root, vec!["muster"]);
    let mut arguments = arguments.iter().skip(1).filter_map(|argument| argument.to_str());
    while let Some(argument) = arguments.next() {
        if let Some(flag) = argument.strip_prefix("--") {
            // The next word is its value, and may be called as a command is.
            let of = |command: &clap::Command| {
                let flags = command.get_arguments().filter(|arg| arg.get_long() == Some(flag));
                flags.into_iter().any(|arg| arg.get_action().takes_values())
            };
            if of(command) || of(&root) {
                arguments.next();
            }
            continue;
        }
        let Some(found) = command.find_subcommand(argument) else {
            if argument.starts_with('-') {
                continue;
            }
            break;
        };
        words.push(found.get_name());
        command = found;
    }
    words.join(" ")
}

/// The first paragraph of clap's message, its tip if it has one, and which help has more.
fn one_line(message: &str, command: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let joined = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = message.split("\n\n");
    let mut line = joined(paragraphs.next().unwrap_or_default());
    if let Some(tip) = paragraphs.find(|paragraph| paragraph.trim_start().starts_with("tip:")) {
        line = format!("{line}; {}", joined(tip.trim_start().trim_start_matches("tip:")));
    }
    format!("{line}; see `{command} --help`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_argument_of_a_command_is_taken_for_one_that_finds_the_server() {
        fn look(command: &clap::Command, global: &[&str]) {
            for inner in command.get_subcommands() {
                for argument in inner.get_arguments() {
                    let id = argument.get_id().as_str();
                    assert!(!global.contains(&id), "{}: {id}", inner.get_name());
                }
                look(inner, global);
            }
        }
        look(&Cli::command(), &["data_dir", "url", "pin", "token"]);
    }

    #[test]
    fn wrong_command_lines_are_explained_in_one_line() {
        let explained = |line: &[&str]| {
            let error = Cli::try_parse_from(["muster"].iter().chain(line)).expect_err("wrong");
            (error.exit_code(), one_line(&error.render().to_string(), "muster"))
        };
        for (line, part) in [
            (
                &["ps", "--filter", "status=up"][..],
                "no filter is called 'status'; known here are state, label, name, host",
            ),
            (&["ps", "--formt", "json"][..], "--format"),
            (&["inspect"][..], "were not provided: <CONTAINER>"),
            (&["events", "--since", "soon"][..], "RFC 3339"),
            (&["hosts", "rm"][..], "<HOST>"),
            (&["token", "create"][..], "--role"),
            (&["user", "add", "ada"][..], "--role"),
            (&["sign-in-link", "--ttl", "never"][..], "duration"),
            (&["nothing"][..], "nothing"),
        ] {
            let (code, message) = explained(line);
            assert_eq!(code, 2, "{line:?}");
            assert!(message.contains(part) && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn a_wrong_command_line_names_the_help_of_its_command() {
        for (line, command) in [
            ("network enable --blck /26", "muster network enable"),
            ("network enable --mtu many", "muster network enable"),
            ("network --format xml", "muster network"),
            ("network nothing", "muster network"),
            ("--data-dir ps hosts rm", "muster hosts rm"),
            ("--data-dir=ps hosts credential rotate --x", "muster hosts credential rotate"),
            ("hosts --url ps ls --x", "muster hosts ls"),
            ("ps --filter status=up", "muster ps"),
            ("ps -n network", "muster ps"),
            ("nothing network", "muster"),
            ("--nothing", "muster"),
            ("", "muster"),
        ] {
            let words: Vec<OsString> = ["muster"].into_iter().chain(line.split_whitespace()).map(Into::into).collect();
            let error = Cli::try_parse_from(&words).expect_err(line);
            assert_eq!(command_of(&words), command, "{line}");
            let help = format!("see `{command} --help`");
            assert!(one_line(&error.render().to_string(), &command_of(&words)).ends_with(&help), "{line}");
        }
    }

    #[test]
    fn the_lines_that_are_promised_are_understood() {
        for line in [
            "serve --data-dir /tmp/x --listen 0.0.0.0:0 --advertise pi.example:0 --history-days 7 --history-size 64MB",
            "join-command --ttl 24h --uses 2 --label a=b --name pi",
            "hosts",
            "hosts --format json",
            "hosts ls --format table",
            "hosts rm a b",
            "hosts -a",
            "hosts ls --all",
            "hosts restore a",
            "hosts set a --interval 30s",
            "hosts set --label site=attic --label x=y --interval default",
            "hosts set a --vitals-interval 15s",
            "hosts set --label a=b --vitals-interval off --interval default",
            "hosts inspect a b --format json",
            "hosts credential rotate a",
            "hosts credential revoke a",
            "audit --since 7d --until 1d --limit 5 --format json",
            "hosts rename a b",
            "ps -a --host a --host b --filter state=running --no-trunc",
            "ps -q",
            "ps --vitals",
            "top a b --no-stream --format json",
            "top -d 5s -n 20",
            "serve --vitals-history 0",
            "--data-dir /tmp/x ps --format json",
            "events --since 10m --until 5m --host a --filter container=web --format json",
            "events -f",
            "inspect a/web",
            "backup /tmp/x --no-history --force",
            "restore /tmp/x --data-dir /tmp/y --force",
            "token ls",
            "token create --role viewer --name x",
            "token rm a",
            "sign-in-link",
            "sign-in-link --role viewer --ttl 24h --name wall --format json",
            "user ls --format json",
            "user add ada --role admin --password-stdin",
            "user passwd ada",
            "user role ada viewer",
            "user rm ada bob",
            "docker-context fleet",
            "docker-context fleet --docker-host tcp://fleet.example:2376 --role viewer --days 30 --force",
            "docker-context ls --format json",
            "docker-context rm fleet 0123456789ab",
            "serve --docker-listen 127.0.0.1:2375",
            "serve --docker-listen unix:///run/m.sock",
            "serve --docker-listen 127.0.0.1:2376 --docker-tls",
            "serve --docker-listen 127.0.0.1:2376 --docker-tls=false",
            "key status",
            "key rotate",
            "key rotate --backup-key b --compromised --format json",
            "key rotate --finish --force",
            "key new-backup",
            "server address ls",
            "server address add fleet.example:7443",
            "server address rm [::1]:7443 b:1",
            "serve --tls-cert a --tls-key b",
            "alerts",
            "alerts -a --filter host=a --filter rule=oom --format json",
            "alerts ls --filter state=firing",
            "alerts test",
            "alerts test ops",
            "alerts to ls",
            "alerts to rm a b",
            "alerts to webhook ops https://example.org/x --secret-file -",
            "alerts to ntfy phone topic --server http://ntfy.lan --token-file t --priority 5",
            "alerts to email mail --server mail:587 --from a@b --to c@d --to e@f --tls tls --user u --password-file p",
            "alerts silence --host a --container b --label c=d --rule oom --for 2h --why x",
            "alerts silence --host a --until 2027-01-01T00:00:00Z",
            "alerts silences",
            "alerts unsilence a b",
            "alerts rules",
            "alerts rules disk --at 95 --clear-at 90 --for 5m",
            "alerts rules restart_loop --times 3 --within 10m --off",
            "alerts quiet",
            "alerts quiet 22:00-07:00 --zone +01:00 --drop",
            "alerts quiet 22:00-07:00 --zone -03:30",
            "alerts quiet off",
            "alerts group --wait 0s --interval 1m",
            "network",
            "network --format json",
            "network ls",
            "network paths a --format json",
            "network enable",
            "network enable --cidr 10.7.0.0/16 --block /26 --label a=b --names --mtu 1420 --relay-port 7000 --force",
            "network enable --block 24 --names=false",
            "network disable",
            "network ping a b",
            "network accept a",
            "network accept a --key b=",
            "network rm a b",
        ] {
            let words = ["muster"].into_iter().chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn help_names_the_exit_codes_and_the_difference_to_docker() {
        let mut command = Cli::command();
        let help = command.render_long_help().to_string();
        assert!(help.contains("5  what answers is not the pinned server"), "{help}");
        let ps = command.find_subcommand_mut("ps").expect("ps").render_long_help().to_string();
        assert!(ps.contains("Unlike `docker ps`"), "{ps}");
    }
}
