//! One core: its thread, its runtime, its listener, its gateway.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{SendError, Sender};

use rustls::ServerConfig;

use super::secure::Door;
use crate::engine::Gateway;
use crate::engine::current::Current;
use crate::net::bell::{Bell, Order};
use crate::net::listener::{Accepted, Arrival, Listener, Stop};
use crate::net::{Stream, buffer, clock, deadline, driver, splice, task};
use crate::plan::limits::Bounds;
use crate::plan::{Plan, PlanHandle};
use crate::shared::admission::{Admission, Refusal};
use crate::shared::log::Log;
use crate::shared::meter::{Counter, Gauge, Meter};
use crate::shared::metric;
use crate::shared::names::{HostLookup, LookupError, Names, ServiceHost};
use crate::shared::published::{Published, Reader};
use crate::shared::refusals::{Bound, Refusals};
use crate::upstream::connect::{ClientTls, Wanted};
use crate::upstream::{Limits, Lookup, Overload, Secure, UpstreamError, Upstreams};
use crate::wire::Peer;
use crate::wire::http1::parse::HeadLimits;
use crate::wire::http1::server::{Connections, Settings, serve};

/// How often idle connections to upstreams are looked at.
const SWEEP_MS: u64 = 1000;
/// How long a core that ran out of descriptors or memory waits before it accepts again.
const ACCEPT_PAUSE_MS: u64 = 20;
/// How often a core looks how far it is behind, where that is limited.
const QUEUE_LOOK_MS: u64 = 10;
/// How often a draining core looks whether its last connection has ended.
const DRAIN_LOOK_MS: u64 = 5;

/// What a client gets whose connection is one too many.
const TURNED_AWAY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What all cores run. A core goes over to another one when it is told to.
pub struct Serving {
    pub plan: PlanHandle,
    /// Host lists that service discovery keeps, in the plan's order.
    pub feeds: Vec<Published<Vec<ServiceHost>>>,
}

/// What a core needs to run.
pub struct Core {
    pub index: usize,
    pub processor: Option<usize>,
    pub serving: Published<Serving>,
    /// The service manager keeps the socket open, so what waits there at the end is our successor's.
    pub is_socket_lent: bool,
    pub names: Names,
    pub log: Log,
    /// How many cores there are.
    pub cores: usize,
    pub admission: Option<Admission>,
    pub meter: Meter,
    /// `None`: plain HTTP is served.
    pub tls: Option<Published<Arc<ServerConfig>>>,
    pub client_tls: Published<ClientTls>,
    /// Has `client_tls` read.
    pub client_tls_wanted: Wanted,
}

impl Core {
    /// Runs until main orders the end and the last connection has ended. Says whether it serves.
    pub fn run(self, socket: TcpListener, bell: Bell, started: &Sender<io::Result<()>>) {
        if let Some(processor) = self.processor {
            driver::pin_to(processor);
        }
        let (index, log) = (self.index, self.log.clone());
        if let Ok(Err(error)) | Err(error) = driver::run(self.work(socket, bell, started)) {
            // While main waits for this word, it ends the process.
            if let Err(SendError(Err(error))) = started.send(Err(error)) {
                log.critical(format_args!("core {index} cannot run: {error}"));
            }
        }
    }

