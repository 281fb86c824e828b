//! Listening sockets that go over from a running process to its successor, and the successor's word that it serves.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, parent_id};
use std::process::{Child, Command};

use socket2::Socket;

/// What a successor inherits: who gave it, 1 where the sockets are the service manager's, the descriptor to say on that it
/// serves, and the sockets.
const VARIABLE: &str = "SHOAL_TAKEOVER";
/// Those of the service manager, which mean its own child.
const OF_THE_MANAGER: [&str; 5] =
    ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "SHOAL_TAKEOVER"];
const SERVES: u8 = b'1';

/// What this process has taken over from the one before it.
pub struct Inheritance {
    /// One for each core of the predecessor, all of one port.
    pub sockets: Vec<TcpListener>,
    /// They are one, which the service manager opened.
    pub are_lent: bool,
    pub predecessor: Predecessor,
}

/// The process before this one, which serves until it is told that this one does.
pub struct Predecessor(UnixStream);

impl Inheritance {
    /// What the predecessor handed over; `None`: there was none. Must be asked for once, before anything is opened.
    ///
    /// # Errors
    /// What was handed over is not what it is said to be.
    pub fn take() -> io::Result<Option<Inheritance>> {
        let Some(text) = env::var_os(VARIABLE) else { return Ok(None) };
        let Some(told) = Told::read(&text) else { return Err(io::Error::other("it is garbled")) };
        // A program that the successor starts finds the variable, too, and has nothing of it.
        if told.giver != parent_id() {
            return Ok(None);
        }
        let ready = Socket::from(claim(told.ready)?);
        let sockets = told.sockets.into_iter().map(|number| {
            let socket = Socket::from(claim(number)?);
            match socket.is_listener()? {
                true => Ok(socket.into()),
                false => Err(io::Error::other("one of the sockets does not listen")),
            }
        });
        let sockets = sockets.collect::<io::Result<_>>()?;
        let predecessor = Predecessor(ready.into());
        Ok(Some(Inheritance { sockets, are_lent: told.are_lent, predecessor }))
    }
}

impl Predecessor {
    /// Lets it go.
    ///
    /// # Errors
    /// It has gone already.
    pub fn say_ready(mut self) -> io::Result<()> {
        self.0.write_all(&[SERVES])
    }
}

struct Told {
    giver: u32,
    are_lent: bool,
    ready: RawFd,
    sockets: Vec<RawFd>,
}

impl Told {
    fn read(text: &OsStr) -> Option<Told> {
        let mut words = text.to_str()?.split(' ');
        let giver = words.next()?.parse().ok()?;
        let are_lent = words.next()? == "1";
        // The first three are the standard ones.
        let mut numbers = words.map(|word| word.parse().ok().filter(|number: &RawFd| *number > 2));
        let ready = numbers.next()??;
        let sockets: Vec<RawFd> = numbers.collect::<Option<_>>()?;
        (!sockets.is_empty()).then_some(Told { giver, are_lent, ready, sockets })
    }
}

/// Takes a descriptor that came through `exec`, and closes it at the next one.
fn claim(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain system call without pointers; a number that is no open descriptor is an error.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, as the call above has shown, and the parent process left it open for this purpose: nothing in
    // this process has opened it or knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A process that has been started to take over.
pub struct Successor {
    pub child: Child,
    ready: UnixStream,
}

impl Successor {
    /// Starts a program, with the sockets open in it.
    ///
    /// # Errors
    /// What the kernel says: no such program, too many processes or descriptors.
    pub fn start(
        program: &OsStr,
        arguments: &[OsString],
        sockets: &[TcpListener],
        are_lent: bool,
    ) -> io::Result<Successor> {
        let (ready, theirs) = UnixStream::pair()?;
        ready.set_nonblocking(true)?;
        let mut numbers = vec![theirs.as_raw_fd()];
        numbers.extend(sockets.iter().map(AsRawFd::as_raw_fd));
        let mut told = format!("{} {}", std::process::id(), u8::from(are_lent));
        for number in &numbers {
            told.push_str(&format!(" {number}"));
        }
        let mut command = Command::new(program);
        command.args(arguments);
        for name in OF_THE_MANAGER {
            command.env_remove(name);
        }
        command.env(VARIABLE, told);
        // SAFETY: what runs between fork and exec makes system calls only; it neither allocates nor locks.
        unsafe { command.pre_exec(move || keep_open(&numbers)) };
        let child = command.spawn()?;
        drop(theirs);
        Ok(Successor { child, ready })
    }

    /// Whether it has said that it serves; does not wait.
    pub fn serves(&mut self) -> bool {
        let mut word = [0];
        matches!(self.ready.read(&mut word), Ok(1)) && word == [SERVES]
    }
}

fn keep_open(numbers: &[RawFd]) -> io::Result<()> {
    for number in numbers {
        // SAFETY: plain system call without pointers, on a descriptor that the parent holds open.
        if unsafe { libc::fcntl(*number, libc::F_SETFD, 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_again_or_refused() {
        let read = |text: &str| Told::read(OsStr::new(text)).map(|told| (told.giver, told.sockets));
        assert_eq!(read("7 0 3 4 5"), Some((7, vec![4, 5])));
        for garbled in ["", "7", "7 0", "7 0 3", "7 0 x 4", "7 0 3 4 -1", "7 0 2 4", "7 0 3 1"] {
            assert_eq!(read(garbled), None, "{garbled:?}");
        }
    }

    #[test]
    fn a_successor_has_the_sockets_and_nothing_else() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let not_handed_over = TcpListener::bind("127.0.0.1:0").unwrap();
        let script = "import os, socket, sys; told = os.environ['SHOAL_TAKEOVER'].split(); \
            listens = socket.socket(fileno=int(told[3])).getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN); \
            assert listens and not os.path.exists('/proc/self/fd/' + sys.argv[1]); os.write(int(told[2]), b'1')";
        let other = not_handed_over.as_raw_fd().to_string();
        let arguments = ["-c".into(), script.into(), other.into()];
        let sockets = [socket];
        let mut successor =
            Successor::start(OsStr::new("python3"), &arguments, &sockets, false).unwrap();
        assert!(successor.child.wait().unwrap().success());
        assert!(successor.serves());
        assert!(!successor.serves(), "it says so once");
    }

    #[test]
    fn one_that_is_not_there_is_an_error() {
        let missing = OsStr::new("/does/not/exist");
        assert!(Successor::start(missing, &[], &[], false).is_err());
    }
}
