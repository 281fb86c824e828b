//! `Key`: one JWK, read for one algorithm (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    EcdsaVerificationAlgorithm, ParsedPublicKey, RsaPublicKeyComponents,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Family};

/// What a token and a key must have in common: `key_identify_strategy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyId {
    #[default]
    Kid,
    X5t,
    X5tS256,
    KidX5t,
}

/// A key that verifies one algorithm, or none: a key of another kind, or a private one.
pub struct Key {
    /// Tells keys apart by what they verify, across sets.
    digest: [u8; DIGEST_BYTES],
    algorithm: Algorithm,
    verifier: Option<Verifier>,
}

const DIGEST_BYTES: usize = 32;
/// Length of an Ed25519 public key in bytes.
const ED25519_BYTES: usize = 32;

enum Verifier {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// Why a key is none, and with it the whole set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    Member(&'static str),
    Curve(String),
    Point,
    /// A kind that RFC 7518 does not know; such keys are left out.
    Kind(String),
}

/// The members of a JWK.
pub struct Jwk<'j>(pub &'j Map<String, Value>);

// === impl KeyId ===

impl KeyId {
    /// `None` for a name that means nothing; the original then takes the kid.
    pub fn named(name: &str) -> Option<KeyId> {
        Some(match name {
            "" | "kid" => KeyId::Kid,
            "x5t" => KeyId::X5t,
            "x5t#S256" => KeyId::X5tS256,
            "kid_x5t" => KeyId::KidX5t,
            _ => return None,
        })
    }
}

// === impl Key ===

impl Key {
    /// Reads a JWK for an algorithm.
    ///
    /// # Errors
    /// [`KeyError`] for what is no JWK. A key that is one and cannot verify the algorithm is no error: it refuses all.
    pub fn read(jwk: &Jwk<'_>, algorithm: Algorithm) -> Result<Key, KeyError> {
        let mut sum = digest::Context::new(&digest::SHA256);
        sum.update(algorithm.name().as_bytes());
        let family = algorithm.family();
        let is_private = jwk.0.contains_key("d");
        let verifier = match jwk.text("kty")? {
            "oct" => {
                let secret = jwk.bytes("k")?;
                sum.update(b"oct");
                sum.update(&secret);
                match family {
                    Family::Hmac(hash) => {
                        Some(Verifier::Secret(Box::new(hmac::Key::new(hash, &secret))))
                    }
                    _ => None,
                }
            }
            "RSA" => {
                let (n, e) = (jwk.number("n")?, jwk.number("e")?);
                for part in [b"RSA", n.as_slice(), b",", &e] {
                    sum.update(part);
                }
                match family {
                    Family::Rsa(parameters, _) => RsaPublicKeyComponents { n, e }
                        .to_parsed_public_key(parameters)
                        .ok()
                        .map(Verifier::Public),
                    _ => None,
                }
            }
            "EC" => {
                let curve = jwk.text("crv")?;
                let point = jwk.point()?;
                sum.update(curve.as_bytes());
                sum.update(&point);
                let (natural, _) = curve_of(curve)?;
                // Of any curve, also where another is needed: a point beside its curve spoils the set.
                let parsed = ParsedPublicKey::new(natural, &point).map_err(|_| KeyError::Point)?;
                match family {
                    Family::Ec(wanted, ..) if wanted == curve => Some(Verifier::Public(parsed)),
                    _ => None,
                }
            }
            "OKP" => {
                let curve = jwk.text("crv")?;
                if curve != "Ed25519" {
                    return Err(KeyError::Curve(curve.to_owned()));
                }
                let x = jwk.bytes("x")?;
                if x.len() != ED25519_BYTES {
                    return Err(KeyError::Member("x"));
                }
                sum.update(b"Ed25519");
                sum.update(&x);
                let parsed = ParsedPublicKey::new(&ED25519, &x).map_err(|_| KeyError::Point)?;
                match family {
                    Family::Ed25519 => Some(Verifier::Public(parsed)),
                    _ => None,
                }
            }
            other => return Err(KeyError::Kind(other.to_owned())),
        };
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(sum.finish().as_ref());
        Ok(Key { digest, algorithm, verifier: verifier.filter(|_| !is_private) })
    }

