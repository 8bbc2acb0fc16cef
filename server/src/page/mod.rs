//! The page for browsers: its files, as they are part of the program, and what a browser is told about them.
//!
//! The files are open to everybody and hold nothing of the fleet: what they show they ask of the API, which wants to
//! know who asks.

pub mod asker;
mod assets;
#[cfg(test)]
mod tests;

use crate::listen::{Method, Request, Response};
use assets::{Asset, Encoding};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the files are; beneath it paths are as in the folder `server/page`.
const FILES: &str = "/page/";

/// Beneath [`FILES`], the part of a path that begins so names the version of all files: the beginning of the page refers
/// to them by it, so that browsers need not ask again, and never mix the files of two servers.
const VERSION_MARK: &str = "~";

/// The file that every view of the page begins with.
const INDEX: &str = "index.html";

/// What programs ask. People who mistype an address there are told by what they asked.
const PROGRAMS: [&str; 2] = ["/api", "/metrics"];

/// The views of the page. A segment `*` stands for any name.
const VIEWS: [&str; 11] = [
    "/",
    "/sign-in",
    "/hosts",
    "/hosts/*",
    "/containers",
    "/containers/*/*",
    "/events",
    "/network",
    "/alerts",
    "/add",
    "/settings",
];

/// What every answer with a file says. Nothing runs or is shown that is not the server's own file, nobody may show the
/// page in theirs, and no other site learns which host somebody looked at.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    // The same path answers programs differently, and not everybody takes what is compressed.
    ("vary", "accept, accept-encoding"),
];

/// The page's files.
#[derive(Debug, Clone)]
pub struct Page {
    /// Read from here at each request instead.
    folder: Option<Arc<PathBuf>>,
}

impl Page {
    /// The files that are part of the program. A debug build reads them from the directory `MUSTER_PAGE_DIR` instead, if
    /// that is set: so the page can be worked on without building the server.
    pub fn new() -> Page {
        let folder = std::env::var_os("MUSTER_PAGE_DIR").filter(|_| cfg!(debug_assertions));
        Page { folder: folder.map(|folder| Arc::new(PathBuf::from(folder))) }
    }

    /// Answers a request for a view or a file of the page; `None`: it is for somebody else. Views are for browsers, which
    /// say that they take HTML: programs hear from the API what there is.
    pub async fn answer(&self, request: &Request) -> Option<Response> {
        self.respond(&Asked {
            reads: [Method::GET, Method::HEAD].contains(&request.method),
            path: &request.path,
            accept: request.header("accept").unwrap_or_default(),
            accept_encoding: request.header("accept-encoding").unwrap_or_default(),
            if_none_match: request.header("if-none-match").unwrap_or_default(),
        })
        .await
    }

    async fn respond(&self, asked: &Asked<'_>) -> Option<Response> {
        let file = match asked.path.strip_prefix(FILES) {
            Some(file) => file,
            None if !asked.accept.contains("text/html") || is_for_programs(asked.path) => return None,
            None if is_view(asked.path) => INDEX,
            // The page says that there is nothing, and leads to what there is.
            None if asked.reads => return self.find(INDEX).await.map(|index| nowhere(&index, asked)),
            None => return None,
        };
        if !asked.reads {
            return Some(plain(405, "only GET and HEAD are possible here\n").header("allow", "GET, HEAD"));
        }
        // What has the version in its address never changes; a page of another version is loaded anew.
        let (file, keep) = match file.strip_prefix(VERSION_MARK) {
            None => (file, Keep::Asking),
            Some(rest) => match rest.split_once('/') {
                Some((version, file)) if self.is_embedded() && version == assets::version() => (file, Keep::Forever),
                _ => return Some(plain(404, "this server has another version of the page: load it again\n")),
            },
        };
        Some(match self.find(file).await {
            Some(asset) => give(&asset, asked, keep),
            None => plain(404, "there is no such file of the page\n"),
        })
    }

    fn is_embedded(&self) -> bool {
        self.folder.is_none()
    }

    /// On a thread of its own: the first request compresses, and a directory is read.
    async fn find(&self, file: &str) -> Option<Arc<Asset>> {
        let (folder, file) = (self.folder.clone(), file.to_owned());
        smol::unblock(move || match folder {
            None => assets::embedded(&file),
            Some(folder) => assets::read(&folder, &file),
        })
        .await
    }
}

/// What of a request counts here.
#[derive(Debug, Clone, Copy, Default)]
struct Asked<'a> {
    /// Its method is GET or HEAD.
    reads: bool,
    path: &'a str,
    accept: &'a str,
    accept_encoding: &'a str,
    if_none_match: &'a str,
}

impl Default for Page {
    fn default() -> Page {
        Page::new()
    }
}

fn is_for_programs(path: &str) -> bool {
    PROGRAMS.iter().any(|begin| path.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// A slash at the end means the same, as it does for the page.
fn is_view(path: &str) -> bool {
    let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
    let fits = |view: &str| {
        let (mut wanted, mut given) = (view.split('/'), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some("*"), Some(name)) if !name.is_empty() => {}
                (Some(wanted), Some(given)) if wanted == given => {}
                _ => return false,
            }
        }
    };
    VIEWS.into_iter().any(fits)
}

/// How long a browser may use a file without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// It asks each time whether the file is another: a server that was upgraded shows its own page.
    Asking,
    /// The file is of this version, which its address names.
    Forever,
}

impl Keep {
    fn words(self) -> &'static str {
        match self {
            Keep::Asking => "no-cache",
            Keep::Forever => "public, max-age=31536000, immutable",
        }
    }
}

/// The file in the encoding that is wanted, and the bytes of it.
fn encoded<'a>(asset: &'a Asset, asked: &Asked<'_>) -> (Encoding, &'a [u8]) {
    let takes_gzip = assets::takes_gzip(asked.accept_encoding);
    asset.body(if takes_gzip { Encoding::Gzip } else { Encoding::Plain })
}

/// The page where no view of it is. It is not kept: another server may have a view there.
fn nowhere(index: &Asset, asked: &Asked<'_>) -> Response {
    let (encoding, bytes) = encoded(index, asked);
    let response = Response::bytes(404, index.content_type, bytes.to_vec()).header("cache-control", "no-store");
    with_headers(match encoding {
        Encoding::Gzip => response.header("content-encoding", "gzip"),
        Encoding::Plain => response,
    })
}

fn give(asset: &Asset, asked: &Asked<'_>, keep: Keep) -> Response {
    let (encoding, bytes) = encoded(asset, asked);
    let tag = asset.tag(encoding);
    let is_known = names(asked.if_none_match, &tag);
    let mut response = match is_known {
        true => Response::empty(304),
        false => Response::bytes(200, asset.content_type, bytes.to_vec()),
    };
    if encoding == Encoding::Gzip && !is_known {
        response = response.header("content-encoding", "gzip");
    }
    with_headers(response.header("etag", tag).header("cache-control", keep.words()))
}

/// Whether a list of entity tags has this one.
fn names(list: &str, tag: &str) -> bool {
    list.split(',').map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn plain(status: u16, text: &str) -> Response {
    let response = Response::bytes(status, "text/plain; charset=utf-8", text.as_bytes().to_vec());
    with_headers(response.header("cache-control", "no-store"))
}

fn with_headers(response: Response) -> Response {
    HEADERS.into_iter().fold(response, |response, (name, value)| response.header(name, value))
}
