//! `HttpClient`: short HTTP exchanges of the control side, bounded in time and size, with TLS as its settings say.
//!
//! Key sets, access tokens and exporters use it. It sends no header that it was not given, save Host and lengths.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER, USER_AGENT,
};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::time::timeout;
use url::Url;

/// Opening a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// Redirects that are followed, as Go's client does.
const REDIRECTS_MAX: usize = 10;
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);
/// Unused connections to one host.
const IDLE_PER_HOST_MAX: usize = 4;

/// Length of a SHA-256 sum in bytes.
pub const FINGERPRINT_BYTES: usize = 32;

/// How an HTTP client is to behave.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// What it calls itself.
    pub user_agent: &'static str,
    /// The whole exchange, from the connection to the last byte of the answer.
    pub timeout: Duration,
    /// The largest answer, in bytes.
    pub body_bytes_max: usize,
    pub tls: TlsTrust,
}

/// Whom a client trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsTrust {
    /// Certificates are not verified at all. Fingerprints still are.
    pub any_certificate: bool,
    /// PEM of authorities beside the system's.
    pub authorities_pem: Option<Vec<u8>>,
    /// SHA-256 sums of public keys (SPKI); where there are any, the server must show one of them.
    pub fingerprints: Vec<[u8; FINGERPRINT_BYTES]>,
    /// Cipher suites of TLS 1.2 by their numbers; empty is all that are known. Those of TLS 1.3 are always on.
    pub cipher_suites: Vec<u16>,
    /// PEM of the client's own certificate with its chain, and of its key.
    pub identity_pem: Option<(Vec<u8>, Vec<u8>)>,
}

/// Why a client could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// The file of authorities holds none.
    Authorities(String),
    /// None of the cipher suites is known.
    CipherSuites,
    Client(String),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The exchange failed, with the reason.
    Failed(String),
    /// The answer is longer than so many bytes.
    TooLarge(usize),
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    pub status: u16,
    /// Empty when there is none.
    pub content_type: String,
    /// What `Retry-After` says, where it says so in seconds.
    pub retry_after_s: Option<u64>,
    pub body: Vec<u8>,
}

/// A client with its connections. Cheap to clone.
#[derive(Clone)]
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    user_agent: &'static str,
    timeout: Duration,
    body_bytes_max: usize,
}

// === impl HttpClient ===

impl HttpClient {
    /// # Errors
    /// [`SettingsError`], naming what cannot be used.
    pub fn new(settings: &HttpSettings) -> Result<HttpClient, SettingsError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(client_config(&settings.tls)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .build(https);
        let HttpSettings { user_agent, timeout, body_bytes_max, .. } = *settings;
        Ok(HttpClient { client, user_agent, timeout, body_bytes_max })
    }

