//! Muster servers, their command line and their API.

use crate::link::{End, Link};
use crate::node::Node;
use crate::place::Place;
use crate::process::{self, Process, Ran, command_inside, program};
use crate::wait::{PATIENCE, eventually};
use crate::{engine, text};
use serde_json::Value;
use std::time::Duration;

/// How many seconds one command of the command line may take.
const COMMAND_LIMIT: u32 = 60;

/// A server with a data directory of its own. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Server {
    /// Ended first: a failing test still shows its log.
    process: Option<Process>,
    /// Its own disk, if it has one: given up before its place is removed.
    disk: Option<SmallDisk>,
    place: Place,
    port: u16,
    pin: String,
    /// Its own network namespace and address, if it has them.
    network: Option<(String, &'static str)>,
    /// More flags of `muster serve`, from the next start on.
    pub flags: Vec<String>,
    /// More of its environment, from the next start on.
    pub environment: Vec<(String, String)>,
}

/// A file system of its own in memory, that is quickly full.
#[derive(Debug)]
struct SmallDisk(String);

impl SmallDisk {
    fn mount(at: String, mib: u32) -> SmallDisk {
        std::fs::create_dir(&at).unwrap_or_else(|e| panic!("making {at}: {e}"));
        let size = format!("size={mib}m,mode=700");
        Ran::of("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &at], &[], COMMAND_LIMIT).ok();
        SmallDisk(at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Even while something has it open.
        Ran::of("umount", &["--lazy", &self.0], &[], COMMAND_LIMIT);
    }
}

impl Server {
    /// Starts one on a free port of the loopback address.
    pub fn start() -> Server {
        Server::start_at(0)
    }

    /// Starts one on a port of the loopback address.
    pub fn start_at(port: u16) -> Server {
        Server::start_in(None, port)
    }

    /// Starts one at the server's end of a cable; so is its command line.
    pub fn start_at_link(link: &Link) -> Server {
        Server::start_in(Some((link.namespace(End::Server), End::Server.address())), 0)
    }

    /// The same with more arguments of `muster serve`.
    pub fn start_at_link_with(link: &Link, options: &[&str]) -> Server {
        let mut server = Server::nowhere(Some((link.namespace(End::Server), End::Server.address())), 0);
        server.flags = options.iter().map(|option| (*option).to_owned()).collect();
        server.start_again();
        server
    }

    /// Starts one on a machine of its own, at one of its addresses; so is its command line.
    pub fn start_on(node: &Node, address: &'static str) -> Server {
        Server::start_in(Some((node.namespace(), address)), 0)
    }

    /// The same with more arguments of `muster serve`.
    pub fn start_on_with(node: &Node, address: &'static str, options: &[&str]) -> Server {
        let mut server = Server::nowhere(Some((node.namespace(), address)), 0);
        server.flags = options.iter().map(|option| (*option).to_owned()).collect();
        server.start_again();
        server
    }

    fn start_in(network: Option<(String, &'static str)>, port: u16) -> Server {
        let mut server = Server::nowhere(network, port);
        server.start_again();
        server
    }

    fn nowhere(network: Option<(String, &'static str)>, port: u16) -> Server {
        engine::require();
        let pin = String::new();
        Server {
            disk: None,
            place: Place::new(),
            process: None,
            port,
            pin,
            network,
            flags: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Starts one with more arguments of `muster serve`.
    pub fn start_with(options: &[&str]) -> Server {
        let mut server = Server::nowhere(None, 0);
        server.flags = options.iter().map(|option| (*option).to_owned()).collect();
        server.start_again();
        server
    }

    /// Starts one whose data is on a disk of its own with so many MiB.
    pub fn start_on_small_disk(mib: u32) -> Server {
        let mut server = Server::nowhere(None, 0);
        server.disk = Some(SmallDisk::mount(server.data_dir(), mib));
        server.start_again();
        server
    }

    /// Starts one with the data of a backup, in a place of its own, on a port of the loopback address.
    pub fn start_restored(backup: &str, port: u16) -> Server {
        let mut server = Server::nowhere(None, port);
        Ran::of(&program("muster"), &["restore", backup, "--data-dir", &server.data_dir()], &[], COMMAND_LIMIT).ok();
        server.start_again();
        server
    }

    fn namespace(&self) -> Option<&str> {
        self.network.as_ref().map(|(namespace, _)| namespace.as_str())
    }

    /// Where it is reached from its own machine, and from others if it was started there.
    pub fn address(&self) -> &'static str {
        self.network.as_ref().map_or("127.0.0.1", |(_, address)| address)
    }

    /// Starts a server that was killed or stopped, with the same data on the same port.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the server runs");
        let address = format!("{}:{}", self.address(), self.port);
        let mut command = command_inside(self.namespace(), &program("muster"));
        command.args(["serve", "--data-dir", &self.data_dir(), "--listen", &address, "--advertise", &address]);
        command.args(&self.flags);
        let mut process = Process::start_read(
            "server",
            process::clean(&mut command).envs(self.environment.clone()),
            &self.place.join("server.log"),
        );
        let line = process.line(PATIENCE).unwrap_or_default();
        let (port, pin) = parse_ready(&line)
            .unwrap_or_else(|| panic!("not a line of a server that is ready: {line:?}; its log:\n{}", process.log()));
        assert!(self.port == 0 || self.port == port, "asked for port {}, it took {port}", self.port);
        assert!(self.pin.is_empty() || self.pin == pin, "the pin changed from {} to {pin}", self.pin);
        (self.port, self.pin) = (port, pin);
        self.process = Some(process);
    }

    /// It has gone over to another key: what it is known by from now on.
    pub fn is_known_by(&mut self, pin: &str) {
        pin.clone_into(&mut self.pin);
    }

    /// The same server, to be started at another port of the loopback address. It must not run.
    pub fn moved_to(mut self, port: u16) -> Server {
        assert!(self.process.is_none(), "the server runs");
        self.port = port;
        self
    }

    /// Ends it without a warning.
    pub fn kill(&mut self) {
        self.process.take().expect("the server runs").kill();
    }

    /// Ends it as an operator does; its exit code.
    pub fn stop(&mut self) -> i32 {
        self.process.take().expect("the server runs").stop()
    }

    /// Kills it and starts it again.
    pub fn crash(&mut self) {
        self.kill();
        self.start_again();
    }

    /// The process, while it runs.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the server runs")
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `sha256:` and 64 hexadecimal digits.
    pub fn pin(&self) -> &str {
        &self.pin
    }

    /// Its data directory.
    pub fn data_dir(&self) -> String {
        self.place.join("data")
    }

    /// A file of its data directory.
    pub fn data_file(&self, name: &str) -> String {
        format!("{}/{name}", self.data_dir())
    }

    /// The token of the administrator that it made at its first start.
    pub fn admin_token(&self) -> String {
        let path = self.data_file("admin.token");
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("reading {path}: {e}")).trim().to_owned()
    }

    /// Runs `muster` as its operator would on its own machine.
    pub fn muster(&self, arguments: &[&str]) -> Ran {
        let data = self.data_dir();
        Ran::inside(self.namespace(), &program("muster"), arguments, &[("MUSTER_DATA_DIR", &data)], COMMAND_LIMIT)
    }

    /// Runs `muster` as on another machine, by address, token and pin.
    pub fn muster_from_afar(&self, token: &str, pin: &str, arguments: &[&str]) -> Ran {
        let url = format!("https://{}:{}", self.address(), self.port);
        let environment = [("MUSTER_URL", url.as_str()), ("MUSTER_TOKEN", token), ("MUSTER_PIN", pin)];
        Ran::inside(self.namespace(), &program("muster"), arguments, &environment, COMMAND_LIMIT)
    }

    /// Runs `muster ... --format json`.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let mut all = arguments.to_vec();
        all.extend(["--format", "json"]);
        self.muster(&all).json()
    }

    /// A join string, as `muster join-command` prints it with these options.
    #[track_caller]
    pub fn join_string(&self, options: &[&str]) -> String {
        let mut all = vec!["join-command"];
        all.extend(options);
        let line = self.muster(&all).ok();
        let inner = line.strip_prefix("muster-agent join '").and_then(|rest| rest.strip_suffix('\''));
        let join = inner.unwrap_or_else(|| panic!("not a join command: {line}")).to_owned();
        assert!(join.starts_with("muster://") && join.contains("?pin=sha256:"), "not a join string: {join}");
        join
    }

    /// All hosts, as `muster hosts` shows them.
    pub fn hosts(&self) -> Vec<Value> {
        self.json(&["hosts"])
    }

    /// A host by its name or id.
    pub fn find_host(&self, host: &str) -> Option<Value> {
        self.hosts().into_iter().find(|one| text(one, "name") == host || text(one, "id") == host)
    }

    /// A host by its name or id; fails the test if there is none.
    #[track_caller]
    pub fn host(&self, host: &str) -> Value {
        self.find_host(host).unwrap_or_else(|| panic!("no host {host} among {:?}", self.hosts()))
    }

    /// Containers of a host, those that never started too.
    pub fn containers(&self, host: &str) -> Vec<Value> {
        self.json(&["ps", "-a", "--host", host])
    }

    /// One container of a host by its name.
    pub fn find_container(&self, host: &str, name: &str) -> Option<Value> {
        self.containers(host).into_iter().find(|one| text(one, "name") == name)
    }

    /// Waits until a container of a host is in a state; the container.
    #[track_caller]
    pub fn wait_for_state(&self, host: &str, name: &str, state: &str) -> Value {
        self.wait_for(host, name, &format!("is {state}"), |one| text(one, "state") == state)
    }

    /// Waits until a container of a host is known and a condition holds for it; the container.
    #[track_caller]
    pub fn wait_for(&self, host: &str, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("{host}/{name} {what}"), || match self.find_container(host, name) {
            Some(one) if holds(&one) => Ok(one),
            Some(one) => Err(one.to_string()),
            None => Err(format!("no such container among {:?}", crate::texts(&self.containers(host), "name"))),
        })
    }

    /// Waits until all is known of a container that ran out of memory ([`starve`](crate::Engine::starve)).
    #[track_caller]
    pub fn wait_for_starved(&self, host: &str, name: &str, id: &str) {
        let starved = self.wait_for(host, name, "ended for lack of memory", |one| {
            one["id"] == id && one["state"] == "exited" && one["oom_killed"] == true
        });
        assert_eq!(starved["exit_code"], 137, "{starved}");
        self.wait_for_actions(host, id, &["oom"]);
        self.wait_for_actions(host, id, &["die"]);
    }

    /// Waits until a host is known and a condition holds for it; the host.
    #[track_caller]
    pub fn wait_for_host(&self, host: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.wait_for_host_within(crate::wait::PATIENCE, host, what, holds)
    }

    /// The same with another limit, for what takes long by its nature.
    #[track_caller]
    pub fn wait_for_host_within(
        &self,
        limit: Duration,
        host: &str,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        crate::eventually_within(limit, &format!("host {host} {what}"), || match self.find_host(host) {
            Some(one) if holds(&one) => Ok(one),
            other => Err(format!("{other:?}")),
        })
    }

    /// All events of a host, oldest first.
    pub fn events(&self, host: &str) -> Vec<Value> {
        self.json(&["events", "--host", host])
    }

    /// The actions of a host's events that are about one container (by name or full id), oldest first.
    pub fn actions(&self, host: &str, container: &str) -> Vec<String> {
        let about = |event: &&Value| {
            text(event, "type") == "container"
                && (text(event, "container") == container
                    || text(event, "container_id") == container
                    || text(&event["attributes"], "name") == container)
        };
        self.events(host).iter().filter(about).map(|event| text(event, "action").to_owned()).collect()
    }

    /// Waits until actions of a container are in the history, in this order; all actions of it.
    #[track_caller]
    pub fn wait_for_actions(&self, host: &str, container: &str, actions: &[&str]) -> Vec<String> {
        eventually(&format!("events {actions:?} of {host}/{container}"), || {
            let seen = self.actions(host, container);
            if crate::in_order(&seen, actions) { Ok(seen) } else { Err(format!("{seen:?}")) }
        })
    }

    /// Waits until an event of a host is in the history; the event.
    #[track_caller]
    pub fn wait_for_event(&self, host: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("an event of {host}: {what}"), || {
            let events = self.events(host);
            match events.iter().find(|event| holds(event)) {
                Some(event) => Ok(event.clone()),
                None => Err(format!("{:?}", crate::texts(&events, "action"))),
            }
        })
    }

