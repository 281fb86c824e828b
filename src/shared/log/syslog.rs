//! Lines for the syslog daemon of this machine, framed as Go's library frames them (RFC 3164 without the host).

use std::fmt;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use super::device::{Device, Remedy};
use super::go_layout::GoLayout;
use super::{Level, Line, LineFormat};

/// Where daemons listen.
pub const SOCKETS: &[&str] = &["/dev/log", "/var/run/syslog", "/var/run/log"];

/// A daemon that takes nothing for so long is asked again.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// `local0` to `local7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(u8);

/// `<163>Jan  2 15:04:05 tag[pid]: ERROR > text`
pub struct SyslogFormat {
    layout: GoLayout,
    facility: Facility,
    tag: String,
}

/// The connection to the daemon.
pub struct Syslog {
    sockets: Vec<String>,
    open: Option<Socket>,
}

enum Socket {
    Datagram(UnixDatagram),
    Stream(UnixStream),
}

// === impl Facility ===

impl Facility {
    /// The facility of this name in any case.
    pub fn parse(name: &str) -> Option<Facility> {
        let lower = name.to_ascii_lowercase();
        let number: u8 = lower.strip_prefix("local")?.parse().ok()?;
        (number < 8 && lower.len() == 6).then_some(Facility(number))
    }
}

impl Default for Facility {
    fn default() -> Self {
        Self(3)
    }
}

/// The severity of RFC 3164.
pub(super) fn severity(level: Level) -> u8 {
    match level {
        Level::Critical => 2,
        Level::Error => 3,
        Level::Warning => 4,
        Level::Info => 6,
        Level::Debug => 7,
    }
}

// === impl SyslogFormat ===

impl SyslogFormat {
    pub fn new(facility: Facility, tag: &str) -> Self {
        Self { layout: GoLayout::parse("Jan _2 15:04:05"), facility, tag: tag.to_owned() }
    }
}

impl LineFormat for SyslogFormat {
    fn append(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        let priority = (16 + self.facility.0) * 8 + severity(line.level);
        // Writing to a vector cannot fail.
        let _ = write!(out, "<{priority}>");
        self.layout.append(line.local, out);
        let (tag, pid, level) = (&self.tag, std::process::id(), line.level.name());
        let _ = write!(out, " {tag}[{pid}]: {level} > {}", line.message);
        if !line.message.ends_with('\n') {
            out.push(b'\n');
        }
    }
}

// === impl Syslog ===

impl Syslog {
    pub fn new(sockets: &[&str]) -> Self {
        Self { sockets: sockets.iter().map(|path| (*path).to_owned()).collect(), open: None }
    }

    fn connect(path: &str) -> io::Result<Socket> {
        let socket = UnixDatagram::unbound()?;
        let error = match socket.connect(path) {
            Ok(()) => {
                socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
                return Ok(Socket::Datagram(socket));
            }
            Err(error) => error,
        };
        let Ok(stream) = UnixStream::connect(path) else { return Err(error) };
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(Socket::Stream(stream))
    }
}

impl Device for Syslog {
    fn open(&mut self) -> io::Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for path in &self.sockets {
            match Syslog::connect(path) {
                Ok(socket) => {
                    self.open = Some(socket);
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn write(&mut self, bytes: &[u8], record_len: usize) -> io::Result<usize> {
        match &mut self.open {
            None => Err(io::ErrorKind::NotConnected.into()),
            Some(Socket::Datagram(socket)) => socket.send(&bytes[..record_len]),
            Some(Socket::Stream(stream)) => stream.write(bytes),
        }
    }

    fn remedy(&self, error: &io::Error) -> Remedy {
        // Longer than the daemon's socket takes: it never will.
        match error.raw_os_error() {
            Some(libc::EMSGSIZE) => Remedy::SkipRecord,
            _ => Remedy::Reconnect,
        }
    }

    fn close(&mut self) {
        if let Some(Socket::Stream(stream)) = self.open.take() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl fmt::Display for Facility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::log::local_time::LocalTime;
    use chrono::DateTime;
    use std::time::SystemTime;

    #[test]
    fn a_line_is_framed_as_gos_library_frames_it() {
        let second = DateTime::parse_from_rfc3339("2026-01-02T15:04:05Z").expect("a moment");
        let local = LocalTime { second, ..LocalTime::default() };
        let at = SystemTime::UNIX_EPOCH;
        let mut format = SyslogFormat::new(Facility::parse("LOCAL5").expect("one"), "[MINE]");
        let mut shown = |level, message| {
            let mut out = Vec::new();
            format.append(&Line { at, local: &local, level, message }, &mut out);
            String::from_utf8(out).expect("text")
        };
        let pid = std::process::id();
        assert_eq!(
            shown(Level::Error, "a b"),
            format!("<171>Jan  2 15:04:05 [MINE][{pid}]: ERROR > a b\n")
        );
        assert!(shown(Level::Debug, "a\n").starts_with("<175>"));
        assert!(shown(Level::Critical, "a\n").ends_with("CRITICAL > a\n"));
    }

    #[test]
    fn facilities_are_the_local_ones() {
        assert_eq!(Facility::parse("local3"), Some(Facility::default()));
        assert_eq!(Facility::parse("Local7").map(|it| it.to_string()).as_deref(), Some("local7"));
        for wrong in ["", "local", "local8", "local03", "daemon", "local-1", "local+1"] {
            assert_eq!(Facility::parse(wrong), None, "{wrong}");
        }
    }
}
