//! Time and allocations of writing a backend's request target and the query behind it.
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

mod counting;

use std::borrow::Cow;
use std::hint::black_box;

use shoal::message::query::{self, Allowed};
use shoal::plan::template::{UrlTemplate, Values};

/// Calls between two looks at the clock.
const CALLS: u32 = 100;

struct Params<'a>(&'a [&'a str]);

impl Values for Params<'_> {
    fn param(&self, slot: usize) -> Option<&[u8]> {
        self.0.get(slot).map(|value| value.as_bytes())
    }

    fn named(&self, _key: &str) -> Option<Cow<'_, str>> {
        None
    }
}

fn main() {
    counting::title();
    target("a fixed target", "/v2/catalog/list?full=1", &[], "/v2/catalog/list?full=1", 0.0);
    target(
        "two plain values",
        "/shops/{a}/items/{b}",
        &["4711", "shoes"],
        "/shops/4711/items/shoes",
        0.0,
    );
    target(
        "a value to encode",
        "/shops/{a}/items/{b}",
        &["4711", "red shoes"],
        "/shops/4711/items/red%20shoes",
        4.0,
    );
    forward("no query", "", "");
    forward("a query of three, two allowed", "sort=price&page=2&x=1", "page=2&sort=price");
}

fn target(name: &str, pattern: &str, values: &[&str], wanted: &str, allocations_max: f64) {
    let template = UrlTemplate::compile(pattern, &["a".to_owned(), "b".to_owned()]);
    let mut out = Vec::with_capacity(256);
    counting::measure(name, CALLS, allocations_max, &mut || {
        for _ in 0..CALLS {
            out.clear();
            let expanded = template.expand("", black_box(&Params(values)), &mut out);
            assert!(expanded.is_ok() && out == wanted.as_bytes());
            black_box(&out);
        }
    });
}

fn forward(name: &str, raw: &str, wanted: &str) {
    let allowed = Allowed::by_endpoint(&["sort".to_owned(), "page".to_owned()]);
    let mut out = Vec::with_capacity(256);
    counting::measure(name, CALLS, 0.0, &mut || {
        for _ in 0..CALLS {
            out.clear();
            query::forward(black_box(raw.as_bytes()), &allowed, None, &mut out);
            assert!(out == wanted.as_bytes());
            black_box(&out);
        }
    });
}
