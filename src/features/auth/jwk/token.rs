//! `Token`: a signed token in its compact form, taken apart and not yet believed (RFC 7515 sections 3.1 and 5.2).

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;
use serde_json::{Map, Value};

use super::key::{Key, KeyId};
use super::strict;

/// The largest token in bytes; servers' heads are bounded at about as much.
pub const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// Header and parts of a token. Nothing in it is to be believed before [`Token::verify`].
#[derive(Debug)]
pub struct Token<'t> {
    /// Header and payload as they are signed.
    signed: &'t str,
    payload: &'t str,
    signature: &'t str,
    algorithm: String,
    ids: KeyIds,
}

/// What a token calls its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyIds {
    kid: Option<Box<str>>,
    x5t: Option<Box<str>>,
    x5t_s256: Option<Box<str>>,
}

/// Why a token is not good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    TooLong,
    /// No three parts.
    Form,
    /// A part that is no base64url without padding.
    Base64(&'static str),
    /// The header is no object that can be used, or has members that must be understood.
    Header(String),
    Signature,
    Payload(String),
}

// === impl Token ===

impl<'t> Token<'t> {
    /// Takes a token apart and reads its header.
    ///
    /// # Errors
    /// [`TokenError`] for what is no compact JWS, or has a header that cannot be trusted to say one thing only.
    pub fn parse(text: &'t [u8]) -> Result<Token<'t>, TokenError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let text = std::str::from_utf8(text).map_err(|_| TokenError::Form)?;
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Form)?;
        if payload.contains('.') || signature.is_empty() {
            return Err(TokenError::Form);
        }
        let header = BASE64_URL.decode(header).map_err(|_| TokenError::Base64("header"))?;
        let mut members =
            strict::parse_object(&header).map_err(|error| TokenError::Header(error.to_string()))?;
        if members.contains_key("crit") {
            return Err(TokenError::Header("crit: no extension is understood".to_owned()));
        }
        let algorithm = text_of(&mut members, "alg")?
            .ok_or_else(|| TokenError::Header("alg is missing".to_owned()))?;
        let kid = text_of(&mut members, "kid")?.map(String::into_boxed_str);
        let mut thumbprint = |name| match members.remove(name) {
            Some(Value::String(text)) => Some(text.into_boxed_str()),
            _ => None,
        };
        let ids = KeyIds { kid, x5t: thumbprint("x5t"), x5t_s256: thumbprint("x5t#S256") };
        Ok(Token { signed, payload, signature, algorithm, ids })
    }

    /// What the token says it was signed with; only ever compared with what is configured.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    pub fn ids(&self) -> &KeyIds {
        &self.ids
    }

    /// Who the token says made it. Only good for not asking somebody else's key server.
    pub fn claimed_issuer(&self) -> Option<String> {
        let payload = BASE64_URL.decode(self.payload).ok()?;
        match strict::parse_object(&payload).ok()?.remove("iss") {
            Some(Value::String(issuer)) => Some(issuer),
            _ => None,
        }
    }

    /// Checks the signature and gives what was signed, whatever it is.
    ///
    /// # Errors
    /// [`TokenError::Signature`], and what is no base64url.
    pub fn payload(&self, key: &Key) -> Result<Vec<u8>, TokenError> {
        let signature =
            BASE64_URL.decode(self.signature).map_err(|_| TokenError::Base64("signature"))?;
        if !key.is_signed(self.signed.as_bytes(), &signature) {
            return Err(TokenError::Signature);
        }
        BASE64_URL.decode(self.payload).map_err(|_| TokenError::Base64("payload"))
    }

    /// Checks the signature and reads the claims. A payload of `null` has none.
    ///
    /// # Errors
    /// Those of [`Token::payload`], and a payload that is no object.
    pub fn verify(&self, key: &Key) -> Result<Map<String, Value>, TokenError> {
        let payload = self.payload(key)?;
        match strict::parse(&payload).map_err(|error| TokenError::Payload(error.to_string()))? {
            Value::Object(members) => Ok(members),
            Value::Null => Ok(Map::new()),
            _ => Err(TokenError::Payload("no object".to_owned())),
        }
    }
}

// === impl KeyIds ===

impl KeyIds {
    /// The name of the key, as the strategy has it (krakend-jose, jwk.go): a thumbprint that is missing leaves the kid.
    pub fn of(&self, strategy: KeyId) -> Cow<'_, str> {
        let kid = self.kid.as_deref().unwrap_or_default();
        Cow::Borrowed(match strategy {
            KeyId::Kid => kid,
            KeyId::X5t => self.x5t.as_deref().unwrap_or(kid),
            KeyId::X5tS256 => self.x5t_s256.as_deref().unwrap_or(kid),
            KeyId::KidX5t => match self.x5t.as_deref() {
                Some(x5t) => return Cow::Owned(format!("{kid}{x5t}")),
                None => kid,
            },
        })
    }
}

/// A member of the header that is a text or not there.
fn text_of(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, TokenError> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::Header(format!("{name} is no text"))),
    }
}

// === impl TokenError ===

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the token is longer than {TOKEN_BYTES_MAX} bytes"),
            Self::Form => f.write_str("the token has not three parts"),
            Self::Base64(part) => write!(f, "the token's {part} is no base64url"),
            Self::Header(why) => write!(f, "the token's header cannot be used: {why}"),
            Self::Signature => f.write_str("the token's signature is wrong"),
            Self::Payload(why) => write!(f, "the token's payload cannot be used: {why}"),
        }
    }
}

impl std::error::Error for TokenError {}