    /// One that asks whether hosts are up: each question goes over a connection of its own, encrypted as `tls` says.
    pub fn for_probes(
        tls: ClientConfig,
        user_agent: &'static str,
        timeout: Duration,
    ) -> HttpClient {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(timeout));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(https);
        HttpClient { client, user_agent, timeout, body_bytes_max: 0 }
    }

    /// The status of the answer to a GET; its body is not read and a redirect is not followed. `host` takes the place of
    /// the URL's own in the header of that name.
    ///
    /// # Errors
    /// [`HttpError::Failed`].
    pub async fn probe(&self, url: &str, host: Option<&str>) -> Result<u16, HttpError> {
        let exchange = async {
            let url = parse(url)?;
            let mut request = self.request(Method::GET, &url).header(CONNECTION, "close");
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let response = self.send(&url, request, Bytes::new()).await?;
            Ok(response.status().as_u16())
        };
        let late = |_| failed(format!("no answer within {:?}", self.timeout));
        timeout(self.timeout, exchange).await.map_err(late)?
    }

    /// GET. Redirects are followed, but never from https to http.
    ///
    /// # Errors
    /// [`HttpError`]; a status is never an error.
    pub async fn get(&self, url: &str) -> Result<HttpAnswer, HttpError> {
        let follow = async {
            let mut url = parse(url)?;
            for _ in 0..=REDIRECTS_MAX {
                let response =
                    self.send(&url, self.request(Method::GET, &url), Bytes::new()).await?;
                let location = response
                    .headers()
                    .get(LOCATION)
                    .filter(|_| matches!(response.status().as_u16(), 301..=303 | 307 | 308));
                let Some(location) = location else { return self.read(response).await };
                let location = String::from_utf8_lossy(location.as_bytes());
                let next = url.join(&location).map_err(failed)?;
                if url.scheme() == "https" && next.scheme() != "https" {
                    return Err(failed("a redirect from https to http is not followed"));
                }
                url = next;
            }
            Err(failed("stopped after 10 redirects"))
        };
        self.in_time(follow).await
    }

    /// POST of a form that is encoded already, with an Authorization header where it is given.
    ///
    /// # Errors
    /// [`HttpError`]; a status is never an error, a redirect is not followed.
    pub async fn post_form(
        &self,
        url: &str,
        form: &str,
        authorization: Option<&str>,
    ) -> Result<HttpAnswer, HttpError> {
        let exchange = async {
            let url = parse(url)?;
            let mut request = self.request(Method::POST, &url);
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            if let Some(authorization) = authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            let response = self.send(&url, request, form.to_owned()).await?;
            self.read(response).await
        };
        self.in_time(exchange).await
    }

    /// POST of bytes, with further header lines.
    ///
    /// # Errors
    /// [`HttpError`]; a status is never an error, a redirect is not followed.
    pub async fn post_bytes(
        &self,
        url: &str,
        content_type: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<HttpAnswer, HttpError> {
        let exchange = async {
            let url = parse(url)?;
            let mut request = self.request(Method::POST, &url).header(CONTENT_TYPE, content_type);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let response = self.send(&url, request, body).await?;
            self.read(response).await
        };
        self.in_time(exchange).await
    }

    async fn in_time<F>(&self, exchange: F) -> Result<HttpAnswer, HttpError>
    where
        F: Future<Output = Result<HttpAnswer, HttpError>>,
    {
        let late = |_| failed(format!("no whole answer within {:?}", self.timeout));
        timeout(self.timeout, exchange).await.map_err(late)?
    }

    fn request(&self, method: Method, url: &Url) -> Builder {
        let request = Request::builder().method(method).header(USER_AGENT, self.user_agent);
        if url.username().is_empty() {
            return request;
        }
        let user = format!("{}:{}", url.username(), url.password().unwrap_or_default());
        request.header(AUTHORIZATION, format!("Basic {}", BASE64_STANDARD.encode(user)))
    }

    async fn send(
        &self,
        url: &Url,
        request: Builder,
        body: impl Into<Bytes>,
    ) -> Result<Response<Incoming>, HttpError> {
        // The part that is sent: neither the user's name nor the fragment.
        let mut bare = url.clone();
        let _ = bare.set_username("").and_then(|()| bare.set_password(None));
        bare.set_fragment(None);
        let request = request.uri(bare.as_str()).body(Full::new(body.into()));
        self.client.request(request.map_err(failed)?).await.map_err(|error| failed(whole(&error)))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<HttpAnswer, HttpError> {
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|text| text.to_str().ok());
        let retry_after_s = retry_after.and_then(|text| text.trim().parse().ok());
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .unwrap_or_default();
        let body = Limited::new(response.into_body(), self.body_bytes_max).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                HttpError::TooLarge(self.body_bytes_max)
            } else {
                failed(whole(&*error))
            }
        })?;
        Ok(HttpAnswer { status, content_type, retry_after_s, body: body.to_bytes().into() })
    }
}

/// Whether a text is a URL that the client can reach.
pub fn is_url(text: &str) -> bool {
    parse(text).is_ok()
}

fn parse(url: &str) -> Result<Url, HttpError> {
    let parsed = Url::parse(url).map_err(|error| failed(format!("{url:?}: {error}")))?;
    match parsed.scheme() {
        "http" | "https" => Ok(parsed),
        scheme => Err(failed(format!("{url:?}: unsupported protocol scheme {scheme:?}"))),
    }
}

fn failed(why: impl fmt::Display) -> HttpError {
    HttpError::Failed(why.to_string())
}

