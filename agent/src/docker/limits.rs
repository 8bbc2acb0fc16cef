//! Sizes and times that the engine is held to, each with its reason.
//!
//! What of a container or an event reaches the server is limited in [`muster_protocol::limits`].

use std::time::Duration;

/// Status line and headers together, and likewise a chunked body's trailers. Docker's headers take 300 bytes.
pub const HEADER_BYTES: usize = 16 * 1024;

/// The line before a chunk: its size in hexadecimal, and extensions that nobody uses.
pub const CHUNK_LINE: usize = 256;

/// One container in a list, or an inspect. Usual ones have 1 to 7 KB; one with hundreds of labels or a long
/// environment stays below this.
pub const ELEMENT: usize = 128 * 1024;

/// What is kept of an element that is larger: the engine writes its id first.
pub const SALVAGE: usize = 4 * 1024;

/// One event. A usual one has 300 to 1,500 bytes, for it repeats the container's labels.
pub const EVENT_LINE: usize = 64 * 1024;

/// What a buffer for elements or lines starts with: a usual container fits.
pub const BUFFER_START: usize = 4 * 1024;

/// A buffer that has grown beyond this gives its memory back before the next element.
pub const BUFFER_KEEP: usize = 16 * 1024;

/// One read from the socket.
pub const READ: usize = 8 * 1024;

/// Bytes of a whole list: 1,024 containers of the largest usual size, sixteen times over.
pub const LIST_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes of an error's body that are read; a connection that still has more is closed.
pub const ERROR_BODY: usize = 4 * 1024;

/// Bytes of the engine's error text that are passed on.
pub const ERROR_TEXT: usize = 512;

/// Brackets within brackets. The engine's answers have six; serde_json refuses more than 128.
pub const JSON_DEPTH: u32 = 100;

/// Connections that are kept for the next call: one for the list, one for inspects meanwhile.
pub const IDLE_CONNECTIONS: usize = 2;

/// What the engine may take for a list, the caller's own pauses not counted. 200 containers take a PC 23 ms, so
/// a thousand on a small and busy board still fit.
pub const LIST_TIME: Duration = Duration::from_secs(10);

/// What the engine may take for any other call, connecting included. Below the 15 s after which the server
/// should know that an engine hangs.
pub const CALL_TIME: Duration = Duration::from_secs(5);

/// An engine by TCP that has been silent for this long is asked by the kernel whether it is still there, and again
/// after as long: a proxy's container that was removed says no goodbye.
pub const PROBE_AFTER: Duration = Duration::from_secs(30);

/// So many such questions without an answer, and the connection counts as lost.
pub const PROBES: u32 = 3;
