//! Key files that are encrypted: `secret_url` and `cypher_key` (krakend-jose, secrets).
//!
//! The data key is sealed with the key of the URL (`secretbox` of `NaCl`: a nonce of 24 bytes, then the box); the file is
//! AES-256-GCM under the digits of the data key's MD5 sum, a nonce of 12 bytes in front.

use std::fmt::{self, Write};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::constant_time;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use md5::{Digest, Md5};
use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit;
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit, StreamCipher};

/// The only scheme that needs no service of a cloud.
const SCHEME: &str = "base64key://";
const SECRET_BYTES: usize = 32;
const BOX_NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// Why a file cannot be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// A key management service, or no URL.
    Scheme,
    Secret,
    CypherKey,
    File,
}

/// Decrypts a key file.
///
/// # Errors
/// [`SecretError`], naming the part that does not fit.
pub fn decrypt(url: &str, cypher_key: &str, file: &[u8]) -> Result<Vec<u8>, SecretError> {
    let secret = url.strip_prefix(SCHEME).ok_or(SecretError::Scheme)?;
    let secret = base64(secret).ok_or(SecretError::Secret)?;
    let secret: [u8; SECRET_BYTES] = secret.try_into().map_err(|_| SecretError::Secret)?;
    let sealed = base64(cypher_key).ok_or(SecretError::CypherKey)?;
    let data_key = open_box(&secret, &sealed).ok_or(SecretError::CypherKey)?;
    let mut digits = String::new();
    for byte in Md5::digest(&data_key) {
        // Writing to a text cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    open_file(digits.as_bytes(), file).ok_or(SecretError::File)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).or_else(|_| BASE64_URL_SAFE.decode(text)).ok()
}

/// `crypto_secretbox_open` of `NaCl`: the first 32 bytes of the key stream are the key of the tag.
fn open_box(secret: &[u8; SECRET_BYTES], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_at_checked(BOX_NONCE_BYTES)?;
    let (tag, text) = sealed.split_at_checked(TAG_BYTES)?;
    let mut stream = XSalsa20::new_from_slices(secret, nonce).ok()?;
    let mut tag_key = [0; 32];
    stream.apply_keystream(&mut tag_key);
    let expected = Poly1305::new(&tag_key.into()).compute_unpadded(text);
    constant_time::verify_slices_are_equal(&expected, tag).ok()?;
    let mut text = text.to_vec();
    stream.apply_keystream(&mut text);
    Some(text)
}

fn open_file(key: &[u8], file: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = file.split_at_checked(NONCE_LEN)?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = sealed.to_vec();
    let opened = key.open_in_place(nonce, Aad::empty(), &mut text).ok()?.len();
    text.truncate(opened);
    Some(text)
}

// === impl SecretError ===

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "secret_url is not of the form base64key://…",
            Self::Secret => "secret_url does not hold 32 bytes in base64",
            Self::CypherKey => "cypher_key cannot be opened with secret_url",
            Self::File => "the key file cannot be decrypted with cypher_key",
        })
    }
}

impl std::error::Error for SecretError {}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "base64key://AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn a_box_opens_with_its_key_and_only_whole() {
        let key: [u8; 32] = [
            0x1b, 0x27, 0x55, 0x64, 0x73, 0xe9, 0x85, 0xd4, 0x62, 0xcd, 0x51, 0x19, 0x7a, 0x9a,
            0x46, 0xc7, 0x60, 0x09, 0x54, 0x9e, 0xac, 0x64, 0x74, 0xf2, 0x06, 0xc4, 0xee, 0x08,
            0x44, 0xf6, 0x83, 0x89,
        ];
        let nonce = [0x69; BOX_NONCE_BYTES];
        let mut stream = XSalsa20::new_from_slices(&key, &nonce).expect("lengths");
        let mut tag_key = [0; 32];
        stream.apply_keystream(&mut tag_key);
        let mut text = b"the data key".to_vec();
        stream.apply_keystream(&mut text);
        let tag = Poly1305::new(&tag_key.into()).compute_unpadded(&text);
        let mut sealed = [nonce.as_slice(), &tag, &text].concat();
        assert_eq!(open_box(&key, &sealed).as_deref(), Some(&b"the data key"[..]));
        sealed[30] ^= 1;
        assert_eq!(open_box(&key, &sealed), None, "a changed tag");
        assert_eq!(open_box(&key, &sealed[..20]), None, "cut off");
    }

    #[test]
    fn every_part_that_does_not_fit_is_named() {
        for (url, cypher_key, error) in [
            ("awskms://alias/x?region=us-east-1", "", SecretError::Scheme),
            ("", "", SecretError::Scheme),
            ("base64key://AAEC", "", SecretError::Secret),
            (URL, "?", SecretError::CypherKey),
            (URL, "AAAA", SecretError::CypherKey),
        ] {
            assert_eq!(decrypt(url, cypher_key, b""), Err(error), "{url}");
        }
    }
}
