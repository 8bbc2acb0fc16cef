//! Who asks: by a token, or by the cookie of a browser that has signed in.

use crate::access::browser;
use crate::access::secret::{hash, number};
use crate::api;
use crate::fleet::{By, Fleet};
use crate::listen::{Method, Request};

/// Who makes a request of the API.
#[derive(Debug)]
pub struct Asker {
    /// Who it is, and a number to count their connections by; `None`: a stranger.
    pub who: Option<(By, u64)>,
    /// It is the page in a browser.
    pub is_browser: bool,
    /// It wants to sign in.
    pub signs_in: bool,
}

/// A browser asks because somebody else's page makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotMeant;

/// Looks who it is. A token counts before a cookie.
///
/// # Errors
/// The user of the browser may know nothing of this request.
pub fn of(fleet: &Fleet, request: &Request) -> Result<Asker, NotMeant> {
    let told = told(request);
    let bearer = request.bearer().map(str::to_owned);
    // Prometheus has nothing else everywhere. Browsers repeat such a password by themselves, for whatever page asks.
    let reads_metrics = request.path == api::METRICS && told.reads;
    let basic = || request.basic_password().filter(|_| reads_metrics);
    let peer = request.peer.ip();
    let who = match (bearer.or_else(basic), request.header("cookie").and_then(browser::session)) {
        (Some(token), _) => fleet.authenticate(&token).map(|holder| (By::holder(holder, peer), count_by(&token))),
        (None, Some(secret)) => match fleet.by_session_secret(secret, peer) {
            Some(_) if !told.is_meant() => return Err(NotMeant),
            by => by.map(|by| (by, count_by(secret))),
        },
        (None, None) => None,
    };
    let signs_in = request.path == api::SESSION && request.method == Method::POST;
    if signs_in && !told.is_own() {
        return Err(NotMeant);
    }
    Ok(Asker { who, is_browser: told.page.is_some() || told.site.is_some(), signs_in })
}

fn count_by(secret: &str) -> u64 {
    number(&hash(secret.as_bytes()))
}

/// What a browser says of a request.
fn told(request: &Request) -> browser::Told<'_> {
    browser::Told {
        reads: [Method::GET, Method::HEAD].contains(&request.method),
        site: request.header("sec-fetch-site"),
        origin: request.header("origin"),
        host: request.header("host"),
        page: request.header(browser::HEADER),
    }
}
