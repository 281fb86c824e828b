//! `Certificates`: reads certificates, keys and authorities, and reads them again when their files have changed.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ::aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{
    CryptoProvider, SupportedKxGroup, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, NamedGroup, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};

use super::pinned::Pinned;
use crate::control::files::{FileWatch, Seen};
use crate::plan::Plan;
use crate::plan::tls::{Authorities, ClientTls, KeyFiles, Protocol, ServerTls, Version};
use crate::shared::log::Log;
use crate::shared::published::Published;
use crate::upstream::connect;

/// Tickets that a client gets at the end of a full handshake of TLS 1.3, as from Go's server.
const TICKETS: usize = 1;
/// A client that must show a certificate is told the names of so many authorities at most.
const HINTS_MAX: usize = 32;

/// What is in use, and what it was read from.
pub struct Certificates {
    pub server: Option<Published<Arc<ServerConfig>>>,
    pub client: Published<connect::ClientTls>,
    server_plan: Option<ServerTls>,
    client_plan: ClientTls,
    server_files: Seen,
    client_files: Seen,
    server_notes: Vec<String>,
    client_notes: Vec<String>,
}

impl Certificates {
    /// Reads what the plan names.
    ///
    /// # Errors
    /// In one line, when clients cannot be served. Files that only narrow whom we trust are left out, see `notes`.
    pub fn load(plan: &Plan) -> Result<Certificates, String> {
        if plan.tls.is_some() || plan.calls_tls() {
            warm_up();
        }
        let server_files = Seen::now(plan.tls.as_ref().map_or_else(Vec::new, server_paths));
        let client_files = Seen::now(client_paths(&plan.client_tls));
        let (mut server_notes, mut client_notes) = (Vec::new(), Vec::new());
        let server = match &plan.tls {
            Some(tls) => Some(Published::new(server_config(tls, &mut server_notes)?)),
            None => None,
        };
        // The system's authorities cost megabytes and milliseconds: who does not need them does not read them. Files that
        // are named are read at once, so that mistakes are told.
        let client = if !client_files.is_empty() || plan.calls_tls() {
            client_config(&plan.client_tls, &mut client_notes)?
        } else {
            connect::ClientTls::Unread
        };
        Ok(Certificates {
            server,
            client: Published::new(client),
            server_plan: plan.tls.clone(),
            client_plan: plan.client_tls.clone(),
            server_files,
            client_files,
            server_notes,
            client_notes,
        })
    }

    /// Publishes these through the doors of those before them, which the cores know.
    pub fn take_over(&mut self, before: &Certificates) {
        if let (Some(own), Some(door)) = (&self.server, &before.server) {
            door.publish(Arc::clone(&own.latest()));
            self.server = Some(door.clone());
        }
        let read = connect::ClientTls::clone(&self.client.latest());
        if !matches!(read, connect::ClientTls::Unread) {
            before.client.publish(read);
        }
        self.client = before.client.clone();
    }

    /// What could not be read and was left out.
    pub fn notes(&self) -> impl Iterator<Item = &String> {
        self.server_notes.iter().chain(&self.client_notes)
    }

    /// Reads what upstreams need when the first one is called over TLS after all: on a thread of its own, once.
    pub fn wanted(&self, log: &Log) -> connect::Wanted {
        let (published, plan, log) = (self.client.clone(), self.client_plan.clone(), log.clone());
        let is_begun = AtomicBool::new(false);
        Arc::new(move || {
            if is_begun.swap(true, Ordering::Relaxed) {
                return;
            }
            let (published, plan, log) = (published.clone(), plan.clone(), log.clone());
            let read = move || match client_config(&plan, &mut Vec::new()) {
                Ok(config) => {
                    let _ = SystemRandom::new().fill(&mut [0; 32]);
                    published.publish(config);
                }
                Err(why) => log.error(format_args!("client_tls: {why}")),
            };
            // Without a thread calls over TLS time out, as everything would that needs one.
            drop(thread::Builder::new().name("authorities".into()).spawn(read));
        })
    }

    /// What keeps the certificates fresh: one watch for each side that has files.
    pub fn watches(&self) -> Vec<FileWatch> {
        let mut watches = Vec::new();
        if let (Some(published), Some(plan)) = (self.server.clone(), self.server_plan.clone()) {
            let mut known = self.server_notes.clone();
            let reload = move |log: &Log| {
                reload("tls", log, &published, &mut known, |notes| server_config(&plan, notes));
            };
            watches.push(FileWatch::new("tls", self.server_files.clone(), Box::new(reload)));
        }
        let (published, plan) = (self.client.clone(), self.client_plan.clone());
        if !self.client_files.is_empty() {
            let mut known = self.client_notes.clone();
            let reload = move |log: &Log| {
                let read = |notes: &mut Vec<String>| client_config(&plan, notes);
                reload("client_tls", log, &published, &mut known, read);
            };
            watches.push(FileWatch::new("client_tls", self.client_files.clone(), Box::new(reload)));
        }
        watches
    }
}

