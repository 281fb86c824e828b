//! `auth/signer`: makes signed tokens of objects in an answer.
//!
//! Follows krakend-jose, gin/jose.go (specification, section 2.29): the answer carries none of the gateway's headers, and
//! whatever fails is a 400.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::jwk::Algorithm;
use super::jwk::jwks::set_text;
use super::jwk::options::{KeyOptions, Place, decode, sealed};
use super::jwk::signing::SigningKey;
use crate::config::extra::Block;
use crate::control::http_client::HttpClient;
use crate::control::{BoxFuture, Task, TaskEnv, TaskError};
use crate::json::{Value, html_escaped, write_value};
use crate::plan::feature::{EndpointSlot, Fallback, Feature, Scope, Site};
use crate::shared::published::{Published, Reader};
use crate::shared::question::{Question, Questions, question};
use crate::stage::{Answer, EndpointStage, Exchange, Failure, Outcome, Step};
use crate::wire::{Body, Reply};

pub struct Signer;

/// Requests that may wait for the key of one signer.
const WAITING_MAX: usize = 16 * 1024;
/// How long a key that could not be had is not asked for again.
const RETRY: Duration = Duration::from_secs(10);
const TYP_DEFAULT: &str = "JWT";

const MEMBERS: &[&str] = &[
    "alg",
    "cipher_suites",
    "cypher_key",
    "disable_jwk_security",
    "full",
    "jwk_fingerprints",
    "jwk_local_ca",
    "jwk_local_path",
    "jwk_url",
    "keys_to_sign",
    "kid",
    "secret_url",
    "typ",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    alg: String,
    full: bool,
    keys_to_sign: Vec<String>,
    kid: String,
    typ: String,
}

/// What to sign, and how.
struct Rules {
    keys_to_sign: Vec<String>,
    is_full: bool,
}

impl Feature for Signer {
    fn namespace(&self) -> &'static str {
        "auth/signer"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Endpoint]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(MEMBERS)
    }

    /// Whatever is wrong seals the endpoint: the original starts, too.
    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Endpoint(draft) = site else { return Ok(()) };
        let options: Options = decode(block)?;
        let source: KeyOptions = decode(block)?;
        let algorithm = Algorithm::named(&options.alg)
            .ok_or_else(|| sealed(block, "alg", format!("unknown algorithm {}", options.alg)))?;
        let typ = if options.typ.is_empty() { TYP_DEFAULT } else { &options.typ };
        let place = source.open(block).map_err(|fallback| match fallback {
            Fallback::Refuse(problem) => {
                let problem = crate::config::problem::Problem::lenient(problem.place, problem.what);
                Fallback::Seal(401, problem)
            }
            other => other,
        })?;
        let wanted = Wanted { algorithm, kid: options.kid.clone(), typ: typ.to_owned() };
        let key = match place {
            Place::File(text) => {
                let key = wanted.find(&text);
                let key = key.map_err(|why| sealed(block, "jwk_local_path", why.to_string()))?;
                Key::Fixed(Arc::new(key))
            }
            Place::Url(url, http) => {
                let client = HttpClient::new(&http)
                    .map_err(|error| sealed(block, "jwk_url", error.to_string()))?;
                let (ask, questions) = question(WAITING_MAX);
                let published = Published::default();
                draft.common.leave_task(Box::new(KeyTask {
                    name: format!("signing key {url}"),
                    prefix: format!("[ENDPOINT: {}][JWTSigner]", draft.route),
                    url,
                    client,
                    wanted,
                    published: published.clone(),
                    questions,
                    failed: None,
                }));
                Key::Fetched(published, ask)
            }
        };
        let rules = Arc::new(Rules { keys_to_sign: options.keys_to_sign, is_full: options.full });
        let build = move || {
            let key = match &key {
                Key::Fixed(key) => CoreKey::Fixed(key.clone()),
                Key::Fetched(published, ask) => {
                    CoreKey::Fetched(RefCell::new(published.reader()), ask.clone())
                }
            };
            Box::new(Stage { rules: rules.clone(), key }) as Box<dyn EndpointStage>
        };
        draft.stages.push((EndpointSlot::Signer, Box::new(build)));
        Ok(())
    }
}

/// Which key of a set it is.
struct Wanted {
    algorithm: Algorithm,
    kid: String,
    typ: String,
}

impl Wanted {
    fn find(&self, text: &[u8]) -> Result<SigningKey, NoKey> {
        SigningKey::find(text, self.algorithm, &self.kid, &self.typ)
            .map_err(|error| NoKey(error.to_string().into()))
    }
}

