//! `Jwks`: a key set that lives at a URL, fetched on the control thread for all cores.
//!
//! One fetch serves everyone who waits. A set that is cached is renewed before its time is over; without a cache each
//! request asks, as in the original, and those that ask during a fetch share it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lru::LruCache;

use super::algorithm::Algorithm;
use super::key::{Key, KeyId};
use super::set::{KeyCache, KeySet};
use crate::control::http_client::{HttpClient, HttpSettings, SettingsError};
use crate::control::task::within;
use crate::control::{BoxFuture, Task, TaskEnv, TaskError};
use crate::shared::log::Log;
use crate::shared::published::Published;
use crate::shared::question::{Asked, Question, Questions, question};

/// Requests that may wait for the keys of one set.
const WAITING_MAX: usize = 16 * 1024;
/// Names that are remembered as unknown.
const UNKNOWN_MAX: std::num::NonZeroUsize = std::num::NonZeroUsize::new(10_000).expect("not zero");
/// Sets that are cached for less are not renewed ahead of time.
const RENEWED: Duration = Duration::from_secs(30);
/// After a renewal that failed.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);
/// A set that is not renewed: how long its task sleeps at a stretch.
const IDLE: Duration = Duration::from_hours(1);

/// What the sets of the free edition are served as, with or without parameters.
const CONTENT_TYPES: [&str; 2] = ["application/json", "application/jwk-set+json"];

/// Where a set is, and how it is to be kept.
#[derive(Clone, Debug)]
pub struct JwksSettings {
    pub url: String,
    pub algorithm: Algorithm,
    pub strategy: KeyId,
    pub http: HttpSettings,
    /// `None`: not at all.
    pub cached_for: Option<Duration>,
    /// How long a name that the set does not have is not looked for again; zero: at once.
    pub cooldown: Duration,
}

/// What cores hold of a set.
#[derive(Clone)]
pub struct Jwks {
    /// The keys that are cached; empty without a cache.
    pub keys: Published<KeyCache>,
    /// Asks for a key by its name.
    pub ask: Question<Box<str>, Result<Arc<Key>, NoKey>>,
    pub is_cached: bool,
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoKey {
    Unknown,
    /// It was not there lately, and is not looked for again before the cool-down is over.
    Cooling,
    /// The set could not be had.
    Set(Arc<str>),
}

/// The task behind a [`Jwks`].
pub struct JwksTask {
    name: String,
    settings: JwksSettings,
    client: HttpClient,
    keys: Published<KeyCache>,
    questions: Questions<Box<str>, Result<Arc<Key>, NoKey>>,
    unknown: LruCache<Box<str>, Instant>,
    renew_at: Option<Instant>,
    has_failed: bool,
}

/// A set that has not been fetched yet, and the task to spawn for it.
///
/// # Errors
/// [`SettingsError`]: the HTTP client cannot be what it is to be.
pub fn jwks(settings: JwksSettings) -> Result<(Jwks, JwksTask), SettingsError> {
    let client = HttpClient::new(&settings.http)?;
    let (ask, questions) = question(WAITING_MAX);
    let keys = Published::default();
    let jwks = Jwks { keys: keys.clone(), ask, is_cached: settings.cached_for.is_some() };
    let task = JwksTask {
        name: format!("JWK {}", settings.url),
        // The first fetch of a cached set is due at once.
        renew_at: settings.cached_for.map(|_| Instant::now()),
        settings,
        client,
        keys,
        questions,
        unknown: LruCache::new(UNKNOWN_MAX),
        has_failed: false,
    };
    Ok((jwks, task))
}

/// Nanoseconds since 1970.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

// === impl JwksTask ===

impl Task for JwksTask {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            loop {
                let idle =
                    self.renew_at.map_or(IDLE, |at| at.saturating_duration_since(Instant::now()));
                match within(idle, self.questions.next()).await {
                    Some(None) => return Ok(()),
                    Some(Some(asked)) => self.answer(asked, &env.log).await,
                    None if self.renew_at.is_some() => {
                        // Whoever asks meanwhile finds the answer in the cache.
                        let _ = self.fetch(&env.log).await;
                    }
                    None => {}
                }
            }
        })
    }
}

