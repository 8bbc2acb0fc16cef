//! `muster serve`: everything of the server, tied together.

mod requests;

use crate::access::admin;
use crate::access::fleet_key::FleetKey;
use crate::access::keys::Keys;
use crate::access::operator_certificate::OperatorCertificate;
use crate::access::secret::random;
use crate::alerts;
use crate::cli::connection::{DATA_DIR, SERVER_FILE, ServerFile};
use crate::cli::exit::{Exit, Failure};
use crate::dockerapi::door::{self, Bound};
use crate::fleet::Fleet;
use crate::install::{self, Offers};
use crate::listen::{self, Limits};
use crate::network::relaying;
use crate::page::Page;
use crate::store::{RedbStore, Retention, Store};
use crate::time::{format_ms, now_ms};
use crate::vitals::{History, HistoryShape};
use futures_lite::{StreamExt, future};
use muster_dial::Address;
use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::sign::CertifiedKey;
use smol::{Executor, Timer};
use std::io::{IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often silence is noticed.
const TICK: Duration = Duration::from_millis(500);
/// How often the history is looked at for what is too old.
const TIDY: Duration = Duration::from_secs(3600);
/// More threads than this gain nothing: the store has one of its own.
const THREADS: usize = 4;
/// How often the operator's certificate is looked at.
const CERTIFICATE: Duration = Duration::from_secs(2);

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where to listen; port 0: any that is free.
    pub listen: SocketAddr,
    /// Where agents reach the server; port 0: the one that it listens on.
    pub advertise: Option<Address>,
    /// How much of the history is kept.
    pub retention: Retention,
    /// How much of the disk the history of hosts' vitals may take.
    pub vitals: HistoryShape,
    /// The operator's own certificate and its key, for browsers: PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Where to serve the Docker API, and whether with TLS; `None`: unless only this machine can reach it.
    pub docker: Option<(door::Place, Option<bool>)>,
    /// Where agents are that it offers to hosts; `None`: in the data directory, else in the system's.
    pub agents: Option<PathBuf>,
}

/// Serves until it is told to end.
pub fn run(options: ServeOptions) -> Result<(), Failure> {
    log_to_stderr();
    allow_connections();
    let executor = Arc::new(Executor::new());
    let (stop, stopped) = async_channel::bounded::<()>(1);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(THREADS);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            let (executor, stopped) = (executor.clone(), stopped.clone());
            scope.spawn(move || smol::block_on(executor.run(stopped.recv())));
        }
        let outcome = smol::block_on(executor.run(serve(&options, executor.clone())));
        drop(stop);
        outcome
    })
}

/// What the server has to say to its operator: a line each, with the time, for terminals and files. `MUSTER_LOG` says
/// how much, such as `debug` or `muster::listen=debug`.
fn log_to_stderr() {
    let begun = env_logger::Builder::new()
        .filter_level(log::LevelFilter::Warn)
        .filter_module(env!("CARGO_PKG_NAME"), log::LevelFilter::Info)
        .parse_env("MUSTER_LOG")
        .format(|line, record| {
            let level = record.level().as_str().to_lowercase();
            writeln!(line, "{} {level}: {}", format_ms(now_ms()), record.args())
        })
        .try_init();
    // Whoever uses this as a library may have begun already.
    drop(begun);
}

/// Each agent keeps a connection, and the usual soft limit of 1,024 open files is meant for other programs.
fn allow_connections() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::warn!("cannot raise the limit of open files, which bounds how many hosts can connect: {error}");
    }
}

