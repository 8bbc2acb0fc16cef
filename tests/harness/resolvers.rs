//! Who asks for names, and who answers outside: resolvers of C libraries as images, and a name server.

use crate::debian::Packages;
use crate::engine::Engine;
use crate::node::Node;
use crate::place::Place;
use crate::process::{Process, Ran, clean};
use crate::wait::PATIENCE;
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/outside_names.py");

/// A name that only the outside knows.
pub const OUTSIDE: &str = "outside.example";
/// What it stands for.
pub const OUTSIDE_ADDRESS: &str = "192.0.2.77";

/// How many seconds making an image may take.
const LIMIT: u32 = 120;

/// A name server on a machine. It ends with the test.
#[derive(Debug)]
pub struct OutsideNames {
    _process: Process,
    _place: Place,
}

impl OutsideNames {
    /// Starts it.
    pub fn start(node: &Node) -> OutsideNames {
        let place = Place::new();
        let mut command = node.command("python3");
        command.args([SCRIPT, OUTSIDE, OUTSIDE_ADDRESS]);
        let mut process = Process::start_read("name server", clean(&mut command), &place.join("names.log"));
        let ready = process.line(PATIENCE);
        assert_eq!(ready.as_deref(), Some("ready"), "no name server: {}", process.log());
        OutsideNames { _process: process, _place: place }
    }
}

/// Whose resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// This machine's.
    Glibc,
    /// Debian's package of it, fetched.
    Musl,
}

impl Library {
    /// The image whose program `resolve NAME` asks it, and prints IPv4 addresses, one a line. It is as
    /// [`IMAGE`](crate::engine::IMAGE) otherwise.
    pub fn image(self) -> &'static str {
        match self {
            Library::Glibc => "glibc:latest",
            Library::Musl => "musl:latest",
        }
    }

    /// Makes the image on an engine.
    pub fn import(self, engine: &Engine) {
        let place = Place::new();
        std::fs::write(place.path().join("resolve.c"), PROGRAM).expect("writing a program");
        let program = place.join("resolve");
        let mut packages = None;
        let build = match self {
            // With its interpreter and library: glibc's resolver is no part of static programs.
            Library::Glibc => format!("cc -o '{program}' '{program}.c'"),
            Library::Musl => {
                let musl = packages.insert(Packages::of("bookworm", &["musl-dev"]));
                let root = musl.path("usr").display().to_string();
                format!(
                    "library=$(dirname \"$(find '{root}/lib' -name crt1.o)\")
                     include=$(dirname \"$(find '{root}/include' -name netdb.h)\")
                     cc -static -nostdinc -nostdlib -isystem \"$include\" -o '{program}' \
                        \"$library/crt1.o\" \"$library/crti.o\" '{program}.c' \"$library/libc.a\" \"$library/crtn.o\""
                )
            }
        };
        let script = format!(
            "set -e
             {build}
             mkdir -p '{program}.d/bin' '{program}.d/etc'
             cp '{program}' '{program}.d/bin/resolve'
             if ldd '{program}' >'{program}.libs' 2>&1; then
                 grep -o '/[^ ]*' '{program}.libs' | while read -r file; do
                     mkdir -p '{program}.d'\"$(dirname \"$file\")\" && cp \"$file\" '{program}.d'\"$file\"
                 done
             fi
             cp \"$(command -v busybox)\" '{program}.d/bin/busybox'
             for tool in sh sleep cat grep nc; do ln -s busybox '{program}.d/bin/'$tool; done
             printf '%s\\n' '#!/bin/sh' 'trap \"exit 0\" TERM INT' 'while :; do sleep 3600 & wait $!; done' > '{program}.d/bin/live'
             chmod 755 '{program}.d/bin/live'
             tar -C '{program}.d' -cf '{program}.tar' ."
        );
        Ran::of("sh", &["-c", &script], &[], LIMIT).ok();
        let mut import = Command::new("docker");
        import.args(["import", &format!("{program}.tar"), self.image()]).env("DOCKER_HOST", engine.docker_host());
        let ran = import.output().expect("docker starts");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
}

/// Asks as most programs do.
const PROGRAM: &str = r#"
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(int count, char **arguments)
{
    struct addrinfo hints, *found, *each;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if (count != 2)
        return 2;
    int code = getaddrinfo(arguments[1], NULL, &hints, &found);
    if (code) {
        fprintf(stderr, "%s\n", gai_strerror(code));
        return 1;
    }
    for (each = found; each; each = each->ai_next) {
        char text[INET6_ADDRSTRLEN];
        if (each->ai_family != AF_INET)
            continue;
        inet_ntop(AF_INET, &((struct sockaddr_in *)each->ai_addr)->sin_addr, text, sizeof text);
        puts(text);
    }
    return 0;
}
"#;
