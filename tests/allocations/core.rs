//! One core of the gateway on a thread of this process, the only thread whose allocations count.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use shoal::control::Control;
use shoal::control::dns::{Dns, DnsSettings};
use shoal::control::resolver::{Limits, resolver};
use shoal::net::bell::{self, Order};
use shoal::net::listener;
use shoal::server::core::{Core, Serving};
use shoal::shared::log::Log;
use shoal::shared::meter::Meter;
use shoal::shared::published::Published;
use shoal::upstream::connect::ClientTls;
use shoal::{config, features, plan};

use super::counting;

/// As much as a core of the binary has.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Serves `configuration` while `work` runs, which is given the address.
pub fn while_serving(configuration: &Value, work: impl FnOnce(SocketAddr)) {
    let text = configuration.to_string();
    let loaded = config::parse("allocations.json", text.as_bytes(), &[]).expect("a configuration");
    let compiled = plan::compile(&loaded.service, features::ALL, false).expect("a plan");
    let log = Log::silent();
    let control = Control::start(log.clone(), Meter::default()).unwrap();
    let dns = Dns::new(DnsSettings::from_env().unwrap()).unwrap();
    let (names, resolving) = resolver(Arc::new(dns), Limits::default());
    let _resolving = control.spawn(Box::new(resolving));
    let socket = listener::bind(Some(Ipv4Addr::LOCALHOST.into()), 0, 16).unwrap();
    let address = socket.local_addr().unwrap();
    let plan = Arc::new(compiled.plan);
    let core = Core {
        index: 0,
        processor: None,
        serving: Published::new(Serving { plan, feeds: Vec::new() }),
        is_socket_lent: false,
        names,
        log,
        cores: 1,
        admission: None,
        meter: Meter::default(),
        tls: None,
        client_tls: Published::new(ClientTls::Unread),
        client_tls_wanted: Arc::new(|| {}),
    };
    let (mut rope, bell) = bell::bell().unwrap();
    let builder = thread::Builder::new().name("core-0".to_owned()).stack_size(STACK_BYTES);
    let running = builder
        .spawn(move || {
            counting::count_this_thread();
            core.run(socket, bell, &std::sync::mpsc::channel().0);
        })
        .unwrap();
    work(address);
    rope.ring(Order::Drain);
    running.join().expect("the core ends well");
    control.stop(Duration::from_secs(1));
}