type AskedKey = Asked<Box<str>, Result<Arc<Key>, NoKey>>;

impl JwksTask {
    /// Answers a question, and all that come while the set is fetched for it.
    async fn answer(&mut self, asked: AskedKey, log: &Log) {
        if asked.is_abandoned() {
            return;
        }
        if let Some(answer) = self.known(&asked.question) {
            return asked.answer(answer);
        }
        let fetched = self.fetch(log).await;
        let mut next = Some(asked);
        while let Some(asked) = next {
            let answer = match &fetched {
                Ok(set) => self.found(set, &asked.question),
                Err(why) => Err(why.clone()),
            };
            asked.answer(answer);
            next = self.questions.try_next();
        }
    }

    /// What can be said without a fetch.
    fn known(&mut self, id: &str) -> Option<Result<Arc<Key>, NoKey>> {
        if let Some(key) = self.keys.latest().find(id, now_ns()) {
            return Some(Ok(key.clone()));
        }
        let since = self.unknown.get(id)?;
        if since.elapsed() < self.settings.cooldown {
            return Some(Err(NoKey::Cooling));
        }
        self.unknown.pop(id);
        None
    }

    fn found(&mut self, set: &KeySet, id: &str) -> Result<Arc<Key>, NoKey> {
        if let Some(key) = set.find(id) {
            return Ok(key.clone());
        }
        if let Some(key) = self.keys.latest().find(id, now_ns()) {
            return Ok(key.clone());
        }
        if !self.settings.cooldown.is_zero() {
            self.unknown.put(id.into(), Instant::now());
        }
        Err(NoKey::Unknown)
    }

    /// Fetches the set, and keeps all of it where it is to be kept.
    async fn fetch(&mut self, log: &Log) -> Result<KeySet, NoKey> {
        let fetched = self.download().await;
        let pause = match (&fetched, self.settings.cached_for) {
            (Ok(set), Some(cached_for)) => {
                let now_ns = now_ns();
                let for_ns = u64::try_from(cached_for.as_nanos()).unwrap_or(u64::MAX);
                let keys = self.keys.latest().with(set, now_ns, now_ns.saturating_add(for_ns));
                self.keys.publish(keys);
                (cached_for >= RENEWED).then(|| cached_for / 10 * 9)
            }
            (Err(_), Some(cached_for)) if cached_for >= RENEWED => Some(RENEWAL_PAUSE),
            _ => None,
        };
        self.renew_at = pause.and_then(|pause| Instant::now().checked_add(pause));
        match &fetched {
            Err(why) if !self.has_failed => {
                log.warning(format_args!("[SERVICE: JWK] {}: {why}", self.settings.url));
            }
            Ok(_) if self.has_failed => {
                log.info(format_args!("[SERVICE: JWK] {}: available again", self.settings.url));
            }
            _ => {}
        }
        self.has_failed = fetched.is_err();
        fetched
    }

    /// The status does not count: the original does not look at it.
    async fn download(&self) -> Result<KeySet, NoKey> {
        let no_set = |why: String| NoKey::Set(why.into());
        let text = set_text(&self.client, &self.settings.url).await.map_err(no_set)?;
        let JwksSettings { algorithm, strategy, .. } = self.settings;
        KeySet::read(&text, algorithm, strategy).map_err(|error| no_set(error.to_string()))
    }
}

/// The text of a set, or why there is none.
pub async fn set_text(client: &HttpClient, url: &str) -> Result<Vec<u8>, String> {
    let answer = client.get(url).await.map_err(|error| error.to_string())?;
    if !CONTENT_TYPES.iter().any(|known| answer.content_type.starts_with(known)) {
        return Err(format!("the content type is {:?}", answer.content_type));
    }
    Ok(answer.body)
}

// === impl NoKey ===

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the key of the token is not in the set"),
            Self::Cooling => f.write_str("the key of the token was not in the set lately"),
            Self::Set(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for NoKey {}
