//! Putting it together: the log, the control thread, the cores, and the orderly end of them all.

mod certificates;
pub mod core;
pub mod demo;
mod logging;
mod manager;
mod narrator;
mod pinned;
pub mod reload;
mod running;
mod secure;
mod sockets;
mod status;
mod successor;

use std::fmt;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

pub use self::manager::{tell_to_hand_over, tell_to_reload};

use self::certificates::Certificates;
use self::manager::Manager;
use self::reload::{Reloader, Reread};
use self::running::{End, Running};
use self::sockets::Sockets;
use self::successor::Successor;
use crate::config::problem::{Problem, Severity};
use crate::config::{self, Service};
use crate::control::dns::{Dns, DnsSettings};
use crate::control::files::{FileWatch, Seen};
use crate::control::health_check::UpstreamTls;
use crate::control::resolver::{Limits as ResolverLimits, resolver};
use crate::control::signals::{self, Signals};
use crate::control::{Control, RunningTask, Task, srv};
use crate::features;
use crate::net::bell::{self, Bell};
use crate::net::driver::{self, Choice};
use crate::net::handover::Inheritance;
use crate::net::{memory, process};
use crate::plan;
use crate::plan::compile::Compiled;
use crate::plan::{Plan, PlanHandle};
use crate::shared::admission::Admission;
use crate::shared::log::{Log, LogWriter};
use crate::shared::meter::Meter;
use crate::shared::names::{Names, ServiceHost};
use crate::shared::published::Published;
use crate::upstream::connect::ClientTls;

/// Room for the deepest document that may be written or walked; only what is used costs memory.
const CORE_STACK_BYTES: usize = 16 * 1024 * 1024;
/// How long the first answers of service discovery are waited for.
const FIRST_LOOKUP: Duration = Duration::from_secs(5);
/// Descriptors of the process itself, with its pages and outputs.
const DESCRIPTORS_MIN: u64 = 32;
/// Descriptors of a core, with a few connections.
const DESCRIPTORS_OF_CORE_MIN: u64 = 16;
/// How long the log may take to write its last lines.
const LAST_LINES: Duration = Duration::from_secs(2);
/// How long the control thread's tasks may take to end.
const LAST_TASKS: Duration = Duration::from_secs(1);
/// How long clients wait for the ports of metrics and of administration to be open as well. A process that is taken over
/// from keeps them until there is another one.
const PORTS_OPEN: Duration = Duration::from_millis(500);
/// How long a task may take to let go of its port.
const LET_GO: Duration = Duration::from_secs(1);

/// What the command line says beside the configuration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How often `-d` was given.
    pub debug: u8,
    /// Leave out what cannot be understood or is not built, as the original does.
    pub lenient: bool,
    /// Files whose change has the configuration read again; empty: none is watched.
    pub watched: Seen,
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
    /// The process may open so few files, and needs so many.
    Descriptors(u64, u64),
    /// A core has its thread, and no ring or descriptor to serve with.
    Core(io::Error),
    Variable(&'static str, String),
    /// What the process before this one handed over cannot be used.
    Takeover(String),
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
            StartError::Descriptors(has, needs) => write!(
                f,
                "this process may open {has} files and needs {needs} before the first request: raise the limit \
                 (ulimit -n, LimitNOFILE)"
            ),
            StartError::Core(error) => write!(f, "a core cannot serve: {error}"),
            StartError::Thread(error) => write!(f, "cannot start a core: {error}"),
            StartError::Takeover(why) => {
                write!(f, "cannot take over from the process before this one: {why}")
            }
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
    dns: Arc<Dns>,
    names: Names,
    /// Those of the process. Dropping one ends its task.
    tasks: Vec<KeptTask>,
    /// Those of the plan.
    plan_tasks: Vec<KeptTask>,
}

/// Work that the control thread does, as long as this is kept.
struct KeptTask {
    running: RunningTask,
    /// It must have ended before its successor begins.
    is_exclusive: bool,
}

impl KeptTask {
    fn begin(control: &Control, task: Box<dyn Task>) -> KeptTask {
        let is_exclusive = task.is_exclusive();
        KeptTask { running: control.spawn(task), is_exclusive }
    }

    /// Ends those that hold what only one can hold, and waits until they have let go of it.
    fn end_exclusive(tasks: &mut Vec<KeptTask>) {
        for task in tasks.extract_if(.., |task| task.is_exclusive) {
            task.running.end(LET_GO);
        }
    }
}

