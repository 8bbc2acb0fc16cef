//! Every capacity of the wire and of both state machines, each with its reason.
//!
//! A limit that cuts something is never silent: a cut field sets its bit in `truncated`, a container
//! beyond the table is counted as hidden, an event that the queue cannot hold becomes part of a gap.

/// Containers of one host that are reported. A board with 512 MB of memory runs a few dozen; 1,024 leaves
/// room for hosts that never prune. What lies beyond is counted as hidden.
pub const CONTAINERS: usize = 1024;

/// Containers that the server holds of one host: those that exist, and those that went since the last list.
pub const HELD: usize = 2 * CONTAINERS;

/// Events that wait for an acknowledgement: a day of a quiet host, some minutes of a restart loop. A power of
/// two, and twice the engine's own ring of 256, so that a replay never pushes out what waits.
pub const QUEUED_EVENTS: usize = 512;

/// Bytes of those events. A plain event takes 100 to 200 bytes; one with a compose project's labels some 600.
pub const QUEUED_BYTES: usize = 96 * 1024;

/// Events that the engine keeps for replay (`eventsLimit` in its source). More than this without the one we
/// look for proves that the engine no longer has it.
pub const ENGINE_RING: usize = 256;

/// One message either way. Small enough for a slow link to finish inside the time limit, and large enough
/// that fifty containers fit in one.
pub const MESSAGE: usize = 64 * 1024;

/// The part of a message that readings may take; the rest is for events, so that neither starves the other.
pub const READINGS: usize = 32 * 1024;

/// The part of a message that events may take.
pub const EVENTS_IN_MESSAGE: usize = 28 * 1024;

/// One record. A container whose every field is cut to its limit still fits: see [`LARGEST_CONTAINER`].
pub const RECORD: usize = 16 * 1024;

/// One event's record; attributes beyond it are cut.
pub const EVENT: usize = 4 * 1024;

/// A container's name. Docker sets no limit; DNS labels, which names become, have 63.
pub const NAME: usize = 128;

/// An image reference: registry, path and digest of common registries fit.
pub const IMAGE: usize = 256;

/// A command line, for recognising a container and not for running it again.
pub const COMMAND: usize = 256;

/// Labels of one container. Compose sets about ten, Traefik setups some thirty.
pub const LABELS: usize = 48;

/// A label's key.
pub const LABEL_KEY: usize = 128;

/// A label's value.
pub const LABEL_VALUE: usize = 256;

/// Bytes of all labels of one container together.
pub const LABELS_BYTES: usize = 6 * 1024;

/// Published and exposed ports of one container. A published range counts each port.
pub const PORTS: usize = 48;

/// A port's protocol: `sctp` is the longest there is.
pub const PORT_PROTOCOL: usize = 8;

/// An address: the longest textual IPv6 one.
pub const ADDRESS: usize = 45;

/// Networks that one container is attached to.
pub const NETWORKS: usize = 16;

/// Bytes of all networks of one container together.
pub const NETWORKS_BYTES: usize = 2 * 1024;

/// Mounts of one container.
pub const MOUNTS: usize = 24;

/// A mount's kind: `cluster` and `volume` are among the longest.
pub const MOUNT_KIND: usize = 12;

/// Bytes of all mounts of one container together.
pub const MOUNTS_BYTES: usize = 3 * 1024;

/// A mount's source or destination, a network's name.
pub const PATH: usize = 192;

/// Attributes of one event: Docker repeats all labels of the container there.
pub const ATTRIBUTES: usize = 48;

/// Bytes of all attributes of one event together.
pub const ATTRIBUTES_BYTES: usize = 3 * 1024;

/// An attribute's key, or a value: as a label's, because most of them are labels.
pub const ATTRIBUTE_KEY: usize = LABEL_KEY;

/// See [`ATTRIBUTE_KEY`].
pub const ATTRIBUTE_VALUE: usize = LABEL_VALUE;

/// An event's action; the longest of Docker's is `health_status: unhealthy`.
pub const ACTION: usize = 40;

/// A host's name.
pub const HOST_NAME: usize = 64;

/// A short fact about a host or engine: a version, a kernel release.
pub const FACT: usize = 64;

/// Addresses of one server that an agent holds.
pub const ADDRESSES: usize = 4;

