//! `Pool`: the connections of one core to one host, kept, opened and used again.

use std::cell::Cell;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;

use super::connect::Secure;
use super::error::{Overload, UpstreamError};
use super::target::{HostName, Target};
use super::turns::{QueueFull, Turn, Turns};
use crate::net::Stream;
use crate::net::buffer::Buffer;
use crate::net::clock::{self, Tick};
use crate::net::listener::is_out_of_descriptors;
use crate::net::task::{self, First, first_of};
use crate::wire::http1::client::{
    self, Connection, ExchangeError, Exchanged, Outgoing, OutgoingBody, Response, Upload,
};
use crate::wire::http1::idle::IdleList;
use crate::wire::http1::parse::HeadLimits;

/// Finds the addresses of a name; never blocks the core.
pub type Lookup =
    Rc<dyn Fn(&str) -> Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, UpstreamError>>>>>;

/// How often a request that no descriptor is left for looks again.
const DESCRIPTOR_LOOK_MS: u64 = 5;

/// What a pool may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Idle connections kept per host on this core.
    pub idle_max: usize,
    /// Idle connections kept on this core, over all hosts.
    pub idle_max_of_all: usize,
    /// How long an unused connection is kept; zero is for ever.
    pub idle_ms: u64,
    /// How long opening a connection may take; zero leaves it to the request's deadline.
    pub connect_ms: u64,
    /// How long the addresses of one family are tried alone, where a name has both.
    pub fallback_ms: u64,
    /// How long a connection is silent before the kernel asks whether its other side is there.
    pub probe_after_ms: u64,
    /// How long the head of an answer may take; zero leaves it to the request's deadline.
    pub head_ms: u64,
    pub head: HeadLimits,
    /// Connections to one host that may be being opened at the same time.
    pub dials_max: usize,
    /// Requests that wait for one of those.
    pub waiting_max: usize,
    /// False: every request opens its own connection.
    pub keep_alive: bool,
}

/// The connections of one core to one host.
pub struct Pool {
    target: Target,
    limits: Limits,
    lookup: Lookup,
    secure: Rc<Secure>,
    idle: Rc<IdleList<Connection>>,
    dials: Turns,
}

/// How long an exchange waited for its connection, and for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connecting {
    /// Until it had a fresh one; 0 for one that was kept.
    pub got_after_ns: u64,
    /// The name's addresses; 0 where they were known.
    pub names_ns: u64,
    pub tls_ns: u64,
}

/// One request, and how it may be repeated.
pub struct Attempt {
    pub head: Buffer,
    pub body: OutgoingBody,
    pub is_head_request: bool,
    /// A second send could not do more than the first: GET, HEAD, OPTIONS, TRACE without a body.
    pub is_repeatable: bool,
    pub deadline: Tick,
}

impl Pool {
    pub(super) fn new(target: Target, limits: Limits, lookup: Lookup, secure: Rc<Secure>) -> Pool {
        let idle_max = if limits.keep_alive { limits.idle_max } else { 0 };
        Pool {
            target,
            idle: Rc::new(IdleList::new(idle_max, limits.idle_ms)),
            dials: Turns::new(limits.dials_max, limits.waiting_max),
            limits,
            lookup,
            secure,
        }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Connections, idle ones included.
    pub fn connections(&self) -> usize {
        self.idle.open()
    }

    /// Requests that wait to open a connection.
    pub fn waiting(&self) -> usize {
        self.dials.waiting()
    }

    /// Since when the connection is unused that has been unused longest; never, where none is.
    pub(super) fn idle_since(&self) -> Tick {
        self.idle.oldest().unwrap_or(Tick::NEVER)
    }

    pub(super) fn close_oldest(&self) {
        self.idle.close_oldest();
    }

    pub(super) fn is_unused(&self) -> bool {
        self.idle.open() == 0 && self.dials.taken() == 0
    }

    pub(super) fn sweep(&self) {
        self.idle.sweep(clock::now());
    }

    /// Sends a request and waits for the head of the answer, all before the deadline. A kept connection that turns out
    /// to be closed is replaced by a fresh one, where the request may be repeated.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub async fn exchange(
        &self,
        attempt: Attempt,
        connecting: Option<&Cell<Connecting>>,
    ) -> Result<(Box<Response>, Option<Upload>), UpstreamError> {
        let Some(connection) = self.idle.take(clock::now()) else {
            return task::rare(|| self.exchange_fresh(attempt, connecting)).await;
        };
        let Attempt { head, body, is_head_request, is_repeatable, deadline } = attempt;
        let outgoing = Outgoing { head, body, is_head_request };
        match self.exchange_on(connection, outgoing, deadline).await {
            Ok(answered) => Ok(answered),
            Err((ExchangeError::Closed, head)) if is_repeatable => {
                // Its neighbours in the pool were probably closed with it: the second try goes on a fresh one.
                let body = OutgoingBody::Empty;
                let again = Attempt { head, body, is_head_request, is_repeatable, deadline };
                task::rare(|| self.exchange_fresh(again, connecting)).await
            }
            Err((error, _)) => Err(error.into()),
        }
    }

