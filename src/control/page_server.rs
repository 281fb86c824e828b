//! A small HTTP server on the control thread, for what a node tells of itself: metrics, statistics, its status.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::listen;
use super::task::{BoxFuture, Task, TaskEnv, TaskError};

/// Connections at a time; those above wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// From the first byte of a head, or the end of the last answer, to the end of the head (k-otel's `ReadHeaderTimeout`).
const HEAD_TIME: Duration = Duration::from_secs(3);
/// A connection that is at one answer for so long is dropped.
const CONNECTION_TIME: Duration = Duration::from_mins(5);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub path: String,
    /// Without the `?`; empty when there is none.
    pub query: String,
    /// The `Accept` header.
    pub accept: String,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

/// Makes pages. It runs on the control thread and must not block; `None` is a 404.
pub type Pages = Arc<dyn Fn(&Asked) -> Option<Page> + Send + Sync>;

/// Serves pages until the process stops. An address that is taken is tried again, later.
pub struct PageServer {
    name: String,
    address: SocketAddr,
    pages: Pages,
    redirects: bool,
}

// === impl PageServer ===

impl PageServer {
    /// `name` appears in the log.
    pub fn new(name: impl Into<String>, address: SocketAddr, pages: Pages) -> Self {
        Self { name: name.into(), address, pages, redirects: false }
    }

    /// The same, but a path with a slash too many leads to the page without it, as gin's router does.
    #[must_use]
    pub fn redirecting(self) -> Self {
        Self { redirects: true, ..self }
    }
}

impl Task for PageServer {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_exclusive(&self) -> bool {
        true
    }

    fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(serve(self.address, self.pages.clone(), self.redirects, env))
    }
}

async fn serve(
    address: SocketAddr,
    pages: Pages,
    redirects: bool,
    mut env: TaskEnv,
) -> Result<(), TaskError> {
    let cannot = |error| TaskError::new(format_args!("cannot listen on {address}: {error}"));
    let listener = listen::open(address, &env).await.map_err(cannot)?;
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stopping = pin!(env.stopping());
    loop {
        let accepted = async {
            let place = room.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stopping => return Ok(()),
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let pages = pages.clone();
                tokio::spawn(async move {
                    let _place = place;
                    let _ =
                        tokio::time::timeout(CONNECTION_TIME, connection(stream, pages, redirects))
                            .await;
                });
            }
            // Out of descriptors, most likely: others need the processor meanwhile.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(stream: TcpStream, pages: Pages, redirects: bool) {
    let service = service_fn(move |request| {
        let response = answer(&request, &pages, redirects);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).half_close(false);
    // A client that broke off is its own concern.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

fn answer(request: &Request<Incoming>, pages: &Pages, redirects: bool) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
    }
    let accept = request.headers().get("accept").and_then(|value| value.to_str().ok());
    let asked = Asked {
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        accept: accept.unwrap_or_default().to_owned(),
    };
    let Some(page) = pages(&asked) else {
        if let Some(path) = asked.path.strip_suffix('/').filter(|_| redirects)
            && pages(&Asked { path: path.to_owned(), ..asked.clone() }).is_some()
            && let Ok(location) = HeaderValue::from_str(path)
        {
            let mut moved = plain(StatusCode::MOVED_PERMANENTLY, "");
            moved.headers_mut().insert(LOCATION, location);
            return moved;
        }
        return plain(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    let mut response = Response::new(Full::new(Bytes::from(page.body)));
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Control;
    use crate::shared::log::Log;
    use crate::shared::meter::Meter;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    fn ask(address: SocketAddr, request: &str) -> String {
        let end = std::time::Instant::now() + Duration::from_secs(5);
        let mut stream = loop {
            match TcpStream::connect(address) {
                Ok(stream) => break stream,
                Err(error) => assert!(std::time::Instant::now() < end, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer
    }

    #[test]
    fn pages_are_served_and_nothing_else() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let control = Control::start(Log::silent(), Meter::default()).expect("a thread");
        let pages: Pages = Arc::new(|asked| {
            (asked.path == "/metrics").then(|| Page {
                status: 200,
                content_type: "text/plain",
                body: asked.query.clone().into_bytes(),
            })
        });
        let _running =
            control.spawn(Box::new(PageServer::new("test", address, pages).redirecting()));
        let close = "Host: x\r\nConnection: close\r\n\r\n";
        let found = ask(address, &format!("GET /metrics?a=1 HTTP/1.1\r\n{close}"));
        assert!(found.starts_with("HTTP/1.1 200 OK\r\n") && found.ends_with("a=1"), "{found}");
        let missing = ask(address, &format!("GET /x HTTP/1.1\r\n{close}"));
        assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
        let moved = ask(address, &format!("GET /metrics/ HTTP/1.1\r\n{close}"));
        assert!(moved.starts_with("HTTP/1.1 301") && moved.contains("location: /metrics\r\n"));
        let posted = ask(address, &format!("POST /metrics HTTP/1.1\r\n{close}"));
        assert!(posted.starts_with("HTTP/1.1 405"), "{posted}");
        assert!(control.stop(Duration::from_secs(1)));
    }
}