    /// Waits for a report that was made after this call: what the engine did before has then been looked at.
    /// Starts and removes a container of the host's engine; both its events and its state must arrive.
    pub fn settle(&self, host: &str, engine: &crate::Engine) {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("marker{number}");
        let id = engine.run(&name);
        self.wait_for_actions(host, &id, &["start"]);
        self.wait_for_state(host, &name, "running");
        engine.docker(&["rm", "-f", &name]);
        self.wait_for_actions(host, &id, &["destroy"]);
        eventually(&format!("{name} leaves the list of {host}"), || match self.find_container(host, &name) {
            None => Ok(()),
            Some(one) => Err(one.to_string()),
        });
    }

    /// Asks the API by plain HTTPS, as another program would: status and body (null if it is not JSON).
    pub fn api(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> (u16, Value) {
        let (status, text) = self.api_text(method, path, token, body);
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Asks the API: status and body as text.
    pub fn api_text(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> (u16, String) {
        let url = format!("https://{}:{}{path}", self.address(), self.port);
        let bearer = token.map(|token| format!("Authorization: Bearer {token}"));
        let body = body.map(Value::to_string);
        let mut arguments = vec!["-sS", "-k", "--max-time", "30", "-X", method, "-w", "\n%{http_code}"];
        if let Some(bearer) = &bearer {
            arguments.extend(["-H", bearer]);
        }
        if let Some(body) = &body {
            arguments.extend(["-H", "Content-Type: application/json", "--data-binary", body]);
        }
        arguments.push(&url);
        let output = Ran::inside(self.namespace(), "curl", &arguments, &[], COMMAND_LIMIT).ok();
        let (body, status) = output.rsplit_once('\n').unwrap_or(("", &output));
        (status.parse().unwrap_or_else(|_| panic!("no status from curl: {output}")), body.to_owned())
    }

    /// A GET of the API with the administrator's token, which must answer 200.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.api("GET", path, Some(&self.admin_token()), None);
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// All items of a list of the API, page by page.
    pub fn all_items(&self, path: &str, limit: u32) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let joiner = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{joiner}limit={limit}{cursor}"));
            let list = page["items"].as_array().unwrap_or_else(|| panic!("no list at {path}: {page}"));
            assert!(list.len() <= limit as usize, "a page of {path} has more than {limit}");
            items.extend(list.iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }
}

/// Port and pin from `listening https://ADDR:PORT pin=sha256:<64 lowercase hex>`.
fn parse_ready(line: &str) -> Option<(u16, String)> {
    let (address, pin) = line.strip_prefix("listening https://")?.split_once(" pin=")?;
    let digits = pin.strip_prefix("sha256:")?;
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if digits.len() != 64 || !digits.chars().all(hex) {
        return None;
    }
    let port = address.rsplit_once(':')?.1.parse().ok().filter(|port| *port != 0)?;
    Some((port, pin.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::parse_ready;

    #[test]
    fn the_ready_line_is_taken_literally() {
        let pin = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(parse_ready(&format!("listening https://127.0.0.1:81 pin={pin}")), Some((81, pin.clone())));
        assert_eq!(parse_ready(&format!("listening https://[::1]:81 pin={pin}")), Some((81, pin.clone())));
        assert_eq!(parse_ready(&format!("listening https://127.0.0.1:0 pin={pin}")), None);
        assert_eq!(parse_ready(&format!("Listening https://127.0.0.1:81 pin={pin}")), None);
        assert_eq!(parse_ready(&format!("listening https://127.0.0.1:81 pin={}", pin.to_uppercase())), None);
        assert_eq!(parse_ready(&format!("listening https://127.0.0.1:81 pin={pin}0")), None);
    }
}
