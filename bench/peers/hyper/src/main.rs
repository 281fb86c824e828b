//! The reverse proxy that a Rust team writes in an afternoon: hyper on tokio, connections to the upstream kept.
//!
//! `hyper-proxy PORT UPSTREAM_PORT WORKERS`

use std::error::Error;
use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::http::uri::{Authority, Scheme, Uri};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpSocket;
use tokio::runtime::Builder;

type Failure = Box<dyn Error + Send + Sync>;
type Upstream = Client<HttpConnector, Incoming>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, upstream_port, workers] = arguments.as_slice() else {
        return Err("usage: hyper-proxy PORT UPSTREAM_PORT WORKERS".into());
    };
    let address = SocketAddr::from(([127, 0, 0, 1], port.parse()?));
    let authority: Authority = format!("127.0.0.1:{upstream_port}").parse()?;
    let workers = workers.parse()?;
    // With one worker there is nothing to share, and tokio has a runtime that is cheaper for that.
    let runtime = match workers {
        1 => Builder::new_current_thread().enable_all().build()?,
        _ => Builder::new_multi_thread().worker_threads(workers).enable_all().build()?,
    };
    runtime.block_on(serve(address, authority))
}

async fn serve(address: SocketAddr, authority: Authority) -> Result<(), Failure> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let upstream = Client::builder(TokioExecutor::new()).build(connector);
    let host = HeaderValue::from_str(authority.as_str())?;
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(4096)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (upstream, authority, host) = (upstream.clone(), authority.clone(), host.clone());
        tokio::spawn(async move {
            let pass = service_fn(|request| pass(&upstream, &authority, &host, request));
            // Whoever breaks off has the connection closed; there is no log to write it to.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), pass).await;
        });
    }
}

async fn pass(
    upstream: &Upstream,
    authority: &Authority,
    host: &HeaderValue,
    mut request: Request<Incoming>,
) -> Result<Response<Incoming>, Failure> {
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority.clone());
    *request.uri_mut() = Uri::from_parts(parts)?;
    request.headers_mut().insert(HOST, host.clone());
    request.headers_mut().remove(CONNECTION);
    let mut response = upstream.request(request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().remove(CONNECTION);
    }
    Ok(response)
}
