//! `SigningKey`: a private JWK, read for one algorithm, and the tokens it makes (RFC 7515 section 5.1).

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents};
use aws_lc_rs::signature::{
    EcdsaKeyPair, Ed25519KeyPair, RsaEncoding, RsaPublicKeyComponents as PublicKeyComponents,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;

use super::algorithm::{Algorithm, Family};
use super::key::{Jwk, KeyError};
use super::{set, strict};
use crate::json;

/// A key that signs.
pub struct SigningKey {
    signer: Signer,
    /// The protected header, encoded.
    header: String,
}

enum Signer {
    Secret(Box<hmac::Key>),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Why there is no key to sign with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningError {
    Set(String),
    /// No key of the set has this name.
    Unknown(String),
    /// It is not private, or of a kind that the algorithm does not take.
    Key(String),
}

// === impl SigningKey ===

impl SigningKey {
    /// Finds a key in a set by its `kid`; the last of the name counts.
    ///
    /// # Errors
    /// [`SigningError`]
    pub fn find(
        text: &[u8],
        algorithm: Algorithm,
        kid: &str,
        typ: &str,
    ) -> Result<SigningKey, SigningError> {
        let parsed = strict::parse(text).map_err(|error| SigningError::Set(error.to_string()))?;
        let list = set::list_of(&parsed).map_err(|error| SigningError::Set(error.to_string()))?;
        let has_name = |members: &&serde_json::Map<String, serde_json::Value>| {
            members.get("kid").and_then(|kid| kid.as_str()).unwrap_or_default() == kid
        };
        let jwk = list.iter().rev().filter_map(|entry| entry.as_object()).find(has_name);
        let jwk = Jwk(jwk.ok_or_else(|| SigningError::Unknown(kid.to_owned()))?);
        let signer = Signer::read(&jwk, algorithm)?;
        let mut header = Vec::new();
        let mut separator = b'{';
        let members = [("alg", algorithm.name()), ("kid", kid), ("typ", typ)];
        for (name, value) in members.into_iter().filter(|(_, value)| !value.is_empty()) {
            header.push(separator);
            json::write_string(name, &mut header);
            header.push(b':');
            json::write_string(value, &mut header);
            separator = b',';
        }
        header.push(b'}');
        let header = json::html_escaped(&String::from_utf8(header).unwrap_or_default());
        Ok(SigningKey { signer, header: BASE64_URL.encode(header) })
    }

    /// A token in its compact form, or as the JSON text of its three parts. `None`: the library could not sign.
    pub fn token(&self, payload: &[u8], is_full: bool) -> Option<String> {
        let payload = BASE64_URL.encode(payload);
        let mut token = format!("{}.{payload}", self.header);
        let signature = BASE64_URL.encode(self.signer.sign(token.as_bytes())?);
        if is_full {
            let protected = &self.header;
            return Some(format!(
                r#"{{"payload":"{payload}","protected":"{protected}","signature":"{signature}"}}"#
            ));
        }
        token.push('.');
        token.push_str(&signature);
        Some(token)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("header", &self.header).finish_non_exhaustive()
    }
}

// === impl Signer ===

impl Signer {
    fn read(jwk: &Jwk<'_>, algorithm: Algorithm) -> Result<Signer, SigningError> {
        let wrong = |error: KeyError| SigningError::Key(error.to_string());
        let rejected = |what: &str| SigningError::Key(format!("the {what} key is rejected"));
        let kind = jwk.text("kty").map_err(wrong)?;
        match (kind, algorithm.family()) {
            ("oct", Family::Hmac(hash)) => {
                let secret = jwk.bytes("k").map_err(wrong)?;
                Ok(Signer::Secret(Box::new(hmac::Key::new(hash, &secret))))
            }
            ("RSA", Family::Rsa(_, encoding)) => {
                let part = |name| jwk.number(name).map_err(wrong);
                let components = KeyPairComponents {
                    public_key: PublicKeyComponents { n: part("n")?, e: part("e")? },
                    d: part("d")?,
                    p: part("p")?,
                    q: part("q")?,
                    dP: part("dp")?,
                    dQ: part("dq")?,
                    qInv: part("qi")?,
                };
                let pair = RsaKeyPair::from_components(&components);
                pair.map(|pair| Signer::Rsa(pair, encoding)).map_err(|_| rejected("RSA"))
            }
            ("EC", Family::Ec(curve, _, signing)) if jwk.text("crv") == Ok(curve) => {
                let point = jwk.point().map_err(wrong)?;
                let length = point.len() / 2;
                let mut secret = jwk.number("d").map_err(wrong)?;
                let zeros = length.checked_sub(secret.len()).ok_or_else(|| rejected("EC"))?;
                secret.splice(..0, std::iter::repeat_n(0, zeros));
                EcdsaKeyPair::from_private_key_and_public_key(signing, &secret, &point)
                    .map(Signer::Ec)
                    .map_err(|_| rejected("EC"))
            }
            ("OKP", Family::Ed25519) if jwk.text("crv") == Ok("Ed25519") => {
                let (seed, public) =
                    (jwk.bytes("d").map_err(wrong)?, jwk.bytes("x").map_err(wrong)?);
                Ed25519KeyPair::from_seed_and_public_key(&seed, &public)
                    .map(Signer::Ed25519)
                    .map_err(|_| rejected("Ed25519"))
            }
            _ => {
                let name = algorithm.name();
                Err(SigningError::Key(format!("a key of type {kind} cannot sign {name}")))
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Signer::Secret(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Signer::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Signer::Ec(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Signer::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
        }
    }
}

// === impl SigningError ===

impl fmt::Display for SigningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(why) | Self::Key(why) => f.write_str(why),
            Self::Unknown(kid) => write!(f, "no key of the set is called {kid:?}"),
        }
    }
}

impl std::error::Error for SigningError {}