    async fn work(
        self,
        socket: TcpListener,
        bell: Bell,
        started: &Sender<io::Result<()>>,
    ) -> io::Result<()> {
        let mut reader = self.serving.reader();
        let first = reader.share();
        let bounds = first.plan.limits.bounds();
        buffer::set_pooled_max(bounds.pooled_buffers_max);
        let refusals = Rc::new(Refusals::new(&self.meter));
        let gateway = self.gateway(&first, None, &refusals);
        let current = Rc::new(Current::new(gateway));
        let settings = Rc::new(RefCell::new(Rc::new(settings(&first.plan, &bounds))));
        let queue_max_ms = first.plan.limits.queue_max_ms;
        drop(first);
        let connections = Rc::new(Connections::default());
        task::spawn(deadline::sweep_forever());
        let turned_away = Rc::new(Cell::new(0u64));
        let (sweeping, looking) = (current.clone(), connections.clone());
        let (counted, log) = (turned_away.clone(), self.log.clone());
        let usage = Rc::new(RefCell::new(Usage::new(&self.meter, current.gateway().plan())));
        let used = usage.clone();
        // One core counts for all.
        let losses = (self.index == 0).then(|| Losses::new(&self.meter, &self.log));
        let door = Rc::new(self.tls.as_ref().map(Door::new));
        let watched = door.clone();
        task::spawn(async move {
            loop {
                task::sleep_ms(SWEEP_MS).await;
                let gateway = sweeping.gateway();
                gateway.sweep();
                splice::sweep();
                looking.look_for_hang_ups();
                used.borrow().look(&gateway, &looking);
                if let Some(losses) = &losses {
                    losses.look(&log);
                }
                if let count @ 1.. = counted.take() {
                    log.warning(format_args!("{count} connections refused: too many are open"));
                }
                if let Some(door) = &*watched {
                    door.report(&log);
                }
            }
        });
        if let Some(queue_max_ms) = queue_max_ms {
            task::spawn(watch_queue(current.clone(), u64::from(queue_max_ms)));
        }
        let this = Rc::new(self);
        let listener = Listener::new(socket)?;
        drop(started.send(Ok(())));
        let stop = Rc::new(Stop::default());
        let (stopping, ordered) = (stop.clone(), connections.clone());
        let leaving = Rc::new(Leaving::default());
        let told = leaving.clone();
        let renewing = Renewing {
            core: this.clone(),
            reader: RefCell::new(reader),
            current: current.clone(),
            settings: settings.clone(),
            usage,
            refusals: refusals.clone(),
        };
        task::spawn(bell.listen(move |order| match order {
            Order::Renew => renewing.renew(),
            Order::Leave => ordered.leave_soon(),
            Order::HandOver => {
                told.hands_over.set(true);
                ordered.leave_soon();
                stopping.stop();
            }
            Order::Drain => {
                told.drains.set(true);
                stopping.stop();
            }
            Order::Cut => ordered.cut(),
        }));
        let start = |accepted: Accepted| {
            let address = accepted.address;
            let ticket = match this.admission.as_ref().map(|all| all.enter(address.ip())) {
                Some(Err(refusal)) => {
                    turned_away.set(turned_away.get() + 1);
                    refusals.count(match refusal {
                        Refusal::Full => Bound::Connections,
                        Refusal::AddressFull => Bound::ConnectionsPerAddress,
                    });
                    return accepted.refuse(TURNED_AWAY);
                }
                Some(Ok(ticket)) => Some(ticket),
                None => None,
            };
            let Ok(tcp) = accepted.into_stream() else { return };
            let mut stream = Stream::new(tcp);
            if let Some(door) = &*door {
                let Some(secured) = door.secured(stream) else { return };
                stream = secured;
            }
            let (slot, connection) = connections.enter(stream);
            let settings = settings.borrow().clone();
            let (connections, current) = (connections.clone(), current.clone());
            let door = door.clone();
            task::spawn(async move {
                let peer = Peer::new(address, door.is_some());
                let is_open = match &*door {
                    Some(door) => Box::pin(door.open(&connection, &settings)).await,
                    None => true,
                };
                if is_open {
                    serve(&connection, &connections, &peer, &*current, &settings).await;
                }
                connections.leave(slot);
                drop(ticket);
            });
        };
        loop {
            match listener.accept(&stop).await {
                Ok(None) => break,
                Ok(Some(Arrival::Taken(accepted))) => start(accepted),
                Ok(Some(Arrival::TurnedAway)) => {
                    turned_away.set(turned_away.get() + 1);
                    refusals.count(Bound::Descriptors);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    this.log.error(format_args!("core {} cannot accept: {error}", this.index));
                    task::sleep_ms(ACCEPT_PAUSE_MS).await;
                }
            }
        }
        // What the kernel has already accepted for us is served like everything else, unless another process has the socket.
        while !this.is_socket_lent
            && !leaving.hands_over.get()
            && let Ok(accepted) = listener.accept_waiting()
        {
            start(accepted);
        }
        drop(listener);
        while !leaving.drains.get() && connections.count() > 0 && !connections.is_cut() {
            task::sleep_ms(DRAIN_LOOK_MS).await;
        }
        connections.drain();
        loop {
            // At least one turn: the runtime closes the listening socket in it.
            task::sleep_ms(DRAIN_LOOK_MS).await;
            if connections.count() == 0 || connections.is_cut() {
                break;
            }
        }
        Ok(())
    }

