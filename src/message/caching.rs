//! What may be kept of an answer, and how long it is fresh: the rules of the original's cache (specification, 2.23).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::headers::{elements, trim_blanks};

/// What `Cache-Control` says, of a request or of an answer. Times are in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    pub no_store: bool,
    pub no_cache: bool,
    pub private: bool,
    /// `public`, `s-maxage` or `must-revalidate`: a shared cache may keep it although the request had credentials
    /// (RFC 9111 section 3.5).
    pub is_for_all: bool,
    pub only_if_cached: bool,
    pub max_age: Option<i64>,
    pub min_fresh: Option<i64>,
    pub max_stale: Option<Span>,
    pub stale_if_error: Option<Span>,
}

/// How long, where a directive may stand without a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    Always,
    Ms(i64),
}

/// Whether a kept answer serves a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    /// It must be validated first.
    Stale,
    /// The client wants a new one.
    Transparent,
}

/// What the age of an answer is counted from, and how old it may become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    no_cache: bool,
    /// Milliseconds since 1970. Without a date an answer is never fresh.
    date: Option<i64>,
    lifetime: i64,
    stale_if_error: Option<Span>,
}

// === impl Directives ===

impl Directives {
    /// Reads all `Cache-Control` lines of a message, in any case.
    pub fn of<'h>(lines: impl Iterator<Item = &'h [u8]>) -> Directives {
        let mut all = Directives::default();
        for element in lines.flat_map(elements).filter(|element| !element.is_empty()) {
            let mut parts = element.splitn(2, |byte| *byte == b'=');
            let name = trim_blanks(parts.next().unwrap_or_default()).to_ascii_lowercase();
            all.note(&name, parts.next());
        }
        all
    }

    fn note(&mut self, name: &[u8], value: Option<&[u8]>) {
        let ms = value.map(milliseconds);
        match name {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache = true,
            b"private" => self.private = true,
            b"public" | b"s-maxage" | b"must-revalidate" => self.is_for_all = true,
            b"only-if-cached" => self.only_if_cached = true,
            // What is no number is a lifetime of nothing.
            b"max-age" => self.max_age = Some(ms.flatten().unwrap_or(0)),
            b"min-fresh" => self.min_fresh = ms.flatten(),
            b"max-stale" => {
                self.max_stale = match ms {
                    None => Some(Span::Always),
                    Some(ms) => ms.map(Span::Ms),
                };
            }
            b"stale-if-error" => {
                let never = Span::Ms(-1);
                self.stale_if_error =
                    Some(ms.map_or(Span::Always, |ms| ms.map_or(never, Span::Ms)));
            }
            _ => {}
        }
    }
}

/// A number of seconds, perhaps with a fraction.
#[expect(clippy::cast_possible_truncation, reason = "floats saturate")]
fn milliseconds(text: &[u8]) -> Option<i64> {
    let is_plain = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+');
    if !text.iter().all(is_plain) {
        return None;
    }
    let seconds: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some((seconds * 1000.0) as i64)
}