async fn serve(options: &ServeOptions, executor: Arc<Executor<'static>>) -> Result<(), Failure> {
    let data_dir = &options.data_dir;
    let cannot = |exit, what: String| Failure::new(exit, what);
    // Before anything is touched: are the ports free?
    let listener = smol::net::TcpListener::bind(options.listen).await.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another program has that port; choose one with --listen",
            std::io::ErrorKind::PermissionDenied => "ports below 1024 are root's; choose one with --listen",
            _ => "choose an address of this machine with --listen",
        };
        cannot(Exit::Failure, format!("cannot listen on {}: {error}; {hint}", options.listen))
    })?;
    let bound = listener.local_addr().map_err(|error| cannot(Exit::Failure, error.to_string()))?;
    let docker = match &options.docker {
        None => None,
        Some((place, tls)) => Some(Bound::take(place, *tls).await.map_err(|why| cannot(Exit::Failure, why))?),
    };
    let store =
        RedbStore::open(data_dir, options.retention).map_err(|error| cannot(Exit::Unavailable, error.message))?;
    let admin = admin::open_or_make(data_dir).map_err(|error| cannot(Exit::Failure, error.message))?;
    let keys = Arc::new(keys(data_dir, &store)?);
    let operators = operators_certificate(options)?;
    let address = match &options.advertise {
        Some(address) if address.port() == 0 => address.clone().with_port(bound.port()),
        Some(address) => address.clone(),
        None => own_address(bound)?,
    };
    let hosts = [address.host().to_owned(), bound.ip().to_string()];
    let boot = random::<6>().map_err(|error| cannot(Exit::Failure, error.message))?;
    let boot = boot.iter().map(|byte| format!("{byte:02x}")).collect();
    let fleet = Fleet::open(Arc::new(store), &admin, boot, address, keys.clone())
        .map_err(|error| cannot(Exit::Unavailable, error.message))?;
    let vitals = History::new(data_dir, options.vitals);
    vitals.open();
    let fleet = Arc::new(fleet.with_vitals(vitals));
    let hosts = hosts.each_ref().map(String::as_str);
    let tls = keys.serve(fleet.trust().generation, &hosts).map_err(|message| cannot(Exit::Failure, message))?;
    let watching = operators.map(|(files, certificate)| {
        keys.show_others(certificate);
        executor.spawn(watch_certificate(files, keys.clone()))
    });
    if let Some(path) = keys.backup_here() {
        log::warn!("the backup key is still on this server: move {} to a safe place elsewhere", path.display());
    }
    let docker = docker.map(|bound| bound.open(&fleet, data_dir)).transpose();
    let docker = docker.map_err(|why| cannot(Exit::Failure, why))?;
    let url = format!("https://{}", reachable_here(bound));
    let local = docker.as_ref().filter(|opened| opened.is_open_to_all()).map(|opened| opened.url.clone());
    write_server_file(data_dir, &ServerFile { url: url.clone(), pin: keys.pin().to_string(), docker: local.clone() })?;
    keys.when_changed({
        let data_dir = data_dir.clone();
        move |pin| {
            let file = ServerFile { url: url.clone(), pin: pin.to_string(), docker: local.clone() };
            if let Err(failure) = write_server_file(&data_dir, &file) {
                log::warn!("commands on this machine need MUSTER_PIN={pin} now: {}", failure.message);
            }
        }
    });

    let ticker = executor.spawn({
        let fleet = fleet.clone();
        async move {
            loop {
                Timer::after(TICK).await;
                fleet.pass_time().await;
            }
        }
    });
    let tidier = executor.spawn({
        let fleet = fleet.clone();
        async move {
            loop {
                fleet.tidy().await;
                Timer::after(TIDY).await;
            }
        }
    });
    let recorder = executor.spawn({
        let fleet = fleet.clone();
        async move {
            loop {
                Timer::after(fleet.rest_of_minute()).await;
                fleet.end_minute().await;
            }
        }
    });
    let alerting = executor.spawn(alerts::run::keep(fleet.clone(), executor.clone()));
    let relaying = executor.spawn(relaying::keep(fleet.clone(), bound));
    let mut signals = async_signal::Signals::new([async_signal::Signal::Term, async_signal::Signal::Int])
        .map_err(|error| cannot(Exit::Failure, format!("cannot wait for signals: {error}")))?;
    // Whoever started us waits for this line. If nobody reads it, that is no reason to stop.
    let _ = writeln!(std::io::stdout(), "listening https://{bound} pin={}", keys.pin());
    let (docker_ends, docker_ended) = async_channel::bounded::<()>(1);
    let docker = docker.map(|opened| {
        let _ = writeln!(std::io::stdout(), "docker {}", opened.url);
        if opened.is_open_to_all() {
            log::warn!(
                "{} shows the fleet to every user of this machine who reaches it, as a viewer sees it",
                opened.url
            );
        }
        let over = async move {
            // Closed by the end of the server.
            let _ = docker_ended.recv().await;
        };
        executor.spawn(door::serve(opened, fleet.clone(), executor.clone(), over))
    });
    let _ = std::io::stdout().flush();
    log::info!("{} hosts are known", fleet.count_hosts());
    if std::io::stderr().is_terminal() {
        let here = if *data_dir == Path::new(DATA_DIR) {
            String::new()
        } else {
            format!(" --data-dir {}", data_dir.display())
        };
        let address = fleet.addresses().first().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(
            std::io::stderr(),
            "open https://{address}/ in a browser; `muster{here} sign-in-link` makes a link that signs it in"
        );
    }

    let ended = {
        let fleet = fleet.clone();
        async move {
            let signal = async {
                signals.next().await;
                log::info!("ending, as a signal says");
            };
            future::or(signal, until_lost(&fleet)).await;
            fleet.feed().close();
            drop(docker_ends);
        }
    };
    let handler = {
        let fleet = fleet.clone();
        let offers = Arc::new(match &options.agents {
            Some(given) => {
                // It may come later, so this is no reason to end.
                if !given.is_dir() {
                    log::warn!("there is no directory {}: no agent is offered until there is one", given.display());
                }
                Offers::of(vec![given.clone()])
            }
            None => Offers::of(vec![data_dir.join(install::FOLDER), install::OF_THE_SYSTEM.into()]),
        });
        let page = Page::new();
        move |request| requests::answer(fleet.clone(), offers.clone(), page.clone(), request)
    };
    listen::serve(listener, tls, Limits::default(), executor.clone(), handler, ended).await;
    if let Some(docker) = docker {
        docker.await;
    }
    ticker.cancel().await;
    tidier.cancel().await;
    recorder.cancel().await;
    relaying.cancel().await;
    alerting.cancel().await;
    if let Some(watching) = watching {
        watching.cancel().await;
    }
    fleet.close().await;
    let _ = std::fs::remove_file(data_dir.join(SERVER_FILE));
    match fleet.lost() {
        Some(why) => Err(cannot(Exit::Unavailable, format!("cannot go on without a store: {why}"))),
        None => Ok(()),
    }
}