    /// This core's part of a plan. Connections to upstreams go over from the gateway before, where nothing about them has
    /// changed.
    fn gateway(
        &self,
        serving: &Serving,
        before: Option<&Gateway>,
        refusals: &Rc<Refusals>,
    ) -> Rc<Gateway> {
        let plan = &serving.plan;
        let bounds = plan.limits.bounds();
        let upstreams = match before {
            Some(gateway) if goes_on(gateway.plan(), plan) => gateway.upstreams().clone(),
            _ => Rc::new(self.upstreams(plan, &bounds)),
        };
        let seed = clock::monotonic_ns() ^ (self.index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let (feeds, log) = (&serving.feeds, self.log.clone());
        let gateway =
            Gateway::new(plan.clone(), upstreams, feeds, log, seed, refusals.clone(), &self.meter);
        gateway.set_requests_max(plan.limits.requests_of_one(self.cores));
        gateway
    }

    fn upstreams(&self, plan: &Plan, bounds: &Bounds) -> Upstreams {
        let client = &plan.client;
        let limits = Limits {
            idle_max: client.idle_max_per_host,
            idle_max_of_all: client.idle_max_of_one(self.cores),
            idle_ms: client.idle_ms,
            connect_ms: client.connect_ms,
            fallback_ms: client.fallback_ms,
            probe_after_ms: client.probe_after_ms,
            head_ms: client.answer_head_ms,
            dials_max: bounds.dials_per_host_max,
            waiting_max: bounds.waiting_per_host_max,
            head: HeadLimits {
                bytes_max: bounds.upstream_head_bytes_max,
                headers_max: bounds.headers_max,
                uri_bytes_max: usize::MAX,
            },
            keep_alive: client.keep_alive,
        };
        let secure = Secure::new(&self.client_tls, self.client_tls_wanted.clone());
        Upstreams::new(limits, lookup(&self.names), secure)
    }
}

/// How far a core has come on its way to the end.
#[derive(Default)]
struct Leaving {
    /// Another process accepts on the socket.
    hands_over: Cell<bool>,
    /// No connection is waited for that asks for nothing.
    drains: Cell<bool>,
}

/// Whether connections to upstreams are the same under both plans.
fn goes_on(before: &Plan, plan: &Plan) -> bool {
    before.client == plan.client && before.limits.bounds() == plan.limits.bounds()
}

/// What a core needs to go over to another plan.
struct Renewing {
    core: Rc<Core>,
    reader: RefCell<Reader<Serving>>,
    current: Rc<Current>,
    /// Of connections that will be opened.
    settings: Rc<RefCell<Rc<Settings>>>,
    usage: Rc<RefCell<Usage>>,
    refusals: Rc<Refusals>,
}

impl Renewing {
    /// Requests in flight end on the old plan; their connections' next ones come to the new one.
    fn renew(&self) {
        let serving = self.reader.borrow_mut().share();
        let before = self.current.gateway();
        let gateway = self.core.gateway(&serving, Some(&before), &self.refusals);
        self.usage.replace(Usage::new(&self.core.meter, &serving.plan));
        self.settings.replace(Rc::new(settings(&serving.plan, &serving.plan.limits.bounds())));
        self.current.replace(gateway);
    }
}
/// How much of what is bounded one core uses. Looked at once a second, so that nothing is counted on the way of a request.
struct Usage {
    connections: Gauge,
    in_flight: Gauge,
    shadows: Gauge,
    waiting: Gauge,
    buffers: Gauge,
    /// Idle and busy ones of each of the plan's hosts.
    upstreams: Vec<(Gauge, Gauge)>,
}

impl Usage {
    fn new(meter: &Meter, plan: &Plan) -> Usage {
        let gauge = |metric: metric::Metric| meter.gauge(metric.name, &[]);
        Usage {
            connections: gauge(metric::CONNECTIONS),
            in_flight: gauge(metric::REQUESTS_IN_FLIGHT),
            shadows: gauge(metric::SHADOWS_IN_FLIGHT),
            waiting: gauge(metric::CALLS_WAITING),
            buffers: gauge(metric::POOLED_BUFFERS),
            upstreams: plan.hosts.iter().map(|host| upstream_gauges(meter, &host.origin)).collect(),
        }
    }

