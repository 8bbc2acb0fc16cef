//! What browsers get of the page's files.

use super::*;
use crate::listen::Content;
use crate::test_dir::TestDir;
use flate2::read::GzDecoder;
use futures_lite::future::block_on;
use ring::digest::{SHA256, digest};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

const HTML: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

fn get(path: &str) -> Asked<'_> {
    Asked { reads: true, path, accept: HTML, ..Asked::default() }
}

fn embedded() -> Page {
    Page { folder: None }
}

fn answer(page: &Page, asked: Asked<'_>) -> Option<Response> {
    block_on(page.respond(&asked))
}

#[track_caller]
fn answered(asked: Asked<'_>) -> Response {
    answer(&embedded(), asked).unwrap_or_else(|| panic!("{} is not the page's", asked.path))
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let mut values = response.headers.iter().filter(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    let first = values.next().unwrap_or_default();
    assert_eq!(values.next(), None, "{name} twice");
    first
}

fn body(response: Response) -> Vec<u8> {
    match response.content {
        Content::Bytes(bytes) => bytes,
        _ => panic!("a file comes as a whole"),
    }
}

#[test]
fn every_view_begins_with_the_same_file() {
    let index = body(answered(get("/page/index.html")));
    assert!(index.starts_with(b"<!doctype html>"));
    for path in ["/", "/sign-in", "/sign-in/", "/hosts", "/hosts/", "/hosts/pi%201", "/containers/pi/web", "/settings"]
    {
        let response = answered(get(path));
        assert_eq!((response.status, response.content_type), (200, "text/html; charset=utf-8"), "{path}");
        assert_eq!(body(response), index, "{path}");
    }
}

#[test]
fn an_address_without_a_view_is_told_by_the_page_and_to_programs_by_the_api() {
    let index = body(answered(get("/page/index.html")));
    for path in ["/nonsense", "/hosts/a/b", "/containers/a", "/containers//a", "/page", "/apis", "/metricsx", ""] {
        let response = answered(get(path));
        assert_eq!((response.status, response.content_type), (404, "text/html; charset=utf-8"), "{path}");
        assert_eq!((header(&response, "cache-control"), header(&response, "etag")), ("no-store", ""), "{path}");
        assert!(!header(&response, "content-security-policy").is_empty(), "{path}");
        assert_eq!(body(response), index, "{path}");
        for asked in [Asked { accept: "application/json", ..get(path) }, Asked { reads: false, ..get(path) }] {
            assert!(answer(&embedded(), asked).is_none(), "{path}");
        }
    }
    for path in ["/api", "/api/", "/api/v1/nonsense", "/metrics"] {
        assert!(answer(&embedded(), get(path)).is_none(), "{path}");
    }
}

/// A server that was upgraded shows its own page, whole: nothing of the one that the browser has kept.
#[test]
fn files_are_kept_by_their_version_and_never_mixed() {
    let index = String::from_utf8(body(answered(get("/")))).expect("text");
    let refers: Vec<&str> = index.split('"').filter(|part| part.starts_with("/page/")).collect();
    assert!(refers.len() > 10, "{index}");
    let version = refers[0].strip_prefix("/page/~").and_then(|rest| rest.split('/').next()).expect("a version");
    for path in refers {
        assert!(path.starts_with(&format!("/page/~{version}/")), "{path}");
        let response = answered(get(path));
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(header(&response, "cache-control"), "public, max-age=31536000, immutable", "{path}");
    }
    assert_eq!(header(&answered(get("/")), "cache-control"), "no-cache");
    for path in ["/page/~/app/main.js", "/page/~0123456789abcdef0123/app/main.js", &format!("/page/~{version}")] {
        let response = answered(get(path));
        assert_eq!((response.status, header(&response, "cache-control")), (404, "no-store"), "{path}");
    }
    // A module that names another by its whole path would get it without its version.
    for path in assets::names().filter(|path| path.ends_with(".js") && path.starts_with("app/")) {
        let asset = assets::embedded(path).expect("there");
        let text = String::from_utf8(asset.body(Encoding::Plain).1.to_vec()).expect("text");
        assert!(!text.contains("'/page/") && !text.contains("\"/page/"), "{path} names a file without its version");
    }
}

#[test]
fn programs_are_left_to_the_api() {
    for accept in ["", "*/*", "application/json"] {
        assert!(answer(&embedded(), Asked { accept, ..get("/") }).is_none(), "{accept}");
        assert!(answer(&embedded(), Asked { accept, ..get("/page/index.html") }).is_some(), "{accept}");
    }
}

#[test]
fn nothing_but_the_servers_own_files_may_run() {
    let response = answered(get("/"));
    let policy = header(&response, "content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
    for asked in [get("/page/none.js"), Asked { reads: false, ..get("/") }] {
        let response = answered(asked);
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert!(!header(&response, "content-security-policy").is_empty());
    }
    assert_eq!(answered(get("/page/none.js")).status, 404);
    let refused = answered(Asked { reads: false, ..get("/") });
    assert_eq!((refused.status, header(&refused, "allow")), (405, "GET, HEAD"));
}

#[test]
fn what_a_browser_has_is_not_sent_again() {
    let gzip = |accept_encoding| Asked { accept_encoding, ..get("/") };
    let whole = answered(gzip(""));
    let packed = answered(gzip("br, gzip"));
    assert_eq!((header(&whole, "content-encoding"), header(&packed, "content-encoding")), ("", "gzip"));
    assert_ne!(header(&whole, "etag"), header(&packed, "etag"));
    for (response, accept_encoding) in [(&whole, ""), (&packed, "gzip")] {
        let tag = header(response, "etag");
        for if_none_match in [tag.to_owned(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let again = answered(Asked { if_none_match: &if_none_match, ..gzip(accept_encoding) });
            assert_eq!((again.status, header(&again, "etag")), (304, tag));
            assert_eq!(header(&again, "cache-control"), "no-cache");
            assert!(body(again).is_empty());
        }
        assert_eq!(answered(Asked { if_none_match: "\"x\"", ..gzip(accept_encoding) }).status, 200);
    }
    let mut unpacked = Vec::new();
    GzDecoder::new(&body(packed)[..]).read_to_end(&mut unpacked).expect("gzip");
    assert_eq!(unpacked, body(whole));
}

#[test]
fn gzip_only_goes_to_those_who_take_it() {
    for yes in ["gzip", "GZIP", "deflate, gzip;q=0.5", "*", "br;q=1, *;q=0.1"] {
        assert!(assets::takes_gzip(yes), "{yes}");
    }
    for no in ["", "br", "gzip;q=0", "gzip;q=0.0, *", "*;q=0", "identity"] {
        assert!(!assets::takes_gzip(no), "{no}");
    }
}

#[test]
fn a_directory_that_is_worked_in_gives_what_is_in_it_now_and_nothing_else() {
    let dir = TestDir::new();
    fs::create_dir(dir.path().join("page")).expect("a folder");
    let page = Page { folder: Some(Arc::new(dir.path().join("page"))) };
    let status = |path: &str| answer(&page, get(path)).expect("the page's").status;
    fs::write(dir.path().join("secret"), "s").expect("written");
    fs::write(dir.path().join("page/.hidden"), "s").expect("written");
    assert_eq!(status("/"), 404);
    for text in ["one", "two"] {
        fs::write(dir.path().join("page/index.html"), text).expect("written");
        assert_eq!(body(answer(&page, get("/")).expect("there")), text.as_bytes());
    }
    for path in ["/page/../secret", "/page//etc/passwd", "/page/.hidden", "/page/./index.html/..", "/page/"] {
        assert_eq!(status(path), 404, "{path}");
    }
}

#[test]
fn files_are_of_their_type() {
    for path in assets::names() {
        let asset = assets::embedded(path).expect("there");
        let expected = match path.rsplit_once('.').map(|(_, ending)| ending) {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => continue,
        };
        assert_eq!(asset.content_type, expected, "{path}");
    }
}

/// Libraries of others: what was looked at when they were taken in is what is served.
#[test]
fn libraries_are_what_they_were_and_have_their_licence() {
    let vendor = Path::new(env!("CARGO_MANIFEST_DIR")).join("page/vendor");
    let of_vendor: Vec<&str> = assets::names().filter_map(|path| path.strip_prefix("vendor/")).collect();
    let list = fs::read_to_string(vendor.join("SHA256SUMS")).unwrap_or_default();
    let listed: BTreeMap<&str, &str> = list
        .lines()
        .map(|line| line.split_once("  ").unwrap_or_else(|| panic!("not as sha256sum writes it: {line}")))
        .map(|(hash, path)| (path.trim_start_matches("./"), hash))
        .collect();
    for path in &of_vendor {
        let (_, bytes) = assets::embedded(&format!("vendor/{path}"))
            .map(|asset| {
                let (encoding, bytes) = asset.body(Encoding::Plain);
                (encoding, bytes.to_vec())
            })
            .expect("there");
        let hash: String = digest(&SHA256, &bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(listed.get(path), Some(&hash.as_str()), "vendor/{path} is not what vendor/SHA256SUMS says");
    }
    for path in listed.keys() {
        assert!(of_vendor.contains(path), "vendor/{path} is in SHA256SUMS and missing");
    }
    let is_licence = |path: &&&str| path.to_ascii_uppercase().contains("LICEN");
    let has_code = of_vendor.iter().any(|path| path.ends_with(".js"));
    assert!(!has_code || of_vendor.iter().any(|path| is_licence(&path)), "a library comes with its licence");
}