type Ask = Question<(), Result<Arc<SigningKey>, NoKey>>;

enum Key {
    Fixed(Arc<SigningKey>),
    Fetched(Published<Option<Arc<SigningKey>>>, Ask),
}

enum CoreKey {
    Fixed(Arc<SigningKey>),
    Fetched(RefCell<Reader<Option<Arc<SigningKey>>>>, Ask),
}

/// Why there is no key, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NoKey(Arc<str>);

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A signer on one core.
struct Stage {
    rules: Arc<Rules>,
    key: CoreKey,
}

impl Stage {
    fn known(&self) -> Option<Arc<SigningKey>> {
        match &self.key {
            CoreKey::Fixed(key) => Some(key.clone()),
            CoreKey::Fetched(reader, _) => reader.borrow_mut().get().clone(),
        }
    }

    /// Replaces the objects by their tokens. `None`: something could not be signed.
    fn sign(&self, answer: &mut Answer) -> Option<()> {
        let key = self.known()?;
        for name in &self.rules.keys_to_sign {
            let Some(value @ Value::Object(_)) = answer.data.get(name) else { continue };
            let mut payload = Vec::new();
            write_value(&value, &mut payload);
            let payload = html_escaped(std::str::from_utf8(&payload).ok()?);
            let token = key.token(payload.as_bytes(), self.rules.is_full)?;
            answer.data.set(name, Value::String(token));
        }
        Some(())
    }
}

impl EndpointStage for Stage {
    /// Without its key nothing is called.
    fn on_request<'x>(
        &'x self,
        _exchange: &'x mut Exchange<'_>,
    ) -> Result<Step<'x, Reply>, Failure> {
        let CoreKey::Fetched(_, ask) = &self.key else { return Ok(Step::Next) };
        if self.known().is_some() {
            return Ok(Step::Next);
        }
        let Ok(answer) = ask.ask(()) else { return Ok(Step::Done(Reply::empty(401))) };
        Ok(Step::Wait(Box::pin(async move {
            Ok(match answer.await {
                Ok(Ok(_)) => None,
                _ => Some(Reply::empty(401)),
            })
        })))
    }

    fn answer(&self, _exchange: &Exchange<'_>, outcome: &mut Outcome) -> Option<Reply> {
        let (Some(mut answer), None) = (outcome.answer.take(), outcome.failure.as_ref()) else {
            return Some(Reply::empty(400));
        };
        if self.sign(&mut answer).is_none() {
            return Some(Reply::empty(400));
        }
        let mut body = Vec::with_capacity(answer.data.json_len_hint());
        answer.data.write_json(&mut body);
        let mut reply = Reply { body: Body::Bytes(body), ..Reply::empty(answer.status) };
        reply.headers.append(&answer.headers);
        if !reply.headers.has_content_type {
            reply.headers.push(b"Content-Type", b"application/json; charset=utf-8");
        }
        Some(reply)
    }
}

/// Fetches a signer's key at the start, and again for requests when that failed.
struct KeyTask {
    name: String,
    /// How its lines begin in the log.
    prefix: String,
    url: String,
    client: HttpClient,
    wanted: Wanted,
    published: Published<Option<Arc<SigningKey>>>,
    questions: Questions<(), Result<Arc<SigningKey>, NoKey>>,
    failed: Option<(Instant, NoKey)>,
}

impl KeyTask {
    async fn key(&mut self, env: &TaskEnv) -> Result<Arc<SigningKey>, NoKey> {
        if let Some(key) = &*self.published.latest() {
            return Ok(key.clone());
        }
        if let Some((_, why)) = self.failed.as_ref().filter(|(at, _)| at.elapsed() < RETRY) {
            return Err(why.clone());
        }
        let text = set_text(&self.client, &self.url).await.map_err(|why| NoKey(why.into()));
        match text.and_then(|text| self.wanted.find(&text)) {
            Ok(key) => {
                let key = Arc::new(key);
                self.published.publish(Some(key.clone()));
                Ok(key)
            }
            Err(why) => {
                let prefix = &self.prefix;
                env.log.error(format_args!("{prefix} Unable to create the signer: {why}"));
                self.failed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }
}

impl Task for KeyTask {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            // At the start nobody waits for it yet.
            let _ = self.key(&env).await;
            while let Some(asked) = self.questions.next().await {
                let answer = self.key(&env).await;
                asked.answer(answer);
            }
            Ok(())
        })
    }
}