impl Beside {
    /// Begins what a plan wants done. Tells of files that could not be used, and has them looked at from now on.
    fn begin(&mut self, plan: &Plan, certificates: &Certificates) {
        plan.common.set_log(self.log.clone());
        let client = certificates.client.clone();
        plan.common.get::<UpstreamTls>().set(move || match &*client.latest() {
            ClientTls::Ready(config) => Some(config.clone()),
            ClientTls::Unread | ClientTls::Impossible => None,
        });
        for note in certificates.notes() {
            self.log.warning(format_args!("{note}"));
        }
        let watches =
            certificates.watches().into_iter().map(|watch| Box::new(watch) as Box<dyn Task>);
        for task in plan.common.take_tasks().into_iter().chain(watches) {
            self.spawn(task);
        }
    }

    fn spawn(&mut self, task: Box<dyn Task>) {
        let task = KeptTask::begin(&self.control, task);
        self.plan_tasks.push(task);
    }

    /// The same for work that outlives the plan.
    fn spawn_for_process(&mut self, task: Box<dyn Task>) {
        let task = KeptTask::begin(&self.control, task);
        self.tasks.push(task);
    }

    /// Ends what only one process can do at a time.
    fn let_go(&mut self) {
        KeptTask::end_exclusive(&mut self.tasks);
        KeptTask::end_exclusive(&mut self.plan_tasks);
    }

    /// The plan's host lists, with what the first look-ups found.
    fn feeds(&mut self, plan: &Plan) -> Vec<Published<Vec<ServiceHost>>> {
        let ttl = srv::ttl(Duration::from_millis(plan.client.srv_refresh_ms));
        let mut services = Vec::new();
        for feed in &plan.feeds {
            let (service, scheme) = (feed.service.clone(), feed.scheme.clone());
            let settings = srv::SrvSettings { service, scheme, ttl };
            let (service, lookup) = srv::service(self.dns.clone(), settings);
            self.spawn(Box::new(lookup));
            services.push(service);
        }
        let until = Instant::now() + FIRST_LOOKUP;
        for service in &services {
            service.wait_first(until.saturating_duration_since(Instant::now()));
        }
        services.into_iter().map(|service| service.hosts).collect()
    }
}

/// Compiles a configuration and serves it until a signal ends the process. `SIGHUP` has it read again.
///
/// # Errors
/// See [`StartError`]; nothing is left running then.
pub fn start(service: &Service, options: Options, reread: Reread) -> Result<(), StartError> {
    let compiled =
        plan::compile(service, features::ALL, options.lenient).map_err(StartError::Plan)?;
    serve(compiled, options, Some(reread))
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
    serve(compiled, Options::default(), None)
}

