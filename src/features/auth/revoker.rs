//! `auth/revoker`: takes tokens back before their time, by what their claims say.
//!
//! Follows krakend's bloomfilter (specification, section 2.30): who revokes adds `KEY-VALUE` through Go's net/rpc on a port
//! of its own, and validators refuse tokens with such a claim.

mod bloom;
pub mod gob;
mod rpc;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::control::task::within;
use crate::control::tcp::{self, Conversation};
use crate::control::{BoxFuture, Task, TaskEnv, TaskError};
use crate::plan::feature::{Fallback, Feature, Scope, Site, decode};
use crate::stage::Claims;
use crate::stage::revocation::Revocation;
use bloom::{Rotation, Size};
use rpc::Session;

pub struct Revoker;

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Options {
    #[serde(rename = "N")]
    elements: u64,
    #[serde(rename = "P")]
    probability: f64,
    #[serde(rename = "TTL")]
    ttl: u64,
    hash_name: String,
    port: u16,
    token_keys: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            elements: 0,
            probability: 0.0,
            ttl: TTL_DEFAULT_S,
            hash_name: String::new(),
            port: 0,
            token_keys: Vec::new(),
        }
    }
}

const MEMBERS: &[&str] = &["N", "P", "TTL", "hash_name", "port", "token_keys"];
/// How long a token stays revoked at least is twice this, in seconds.
const TTL_DEFAULT_S: u64 = 1_500;

impl Feature for Revoker {
    fn namespace(&self) -> &'static str {
        "auth/revoker"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(MEMBERS)
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        let options: Options = decode(block)?;
        let wrong = |member: &str, what: String| {
            let problem = Problem::lenient(block.place_at(&format!("/{member}")), what);
            Fallback::Skip(problem.hint("--lenient starts, and no token can be revoked"))
        };
        let size = Size::of(options.elements, options.probability)
            .map_err(|error| wrong(error.member(), error.to_string()))?;
        if options.ttl == 0 {
            return Err(wrong("TTL", "TTL is a number of seconds above zero".to_owned()));
        }
        if options.port == 0 {
            return Err(wrong("port", "port is the number of a port".to_owned()));
        }
        let revoked = draft.common.kept(block, "", || Rotation::new(size));
        let (asked, keys) = (revoked.clone(), options.token_keys);
        let is_revoked = move |claims: &Claims| {
            keys.iter().any(|key| {
                let value = claims.get(key).and_then(|claim| claim.as_str());
                value.is_some_and(|value| asked.has(format!("{key}-{value}").as_bytes()))
            })
        };
        draft.common.get::<Revocation>().install(Box::new(is_revoked));
        draft.common.leave_task(Box::new(Turn {
            revoked: revoked.clone(),
            ttl: Duration::from_secs(options.ttl),
        }));
        draft.common.leave_task(Box::new(Port { revoked, port: options.port }));
        // All that it decides is which of the original's hashes is taken; the sets cannot be exchanged anyway.
        if matches!(options.hash_name.as_str(), "" | "optimal" | "default") {
            return Ok(());
        }
        let what = format!("unknown hash {:?}", options.hash_name);
        let problem = Problem::warn(block.place_at("/hash_name"), what);
        Err(Fallback::Skip(problem.hint("optimal or default; it makes no difference here")))
    }
}

/// Lets revocations grow old.
struct Turn {
    revoked: Arc<Rotation>,
    ttl: Duration,
}

impl Task for Turn {
    fn name(&self) -> &'static str {
        "revoker"
    }

    fn run(&mut self, mut env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            while within(self.ttl, env.stopping()).await.is_none() {
                self.revoked.turn();
            }
            Ok(())
        })
    }
}

/// Listens to those who revoke.
struct Port {
    revoked: Arc<Rotation>,
    port: u16,
}

impl Task for Port {
    fn name(&self) -> &'static str {
        "revoker's port"
    }

    fn is_exclusive(&self) -> bool {
        true
    }

    fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            let revoked = self.revoked.clone();
            let open = move || Box::new(Session::new(revoked.clone())) as Box<dyn Conversation>;
            tcp::serve(self.port, Box::new(open), env).await
        })
    }
}
