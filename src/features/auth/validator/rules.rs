//! What a validator demands of a token, and what it passes on.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::jwk::jwks::NoKey;
use super::super::jwk::token::TokenError;
use super::super::jwk::verified::Times;
use super::super::jwk::{Algorithm, KeyId};
use super::options::ValidatorOptions;
use super::{misread, sealed};
use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::message::head::RequestHead;
use crate::message::headers::is_token;
use crate::plan::feature::Fallback;
use crate::shared::question::Unanswered;
use crate::stage::added::{ADDED_HEADERS_MAX, AddedHeaders};
use crate::stage::{Claims, claims};

const NS_PER_S: i128 = 1_000_000_000;
const HEADER_DEFAULT: &str = "Authorization";
const COOKIE_DEFAULT: &str = "access_token";
const ROLES_DEFAULT: &str = "roles";

/// The options, checked and made ready.
pub struct Rules {
    pub algorithm: Algorithm,
    pub strategy: KeyId,
    /// `operation_debug`
    pub is_verbose: bool,
    header: String,
    cookie: String,
    leeway_ns: i128,
    issuer: Option<String>,
    audience: Vec<String>,
    roles: Vec<String>,
    roles_key: Path,
    scopes: Vec<String>,
    scopes_key: Option<Path>,
    wants_all_scopes: bool,
    propagated: Vec<(Path, Arc<str>)>,
    keeps_lists: bool,
}

/// Where a claim is.
enum Path {
    Name(String),
    /// Through objects, dots between.
    Nested(String),
}