    /// Whether the signature is this key's.
    pub fn is_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.verifier {
            Some(Verifier::Secret(key)) => hmac::verify(key, message, signature).is_ok(),
            Some(Verifier::Public(key)) => key.verify_sig(message, signature).is_ok(),
            None => false,
        }
    }

    /// Whether both verify the same signatures.
    pub fn is_same(&self, other: &Key) -> bool {
        self.digest == other.digest && self.verifier.is_some() == other.verifier.is_some()
    }

    /// Whether it was read for this algorithm.
    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithm == algorithm
    }

    /// Whether it can verify anything.
    pub fn is_usable(&self) -> bool {
        self.verifier.is_some()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("is_usable", &self.is_usable()).finish_non_exhaustive()
    }
}

// === impl Jwk ===

impl<'j> Jwk<'j> {
    pub fn text(&self, name: &'static str) -> Result<&'j str, KeyError> {
        self.0.get(name).and_then(Value::as_str).ok_or(KeyError::Member(name))
    }

    /// A member in base64url; padding is tolerated, as the original does.
    pub fn bytes(&self, name: &'static str) -> Result<Vec<u8>, KeyError> {
        let text = self.text(name)?.trim_end_matches('=');
        let bytes = BASE64_URL.decode(text).map_err(|_| KeyError::Member(name))?;
        if bytes.is_empty() { Err(KeyError::Member(name)) } else { Ok(bytes) }
    }

    /// The same without leading zeros.
    pub fn number(&self, name: &'static str) -> Result<Vec<u8>, KeyError> {
        let bytes = self.bytes(name)?;
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        if zeros == bytes.len() {
            return Err(KeyError::Member(name));
        }
        Ok(bytes.get(zeros..).unwrap_or_default().to_vec())
    }

    /// The point of a key on a curve, uncompressed (SEC 1 section 2.3.3).
    pub fn point(&self) -> Result<Vec<u8>, KeyError> {
        let (_, length) = curve_of(self.text("crv")?)?;
        let mut point = vec![4];
        for name in ["x", "y"] {
            let part = self.bytes(name)?;
            if part.len() != length {
                return Err(KeyError::Member(name));
            }
            point.extend_from_slice(&part);
        }
        Ok(point)
    }

    /// The name that tokens are to use for this key.
    pub fn id(&self, strategy: KeyId) -> Result<Box<str>, KeyError> {
        let kid = match self.0.get("kid") {
            None | Some(Value::Null) => "",
            Some(Value::String(kid)) => kid,
            Some(_) => return Err(KeyError::Member("kid")),
        };
        Ok(match strategy {
            KeyId::Kid => kid.into(),
            KeyId::X5t => self.thumbprint("x5t", 20)?.into(),
            KeyId::X5tS256 => self.thumbprint("x5t#S256", 32)?.into(),
            KeyId::KidX5t => (kid.to_owned() + &self.thumbprint("x5t", 20)?).into(),
        })
    }

    /// Some servers write the sum in hexadecimal digits before they encode it; go-jose takes both.
    fn thumbprint(&self, name: &'static str, length: usize) -> Result<String, KeyError> {
        if !self.0.contains_key(name) {
            return Ok(String::new());
        }
        let mut bytes = self.bytes(name)?;
        if bytes.len() == 2 * length {
            bytes = from_hex(&bytes).ok_or(KeyError::Member(name))?;
        }
        if bytes.len() == length {
            Ok(BASE64_URL.encode(bytes))
        } else {
            Err(KeyError::Member(name))
        }
    }
}

fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// A curve's verification, and the length of a coordinate in bytes.
fn curve_of(name: &str) -> Result<(&'static EcdsaVerificationAlgorithm, usize), KeyError> {
    match name {
        "P-256" => Ok((&ECDSA_P256_SHA256_FIXED, 32)),
        "P-384" => Ok((&ECDSA_P384_SHA384_FIXED, 48)),
        "P-521" => Ok((&ECDSA_P521_SHA512_FIXED, 66)),
        other => Err(KeyError::Curve(other.to_owned())),
    }
}

// === impl KeyError ===

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(name) => write!(f, "{name} is missing or wrong"),
            Self::Curve(name) => write!(f, "the curve {name} is not known"),
            Self::Point => f.write_str("the point is not on its curve"),
            Self::Kind(name) => write!(f, "the key type {name} is not known"),
        }
    }
}

impl std::error::Error for KeyError {}
