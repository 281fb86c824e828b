//! One core of the gateway on a thread of the test's own process, so that a test can read what it counts.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};
use shoal::control::dns::{Dns, DnsSettings};
use shoal::control::resolver::{Limits, resolver};
use shoal::control::{Control, RunningTask};
use shoal::net::bell::{self, Order, Rope};
use shoal::net::driver::{self, Choice};
use shoal::net::listener;
use shoal::server::core::{Core, Serving};
use shoal::shared::admission::Admission;
use shoal::shared::log::Log;
use shoal::shared::meter::{self, Meter};
use shoal::shared::metric;
use shoal::shared::published::Published;
use shoal::upstream::connect::ClientTls;
use shoal::{config, features, plan};

use super::eventually;

/// As much as a core of the binary has.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// A running core; ends with the value.
pub struct OneCore {
    address: SocketAddr,
    meter: Meter,
    rope: Rope,
    running: Option<JoinHandle<()>>,
    control: Option<Control>,
    resolving: Option<RunningTask>,
}

impl OneCore {
    /// Starts it with this configuration; `version` and a timeout of 5 s are filled in.
    #[track_caller]
    pub fn start(configuration: &Value) -> Self {
        let mut whole = json!({"version": 3, "timeout": "5s"});
        let all = whole.as_object_mut().expect("made as an object");
        all.extend(configuration.as_object().expect("a configuration is an object").clone());
        let loaded = config::parse("test.json", whole.to_string().as_bytes(), &[]);
        let service = loaded.unwrap_or_else(|problems| panic!("{problems:?}")).service;
        let compiled = plan::compile(&service, features::ALL, false);
        let plan = Arc::new(compiled.unwrap_or_else(|problems| panic!("{problems:?}")).plan);
        driver::settle(Choice::Auto).expect("there is always epoll");
        let log = Log::silent();
        let meter = Meter::default();
        let control = Control::start(log.clone(), meter.clone()).expect("a thread");
        let settings = DnsSettings::from_env().expect("a resolv.conf");
        let dns = Arc::new(Dns::new(settings).expect("a resolver"));
        let waiting_max = plan.limits.bounds().questions_max;
        let (names, resolving) = resolver(dns, Limits { waiting_max, ..Limits::default() });
        let resolving = control.spawn(Box::new(resolving));
        let socket = listener::bind(Some(Ipv4Addr::LOCALHOST.into()), 0, 64).expect("a port");
        let address = socket.local_addr().expect("it is bound");
        let (connections_max, per_address_max) =
            (plan.limits.connections_max, plan.limits.connections_per_address_max);
        let core = Core {
            index: 0,
            processor: None,
            serving: Published::new(Serving { plan, feeds: Vec::new() }),
            is_socket_lent: false,
            names,
            log,
            cores: 1,
            admission: Admission::new(connections_max, per_address_max),
            meter: meter.clone(),
            tls: None,
            client_tls: Published::new(ClientTls::Unread),
            client_tls_wanted: Arc::new(|| {}),
        };
        let (rope, bell) = bell::bell().expect("a pipe");
        let builder = thread::Builder::new().name("core-0".to_owned()).stack_size(STACK_BYTES);
        let running = builder
            .spawn(move || core.run(socket, bell, &std::sync::mpsc::channel().0))
            .expect("a thread");
        eventually("the core counts", Duration::from_secs(5), || {
            meter.readings().iter().any(|reading| reading.name == metric::POOLED_BUFFERS.name)
        });
        Self {
            address,
            meter,
            rope,
            running: Some(running),
            control: Some(control),
            resolving: Some(resolving),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of a counter or gauge; `reason` is the value of its only label, if it has one.
    #[track_caller]
    pub fn number(&self, name: &str, reason: Option<&str>) -> i64 {
        let readings = self.meter.readings();
        let reading = readings.iter().find(|reading| {
            let label = reading.labels.first().map(|(name, value)| (&**name, &**value));
            reading.name == name && label == reason.map(|reason| ("reason", reason))
        });
        match reading.unwrap_or_else(|| panic!("no {name} {reason:?}")).value {
            meter::Value::Counter(count) => i64::try_from(count).expect("a small number"),
            meter::Value::Gauge(value) => value,
            meter::Value::Histogram { .. } => panic!("{name} is a histogram"),
        }
    }
}

impl Drop for OneCore {
    fn drop(&mut self) {
        self.rope.ring(Order::Drain);
        self.rope.ring(Order::Cut);
        let ended = self.running.take().map(JoinHandle::join);
        drop(self.resolving.take());
        if let Some(control) = self.control.take() {
            control.stop(Duration::from_secs(1));
        }
        if !thread::panicking() {
            ended.expect("joined once").expect("the core ends well");
        }
    }
}