/// Pins of one server that an agent holds: a fleet key, its backup, and both successors during a rotation.
pub const PINS: usize = 4;

/// Kinds of records that a server can name as understood.
pub const KINDS: usize = 64;

/// Runs of an agent that the server remembers, so that a hello that was delayed in the network is recognised.
pub const RUNS: usize = 4;

/// Identities of stored events that the server remembers of a host, beyond the sequence itself: as many as can wait in
/// an agent's queue.
pub const RECENT: usize = QUEUED_EVENTS;

/// Fields that can be measured of a host, with room to append.
pub const HOST_FIELDS: usize = 24;

/// Fields that can be measured of a container, with room to append.
pub const CONTAINER_FIELDS: usize = 16;

/// Fields that can be measured of a file system, with room to append.
pub const DISK_FIELDS: usize = 8;

/// File systems of one host whose use is reported: root, boot, and what is plugged in.
pub const DISKS: usize = 8;

/// The part of a message that vitals may take. What does not fit goes with the next one.
pub const VITALS: usize = 3 * 1024;

/// Blocks of the managed network that one host has at most: a thousand containers at a /26 each.
pub const NETWORK_BLOCKS: usize = 16;

/// Other hosts of the managed network that one host knows at most: as many as a /16 has blocks of /26.
pub const NETWORK_PEERS: usize = 1024;

/// Interfaces' addresses of a host that are told: its LANs.
pub const NETWORK_ADDRESSES: usize = 4;

/// Endpoints at which a peer is tried: its LAN's addresses, and those that everybody reaches.
pub const NETWORK_ENDPOINTS: usize = 6;

/// Relays that a host is told of: the server, and three others.
pub const NETWORK_RELAYS: usize = 4;

/// Names of containers that a host holds.
pub const NETWORK_NAMES: usize = 4096;

/// A text of an address and a port, IPv6 in brackets with a zone.
pub const NETWORK_ENDPOINT: usize = 64;

/// The label of the managed network, `KEY=VALUE`.
pub const NETWORK_LABEL: usize = 256;

/// Why a container cannot join.
pub const NETWORK_REASON: usize = 192;

/// One message of a server on a network line: a buffer of the agent. A peer with all of its blocks and endpoints takes
/// some 700 bytes.
pub const NETWORK_MESSAGE: usize = 4096;

/// A label of the domain name system.
pub const DNS_LABEL: usize = 63;

/// Bytes that a number takes at most: seven bits in each.
const NUMBER: usize = 10;

/// Bytes in front of a text that say how long it is, for texts below 16 KiB; also the most that a u16 below that takes.
const LENGTH: usize = 2;

/// The largest container that keeps to the limits above, with its sequence number.
pub const LARGEST_CONTAINER: usize = NUMBER
    + 32
    + (LENGTH + NAME)
    + (LENGTH + IMAGE)
    + (1 + 32)
    + (LENGTH + COMMAND)
    // State, health, exit code, out of memory, restarts, three times.
    + (1 + 1 + 6 + 1 + 5 + NUMBER + 2 * (1 + NUMBER))
    + (1 + LABELS * 2 * LENGTH + LABELS_BYTES)
    + (1 + PORTS * (3 + 1 + PORT_PROTOCOL + 1 + 3 + 1 + ADDRESS))
    + (1 + NETWORKS * (LENGTH + 1 + 1) + NETWORKS_BYTES)
    + (1 + MOUNTS * (LENGTH + 1 + LENGTH + 1) + MOUNTS_BYTES)
    + 3;

/// The largest event that keeps to the limits above, without its sequence number.
pub const LARGEST_EVENT: usize =
    NUMBER + 1 + (1 + ACTION) + 32 + (1 + 32) + (1 + ATTRIBUTES * 2 * LENGTH + ATTRIBUTES_BYTES) + 3;

const _: () = assert!(LARGEST_CONTAINER <= RECORD, "a container fits into its record");
const _: () = assert!(LARGEST_EVENT <= EVENT, "an event fits into its record");
const _: () = assert!(RECORD + 16 <= READINGS, "a part holds a record");
const _: () = assert!(EVENT + 16 <= EVENTS_IN_MESSAGE && EVENT <= QUEUED_BYTES, "an event can be sent, and kept");
const _: () = assert!(EVENT <= u16::MAX as usize, "the queue keeps an event's length in two bytes");
