//! A mail server on the loopback address: exim, with STARTTLS and a login, which keeps all mail in one file.

use crate::process::{Process, Ran, clean};
use crate::wait::eventually;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who may log in.
pub const USER: &str = "muster";
/// With this password.
pub const PASSWORD: &str = "hush";

const PROGRAM: &str = "/usr/sbin/exim4";

/// A mail server. Dropping it ends it.
#[derive(Debug)]
pub struct MailServer {
    daemon: Option<Process>,
    place: PathBuf,
    port: u16,
}

impl MailServer {
    /// Starts one.
    pub fn start() -> MailServer {
        assert!(Path::new(PROGRAM).exists(), "there is no {PROGRAM}: install the package exim4-daemon-light");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port").port();
        // exim gives up its rights, and other tests' directories are root's alone.
        let place = std::env::temp_dir().join(format!("mtmail{}-{port}", std::process::id()));
        std::fs::create_dir(&place).unwrap_or_else(|e| panic!("making {}: {e}", place.display()));
        let mut server = MailServer { daemon: None, port, place };
        let at = server.place.display().to_string();
        let made = [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            &format!("{at}/key.pem"),
            "-out",
            &format!("{at}/cert.pem"),
        ];
        Ran::of("openssl", &made, &[], 60).ok();
        std::fs::write(server.place.join("exim.conf"), configuration(&at, port)).expect("written");
        Ran::of("mkdir", &[&format!("{at}/spool"), &format!("{at}/log"), &format!("{at}/mail")], &[], 10).ok();
        Ran::of(
            "sh",
            &["-c", &format!("chmod 755 {at}; chown -R Debian-exim {at}/*; chown root {at}/exim.conf")],
            &[],
            10,
        )
        .ok();
        let mut command = Command::new(PROGRAM);
        command.args(["-C", &format!("{at}/exim.conf"), "-bdf"]);
        server.daemon = Some(Process::start("exim", clean(&mut command), &format!("{at}/daemon.log")));
        eventually("the mail server listens", || TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string()));
        server
    }

    /// `localhost:PORT`.
    pub fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// The certificate by which it is trusted: a PEM file.
    pub fn certificate(&self) -> String {
        self.place.join("cert.pem").display().to_string()
    }

    /// All mail that it has taken, one after the other.
    pub fn inbox(&self) -> String {
        std::fs::read_to_string(self.place.join("mail/inbox")).unwrap_or_default()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.place.join(name)).unwrap_or_default();
        ["log/mainlog", "log/rejectlog", "log/paniclog", "daemon.log"].map(read).concat()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the mail server's log:\n{}", self.log());
        }
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill();
        }
        if let Err(e) = std::fs::remove_dir_all(&self.place) {
            eprintln!("left behind: {}: {e}", self.place.display());
        }
    }
}

fn configuration(at: &str, port: u16) -> String {
    format!(
        "spool_directory = {at}/spool
log_file_path = {at}/log/%slog
pid_file_path = {at}/spool/exim.pid
primary_hostname = localhost
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts = *
tls_certificate = {at}/cert.pem
tls_privatekey = {at}/key.pem
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
acl_smtp_rcpt = check
deliver_drop_privilege = true
keep_environment =
rfc1413_hosts =

begin acl
check:
  accept authenticated = *
  deny message = log in first

begin routers
all:
  driver = accept
  transport = inbox

begin transports
inbox:
  driver = appendfile
  file = {at}/mail/inbox
  envelope_to_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{USER}}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
"
    )
}