fn serve(compiled: Compiled, options: Options, reread: Option<Reread>) -> Result<(), StartError> {
    let Compiled { plan, warnings } = compiled;
    let inheritance =
        Inheritance::take().map_err(|error| StartError::Takeover(error.to_string()))?;
    let machine = Machine::from_env()?;
    let takes_over = inheritance.is_some();
    let signals = Signals::catch().map_err(StartError::Control)?;
    let (_, driver_line) = driver::settle(machine.driver).map_err(StartError::Driver)?;
    let processors = driver::processors();
    let workers = machine.workers.unwrap_or(processors.len()).max(1);
    // Each socket that was handed over gets connections, so each needs a core.
    let workers = inheritance.as_ref().map_or(workers, |inherited| inherited.sockets.len());
    enough_descriptors(workers)?;
    let certificates = Certificates::load(&plan).map_err(StartError::Tls)?;
    let sockets = Sockets::open(&plan, workers, inheritance)?;
    let successor = Successor::new(&sockets.all, sockets.are_lent, reread.is_none())
        .map_err(StartError::Core)?;
    let port = sockets.port().unwrap_or(plan.listen.port);
    let meter = Meter::default();
    let mut beside = beside(&plan, &meter)?;
    beside.begin(&plan, &certificates);
    let wanted = certificates.wanted(&beside.log);
    for problem in &warnings {
        report(&beside.log, problem);
    }
    narrator::tell_start(&plan, &beside.log);
    beside.log.info(format_args!("{driver_line}, {workers} workers"));
    let admission =
        Admission::new(plan.limits.connections_max, plan.limits.connections_per_address_max);
    let plan: PlanHandle = Arc::new(plan);
    let serving = Published::new(core::Serving { plan: plan.clone(), feeds: beside.feeds(&plan) });
    let problems = Published::new(warnings.iter().map(Problem::to_string).collect());
    if let Some(address) = plan.admin {
        let node = status::Node {
            serving: serving.clone(),
            meter: meter.clone(),
            driver: driver_line.trim_start_matches("driver: ").to_owned(),
            workers,
            problems: problems.clone(),
            started: Instant::now(),
        };
        beside.spawn_for_process(status::server(address, node));
    }
    if !takes_over {
        beside.control.wait_opened(PORTS_OPEN);
    }
    let mut ropes = Vec::new();
    let mut cores = Vec::new();
    let (started, has_started) = mpsc::channel();
    for (index, socket) in sockets.all.into_iter().enumerate() {
        let (rope, bell) = bell::bell().map_err(StartError::Thread)?;
        let core = core::Core {
            index,
            // With fewer workers than processors the kernel places them; pinning would pile them up.
            processor: (workers == processors.len()).then(|| processors[index]),
            serving: serving.clone(),
            is_socket_lent: sockets.are_lent,
            names: beside.names.clone(),
            log: beside.log.clone(),
            cores: workers,
            admission: admission.clone(),
            meter: meter.clone(),
            tls: certificates.server.clone(),
            client_tls: certificates.client.clone(),
            client_tls_wanted: wanted.clone(),
        };
        cores.push(spawn(core, socket, bell, started.clone())?);
        ropes.push(rope);
    }
    drop(started);
    // Until the last core has said so, or ended.
    has_started.into_iter().take(workers).collect::<io::Result<()>>().map_err(StartError::Core)?;
    beside.log.info(format_args!("[SERVICE: Gin] Listening on port: {port}"));
    if !options.watched.is_empty() {
        let reload = |_: &Log| signals::hang_up();
        let watch = FileWatch::new("configuration", options.watched, Box::new(reload));
        beside.spawn_for_process(Box::new(watch));
    }
    memory::forget_start();
    plan.readiness.set(true);
    drop(plan);
    let reloader =
        Reloader::new(reread, options.lenient, serving.clone(), problems, certificates, &meter);
    let manager = Manager::new(&beside.log);
    let mut running = Running { signals, ropes, cores, manager, successor };
    if let Some(predecessor) = sockets.predecessor
        && predecessor.say_ready().is_err()
    {
        beside.log.warning(format_args!(
            "[SERVICE: Takeover] the process before this one has gone already"
        ));
    }
    running.manager.ready();
    let end = running.serve_until_told(&mut beside, reloader);
    let plan = serving.latest().plan.clone();
    plan.readiness.set(false);
    let is_orderly = match end {
        End::Succeeded => {
            running.bid_farewell(&plan);
            true
        }
        End::Asked => {
            running.manager.stopping();
            running.linger(&plan, &beside.log)
        }
        End::Lost => false,
    };
    running.await_all(&plan, &beside.log, is_orderly);
    beside.log.info(format_args!("[SERVICE: Gin] Router execution ended"));
    beside.control.stop(LAST_TASKS);
    drop(beside.log);
    beside.writer.stop(LAST_LINES);
    Ok(())
}

/// A node with too few would start, and then close every connection.
fn enough_descriptors(workers: usize) -> Result<(), StartError> {
    let needs = DESCRIPTORS_MIN + DESCRIPTORS_OF_CORE_MIN * workers as u64;
    match process::raise_descriptors_max() {
        Ok(has) if has < needs => Err(StartError::Descriptors(has, needs)),
        // Where the kernel does not say, what fails later says so.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A problem that did not stop the start: an error where something is left out, a warning otherwise.
fn report(log: &Log, problem: &Problem) {
    match problem.severity {
        Severity::Warn => log.warning(format_args!("{problem}")),
        _ => log.error(format_args!("{problem}")),
    }
}

fn beside(plan: &Plan, meter: &Meter) -> Result<Beside, StartError> {
    let (settings, first_lines) = logging::open(&plan.logging, plan.router.access_log);
    let (log, writer) = Log::start(settings).map_err(StartError::Thread)?;
    first_lines.write(&log);
    let control = Control::start(log.clone(), meter.clone()).map_err(StartError::Control)?;
    let dns = DnsSettings::from_env().and_then(Dns::new).map_err(StartError::Control)?;
    let dns = Arc::new(dns);
    let (names, resolver) = resolver(
        dns.clone(),
        ResolverLimits {
            waiting_max: plan.limits.bounds().questions_max,
            ..ResolverLimits::default()
        },
    );
    let tasks = vec![KeptTask::begin(&control, Box::new(resolver))];
    Ok(Beside { log, writer, control, dns, names, tasks, plan_tasks: Vec::new() })
}

fn spawn(
    core: core::Core,
    socket: std::net::TcpListener,
    bell: Bell,
    started: mpsc::Sender<io::Result<()>>,
) -> Result<thread::JoinHandle<()>, StartError> {
    let name = format!("core-{}", core.index);
    let builder = thread::Builder::new().name(name).stack_size(CORE_STACK_BYTES);
    builder.spawn(move || core.run(socket, bell, &started)).map_err(StartError::Thread)
}
