//! A small server on the control thread: connections that ask and are answered, bounded in number, size and time.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::listen;
use super::task::{TaskEnv, TaskError};

/// Connections at a time; the next wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may say nothing, or take nothing of its answers.
const IDLE: Duration = Duration::from_mins(10);
const READ_BYTES: usize = 4096;

/// What a connection says makes no sense; it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// One connection's protocol.
pub trait Conversation: Send {
    /// Takes what it can of `input` and writes answers to `out`; gives how many bytes it took.
    ///
    /// # Errors
    /// [`Broken`]
    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Broken>;

    /// The most bytes that a message may have; with more waiting the connection is closed.
    fn waiting_bytes_max(&self) -> usize;
}

/// Begins a conversation for a new connection.
pub type Open = Box<dyn Fn() -> Box<dyn Conversation> + Send + Sync>;

/// Listens on all addresses until the process stops.
///
/// # Errors
/// The port cannot be had.
pub async fn serve(port: u16, open: Open, mut env: TaskEnv) -> Result<(), TaskError> {
    let listener = listen::open(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), &env)
        .await
        .map_err(|error| TaskError::new(format_args!("cannot listen on {port}: {error}")))?;
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            () = env.stopping() => return Ok(()),
            (permit, accepted) = accepted => {
                let Ok((stream, _)) = accepted else { continue };
                let conversation = open();
                connections.spawn(async move {
                    talk(stream, conversation).await;
                    drop(permit);
                });
            }
        }
    }
}

/// Serves a connection to its end.
async fn talk(mut stream: TcpStream, mut conversation: Box<dyn Conversation>) {
    let (mut waiting, mut out) = (Vec::new(), Vec::new());
    loop {
        waiting.reserve(READ_BYTES);
        match timeout(IDLE, stream.read_buf(&mut waiting)).await {
            Ok(Ok(1..)) => {}
            _ => return,
        }
        let Ok(used) = conversation.hear(&waiting, &mut out) else { return };
        waiting.drain(..used.min(waiting.len()));
        if waiting.len() > conversation.waiting_bytes_max() {
            return;
        }
        if !matches!(timeout(IDLE, stream.write_all(&out)).await, Ok(Ok(()))) {
            return;
        }
        out.clear();
    }
}
