//! Putting it together: the log, the control thread, the cores, and the orderly end of them all.

mod certificates;
pub mod core;
pub mod demo;
mod pinned;
mod secure;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use self::certificates::Certificates;
use crate::config::problem::{Problem, Severity};
use crate::config::{self, Service};
use crate::control::dns::{Dns, DnsSettings};
use crate::control::resolver::{Limits as ResolverLimits, resolver};
use crate::control::signals::{Signal, Signals};
use crate::control::{Control, RunningTask, srv};
use crate::features;
use crate::net::bell::{self, Bell, Order, Rope};
use crate::net::driver::{self, Choice};
use crate::net::listener;
use crate::plan;
use crate::plan::{Plan, PlanHandle};
use crate::shared::admission::Admission;
use crate::shared::log::{Log, LogSettings, LogWriter};
use crate::shared::meter::Meter;
use crate::shared::names::{Names, ServiceHost};
use crate::shared::published::Published;

/// Room for the deepest document that may be written or walked; only what is used costs memory.
const CORE_STACK_BYTES: usize = 16 * 1024 * 1024;
/// A predecessor that was killed may hold the port for some milliseconds more.
const PORT_WAIT: Duration = Duration::from_millis(500);
const PORT_LOOK: Duration = Duration::from_millis(2);
/// How long the first answers of service discovery are waited for.
const FIRST_LOOKUP: Duration = Duration::from_secs(5);
/// How long the log may take to write its last lines.
const LAST_LINES: Duration = Duration::from_secs(2);
/// How long the control thread's tasks may take to end.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// What the command line says beside the configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How often `-d` was given.
    pub debug: u8,
    /// Leave out what cannot be understood or is not built, as the original does.
    pub lenient: bool,
}

/// What the environment says about the machine.
#[derive(Clone, Debug, Default)]
struct Machine {
    /// Cores to use; `None` is all that the process may run on.
    workers: Option<usize>,
    driver: Choice,
}

/// Why the gateway did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration makes no plan.
    Plan(Vec<Problem>),
    Listen(String, io::Error),
    Driver(io::Error),
    /// The certificates of `tls` cannot be used.
    Tls(String),
    Control(io::Error),
    Thread(io::Error),
    Variable(&'static str, String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Plan(problems) => {
                let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
                f.write_str(&texts.join("\n"))
            }
            StartError::Listen(address, error) => {
                let hint = match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        ": another process listens there; choose another port with -p"
                    }
                    io::ErrorKind::PermissionDenied => {
                        ": ports below 1024 need the capability CAP_NET_BIND_SERVICE"
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        ": no interface of this host has that address"
                    }
                    _ => "",
                };
                write!(f, "cannot listen on {address}: {error}{hint}")
            }
            StartError::Driver(error) => {
                write!(f, "io_uring was asked for and is not available: {error}")
            }
            StartError::Tls(why) => write!(f, "cannot serve TLS: {why}"),
            StartError::Control(error) => write!(f, "cannot start the control thread: {error}"),
            StartError::Thread(error) => write!(f, "cannot start a core: {error}"),
            StartError::Variable(name, value) => write!(f, "{name} cannot be {value:?}"),
        }
    }
}

impl Machine {
    /// What `SHOAL_WORKERS` and `SHOAL_DRIVER` say.
    ///
    /// # Errors
    /// A value that means nothing.
    fn from_env() -> Result<Machine, StartError> {
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let workers = match variable("SHOAL_WORKERS") {
            None => None,
            Some(text) => match text.parse() {
                Ok(count) if (1..=1024).contains(&count) => Some(count),
                _ => return Err(StartError::Variable("SHOAL_WORKERS", text)),
            },
        };
        let driver = match variable("SHOAL_DRIVER").as_deref() {
            None | Some("auto") => Choice::Auto,
            Some("io_uring") => Choice::Uring,
            Some("epoll") => Choice::Epoll,
            Some(text) => return Err(StartError::Variable("SHOAL_DRIVER", text.to_owned())),
        };
        Ok(Machine { workers, driver })
    }
}

/// Everything that runs beside the cores.
struct Beside {
    log: Log,
    writer: LogWriter,
    control: Control,
    names: Names,
    feeds: Vec<Published<Vec<ServiceHost>>>,
    /// Dropping one ends its task.
    tasks: Vec<RunningTask>,
}

