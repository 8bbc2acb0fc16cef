//! Ports, mounts and networks of a container, as Docker writes them.

use crate::api::types::{Container, Mount, Network};
use serde_json::{Map, Value, json};

/// As `docker ps` has ports: one object for each.
pub fn ports_of_list(container: &Container) -> Value {
    let each = container.ports.iter().map(|port| {
        let mut object = json!({ "PrivatePort": port.private, "Type": port.protocol });
        if let Some(public) = port.public {
            object["PublicPort"] = public.into();
            object["IP"] = port.address.clone().unwrap_or_default().into();
        }
        object
    });
    each.collect()
}

/// As `docker inspect` has them: by port, where each is published; null where it is only exposed.
pub fn ports_by_number(container: &Container) -> Value {
    let mut ports = Map::new();
    for port in &container.ports {
        let entry = ports.entry(format!("{}/{}", port.private, port.protocol)).or_insert(Value::Null);
        let Some(public) = port.public else { continue };
        let published = json!({ "HostIp": port.address.clone().unwrap_or_default(), "HostPort": public.to_string() });
        match entry {
            Value::Array(list) => list.push(published),
            other => *other = json!([published]),
        }
    }
    ports.into()
}

/// What of its networks is known: addresses.
pub fn networks(container: &Container) -> Value {
    let one = |network: &Network| {
        let mut object = Map::new();
        if let Some(address) = &network.ipv4 {
            object.insert("IPAddress".into(), address.clone().into());
        }
        if let Some(address) = &network.ipv6 {
            object.insert("GlobalIPv6Address".into(), address.clone().into());
        }
        (network.name.clone(), Value::Object(object))
    };
    Value::Object(container.networks.iter().map(one).collect())
}

/// Its mounts. Where a volume lies on its host is not known.
pub fn mounts(container: &Container) -> Value {
    let one = |mount: &Mount| {
        let source = if mount.kind == "volume" { "Name" } else { "Source" };
        json!({ "Type": mount.kind, source: mount.source, "Destination": mount.destination, "RW": mount.writable })
    };
    container.mounts.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;
    use crate::api::types::Port;

    #[test]
    fn ports_are_told_as_both_commands_have_them() {
        let mut container = samples::container("web", "running");
        let second = Port { address: Some("::".into()), ..container.ports[0].clone() };
        let exposed = Port { private: 443, public: None, address: None, protocol: "tcp".into() };
        container.ports.extend([second, exposed]);
        assert_eq!(
            ports_by_number(&container),
            json!({
                "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "8080" }, { "HostIp": "::", "HostPort": "8080" }],
                "443/tcp": null,
            })
        );
        let list = ports_of_list(&container);
        assert_eq!(list[0], json!({ "IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" }));
        assert_eq!(list[2], json!({ "PrivatePort": 443, "Type": "tcp" }));
    }

    #[test]
    fn what_is_not_known_of_networks_and_mounts_is_left_out() {
        let mut container = samples::container("web", "exited");
        container.networks = vec![Network { name: "bridge".into(), ipv4: None, ipv6: None }];
        container.mounts =
            vec![Mount { kind: "volume".into(), source: "data".into(), destination: "/data".into(), writable: true }];
        assert_eq!(networks(&container), json!({ "bridge": {} }));
        assert_eq!(
            mounts(&container),
            json!([{ "Type": "volume", "Name": "data", "Destination": "/data", "RW": true }])
        );
    }
}
