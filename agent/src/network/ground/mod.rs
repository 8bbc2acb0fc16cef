//! What the managed network needs of the host's kernel: routes, switches and the firewall.
//!
//! [`lay`] looks at everything, and repairs what is not as it should be: it is called at start, whenever something of
//! [`Ground`] has changed, and from time to time, since others reload firewalls and forget what was there. When all is
//! well it starts one process and reads a few files of `/proc` and `/sys`.

mod device;
mod firewall;
mod program;
mod routes;
mod switches;

use muster_protocol::network::Prefix;
use program::Program;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// The kernel's switches.
const SWITCHES: &str = "/proc/sys/net";
/// The kernel's main table of routes.
const ROUTES: &str = "/proc/net/route";
/// Of that table, in bytes: some thirty thousand routes.
const ROUTES_LIMIT: u64 = 4 * 1024 * 1024;
/// Bytes of a device's name, as the kernel limits them.
const DEVICE_NAME: usize = 15;
/// The kernel here has no part that looks into packets: it is not asked again.
static CANNOT_LOOK_INSIDE: AtomicBool = AtomicBool::new(false);

/// What the host's kernel is to do for the managed network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ground {
    /// The bridge device of the engine's network, such as `muster0`. Containers are on it.
    pub bridge: String,
    /// The tunnel's device, such as `muster-wg0`. Packets to other hosts go into it.
    pub device: String,
    /// The whole network.
    pub range: Prefix,
    /// This host's own addresses.
    pub own: Vec<Prefix>,
    /// The host's own address, which the bridge has.
    pub gateway: u32,
    /// The addresses of other hosts: one route each.
    pub remote: Vec<Prefix>,
    /// The largest packet inside the network, in bytes.
    pub mtu: u16,
    /// Whether names are answered here: then nobody else is asked for them.
    pub names: bool,
}

/// Makes everything so, or finds that it is; bridge and device have to be there. Returns a line for each thing that it
/// had to do. Blocks for as long as its programs take: some milliseconds when all is well.
///
/// # Errors
/// What could not be done, in one line; what does not depend on it has been done.
pub fn lay(ground: &Ground) -> io::Result<Vec<String>> {
    check_names([&ground.bridge, &ground.device])?;
    let mut work = Work::default();
    // First what keeps others out.
    work.note(lay_firewall(ground));
    work.note(switches::set_device(Path::new(SWITCHES), &ground.device));
    work.note(device::lay(ip, &ground.device, ground.mtu));
    work.note(switches::set_bridge(Path::new(SWITCHES), &ground.bridge));
    lay_routes(ground, &mut work);
    work.end()
}

/// Keeps others out of a bridge that was laid before and has no place in the network now: nobody but the host and the bridge's
/// own containers reaches it. Returns and blocks as [`lay`] does.
///
/// # Errors
/// What could not be done, in one line.
pub fn close(bridge: &str, device: &str) -> io::Result<Vec<String>> {
    check_names([bridge, device])?;
    let iptables = iptables()?;
    let printed = iptables.run(&["-w", "5", "-S"], "")?;
    run_steps(&iptables, &firewall::close(&firewall::Rules::read(&printed), bridge, device))
}

/// Takes away what [`lay`] did with this bridge and this tunnel's device, that device included, and nothing else; the bridge is
/// the engine's and stays.
/// What is gone already is no error. Returns a line for each thing that it had to do.
///
/// # Errors
/// What could not be taken away, in one line; all else has been.
pub fn take_away(bridge: &str, device: &str) -> io::Result<Vec<String>> {
    check_names([bridge, device])?;
    let mut work = Work::default();
    // Its routes go along.
    work.note(device::take_away(ip, device));
    work.note(switches::put_back(Path::new(SWITCHES), bridge));
    // Last what keeps others out.
    work.note(take_firewall_away());
    work.end()
}

/// What was done, and what went wrong.
#[derive(Default)]
struct Work {
    done: Vec<String>,
    wrong: Vec<String>,
}

impl Work {
    fn note<T: IntoIterator<Item = String>>(&mut self, outcome: io::Result<T>) {
        match outcome {
            Ok(lines) => self.done.extend(lines),
            Err(error) => {
                let line = error.to_string();
                // A missing program is missed at every step.
                if !self.wrong.contains(&line) {
                    self.wrong.push(line);
                }
            }
        }
    }

