//! All by which the engine is ever changed: what is not here cannot be sent. Two networks can be named, the managed one
//! and `none`, and of containers nothing but whether they are in these.

use super::super::bridge::Wanted;
use crate::docker::request::ApiVersion;
use muster_protocol::id::EngineId;
use serde_json::json;
use std::net::Ipv4Addr;

/// The managed network's name on the engine.
pub const NETWORK: &str = "muster";
/// The label by which the managed network is known to be ours; its value says with which settings it was made.
pub const LABEL: &str = "muster.network.settings";
/// From this API on (Docker 28) networks can be told to let through what is routed to their containers.
const UNPROTECTED: ApiVersion = ApiVersion { major: 1, minor: 48 };

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// The managed network, if there is one.
    Inspect,
    /// Makes the managed network.
    Create(&'a Wanted),
    /// Removes a network by its id: the managed one, as an inspect said.
    Delete(EngineId),
    /// Puts a container into the managed network, at this address.
    Connect(EngineId, Ipv4Addr),
    /// Takes a container out of it, running or not.
    Disconnect(EngineId),
    /// Takes a container out of the network `none`, so that it can be in another one.
    DisconnectNone(EngineId),
}

impl Request<'_> {
    /// Appends the request as it goes over the socket.
    pub fn write(&self, api: ApiVersion, out: &mut Vec<u8>) {
        let (method, path, body) = match self {
            Request::Inspect => ("GET", format!("networks/{NETWORK}"), None),
            Request::Create(wanted) => ("POST", "networks/create".into(), Some(create(wanted, api))),
            Request::Delete(id) => ("DELETE", format!("networks/{id}"), None),
            Request::Connect(id, address) => {
                let config = json!({"IPAMConfig": {"IPv4Address": address.to_string()}});
                let body = json!({"Container": id.to_string(), "EndpointConfig": config});
                ("POST", format!("networks/{NETWORK}/connect"), Some(body))
            }
            Request::Disconnect(id) => ("POST", format!("networks/{NETWORK}/disconnect"), Some(disconnect(*id))),
            Request::DisconnectNone(id) => ("POST", "networks/none/disconnect".into(), Some(disconnect(*id))),
        };
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let head = format!(
            "{method} /v{api}/{path} HTTP/1.1\r\nHost: docker\r\nUser-Agent: muster-network/{}\r\n",
            env!("CARGO_PKG_VERSION")
        );
        out.extend_from_slice(head.as_bytes());
        if !body.is_empty() {
            let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
            out.extend_from_slice(head.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body.as_bytes());
    }
}

fn disconnect(id: EngineId) -> serde_json::Value {
    json!({"Container": id.to_string(), "Force": false})
}

/// `Internal` keeps the default route on a container's other network, whatever its name, and takes the engine's own
/// masquerading and its dropping of what is routed to containers away. What it forbids concerns addresses outside the
/// subnet, and the subnet is the whole range.
fn create(wanted: &Wanted, api: ApiVersion) -> serde_json::Value {
    let mut options = json!({
        "com.docker.network.bridge.name": super::super::BRIDGE,
        "com.docker.network.bridge.enable_ip_masquerade": "false",
        "com.docker.network.driver.mtu": wanted.mtu.to_string(),
    });
    if api >= UNPROTECTED {
        options["com.docker.network.bridge.gateway_mode_ipv4"] = "nat-unprotected".into();
    }
    json!({
        "Name": NETWORK,
        "CheckDuplicate": true,
        "Driver": "bridge",
        "Internal": true,
        "EnableIPv6": false,
        "IPAM": {"Driver": "default", "Config": [{
            "Subnet": wanted.range.to_string(),
            "IPRange": wanted.block.to_string(),
            "Gateway": wanted.gateway().to_string(),
        }]},
        "Options": options,
        "Labels": {LABEL: wanted.settings()},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_protocol::network::Prefix;

    fn written(request: Request<'_>) -> (String, String) {
        let mut out = Vec::new();
        request.write(ApiVersion { major: 1, minor: 41 }, &mut out);
        let text = String::from_utf8(out).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let length = format!("Content-Length: {}", body.len());
        assert!(body.is_empty() || head.split("\r\n").any(|line| line == length), "{head}");
        (head.split("\r\n").next().expect("a line").to_owned(), body.to_owned())
    }

    #[test]
    fn each_request_names_what_it_changes_and_nothing_else() {
        let id = EngineId([0xab; 32]);
        let hex = "ab".repeat(32);
        assert_eq!(written(Request::Inspect), ("GET /v1.41/networks/muster HTTP/1.1".into(), String::new()));
        assert_eq!(written(Request::Delete(id)), (format!("DELETE /v1.41/networks/{hex} HTTP/1.1"), String::new()));
        let (line, body) = written(Request::Connect(id, Ipv4Addr::new(10, 42, 0, 7)));
        assert_eq!(line, "POST /v1.41/networks/muster/connect HTTP/1.1");
        let body: serde_json::Value = serde_json::from_str(&body).expect("json");
        assert_eq!(body, json!({"Container": hex, "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.42.0.7"}}}));
        let (line, body) = written(Request::DisconnectNone(id));
        assert_eq!(line, "POST /v1.41/networks/none/disconnect HTTP/1.1");
        assert!(body.contains(&hex));
        assert_eq!(written(Request::Disconnect(id)).0, "POST /v1.41/networks/muster/disconnect HTTP/1.1");
    }

    #[test]
    fn the_network_spans_the_range_and_gives_addresses_of_its_block_alone() {
        let prefix = |text| Prefix::parse(text).expect("a prefix");
        let wanted = Wanted { range: prefix("10.42.0.0/16"), block: prefix("10.42.3.64/26"), mtu: 1380 };
        let (_, body) = written(Request::Create(&wanted));
        let body: serde_json::Value = serde_json::from_str(&body).expect("json");
        assert_eq!(
            body["IPAM"]["Config"][0],
            json!({"Subnet": "10.42.0.0/16", "IPRange": "10.42.3.64/26", "Gateway": "10.42.3.65"})
        );
        assert_eq!((&body["Internal"], &body["Name"]), (&json!(true), &json!("muster")));
        assert_eq!(body["Options"]["com.docker.network.driver.mtu"], "1380");
        assert!(body["Options"].get("com.docker.network.bridge.gateway_mode_ipv4").is_none(), "1.41 does not know it");
        assert_eq!(body["Labels"][LABEL], wanted.settings());
    }
}