/// The claims that RFC 7519 registers, as far as they must be of a certain type.
pub struct Registered {
    pub times: Times,
}

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoToken,
    Token(TokenError),
    Algorithm,
    Key(NoKey),
    Unanswered(Unanswered),
    Claim(&'static str),
    Expired,
    Early(&'static str),
    Issuer,
    Audience,
    Revoked,
    Roles,
    Scopes,
    Headers,
}

// === impl Rules ===

impl Rules {
    /// Reads the options. What does not weaken the guard is only a problem, and the default counts.
    pub fn compile(
        block: &Block,
        options: &ValidatorOptions,
        algorithm: Algorithm,
    ) -> Result<(Rules, Option<Problem>), Fallback> {
        let (leeway, mut soft) = options.leeway(block);
        let strategy = KeyId::named(&options.key_identify_strategy);
        if strategy.is_none() {
            let what = format!("unknown strategy {:?}", options.key_identify_strategy);
            let problem = misread(block, "key_identify_strategy", what);
            soft =
                soft.or(Some(problem.hint("kid, x5t, x5t#S256 or kid_x5t; --lenient takes kid")));
        }
        if !matches!(options.scopes_matcher.as_str(), "" | "any" | "all") {
            let what = format!("unknown matcher {:?}", options.scopes_matcher);
            let problem = misread(block, "scopes_matcher", what);
            soft = soft.or(Some(problem.hint("any or all; --lenient takes any")));
        }
        let or = |text: &str, default: &str| {
            if text.is_empty() { default.to_owned() } else { text.to_owned() }
        };
        let roles_key = or(&options.roles_key, ROLES_DEFAULT);
        let roles_key = if options.roles_key_is_nested && !roles_key.starts_with("http") {
            Path::Nested(roles_key)
        } else {
            Path::Name(roles_key)
        };
        let rules = Rules {
            algorithm,
            strategy: strategy.unwrap_or_default(),
            is_verbose: options.operation_debug,
            header: or(&options.auth_header_name, HEADER_DEFAULT),
            cookie: or(&options.cookie_key, COOKIE_DEFAULT),
            leeway_ns: i128::try_from(leeway.as_nanos()).unwrap_or(i128::MAX / 2),
            issuer: (!options.issuer.is_empty()).then(|| options.issuer.clone()),
            audience: options.audience.clone(),
            roles: options.roles.clone(),
            roles_key,
            scopes: options.scopes.clone(),
            // A dot always leads deeper here, also in a URL.
            scopes_key: (!options.scopes_key.is_empty())
                .then(|| Path::Nested(options.scopes_key.clone())),
            wants_all_scopes: options.scopes_matcher == "all",
            propagated: propagated(block, options)?,
            keeps_lists: options.propagate_claims_preserve_array,
        };
        Ok((rules, soft))
    }

    /// The text of a request's token: the header's, else the cookie's.
    pub fn token<'h>(&self, head: &'h RequestHead) -> Option<&'h [u8]> {
        match head.header(&self.header).map(<[u8]>::trim_ascii) {
            None | Some([]) => head.headers_named("cookie").find_map(|line| self.of_cookie(line)),
            Some(text) => match text.split_at_checked(BEARER.len()) {
                Some((word, token)) if word.eq_ignore_ascii_case(BEARER) => {
                    Some(token.trim_ascii())
                }
                _ => Some(text),
            },
        }
    }

    fn of_cookie<'h>(&self, line: &'h [u8]) -> Option<&'h [u8]> {
        let value = line.split(|&byte| byte == b';').find_map(|pair| {
            let pair = pair.trim_ascii();
            pair.strip_prefix(self.cookie.as_bytes())?.strip_prefix(b"=")
        })?;
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some(bare.unwrap_or(value))
    }

    /// Expiry, not-before and issue time, each with the leeway.
    pub fn check_times(&self, times: &Times, now_ns: u64) -> Result<(), Refusal> {
        let now = i128::from(now_ns);
        let moment = |seconds: i64| i128::from(seconds) * NS_PER_S;
        let is_ahead = |time: Option<i64>| {
            time.is_some_and(|seconds| now.saturating_add(self.leeway_ns) < moment(seconds))
        };
        if is_ahead(times.not_before) {
            return Err(Refusal::Early("nbf"));
        }
        let expiry = times.expiry.map(moment);
        if expiry.is_some_and(|expiry| now.saturating_sub(self.leeway_ns) > expiry) {
            return Err(Refusal::Expired);
        }
        if is_ahead(times.issued) {
            return Err(Refusal::Early("iat"));
        }
        Ok(())
    }

    /// Who made the token, and for whom: the issuer exactly, and all of the audiences.
    pub fn check_origin(&self, claims: &Claims) -> Result<(), Refusal> {
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(Refusal::Issuer);
        }
        if self.audience.is_empty() {
            return Ok(());
        }
        let has = |wanted: &String| match claims.get("aud") {
            Some(Value::String(one)) => one == wanted,
            Some(Value::Array(list)) => list.iter().any(|entry| entry.as_str() == Some(wanted)),
            _ => false,
        };
        if self.audience.iter().all(has) { Ok(()) } else { Err(Refusal::Audience) }
    }

    /// Whether a token that says it is of this issuer can be good at all.
    pub fn may_be_of(&self, issuer: Option<&str>) -> bool {
        self.issuer.as_deref().is_none_or(|wanted| issuer == Some(wanted))
    }

    /// One of the roles; one or all of the scopes.
    pub fn check_access(&self, claims: &Claims) -> Result<(), Refusal> {
        if !self.roles.is_empty() {
            let claim = self.roles_key.of(claims);
            if !self.roles.iter().any(|role| names(claim, role)) {
                return Err(Refusal::Roles);
            }
        }
        let Some(key) = self.scopes_key.as_ref().filter(|_| !self.scopes.is_empty()) else {
            return Ok(());
        };
        let claim = key.of(claims);
        let mut scopes = self.scopes.iter();
        let is_enough = if self.wants_all_scopes {
            scopes.all(|scope| names(claim, scope))
        } else {
            scopes.any(|scope| names(claim, scope))
        };
        if is_enough { Ok(()) } else { Err(Refusal::Scopes) }
    }

    /// Writes claims into the request's headers; a claim that is not there empties its header.
    pub fn propagate(&self, claims: &Claims, added: &mut AddedHeaders) -> Result<(), Refusal> {
        for (path, header) in &self.propagated {
            let lines = match path.of(claims) {
                None => vec![String::new()],
                Some(Value::Array(list)) if self.keeps_lists => claims::texts(list).collect(),
                Some(claim) => vec![claims::text(claim)],
            };
            added.set(header, lines).map_err(|_| Refusal::Headers)?;
        }
        Ok(())
    }
}

const BEARER: &[u8] = b"bearer ";

/// Whether a claim, a list or words between blanks, has this entry.
fn names(claim: Option<&Value>, wanted: &str) -> bool {
    match claim {
        Some(Value::Array(list)) => list.iter().any(|entry| entry.as_str() == Some(wanted)),
        Some(Value::String(words)) => words.split(' ').any(|word| word == wanted),
        _ => false,
    }
}

