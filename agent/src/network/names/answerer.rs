//! The answerer's thread and socket.

use super::message::{MESSAGE, answer};
use super::{Name, table::Table};
use rustix::event::{PollFd, PollFlags, poll};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where names are asked for.
const PORT: u16 = 53;
/// The thread needs two messages and little else.
const STACK: usize = 64 * 1024;
/// A socket that says nothing but errors is not asked for more of them at once.
const AFTER_ERROR: Duration = Duration::from_millis(100);

type Names = Arc<Mutex<Arc<Table>>>;

/// Answers questions on UDP port 53 of one address, in a thread of its own, which ends when this is dropped.
#[derive(Debug)]
pub struct Answerer {
    names: Names,
    /// Closed, it ends the thread.
    open: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
    /// Where it listens.
    #[cfg(test)]
    address: std::net::SocketAddr,
}

impl Answerer {
    /// Starts it, with no names.
    ///
    /// # Errors
    /// The address is not the host's (yet), the port is taken, or there can be no thread.
    pub fn start(gateway: Ipv4Addr) -> io::Result<Answerer> {
        Answerer::start_at(SocketAddrV4::new(gateway, PORT)).map_err(|error| {
            let why = format!("names cannot be answered at {gateway}, UDP port {PORT}: {error}");
            io::Error::new(error.kind(), why)
        })
    }

    pub(super) fn start_at(address: SocketAddrV4) -> io::Result<Answerer> {
        let socket = UdpSocket::bind(address)?;
        // What has woken the thread may be gone when it looks, such as a packet with a wrong sum.
        socket.set_nonblocking(true)?;
        #[cfg(test)]
        let address = socket.local_addr()?;
        let (open, until_closed) = UnixStream::pair()?;
        let names = Names::default();
        let its_names = Arc::clone(&names);
        let thread = std::thread::Builder::new()
            .name("names".into())
            .stack_size(STACK)
            .spawn(move || serve(&socket, &until_closed, &its_names))?;
        Ok(Answerer {
            names,
            open: Some(open),
            thread: Some(thread),
            #[cfg(test)]
            address,
        })
    }

    /// The names from now on.
    pub fn set(&self, names: Vec<Name>) {
        let table = Arc::new(Table::new(names));
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = table;
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        drop(self.open.take());
        // It waits for nothing but this and questions. If it has panicked, that was told.
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(socket: &UdpSocket, until_closed: &UnixStream, names: &Names) {
    let (mut question, mut out) = ([0; MESSAGE], [0; MESSAGE]);
    let mut turn = 0_u32;
    loop {
        let mut places =
            [PollFd::new(socket, PollFlags::IN), PollFd::new(until_closed, PollFlags::IN | PollFlags::HUP)];
        match poll(&mut places, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => std::thread::sleep(AFTER_ERROR),
        }
        if !places[1].revents().is_empty() {
            return;
        }
        let (length, from) = match socket.recv_from(&mut question) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => {
                std::thread::sleep(AFTER_ERROR);
                continue;
            }
        };
        let table = Arc::clone(&names.lock().unwrap_or_else(PoisonError::into_inner));
        turn = turn.wrapping_add(1);
        if let Some(length) = answer(&question[..length], &table, turn, &mut out) {
            // Whoever asked may be gone, and asks again otherwise.
            let _sent = socket.send_to(&out[..length], from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The question for the address of `web.muster.internal`.
    const QUESTION: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03web\x06muster\x08internal\0\0\x01\0\x01";

    fn ask(answerer: &Answerer) -> Vec<u8> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        socket.send_to(QUESTION, answerer.address).unwrap();
        let mut answer = [0; MESSAGE];
        let (length, from) = socket.recv_from(&mut answer).unwrap();
        assert_eq!(from, answerer.address);
        answer[..length].to_vec()
    }

    #[test]
    fn it_answers_with_the_names_it_has_and_ends() {
        let answerer = Answerer::start_at(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert_eq!(ask(&answerer)[3], 3);
        answerer.set(vec![Name { name: "web".into(), host_label: "pi".into(), address: 0x0a2a_0002 }]);
        assert!(ask(&answerer).ends_with(&[10, 42, 0, 2]));
        answerer.set(Vec::new());
        assert_eq!(ask(&answerer)[3], 3);
        let address = answerer.address;
        drop(answerer);
        // The port is free again.
        UdpSocket::bind(address).unwrap();
    }

    #[test]
    fn an_address_of_another_host_is_told_in_one_line() {
        let error = Answerer::start(Ipv4Addr::new(192, 0, 2, 77)).unwrap_err().to_string();
        assert!(error.starts_with("names cannot be answered at 192.0.2.77, UDP port 53: "), "{error}");
    }
}