    /// The same on a connection that is opened for it, or that another request leaves while this one waits for its turn.
    async fn exchange_fresh(
        &self,
        attempt: Attempt,
        connecting: Option<&Cell<Connecting>>,
    ) -> Result<(Box<Response>, Option<Upload>), UpstreamError> {
        let Attempt { mut head, body, is_head_request, is_repeatable, deadline } = attempt;
        loop {
            let began_ns = clock::monotonic_ns();
            let connection = self.open(deadline, connecting).await?;
            if let Some(connecting) = connecting {
                let got_after_ns = clock::monotonic_ns().saturating_sub(began_ns);
                connecting.set(Connecting { got_after_ns, ..connecting.get() });
            }
            let is_reused = connection.is_reused();
            let outgoing = Outgoing { head, body: body.clone(), is_head_request };
            match self.exchange_on(connection, outgoing, deadline).await {
                Ok(answered) => return Ok(answered),
                Err((ExchangeError::Closed, returned)) if is_reused && is_repeatable => {
                    head = returned;
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    // As `client::exchange`.
    #[inline(always)]
    fn exchange_on(
        &self,
        connection: Connection,
        outgoing: Outgoing,
        deadline: Tick,
    ) -> impl Future<Output = Exchanged> {
        connection.stream().watch().arm(self.head_deadline(deadline));
        client::exchange(connection, self.idle.clone(), outgoing, &self.limits.head, deadline)
    }

    fn head_deadline(&self, deadline: Tick) -> Tick {
        match self.limits.head_ms {
            0 => deadline,
            head_ms => deadline.min(clock::now().plus_ms(head_ms)),
        }
    }

    async fn open(
        &self,
        deadline: Tick,
        connecting: Option<&Cell<Connecting>>,
    ) -> Result<Connection, UpstreamError> {
        let began_ns = clock::monotonic_ns();
        let request_deadline = deadline;
        let deadline = match self.limits.connect_ms {
            0 => deadline,
            connect_ms => deadline.min(clock::now().plus_ms(connect_ms)),
        };
        let addresses = self.addresses(deadline).await?;
        let names_ns = match &self.target.name {
            HostName::Address(_) => 0,
            HostName::Name(_) => clock::monotonic_ns().saturating_sub(began_ns),
        };
        let _turn = self.turn(deadline).await?;
        // While this request waited, another one may have finished with its connection.
        if let Some(connection) = self.idle.take(clock::now()) {
            return Ok(connection);
        }
        let mut stream = loop {
            match connect_any(&addresses, self.target.port, &self.limits, deadline).await {
                Err(UpstreamError::Connect(_, error)) if is_out_of_descriptors(&error) => {
                    // The next connection that ends frees one, or serves for this request.
                    task::sleep_ms(DESCRIPTOR_LOOK_MS).await;
                    if let Some(connection) = self.idle.take(clock::now()) {
                        return Ok(connection);
                    }
                    if deadline.since_ms(clock::now()) == 0 {
                        return Err(UpstreamError::Overloaded(Overload::Descriptors));
                    }
                }
                connected => break connected?,
            }
        };
        stream.probe_after_ms(self.limits.probe_after_ms);
        let mut tls_ns = 0;
        if self.target.is_tls {
            let began_ns = clock::monotonic_ns();
            stream = self.secure.secure(stream, &self.target.name, request_deadline).await?;
            tls_ns = clock::monotonic_ns().saturating_sub(began_ns);
        }
        if let Some(connecting) = connecting {
            connecting.set(Connecting { names_ns, tls_ns, ..connecting.get() });
        }
        self.idle.opened();
        Ok(Connection::new(stream))
    }

    async fn addresses(&self, deadline: Tick) -> Result<Vec<IpAddr>, UpstreamError> {
        match &self.target.name {
            HostName::Address(address) => Ok(vec![*address]),
            HostName::Name(name) => {
                let wait_ms = deadline.since_ms(clock::now());
                match task::within_ms(wait_ms, (self.lookup)(name)).await {
                    Some(Ok(addresses)) if addresses.is_empty() => {
                        Err(UpstreamError::Resolve(name.clone()))
                    }
                    Some(answer) => answer,
                    None => Err(UpstreamError::TimedOut),
                }
            }
        }
    }

    /// Waits until few enough connections are being opened.
    async fn turn(&self, deadline: Tick) -> Result<Turn<'_>, UpstreamError> {
        if let Some(turn) = self.dials.try_take() {
            return Ok(turn);
        }
        let called =
            self.dials.wait().map_err(|QueueFull| UpstreamError::Overloaded(Overload::Waiting))?;
        let wait_ms = deadline.since_ms(clock::now());
        task::within_ms(wait_ms, called).await.ok_or(UpstreamError::TimedOut)
    }
}

/// Tries the addresses of the first one's family, and after a while those of the other beside them (RFC 8305, and Go's
/// dialer); the first that answers wins.
async fn connect_any(
    addresses: &[IpAddr],
    port: u16,
    limits: &Limits,
    deadline: Tick,
) -> Result<Stream, UpstreamError> {
    let is_v4 = addresses.first().is_some_and(IpAddr::is_ipv4);
    let (first, other): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().partition(|address| address.is_ipv4() == is_v4);
    let mut first = pin!(connect_in_turn(&first, port, deadline));
    if other.is_empty() {
        return first.await;
    }
    let alone = task::within_ms(limits.fallback_ms, first.as_mut()).await;
    let mut other = pin!(connect_in_turn(&other, port, deadline));
    match alone {
        Some(Ok(stream)) => Ok(stream),
        Some(Err(error)) => other.await.map_err(|_| error),
        None => match first_of(first.as_mut(), other.as_mut()).await {
            First::Left(Ok(stream)) | First::Right(Ok(stream)) => Ok(stream),
            First::Left(Err(error)) => other.await.map_err(|_| error),
            First::Right(Err(_)) => first.await,
        },
    }
}

/// Tries the addresses in turn, each with a fair share of the time (as Go's dialer does); the first that answers wins.
async fn connect_in_turn(
    addresses: &[IpAddr],
    port: u16,
    deadline: Tick,
) -> Result<Stream, UpstreamError> {
    let mut last = UpstreamError::TimedOut;
    for (index, address) in addresses.iter().enumerate() {
        let now = clock::now();
        let left_ms = deadline.since_ms(now);
        if left_ms == 0 {
            return Err(UpstreamError::TimedOut);
        }
        let to_try = (addresses.len() - index) as u64;
        let share = if deadline == Tick::NEVER {
            deadline
        } else {
            now.plus_ms((left_ms / to_try).max(left_ms.min(2000)))
        };
        let address = SocketAddr::new(*address, port);
        match Stream::connect(address, share).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                last = UpstreamError::TimedOut;
            }
            Err(error) => last = UpstreamError::Connect(address, error),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Poll;

    use super::super::connect::ClientTls;
    use super::*;
    use crate::net::driver;
    use crate::shared::published::Published;

    fn pool(dials_max: usize, waiting_max: usize) -> Pool {
        let limits = Limits {
            idle_max: 1,
            idle_ms: 0,
            connect_ms: 0,
            head_ms: 0,
            head: HeadLimits { bytes_max: 1000, headers_max: 10, uri_bytes_max: 0 },
            dials_max,
            waiting_max,
            keep_alive: true,
            fallback_ms: 0,
            idle_max_of_all: 0,
            probe_after_ms: 0,
        };
        let lookup: Lookup =
            Rc::new(|name| Box::pin(std::future::ready(Err(UpstreamError::Resolve(name.into())))));
        let published = Published::new(ClientTls::Unread);
        let secure = Rc::new(Secure::new(&published, Arc::new(|| {})));
        Pool::new(Target::new(false, "127.0.0.1", 1), limits, lookup, secure)
    }

    fn soon() -> Tick {
        clock::now().plus_ms(10_000)
    }

    async fn is_pending<F: Future>(future: &mut Pin<Box<F>>) -> bool {
        std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending()))
            .await
    }

    #[test]
    fn so_many_wait_and_who_goes_when_it_is_called_hands_the_call_on() {
        let test = async {
            let pool = pool(1, 2);
            let first = pool.turn(soon()).await.unwrap();
            let mut second = Box::pin(pool.turn(soon()));
            let mut third = Box::pin(pool.turn(soon()));
            assert!(is_pending(&mut second).await && is_pending(&mut third).await);
            let fourth = pool.turn(soon()).await;
            assert!(matches!(fourth, Err(UpstreamError::Overloaded(Overload::Waiting))));
            drop(first);
            drop(second);
            assert!(!is_pending(&mut third).await);
            assert_eq!(pool.waiting(), 0);
        };
        driver::run(test).unwrap();
    }

    #[test]
    fn requests_that_have_gone_take_no_place() {
        let test = async {
            let pool = pool(1, 1);
            let _first = pool.turn(soon()).await.unwrap();
            for _ in 0..1000 {
                let mut gone = Box::pin(pool.turn(soon()));
                assert!(is_pending(&mut gone).await);
            }
            assert_eq!(pool.waiting(), 0);
        };
        driver::run(test).unwrap();
    }
}