fn propagated(
    block: &Block,
    options: &ValidatorOptions,
) -> Result<Vec<(Path, Arc<str>)>, Fallback> {
    if options.propagate_claims.len() > ADDED_HEADERS_MAX {
        let what = format!("more than {ADDED_HEADERS_MAX} claims");
        return Err(sealed(block, "propagate_claims", what));
    }
    let pairs = options.propagate_claims.iter().enumerate();
    pairs
        .map(|(index, pair)| match pair.as_slice() {
            [claim, header] if is_token(header.as_bytes()) => {
                let path = if claim.starts_with("http") {
                    Path::Name(claim.clone())
                } else {
                    Path::Nested(claim.clone())
                };
                Ok((path, header.as_str().into()))
            }
            _ => {
                let what = "every entry is a list of two texts: a claim, and the name of a header";
                Err(sealed(block, &format!("propagate_claims/{index}"), what))
            }
        })
        .collect()
}

// === impl Path ===

impl Path {
    fn of<'c>(&self, claims: &'c Claims) -> Option<&'c Value> {
        match self {
            Path::Name(name) => claims.get(name),
            Path::Nested(path) => claims.at(path),
        }
    }
}

// === impl Registered ===

impl Registered {
    /// Reads the registered claims. `null` is the same as nothing, save for the audience.
    pub fn of(members: &Map<String, Value>) -> Result<Registered, Refusal> {
        for name in ["iss", "sub", "jti"] {
            if !matches!(members.get(name), None | Some(Value::Null | Value::String(_))) {
                return Err(Refusal::Claim(name));
            }
        }
        match members.get("aud") {
            None | Some(Value::String(_)) => {}
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => {}
            Some(_) => return Err(Refusal::Claim("aud")),
        }
        let times = Times {
            expiry: seconds(members, "exp")?,
            not_before: seconds(members, "nbf")?,
            issued: seconds(members, "iat")?,
        };
        Ok(Registered { times })
    }
}

/// Whole seconds since 1970; a fraction is cut off.
fn seconds(members: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, Refusal> {
    const SECONDS_END: f64 = 9_223_372_036_854_775_808.0;
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => match number.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "within the range of i64")]
            Some(value) if (-SECONDS_END..SECONDS_END).contains(&value) => Ok(Some(value as i64)),
            _ => Err(Refusal::Claim(name)),
        },
        Some(_) => Err(Refusal::Claim(name)),
    }
}

// === impl Refusal ===

impl Refusal {
    /// Which of two validators' refusals a client is told: a good token that is not enough tells more than a wrong one.
    #[must_use]
    pub fn or(self, other: Refusal) -> Refusal {
        if self.status() == 401 { other } else { self }
    }

    pub fn status(&self) -> u16 {
        match self {
            Refusal::Roles | Refusal::Scopes => 403,
            Refusal::Headers => 500,
            _ => 401,
        }
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Refusal {
        Refusal::Token(error)
    }
}

/// As the original words it in the log, where it has words for it.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNABLE: &str = "Unable to validate the token:";
        match self {
            Refusal::NoToken => write!(f, "{UNABLE} Token not found"),
            Refusal::Token(error) => write!(f, "{UNABLE} {error}"),
            Refusal::Algorithm => write!(f, "{UNABLE} its algorithm is not the configured one"),
            Refusal::Key(why) => write!(f, "{UNABLE} {why}"),
            Refusal::Unanswered(why) => write!(f, "{UNABLE} {why}"),
            Refusal::Claim(name) => write!(f, "{UNABLE} {name} is of the wrong type"),
            Refusal::Expired => write!(f, "{UNABLE} it is expired (exp)"),
            Refusal::Early(name) => write!(f, "{UNABLE} it is not valid yet ({name})"),
            Refusal::Issuer => write!(f, "{UNABLE} invalid issuer claim (iss)"),
            Refusal::Audience => write!(f, "{UNABLE} invalid audience claim (aud)"),
            Refusal::Revoked => f.write_str("Token sent by client rejected"),
            Refusal::Roles => f.write_str("Token sent by client does not have sufficient roles"),
            Refusal::Scopes => {
                f.write_str("Token sent by client does not have the required scopes")
            }
            Refusal::Headers => f.write_str("too many headers are set"),
        }
    }
}