impl Beside {
    /// Tells of files that could not be used, and has them looked at from now on.
    fn keep_fresh(&mut self, certificates: &Certificates) {
        for note in certificates.notes() {
            self.log.warning(format_args!("{note}"));
        }
        for watch in certificates.watches() {
            self.tasks.push(self.control.spawn(Box::new(watch)));
        }
    }
}

/// Compiles a configuration and serves it until a signal ends the process.
///
/// # Errors
/// See [`StartError`]; nothing is left running then.
pub fn start(service: &Service, options: Options) -> Result<(), StartError> {
    let compiled =
        plan::compile(service, features::ALL, options.lenient).map_err(StartError::Plan)?;
    serve(compiled.plan, &compiled.warnings)
}

/// The same with the demo's configuration and its upstream.
///
/// # Errors
/// See [`StartError`].
pub fn demo(port: Option<u16>) -> Result<(), StartError> {
    let mut service = config::parse("config/demo.json", demo::CONFIG.as_bytes(), &[])
        .map_err(StartError::Plan)?
        .service;
    service.port = port.unwrap_or(service.port);
    let compiled = plan::compile(&service, features::ALL, false).map_err(StartError::Plan)?;
    let upstream = format!("127.0.0.1:{}", demo::UPSTREAM_PORT);
    demo::serve_upstream(demo::UPSTREAM_PORT)
        .map_err(|error| StartError::Listen(upstream, error))?;
    eprintln!("{}", demo::guide(service.port));
    serve(compiled.plan, &compiled.warnings)
}

fn serve(plan: Plan, warnings: &[Problem]) -> Result<(), StartError> {
    let machine = Machine::from_env()?;
    let mut signals = Signals::catch().map_err(StartError::Control)?;
    let (_, driver_line) = driver::settle(machine.driver).map_err(StartError::Driver)?;
    let processors = driver::processors();
    let workers = machine.workers.unwrap_or(processors.len()).max(1);
    let certificates = Certificates::load(&plan).map_err(StartError::Tls)?;
    let sockets = bind(&plan, workers)?;
    let mut beside = beside(&plan)?;
    beside.keep_fresh(&certificates);
    let wanted = certificates.wanted(&beside.log);
    for problem in warnings {
        report(&beside.log, problem);
    }
    beside.log.info(format_args!("{driver_line}, {workers} workers"));
    let admission =
        Admission::new(plan.limits.connections_max, plan.limits.connections_per_address_max);
    let plan: PlanHandle = Arc::new(plan);
    let meter = Meter::default();
    let mut ropes = Vec::new();
    let mut cores = Vec::new();
    for (index, socket) in sockets.into_iter().enumerate() {
        let (rope, bell) = bell::bell().map_err(StartError::Thread)?;
        let core = core::Core {
            index,
            // With fewer workers than processors the kernel places them; pinning would pile them up.
            processor: (workers == processors.len()).then(|| processors[index]),
            plan: plan.clone(),
            socket,
            names: beside.names.clone(),
            feeds: beside.feeds.clone(),
            log: beside.log.clone(),
            cores: workers,
            admission: admission.clone(),
            meter: meter.clone(),
            tls: certificates.server.clone(),
            client_tls: certificates.client.clone(),
            client_tls_wanted: wanted.clone(),
        };
        cores.push(spawn(core, bell)?);
        ropes.push(rope);
    }
    beside.log.info(format_args!("[SERVICE: Gin] Listening on port: {}", plan.listen.port));
    await_end(&mut signals, &mut ropes, cores, &plan, &beside.log);
    beside.log.info(format_args!("[SERVICE: Gin] Router execution ended"));
    beside.control.stop(LAST_TASKS);
    drop(beside.log);
    beside.writer.stop(LAST_LINES);
    Ok(())
}

/// A problem that did not stop the start: an error where something is left out, a warning otherwise.
fn report(log: &Log, problem: &Problem) {
    match problem.severity {
        Severity::Warn => log.warning(format_args!("{problem}")),
        _ => log.error(format_args!("{problem}")),
    }
}

