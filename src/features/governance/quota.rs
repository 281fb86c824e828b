//! `governance/quota`: attaches a quota of `governance/processors` to the service, an endpoint or a backend.
//!
//! The original's free edition ignores this block; its options are those of the Enterprise edition.

use std::sync::Arc;

use serde::Deserialize;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::control::redis::quotas::Quotas;
use crate::control::redis::{Processor, Stores};
use crate::json::parameter;
use crate::plan::client_key::ClientKey;
use crate::plan::feature::{
    CallSlot, CommonStageBuilder, EndpointSlot, Fallback, Feature, Scope, Site, decode,
};
use crate::shared::allowance::{Allowance, Left};
use crate::stage::{
    Answer, Call, CallStage, Cause, EndpointStage, Exchange, Failure, Outcome, Step, clock,
};
use crate::wire::Reply;

pub struct Quota;

const MEMBERS: &[&str] = &[
    "disable_quota_headers",
    "on_unmatched_tier_allow",
    "quota_name",
    "tier_key",
    "tiers",
    "weight_key",
    "weight_strategy",
];

/// Nobody knows whose quota it is.
const UNMATCHED: u16 = 400;
const EXCEEDED: u16 = 429;
/// The store is away.
const FAILED: u16 = 500;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    quota_name: String,
    tier_key: String,
    tiers: Vec<WrittenTier>,
    on_unmatched_tier_allow: bool,
    disable_quota_headers: bool,
    weight_key: String,
    weight_strategy: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WrittenTier {
    rule_name: String,
    tier_value: String,
    tier_value_as: String,
    strategy: String,
    key: String,
}

/// A quota at its place.
struct Attachment {
    processor: Arc<Processor>,
    tier_key: String,
    tiers: Vec<Tier>,
    allows_unmatched: bool,
    tells: bool,
    /// `None`: a request is one.
    weight: Option<Weight>,
}

struct Tier {
    /// `None`: everybody's.
    value: Option<String>,
    client: ClientKey,
    rule: Arc<Quotas>,
}

/// Where the number that counts stands in what came back.
enum Weight {
    Body(Vec<String>),
    Header(String),
}

/// Why a request is not let through.
enum Refusal {
    Unmatched,
    Exceeded(Left),
    Failed,
}

impl Feature for Quota {
    fn namespace(&self) -> &'static str {
        "governance/quota"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service, Scope::Endpoint, Scope::Backend]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(MEMBERS)
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Some(attachment) = attachment(block, site)? else { return Ok(()) };
        let attachment = Arc::new(attachment);
        match site {
            Site::Service(draft) => {
                let build: CommonStageBuilder =
                    Arc::new(move || Box::new(Stage(attachment.clone())));
                draft.endpoint_stages.push((EndpointSlot::ServiceQuota, build));
            }
            Site::Endpoint(draft) => {
                let build = Box::new(move || Box::new(Stage(attachment.clone())) as Box<_>);
                draft.stages.push((EndpointSlot::Quota, build));
            }
            Site::Backend(draft) => {
                let build = Box::new(move || Box::new(Stage(attachment.clone())) as Box<_>);
                draft.stages.push((CallSlot::RateLimit, build));
            }
        }
        Ok(())
    }
}

fn wrong(block: &Block, at: &str, what: impl Into<String>, hint: impl Into<String>) -> Fallback {
    Fallback::Skip(Problem::lenient(block.place_at(at), what).hint(hint))
}

fn known(names: &[String], none: &str) -> String {
    match names.is_empty() {
        true => none.to_owned(),
        false => format!("known are: {}", names.join(", ")),
    }
}

