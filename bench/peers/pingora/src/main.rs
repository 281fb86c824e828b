//! The reverse proxy that a Rust team writes with pingora, Cloudflare's framework: one upstream, connections kept.
//!
//! `pingora-proxy PORT UPSTREAM_PORT WORKERS`

use async_trait::async_trait;
use pingora_core::prelude::{HttpPeer, Result};
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

struct Gateway {
    upstream: String,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream.as_str(), false, String::new())))
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, upstream_port, workers] = arguments.as_slice() else {
        eprintln!("usage: pingora-proxy PORT UPSTREAM_PORT WORKERS");
        std::process::exit(2);
    };
    let configuration = ServerConf {
        threads: workers.parse().expect("WORKERS is a number"),
        upstream_keepalive_pool_size: 8192,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    let gateway = Gateway { upstream: format!("127.0.0.1:{upstream_port}") };
    let mut service = http_proxy_service(&server.configuration, gateway);
    service.add_tcp(&format!("127.0.0.1:{port}"));
    server.add_service(service);
    server.bootstrap();
    server.run_forever();
}
