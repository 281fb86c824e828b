//! Encrypted connections for tests: an authority, a client, and an upstream with a few fixed answers.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, ProtocolVersion,
    RootCertStore, ServerConfig, ServerConnection, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};

use super::pattern::{self, Check};

/// Nothing in a test is waited for longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A certificate and its key as PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Pair {
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("made by rcgen")
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("made by rcgen")
    }
}

/// Signs certificates.
pub struct Authority {
    pub certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Server,
    Client,
    /// A server, but the certificate has expired.
    Expired,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    pub fn sign(&self, names: &[&str], what_for: Use) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("good names");
        params.extended_key_usages = vec![match what_for {
            Use::Client => ExtendedKeyUsagePurpose::ClientAuth,
            Use::Server | Use::Expired => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        if what_for == Use::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Pair { certificate, key: key.serialize_pem() }
    }
}

/// A certificate that signs itself and claims to be an authority, as `openssl req -x509` makes it.
pub fn self_signed(names: &[&str], is_expired: bool) -> Pair {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("good names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    if is_expired {
        params.not_after = date_time_ymd(2021, 1, 1);
        params.not_before = date_time_ymd(2020, 1, 1);
    }
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    Pair { certificate, key: key.serialize_pem() }
}

/// A folder for PEM files, removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pem-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("the build directory can be written");
        Folder(path)
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("the build directory can be written");
        path.to_string_lossy().into_owned()
    }

    /// `public_key` and `private_key` of a pair.
    pub fn pair(&self, name: &str, pair: &Pair) -> serde_json::Value {
        serde_json::json!({
            "public_key": self.write(&format!("{name}.pem"), &pair.certificate),
            "private_key": self.write(&format!("{name}.key"), &pair.key)
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Takes any certificate: what a test looks at is which one it was.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The two versions, for a client or an upstream that speaks only one of them.
pub static TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
pub static TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
pub static BOTH: &[&SupportedProtocolVersion] = rustls::ALL_VERSIONS;

/// What clients are made of; clones of one share their sessions.
pub fn client_config(
    versions: &[&'static SupportedProtocolVersion],
    own: Option<&Pair>,
) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .expect("known versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone));
    let mut config = match own {
        Some(pair) => builder
            .with_client_auth_cert(vec![pair.der()], pair.key_der())
            .expect("a pair that fits"),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(16);
    Arc::new(config)
}

/// One encrypted connection to the gateway.
pub struct TlsClient {
    pub stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

impl TlsClient {
    /// Connects and shakes hands as far as the client can tell.
    pub fn connect(
        address: SocketAddr,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> io::Result<TlsClient> {
        let tcp = TcpStream::connect(address)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(name.to_owned()).expect("a good name");
        let session = ClientConnection::new(config.clone(), name).expect("a good configuration");
        let mut stream = StreamOwned::new(session, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(TlsClient { stream, buffer: Vec::new() })
    }

    pub fn was_resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub fn version(&self) -> Option<ProtocolVersion> {
        self.stream.conn.protocol_version()
    }

    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        Some(self.stream.conn.peer_certificates()?.first()?.clone().into_owned())
    }

    pub fn send(&mut self, method: &str, path: &str, rest: &str, body: &[u8]) -> io::Result<()> {
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        write!(self.stream, "{method} {path} HTTP/1.1\r\nHost: gw.test\r\n{length}{rest}\r\n")?;
        self.stream.write_all(body)?;
        self.stream.flush()
    }

    /// Reads an answer of known length, in chunks or to the announced end of the connection; hands the body on in pieces.
    pub fn read(&mut self, mut part: impl FnMut(&[u8])) -> io::Result<u16> {
        let end = loop {
            match self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end,
                None => self.fill()?,
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        self.buffer.drain(..end + 4);
        let status = head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if let Some(length) = length {
            self.read_exactly(length.parse().expect("a length"), &mut part)?;
        } else if head.contains("transfer-encoding: chunked") {
            loop {
                let line = self.read_line()?;
                let size = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
                self.read_exactly(size, &mut part)?;
                self.read_line()?;
                if size == 0 {
                    break;
                }
            }
        } else {
            loop {
                part(&self.buffer);
                self.buffer.clear();
                let mut piece = [0; 16_384];
                match self.stream.read(&mut piece)? {
                    0 => break,
                    count => self.buffer.extend_from_slice(&piece[..count]),
                }
            }
        }
        Ok(status)
    }

    /// One GET: status and body.
    pub fn get(&mut self, path: &str) -> io::Result<(u16, Vec<u8>)> {
        self.send("GET", path, "", b"")?;
        let mut body = Vec::new();
        let status = self.read(|part| body.extend_from_slice(part))?;
        Ok((status, body))
    }

    fn read_exactly(&mut self, mut left: u64, part: &mut impl FnMut(&[u8])) -> io::Result<()> {
        while left > 0 {
            if self.buffer.is_empty() {
                self.fill()?;
            }
            let take = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            part(&self.buffer[..take]);
            self.buffer.drain(..take);
            left -= take as u64;
        }
        Ok(())
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut piece = [0; 16_384];
        match self.stream.read(&mut piece)? {
            0 => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "an announced end")),
            count => {
                self.buffer.extend_from_slice(&piece[..count]);
                Ok(())
            }
        }
    }
}

/// What an upstream is made of.
pub fn server_config(
    versions: &[&'static SupportedProtocolVersion],
    pair: &Pair,
    client_authority: Option<&Authority>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .expect("known versions");
    let builder = match client_authority {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let der = CertificateDer::from_pem_slice(authority.certificate.as_bytes());
            roots.add(der.expect("made by rcgen")).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("an authority"))
        }
    };
    let mut config =
        builder.with_single_cert(vec![pair.der()], pair.key_der()).expect("a pair that fits");
    config.ticketer = aws_lc_rs::Ticketer::new().expect("keys");
    Arc::new(config)
}

/// Counts of what an upstream saw.
#[derive(Default)]
pub struct Counts {
    pub handshakes: AtomicUsize,
    pub resumed: AtomicUsize,
    pub failed: AtomicUsize,
    pub requests: AtomicUsize,
    /// Connections on which the gateway announced the end.
    pub said_goodbye: AtomicUsize,
}

/// An encrypted upstream. `/small` answers a few bytes, `/large` 8 MiB of the pattern, `/closing` closes afterwards, `/until-close`
/// ends with the connection, `/broken-off` does so without announcing it, `/up` says how the body compares with the pattern.
pub struct TlsUpstream {
    address: SocketAddr,
    pub counts: Arc<Counts>,
}

/// The length of `/large`.
pub const LARGE_BYTES: u64 = 8 << 20;

impl TlsUpstream {
    pub fn start(config: Arc<ServerConfig>) -> TlsUpstream {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let counts = Arc::new(Counts::default());
        let shared = counts.clone();
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let (config, counts) = (config.clone(), shared.clone());
                thread::spawn(move || drop(serve(tcp, config, &counts)));
            }
        });
        TlsUpstream { address, counts }
    }

    /// By a name that its certificate must have.
    pub fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

fn serve(tcp: TcpStream, config: Arc<ServerConfig>, counts: &Counts) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, tcp);
    while stream.conn.is_handshaking() {
        if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
            counts.failed.fetch_add(1, Ordering::Relaxed);
            return Err(error);
        }
    }
    counts.handshakes.fetch_add(1, Ordering::Relaxed);
    if stream.conn.handshake_kind() == Some(HandshakeKind::Resumed) {
        counts.resumed.fetch_add(1, Ordering::Relaxed);
    }
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            let mut piece = [0; 16_384];
            match stream.read(&mut piece)? {
                0 => {
                    counts.said_goodbye.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                count => buffer.extend_from_slice(&piece[..count]),
            }
        };
        counts.requests.fetch_add(1, Ordering::Relaxed);
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        buffer.drain(..end + 4);
        let length: u64 = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().expect("a length"));
        let mut check = Check::default();
        check.update(&buffer);
        buffer.clear();
        let mut piece = vec![0; 65_536];
        while check.len < length {
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                count => check.update(&piece[..count]),
            }
        }
        let path = head.split(' ').nth(1).unwrap_or_default();
        if !answer(&mut stream, path, &check)? {
            return Ok(());
        }
    }
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// False: the connection has ended.
fn answer(stream: &mut Stream, path: &str, check: &Check) -> io::Result<bool> {
    let ok = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
    match path {
        "/large" => {
            write!(stream, "{ok}Content-Length: {LARGE_BYTES}\r\n\r\n")?;
            let mut at = 0;
            while at < LARGE_BYTES {
                let left = usize::try_from(LARGE_BYTES - at).unwrap_or(usize::MAX);
                let piece = pattern::at(at, left);
                stream.write_all(piece)?;
                at += piece.len() as u64;
            }
        }
        "/until-close" | "/broken-off" => {
            write!(stream, "{ok}Connection: close\r\n\r\n")?;
            stream.write_all(&pattern::bytes(100_000))?;
            if path == "/until-close" {
                stream.conn.send_close_notify();
            }
            stream.flush()?;
            return Ok(false);
        }
        "/closing" => {
            write!(stream, "{ok}Connection: close\r\nContent-Length: 5\r\n\r\nsmall")?;
            stream.conn.send_close_notify();
            stream.flush()?;
            return Ok(false);
        }
        "/up" => {
            let text = format!("{} {:?}", check.len, check.differs_at);
            write!(stream, "{ok}Content-Length: {}\r\n\r\n{text}", text.len())?;
        }
        _ => write!(stream, "{ok}Content-Length: 5\r\n\r\nsmall")?,
    }
    stream.flush()?;
    Ok(true)
}
