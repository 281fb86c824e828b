//! `auth/validator`: lets requests through whose token is good, and tells everyone behind what it says.
//!
//! Follows krakend-jose (specification, section 2.28): find the token, find its key, check signature, times, issuer and
//! audience (401), then roles and scopes (403). A core never waits unless a key must be fetched.

mod options;
mod rules;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::jwk::jwks::{Jwks, JwksSettings, NoKey, jwks, now_ns};
use super::jwk::options::{KeyOptions, Place, decode, refused, sealed};
use super::jwk::verified::{Verified, VerifiedTokens};
use super::jwk::{Algorithm, Key, KeyCache, KeyId, KeySet, Token};
use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::control::http_client::TlsTrust;
use crate::plan::common::Common;
use crate::plan::feature::{EndpointDraft, EndpointSlot, Fallback, Feature, Scope, Site};
use crate::shared::published::Reader;
use crate::shared::question::Unanswered;
use crate::stage::claims::ClaimRules;
use crate::stage::revocation::Revocation;
use crate::stage::{Cause, Claims, EndpointStage, Exchange, Failure, Step};
use crate::wire::Reply;
use options::{ENDPOINT_MEMBERS, SERVICE_MEMBERS, ServiceOptions, ValidatorOptions};
use rules::{Refusal, Registered, Rules};

pub struct Validator;

impl Feature for Validator {
    fn namespace(&self) -> &'static str {
        "auth/validator"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service, Scope::Endpoint]
    }

    fn members(&self, scope: Scope) -> Option<&'static [&'static str]> {
        Some(if scope == Scope::Service { SERVICE_MEMBERS } else { ENDPOINT_MEMBERS })
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        match site {
            Site::Service(draft) => at_service(block, &draft.common),
            Site::Endpoint(draft) => at_endpoint(block, draft),
            Site::Backend(_) => Ok(()),
        }
    }
}

/// The sets that endpoints share when the service says so.
#[derive(Default)]
struct SharedSets {
    cached_for: OnceLock<Duration>,
    sets: Mutex<HashMap<SetKey, Jwks>>,
}

/// What two endpoints must have in common to share a set.
#[derive(PartialEq, Eq, Hash)]
struct SetKey {
    url: String,
    algorithm: Algorithm,
    strategy: KeyId,
    tls: TlsTrust,
    cooldown: Duration,
}

fn at_service(block: &Block, common: &Common) -> Result<(), Fallback> {
    let options: ServiceOptions = crate::plan::feature::decode(block)?;
    // The block alone switches the common cache on.
    let _ = common.get::<SharedSets>().cached_for.set(options.cached_for());
    Ok(())
}

/// One validator, or a list of them: then a token that one of them finds good is good.
fn at_endpoint(block: &Block, draft: &mut EndpointDraft) -> Result<(), Fallback> {
    let blocks = block.entries().unwrap_or_else(|| vec![block.clone()]);
    if blocks.is_empty() {
        return Err(sealed(block, "", "the list has no validator"));
    }
    let (mut guards, mut soft) = (Vec::new(), None);
    for block in &blocks {
        let (guard, problem) = guard(block, draft)?;
        soft = soft.or(problem);
        guards.push(Arc::new(guard));
    }
    let build = move || Box::new(Stage::of(&guards)) as Box<dyn EndpointStage>;
    draft.stages.push((EndpointSlot::Validator, Box::new(build)));
    soft.map_or(Ok(()), |problem| Err(Fallback::Skip(problem)))
}

/// Reads one validator.
fn guard(block: &Block, draft: &EndpointDraft) -> Result<(Guard, Option<Problem>), Fallback> {
    let options: ValidatorOptions = decode(block)?;
    let source: KeyOptions = decode(block)?;
    let algorithm = Algorithm::named(&options.alg).ok_or_else(|| {
        let problem = refused(block, "alg", format!("unknown algorithm {}", options.alg));
        Fallback::Refuse(problem.hint(format!("one of {}", Algorithm::names())))
    })?;
    if options.cache && !source.jwk_local_path.is_empty() {
        let what = "cache cannot be used with jwk_local_path";
        return Err(Fallback::Refuse(refused(block, "cache", what).hint("files are always kept")));
    }
    let (rules, mut soft) = Rules::compile(block, &options, algorithm)?;
    let common = draft.common.clone();
    let keys = match source.open(block)? {
        Place::File(text) => {
            let set = KeySet::read(&text, algorithm, rules.strategy).map_err(|error| {
                let what = format!("{}: {error}", source.jwk_local_path);
                Fallback::Refuse(refused(block, "jwk_local_path", what))
            })?;
            Keys::Fixed(Arc::new(KeyCache::fixed(set)))
        }
        Place::Url(url, http) => {
            let (cooldown, problem) = options.cooldown(block);
            soft = soft.or(problem);
            let cached_for = options.cache.then(|| options.cached_for());
            let strategy = rules.strategy;
            let settings = JwksSettings { url, algorithm, strategy, http, cached_for, cooldown };
            Keys::Fetched(open_set(block, settings, &common)?)
        }
    };
    let guard = Guard {
        prefix: format!("[ENDPOINT: {}][JWTValidator]", draft.route),
        rules,
        keys,
        revocation: common.get(),
        claim_rules: draft.claim_rules.clone(),
        common,
    };
    Ok((guard, soft))
}