    fn look(&self, gateway: &Gateway, connections: &Connections) {
        let set = |gauge: &Gauge, count: usize| gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        set(&self.connections, connections.count());
        set(&self.in_flight, gateway.in_flight());
        set(&self.shadows, gateway.shadows());
        set(&self.waiting, gateway.calls_waiting());
        set(&self.buffers, buffer::pooled());
        for ((idle, busy), (are_idle, are_open)) in
            self.upstreams.iter().zip(gateway.upstream_connections())
        {
            set(idle, are_idle);
            set(busy, are_open.saturating_sub(are_idle));
        }
    }
}

fn upstream_gauges(meter: &Meter, upstream: &str) -> (Gauge, Gauge) {
    let gauge = |state| {
        meter.gauge(metric::UPSTREAM_CONNECTIONS.name, &[("upstream", upstream), ("state", state)])
    };
    (gauge("idle"), gauge("busy"))
}

/// The lines that the log has lost, by output, and how many of them are counted. Looked at once a second.
struct Losses(Vec<(Counter, Cell<u64>)>);

impl Losses {
    fn new(meter: &Meter, log: &Log) -> Losses {
        let counter = |output| meter.counter(metric::LOST_LOG_LINES.name, &[("output", output)]);
        Losses(log.lost_lines().map(|(output, _)| (counter(output), Cell::new(0))).collect())
    }

    fn look(&self, log: &Log) {
        for ((counter, counted), (_, lost)) in self.0.iter().zip(log.lost_lines()) {
            counter.add(lost - counted.replace(lost));
        }
    }
}

/// Looks how late the core comes to a task that is due, which is how long a new request waits for its first step, and
/// has requests refused while that is too long.
async fn watch_queue(current: Rc<Current>, queue_max_ms: u64) {
    loop {
        let due = clock::monotonic_ns() + QUEUE_LOOK_MS * 1_000_000;
        task::sleep_ms(QUEUE_LOOK_MS).await;
        let late_ms = clock::monotonic_ns().saturating_sub(due) / 1_000_000;
        current.gateway().set_behind(late_ms > queue_max_ms);
    }
}

/// One core's way to the resolver.
fn lookup(names: &Names) -> Lookup {
    let door: Rc<RefCell<HostLookup>> = Rc::new(RefCell::new(names.lookup()));
    Rc::new(move |name: &str| {
        let looked = door.borrow_mut().look(name);
        let name: Box<str> = name.into();
        Box::pin(async move {
            match looked.addresses().await {
                Ok(addresses) => Ok(addresses.sockets(0).map(|socket| socket.ip()).collect()),
                Err(LookupError::Overloaded) => Err(UpstreamError::Overloaded(Overload::Questions)),
                Err(_) => Err(UpstreamError::Resolve(name)),
            }
        })
    })
}

fn settings(plan: &PlanHandle, bounds: &Bounds) -> Settings {
    let listen = &plan.listen;
    Settings {
        limits: HeadLimits {
            bytes_max: listen.head_bytes_max,
            headers_max: bounds.headers_max,
            uri_bytes_max: bounds.uri_bytes_max.min(listen.head_bytes_max),
        },
        body_bytes_max: bounds.request_body_bytes_max,
        head_ms: listen.head_ms,
        request_ms: listen.request_ms,
        idle_ms: listen.idle_ms,
        answer_ms: listen.answer_ms,
        write_stall_ms: listen.write_stall_ms,
    }
}

/// Errors that belong to a connection that was already gone when it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionReset
    )
}
