//! Handing over to the program that is installed now: it is started with our sockets, and once it serves, this process may go.

use std::env;
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::process;
use std::time::{Duration, Instant};

use crate::net::handover::Successor as Started;
use crate::shared::log::Log;

/// A program that does not serve after so long never will; service discovery alone may take some seconds.
const START: Duration = Duration::from_mins(1);
/// How often it is asked whether it serves.
const LOOK: Duration = Duration::from_millis(20);

/// What a successor needs, and the one that is starting.
pub(super) struct Successor {
    /// How this process was called: a name that was found in `PATH` is looked for there again.
    command: Vec<OsString>,
    sockets: Vec<TcpListener>,
    are_lent: bool,
    /// The demo brings an upstream of its own, which cannot be handed over.
    is_demo: bool,
    starting: Option<(Started, Instant)>,
}

impl Successor {
    /// The sockets are those that the cores accept on.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(super) fn new(
        sockets: &[TcpListener],
        are_lent: bool,
        is_demo: bool,
    ) -> io::Result<Successor> {
        let sockets = sockets.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?;
        let command = env::args_os().collect();
        Ok(Successor { command, sockets, are_lent, is_demo, starting: None })
    }

    /// Closes this thread's handles of the sockets: what remains of them is the cores'.
    pub(super) fn forget_sockets(&mut self) {
        self.sockets.clear();
    }

    /// When to look again.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.starting.as_ref().map(|_| LOOK)
    }

    /// Starts it, unless one is starting.
    pub(super) fn start(&mut self, log: &Log) {
        if self.starting.is_some() {
            log.warning(format_args!("[SERVICE: Takeover] a successor is already starting"));
            return;
        }
        match self.try_start() {
            Ok(started) => {
                let pid = started.child.id();
                log.info(format_args!(
                    "[SERVICE: Takeover] process {pid} was started to take over"
                ));
                self.starting = Some((started, Instant::now()));
            }
            Err(why) => refuse(log, &why),
        }
    }

    fn try_start(&self) -> Result<Started, String> {
        if self.is_demo {
            return Err("the demo cannot be handed over".into());
        }
        if process::id() == 1 {
            // Its end would be that of the container, with the successor in it.
            return Err(
                "the first process of a container cannot be replaced in it: start a new container"
                    .into(),
            );
        }
        let Some((program, arguments)) = self.command.split_first() else {
            return Err("the name of the program is unknown".into());
        };
        Started::start(program, arguments, &self.sockets, self.are_lent)
            .map_err(|error| format!("{} cannot be started: {error}", program.display()))
    }

    /// The process that serves in our place from now on, if one has said so since the last look.
    pub(super) fn look(&mut self, log: &Log) -> Option<u32> {
        let (started, since) = self.starting.as_mut()?;
        let pid = started.child.id();
        if started.serves() {
            log.info(format_args!("[SERVICE: Takeover] process {pid} serves in our place"));
            return Some(pid);
        }
        let why = match started.child.try_wait() {
            Ok(None) if since.elapsed() < START => return None,
            Ok(Some(status)) => {
                format!("process {pid} has ended ({status}); its own lines say why")
            }
            Ok(None) | Err(_) => {
                // Whether it can still be ended makes no difference here.
                let _ = started.child.kill().and_then(|()| started.child.wait());
                format!("process {pid} did not serve within {START:?} and was ended")
            }
        };
        self.starting = None;
        refuse(log, &why);
        None
    }
}

fn refuse(log: &Log, why: &str) {
    log.error(format_args!("[SERVICE: Takeover] this process goes on: {why}"));
}