/// A set of this endpoint alone, or the one that it shares with others of the same URL and options.
fn open_set(block: &Block, settings: JwksSettings, common: &Common) -> Result<Jwks, Fallback> {
    let open = |settings: JwksSettings| {
        let (set, task) = jwks(settings).map_err(|error| {
            Fallback::Refuse(refused(block, "jwk_url", format!("keys cannot be fetched: {error}")))
        })?;
        common.leave_task(Box::new(task));
        Ok(set)
    };
    let shared = common.get::<SharedSets>();
    let (Some(shared_for), Some(own)) = (shared.cached_for.get(), settings.cached_for) else {
        return open(settings);
    };
    let key = SetKey {
        url: settings.url.clone(),
        algorithm: settings.algorithm,
        strategy: settings.strategy,
        tls: settings.http.tls.clone(),
        cooldown: settings.cooldown,
    };
    let mut sets = shared.sets.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(set) = sets.get(&key) {
        return Ok(set.clone());
    }
    let cached_for = Some(own.max(*shared_for));
    let set = open(JwksSettings { cached_for, ..settings })?;
    sets.insert(key, set.clone());
    Ok(set)
}

/// A validator, as all cores share it.
struct Guard {
    /// How its lines begin in the log.
    prefix: String,
    rules: Rules,
    keys: Keys,
    revocation: Arc<Revocation>,
    claim_rules: ClaimRules,
    common: Common,
}

enum Keys {
    Fixed(Arc<KeyCache>),
    Fetched(Jwks),
}

/// An endpoint's validators on one core.
struct Stage {
    guards: Box<[CoreGuard]>,
    verified: Rc<RefCell<VerifiedTokens>>,
}

/// A validator on one core.
struct CoreGuard {
    guard: Arc<Guard>,
    /// The keys that are fetched and cached.
    cached: Option<RefCell<Reader<KeyCache>>>,
}

/// What can be said of a token at once.
enum Look {
    Known(Rc<Verified>),
    /// This key must be fetched first.
    Fetch(Box<str>),
}

// === impl CoreGuard ===

impl CoreGuard {
    fn of(guard: &Arc<Guard>) -> CoreGuard {
        let cached = match &guard.keys {
            Keys::Fetched(set) if set.is_cached => Some(RefCell::new(set.keys.reader())),
            _ => None,
        };
        CoreGuard { guard: guard.clone(), cached }
    }

    /// A key that is there.
    fn key(&self, id: &str) -> Option<Arc<Key>> {
        match (&self.guard.keys, &self.cached) {
            (Keys::Fixed(keys), _) => keys.find(id, now_ns()).cloned(),
            (_, Some(reader)) => reader.borrow_mut().get().find(id, now_ns()).cloned(),
            (_, None) => None,
        }
    }

    fn missing(&self, id: Box<str>) -> Result<Look, Refusal> {
        match &self.guard.keys {
            Keys::Fixed(_) => Err(Refusal::Key(NoKey::Unknown)),
            Keys::Fetched(_) => Ok(Look::Fetch(id)),
        }
    }

    /// Fetches a key.
    async fn fetched(&self, id: Box<str>) -> Result<Arc<Key>, Refusal> {
        let Keys::Fetched(set) = &self.guard.keys else { return Err(Refusal::Key(NoKey::Unknown)) };
        let answer = set.ask.ask(id).map_err(Refusal::Unanswered)?.await;
        answer.map_err(Refusal::Unanswered)?.map_err(Refusal::Key)
    }
}

// === impl Stage ===

impl Stage {
    fn of(guards: &[Arc<Guard>]) -> Stage {
        let guards = guards.iter().map(CoreGuard::of).collect();
        Stage { guards, verified: VerifiedTokens::of_this_core() }
    }

    /// Looks at a token without waiting.
    fn look(&self, core: &CoreGuard, text: &[u8]) -> Result<Look, Refusal> {
        let rules = &core.guard.rules;
        let known = self.verified.borrow_mut().find(text);
        if let Some(known) = known.filter(|known| known.key.is_for(rules.algorithm)) {
            let id = known.ids.of(rules.strategy);
            return Ok(match core.key(&id) {
                Some(key) if key.is_same(&known.key) => Look::Known(known),
                // Another key of that name: the signature counts anew.
                Some(key) => Look::Known(self.verify(&Token::parse(text)?, text, &key)?),
                None => core.missing(id.into())?,
            });
        }
        let token = Token::parse(text)?;
        if token.algorithm() != rules.algorithm.name() {
            return Err(Refusal::Algorithm);
        }
        let id = token.ids().of(rules.strategy);
        match core.key(&id) {
            Some(key) => self.verify(&token, text, &key).map(Look::Known),
            // Of several key servers only the one that may have made the token is asked.
            None if self.guards.len() > 1
                && !rules.may_be_of(token.claimed_issuer().as_deref()) =>
            {
                Err(Refusal::Issuer)
            }
            None => core.missing(id.into()),
        }
    }

