//! What a browser sends along by itself, and whether its user meant it.
//!
//! A cookie comes with every request to this server, whoever's page has made the browser ask. The cookie's own terms
//! keep other sites out; what is checked here keeps out other ports of the same machine, which count as the same site.

/// The name of the cookie that a session is shown by. Browsers take one that begins so only over TLS, from this very
/// host, and for all of its paths.
pub const COOKIE: &str = "__Host-muster";

/// The header that the page sets. No other site's page can, unless the server agrees first, and it never does.
pub const HEADER: &str = "x-muster";
/// What it says.
pub const HEADER_VALUE: &str = "page";

/// What a browser says of a request, beside the cookie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told<'a> {
    /// It reads only: its method is `GET` or `HEAD`.
    pub reads: bool,
    /// `Sec-Fetch-Site`.
    pub site: Option<&'a str>,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Host`.
    pub host: Option<&'a str>,
    /// `X-Muster`.
    pub page: Option<&'a str>,
}

impl Told<'_> {
    /// Whether the server's own page made this request, as far as the browser tells: also true of programs that tell
    /// nothing.
    pub fn is_own(&self) -> bool {
        match (self.site, self.origin) {
            // Typed into the address bar, or followed from a bookmark.
            (Some("none"), _) => self.reads,
            (Some(site), _) => site == "same-origin",
            (None, Some(origin)) => origin.strip_prefix("https://").is_some_and(|origin| Some(origin) == self.host),
            (None, None) => true,
        }
    }

    /// Whether a request with a cookie may be what its user wants.
    pub fn is_meant(&self) -> bool {
        self.is_own() && (self.reads || self.page == Some(HEADER_VALUE))
    }
}

/// The session's secret in a `Cookie` header. `None` also if it is there twice: which of them counts would be a guess.
pub fn session(cookies: &str) -> Option<&str> {
    let mut found = cookies.split(';').filter_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    });
    let first = found.next()?;
    if found.next().is_some() { None } else { Some(first) }
}

/// A `Set-Cookie` for this secret, for so many seconds.
pub fn set(secret: &str, seconds: i64) -> String {
    format!("{COOKIE}={secret}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={}", seconds.max(0))
}

/// A `Set-Cookie` that makes a browser forget it.
pub fn unset() -> String {
    set("", 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_pages_make_a_browser_do_is_not_meant() {
        let page = Told { page: Some("page"), host: Some("fleet:7443"), ..Told::default() };
        let read = Told { reads: true, page: None, ..page };
        for (told, meant) in [
            (page, true),
            (Told { site: Some("same-origin"), ..page }, true),
            (Told { site: Some("same-site"), ..page }, false),
            (Told { site: Some("cross-site"), ..page }, false),
            (Told { site: Some("none"), ..page }, false),
            (Told { origin: Some("https://fleet:7443"), ..page }, true),
            (Told { origin: Some("https://fleet:8443"), ..page }, false),
            (Told { origin: Some("http://fleet:7443"), ..page }, false),
            (Told { origin: Some("null"), ..page }, false),
            // A proxy may change the host; what the browser says itself counts.
            (Told { site: Some("same-origin"), origin: Some("https://fleet"), ..page }, true),
            (Told { page: None, ..page }, false),
            (Told { page: Some("1"), ..page }, false),
            (Told { page: None, site: Some("same-origin"), ..page }, false),
            (read, true),
            (Told { site: Some("none"), ..read }, true),
            (Told { site: Some("same-origin"), ..read }, true),
            (Told { site: Some("same-site"), ..read }, false),
            (Told { site: Some("cross-site"), ..read }, false),
        ] {
            assert_eq!(told.is_meant(), meant, "{told:?}");
        }
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        assert_eq!(session("a=b; __Host-muster=mw_1; c=d"), Some("mw_1"));
        assert_eq!(session("__Host-muster=mw_1"), Some("mw_1"));
        assert_eq!(session("__Host-muster=mw_1;__Host-muster=mw_2"), None);
        for none in ["", ";", "__host-muster=mw_1", "muster=mw_1", "x__Host-muster=mw_1", "__Host-muster"] {
            assert_eq!(session(none), None, "{none}");
        }
    }

    #[test]
    fn the_cookie_has_the_terms_that_its_name_promises() {
        let cookie = set("mw_1", 60);
        assert_eq!(cookie, "__Host-muster=mw_1; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=60");
        assert!(unset().starts_with("__Host-muster=; Path=/; Secure;") && unset().ends_with("Max-Age=0"));
    }
}
