//! The files of the page: what they are, and each compressed once.

use flate2::Compression;
use flate2::write::GzEncoder;
use ring::digest::{Context, SHA256, digest};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Component, Path};
use std::sync::{Arc, OnceLock};

/// By their paths in `server/page`; see `build.rs`.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// The largest file that is read from a directory, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Hexadecimal digits of a tag.
const TAG_DIGITS: usize = 20;

/// A file.
#[derive(Debug)]
pub(super) struct Asset {
    /// What it is.
    pub content_type: &'static str,
    plain: Box<[u8]>,
    /// Empty if that would not be shorter.
    gzip: Box<[u8]>,
    hash: String,
}

/// How a file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is.
    Plain,
    /// Compressed.
    Gzip,
}

impl Asset {
    fn new(path: &str, plain: Vec<u8>) -> Asset {
        let hash = digest(&SHA256, &plain).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let gzip = compress(&plain).filter(|gzip| gzip.len() < plain.len()).unwrap_or_default();
        Asset {
            content_type: content_type(path),
            plain: plain.into_boxed_slice(),
            gzip: gzip.into_boxed_slice(),
            hash: hash[..TAG_DIGITS].to_owned(),
        }
    }

    /// The file in this encoding, or as it is where that is shorter.
    pub fn body(&self, wanted: Encoding) -> (Encoding, &[u8]) {
        match wanted {
            Encoding::Gzip if !self.gzip.is_empty() => (Encoding::Gzip, &self.gzip),
            _ => (Encoding::Plain, &self.plain),
        }
    }

    /// Changes with the file. The two encodings are two answers, and have one each.
    pub fn tag(&self, encoding: Encoding) -> String {
        match encoding {
            Encoding::Plain => format!("\"{}\"", self.hash),
            Encoding::Gzip => format!("\"{}-gzip\"", self.hash),
        }
    }
}

fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}

/// A file of the program.
pub(super) fn embedded(path: &str) -> Option<Arc<Asset>> {
    static ASSETS: OnceLock<HashMap<&'static str, Arc<Asset>>> = OnceLock::new();
    // All of them at the first request: a browser asks for nearly all.
    let make =
        || FILES.iter().map(|(path, bytes)| (*path, Arc::new(Asset::new(path, prepared(path, bytes))))).collect();
    ASSETS.get_or_init(make).get(path).cloned()
}

/// Names the files of the program: it changes if any of them does.
pub(super) fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let mut all = Context::new(&SHA256);
        for (path, bytes) in FILES {
            all.update(&(path.len() as u64).to_le_bytes());
            all.update(path.as_bytes());
            all.update(&(bytes.len() as u64).to_le_bytes());
            all.update(bytes);
        }
        all.finish().as_ref().iter().take(TAG_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
    })
}

/// The file that a page begins with names the others by their version; they name each other by where they are.
fn prepared(path: &str, bytes: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) if path == super::INDEX => {
            let versioned = format!("=\"{}{}{}/", super::FILES, super::VERSION_MARK, version());
            text.replace(&format!("=\"{}", super::FILES), &versioned).into_bytes()
        }
        _ => bytes.to_vec(),
    }
}

/// A file of a directory, as it is now. Nothing outside of it is read, nor what is hidden.
pub(super) fn read(folder: &Path, path: &str) -> Option<Arc<Asset>> {
    let is_plain = |part: Component<'_>| match part {
        Component::Normal(name) => !name.as_encoded_bytes().starts_with(b"."),
        _ => false,
    };
    if !Path::new(path).components().all(is_plain) {
        return None;
    }
    let file = folder.join(path);
    let about = std::fs::metadata(&file).ok()?;
    if !about.is_file() || about.len() > LARGEST {
        return None;
    }
    Some(Arc::new(Asset::new(path, std::fs::read(&file).ok()?)))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        // Licences of libraries.
        _ => "text/plain; charset=utf-8",
    }
}

/// Whether an `Accept-Encoding` allows gzip.
pub(super) fn takes_gzip(accepted: &str) -> bool {
    let mut any = false;
    for part in accepted.split(',') {
        let (coding, parameters) = part.split_once(';').unwrap_or((part, ""));
        let weight = parameters.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
        let allowed = weight.is_none_or(|weight| weight > 0.0);
        match coding.trim() {
            coding if coding.eq_ignore_ascii_case("gzip") => return allowed,
            "*" => any = allowed,
            _ => {}
        }
    }
    any
}

/// The names of all files of the program.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(path, _)| *path)
}
