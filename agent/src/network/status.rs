//! `network status`: asks the running process, and shows what it says.

use super::control::SOCKET;
use super::options::UpSettings;
use crate::command::exit::{Exit, Trouble};
use serde_json::Value;
use std::fmt::Write;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Someone waits at a terminal.
const PATIENCE: Duration = Duration::from_secs(5);
/// A thousand peers and a thousand containers, twice over.
const LIMIT: u64 = 2 * 1024 * 1024;

/// What the running process says. Fails if there is none.
pub fn ask(settings: &UpSettings) -> Result<Value, Trouble> {
    let path = settings.runtime_dir.join(SOCKET);
    let ask = || -> io::Result<String> {
        let stream = UnixStream::connect(&path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut text = String::new();
        stream.take(LIMIT).read_to_string(&mut text)?;
        Ok(text)
    };
    let trouble = |why: &dyn std::fmt::Display, advice: &str| {
        Trouble::new(Exit::Failed, "the managed network is not up on this host", why, advice)
    };
    let text = ask().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            let why = format!("nobody listens at {}", path.display());
            trouble(&why, "`systemctl start muster-network`, or `muster-agent network up`")
        }
        io::ErrorKind::PermissionDenied => trouble(&format!("{}: {error}", path.display()), "run this as root"),
        _ => trouble(&error, "look at its log"),
    })?;
    serde_json::from_str(&text).map_err(|_| trouble(&"it does not say how it is", "look at its log"))
}

/// The first thing that is not well.
pub fn exit_of(status: &Value) -> Exit {
    match status["server"]["state"].as_str() {
        Some("host_removed") => return Exit::Removed,
        Some("unreachable") => return Exit::Unreachable,
        _ => {}
    }
    if status["engine"]["state"] != "ok" {
        Exit::Unavailable
    } else if status["state"] != "up" {
        Exit::Failed
    } else if status["host"]["state"] != "ok" || status["refused"].as_array().is_some_and(|list| !list.is_empty()) {
        Exit::Warned
    } else {
        Exit::Ok
    }
}

/// As lines for people.
pub fn show(status: &Value) -> String {
    let mut out = String::new();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let list =
        |value: &Value| value.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    let mut line = |key: &str, value: String| {
        let _ = writeln!(out, "{key:<10} {value}");
    };
    let place = &status["place"];
    if place.is_null() {
        line("place", "none".into());
    } else {
        line("place", format!("{} of {}", list(&place["blocks"]), text(&place["range"])));
        line("label", text(&place["label"]));
        let names = if place["names"] == true { "answered" } else { "off" };
        line("names", names.into());
        line("mtu", place["mtu"].to_string());
    }
    line("accepts", text(&status["accepted"]));
    line("port", status["port"].to_string());
    for key in ["server", "engine", "host"] {
        let detail = status[key]["detail"].as_str().map(|detail| format!(": {detail}")).unwrap_or_default();
        line(key, format!("{}{detail}", text(&status[key]["state"])));
    }
    for refused in status["refused"].as_array().into_iter().flatten() {
        line("refused", text(refused));
    }
    for container in status["containers"].as_array().into_iter().flatten() {
        let what = match container["state"].as_str() {
            Some("joined") => text(&container["address"]),
            _ => format!("cannot join: {}", text(&container["reason"])),
        };
        line("container", format!("{} {what}", text(&container["name"])));
    }
    for peer in status["peers"].as_array().into_iter().flatten() {
        let handshake = match peer["handshake_seconds"].as_u64() {
            Some(age) => format!("handshake {age}s ago"),
            None => "no handshake".into(),
        };
        let way = text(&peer["path"]);
        let endpoint = peer["endpoint"].as_str().map(|endpoint| format!(" {endpoint}")).unwrap_or_default();
        let amounts = format!("{} B in, {} B out", peer["received"], peer["sent"]);
        line(
            "peer",
            format!("{} {} {way}{endpoint}, {handshake}, {amounts}", text(&peer["name"]), list(&peer["blocks"])),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_exit_code_is_the_first_thing_that_is_not_well() {
        let well = json!({
            "state": "up", "server": {"state": "connected"}, "engine": {"state": "ok"}, "host": {"state": "ok"},
            "refused": [],
        });
        let with = |key: &str, value: Value| {
            let mut status = well.clone();
            status[key] = value;
            exit_of(&status)
        };
        assert_eq!(exit_of(&well), Exit::Ok);
        assert_eq!(with("server", json!({"state": "unreachable"})), Exit::Unreachable);
        assert_eq!(with("server", json!({"state": "host_removed"})), Exit::Removed);
        assert_eq!(with("engine", json!({"state": "trouble"})), Exit::Unavailable);
        assert_eq!(with("state", json!("no_place")), Exit::Failed);
        assert_eq!(with("refused", json!(["a key"])), Exit::Warned);
    }

    #[test]
    fn people_see_who_has_joined_and_why_others_have_not() {
        let status = json!({
            "place": {"range": "10.42.0.0/16", "blocks": ["10.42.0.0/26"], "label": "a=b", "names": false, "mtu": 1380},
            "accepted": "10.0.0.0/8", "port": 51820, "server": {"state": "connected"},
            "engine": {"state": "ok"}, "host": {"state": "ok"}, "refused": [],
            "containers": [{"name": "web", "state": "joined", "address": "10.42.0.2"},
                {"name": "job", "state": "refused", "reason": "it shares the host's network"}],
            "peers": [{"name": "pi", "blocks": ["10.42.0.64/26"], "path": "direct", "endpoint": "192.0.2.1:51820",
                "handshake_seconds": 7, "received": 1, "sent": 2}],
        });
        let shown = show(&status);
        for part in
            ["10.42.0.0/26 of 10.42.0.0/16", "web 10.42.0.2", "job cannot join: it shares", "pi 10.42.0.64/26 direct"]
        {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }
}
