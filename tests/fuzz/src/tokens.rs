//! Tokens, key sets, and what revocations come in.

use shoal::features::auth::jwk::{Algorithm, KeyId, KeySet, Token};
use shoal::features::auth::revoker::gob;

/// The key that signed [`SIGNED`].
const KEYS: &[u8] =
    br#"{"keys":[{"kty":"oct","kid":"k","k":"dGhlIGtleSBvZiB0aGUgZnV6eiB0YXJnZXQsIDMyIEI"}]}"#;
/// The only token with that key's signature that can come up.
const SIGNED: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.eyJzdWIiOiJ1IiwiZXhwIjo0MDAwMDAwMDAwLCJyb2xlcyI6WyJhIiwiYiJdLCJuIjoxLjV9.W-U9Xcm76J6U7AfFoJFuGHMlmHqcOhqjOb8Ab2JC1Lw";

/// A token in a header: whatever it says, only the one that was signed is good.
pub fn token(input: &[u8]) {
    let Ok(token) = Token::parse(input) else { return };
    let _ = (token.algorithm().len(), token.ids().of(KeyId::Kid).len(), token.claimed_issuer());
    let algorithm = Algorithm::named("HS256").expect("it is in the table");
    let keys = KeySet::read(KEYS, algorithm, KeyId::Kid).expect("a set of ours");
    let key = keys.find("k").expect("it is in the set");
    assert_eq!(token.verify(key).is_ok(), input == SIGNED.as_bytes(), "{}", input.escape_ascii());
}

/// A key set, for every kind of algorithm: what is read must be found under a name.
pub fn key_set(input: &[u8]) {
    for name in ["HS256", "RS256", "PS384", "ES256", "ES512", "EdDSA"] {
        let algorithm = Algorithm::named(name).expect("it is in the table");
        let Ok(keys) = KeySet::read(input, algorithm, KeyId::Kid) else { continue };
        let Ok(token) = Token::parse(SIGNED.as_bytes()) else { panic!("a token of ours") };
        for kid in ["", "k", "r", "e"] {
            if let Some(key) = keys.find(kid) {
                assert!(key.is_for(algorithm));
                assert!(token.verify(key).is_err() || name == "HS256");
            }
        }
    }
}

/// A stream of messages to the revoker's port: each is read to its end, or ends the stream.
pub fn gob(input: &[u8]) {
    let mut decoder = gob::Decoder::default();
    let mut rest = input;
    while let Ok(Some((length, value))) = decoder.message(rest) {
        assert!(length > 0 && length <= rest.len());
        rest = &rest[length..];
        if let Some(value) = value {
            let _ = (value.text("ServiceMethod"), value.field("Elems").is_some());
        }
    }
}