/// The library gathers randomness for about a tenth of a second before the first number of a process: not on a core, and
/// not while a client waits.
fn warm_up() {
    let gather = || {
        let _ = SystemRandom::new().fill(&mut [0; 32]);
    };
    // Without the thread the first handshake waits.
    drop(thread::Builder::new().name("random".into()).spawn(gather));
}

/// Reads anew and publishes. Where that fails, or a file fails that did not before, the old ones stay in use.
fn reload<T>(
    name: &str,
    log: &Log,
    published: &Published<T>,
    known: &mut Vec<String>,
    read: impl FnOnce(&mut Vec<String>) -> Result<T, String>,
) {
    let mut notes = Vec::new();
    let result = read(&mut notes);
    let fresh = notes.iter().find(|note| !known.contains(note)).cloned();
    let result = fresh.map_or(result, Err);
    match result {
        Ok(config) => {
            published.publish(config);
            *known = notes;
            log.info(format_args!("{name}: the certificates were read again"));
        }
        Err(why) => log.error(format_args!("{name}: the old certificates stay in use: {why}")),
    }
}

fn server_paths(plan: &ServerTls) -> Vec<PathBuf> {
    let authorities = plan.client_authorities.iter().flat_map(|all| &all.files);
    key_paths(&plan.keys).chain(authorities.map(PathBuf::from)).collect()
}

fn client_paths(plan: &ClientTls) -> Vec<PathBuf> {
    key_paths(&plan.certificates).chain(plan.authorities.files.iter().map(PathBuf::from)).collect()
}

fn key_paths(keys: &[KeyFiles]) -> impl Iterator<Item = PathBuf> {
    keys.iter().flat_map(|pair| [&pair.certificate, &pair.private_key]).map(PathBuf::from)
}

fn server_config(plan: &ServerTls, notes: &mut Vec<String>) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(provider(&plan.protocol));
    let keys: Vec<Arc<CertifiedKey>> = plan
        .keys
        .iter()
        .map(|pair| certified_key(pair, &provider).map(Arc::new))
        .collect::<Result<_, String>>()?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(&plan.protocol))
        .map_err(|error| error.to_string())?;
    let builder = match &plan.client_authorities {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let roots = Arc::new(roots(authorities, notes).0);
            let has_many = roots.len() > HINTS_MAX;
            let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
            if has_many {
                verifier = verifier.clear_root_hint_subjects();
            }
            builder.with_client_cert_verifier(
                verifier.build().map_err(|_| "no authority of ca_certs can be read".to_owned())?,
            )
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByName { keys }));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = TICKETS;
    // New keys for tickets with every reading: who was let in by an authority that is gone shall show a certificate anew.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| error.to_string())?;
    Ok(Arc::new(config))
}

fn client_config(plan: &ClientTls, notes: &mut Vec<String>) -> Result<connect::ClientTls, String> {
    if !plan.protocol.is_possible() {
        return Ok(connect::ClientTls::Impossible);
    }
    let provider = Arc::new(provider(&plan.protocol));
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(&plan.protocol))
        .map_err(|error| error.to_string())?;
    let builder = if plan.is_insecure {
        let verifier = Arc::new(AnyCertificate { provider: provider.clone() });
        builder.dangerous().with_custom_certificate_verifier(verifier)
    } else {
        let (roots, own) = roots(&plan.authorities, notes);
        if roots.is_empty() {
            notes.push("client_tls: no authority is trusted, so no https upstream is".to_owned());
            builder.with_root_certificates(roots)
        } else {
            let verifier =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                    .build()
                    .map_err(|error| error.to_string())?;
            let verifier = Arc::new(Pinned::new(verifier, own));
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
    };
    let mut keys = Vec::new();
    for pair in &plan.certificates {
        match certified_key(pair, &provider) {
            Ok(key) => keys.push(Arc::new(key)),
            Err(why) => notes.push(format!("client_tls.client_certs: {why}")),
        }
    }
    Ok(connect::ClientTls::Ready(Arc::new(if keys.is_empty() {
        builder.with_no_client_auth()
    } else {
        builder.with_client_cert_resolver(Arc::new(ByAuthority { keys }))
    })))
}

