//! The two ends beside the gateway: an upstream with canned answers, and a client on one connection.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Answers by path, on connections that stay open, for the life of the process.
pub fn start_upstream(bodies: &[(&str, String)]) -> SocketAddr {
    let answer = |body: &String| {
        let length = body.len();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let answers: HashMap<String, String> =
        bodies.iter().map(|(path, body)| ((*path).to_owned(), answer(body))).collect();
    let answers = Arc::new(answers);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answers) = (stream.unwrap(), answers.clone());
            thread::spawn(move || serve(stream, &answers));
        }
    });
    address
}

fn serve(stream: TcpStream, answers: &HashMap<String, String>) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    while let Some((first, length)) = read_head(&mut reader) {
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let path = first.split(' ').nth(1).unwrap();
        let answer = answers.get(path).unwrap_or_else(|| panic!("nobody asks for {path}"));
        reader.get_ref().write_all(answer.as_bytes()).unwrap();
    }
}

/// The first line of a head and the length of the body behind it; nothing where the connection ends.
fn read_head(reader: &mut impl BufRead) -> Option<(String, usize)> {
    let (mut first, mut length) = (String::new(), None);
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end();
        if line.is_empty() {
            let is_request = first.starts_with("GET") || first.starts_with("POST");
            assert!(is_request || length.is_some(), "{first:?} announces no length");
            return Some((first, length.unwrap_or(0)));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse().unwrap());
        }
    }
}

/// A connection to the gateway.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::new(stream))
    }

    /// Sends one request; the status and the body of its answer.
    pub fn ask(&mut self, request: &[u8]) -> (u16, Vec<u8>) {
        self.0.get_ref().write_all(request).unwrap();
        let (first, length) = read_head(&mut self.0).expect("an answer");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (first.split(' ').nth(1).unwrap().parse().unwrap(), body)
    }
}
