//! Which kernel interface drives the cores: `io_uring`, or epoll where it is forbidden; probed once at the start.

use std::future::Future;
use std::io;
use std::sync::OnceLock;

use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

/// Submission entries of a core's ring. Its memory is gone through from end to end, so a larger one is out of the processor's
/// cache by the time it comes round. What does not fit is submitted in between.
const RING_ENTRIES: u32 = 256;
/// Completions that a ring holds; the kernel keeps what is beyond them.
const RING_COMPLETIONS: u32 = 4096;

/// The kernel interface in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// With the flags that pay most: one submitter, completions handled when the core asks for them.
    UringCooperative,
    /// Kernels before 6.0 know neither flag.
    UringPlain,
    Epoll,
}

/// What the user asked for with `SHOAL_DRIVER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Choice {
    #[default]
    Auto,
    Uring,
    Epoll,
}

static IN_USE: OnceLock<Driver> = OnceLock::new();

/// Probes the kernel and settles the driver for the life of the process. Returns it with a line for the log.
///
/// # Errors
/// When `io_uring` was asked for by name and the kernel refuses it.
pub fn settle(choice: Choice) -> io::Result<(Driver, String)> {
    let (driver, line) = match choice {
        Choice::Epoll => (Driver::Epoll, "driver: epoll, as asked for by SHOAL_DRIVER".to_owned()),
        Choice::Auto | Choice::Uring => match probe() {
            Ok(driver) => (driver, "driver: io_uring".to_owned()),
            Err(error) if choice == Choice::Auto => (Driver::Epoll, fallback_line(&error)),
            Err(error) => return Err(error),
        },
    };
    Ok((*IN_USE.get_or_init(|| driver), line))
}

/// Whether cores run on epoll; they do where nothing was settled, as in unit tests.
pub fn is_epoll() -> bool {
    matches!(IN_USE.get(), Some(Driver::Epoll) | None)
}

fn probe() -> io::Result<Driver> {
    // As large as a core's: it is memory in one piece, which may be what is missing.
    match ring(Driver::UringCooperative).build(RING_ENTRIES) {
        Ok(_) => Ok(Driver::UringCooperative),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            ring(Driver::UringPlain).build(RING_ENTRIES).map(|_| Driver::UringPlain)
        }
        Err(error) => Err(error),
    }
}

fn fallback_line(error: &io::Error) -> String {
    let hint = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "allow it with sysctl kernel.io_uring_disabled=0, and in a container with a seccomp profile that permits \
             io_uring_setup, io_uring_enter and io_uring_register"
        }
        Some(libc::ENOSYS) => "it needs Linux 5.11 or newer with CONFIG_IO_URING",
        Some(libc::ENOMEM) => {
            "raise the locked-memory limit (ulimit -l), or free memory: a ring is one piece of it"
        }
        _ => "see the kernel's message",
    };
    format!("driver: epoll, because io_uring is not available here ({error}): {hint}")
}

fn ring(driver: Driver) -> io_uring::Builder {
    let mut ring = io_uring::IoUring::builder();
    ring.setup_cqsize(RING_COMPLETIONS);
    if driver == Driver::UringCooperative {
        ring.setup_single_issuer().setup_coop_taskrun();
    }
    ring
}

/// Runs a core's main future to its end on the settled driver.
///
/// # Errors
/// When the ring or the epoll descriptor cannot be made: memory, or the limit on open files.
pub fn run<F: Future>(main: F) -> io::Result<F::Output> {
    match IN_USE.get() {
        Some(Driver::Epoll) | None => {
            let mut runtime = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?;
            Ok(runtime.block_on(main))
        }
        Some(driver) => {
            let mut runtime = RuntimeBuilder::<IoUringDriver>::new()
                .uring_builder(ring(*driver))
                .with_entries(RING_ENTRIES)
                .enable_timer()
                .build()?;
            Ok(runtime.block_on(main))
        }
    }
}

/// Ties the calling thread to one processor. A refusal (a cgroup that forbids it) costs only speed.
pub fn pin_to(processor: usize) {
    // SAFETY: `set` is a plain bit set of the size that is passed, and 0 names the calling thread.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// The processors this process may run on.
pub fn processors() -> Vec<usize> {
    // SAFETY: `set` is a plain bit set of the size that is passed; the kernel fills it.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
            return vec![0];
        }
        set
    };
    // SAFETY: every index is below the set's size.
    let allowed =
        (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) });
    allowed.collect()
}
