//! Limits over all cores: what one core counts, the others know.

use std::thread;

use serde_json::json;

use crate::harness::{Driver, Gateway, Reply, Upstream, endpoint, get};

fn limited(upstream: &Upstream, block: &serde_json::Value) -> serde_json::Value {
    let mut limited = endpoint("/x", &[json!({"host": [upstream.url()], "url_pattern": "/x"})]);
    limited["extra_config"] = block.clone();
    limited
}

#[test]
fn all_cores_draw_from_one_bucket() {
    for driver in Driver::available() {
        let upstream = Upstream::start();
        upstream.on("/x", Reply::json(json!({"ok": 1})));
        let block = json!({"qos/ratelimit/router": {
            "max_rate": 1, "every": "1h", "capacity": 30,
            "client_max_rate": 1, "client_capacity": 20, "strategy": "ip",
        }});
        let config = json!({"endpoints": [limited(&upstream, &block)]});
        let gateway = Gateway::with(config).workers(4).driver(driver).start();
        let address = gateway.address();
        let clients: Vec<_> = (0..4)
            .map(|_| {
                thread::spawn(move || {
                    let statuses = (0..15).map(|_| get(address, "/x").status());
                    statuses.filter(|status| *status == 200).count()
                })
            })
            .collect();
        let passed: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
        assert_eq!((passed, upstream.requests()), (20, 20));
        let refused = get(address, "/x");
        assert_eq!((refused.status(), refused.text()), (429, String::new()));
        assert_eq!(refused.header("x-krakend"), None);
    }
}

#[test]
fn the_service_has_a_limit_of_its_own_and_tells_where_clients_stand() {
    let upstream = Upstream::start();
    upstream.on("/x", Reply::json(json!({"ok": 1})));
    let config = json!({
        "endpoints": [limited(&upstream, &json!({}))],
        "extra_config": {
            "qos/ratelimit/service": {"max_rate": 1, "every": "1h", "capacity": 2},
            "shoal/ratelimit": {"headers": true},
        },
    });
    let gateway = Gateway::start(config.clone());
    let first = gateway.get("/x");
    assert_eq!((first.status(), first.header("ratelimit-remaining")), (200, Some("1")));
    assert_eq!((first.header("ratelimit-limit"), first.header("retry-after")), (Some("2"), None));
    gateway.get("/x");
    let refused = gateway.get("/x");
    assert_eq!((refused.status(), refused.header("ratelimit-remaining")), (503, Some("0")));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(gateway.get("/__health").status(), 200);
    let lenient = Gateway::with(config).env("SHOAL_LENIENT", "1").start();
    assert!((0..4).all(|_| lenient.get("/x").status() == 200), "as in the original");
}
