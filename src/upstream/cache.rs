//! `HttpCache`: raw answers of upstreams, kept to be given again, over all cores.
//!
//! Follows krakend-httpcache and httpcache (specification, section 2.23), except that an answer which is meant for one
//! client is not given to another, unless [`HttpCache::is_as_original`].

use std::sync::Arc;

use super::Url;
use crate::message::caching::{Directives, Freshness, Validity};
use crate::message::headers::elements;
use crate::message::hop_by_hop;
use crate::shared::store::Store;
use crate::wire::HeaderBlock;

/// The largest body that is kept.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bounds of a cache that was given none.
pub const ITEMS_DEFAULT: usize = 16_384;
pub const BYTES_DEFAULT: usize = 64 * 1024 * 1024;
/// Parts of such a cache: cores seldom meet at one of them.
const SHARDS_DEFAULT: usize = 16;
/// Headers that an answer may vary by; with more it is not kept.
const VARY_MAX: usize = 16;

/// A cache, of one backend or of several. Clones are the same cache.
#[derive(Clone)]
pub struct HttpCache {
    store: Arc<Store<Arc<Kept>>>,
    is_as_original: bool,
}

/// An answer that is kept: end-to-end headers, and the whole body as decoding will find it.
#[derive(Debug)]
pub struct Kept {
    pub status: u16,
    pub headers: HeaderBlock,
    pub body: Vec<u8>,
    /// The request's headers that the answer depends on, in lower case, with their values then.
    varies: Vec<(Box<str>, Box<[u8]>)>,
    validity: Validity,
}

/// The request as far as caching looks at it.
pub struct Asked<'c> {
    /// The headers that go to the upstream.
    pub headers: Vec<(&'c [u8], &'c [u8])>,
    /// The client's own `Authorization`, wherever it stands.
    pub client_credentials: Option<&'c [u8]>,
    pub wishes: Directives,
}

// === impl Asked ===

impl<'c> Asked<'c> {
    pub fn new(
        headers: Vec<(&'c [u8], &'c [u8])>,
        client_credentials: Option<&'c [u8]>,
    ) -> Asked<'c> {
        let wishes = Directives::of(named(&headers, b"cache-control"));
        Asked { headers, client_credentials, wishes }
    }

    pub fn header(&self, name: &'static [u8]) -> &'c [u8] {
        named(&self.headers, name).next().unwrap_or_default()
    }

    /// The values of all headers of that name, as one list.
    fn combined(&self, name: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        for (_, value) in self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            if !all.is_empty() {
                all.extend_from_slice(b", ");
            }
            all.extend_from_slice(value);
        }
        all
    }

    /// The client's own credentials go up: the answer may be for this client alone.
    fn carries_client_credentials(&self) -> bool {
        self.client_credentials
            .is_some_and(|own| named(&self.headers, b"authorization").any(|sent| sent == own))
    }
}

fn named<'c>(
    headers: &[(&'c [u8], &'c [u8])],
    name: &'static [u8],
) -> impl Iterator<Item = &'c [u8]> {
    let is_named = move |(known, _): &&(&[u8], &[u8])| known.eq_ignore_ascii_case(name);
    headers.iter().filter(is_named).map(|(_, value)| *value)
}

// === impl HttpCache ===

impl HttpCache {
    /// `bounds`: items and bytes, exact; `None` is [`ITEMS_DEFAULT`] and [`BYTES_DEFAULT`].
    pub fn new(bounds: Option<(usize, usize)>, is_as_original: bool) -> HttpCache {
        let store = match bounds {
            Some((items, bytes)) => Store::new(items, bytes, 1),
            None => Store::new(ITEMS_DEFAULT, BYTES_DEFAULT, SHARDS_DEFAULT),
        };
        HttpCache { store: Arc::new(store), is_as_original }
    }

    /// The same cache under the other rule; the two do not see each other's answers.
    #[must_use]
    pub fn with_rule(&self, is_as_original: bool) -> HttpCache {
        HttpCache { store: self.store.clone(), is_as_original }
    }

    pub fn is_as_original(&self) -> bool {
        self.is_as_original
    }

    /// What an answer is kept under. Credentials of the configuration are part of it: backends that share a cache may
    /// have different ones.
    pub fn name(&self, method: &str, url: &Url, authorization: Option<&str>) -> Vec<u8> {
        let parts: [&[u8]; 7] = [
            if self.is_as_original { b"1" } else { b"0" },
            method.as_bytes(),
            if url.is_tls { b" https://" } else { b" http://" },
            url.authority.as_bytes(),
            &url.target,
            b"\n",
            authorization.unwrap_or_default().as_bytes(),
        ];
        parts.concat()
    }

    pub fn get(&self, name: &[u8]) -> Option<Arc<Kept>> {
        self.store.get(name)
    }