/// Waits until the store will not work again by itself. A disk that is full is not that.
async fn until_lost(fleet: &Fleet) {
    while fleet.lost().is_none() {
        Timer::after(TICK).await;
    }
    log::error!("ending, for the store does not work any more; agents keep their events");
}

/// The fleet's keys. A new one beside hosts that pin another would lock them all out unsaid.
fn keys(data_dir: &Path, store: &dyn Store) -> Result<Keys, Failure> {
    if !FleetKey::exists(data_dir) {
        let all = store.load().map_err(|error| Failure::new(Exit::Unavailable, error.message))?;
        if !all.hosts.is_empty() {
            let hosts = all.hosts.len();
            let path = FleetKey::path(data_dir);
            let what = format!(
                "{} is missing, and {hosts} hosts know the server by it; put it back from a copy",
                path.display()
            );
            return Err(Failure::new(Exit::Failure, what));
        }
    }
    Keys::open(data_dir).map_err(|message| Failure::new(Exit::Failure, message))
}

/// The operator's own certificate, if there is to be one.
fn operators_certificate(options: &ServeOptions) -> Result<Option<(OperatorCertificate, Arc<CertifiedKey>)>, Failure> {
    let Some((certificate, key)) = &options.tls else { return Ok(None) };
    let loaded = OperatorCertificate::load(certificate, key);
    loaded.map(Some).map_err(|why| Failure::new(Exit::Failure, format!("cannot use the certificate: {why}")))
}

/// Takes over the operator's certificate whenever it is renewed.
async fn watch_certificate(mut files: OperatorCertificate, keys: Arc<Keys>) {
    loop {
        Timer::after(CERTIFICATE).await;
        let (looked, read) = smol::unblock(move || {
            let read = files.look_again();
            (files, read)
        })
        .await;
        files = looked;
        match read {
            None => {}
            Some(Ok(certificate)) => {
                log::info!("the certificate for browsers was renewed");
                keys.show_others(certificate);
            }
            Some(Err(why)) => log::warn!("the certificate for browsers stays as it is: {why}"),
        }
    }
}

/// Where agents reach us if nobody said: where we listen, or by this machine's name.
fn own_address(bound: SocketAddr) -> Result<Address, Failure> {
    let host = if bound.ip().is_unspecified() {
        std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
    } else {
        bound.ip().to_string()
    };
    Address::new(&host, bound.port()).map_err(|error| {
        Failure::new(Exit::Usage, format!("say how agents reach this server, with --advertise HOST:PORT: {error}"))
    })
}

/// Where programs on this machine reach us.
fn reachable_here(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, bound.port())
}

fn write_server_file(data_dir: &Path, file: &ServerFile) -> Result<(), Failure> {
    let path = data_dir.join(SERVER_FILE);
    let new = data_dir.join(format!("{SERVER_FILE}.new"));
    let json = serde_json::to_vec(file).map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    std::fs::write(&new, json)
        .and_then(|()| std::fs::rename(&new, &path))
        .map_err(|error| Failure::new(Exit::Unavailable, format!("cannot write {}: {error}", path.display())))
}
