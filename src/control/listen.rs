//! Opening a listening socket on the control thread.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::task::TaskEnv;

/// The process that we take over from holds its ports until we serve.
const PORT_WAIT: Duration = Duration::from_secs(10);
const PORT_LOOK: Duration = Duration::from_millis(20);

/// Waits a while for an address that is taken. All interfaces are those of IPv4 where the kernel knows no other.
///
/// # Errors
/// What the kernel says.
pub async fn open(address: SocketAddr, env: &TaskEnv) -> io::Result<TcpListener> {
    let opened = bind(address).await;
    env.opened();
    opened
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let end = Instant::now() + PORT_WAIT;
    loop {
        match bind_now(address).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < end => {
                sleep(PORT_LOOK).await;
            }
            bound => return bound,
        }
    }
}

async fn bind_now(address: SocketAddr) -> io::Result<TcpListener> {
    let is_all = address.is_ipv6() && address.ip().is_unspecified();
    match TcpListener::bind(address).await {
        Err(error) if is_all && error.kind() != ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_is_let_go_is_had() {
        let first = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        let address = first.local_addr().expect("bound");
        let second = tokio::spawn(bind(address));
        sleep(PORT_LOOK * 2).await;
        drop(first);
        let second = second.await.expect("no panic").expect("the port");
        assert_eq!(second.local_addr().expect("bound"), address);
    }
}
