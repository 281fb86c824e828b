//! Time and allocations of a token at a validator: seen for the first time, and remembered.
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

#[allow(dead_code, reason = "each benchmark uses its own part")]
mod counting;

use std::hint::black_box;
use std::rc::Rc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;
use serde_json::{Value, json};
use shoal::features::auth::jwk::verified::{Times, Verified, VerifiedTokens};
use shoal::features::auth::jwk::{Algorithm, KeyId, KeySet, Token};
use shoal::stage::Claims;

const SECRET: &[u8; 32] = b"a secret of thirty-two bytes ...";
/// Calls between two looks at the clock.
const CALLS: u32 = 20;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL.encode(bytes)
}

fn main() {
    counting::title();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    // In DER: the modulus of 2048 bits stands behind nine bytes, then the exponent 65537.
    let modulus = &rsa.public_key().as_ref()[9..9 + 256];
    let jwk = json!({"kty": "RSA", "kid": "k", "n": b64(modulus), "e": "AQAB"});
    compare(Algorithm::Rs256, &jwk, &|text| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).expect("signs");
        signature
    });
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let point = ec.public_key().as_ref();
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": b64(&point[1..33]), "y": b64(&point[33..])});
    compare(Algorithm::Es256, &jwk, &|text| {
        ec.sign(&SystemRandom::new(), text).expect("signs").as_ref().to_vec()
    });
    let jwk = json!({"kty": "oct", "kid": "k", "k": b64(SECRET)});
    compare(Algorithm::Hs256, &jwk, &|text| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
        hmac::sign(&key, text).as_ref().to_vec()
    });
}

/// A token with the claims that identity providers send.
fn compare(algorithm: Algorithm, jwk: &Value, sign: &dyn Fn(&[u8]) -> Vec<u8>) {
    let claims = json!({"iss": "https://login.example.com/", "sub": "auth0|6f1c2d3e4b5a", "aud": ["https://api.example.com"],
        "iat": 1_700_000_000, "exp": 4_102_444_800_u64, "azp": "x7Qe0", "scope": "openid profile read:orders",
        "roles": ["user", "support"], "jti": "0b1c2d3e-4f5a-6b7c-8d9e-0f1a2b3c4d5e"});
    let header = json!({"alg": algorithm.name(), "typ": "JWT", "kid": "k"});
    let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let text = format!("{signed}.{}", b64(sign(signed.as_bytes())));
    let set = json!({"keys": [jwk]}).to_string();
    let set = KeySet::read(set.as_bytes(), algorithm, KeyId::Kid).expect("a set");
    let name = algorithm.name();
    let verify = || {
        let token = Token::parse(black_box(text.as_bytes())).expect("a token");
        let key = set.find(&token.ids().of(KeyId::Kid)).expect("a key");
        let claims = Claims::new(token.verify(key).expect("signed"));
        Verified {
            claims: Rc::new(claims),
            times: Times::default(),
            ids: token.ids().clone(),
            key: key.clone(),
        }
    };
    counting::measure(&format!("{name}, cold ({} bytes)", text.len()), CALLS, 80.0, &mut || {
        for _ in 0..CALLS {
            let verified = verify();
            assert!(verified.claims.get("sub").is_some());
            black_box(verified);
        }
    });
    let mut tokens = VerifiedTokens::default();
    tokens.keep(text.as_bytes(), Rc::new(verify()));
    counting::measure(&format!("{name}, remembered"), CALLS, 0.0, &mut || {
        for _ in 0..CALLS {
            let known = tokens.find(black_box(text.as_bytes())).expect("kept");
            let key = set.find(&known.ids.of(KeyId::Kid)).expect("a key");
            assert!(key.is_same(&known.key));
            black_box(known);
        }
    });
}