    fn verify(
        &self,
        token: &Token<'_>,
        text: &[u8],
        key: &Arc<Key>,
    ) -> Result<Rc<Verified>, Refusal> {
        let members = token.verify(key)?;
        let registered = Registered::of(&members)?;
        let verified = Rc::new(Verified {
            claims: Rc::new(Claims::new(members)),
            ids: token.ids().clone(),
            times: registered.times,
            key: key.clone(),
        });
        self.verified.borrow_mut().keep(text, verified.clone());
        Ok(verified)
    }

    /// Fetches the key, then goes on as if it had been there.
    async fn admit_fetched(
        &self,
        core: &CoreGuard,
        exchange: &mut Exchange<'_>,
        id: Box<str>,
    ) -> Result<(), Refusal> {
        let key = core.fetched(id).await?;
        let text = core.guard.rules.token(exchange.head).ok_or(Refusal::NoToken)?;
        let known = self.verified.borrow_mut().find(text);
        let verified = match known.filter(|known| known.key.is_same(&key)) {
            Some(known) => known,
            None => self.verify(&Token::parse(text)?, text, &key)?,
        };
        self.admit(core, exchange, text, &verified)
    }

    /// Judges what the token says, and passes it on.
    fn admit(
        &self,
        core: &CoreGuard,
        exchange: &mut Exchange<'_>,
        text: &[u8],
        verified: &Verified,
    ) -> Result<(), Refusal> {
        let rules = &core.guard.rules;
        let claims = &verified.claims;
        rules.check_times(&verified.times, now_ns()).inspect_err(|refusal| {
            if *refusal == Refusal::Expired {
                self.verified.borrow_mut().forget(text);
            }
        })?;
        rules.check_origin(claims)?;
        if core.guard.revocation.is_revoked(claims) {
            return Err(Refusal::Revoked);
        }
        if !core.guard.claim_rules.admit(claims, core.guard.common.log()) {
            return Err(Refusal::Revoked);
        }
        rules.check_access(claims)?;
        rules.propagate(claims, &mut exchange.added)?;
        exchange.claims = Some(claims.clone());
        Ok(())
    }

    /// The answer to a request that is not let in.
    fn refuse(&self, refusal: &Refusal) -> Result<Reply, Failure> {
        for core in self.guards.iter().filter(|core| core.guard.rules.is_verbose).take(1) {
            if let Some(log) = core.guard.common.log() {
                log.error(format_args!("{} {refusal}", core.guard.prefix));
            }
        }
        if *refusal == Refusal::Unanswered(Unanswered::Overloaded) {
            return Err(Failure::new(Cause::Overloaded, refusal.to_string()));
        }
        Ok(Reply::empty(refusal.status()))
    }
}

impl EndpointStage for Stage {
    fn on_request<'x>(
        &'x self,
        exchange: &'x mut Exchange<'_>,
    ) -> Result<Step<'x, Reply>, Failure> {
        let mut refusal = Refusal::NoToken;
        let mut to_fetch = Vec::new();
        for core in &self.guards {
            let Some(text) = core.guard.rules.token(exchange.head) else { continue };
            let admitted = match self.look(core, text) {
                Ok(Look::Known(verified)) => self.admit(core, exchange, text, &verified),
                Ok(Look::Fetch(id)) => {
                    to_fetch.push((core, id));
                    continue;
                }
                Err(refusal) => Err(refusal),
            };
            match admitted {
                Ok(()) => return Ok(Step::Next),
                Err(other) => refusal = refusal.or(other),
            }
        }
        if to_fetch.is_empty() {
            return self.refuse(&refusal).map(Step::Done);
        }
        Ok(Step::Wait(Box::pin(async move {
            for (core, id) in to_fetch {
                match self.admit_fetched(core, exchange, id).await {
                    Ok(()) => return Ok(None),
                    Err(other) => refusal = refusal.or(other),
                }
            }
            self.refuse(&refusal).map(Some)
        })))
    }
}

/// Kept beside the decoder: a wrong duration does not leave the endpoint open, the default counts.
fn misread(block: &Block, member: &str, what: String) -> Problem {
    let Fallback::Seal(_, problem) = sealed(block, member, what) else {
        return Problem::lenient(block.place.clone(), "cannot be understood");
    };
    problem.hint("--lenient takes the default")
}

#[cfg(test)]
mod tests;
