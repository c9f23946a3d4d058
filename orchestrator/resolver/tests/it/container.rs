//! A container, which here is a process in a network namespace of its own, and servers on the host.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use links::route::Connection;
use links::{Process, namespace};

/// How long an answer may take before a test says that there is none: longer than it takes to ask all servers.
const LIMIT: Duration = Duration::from_secs(20);
/// Where a container asks.
const PLACE: (Ipv4Addr, u16) = (resolver::ADDRESS, 53);

/// A process in a network namespace of its own, with a loopback.
pub(crate) struct Container {
    child: Child,
    pub(crate) process: Process,
}

impl Container {
    pub(crate) fn new() -> Self {
        let mut command = Command::new("sleep");
        command.arg("100000").stdin(Stdio::null());
        let child = namespace::spawn_isolated(command, Vec::new()).unwrap();
        let process = Process::of(child.id()).unwrap();
        let mut connection = Connection::open_inside(&process).unwrap();
        let loopback = connection.link("lo").unwrap().unwrap();
        connection.set_up(loopback.index).unwrap();
        Self { child, process }
    }

    pub(crate) fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        namespace::inside_network(&self.process, what).unwrap()
    }

    /// Asks by datagram.
    pub(crate) async fn ask(&self, name: &str, kind: u16) -> Answer {
        let message = question(name, kind);
        let socket = self.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        let asked = move || {
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            socket.connect(PLACE).unwrap();
            socket.send(&message).unwrap();
            let mut answer = vec![0; 65535];
            let length = socket.recv(&mut answer).unwrap();
            answer.truncate(length);
            Answer { at: message.len(), bytes: answer }
        };
        tokio::task::spawn_blocking(asked).await.unwrap()
    }

    /// Asks by stream.
    pub(crate) async fn ask_by_stream(&self, name: &str, kind: u16) -> Answer {
        let message = question(name, kind);
        let mut stream = self.run(|| TcpStream::connect(PLACE).unwrap());
        let asked = move || {
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            write_message(&mut stream, &message);
            Answer { at: message.len(), bytes: read_message(&mut stream) }
        };
        tokio::task::spawn_blocking(asked).await.unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// An answer.
pub(crate) struct Answer {
    /// Where its records begin.
    at: usize,
    bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn code(&self) -> u8 {
        self.bytes[3] & 0x0f
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.bytes[2] & 2 != 0
    }

    /// The addresses of IPv4 in it.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let count = usize::from(u16::from_be_bytes([self.bytes[6], self.bytes[7]]));
        let records = self.bytes[self.at..].chunks_exact(16).take(count);
        records.map(|record| Ipv4Addr::new(record[12], record[13], record[14], record[15]).to_string()).collect()
    }

    /// The name in it.
    pub(crate) fn text(&self) -> String {
        let mut labels = Vec::new();
        let mut at = self.at + 12;
        while self.bytes[at] != 0 {
            let end = at + 1 + usize::from(self.bytes[at]);
            labels.push(String::from_utf8(self.bytes[at + 1..end].to_vec()).unwrap());
            at = end;
        }
        labels.join(".")
    }
}

/// A name server of the host, which answers everything with this code; where that is 0 with the address 192.0.2.80.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start(code: u8) -> Self {
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = datagrams.local_addr().unwrap();
        let streams = TcpListener::bind(address).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok((length, peer)) = datagrams.recv_from(&mut bytes) {
                count.fetch_add(1, Ordering::Relaxed);
                datagrams.send_to(&answer(&bytes[..length], code), peer).unwrap();
            }
        });
        thread::spawn(move || {
            for stream in streams.incoming() {
                let mut stream = stream.unwrap();
                let message = read_message(&mut stream);
                write_message(&mut stream, &answer(&message, code));
            }
        });
        Self { address, asked }
    }

    /// How many datagrams came.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn answer(question: &[u8], code: u8) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2] |= 0x80;
    answer[3] = 0x80 | code;
    if code == 0 {
        answer[7] = 1;
        answer.extend_from_slice(&[0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 80]);
    }
    answer
}

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![0xab, 0xcd, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message
}

fn read_message(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).unwrap();
    message
}

fn write_message(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(&u16::try_from(message.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(message).unwrap();
}
