//! `Cache-Control` and dates: any of them is read, and what they say of freshness does not contradict itself.

use shoal::message::caching::{Directives, Freshness, Validity};
use shoal::message::date::imf_fixdate;

use crate::Input;

/// `Cache-Control of the answer LF Date LF Expires LF Cache-Control of the request LF now as a number`
pub fn caching(input: &[u8]) {
    let mut input = Input(input);
    let (answer, date, expires, request) =
        (input.until(b'\n'), input.until(b'\n'), input.until(b'\n'), input.until(b'\n'));
    let now = std::str::from_utf8(input.0).ok().and_then(|text| text.trim().parse().ok());
    let now: i64 = now.unwrap_or(784_111_777_000);
    let directives = Directives::of([answer].into_iter());
    // Lines are one list.
    let halves: Vec<&[u8]> = answer.split(|&byte| byte == b',').collect();
    if !answer.contains(&b'"') {
        assert_eq!(Directives::of(halves.into_iter()), directives);
    }
    assert_eq!(Directives::of([&*answer.to_ascii_uppercase()].into_iter()), directives);
    let wishes = Directives::of([request].into_iter());
    let validity = Validity::new(&directives, Some(date), Some(expires));
    let freshness = validity.freshness(&wishes, now);
    let plain = Directives::default();
    if validity.freshness(&plain, now) == Freshness::Fresh {
        // Once stale, for ever stale.
        let later = validity.freshness(&plain, now.saturating_sub(1));
        assert_eq!(later, Freshness::Fresh, "it was stale before");
    }
    if wishes.no_cache {
        assert_eq!(freshness, Freshness::Transparent);
    }
    let _ = validity.serves_on_error(&wishes, now);
    // A second that is written as a date is the same date when it is read.
    let second = u64::try_from(now / 1000).unwrap_or(0);
    let text = imf_fixdate(second);
    let of_date =
        Validity::new(&Directives::of([&b"max-age=1"[..]].into_iter()), Some(&text), None);
    let at = |ms: i64| of_date.freshness(&plain, ms);
    let second_ms = i64::try_from(second.min(253_402_300_799)).expect("few digits") * 1000;
    assert_eq!((at(second_ms + 999), at(second_ms + 1000)), (Freshness::Fresh, Freshness::Stale));
}
