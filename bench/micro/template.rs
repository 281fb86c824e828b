//! Time and allocations of writing a backend's request target and the query behind it.
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

#[allow(dead_code, reason = "each benchmark uses its own part")]
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
        1.0,
    );
    whole();
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

/// All that follows the host, as a call builds it: the pattern with its values, then the client's query.
fn whole() {
    let names = ["a".to_owned(), "b".to_owned()];
    let template = UrlTemplate::compile("/shops/{a}/items/{b}?full=1", &names);
    let allowed = Allowed::by_endpoint(&["sort".to_owned(), "page".to_owned()]);
    let params = Params(&["4711", "shoes"]);
    let mut out = Vec::with_capacity(256);
    counting::measure("a target with two values and a query", CALLS, 0.0, &mut || {
        for _ in 0..CALLS {
            out.clear();
            let expanded = template.expand("/base", black_box(&params), &mut out);
            let separator = query::separator(&out);
            query::forward(black_box(b"sort=price&page=2&x=1"), &allowed, separator, &mut out);
            let wanted = b"/base/shops/4711/items/shoes?full=1&page=2&sort=price";
            assert!(expanded.is_ok() && out == wanted);
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
