//! The embedded upstream of `shoal demo`: a few JSON documents on loopback, so that the gateway has something to call.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// The configuration that `shoal demo` runs unless it is given another one.
pub const CONFIG: &str = include_str!("../../config/demo.json");
/// Where the demo configuration looks for its upstream.
pub const UPSTREAM_PORT: u16 = 9080;

/// Connections that may be open at a time; the demo needs a handful.
const CONNECTIONS_MAX: usize = 256;
/// A line of a request that is longer is no request of ours.
const LINE_BYTES_MAX: u64 = 8192;

/// What to try, printed at the start.
pub fn guide(port: u16) -> String {
    let base = format!("http://127.0.0.1:{port}");
    format!(
        "\nShoal is up with a demo configuration (config/demo.json). Try:\n\
         \x20 curl -i {base}/user/1         an aggregate: a user and the user's posts, from two upstream answers\n\
         \x20 curl -i {base}/raw/users/1    a pass-through: the upstream's own answer\n\
         \x20 curl -i {base}/order/7        a sequence: an order, then the customer that the order names\n\
         \x20 curl -i {base}/__health       the gateway itself\n\
         Ctrl-C ends it.\n"
    )
}

/// Serves the demo's documents on loopback for the life of the process.
///
/// # Errors
/// When the port is taken.
pub fn serve_upstream(port: u16) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let address = listener.local_addr()?;
    let open = std::sync::Arc::new(());
    thread::Builder::new().name("demo-upstream".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            if std::sync::Arc::strong_count(&open) > CONNECTIONS_MAX {
                continue;
            }
            let mark = open.clone();
            let serve = move || {
                let _ = serve_connection(&stream);
                drop(mark);
            };
            // Without a thread the connection is closed, and the gateway says so.
            let _ = thread::Builder::new().name("demo-upstream".into()).spawn(serve);
        }
    })?;
    Ok(address)
}

fn serve_connection(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let mut reader = BufReader::new(io::Read::take(stream, u64::MAX));
    let mut out = stream;
    loop {
        let Some(path) = read_request(&mut reader)? else { return Ok(()) };
        let (status, body) = document(&path);
        write!(
            out,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
}

/// The path of the next request; its headers are read and dropped. The demo only asks with GET, so there is no body.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut first = String::new();
    if io::Read::take(&mut *reader, LINE_BYTES_MAX).read_line(&mut first)? == 0 {
        return Ok(None);
    }
    loop {
        let mut line = String::new();
        if io::Read::take(&mut *reader, LINE_BYTES_MAX).read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    Ok(first.split(' ').nth(1).map(str::to_owned))
}

fn document(path: &str) -> (&'static str, String) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let last = path.rsplit('/').next().unwrap_or_default();
    let id: u32 = last.parse().unwrap_or(1);
    match path.split('/').nth(1) {
        Some("users") => (
            "200 OK",
            format!(
                r#"{{"id":{id},"name":"Ada Example {id}","email":"ada{id}@example.com","internal":{{"risk":0.25}}}}"#
            ),
        ),
        Some("posts") => {
            let user = query.strip_prefix("user=").and_then(|user| user.parse().ok()).unwrap_or(id);
            (
                "200 OK",
                format!(
                    r#"[{{"id":{},"title":"First post of {user}"}},{{"id":{},"title":"Second post of {user}"}}]"#,
                    user * 10 + 1,
                    user * 10 + 2
                ),
            )
        }
        Some("orders") => {
            ("200 OK", format!(r#"{{"order":{id},"customer_id":{},"total":19.90}}"#, id + 100))
        }
        _ => ("404 Not Found", r#"{"error":"the demo has no such document"}"#.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_json_and_unknown_paths_are_404() {
        for path in ["/users/1", "/posts?user=3", "/orders/7"] {
            let (status, body) = document(path);
            assert_eq!(status, "200 OK");
            assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{body}");
        }
        assert_eq!(document("/other").0, "404 Not Found");
    }
}