    pub fn remove(&self, name: &[u8]) {
        self.store.remove(name);
    }

    pub fn keep(&self, name: &[u8], kept: &Arc<Kept>) {
        let lines: usize = kept.headers.as_bytes().len();
        // As much as the original counts: status line, headers, body.
        self.store.put(
            name,
            kept.clone(),
            "HTTP/1.1 200 OK\r\n\r\n".len() + lines + kept.body.len(),
        );
    }

    /// Whether an answer with these headers may be kept.
    pub fn may_keep<'h>(
        &self,
        asked: &Asked<'_>,
        status: u16,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])> + Clone,
    ) -> bool {
        let lines = |name: &'static [u8]| {
            headers.clone().filter(move |(known, _)| known.eq_ignore_ascii_case(name))
        };
        let answer = Directives::of(lines(b"cache-control").map(|(_, value)| value));
        // A part of an answer and the news that there is none are no answers to be given again.
        if answer.no_store || asked.wishes.no_store || matches!(status, 100..=199 | 206 | 304) {
            return false;
        }
        let mut varies = lines(b"vary").flat_map(|(_, value)| elements(value));
        if varies.clone().count() > VARY_MAX {
            return false;
        }
        self.is_as_original
            || !(answer.private
                || lines(b"set-cookie").next().is_some()
                || varies.any(|name| name == b"*")
                || (asked.carries_client_credentials() && !answer.is_for_all))
    }
}

// === impl Kept ===

impl Kept {
    /// An answer without its body. `is_unpacked`: the body will be unpacked, whatever the headers say.
    pub fn new<'h>(
        asked: &Asked<'_>,
        status: u16,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
        is_unpacked: bool,
    ) -> Kept {
        let mut block = HeaderBlock::default();
        for (name, value) in headers {
            if !(is_unpacked && name.eq_ignore_ascii_case(b"content-encoding")) {
                block.push_parsed(name, value);
            }
        }
        let mut kept = Kept {
            status,
            headers: block,
            body: Vec::new(),
            varies: Vec::new(),
            validity: Validity::default(),
        };
        kept.learn(asked);
        kept
    }

    /// What the headers say of the answer's use.
    fn learn(&mut self, asked: &Asked<'_>) {
        let named = |name: &'static [u8]| {
            let is_named = move |(known, _): &(&[u8], &[u8])| known.eq_ignore_ascii_case(name);
            self.headers.iter().filter(is_named).map(|(_, value)| value)
        };
        let directives = Directives::of(named(b"cache-control"));
        let (date, expires) = (named(b"date").next(), named(b"expires").next());
        let validity = Validity::new(&directives, date, expires);
        let varies = named(b"vary")
            .flat_map(elements)
            .filter(|name| !name.is_empty() && *name != b"*")
            .map(|name| {
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                let value = asked.combined(name.as_bytes());
                (name.into(), value.into())
            })
            .collect();
        (self.validity, self.varies) = (validity, varies);
    }

    /// The first header of that name.
    pub fn header(&self, name: &[u8]) -> Option<&[u8]> {
        let mut found = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// Whether a request agrees in all headers that the answer depends on.
    pub fn fits(&self, asked: &Asked<'_>) -> bool {
        self.varies.iter().all(|(name, then)| asked.combined(name.as_bytes()) == **then)
    }

    pub fn freshness(&self, wishes: &Directives, now_ms: i64) -> Freshness {
        self.validity.freshness(wishes, now_ms)
    }

    pub fn serves_on_error(&self, wishes: &Directives, now_ms: i64) -> bool {
        self.validity.serves_on_error(wishes, now_ms)
    }

    /// Whether a later request may be answered with it, at once or once it is validated.
    pub fn is_of_use(&self) -> bool {
        self.validity.has_lifetime()
            || self.header(b"etag").is_some()
            || self.header(b"last-modified").is_some()
    }

    /// The same answer after a 304 with these headers.
    #[must_use]
    pub fn validated<'k>(
        &'k self,
        asked: &Asked<'_>,
        news: impl Iterator<Item = (&'k [u8], &'k [u8])> + Clone,
    ) -> Kept {
        let is_about_body = |name: &[u8]| {
            name.eq_ignore_ascii_case(b"content-encoding") || hop_by_hop::is_of_the_connection(name)
        };
        let news = news.filter(|(name, _)| !is_about_body(name));
        let is_new = |name: &[u8]| news.clone().any(|(new, _)| new.eq_ignore_ascii_case(name));
        let mut lines: Vec<(&[u8], &[u8])> =
            self.headers.iter().filter(|(name, _)| !is_new(name)).collect();
        lines.extend(news.clone());
        let mut kept = Kept::new(asked, self.status, lines.into_iter(), false);
        kept.body.clone_from(&self.body);
        kept
    }
}

#[cfg(test)]
mod tests;