/// A date of HTTP as milliseconds since 1970; none before that year.
fn moment(text: &[u8]) -> Option<i64> {
    let time: SystemTime = httpdate::parse_http_date(std::str::from_utf8(text).ok()?).ok()?;
    let since: Duration = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

// === impl Validity ===

impl Validity {
    /// `directives` are those of the answer, `date` and `expires` its headers of that name.
    pub fn new(directives: &Directives, date: Option<&[u8]>, expires: Option<&[u8]>) -> Validity {
        let date = date.and_then(moment);
        let until_expiry =
            || Some(expires.filter(|text| !text.is_empty()).and_then(moment)? - date?);
        Validity {
            no_cache: directives.no_cache,
            date,
            lifetime: directives.max_age.or_else(until_expiry).unwrap_or(0),
            stale_if_error: directives.stale_if_error,
        }
    }

    /// Whether it was fresh when it came.
    pub fn has_lifetime(&self) -> bool {
        self.date.is_some() && self.lifetime > 0 && !self.no_cache
    }

    /// Whether it serves a request with these wishes; `now` is in milliseconds since 1970.
    pub fn freshness(&self, wishes: &Directives, now: i64) -> Freshness {
        if wishes.no_cache {
            return Freshness::Transparent;
        }
        if self.no_cache {
            return Freshness::Stale;
        }
        if wishes.only_if_cached {
            return Freshness::Fresh;
        }
        let Some(date) = self.date else { return Freshness::Stale };
        let lifetime = wishes.max_age.unwrap_or(self.lifetime);
        let tolerated = match wishes.max_stale {
            Some(Span::Always) => return Freshness::Fresh,
            Some(Span::Ms(ms)) => ms,
            None => 0,
        };
        let age = now
            .saturating_sub(date)
            .saturating_add(wishes.min_fresh.unwrap_or(0))
            .saturating_sub(tolerated);
        if lifetime > age { Freshness::Fresh } else { Freshness::Stale }
    }

    /// Whether it may stand in for an answer that failed (RFC 5861 section 4).
    pub fn serves_on_error(&self, wishes: &Directives, now: i64) -> bool {
        match (self.stale_if_error, wishes.stale_if_error) {
            (Some(Span::Always), _) | (_, Some(Span::Always)) => true,
            (_, Some(Span::Ms(lifetime))) | (Some(Span::Ms(lifetime)), None) => {
                self.date.is_some_and(|date| lifetime > now.saturating_sub(date))
            }
            (None, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 784,111,777 seconds.
    const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const AT: i64 = 784_111_777_000;

    fn directives(text: &str) -> Directives {
        Directives::of([text.as_bytes()].into_iter())
    }

    fn freshness(answer: &str, expires: Option<&str>, request: &str, age_s: i64) -> Freshness {
        let validity = Validity::new(&directives(answer), Some(DATE), expires.map(str::as_bytes));
        validity.freshness(&directives(request), AT + age_s * 1000)
    }

    #[test]
    fn directives_are_read_from_all_lines_in_any_case() {
        let read = Directives::of([&b"Max-Age=60, x"[..], b" NO-STORE ,private"].into_iter());
        assert_eq!(read.max_age, Some(60_000));
        assert!(read.no_store && read.private && !read.no_cache);
        assert_eq!(directives("max-age=\"60\"").max_age, Some(0));
        assert_eq!(directives("max-age= 60").max_age, Some(0));
        assert_eq!(directives("max-age=inf").max_age, Some(0));
        assert_eq!(directives("max-age=1.5").max_age, Some(1500));
        assert_eq!(directives("max-stale").max_stale, Some(Span::Always));
        assert_eq!(directives("max-stale=x").max_stale, None);
        assert_eq!(directives("stale-if-error=x").stale_if_error, Some(Span::Ms(-1)));
        assert_eq!(directives(""), Directives::default());
    }

    #[test]
    fn an_answer_is_fresh_for_its_lifetime() {
        use Freshness::{Fresh, Stale, Transparent};
        let later = Some("Sun, 06 Nov 1994 08:50:37 GMT");
        for (answer, expires, request, age_s, expected) in [
            ("max-age=60", None, "", 59, Fresh),
            ("max-age=60", None, "", 60, Stale),
            ("max-age=60", None, "", -5, Fresh),
            ("", later, "", 59, Fresh),
            ("", later, "", 60, Stale),
            ("max-age=10", later, "", 20, Stale),
            ("", Some("0"), "", 0, Stale),
            ("", None, "", 0, Stale),
            ("s-maxage=60", None, "", 0, Stale),
            ("no-cache, max-age=60", None, "", 0, Stale),
            ("max-age=60", None, "no-cache", 0, Transparent),
            ("max-age=60", None, "max-age=5", 6, Stale),
            ("max-age=1", None, "max-age=9", 6, Fresh),
            ("max-age=60", None, "min-fresh=30", 31, Stale),
            ("max-age=60", None, "max-stale=30", 89, Fresh),
            ("max-age=60", None, "max-stale=30", 90, Stale),
            ("", None, "max-stale", 9000, Fresh),
            ("", None, "only-if-cached", 9000, Fresh),
        ] {
            let got = freshness(answer, expires, request, age_s);
            assert_eq!(got, expected, "{answer} | {expires:?} | {request} | {age_s}");
        }
    }

    #[test]
    fn without_a_date_nothing_is_fresh() {
        let validity = Validity::new(&directives("max-age=60"), None, None);
        assert_eq!(validity.freshness(&Directives::default(), AT), Freshness::Stale);
        assert!(!validity.has_lifetime());
    }

    #[test]
    fn a_failure_is_covered_as_long_as_somebody_allows() {
        for (answer, request, age_s, expected) in [
            ("", "", 0, false),
            ("stale-if-error", "", 9000, true),
            ("stale-if-error=60", "", 59, true),
            ("stale-if-error=60", "", 60, false),
            ("stale-if-error=60", "stale-if-error=90", 80, true),
            ("", "stale-if-error", 80, true),
            ("stale-if-error=x", "", 0, false),
        ] {
            let validity = Validity::new(&directives(answer), Some(DATE), None);
            let got = validity.serves_on_error(&directives(request), AT + age_s * 1000);
            assert_eq!(got, expected, "{answer} | {request} | {age_s}");
        }
    }
}
