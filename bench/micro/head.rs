//! Time and allocations of reading and writing message heads; each step's result is checked before it is timed.
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

#[allow(dead_code, reason = "each benchmark uses its own part")]
mod counting;

use std::hint::black_box;

use shoal::message::date::DateCache;
use shoal::message::head::{Framing, RequestHead, ResponseHead};
use shoal::wire::http1::chunked::{self, Decoder};
use shoal::wire::http1::encode;
use shoal::wire::http1::parse::{self, HeadLimits, Progress};

const LIMITS: HeadLimits =
    HeadLimits { bytes_max: 1 << 20, headers_max: 1000, uri_bytes_max: 1 << 20 };
/// Calls between two looks at the clock.
const CALLS: u32 = 100;

/// What wrk sends with a handful of headers, about 200 bytes.
const SMALL_REQUEST: &[u8] = b"GET /v1/users/12345?fields=name,email HTTP/1.1\r\nHost: gateway.example.com:8080\r\n\
    User-Agent: wrk/4.2.0\r\nAccept: application/json\r\nX-Request-Id: 6f1c2d3e4b5a\r\nConnection: keep-alive\r\n\r\n";

/// What a browser sends, about 1 KiB.
const BROWSER_REQUEST: &[u8] = b"GET /catalog/products/search?q=running+shoes&page=2&sort=price HTTP/1.1\r\n\
    Host: shop.example.com\r\nConnection: keep-alive\r\n\
    sec-ch-ua: \"Chromium\";v=\"128\", \"Not;A=Brand\";v=\"24\", \"Google Chrome\";v=\"128\"\r\n\
    sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n\
    Referer: https://shop.example.com/catalog/products/search?q=running+shoes&page=1&sort=price\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0; theme=dark; consent=1\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: application/json\r\nContent-Length: 300\r\nConnection: keep-alive\r\nX-Request-Id: 6f1c2d3e4b5a\r\n\r\n";

fn main() {
    counting::title();
    request_heads();
    answer_head();
    answer_encoding();
    request_encoding();
    chunked_decoding();
}

fn request_heads() {
    let mut head = RequestHead::with_bytes(Vec::with_capacity(4096));
    for (name, raw, headers) in
        [("request head, small", SMALL_REQUEST, 5), ("request head, browser", BROWSER_REQUEST, 16)]
    {
        let mut read = || {
            head.reset();
            head.bytes.extend_from_slice(black_box(raw));
            let progress = parse::request(&mut head, &LIMITS);
            assert!(progress == Ok(Progress::Complete) && head.head_len == raw.len());
            assert!(
                head.headers.len() == headers && head.keep_alive && head.framing == Framing::Empty
            );
            black_box(&head);
        };
        measure(name, raw.len(), &mut read);
    }
}

fn answer_head() {
    let mut head = ResponseHead::with_bytes(Vec::with_capacity(4096));
    measure("answer head", ANSWER.len(), &mut || {
        head.reset();
        head.bytes.extend_from_slice(black_box(ANSWER));
        let progress = parse::response(&mut head, &LIMITS, false);
        assert!(
            progress == Ok(Progress::Complete)
                && head.status == 200
                && head.framing == Framing::Length(300)
        );
        black_box(&head);
    });
}

/// What a client gets, as the gateway puts it together: its own headers, those of the answer, the length.
fn answer_encoding() {
    let mut out = Vec::with_capacity(4096);
    let mut dates = DateCache::default();
    measure("answer head written", 151, &mut || {
        out.clear();
        encode::status_line(&mut out, black_box(200));
        encode::header(&mut out, b"Content-Type", black_box(b"application/json; charset=utf-8"));
        encode::header(&mut out, b"X-Krakend", black_box(b"Version 2.13.8"));
        encode::date(&mut out, dates.value(784_111_777));
        encode::content_length(&mut out, black_box(300));
        encode::end(&mut out);
        assert!(out.len() == 151 && out.ends_with(b"Content-Length: 300\r\n\r\n"));
        black_box(&out);
    });
}

/// What an upstream gets, as the gateway puts it together: the forwarding headers and the client's that pass on.
fn request_encoding() {
    const HEADERS: &[(&[u8], &[u8])] = &[
        (b"User-Agent", b"wrk/4.2.0"),
        (b"X-Forwarded-For", b"192.0.2.7"),
        (b"X-Forwarded-Host", b"gateway.example.com:8080"),
        (b"X-Request-Id", b"6f1c2d3e4b5a"),
        (b"Accept-Encoding", b"gzip"),
    ];
    const END: &[u8] = b"X-Request-Id: 6f1c2d3e4b5a\r\nAccept-Encoding: gzip\r\n\r\n";
    let mut out = Vec::with_capacity(4096);
    let target = b"/v1/users/12345?fields=name%2Cemail";
    measure("request head written", 225, &mut || {
        out.clear();
        assert!(encode::is_target_safe(black_box(target)));
        encode::request_line(&mut out, black_box(b"GET"), target);
        encode::header(&mut out, b"Host", black_box(b"users.internal:8000"));
        for (name, value) in black_box(HEADERS) {
            encode::header(&mut out, name, value);
        }
        encode::end(&mut out);
        assert!(out.len() == 225 && out.ends_with(END));
        black_box(&out);
    });
}

fn chunked_decoding() {
    for (name, chunk_bytes) in
        [("chunked body, 4 KiB chunks", 4096), ("chunked body, 64 byte chunks", 64)]
    {
        let mut raw = Vec::new();
        for _ in 0..16 * 1024 / chunk_bytes {
            chunked::write_chunk_head(&mut raw, chunk_bytes);
            raw.resize(raw.len() + chunk_bytes, b'x');
            raw.extend_from_slice(b"\r\n");
        }
        raw.extend_from_slice(chunked::LAST_CHUNK);
        let mut body = Vec::with_capacity(32 * 1024);
        measure(name, raw.len(), &mut || {
            body.clear();
            let mut decoder = Decoder::default();
            let mut rest = black_box(&raw[..]);
            while !decoder.is_done() {
                let step = decoder.decode(rest).expect("the coding is right");
                body.extend_from_slice(&rest[step.data]);
                rest = &rest[step.consumed..];
            }
            assert!(body.len() == 16 * 1024 && rest.is_empty());
            black_box(&body);
        });
    }
}

/// No memory may be allocated once it is warm.
fn measure(name: &str, bytes: usize, step: &mut dyn FnMut()) {
    counting::measure(&format!("{name} ({bytes} bytes)"), CALLS, 0.0, &mut || {
        for _ in 0..CALLS {
            step();
        }
    });
}
