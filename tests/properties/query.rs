use std::collections::BTreeSet;

use proptest::prelude::*;
use shoal::message::query::{Allowed, forward, pairs};

type Pair = (Vec<u8>, Vec<u8>);

fn name() -> impl Strategy<Value = Vec<u8>> {
    // Few names, so that some come several times and some are on the list.
    prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "ab", "A", "x y", "*", "\u{e9}"])
            .prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

/// How one byte of a query can be written: as it is where that is allowed, or escaped in either case.
fn write(text: &[u8], choices: &mut impl Iterator<Item = u8>, out: &mut String) {
    for &byte in text {
        let is_free = byte.is_ascii_alphanumeric() || b"-_.~*'()!$,/:@?".contains(&byte);
        match (choices.next().unwrap_or(0) % 3, byte) {
            (0, b' ') => out.push('+'),
            (0, _) if is_free => out.push(char::from(byte)),
            (1, _) => out.push_str(&format!("%{byte:02x}")),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

fn written(pairs: &[Pair], choices: &[u8]) -> String {
    let mut choices = choices.iter().copied().cycle();
    let mut out = String::new();
    for (at, (name, value)) in pairs.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { "&" });
        write(name, &mut choices, &mut out);
        out.push('=');
        write(value, &mut choices, &mut out);
    }
    out
}

fn forwarded(raw: &[u8], allowed: &Allowed) -> Vec<u8> {
    let mut out = b"/x".to_vec();
    let count = forward(raw, allowed, Some(b'?'), &mut out);
    assert_eq!(count == 0, out == b"/x");
    out["/x".len()..].strip_prefix(b"?").unwrap_or_default().to_vec()
}

fn read(raw: &[u8]) -> Vec<Pair> {
    pairs(raw).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

proptest! {
    /// What passes is what the list admits, by name, with the values of one name in their order.
    #[test]
    fn only_what_is_listed_passes_and_means_the_same(
        sent in prop::collection::vec((name(), prop::collection::vec(any::<u8>(), 0..8)), 0..12),
        choices in prop::collection::vec(any::<u8>(), 1..40),
        list in prop::collection::vec("(a|b|ab|A|x y|\u{e9}|[a-z]{1,3})", 0..5),
        is_star in any::<bool>(),
    ) {
        let raw = written(&sent, &choices);
        prop_assert_eq!(&read(raw.as_bytes()), &sent);
        let list = if is_star { vec!["*".to_owned()] } else { list };
        let allowed = Allowed::by_endpoint(&list);
        let mut expected: Vec<Pair> = sent
            .into_iter()
            .filter(|(name, _)| is_star || list.iter().any(|listed| listed.as_bytes() == name))
            .collect();
        expected.sort_by(|(one, _), (other, _)| one.cmp(other));
        let out = forwarded(raw.as_bytes(), &allowed);
        prop_assert_eq!(read(&out), expected);
        // It is written in one way only, and that is stable.
        prop_assert_eq!(forwarded(&out, &Allowed::All), out);
    }

    /// Whatever a client sends as its query, nothing leaves that could end a request line or begin a fragment.
    #[test]
    fn any_query_leaves_as_a_clean_one(raw in prop::collection::vec(any::<u8>(), 0..60)) {
        let out = forwarded(&raw, &Allowed::All);
        prop_assert!(out.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#'));
        prop_assert_eq!(forwarded(&out, &Allowed::All), out);
    }

    /// A backend's list narrows and never widens.
    #[test]
    fn a_backends_list_only_takes_away(
        endpoint in prop::collection::vec("([ab]|[a-c]{2}|\\*)", 0..4),
        backend in prop::collection::vec("([ab]|[a-c]{2}|\\*)", 0..4),
        asked in "([ab]|[a-c]{2}|\\*)",
    ) {
        let wide = Allowed::by_endpoint(&endpoint);
        let narrow = wide.then_by_backend(&backend);
        let listed: BTreeSet<&String> = backend.iter().collect();
        let expected = wide.admits(asked.as_bytes()) && (backend.is_empty() || listed.contains(&asked));
        prop_assert_eq!(narrow.admits(asked.as_bytes()), expected);
    }
}
