//! Time and allocations of finding the route of a request among few and among many.
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

#[allow(dead_code, reason = "each benchmark uses its own part")]
mod counting;

use std::hint::black_box;

use shoal::message::route_params::RouteParams;
use shoal::plan::route::{Found, RouteOptions, Routes, RoutesBuilder};

/// Look-ups of one call, spread over the routes.
const LOOKUPS: u32 = 1_000;

fn main() {
    counting::title();
    let mut hits_ns = Vec::new();
    for count in [10, 1_000, 10_000] {
        let routes = routes(count);
        hits_ns.push(hits(&routes, count));
        misses(&routes, count);
    }
    // The caches of the processor are why it is not one; a list would be at a thousand.
    assert!(hits_ns[2] < hits_ns[0] * 8.0, "many routes may not cost much more than few");
}

/// A third each of words, of one parameter at the end, and of two parameters.
fn routes(count: u32) -> Routes {
    let mut builder = RoutesBuilder::new(RouteOptions::default());
    for id in 0..count {
        let added = builder.add("GET", &path(id, ":id", ":item"), id);
        added.expect("each route has its own word");
    }
    builder.add("POST", "/api/v1/orders", count).expect("the first of its method");
    builder.build()
}

fn path(id: u32, one: &str, two: &str) -> String {
    match id % 3 {
        0 => format!("/api/v1/catalog{id}/list"),
        1 => format!("/api/v1/users{id}/{one}"),
        _ => format!("/api/v2/shops{id}/{one}/items/{two}"),
    }
}

/// As far apart as requests of many clients are: 7919 is prime and so meets every route in the end.
fn ids(count: u32) -> impl Iterator<Item = u32> {
    (0..LOOKUPS).map(move |step| (step * 7919) % count)
}

fn hits(routes: &Routes, count: u32) -> f64 {
    let paths: Vec<(u32, String)> =
        ids(count).map(|id| (id, path(id, "4711", "running-shoes"))).collect();
    let mut params = RouteParams::default();
    counting::measure(&format!("an endpoint among {count}"), LOOKUPS, 0.0, &mut || {
        for (id, path) in &paths {
            let found = routes.find(b"GET", black_box(path.as_bytes()), &mut params);
            assert!(found == Found::Endpoint(*id) && params.len() == (*id % 3) as usize);
        }
    })
}

fn misses(routes: &Routes, count: u32) {
    let paths: Vec<String> =
        ids(count).map(|id| path(id, "4711", "running-shoes") + "/more").collect();
    let mut params = RouteParams::default();
    counting::measure(&format!("no endpoint among {count}"), LOOKUPS, 1.0, &mut || {
        for path in &paths {
            let found = routes.find(b"GET", black_box(path.as_bytes()), &mut params);
            assert!(found == Found::NotFound);
        }
    });
    counting::measure(&format!("another method among {count}"), LOOKUPS, 2.0, &mut || {
        for _ in 0..LOOKUPS {
            let found = routes.find(b"GET", black_box(b"/api/v1/orders"), &mut params);
            assert!(matches!(found, Found::MethodNotAllowed { .. }));
        }
    });
}
