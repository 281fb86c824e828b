//! `Bell`: wakes a core from another thread, for the few orders that main gives its cores.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;

use monoio::io::AsyncReadRent;

/// What main orders a core to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Take up the plan that was published.
    Renew,
    /// Promise no client that its connection will be kept.
    Leave,
    /// Leave what comes from now on to another process, and promise no client that its connection will be kept.
    HandOver,
    /// Accept nothing new, finish what is in flight.
    Drain,
    /// End every connection now.
    Cut,
}

/// Main's end.
pub struct Rope(UnixStream);

/// The core's end, before the core runs.
pub struct Bell(UnixStream);

/// A new pair.
///
/// # Errors
/// When the process has no descriptor left.
pub fn bell() -> io::Result<(Rope, Bell)> {
    let (rope, bell) = UnixStream::pair()?;
    Ok((Rope(rope), Bell(bell)))
}

impl Rope {
    /// A core that has ended hears nothing, which is fine.
    pub fn ring(&mut self, order: Order) {
        let _ = self.0.write_all(match order {
            Order::Renew => b"r",
            Order::Leave => b"l",
            Order::HandOver => b"h",
            Order::Drain => b"d",
            Order::Cut => b"c",
        });
    }
}

impl Bell {
    /// Calls `on_order` for each order until main is gone.
    pub async fn listen(self, on_order: impl Fn(Order)) {
        let Ok(()) = self.0.set_nonblocking(super::driver::is_epoll()) else { return };
        let Ok(mut stream) = monoio::net::UnixStream::from_std(self.0) else { return };
        let mut letters = Vec::with_capacity(8);
        loop {
            let (got, bytes) = stream.read(letters).await;
            letters = bytes;
            if !matches!(got, Ok(count) if count > 0) {
                return;
            }
            for letter in letters.drain(..) {
                on_order(match letter {
                    b'r' => Order::Renew,
                    b'l' => Order::Leave,
                    b'h' => Order::HandOver,
                    b'c' => Order::Cut,
                    _ => Order::Drain,
                });
            }
        }
    }
}
