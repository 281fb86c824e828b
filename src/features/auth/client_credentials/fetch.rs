//! Fetching an access token: the form, the two ways to say who asks, and the answer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::control::http_client::{HttpAnswer, HttpClient};
use crate::control::{BoxFuture, Task, TaskEnv, TaskError};
use crate::message::headers::is_value_byte;
use crate::message::path;
use crate::message::query;
use crate::shared::published::Published;
use crate::shared::question::Questions;

/// A token is not used any more so long before its end.
const EARLY: Duration = Duration::from_secs(10);

/// What is asked, without who asks.
#[derive(Clone, Debug)]
pub struct Form {
    pub fields: BTreeMap<String, Vec<String>>,
    pub id: String,
    pub secret: String,
}

/// An access token as a header has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Type and token: `Bearer abc`.
    pub header: Arc<str>,
    /// `None` is for ever.
    until: Option<SystemTime>,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The configured parameters cannot be sent.
    Parameters,
    /// The endpoint could not be asked, or did not give one.
    Refused(Arc<str>),
}

/// How the client says who it is (RFC 6749 section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Basic,
    Fields,
}

/// Keeps one backend's token.
pub struct TokenTask {
    name: String,
    url: String,
    client: HttpClient,
    form: Option<Form>,
    token: Published<Option<Token>>,
    questions: Questions<(), Result<Token, FetchError>>,
    /// What worked last.
    style: Option<Style>,
}

// === impl Form ===

impl Form {
    /// The body, sorted by name as Go's `url.Values` are.
    fn encoded(&self, style: Style) -> String {
        let mut fields = self.fields.clone();
        if style == Style::Fields {
            fields.insert("client_id".to_owned(), vec![self.id.clone()]);
            if !self.secret.is_empty() {
                fields.insert("client_secret".to_owned(), vec![self.secret.clone()]);
            }
        }
        let pairs = fields.iter().flat_map(|(name, values)| {
            values.iter().map(move |value| format!("{}={}", escaped(name), escaped(value)))
        });
        pairs.collect::<Vec<_>>().join("&")
    }

    fn basic(&self) -> String {
        let pair = format!("{}:{}", escaped(&self.id), escaped(&self.secret));
        format!("Basic {}", BASE64_STANDARD.encode(pair))
    }
}

fn escaped(text: &str) -> String {
    let mut out = Vec::new();
    path::encode_query_component(text.as_bytes(), &mut out);
    String::from_utf8(out).unwrap_or_default()
}

// === impl Token ===

impl Token {
    /// Whether it can be used once more.
    pub fn is_fresh(&self) -> bool {
        self.until.is_none_or(|until| {
            until.duration_since(SystemTime::now()).is_ok_and(|left| left > EARLY)
        })
    }

    /// Reads the answer of a token endpoint (RFC 6749 section 5.1).
    pub fn of_answer(answer: &HttpAnswer) -> Result<Token, FetchError> {
        let refused = |why: String| FetchError::Refused(why.into());
        if !(200..300).contains(&answer.status) {
            return Err(refused(format!("cannot fetch token: status {}", answer.status)));
        }
        let media = answer.content_type.split(';').next().unwrap_or_default().trim();
        let fields = match media.to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" | "text/plain" => form_fields(&answer.body),
            _ => serde_json::from_slice(&answer.body)
                .map_err(|error| refused(format!("cannot parse json: {error}")))?,
        };
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        if !text("error").is_empty() {
            return Err(refused(format!("the token endpoint says {:?}", text("error"))));
        }
        let token = text("access_token");
        if token.is_empty() {
            return Err(refused("server response missing access_token".to_owned()));
        }
        let kind = match text("token_type") {
            kind if kind.is_empty() || kind.eq_ignore_ascii_case("bearer") => "Bearer",
            kind if kind.eq_ignore_ascii_case("mac") => "MAC",
            kind if kind.eq_ignore_ascii_case("basic") => "Basic",
            kind => kind,
        };
        let header = format!("{kind} {token}");
        if !header.bytes().all(is_value_byte) {
            return Err(refused("the token cannot be sent in a header".to_owned()));
        }
        let seconds = match fields.get("expires_in") {
            None | Some(Value::Null) => 0,
            Some(Value::String(text)) => {
                text.parse().map_err(|_| refused(format!("expires_in is {text:?}")))?
            }
            Some(other) => {
                other.as_i64().ok_or_else(|| refused(format!("expires_in is {other}")))?
            }
        };
        let lasts = Duration::from_secs(seconds.unsigned_abs());
        let until = match seconds {
            0 => None,
            1.. => SystemTime::now().checked_add(lasts),
            // It is over already.
            _ => SystemTime::now().checked_sub(lasts),
        };
        Ok(Token { header: header.into(), until })
    }
}

fn form_fields(body: &[u8]) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut fields = serde_json::Map::new();
    for (name, value) in query::pairs(body.trim_ascii()) {
        fields.entry(text(&name)).or_insert_with(|| Value::String(text(&value)));
    }
    Value::Object(fields)
}

// === impl TokenTask ===

impl TokenTask {
    pub fn new(
        url: String,
        client: HttpClient,
        form: Option<Form>,
        token: Published<Option<Token>>,
        questions: Questions<(), Result<Token, FetchError>>,
    ) -> TokenTask {
        let name = format!("token {url}");
        TokenTask { name, url, client, form, token, questions, style: None }
    }

    async fn fetch(&mut self) -> Result<Token, FetchError> {
        let Some(form) = self.form.clone() else { return Err(FetchError::Parameters) };
        // Which way an endpoint wants is found out once: first the header, then the fields.
        let styles = match self.style {
            Some(style) => vec![style],
            None => vec![Style::Basic, Style::Fields],
        };
        let mut last = Err(FetchError::Parameters);
        for style in styles {
            last = self.ask(&form, style).await;
            if last.is_ok() {
                self.style = Some(style);
                break;
            }
        }
        last
    }

    async fn ask(&self, form: &Form, style: Style) -> Result<Token, FetchError> {
        let basic = (style == Style::Basic).then(|| form.basic());
        let answer = self.client.post_form(&self.url, &form.encoded(style), basic.as_deref()).await;
        Token::of_answer(&answer.map_err(|error| FetchError::Refused(error.to_string().into()))?)
    }
}

impl Task for TokenTask {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            while let Some(asked) = self.questions.next().await {
                if asked.is_abandoned() {
                    continue;
                }
                // Another core's question may have been answered meanwhile.
                let known = (*self.token.latest()).clone().filter(Token::is_fresh);
                let answer = match known {
                    Some(token) => Ok(token),
                    None => {
                        let fetched = self.fetch().await;
                        match &fetched {
                            Ok(token) => self.token.publish(Some(token.clone())),
                            Err(why) => {
                                env.log.error(format_args!(
                                    "[SERVICE: ClientCredentials] {}: {why}",
                                    self.url
                                ));
                            }
                        }
                        fetched
                    }
                };
                asked.answer(answer.clone());
                while let Some(waiting) = self.questions.try_next() {
                    waiting.answer(answer.clone());
                }
            }
            Ok(())
        })
    }
}

// === impl FetchError ===

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameters => f.write_str("oauth2: cannot overwrite parameter \"scope\""),
            Self::Refused(why) => write!(f, "oauth2: {why}"),
        }
    }
}

impl std::error::Error for FetchError {}