fn versions(protocol: &Protocol) -> Vec<&'static SupportedProtocolVersion> {
    [(Version::Tls13, &rustls::version::TLS13), (Version::Tls12, &rustls::version::TLS12)]
        .into_iter()
        .filter(|(version, _)| (protocol.min..=protocol.max).contains(version))
        .map(|(_, version)| version)
        .collect()
}

/// The library's suites and groups, narrowed to what is configured and in that order.
fn provider(protocol: &Protocol) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if !protocol.suites.is_empty() {
        let place = |suite: u16| protocol.suites.iter().position(|wanted| *wanted == suite);
        let is_13 = |suite: &rustls::SupportedCipherSuite| suite.tls13().is_some();
        provider
            .cipher_suites
            .retain(|suite| is_13(suite) || place(suite.suite().into()).is_some());
        provider.cipher_suites.sort_by_key(|suite| place(suite.suite().into()));
    }
    let groups: Vec<&'static dyn SupportedKxGroup> =
        protocol.groups.iter().filter_map(|id| group(NamedGroup::from(*id))).collect();
    if !groups.is_empty() {
        provider.kx_groups = groups;
    }
    provider
}

fn group(id: NamedGroup) -> Option<&'static dyn SupportedKxGroup> {
    Some(match id {
        NamedGroup::secp256r1 => kx_group::SECP256R1,
        NamedGroup::secp384r1 => kx_group::SECP384R1,
        NamedGroup::X25519 => kx_group::X25519,
        NamedGroup::X25519MLKEM768 => kx_group::X25519MLKEM768,
        _ => return None,
    })
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{path}: {error}"))
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{path}: {error}"))?;
    if chain.is_empty() { Err(format!("{path}: no PEM certificate in it")) } else { Ok(chain) }
}

fn certified_key(pair: &KeyFiles, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let KeyFiles { certificate, private_key } = pair;
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read(private_key)?)
        .map_err(|error| format!("{private_key}: {error}"))?;
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| format!("{certificate} and {private_key}: {error}"))
}

/// All that count, and those of them that were named.
fn roots(
    authorities: &Authorities,
    notes: &mut Vec<String>,
) -> (RootCertStore, Vec<CertificateDer<'static>>) {
    let mut roots = RootCertStore::empty();
    if authorities.with_system {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let mut own = Vec::new();
    for path in &authorities.files {
        match certificates(path) {
            Ok(chain) => {
                let (added, _) = roots.add_parsable_certificates(chain.iter().cloned());
                if added == 0 {
                    notes.push(format!("{path}: no authority in it can be used"));
                }
                own.extend(chain);
            }
            Err(why) => notes.push(format!("{why}; it is left out")),
        }
    }
    (roots, own)
}

/// Shows the first certificate that fits the name a client asks for and that it can check, else the first.
struct ByName {
    keys: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    fn fits(key: &CertifiedKey, hello: &ClientHello<'_>) -> bool {
        if key.key.choose_scheme(hello.signature_schemes()).is_none() {
            return false;
        }
        let Some(name) = hello.server_name() else { return true };
        let Ok(name) = ServerName::try_from(name) else { return true };
        let leaf = key.end_entity_cert().and_then(ParsedCertificate::try_from);
        leaf.is_ok_and(|leaf| rustls::client::verify_server_name(&leaf, &name).is_ok())
    }
}

impl fmt::Debug for ByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByName").field("keys", &self.keys.len()).finish()
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let first = self.keys.first()?;
        if self.keys.len() == 1 {
            return Some(first.clone());
        }
        let fitting = self.keys.iter().find(|key| ByName::fits(key, &hello));
        Some(fitting.unwrap_or(first).clone())
    }
}

/// Shows an upstream the first certificate that one of the authorities it names has signed.
struct ByAuthority {
    keys: Vec<Arc<CertifiedKey>>,
}

impl fmt::Debug for ByAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByAuthority").field("keys", &self.keys.len()).finish()
    }
}

impl rustls::client::ResolvesClientCert for ByAuthority {
    fn resolve(
        &self,
        authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let can_sign = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        // A certificate holds its issuer's name in the same encoding that the upstream sends.
        let is_known = |key: &&Arc<CertifiedKey>| {
            authorities.is_empty()
                || key.cert.iter().any(|certificate| {
                    authorities.iter().any(|name| memchr::memmem::find(certificate, name).is_some())
                })
        };
        self.keys.iter().filter(can_sign).find(is_known).cloned()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// `allow_insecure_connections`: whatever an upstream shows, if only it holds the key to it.
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for AnyCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyCertificate")
    }
}

impl ServerCertVerifier for AnyCertificate {
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
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