/// One socket for each core, all before the first core runs: a port that is taken must stop the start.
fn bind(plan: &Plan, workers: usize) -> Result<Vec<std::net::TcpListener>, StartError> {
    let (address, port) = (plan.listen.address, plan.listen.port);
    let named = || match address {
        Some(address) => std::net::SocketAddr::new(address, port).to_string(),
        None => format!("port {port}"),
    };
    let end = Instant::now() + PORT_WAIT;
    while listener::is_taken(address, port) {
        if Instant::now() < end {
            thread::sleep(PORT_LOOK);
            continue;
        }
        return Err(StartError::Listen(named(), io::Error::from_raw_os_error(libc::EADDRINUSE)));
    }
    let sockets: io::Result<Vec<_>> =
        (0..workers).map(|_| listener::bind(address, port, plan.limits.backlog())).collect();
    sockets.map_err(|error| StartError::Listen(named(), error))
}

fn beside(plan: &Plan) -> Result<Beside, StartError> {
    let settings = LogSettings::plain(plan.router.access_log);
    let (log, writer) = Log::start(settings).map_err(StartError::Thread)?;
    let control = Control::start(log.clone()).map_err(StartError::Control)?;
    let dns = DnsSettings::from_env().and_then(Dns::new).map_err(StartError::Control)?;
    let dns = Arc::new(dns);
    let (names, resolver) = resolver(
        dns.clone(),
        ResolverLimits {
            waiting_max: plan.limits.bounds().questions_max,
            ..ResolverLimits::default()
        },
    );
    let mut tasks = vec![control.spawn(Box::new(resolver))];
    plan.common.set_log(log.clone());
    tasks.extend(plan.common.take_tasks().into_iter().map(|task| control.spawn(task)));
    let ttl = srv::ttl(Duration::from_millis(plan.client.srv_refresh_ms));
    let mut services = Vec::new();
    for feed in &plan.feeds {
        let settings =
            srv::SrvSettings { service: feed.service.clone(), scheme: feed.scheme.clone(), ttl };
        let (service, lookup) = srv::service(dns.clone(), settings);
        tasks.push(control.spawn(Box::new(lookup)));
        services.push(service);
    }
    let until = Instant::now() + FIRST_LOOKUP;
    for service in &services {
        service.wait_first(until.saturating_duration_since(Instant::now()));
    }
    let feeds = services.into_iter().map(|service| service.hosts).collect();
    Ok(Beside { log, writer, control, names, feeds, tasks })
}

fn spawn(core: core::Core, bell: Bell) -> Result<thread::JoinHandle<()>, StartError> {
    let name = format!("core-{}", core.index);
    let builder = thread::Builder::new().name(name).stack_size(CORE_STACK_BYTES);
    builder.spawn(move || core.run(bell)).map_err(StartError::Thread)
}

/// Waits for the signal that ends the gateway, then for the requests in flight. A second signal ends at once.
fn await_end(
    signals: &mut Signals,
    ropes: &mut [Rope],
    cores: Vec<thread::JoinHandle<()>>,
    plan: &Plan,
    log: &Log,
) {
    loop {
        match signals.wait(None) {
            Ok(Some(Signal::Terminate | Signal::Interrupt)) | Err(_) => break,
            Ok(Some(Signal::Hangup)) => {
                log.warning(format_args!("SIGHUP: reloading is not built yet"));
            }
            Ok(None) => {}
        }
    }
    log.info(format_args!("stopping: no new connections, requests in flight are finished"));
    ring(ropes, Order::Drain);
    let bound = (plan.listen.drain_ms > 0)
        .then(|| Instant::now() + Duration::from_millis(plan.listen.drain_ms));
    while cores.iter().any(|core| !core.is_finished()) {
        let hurried = matches!(
            signals.wait(Some(Duration::from_millis(10))),
            Ok(Some(Signal::Terminate | Signal::Interrupt))
        );
        if hurried || bound.is_some_and(|bound| Instant::now() >= bound) {
            log.warning(format_args!("stopping at once: requests in flight are cut off"));
            ring(ropes, Order::Cut);
            break;
        }
    }
    for core in cores {
        // A core that panicked has said so on standard error.
        let _ = core.join();
    }
}

fn ring(ropes: &mut [Rope], order: Order) {
    for rope in ropes {
        rope.ring(order);
    }
}
