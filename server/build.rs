//! Lists the files of the page, which become part of the program.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The page's folder, in this one.
const PAGE: &str = "page";

/// What belongs to the folder and not to the page.
const NOT_SERVED: [&str; 3] = ["SHA256SUMS", "README.md", "tests"];

fn main() {
    println!("cargo::rerun-if-changed={PAGE}");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where this package is")).join(PAGE);
    let mut files = Vec::new();
    find(&root, &mut files);
    // In the same order on every machine, so that the same sources make the same program.
    files.sort();
    let mut list = String::from("&[\n");
    for file in &files {
        let name =
            file.strip_prefix(&root).expect("it was found there").to_str().expect("the names of files are UTF-8");
        writeln!(list, "    ({name:?}, include_bytes!({file:?})),").expect("memory takes everything");
    }
    list.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write")).join("page_files.rs");
    fs::write(&out, list).unwrap_or_else(|error| panic!("cannot write {}: {error}", out.display()));
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display())).path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with('.') || NOT_SERVED.contains(&name) {
            continue;
        }
        if path.is_dir() {
            find(&path, files);
        } else {
            files.push(path);
        }
    }
}
