//! Tokens at an endpoint, from the block in the configuration to the status: what is let in, and every attack by its name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{encoding, hmac};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;
use serde_json::{Value, json};

use super::*;
use crate::config::{self, problem::Severity};
use crate::message::forwarded::ClientIp;
use crate::message::head::RequestHead;
use crate::message::route_params::RouteParams;
use crate::shared::log::Log;
use crate::stage::{AddedHeaders, CallBody, clock};
use crate::wire::Peer;

const SECRET: &[u8] = b"a secret of thirty-two bytes ....";

/// Keys made once for all tests.
struct Keys {
    rsa: RsaKeyPair,
    other_rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    other_ec: EcdsaKeyPair,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let rsa = || RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let ec = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    Keys { rsa: rsa(), other_rsa: rsa(), ec: ec(), other_ec: ec() }
});

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL.encode(bytes)
}

fn rsa_jwk(pair: &RsaKeyPair, kid: &str) -> Value {
    let (n, e) = rsa_numbers(pair.public_key().as_ref());
    json!({"kty": "RSA", "kid": kid, "n": b64(n), "e": b64(e)})
}

/// Modulus and exponent of a key in DER (RFC 8017, appendix A.1.1), without leading zeros.
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    fn content<'d>(input: &mut &'d [u8]) -> &'d [u8] {
        let count = if input[1] < 128 { 0 } else { usize::from(input[1] & 127) };
        let length = match count {
            0 => usize::from(input[1]),
            _ => input[2..2 + count].iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte)),
        };
        let (content, rest) = input[2 + count..].split_at(length);
        *input = rest;
        content.strip_prefix(&[0]).unwrap_or(content)
    }
    let mut sequence = content(&mut { der });
    (content(&mut sequence), content(&mut sequence))
}

fn ec_jwk(pair: &EcdsaKeyPair, kid: &str) -> Value {
    let point = pair.public_key().as_ref();
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(&point[1..33]), "y": b64(&point[33..])})
}

fn set() -> Value {
    json!({"keys": [rsa_jwk(&KEYS.rsa, "r1"), ec_jwk(&KEYS.ec, "e1"),
        {"kty": "oct", "kid": "h1", "k": b64(SECRET)}]})
}

fn now() -> i64 {
    i64::try_from(now_ns() / 1_000_000_000).expect("before the year 292277026596")
}

fn claims() -> Value {
    json!({"iss": "https://issuer.test", "aud": "api", "sub": "anna", "exp": now() + 600, "roles": ["user"]})
}

fn signed_rsa(pair: &RsaKeyPair, encoding: &'static dyn RsaEncoding, text: &str) -> Vec<u8> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), text.as_bytes(), &mut signature).expect("signs");
    signature
}

/// A token of these texts, signed by `sign`.
fn token(header: &str, payload: &str, sign: impl Fn(&str) -> Vec<u8>) -> String {
    let text = format!("{}.{}", b64(header), b64(payload));
    let signature = sign(&text);
    format!("{text}.{}", b64(signature))
}

fn rs256(text: &str) -> Vec<u8> {
    signed_rsa(&KEYS.rsa, &RSA_PKCS1_SHA256, text)
}

fn es256(text: &str) -> Vec<u8> {
    KEYS.ec.sign(&SystemRandom::new(), text.as_bytes()).expect("signs").as_ref().to_vec()
}

