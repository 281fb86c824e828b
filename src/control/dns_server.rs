//! A name server for tests, on loopback: scripted answers, and a count of the questions.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

pub(super) const A: u16 = 1;
pub(super) const AAAA: u16 = 28;
pub(super) const SRV: u16 = 33;

/// What the server does about a question.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// Addresses, of which a question gets those of its kind.
    Ips(u32, Vec<IpAddr>),
    /// Priority, weight, port, target.
    Srv(u32, Vec<(u16, u16, u16, &'static str)>),
    NoSuchName,
    Failure,
    Silence,
}

/// Answers until the test process ends.
pub(super) struct DnsServer {
    pub(super) address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    replies: HashMap<String, Reply>,
    delay: Duration,
    asked: HashMap<(String, u16), usize>,
}

impl DnsServer {
    pub(super) fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("bound");
        let script = Arc::<Mutex<Script>>::default();
        thread::spawn({
            let script = Arc::clone(&script);
            move || serve(&socket, &script)
        });
        Self { address, script }
    }

    /// From now on `name` (lower case, no dot at the end) is answered so. Others do not exist.
    pub(super) fn reply(&self, name: &str, reply: Reply) {
        self.script().replies.insert(name.into(), reply);
    }

    pub(super) fn ips(&self, name: &str, ttl: u32, ips: &[&str]) {
        let ips = ips.iter().map(|ip| ip.parse().expect("an address")).collect();
        self.reply(name, Reply::Ips(ttl, ips));
    }

    pub(super) fn delay(&self, delay: Duration) {
        self.script().delay = delay;
    }

    /// How often that was asked.
    pub(super) fn asked(&self, name: &str, kind: u16) -> usize {
        self.script().asked.get(&(name.to_owned(), kind)).copied().unwrap_or(0)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no panic")
    }
}

fn serve(socket: &UdpSocket, script: &Mutex<Script>) {
    let mut query = [0; 1500];
    while let Ok((len, client)) = socket.recv_from(&mut query) {
        let (name, kind, question_end) = parse(&query[..len]);
        let (reply, delay) = {
            let mut script = script.lock().expect("no panic");
            *script.asked.entry((name.clone(), kind)).or_default() += 1;
            (script.replies.get(&name).cloned().unwrap_or(Reply::NoSuchName), script.delay)
        };
        let Some(message) = message(&query[..question_end], kind, &reply) else { continue };
        let socket = socket.try_clone().expect("a second handle");
        thread::spawn(move || {
            thread::sleep(delay);
            let _ = socket.send_to(&message, client);
        });
    }
}

/// The question's name and type, and where it ends (RFC 1035, 4.1.2).
fn parse(query: &[u8]) -> (String, u16, usize) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    (labels.join("."), u16::from_be_bytes([query[at + 1], query[at + 2]]), at + 5)
}

/// Header, the question again, and an answer for each record (RFC 1035, 4.1).
fn message(question: &[u8], kind: u16, reply: &Reply) -> Option<Vec<u8>> {
    let (code, ttl, records): (u8, u32, Vec<Vec<u8>>) = match reply {
        Reply::Silence => return None,
        Reply::NoSuchName => (3, 0, Vec::new()),
        Reply::Failure => (2, 0, Vec::new()),
        Reply::Ips(ttl, ips) => (0, *ttl, ips.iter().filter_map(|ip| address(kind, *ip)).collect()),
        Reply::Srv(ttl, records) if kind == SRV => (0, *ttl, records.iter().map(service).collect()),
        Reply::Srv(ttl, _) => (0, *ttl, Vec::new()),
    };
    let count = u8::try_from(records.len()).expect("few records");
    let mut message = question.to_vec();
    message[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    for data in records {
        // The name is a pointer to the question's.
        message.extend_from_slice(&[0xc0, 12]);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&[0, 1]);
        message.extend_from_slice(&ttl.to_be_bytes());
        message.extend_from_slice(&u16::try_from(data.len()).expect("short").to_be_bytes());
        message.extend_from_slice(&data);
    }
    Some(message)
}

fn address(kind: u16, ip: IpAddr) -> Option<Vec<u8>> {
    match ip {
        IpAddr::V4(ip) if kind == A => Some(ip.octets().to_vec()),
        IpAddr::V6(ip) if kind == AAAA => Some(ip.octets().to_vec()),
        _ => None,
    }
}

fn service(&(priority, weight, port, target): &(u16, u16, u16, &str)) -> Vec<u8> {
    let mut data = [priority, weight, port].map(u16::to_be_bytes).concat();
    for label in target.split('.') {
        data.push(u8::try_from(label.len()).expect("a label"));
        data.extend_from_slice(label.as_bytes());
    }
    data.push(0);
    data
}
