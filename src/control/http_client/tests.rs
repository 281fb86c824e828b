use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use super::*;

/// A server that answers each connection with the next text; gives its address and what it was sent.
fn server(answers: &[&str]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (seen, answers) = (Arc::new(Mutex::new(Vec::new())), answers.iter());
    let answers: Vec<String> =
        answers.map(|text| text.replace("ADDRESS", &address.to_string())).collect();
    let heard = seen.clone();
    thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut request = vec![0; 4096];
            let count = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..count]).into_owned();
            heard.lock().expect("free").push(text);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (format!("http://{address}"), seen)
}

fn client(body_bytes_max: usize, timeout: Duration) -> HttpClient {
    let tls = TlsTrust::default();
    let settings = HttpSettings { user_agent: "test/1", timeout, body_bytes_max, tls };
    HttpClient::new(&settings).expect("a client")
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

const LONG: Duration = Duration::from_secs(10);

#[test]
fn it_sends_nothing_that_it_was_not_given() {
    let (url, seen) =
        server(&["HTTP/1.1 404 Not Found\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nno"]);
    let answer = run(client(100, LONG).get(&format!("{url}/x?y=1#z"))).expect("an answer");
    assert_eq!((answer.status, answer.content_type.as_str()), (404, "a/b"));
    assert_eq!(answer.body, b"no");
    let seen = seen.lock().expect("free")[0].to_ascii_lowercase();
    assert!(seen.starts_with("get /x?y=1 http/1.1\r\n"), "{seen}");
    assert!(seen.contains("user-agent: test/1\r\n"), "{seen}");
    assert_eq!(seen.matches("\r\n").count(), 4, "the line, two headers and the end: {seen}");
}

#[test]
fn redirects_are_followed_and_end() {
    let to = "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let end = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let (url, seen) = server(&[to, end]);
    assert_eq!(run(client(100, LONG).get(&url)).expect("an answer").body, b"ok");
    assert!(seen.lock().expect("free")[1].starts_with("GET /b "));
    let (url, _) = server(&[to; 12]);
    assert!(run(client(100, LONG).get(&url)).is_err());
    let (url, _) = server(&[
        "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    ]);
    assert!(run(client(100, LONG).get(&url)).is_err());
}

#[test]
fn bodies_and_waits_are_bounded() {
    let (url, _) = server(&["HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n".to_owned().as_str()]);
    let short = Duration::from_millis(200);
    assert!(matches!(run(client(1_000, short).get(&url)), Err(HttpError::Failed(_))));
    let body = format!("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n{}", "x".repeat(101));
    let (url, _) = server(&[&body]);
    assert_eq!(run(client(100, LONG).get(&url)).err(), Some(HttpError::TooLarge(100)));
}

#[test]
fn what_is_no_url_is_no_url() {
    for text in ["", "x", "ftp://a", "http://", "http//a"] {
        assert!(!is_url(text), "{text}");
    }
    assert!(is_url("https://a.test:8443/set?x=1"));
}
