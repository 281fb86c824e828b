//! Where keys come from: the options that validators and signers share.

use std::time::Duration;

use serde::Deserialize;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;

use super::secret;
use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::control::http_client::{FINGERPRINT_BYTES, HttpSettings, TlsTrust};
use crate::plan::feature::Fallback;

/// How long a key server may take for its whole answer.
const FETCH: Duration = Duration::from_secs(15);
/// The largest key set in bytes, in a file as well.
const SET_BYTES_MAX: usize = 1024 * 1024;
/// How the gateway names itself to key servers, as the original does.
const USER_AGENT: &str = "KrakenD Version 2.13.8";

/// The members of a block that say where its keys are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct KeyOptions {
    pub jwk_url: String,
    pub jwk_local_path: String,
    pub secret_url: String,
    pub cypher_key: String,
    pub disable_jwk_security: bool,
    pub jwk_local_ca: String,
    pub jwk_fingerprints: Vec<String>,
    pub cipher_suites: Vec<u16>,
}

/// Where the keys are.
pub enum Place {
    /// A key set, as it stood in its file.
    File(Vec<u8>),
    Url(String, HttpSettings),
}

/// The members of [`KeyOptions`].
pub const MEMBERS: [&str; 8] = [
    "jwk_url",
    "jwk_local_path",
    "secret_url",
    "cypher_key",
    "disable_jwk_security",
    "jwk_local_ca",
    "jwk_fingerprints",
    "cipher_suites",
];

/// A block decoded; `null` is the same as nothing. A guard that cannot be understood seals its endpoint.
///
/// # Errors
/// [`Fallback::Seal`] with 401.
pub fn decode<T: serde::de::DeserializeOwned>(block: &Block) -> Result<T, Fallback> {
    let mut value = block.value.clone();
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null());
    }
    serde_json::from_value(value).map_err(|error| sealed(block, "", error.to_string()))
}

/// The endpoint answers 401 in a lenient start, as it does in the original.
pub fn sealed(block: &Block, member: &str, what: impl Into<String>) -> Fallback {
    let problem = Problem::lenient(place_of(block, member), what);
    Fallback::Seal(401, problem.hint("--lenient answers every request there with 401"))
}

/// The start is refused, as it is in the original.
pub fn refused(block: &Block, member: &str, what: impl Into<String>) -> Problem {
    Problem::refuse(place_of(block, member), what)
}

fn place_of(block: &Block, member: &str) -> crate::config::problem::Place {
    if member.is_empty() { block.place.clone() } else { block.place_at(&format!("/{member}")) }
}

// === impl KeyOptions ===

impl KeyOptions {
    /// Reads what is needed to reach the keys.
    ///
    /// # Errors
    /// A file, a fingerprint or a secret that cannot be used refuses the start; a URL in the clear seals the endpoint.
    pub fn open(&self, block: &Block) -> Result<Place, Fallback> {
        let refuse = |member: &str, what: String| Fallback::Refuse(refused(block, member, what));
        if !self.disable_jwk_security && !self.jwk_url.starts_with("https://") {
            let what = "JWK client is using an insecure connection to the JWK service";
            let Fallback::Seal(status, problem) = sealed(block, "jwk_url", what) else {
                return Err(refuse("jwk_url", what.to_owned()));
            };
            let hint = "keys come over https, or from jwk_local_path; set disable_jwk_security to allow that \
                        (a file needs it as well)";
            return Err(Fallback::Seal(status, problem.hint(hint)));
        }
        if !self.jwk_local_path.is_empty() {
            return self.read_file(block).map(Place::File);
        }
        if self.jwk_url.is_empty() {
            return Err(sealed(block, "", "there is neither jwk_url nor jwk_local_path"));
        }
        let mut tls = TlsTrust {
            any_certificate: self.disable_jwk_security,
            cipher_suites: self.cipher_suites.clone(),
            ..TlsTrust::default()
        };
        if !self.jwk_local_ca.is_empty() {
            let pem = read(&self.jwk_local_ca).map_err(|why| refuse("jwk_local_ca", why))?;
            tls.authorities_pem = Some(pem);
        }
        for (index, text) in self.jwk_fingerprints.iter().enumerate() {
            let print = BASE64_URL_SAFE.decode(text).ok();
            let print = print.and_then(|bytes| <[u8; FINGERPRINT_BYTES]>::try_from(bytes).ok());
            tls.fingerprints.push(print.ok_or_else(|| {
                let what = format!("{text:?} is no SHA-256 sum in base64url with its padding");
                refuse(&format!("jwk_fingerprints/{index}"), what)
            })?);
        }
        let http = HttpSettings {
            user_agent: USER_AGENT,
            timeout: FETCH,
            body_bytes_max: SET_BYTES_MAX,
            tls,
        };
        Ok(Place::Url(self.jwk_url.clone(), http))
    }

    fn read_file(&self, block: &Block) -> Result<Vec<u8>, Fallback> {
        let path = &self.jwk_local_path;
        let text =
            read(path).map_err(|why| Fallback::Refuse(refused(block, "jwk_local_path", why)))?;
        if self.secret_url.is_empty() {
            return Ok(text);
        }
        secret::decrypt(&self.secret_url, &self.cypher_key, &text).map_err(|error| {
            let problem = refused(block, "secret_url", format!("{path}: {error}"));
            Fallback::Refuse(match error {
                secret::SecretError::Scheme => problem.hint(
                    "key management services of clouds are not built: decrypt the file before the start and \
                     leave secret_url out, or use base64key://",
                ),
                _ => problem,
            })
        })
    }
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    let text = std::fs::read(path).map_err(|error| format!("{path} cannot be read: {error}"))?;
    if text.len() > SET_BYTES_MAX {
        return Err(format!("{path} is larger than {SET_BYTES_MAX} bytes"));
    }
    Ok(text)
}
