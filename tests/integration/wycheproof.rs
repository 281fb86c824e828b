//! Project Wycheproof's vectors for JSON web signatures and keys: what is marked invalid is refused, what is valid is accepted.
//!
//! The vectors are other people's work and not part of this repository: they are read from `../shared/data/wycheproof`, or
//! from below `SHOAL_TEST_DATA`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shoal::features::auth::jwk::{Algorithm, KeyId, KeySet, Token};

/// Marked invalid and accepted, by file and number; docs/security.md has the same list.
const ACCEPTED: &[(&str, u64)] = &[
    // `use` and `key_ops` of a key are not looked at, as in the original.
    (SIGNATURES, 353),
    (SIGNATURES, 354),
    (SIGNATURES, 355),
    (SIGNATURES, 356),
    (KEYS, 21),
    // Byte for byte the same token as 357, which is valid: the padding that is meant was lost in the file.
    (SIGNATURES, 367),
    (SIGNATURES, 370),
    // Secrets and public keys in one set, as in the original: each key serves its own algorithms.
    (KEYS, 1),
    // A modulus whose primes were made badly is not looked for.
    (KEYS, 7),
    // Secrets shorter than the hash, as in the original.
    (KEYS, 10),
    (KEYS, 11),
    (KEYS, 12),
];
/// Marked valid and refused.
const REFUSED: &[(&str, u64)] = &[
    // Characters in a part that are not of its alphabet.
    (SIGNATURES, 372),
    (SIGNATURES, 373),
    // PS384 with a key that says PS256: the configured algorithm decides.
    (SIGNATURES, 346),
    (SIGNATURES, 350),
];

const SIGNATURES: &str = "json_web_signature_test.json";
const KEYS: &str = "json_web_key_test.json";

fn folder() -> PathBuf {
    let data = std::env::var_os("SHOAL_TEST_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    data.join("wycheproof")
}

/// Whether a token verifies with these keys under this algorithm.
fn accepts(keys: &Value, algorithm: Algorithm, jws: &str) -> bool {
    let set = if keys.get("keys").is_some() { keys.clone() } else { json!({"keys": [keys]}) };
    let Ok(set) = KeySet::read(set.to_string().as_bytes(), algorithm, KeyId::Kid) else {
        return false;
    };
    let Ok(token) = Token::parse(jws.as_bytes()) else { return false };
    // A few vectors name no key, or have one without a name.
    let only = keys.get("kid").and_then(Value::as_str).unwrap_or_default();
    let key = set.find(&token.ids().of(KeyId::Kid)).or_else(|| set.find(only));
    token.algorithm() == algorithm.name() && key.is_some_and(|key| token.payload(key).is_ok())
}

/// The algorithm that a validator would be set to for a group: its key's, else the token's.
fn algorithm(keys: &Value, jws: &str) -> Option<Algorithm> {
    let first = keys.get("keys").and_then(|list| list.get(0)).unwrap_or(keys);
    // RFC 7520 says ES521 where RFC 7518 says ES512.
    match first.get("alg").and_then(Value::as_str) {
        Some("ES521") => Some(Algorithm::Es512),
        Some(name) => Algorithm::named(name),
        None => Algorithm::named(Token::parse(jws.as_bytes()).ok()?.algorithm()),
    }
}

fn check(file: &str) {
    let path = folder().join(file);
    let Ok(text) = std::fs::read(&path) else {
        eprintln!("{} is not there: nothing was checked", path.display());
        return;
    };
    let vectors: Value = serde_json::from_slice(&text).expect("JSON");
    let (mut wrong, mut count) = (Vec::new(), 0);
    for group in vectors["testGroups"].as_array().expect("groups") {
        let keys = group.get("public").unwrap_or(&group["private"]);
        for test in group["tests"].as_array().expect("tests") {
            let (id, jws) = (test["tcId"].as_u64().expect("a number"), test["jws"].as_str());
            let jws = jws.unwrap_or_default();
            let is_valid = test["result"] == "valid";
            let listed = if is_valid { REFUSED } else { ACCEPTED }.contains(&(file, id));
            let accepted = algorithm(keys, jws).is_some_and(|alg| accepts(keys, alg, jws));
            count += 1;
            if accepted != (is_valid != listed) {
                wrong.push(format!("{id} {} ({}): {accepted}", test["comment"], test["result"]));
            }
        }
    }
    assert!(count > 20, "only {count} vectors");
    assert!(wrong.is_empty(), "{file}, of {count}:\n{}", wrong.join("\n"));
}

#[test]
fn signatures_are_judged_as_wycheproof_marks_them() {
    check(SIGNATURES);
}

#[test]
fn keys_are_judged_as_wycheproof_marks_them() {
    check(KEYS);
}