/// `None`: quotas are off.
fn attachment(block: &Block, site: &Site<'_>) -> Result<Option<Attachment>, Fallback> {
    let params: &[String] = match site {
        Site::Endpoint(draft) => &draft.param_names,
        _ => &[],
    };
    let options: Options = decode(block)?;
    let stores = site.common().get::<Stores>();
    if stores.is_off() {
        return Ok(None);
    }
    let processor = stores.processor(&options.quota_name).map_err(|names| {
        let what = format!("quota_name names no quota: {:?}", options.quota_name);
        let hint = known(&names, "there are no quotas in governance/processors at the service");
        wrong(block, "/quota_name", what, hint)
    })?;
    if options.tiers.is_empty() {
        return Err(wrong(block, "/tiers", "a quota needs tiers", "one with \"*\" is for all"));
    }
    let mut tiers = Vec::new();
    for (index, written) in options.tiers.iter().enumerate() {
        tiers.push(tier(block, index, written, &processor, params)?);
    }
    if options.tier_key.is_empty() && tiers.iter().any(|tier| tier.value.is_some()) {
        let hint = "it is the header that says which tier a request belongs to";
        return Err(wrong(block, "/tier_key", "tier_key is missing", hint));
    }
    let is_service = matches!(site, Site::Service(_));
    let weight = match (options.weight_key, options.weight_strategy.as_str()) {
        (key, _) if key.is_empty() || is_service => None,
        (key, "" | "body") => Some(Weight::Body(key.split('.').map(str::to_owned).collect())),
        (key, "header") => Some(Weight::Header(key)),
        (_, other) => {
            let what = format!("{other:?} is no place of a weight");
            return Err(wrong(block, "/weight_strategy", what, "\"body\" or \"header\""));
        }
    };
    Ok(Some(Attachment {
        processor,
        tier_key: options.tier_key,
        tiers,
        allows_unmatched: options.on_unmatched_tier_allow,
        tells: !options.disable_quota_headers,
        weight,
    }))
}

fn tier(
    block: &Block,
    index: usize,
    written: &WrittenTier,
    processor: &Processor,
    params: &[String],
) -> Result<Tier, Fallback> {
    let at = |member: &str| format!("/tiers/{index}/{member}");
    let value = match written.tier_value_as.as_str() {
        "*" => None,
        "" | "literal" if written.tier_value == "*" => None,
        "" | "literal" => Some(written.tier_value.clone()),
        "policy" => {
            let what = "policies for tiers are not built yet";
            return Err(wrong(block, &at("tier_value_as"), what, "\"literal\" or \"*\""));
        }
        other => {
            let what = format!("{other:?} is no way to match a tier");
            return Err(wrong(block, &at("tier_value_as"), what, "\"literal\" or \"*\""));
        }
    };
    let client = match written.strategy.as_str() {
        "ip" if written.key.is_empty() => ClientKey::Address,
        "ip" => ClientKey::AddressIn(written.key.clone()),
        "" | "header" | "param" if written.key.is_empty() => {
            let what = "a tier needs a key";
            return Err(wrong(block, &at("key"), what, "name the header or the parameter"));
        }
        "" | "header" => ClientKey::Header(written.key.clone()),
        "param" => match params.iter().position(|name| *name == written.key) {
            Some(slot) => ClientKey::Param(slot),
            None => {
                let what = format!("key names no parameter of the endpoint: {:?}", written.key);
                let hint = "a quota at an endpoint may name one in braces of its path";
                return Err(wrong(block, &at("key"), what, hint));
            }
        },
        other => {
            let what = format!("{other:?} is no way to tell clients apart");
            return Err(wrong(block, &at("strategy"), what, "\"header\", \"ip\" or \"param\""));
        }
    };
    let Some(rule) = processor.rules.get(&written.rule_name) else {
        let what = format!("rule_name names no rule of the quota: {:?}", written.rule_name);
        let names: Vec<String> = processor.rules.keys().cloned().collect();
        return Err(wrong(block, &at("rule_name"), what, known(&names, "the quota has no rules")));
    };
    Ok(Tier { value, client, rule: rule.clone() })
}

// === impl Attachment ===

