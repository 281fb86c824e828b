//! `VerifiedTokens`: tokens whose signature was found right lately, so that it is not computed again for each request.
//!
//! One for each core, shared by its validators. An entry holds what was signed and the key that did it; whoever finds one
//! still asks whether that key is known, and judges times, audience and roles each time.

use std::cell::RefCell;
use std::hash::RandomState;
use std::rc::Rc;
use std::sync::Arc;

use lru::LruCache;

use super::key::Key;
use super::token::KeyIds;
use crate::stage::Claims;

/// Tokens kept by one core.
const TOKENS_MAX: usize = 16 * 1024;
/// Memory that they may take on one core, in bytes, about.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// A token that is longer is not kept.
const TOKEN_KEPT_BYTES_MAX: usize = 8 * 1024;
/// What an entry costs beside its texts, and how much larger claims are as a tree.
const ENTRY_BYTES: usize = 512;
const TREE_FACTOR: usize = 3;

/// What is known of a token with a right signature.
#[derive(Debug)]
pub struct Verified {
    pub claims: Rc<Claims>,
    pub times: Times,
    /// What the token calls its key.
    pub ids: KeyIds,
    pub key: Arc<Key>,
}

/// The moments that a token names, in whole seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    pub expiry: Option<i64>,
    pub not_before: Option<i64>,
    pub issued: Option<i64>,
}

/// The tokens of one core.
pub struct VerifiedTokens {
    tokens: LruCache<Box<[u8]>, Rc<Verified>, RandomState>,
    bytes: usize,
}

thread_local! {
    static OF_THIS_CORE: Rc<RefCell<VerifiedTokens>> = Rc::default();
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        VerifiedTokens { tokens: LruCache::unbounded_with_hasher(RandomState::new()), bytes: 0 }
    }
}

// === impl VerifiedTokens ===

impl VerifiedTokens {
    /// Those of the core that calls.
    pub fn of_this_core() -> Rc<RefCell<VerifiedTokens>> {
        OF_THIS_CORE.with(Rc::clone)
    }

    pub fn find(&mut self, token: &[u8]) -> Option<Rc<Verified>> {
        self.tokens.get(token).cloned()
    }

    pub fn keep(&mut self, token: &[u8], verified: Rc<Verified>) {
        if token.len() > TOKEN_KEPT_BYTES_MAX {
            return;
        }
        self.bytes += cost(token);
        if let Some((replaced, _)) = self.tokens.push(token.into(), verified) {
            self.bytes -= cost(&replaced);
        }
        while self.bytes > BYTES_MAX || self.tokens.len() > TOKENS_MAX {
            let Some((oldest, _)) = self.tokens.pop_lru() else { break };
            self.bytes -= cost(&oldest);
        }
    }

    /// Forgets a token that is over.
    pub fn forget(&mut self, token: &[u8]) {
        if let Some((token, _)) = self.tokens.pop_entry(token) {
            self.bytes -= cost(&token);
        }
    }

    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

fn cost(token: &[u8]) -> usize {
    ENTRY_BYTES + token.len() * TREE_FACTOR
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::auth::jwk::{Algorithm, KeyId, KeySet};

    fn verified() -> Rc<Verified> {
        let set = br#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#;
        let set = KeySet::read(set, Algorithm::Hs256, KeyId::Kid).expect("a set");
        let key = set.find("").expect("a key").clone();
        let (claims, times, ids) = (Rc::default(), Times::default(), KeyIds::default());
        Rc::new(Verified { claims, times, ids, key })
    }

    #[test]
    fn memory_is_bounded_and_counted_right() {
        let (mut tokens, entry) = (VerifiedTokens::default(), verified());
        let token = |number: u32| {
            let mut token = vec![b'x'; 4_000];
            token[..4].copy_from_slice(&number.to_be_bytes());
            token
        };
        for number in 0..5_000 {
            tokens.keep(&token(number), entry.clone());
            tokens.keep(&token(number), entry.clone());
        }
        assert!(tokens.bytes <= BYTES_MAX && tokens.len() > 1_000);
        assert_eq!(tokens.bytes, tokens.len() * cost(&token(0)));
        assert!(tokens.find(&token(4_999)).is_some());
        assert!(tokens.find(&token(0)).is_none(), "the oldest have gone");
        tokens.forget(&token(4_999));
        assert!(tokens.find(&token(4_999)).is_none());
        assert_eq!(tokens.bytes, tokens.len() * cost(&token(0)));
    }

    #[test]
    fn a_long_token_is_not_kept() {
        let mut tokens = VerifiedTokens::default();
        tokens.keep(&vec![b'x'; TOKEN_KEPT_BYTES_MAX + 1], verified());
        assert!(tokens.is_empty());
    }
}
