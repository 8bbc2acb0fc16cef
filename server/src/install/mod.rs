//! What a host is given that has no agent yet, or an old one: a script that installs, and agents for boards.
//!
//! Whoever asks shows a join token that has not ended, or a host's credential. Nothing of it is a secret but the join
//! string in the script.

mod offers;
mod script;
#[cfg(test)]
mod tests;

pub use offers::{FOLDER, OF_THE_SYSTEM, Offers, Program, TARGETS};

use crate::access::secret::{JOIN_PREFIX, hash, number};
use crate::fleet::Fleet;
use crate::listen::{Request, Response};
use muster_dial::{Address, JoinString, Pin};
use std::fmt;
use std::sync::Arc;

/// Where the script is.
pub const SCRIPT: &str = "/install";

/// What is said where there is no agent at all.
pub const NOTHING_OFFERED: &str = "this server has no agent to install: build them with ./dist.sh, and give their \
                                   directory to `muster serve --agents DIR`, which has DIR/TARGET/muster-agent";

/// Whether requests of this path are for this module.
pub fn is_asked(path: &str) -> bool {
    path.strip_prefix(SCRIPT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The command for root's shell on a host without an agent. It pins the serving certificate itself: curl can judge no
/// more. `--no-alpn` shows it the fleet's even where browsers are shown another.
pub fn command(join: &JoinString, serving: Option<Pin>) -> String {
    let pin = serving.map(|pin| pin.base64()).unwrap_or_default();
    let address = join.addresses.first().map(Address::to_string).unwrap_or_default();
    let token = &join.token;
    format!(
        "curl -sSk --no-alpn --pinnedpubkey 'sha256//{pin}' -H 'Authorization: Bearer {token}' \
         https://{address}{SCRIPT} | sh"
    )
}

/// Who asks.
enum Asker<'a> {
    /// Somebody with a join token.
    Joining(&'a str),
    /// A host, and a number to count its connections by.
    Host(u64),
}

/// Answers a request: one that [`is_asked`].
pub async fn answer(fleet: &Arc<Fleet>, offers: &Arc<Offers>, request: &Request) -> Response {
    let asker = match asker(fleet, request) {
        Ok(asker) => asker,
        Err(why) => return refuse(request, 401, 4, &why),
    };
    if request.method != "GET" {
        return refuse(request, 405, 1, &"only GET is possible here");
    }
    let rest = request.path.get(SCRIPT.len()..).unwrap_or_default();
    match (rest.split('/').collect::<Vec<_>>().as_slice(), &asker) {
        ([""], Asker::Joining(token)) => installer(fleet, offers, request, token).await,
        ([""], Asker::Host(_)) => refuse(request, 403, 4, &"this is for hosts that have not joined: show a join token"),
        (["", target, file], _) => {
            let Some((program, signature)) = Program::of_file(file) else {
                return refuse(request, 404, 6, &"there is nothing here");
            };
            let given = Offers::give(offers, target, program, signature).await;
            let answer = given.unwrap_or_else(|missing| refuse(request, missing.status, 6, &missing.why));
            match asker {
                Asker::Host(number) => answer.known(number),
                Asker::Joining(_) => answer,
            }
        }
        _ => refuse(request, 404, 6, &"there is nothing here"),
    }
}

fn asker<'a>(fleet: &Fleet, request: &'a Request) -> Result<Asker<'a>, String> {
    let Some(shown) = request.bearer() else {
        return Err("this needs a join token; `muster join-command --install` prints the whole command".into());
    };
    if shown.starts_with(JOIN_PREFIX) {
        return match fleet.knows_join_token(shown) {
            Ok(()) => Ok(Asker::Joining(shown)),
            Err(refusal) => Err(refusal.to_string()),
        };
    }
    let credential = hash(shown.as_bytes());
    let host = fleet.by_credential(&credential).filter(|cell| {
        let live = cell.live();
        !live.is_removed() && !live.is_revoked()
    });
    match host {
        Some(_) => Ok(Asker::Host(number(&credential))),
        None => Err("this credential is not known here: join again".into()),
    }
}

async fn installer(fleet: &Arc<Fleet>, offers: &Arc<Offers>, request: &Request, token: &str) -> Response {
    let (offered, network) = {
        let offers = offers.clone();
        smol::unblock(move || (offers.all(Program::Agent), offers.all(Program::Network))).await
    };
    if offered.is_empty() {
        return refuse(request, 404, 6, &NOTHING_OFFERED);
    }
    let join = fleet.join_string(token);
    let Some(pin) = fleet.serving_pin() else { return refuse(request, 503, 8, &"the server is only starting") };
    // What has led here once will do so again.
    let reached: Option<Address> = request.header("host").and_then(|host| host.parse().ok());
    let server = reached.or(join.addresses.first().cloned());
    let Some(server) = server else { return refuse(request, 503, 8, &"the server does not know its own address") };
    says(
        200,
        script::installer(&script::Facts { server: &server, pin, join: &join, offered: &offered, network: &network }),
    )
}

/// A script where a script is expected: it goes straight into a shell, which says this and ends with the code that the
/// agent has for it. A line of text elsewhere.
fn refuse(request: &Request, status: u16, exit: u8, why: &dyn fmt::Display) -> Response {
    if request.path == SCRIPT {
        return says(status, script::refusal(exit, &why.to_string()));
    }
    Response::bytes(status, "text/plain; charset=utf-8", format!("{why}\n").into_bytes())
        .header("cache-control", "no-store")
}

fn says(status: u16, script: String) -> Response {
    Response::bytes(status, "text/x-shellscript; charset=utf-8", script.into_bytes())
        .header("cache-control", "no-store")
}
