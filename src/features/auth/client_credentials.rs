//! `auth/client-credentials`: calls a backend with an access token of the gateway's own (OAuth 2, RFC 6749 section 4.4).
//!
//! Follows golang.org/x/oauth2 (specification, section 2.31). Each backend has its token; it is fetched on the control
//! thread, once for all who wait for it, and kept until ten seconds before its end.

mod fetch;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::control::http_client::{HttpClient, HttpSettings, TlsTrust, is_url};
use crate::plan::feature::{CallSlot, Fallback, Feature, Scope, Site, decode};
use crate::shared::published::{Published, Reader};
use crate::shared::question::{Question, question};
use crate::stage::{Call, CallStage, Cause, Failure, Header, Outcome, Step, clock, within_ms};
use fetch::{FetchError, Form, Token, TokenTask};

pub struct ClientCredentials;

/// How long a token endpoint may take for its whole answer.
const FETCH: Duration = Duration::from_secs(15);
/// The largest answer of a token endpoint in bytes, as in the original.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Calls that may wait for the token of one backend.
const WAITING_MAX: usize = 16 * 1024;
/// How the original's library names itself to token endpoints.
const USER_AGENT: &str = "Go-http-client/1.1";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    client_id: String,
    client_secret: String,
    endpoint_params: BTreeMap<String, Vec<String>>,
    is_disabled: bool,
    scopes: String,
    token_url: String,
}

const MEMBERS: &[&str] =
    &["client_id", "client_secret", "endpoint_params", "is_disabled", "scopes", "token_url"];

impl Feature for ClientCredentials {
    fn namespace(&self) -> &'static str {
        "auth/client-credentials"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Backend]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(MEMBERS)
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Backend(draft) = site else { return Ok(()) };
        let options: Options = decode(block)?;
        if options.is_disabled {
            return Ok(());
        }
        let (form, mut soft) = form(block, &options);
        if !is_url(&options.token_url) {
            let what = format!("{:?} is no URL of a token endpoint", options.token_url);
            soft = soft.or(Some(failing(block, "token_url", what)));
        }
        let settings = HttpSettings {
            user_agent: USER_AGENT,
            timeout: FETCH,
            body_bytes_max: ANSWER_BYTES_MAX,
            tls: TlsTrust::default(),
        };
        let client = HttpClient::new(&settings).map_err(|error| {
            Fallback::Refuse(Problem::refuse(block.place.clone(), error.to_string()))
        })?;
        let (ask, questions) = question(WAITING_MAX);
        let token = Published::default();
        draft.common.leave_task(Box::new(TokenTask::new(
            options.token_url,
            client,
            form,
            token.clone(),
            questions,
        )));
        let build = move || {
            let token = RefCell::new(token.reader());
            Box::new(Stage { token, ask: ask.clone() }) as Box<dyn CallStage>
        };
        draft.stages.push((CallSlot::Credentials, Box::new(build)));
        soft.map_or(Ok(()), |problem| Err(Fallback::Skip(problem)))
    }
}

/// What is sent to the token endpoint. `scope` is always sent, so nothing may set it a second time.
fn form(block: &Block, options: &Options) -> (Option<Form>, Option<Problem>) {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    fields.insert("grant_type".to_owned(), vec!["client_credentials".to_owned()]);
    fields.insert("scope".to_owned(), vec![options.scopes.replace(',', " ")]);
    for (name, values) in &options.endpoint_params {
        if name == "scope" {
            let what = "the parameter scope cannot be overwritten".to_owned();
            return (None, Some(failing(block, "endpoint_params/scope", what)));
        }
        fields.insert(name.clone(), values.clone());
    }
    let (id, secret) = (options.client_id.clone(), options.client_secret.clone());
    (Some(Form { fields, id, secret }), None)
}

fn failing(block: &Block, member: &str, what: String) -> Problem {
    let problem = Problem::lenient(block.place_at(&format!("/{member}")), what);
    problem.hint("--lenient starts, and every request to this backend fails with 500")
}

/// The token of a backend on one core.
struct Stage {
    token: RefCell<Reader<Option<Token>>>,
    ask: Question<(), Result<Token, FetchError>>,
}

impl Stage {
    fn known(&self) -> Option<Token> {
        self.token.borrow_mut().get().clone().filter(Token::is_fresh)
    }

    async fn fetched(&self, left_ms: u64) -> Result<Token, Failure> {
        let failed = |why: String| Failure::new(Cause::Unreachable, why);
        let answer = self.ask.ask(()).map_err(|why| failed(why.to_string()))?;
        match within_ms(left_ms, answer).await {
            None => Err(Failure::new(Cause::Deadline, "context deadline exceeded")),
            Some(Err(why)) => Err(failed(why.to_string())),
            Some(Ok(token)) => token.map_err(|why| failed(why.to_string())),
        }
    }
}

impl CallStage for Stage {
    fn before<'x>(&'x self, call: &'x mut Call<'_>) -> Result<Step<'x, Outcome>, Failure> {
        if let Some(token) = self.known() {
            authorize(call, &token);
            return Ok(Step::Next);
        }
        let left_ms = call.deadline.since_ms(clock::now());
        Ok(Step::Wait(Box::pin(async move {
            let token = self.fetched(left_ms).await?;
            authorize(call, &token);
            Ok(None)
        })))
    }
}

/// The token takes the place of any other authorization.
fn authorize(call: &mut Call<'_>, token: &Token) {
    let headers = call.headers.to_mut();
    headers.retain(|header| !header.name.eq_ignore_ascii_case(b"authorization"));
    headers.push(Header {
        name: Cow::Borrowed(b"Authorization"),
        value: Cow::Owned(token.header.as_bytes().to_vec()),
    });
}

#[cfg(test)]
mod tests;
