//! The kinds of requests that are measured: their ceilings, and the gateway and upstream that they need.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// The headers of every request.
const FIELDS: &str =
    "Host: gateway.example:8080\r\nUser-Agent: test\r\nAccept: application/json\r\n";

/// A kind of request and the most allocations that one may cost; `io_uring` and epoll take the same.
pub struct Row {
    pub name: &'static str,
    request: Request,
    pub status: u16,
    /// What the answer's body must contain, and how long it must be at least.
    pub body: (&'static str, usize),
    pub ceiling: u64,
}

enum Request {
    Get(&'static str),
    Post(&'static str, usize),
}

fn row(
    name: &'static str,
    request: Request,
    status: u16,
    body: (&'static str, usize),
    ceiling: u64,
) -> Row {
    Row { name, request, status, body, ceiling }
}

pub fn rows() -> Vec<Row> {
    use Request::{Get, Post};
    vec![
        row("no-op, 300 bytes", Get("/raw/small"), 200, (r#"{"id":1,"#, 300), 3),
        row("no-op, 10 KiB", Get("/raw/large"), 200, (r#"{"id":1,"#, 10_240), 3),
        row("no-op, POST of 1 KiB", Post("/raw/post", 1024), 200, (r#"{"id":1,"#, 300), 6),
        row("no-op, path and query", Get("/raw/7/x?page=2&sort=price"), 200, ("{", 300), 3),
        row("one backend, unchanged", Get("/one"), 200, (r#"{"id":1,"#, 300), 6),
        row("one backend, 10 KiB", Get("/one/large"), 200, (r#"{"id":1,"#, 10_240), 6),
        row("one backend, POST of 1 KiB", Post("/one/post", 1024), 200, (r#"{"id":1,"#, 300), 9),
        row("merge of two, allow", Get("/two"), 200, (r#""b":{"id":1,"name":"#, 100), 20),
        row("merge of four, allow", Get("/four"), 200, (r#""d":{"id":1,"name":"#, 200), 37),
        row("sequence of two", Get("/sequence"), 200, (r#""b":{"id":1,"#, 600), 44),
        row("static answer", Get("/static"), 200, (r#""extra":[1,2]"#, 300), 15),
        row("__health", Get("/__health"), 200, ("{", 10), 8),
        row("404", Get("/nowhere"), 404, ("404 page not found", 18), 5),
        row("405", Post("/one", 2), 405, ("405 method not allowed", 22), 11),
    ]
}

pub fn configuration(upstream: SocketAddr) -> Value {
    let raw = |path: &str, method: &str, pattern: &str| {
        json!({"endpoint": path, "method": method, "output_encoding": "no-op",
               "input_query_strings": ["page", "sort"], "backend": [{"url_pattern": pattern}]})
    };
    let one = |path: &str, method: &str, pattern: &str| json!({"endpoint": path, "method": method, "backend": [{"url_pattern": pattern}]});
    let part = |group: &str| json!({"url_pattern": "/small", "group": group, "allow": ["id", "name", "owner"]});
    json!({
        "version": 3,
        "host": [format!("http://{upstream}")],
        "endpoints": [
            raw("/raw/small", "GET", "/small"),
            raw("/raw/large", "GET", "/large"),
            raw("/raw/post", "POST", "/small"),
            raw("/raw/{id}/x", "GET", "/items/{id}"),
            one("/one", "GET", "/small"),
            one("/one/large", "GET", "/large"),
            one("/one/post", "POST", "/small"),
            {"endpoint": "/two", "backend": [part("a"), part("b")]},
            {"endpoint": "/four", "backend": [part("a"), part("b"), part("c"), part("d")]},
            {"endpoint": "/sequence", "extra_config": {"proxy": {"sequential": true}}, "backend": [
                {"url_pattern": "/small", "group": "a"},
                {"url_pattern": "/items/{resp0_a.id}", "group": "b"}
            ]},
            {"endpoint": "/static", "backend": [{"url_pattern": "/small"}],
             "extra_config": {"proxy": {"static": {"data": {"extra": [1, 2]}, "strategy": "always"}}}}
        ]
    })
}

/// What the upstream answers, by path.
pub fn upstream_bodies() -> Vec<(&'static str, String)> {
    let small = body(300);
    vec![
        ("/small", small.clone()),
        ("/large", body(10_240)),
        ("/items/1", small.clone()),
        ("/items/7?page=2&sort=price", small),
    ]
}

/// An object of about so many bytes, with a few small fields and a long one.
fn body(bytes: usize) -> String {
    let head = r#"{"id":1,"name":"catalogue","status":"ok","owner":{"id":7,"team":"blue"},"pad":""#;
    format!("{head}{}\"}}", "x".repeat(bytes - head.len() - 2))
}

// === impl Row ===

impl Row {
    /// The request as it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let text = match self.request {
            Request::Get(target) => format!("GET {target} HTTP/1.1\r\n{FIELDS}\r\n"),
            Request::Post(target, length) => {
                let body = "y".repeat(length);
                format!("POST {target} HTTP/1.1\r\n{FIELDS}Content-Length: {length}\r\n\r\n{body}")
            }
        };
        text.into_bytes()
    }
}