impl Attachment {
    /// The rule and the name of this client.
    fn client<'x>(&self, exchange: &'x Exchange<'_>) -> Option<(&Quotas, &'x [u8])> {
        let value = exchange.header(&self.tier_key);
        let is_own = |tier: &&Tier| match &tier.value {
            None => true,
            Some(own) => value == Some(own.as_bytes()),
        };
        let tier = self.tiers.iter().find(is_own)?;
        Some((&tier.rule, tier.client.of(exchange)?))
    }

    /// Counts a request, or looks whether there is anything left where its weight is told later.
    fn enter(&self, exchange: &Exchange<'_>, now_ns: u64) -> Result<(), Refusal> {
        let Some((rule, client)) = self.client(exchange) else {
            return if self.allows_unmatched { Ok(()) } else { Err(Refusal::Unmatched) };
        };
        if self.processor.store.link.is_lost() && !self.processor.allows_on_failure {
            return Err(Refusal::Failed);
        }
        let enter = |allowance: &Allowance| {
            let is_let_in = match self.weight {
                None => allowance.take(now_ns),
                Some(_) => allowance.has_any(now_ns),
            };
            if is_let_in { Ok(()) } else { Err(allowance.left(rule.limits(), now_ns)) }
        };
        // A client whose set is being visited just now passes uncounted.
        rule.table.count(client, now_ns, enter).unwrap_or(Ok(())).map_err(Refusal::Exceeded)
    }

    /// Counts what a request has turned out to weigh; one, where nothing says so.
    fn weigh(&self, exchange: &Exchange<'_>, answer: Option<&Answer>, now_ns: u64) {
        let (Some(weight), Some(answer)) = (&self.weight, answer) else { return };
        let Some((rule, client)) = self.client(exchange) else { return };
        let number = match weight {
            Weight::Body(path) => parameter(&answer.data, path),
            Weight::Header(name) => {
                let mut lines = answer.headers.iter();
                let line = lines.find(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes()));
                line.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            }
        };
        let number = number.and_then(|number| number.trim().parse::<f64>().ok());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "floats saturate"
        )]
        let amount = number.map_or(1, |number| number.ceil() as u64);
        rule.table.count(client, now_ns, |allowance| allowance.charge(amount));
    }

    fn left(&self, exchange: &Exchange<'_>, now_ns: u64) -> Option<Left> {
        let (rule, client) = self.client(exchange)?;
        rule.table.look(client, |allowance| allowance.left(rule.limits(), now_ns))
    }
}

fn tell(left: Left, reply: &mut Reply) {
    let mut push = |name: &[u8], value: u64| {
        reply.headers.push_parsed(name, value.to_string().as_bytes());
    };
    push(b"X-Quota-Limit", left.amount);
    push(b"X-Quota-Remaining", left.remaining);
}

/// The quota at work on one core.
struct Stage(Arc<Attachment>);

impl EndpointStage for Stage {
    fn on_request<'x>(
        &'x self,
        exchange: &'x mut Exchange<'_>,
    ) -> Result<Step<'x, Reply>, Failure> {
        Ok(match self.0.enter(exchange, clock::monotonic_ns()) {
            Ok(()) => Step::Next,
            Err(Refusal::Unmatched) => Step::Done(Reply::empty(UNMATCHED)),
            Err(Refusal::Failed) => Step::Done(Reply::empty(FAILED)),
            Err(Refusal::Exceeded(left)) => {
                let mut reply = Reply::empty(EXCEEDED);
                if self.0.tells {
                    tell(left, &mut reply);
                    let seconds = left.reset_s.to_string();
                    reply.headers.push_parsed(b"Retry-After", seconds.as_bytes());
                }
                Step::Done(reply)
            }
        })
    }

    fn answer(&self, exchange: &Exchange<'_>, outcome: &mut Outcome) -> Option<Reply> {
        self.0.weigh(exchange, outcome.answer.as_deref(), clock::monotonic_ns());
        None
    }

    fn on_reply(&self, exchange: &Exchange<'_>, reply: &mut Reply) {
        let is_told = reply.headers.iter().any(|(name, _)| name == b"X-Quota-Limit");
        if self.0.tells
            && !is_told
            && let Some(left) = self.0.left(exchange, clock::monotonic_ns())
        {
            tell(left, reply);
        }
    }
}

impl CallStage for Stage {
    fn before<'x>(&'x self, call: &'x mut Call<'_>) -> Result<Step<'x, Outcome>, Failure> {
        let (status, why) = match self.0.enter(call.exchange, clock::monotonic_ns()) {
            Ok(()) => return Ok(Step::Next),
            Err(Refusal::Unmatched) => (UNMATCHED, "quota: the request belongs to no tier"),
            Err(Refusal::Failed) => (FAILED, "quota: the counts cannot be reached"),
            Err(Refusal::Exceeded(_)) => (EXCEEDED, "quota exceeded"),
        };
        Err(Failure::new(Cause::Refused(status), why))
    }

    fn after<'x>(
        &'x self,
        call: &'x mut Call<'_>,
        outcome: &'x mut Outcome,
    ) -> Result<Step<'x, ()>, Failure> {
        self.0.weigh(call.exchange, outcome.answer.as_deref(), clock::monotonic_ns());
        Ok(Step::Next)
    }
}

#[cfg(test)]
mod tests;