fn hs256(secret: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

const RS: &str = r#"{"alg":"RS256","kid":"r1","typ":"JWT"}"#;
const ES: &str = r#"{"alg":"ES256","kid":"e1","typ":"JWT"}"#;
const HS: &str = r#"{"alg":"HS256","kid":"h1","typ":"JWT"}"#;

fn good() -> String {
    token(RS, &claims().to_string(), rs256)
}

/// Compiles a block at an endpoint.
fn compile(block: &Value) -> Result<Box<dyn EndpointStage>, Fallback> {
    let file = json!({"version": 3, "endpoints": [{"endpoint": "/a", "backend": [{"host": ["http://up"],
        "url_pattern": "/"}], "extra_config": {"auth/validator": block}}]});
    let loaded = config::parse("krakend.json", file.to_string().as_bytes(), &[]).expect("a file");
    let endpoint = &loaded.service.endpoints[0];
    let block = endpoint.extra_config.get("auth/validator").expect("a block");
    let mut draft = EndpointDraft { route: "/a".into(), ..EndpointDraft::default() };
    Validator.compile(block, &mut Site::Endpoint(&mut draft))?;
    Ok(draft.stages.first().map(|(_, build)| build()).expect("a stage"))
}

/// A folder that goes with the value.
struct Folder(std::path::PathBuf);

impl Folder {
    fn with(name: &str, set: &str) -> (Folder, String) {
        let folder = std::env::temp_dir().join(format!("shoal-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("set.json");
        std::fs::write(&file, set).expect("a file");
        (Folder(folder), file.to_string_lossy().into_owned())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A validator with the keys of [`set`], and further options.
fn stage(name: &str, alg: &str, more: &Value) -> Box<dyn EndpointStage> {
    let (_folder, path) = Folder::with(name, &set().to_string());
    let mut block = json!({"alg": alg, "jwk_local_path": path, "disable_jwk_security": true});
    let members = block.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    compile(&block).expect("a validator")
}

/// What a request with these headers gets: 200 when it is let in, and the headers that were put over its own.
fn seen(stage: &dyn EndpointStage, headers: &[(&str, &str)]) -> (u16, BTreeMap<String, String>) {
    let mut head = RequestHead::default();
    for (name, value) in headers {
        head.push_header(name.as_bytes(), value.as_bytes());
    }
    let peer = Peer::new(([127, 0, 0, 1], 4000).into(), false);
    let params = RouteParams::default();
    let mut exchange = Exchange {
        head: &head,
        peer: &peer,
        path: b"/a",
        params: &params,
        body: CallBody::Empty,
        client: ClientIp::Peer(peer.address.ip()),
        deadline: clock::now().plus_ms(1_000),
        log: &Log::silent(),
        claims: None,
        added: AddedHeaders::default(),
        watch: None,
    };
    let status = match stage.on_request(&mut exchange) {
        Ok(Step::Next) => 200,
        Ok(Step::Done(reply)) => reply.status,
        Ok(Step::Wait(_)) => panic!("a file needs no fetch"),
        Err(failure) => failure.status(),
    };
    assert_eq!(exchange.claims.is_some(), status == 200);
    let added = exchange.added.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    (status, added.collect())
}

fn status(stage: &dyn EndpointStage, token: &str) -> u16 {
    // Twice: what is remembered must not change the answer.
    let header = format!("Bearer {token}");
    let first = seen(stage, &[("Authorization", &header)]).0;
    assert_eq!(seen(stage, &[("Authorization", &header)]).0, first);
    first
}

// === what is let in ===

#[test]
fn a_good_token_is_let_in_and_its_claims_go_on() {
    let more = json!({"issuer": "https://issuer.test", "audience": ["api"], "roles": ["user"],
        "propagate_claims": [["sub", "X-User"], ["none", "X-None"]]});
    let stage = stage("good", "RS256", &more);
    let header = format!("bearer  {}", good());
    let (status, added) = seen(&*stage, &[("authorization", &header), ("X-User", "mallory")]);
    assert_eq!(status, 200);
    assert_eq!(added.get("X-User").map(String::as_str), Some("anna"));
    assert_eq!(added.get("X-None").map(String::as_str), Some(""));
}

#[test]
fn every_kind_of_key_serves_its_algorithm() {
    let payload = claims().to_string();
    assert_eq!(status(&*stage("es", "ES256", &json!({})), &token(ES, &payload, es256)), 200);
    let hs = |text: &str| hs256(SECRET, text);
    assert_eq!(status(&*stage("hs", "HS256", &json!({})), &token(HS, &payload, hs)), 200);
    let header = RS.replace("RS256", "PS256");
    let ps = |text: &str| signed_rsa(&KEYS.rsa, &RSA_PSS_SHA256, text);
    assert_eq!(status(&*stage("ps", "PS256", &json!({})), &token(&header, &payload, ps)), 200);
}

#[test]
fn a_cookie_counts_only_where_the_header_says_nothing() {
    let stage = stage("cookie", "RS256", &json!({}));
    let cookie = format!("a=b; access_token=\"{}\"; c=d", good());
    assert_eq!(seen(&*stage, &[("Cookie", &cookie)]).0, 200);
    assert_eq!(seen(&*stage, &[("Authorization", ""), ("Cookie", &cookie)]).0, 200);
    assert_eq!(seen(&*stage, &[("Authorization", "Bearer x"), ("Cookie", &cookie)]).0, 401);
    assert_eq!(seen(&*stage, &[("Cookie", "access_tokens=x")]).0, 401);
}

#[test]
fn times_are_judged_each_time_also_for_tokens_that_are_remembered() {
    let stage = stage("times", "RS256", &json!({}));
    let mut claims = claims();
    claims["exp"] = json!(now() + 1);
    let short = token(RS, &claims.to_string(), rs256);
    assert_eq!(status(&*stage, &short), 200);
    let rules = Rules::compile;
    let block = json!({"alg": "RS256"});
    let file = json!({"version": 3, "endpoints": [{"endpoint": "/a", "backend": [{"host": ["http://up"]}],
        "extra_config": {"auth/validator": block}}]});
    let loaded = config::parse("k.json", file.to_string().as_bytes(), &[]).expect("a file");
    let block = loaded.service.endpoints[0].extra_config.get("auth/validator").expect("a block");
    let options = ValidatorOptions::default();
    let (rules, _) = rules(block, &options, Algorithm::Rs256).expect("rules");
    let times = |expiry, not_before, issued| super::super::jwk::verified::Times {
        expiry,
        not_before,
        issued,
    };
    let at = |seconds: u64| seconds * 1_000_000_000;
    assert_eq!(rules.check_times(&times(Some(100), None, None), at(101)), Ok(()));
    assert_eq!(rules.check_times(&times(Some(100), None, None), at(102)), Err(Refusal::Expired));
    let early = |time, now| rules.check_times(&times(None, Some(time), None), at(now));
    assert_eq!(early(100, 99), Ok(()));
    assert_eq!(early(100, 98), Err(Refusal::Early("nbf")));
    let issued = rules.check_times(&times(None, None, Some(100)), at(98));
    assert_eq!(issued, Err(Refusal::Early("iat")));
    let extreme = times(Some(i64::MAX), Some(i64::MIN), Some(i64::MIN));
    assert_eq!(rules.check_times(&extreme, u64::MAX), Ok(()));
}

#[test]
fn claims_of_the_wrong_type_are_no_claims() {
    let stage = stage("types", "RS256", &json!({}));
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        status(&*stage, &token(RS, &claims.to_string(), rs256))
    };
    assert_eq!(with("exp", json!(null)), 200);
    assert_eq!(with("exp", json!(now() as f64 + 60.5)), 200);
    for value in
        [json!("4102444800"), json!(true), json!([4_102_444_800_u64]), json!(0), json!(1e300)]
    {
        assert_eq!(with("exp", value.clone()), 401, "exp {value}");
    }
    for name in ["iss", "sub", "jti"] {
        assert_eq!(with(name, json!(["x"])), 401, "{name}");
    }
    assert_eq!(with("aud", json!(null)), 401);
    assert_eq!(with("aud", json!(["a", 1])), 401);
}

#[test]
fn roles_and_scopes_are_a_403() {
    let with = |more: Value, name: &str, value: Value| {
        let stage = stage("roles", "RS256", &more);
        let mut claims = claims();
        claims[name] = value;
        status(&*stage, &token(RS, &claims.to_string(), rs256))
    };
    let roles = || json!({"roles": ["admin", "boss"]});
    assert_eq!(with(roles(), "roles", json!(["x", "boss"])), 200);
    assert_eq!(with(roles(), "roles", json!("x admin")), 200);
    for value in [json!("x,admin"), json!(["ADMIN"]), json!([1, null]), json!(5), json!("adminx")] {
        assert_eq!(with(roles(), "roles", value.clone()), 403, "{value}");
    }
    let all = || json!({"scopes": ["a", "b"], "scopes_key": "d.s", "scopes_matcher": "all"});
    assert_eq!(with(all(), "d", json!({"s": "b c a"})), 200);
    assert_eq!(with(all(), "d", json!({"s": ["a"]})), 403);
    assert_eq!(with(all(), "d", json!({"s": ["a b"]})), 403);
    assert_eq!(with(json!({"scopes": ["a"]}), "x", json!(1)), 200, "no key, no check");
}

#[test]
fn of_several_validators_one_must_find_the_token_good() {
    let (_folder, path) = Folder::with("several", &set().to_string());
    let one = |alg: &str, more: &Value| {
        let mut block = json!({"alg": alg, "jwk_local_path": path, "disable_jwk_security": true});
        block.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
        block
    };
    let rs = one(
        "RS256",
        &json!({"issuer": "https://issuer.test", "propagate_claims": [["sub", "X-R"]]}),
    );
    let es = one("ES256", &json!({"roles": ["boss"], "propagate_claims": [["sub", "X-E"]]}));
    let stage = compile(&json!([rs, es])).expect("validators");
    let header = format!("Bearer {}", good());
    let (code, added) = seen(&*stage, &[("Authorization", &header)]);
    assert_eq!((code, added.contains_key("X-R"), added.contains_key("X-E")), (200, true, false));
    let mut claims = claims();
    let es = token(ES, &claims.to_string(), es256);
    assert_eq!(status(&*stage, &es), 403, "known to one, and not enough there");
    claims["roles"] = json!(["boss"]);
    assert_eq!(status(&*stage, &token(ES, &claims.to_string(), es256)), 200);
    claims["iss"] = json!("https://other.test");
    assert_eq!(status(&*stage, &token(RS, &claims.to_string(), rs256)), 401);
    assert_eq!(seen(&*stage, &[]).0, 401);
}

// === attacks ===

#[test]
fn attack_without_a_token() {
    let stage = stage("none", "RS256", &json!({}));
    assert_eq!(seen(&*stage, &[]).0, 401);
    for text in [
        "Bearer",
        "Bearer ",
        "Bearer abc",
        "Basic dTpw",
        "Bearer a.b",
        "Bearer a.b.c.d",
        "Bearer ..",
    ] {
        assert_eq!(seen(&*stage, &[("Authorization", text)]).0, 401, "{text}");
    }
}

#[test]
fn attack_alg_none_in_every_spelling() {
    let stage = stage("alg-none", "RS256", &json!({}));
    let payload = claims().to_string();
    for alg in ["none", "None", "NONE", "nOnE", "", "none\\u0000", " none", "null"] {
        let header = format!(r#"{{"alg":"{alg}","kid":"r1"}}"#);
        assert_eq!(status(&*stage, &token(&header, &payload, |_| Vec::new())), 401, "{alg}");
        assert_eq!(status(&*stage, &token(&header, &payload, rs256)), 401, "{alg}, signed");
    }
    for header in
        [r#"{"alg":null,"kid":"r1"}"#, r#"{"kid":"r1"}"#, r#"{"alg":["RS256"],"kid":"r1"}"#]
    {
        assert_eq!(status(&*stage, &token(header, &payload, rs256)), 401, "{header}");
    }
}

#[test]
fn attack_a_public_key_as_a_secret() {
    let payload = claims().to_string();
    let der = encoding::AsDer::<encoding::PublicKeyX509Der<'_>>::as_der(KEYS.rsa.public_key());
    let der = der.expect("encodes");
    let (modulus, _) = rsa_numbers(KEYS.rsa.public_key().as_ref());
    let jwk = rsa_jwk(&KEYS.rsa, "r1").to_string();
    let secrets: [&[u8]; 4] = [der.as_ref(), modulus, jwk.as_bytes(), b""];
    for kid in ["r1", "h1", "e1"] {
        let header = format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#);
        for secret in secrets {
            let forged = token(&header, &payload, |text| hs256(secret, text));
            for alg in ["RS256", "HS256", "ES256"] {
                assert_eq!(status(&*stage("confusion", alg, &json!({})), &forged), 401, "{alg}");
            }
        }
    }
}

#[test]
fn attack_another_algorithm_with_the_same_key() {
    let payload = claims().to_string();
    let rs = stage("other-alg", "RS256", &json!({}));
    let ps = token(&RS.replace("RS256", "PS256"), &payload, |text| {
        signed_rsa(&KEYS.rsa, &RSA_PSS_SHA256, text)
    });
    assert_eq!(status(&*rs, &ps), 401);
    let rs512 = token(&RS.replace("RS256", "RS512"), &payload, |text| {
        signed_rsa(&KEYS.rsa, &RSA_PKCS1_SHA512, text)
    });
    assert_eq!(status(&*rs, &rs512), 401);
    // The header says what is configured, the signature is of another kind.
    assert_eq!(
        status(&*rs, &token(RS, &payload, |t| signed_rsa(&KEYS.rsa, &RSA_PSS_SHA256, t))),
        401
    );
}

#[test]
fn attack_a_key_of_another_type() {
    let payload = claims().to_string();
    let rs = stage("other-type", "RS256", &json!({}));
    for kid in ["e1", "h1"] {
        let header = RS.replace("r1", kid);
        assert_eq!(status(&*rs, &token(&header, &payload, rs256)), 401, "{kid}");
        assert_eq!(status(&*rs, &token(&header, &payload, es256)), 401, "{kid}");
        assert_eq!(status(&*rs, &token(&header, &payload, |t| hs256(SECRET, t))), 401, "{kid}");
    }
}

#[test]
fn attack_somebody_else_s_key() {
    let payload = claims().to_string();
    let forged = token(RS, &payload, |t| signed_rsa(&KEYS.other_rsa, &RSA_PKCS1_SHA256, t));
    assert_eq!(status(&*stage("else", "RS256", &json!({})), &forged), 401);
    let other = |text: &str| {
        let signed = KEYS.other_ec.sign(&SystemRandom::new(), text.as_bytes());
        signed.expect("signs").as_ref().to_vec()
    };
    assert_eq!(status(&*stage("else-ec", "ES256", &json!({})), &token(ES, &payload, other)), 401);
}

#[test]
fn attack_keys_and_addresses_that_the_token_brings() {
    let stage = stage("brought", "RS256", &json!({}));
    let payload = claims().to_string();
    let own = rsa_jwk(&KEYS.other_rsa, "r1");
    for more in [
        json!({"jwk": own}),
        json!({"jku": "http://127.0.0.1:9/set", "kid": "r9"}),
        json!({"jku": "http://127.0.0.1:9/set"}),
        json!({"x5u": "http://127.0.0.1:9/x"}),
        json!({"x5c": [own["n"]]}),
    ] {
        let mut header: Value = serde_json::from_str(RS).expect("JSON");
        header.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        let sign = |t: &str| signed_rsa(&KEYS.other_rsa, &RSA_PKCS1_SHA256, t);
        assert_eq!(status(&*stage, &token(&header.to_string(), &payload, sign)), 401, "{more}");
    }
}

#[test]
fn attack_kid_injection() {
    let stage = stage("kid", "HS256", &json!({}));
    let payload = claims().to_string();
    let long = "h1".repeat(2_500);
    for kid in ["../../../../dev/null", "x' UNION SELECT 'a", "h1\\u0000", "H1", "h1 ", &long, ""] {
        let header = format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#);
        for secret in [b"".as_slice(), b"a", SECRET] {
            let forged = token(&header, &payload, |text| hs256(secret, text));
            assert_eq!(status(&*stage, &forged), 401, "{kid}");
        }
    }
    for header in [r#"{"alg":"HS256","kid":1}"#, r#"{"alg":"HS256","kid":["h1"]}"#] {
        assert_eq!(status(&*stage, &token(header, &payload, |t| hs256(SECRET, t))), 401);
    }
}

#[test]
fn attack_duplicate_members() {
    let stage = stage("twice", "RS256", &json!({}));
    let payload = claims().to_string();
    for header in [
        r#"{"alg":"RS256","alg":"none","kid":"r1"}"#,
        r#"{"alg":"none","alg":"RS256","kid":"r1"}"#,
        r#"{"alg":"RS256","kid":"r1","kid":"e1"}"#,
        r#"{"alg":"RS256","kid":"r1","\u006bid":"r1"}"#,
    ] {
        assert_eq!(status(&*stage, &token(header, &payload, rs256)), 401, "{header}");
    }
    let twice = payload.replacen('{', r#"{"exp":1,"#, 1);
    assert_eq!(status(&*stage, &token(RS, &twice, rs256)), 401);
    let inside = payload.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1);
    assert_eq!(status(&*stage, &token(RS, &inside, rs256)), 401);
}

#[test]
fn attack_extensions_that_must_be_understood() {
    let stage = stage("crit", "RS256", &json!({}));
    for more in [r#""crit":["x"],"x":1"#, r#""crit":[]"#, r#""crit":["b64"],"b64":false"#] {
        let header = RS.replacen('{', &format!("{{{more},"), 1);
        assert_eq!(status(&*stage, &token(&header, &claims().to_string(), rs256)), 401, "{more}");
    }
}

#[test]
fn attack_oversized_tokens() {
    let stage = stage("large", "RS256", &json!({}));
    let mut claims = claims();
    claims["x"] = json!("y".repeat(20_000));
    assert_eq!(status(&*stage, &token(RS, &claims.to_string(), rs256)), 200, "within the bound");
    claims["x"] = json!("y".repeat(100_000));
    assert_eq!(status(&*stage, &token(RS, &claims.to_string(), rs256)), 401);
}

#[test]
fn attack_deeply_nested_tokens() {
    let stage = stage("deep", "RS256", &json!({}));
    for depth in [200, 10_000] {
        let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert_eq!(status(&*stage, &token(RS, &deep, rs256)), 401, "{depth}");
        let header = deep.replacen('{', r#"{"alg":"RS256","kid":"r1","#, 1);
        assert_eq!(status(&*stage, &token(&header, "{}", rs256)), 401, "{depth}, in the header");
    }
}

#[test]
fn attack_another_payload_or_another_signature() {
    let stage = stage("changed", "RS256", &json!({}));
    let good = good();
    let parts: Vec<&str> = good.split('.').collect();
    let mut admin = claims();
    admin["roles"] = json!(["admin"]);
    let changed = format!("{}.{}.{}", parts[0], b64(admin.to_string()), parts[2]);
    assert_eq!(status(&*stage, &good), 200);
    assert_eq!(status(&*stage, &changed), 401);
    assert_eq!(status(&*stage, &format!("{}.{}.", parts[0], parts[1])), 401);
    assert_eq!(status(&*stage, &format!("{good}!")), 401);
    assert_eq!(status(&*stage, &format!("{good}.")), 401);
    assert_eq!(status(&*stage, &format!("{good}=")), 401);
    let zeros = format!("{}.{}.{}", parts[0], parts[1], b64([0; 256]));
    assert_eq!(status(&*stage, &zeros), 401);
}

#[test]
fn attack_degenerate_curve_signatures() {
    let stage = stage("curve", "ES256", &json!({}));
    let payload = claims().to_string();
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..32)
        .map(|at| u8::from_str_radix(&order[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    for signature in [vec![0; 64], vec![1; 63], vec![1; 65], order.repeat(2), Vec::new()] {
        assert_eq!(status(&*stage, &token(ES, &payload, |_| signature.clone())), 401);
    }
    let longer = |text: &str| [es256(text), vec![0]].concat();
    assert_eq!(status(&*stage, &token(ES, &payload, longer)), 401);
}

// === blocks ===

fn severity(block: &Value) -> (Option<u16>, Severity, String) {
    match compile(block) {
        Ok(_) => panic!("accepted: {block}"),
        Err(Fallback::Seal(status, problem)) => (Some(status), problem.severity, problem.what),
        Err(Fallback::Skip(problem) | Fallback::Refuse(problem)) => {
            (None, problem.severity, problem.what)
        }
    }
}

#[test]
fn what_cannot_be_understood_never_leaves_the_endpoint_open() {
    let url = "http://keys.test/set";
    for block in [
        json!({"alg": "RS256"}),
        json!({"alg": "RS256", "jwk_url": url}),
        json!({"alg": "RS256", "jwk_local_path": "/none"}),
        json!({"alg": "RS256", "jwk_url": url, "disable_jwk_security": true, "roles": "admin"}),
        json!({"alg": "RS256", "jwk_url": url, "disable_jwk_security": true, "propagate_claims": [["sub"]]}),
        json!({"alg": "RS256", "jwk_url": url, "disable_jwk_security": true, "propagate_claims": [["a", "b c"]]}),
        json!([]),
    ] {
        let (sealed, severity, _) = severity(&block);
        assert_eq!((sealed, severity), (Some(401), Severity::Lenient), "{block}");
    }
    for block in [
        json!({"alg": "RS257", "jwk_url": url, "disable_jwk_security": true}),
        json!({"jwk_url": url, "disable_jwk_security": true}),
        json!({"alg": "RS256", "jwk_local_path": "/none", "disable_jwk_security": true}),
        json!({"alg": "RS256", "jwk_local_path": "/none", "cache": true, "disable_jwk_security": true}),
        json!({"alg": "RS256", "jwk_url": url, "disable_jwk_security": true, "jwk_fingerprints": ["x"]}),
        json!({"alg": "RS256", "jwk_url": url, "disable_jwk_security": true, "jwk_local_ca": "/none"}),
    ] {
        let (sealed, severity, _) = severity(&block);
        assert_eq!((sealed, severity), (None, Severity::Refuse), "{block}");
    }
}

#[test]
fn a_key_management_service_is_refused_with_a_hint() {
    let (_folder, path) = Folder::with("kms", "{}");
    let block = json!({"alg": "RS256", "jwk_local_path": path, "disable_jwk_security": true,
        "secret_url": "awskms://alias/x?region=eu-west-1", "cypher_key": "x"});
    let Err(Fallback::Refuse(problem)) = compile(&block) else { panic!("refused") };
    assert!(problem.hint.expect("a hint").contains("base64key://"));
}

#[test]
fn one_bad_key_spoils_its_file_and_an_unknown_kind_does_not() {
    let with = |key: Value| {
        let set = json!({"keys": [rsa_jwk(&KEYS.rsa, "r1"), key]});
        let (_folder, path) = Folder::with("spoiled", &set.to_string());
        let block = json!({"alg": "RS256", "jwk_local_path": path, "disable_jwk_security": true});
        compile(&block).map(|stage| status(&*stage, &good()))
    };
    assert_eq!(with(json!({"kty": "new", "kid": "x"})).ok(), Some(200));
    for key in [
        json!({"kty": "RSA", "kid": "x", "e": "AQAB"}),
        json!({"kty": "EC", "kid": "x", "crv": "P-256", "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "kid": "x", "crv": "P-256", "x": b64([1; 32]), "y": b64([1; 32])}),
        json!({"kty": "EC", "kid": "x", "crv": "secp256k1"}),
        json!({"kty": "oct", "kid": "x"}),
        json!({"kty": "oct", "kid": 5, "k": "AAAA"}),
        json!({"kid": "x"}),
        json!("x"),
    ] {
        assert!(matches!(with(key.clone()), Err(Fallback::Refuse(_))), "{key}");
    }
}