/// An error with what is behind it.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// Also for connections that speak another protocol.
///
/// # Errors
/// [`SettingsError`], naming what cannot be used.
pub fn client_config(trust: &TlsTrust) -> Result<ClientConfig, SettingsError> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if !trust.cipher_suites.is_empty() {
        let is_new = |suite: &rustls::SupportedCipherSuite| suite.tls13().is_some();
        let is_listed = |suite: &rustls::SupportedCipherSuite| {
            trust.cipher_suites.contains(&u16::from(suite.suite()))
        };
        if !provider.cipher_suites.iter().any(is_listed) {
            return Err(SettingsError::CipherSuites);
        }
        provider.cipher_suites.retain(|suite| is_new(suite) || is_listed(suite));
    }
    let provider = Arc::new(provider);
    let verifier = Verifier {
        chain: if trust.any_certificate { Chain::Any } else { chain(trust, &provider)? },
        provider: provider.clone(),
        fingerprints: trust.fingerprints.clone(),
    };
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder
        .map_err(|error| SettingsError::Client(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let Some((certificates, key)) = &trust.identity_pem else {
        return Ok(builder.with_no_client_auth());
    };
    let failed = |error: String| SettingsError::Client(format!("the own certificate: {error}"));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
    let chain = chain.map_err(|error| failed(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| failed(error.to_string()))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| failed(error.to_string()))
}

fn chain(trust: &TlsTrust, provider: &Arc<CryptoProvider>) -> Result<Chain, SettingsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = &trust.authorities_pem {
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate =
                certificate.map_err(|error| SettingsError::Authorities(format!("{error}")))?;
            roots
                .add(certificate)
                .map_err(|error| SettingsError::Authorities(error.to_string()))?;
            count += 1;
        }
        if count == 0 {
            return Err(SettingsError::Authorities("there is no certificate in it".to_owned()));
        }
    }
    if roots.is_empty() {
        return Ok(Chain::Nobody);
    }
    let verifier = web_pki(roots, provider);
    verifier.map(Chain::WebPki).map_err(|error| SettingsError::Client(error.to_string()))
}

fn web_pki(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, VerifierBuilderError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()
}

/// How certificates are looked at.
#[derive(Debug)]
enum Chain {
    Any,
    /// The system knows no authority.
    Nobody,
    WebPki(Arc<WebPkiServerVerifier>),
}

/// A look at certificates, and the fingerprints.
#[derive(Debug)]
struct Verifier {
    chain: Chain,
    provider: Arc<CryptoProvider>,
    fingerprints: Vec<[u8; FINGERPRINT_BYTES]>,
}

impl Verifier {
    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return false };
        let spki = parsed.subject_public_key_info();
        let sum = digest::digest(&digest::SHA256, &spki);
        self.fingerprints.iter().any(|print| print.as_slice() == sum.as_ref())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verify = |verifier: &WebPkiServerVerifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        match &self.chain {
            Chain::Any => {}
            Chain::Nobody => return Err(CertificateError::UnknownIssuer.into()),
            Chain::WebPki(verifier) => {
                verify(verifier)?;
            }
        }
        if self.fingerprints.is_empty() || self.is_pinned(end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        // A server can show any certificate beside its own: a pinned one counts when its own leads to it.
        let mut roots = RootCertStore::empty();
        if matches!(self.chain, Chain::WebPki(_)) {
            let pinned = intermediates.iter().filter(|shown| self.is_pinned(shown));
            roots.add_parsable_certificates(pinned.cloned());
        }
        match web_pki(roots, &self.provider) {
            Ok(verifier) => verify(&verifier),
            Err(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

// === impl SettingsError ===

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorities(why) => write!(f, "no certificate authority can be read: {why}"),
            Self::CipherSuites => f.write_str("none of the cipher suites is supported"),
            Self::Client(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for SettingsError {}

// === impl HttpError ===

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => f.write_str(why),
            Self::TooLarge(bytes) => write!(f, "the answer is larger than {bytes} bytes"),
        }
    }
}

impl std::error::Error for HttpError {}

#[cfg(test)]
mod tests;