    fn end(self) -> io::Result<Vec<String>> {
        if self.wrong.is_empty() { Ok(self.done) } else { Err(io::Error::other(self.wrong.join("; "))) }
    }
}

fn ip() -> io::Result<Program> {
    Program::find("ip", "iproute2")
}

/// The engine's own rules are made by whatever goes by this name; ours have to be beside them.
fn iptables() -> io::Result<Program> {
    Program::find("iptables", "iptables")
}

/// Names become paths and arguments.
fn check_names(names: [&str; 2]) -> io::Result<()> {
    let is_name = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=DEVICE_NAME).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-')
    };
    match names.into_iter().find(|name| !is_name(name)) {
        Some(name) => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no name for a device"))),
        None => Ok(()),
    }
}

fn lay_firewall(ground: &Ground) -> io::Result<Vec<String>> {
    let iptables = iptables()?;
    let printed = iptables.run(&["-w", "5", "-S"], "")?;
    let looks_inside = ground.names && !CANNOT_LOOK_INSIDE.load(Ordering::Relaxed);
    run_steps(&iptables, &firewall::lay(&firewall::Rules::read(&printed), ground, looks_inside))
}

fn take_firewall_away() -> io::Result<Vec<String>> {
    let iptables = match iptables() {
        // Who has none has made no rules by it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found?,
    };
    let printed = iptables.run(&["-w", "5", "-S"], "")?;
    run_steps(&iptables, &firewall::take_away(&firewall::Rules::read(&printed)))
}

fn run_steps(iptables: &Program, steps: &[firewall::Step]) -> io::Result<Vec<String>> {
    let mut told = Vec::new();
    for step in steps {
        let wait = ["-w", "5"].into_iter();
        let arguments: Vec<&str> = wait.chain(step.arguments.iter().map(String::as_str)).collect();
        match iptables.run(&arguments, "") {
            Ok(_) => told.extend(step.told.clone()),
            Err(error) if step.may_fail => {
                CANNOT_LOOK_INSIDE.store(true, Ordering::Relaxed);
                told.push(format!(
                    "firewall: others may deny names of muster.internal before they are answered, for {error}"
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(told)
}

fn lay_routes(ground: &Ground, work: &mut Work) {
    let plan = match read_routes() {
        Ok(table) => routes::plan(&table, ground),
        Err(error) => return work.note::<Vec<String>>(Err(error)),
    };
    work.wrong.extend(plan.refused);
    if !plan.surplus.is_empty() {
        work.note(remove_routes(&plan.surplus, &ground.device));
    }
    if !plan.missing.is_empty() {
        work.note(run_lines(&routes::additions(&plan.missing, ground), "laid"));
    }
}

fn read_routes() -> io::Result<String> {
    let mut table = String::new();
    std::fs::File::open(ROUTES)?.take(ROUTES_LIMIT).read_to_string(&mut table)?;
    if table.len() as u64 == ROUTES_LIMIT {
        return Err(io::Error::other(format!("{ROUTES} has more routes than can be looked at")));
    }
    Ok(table)
}

fn remove_routes(surplus: &[Prefix], device: &str) -> io::Result<Vec<String>> {
    let printed = ip()?.run(&["-4", "route", "show", "dev", device, "proto", routes::PROTOCOL], "")?;
    run_lines(&routes::removals(&printed, surplus, device), "removed")
}

/// Gives lines to `ip`, many in one process: not each small `ip` takes them so, and it need not if there are few.
fn run_lines(lines: &[String], verb: &str) -> io::Result<Vec<String>> {
    const FEW: usize = 4;
    let ip = ip()?;
    if lines.len() <= FEW {
        for line in lines {
            ip.run(&line.split(' ').collect::<Vec<&str>>(), "")?;
        }
    } else {
        let mut rest = lines;
        while !rest.is_empty() {
            let mut given = String::new();
            let fits = rest.iter().take_while(|line| {
                given.push_str(line);
                given.push('\n');
                given.len() <= program::GIVEN
            });
            let count = fits.count();
            let (now, later) = rest.split_at(count.max(1));
            // One that cannot be laid does not keep the others from it.
            ip.run(&["-4", "-force", "-batch", "-"], &(now.join("\n") + "\n"))?;
            rest = later;
        }
    }
    let told = match lines {
        [] => None,
        [line] => Some(format!("routes: {verb} {}", line.split(' ').nth(2).unwrap_or_default())),
        many => Some(format!("routes: {verb} {}", many.len())),
    };
    Ok(told.into_iter().collect())
}
