use std::borrow::Cow;

use proptest::prelude::*;
use shoal::message::path;
use shoal::plan::template::{UrlTemplate, Values};

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Place(usize),
    Named,
}

struct Filled {
    params: Vec<Vec<u8>>,
    named: Option<String>,
}

impl Values for Filled {
    fn param(&self, slot: usize) -> Option<&[u8]> {
        self.params.get(slot).map(Vec::as_slice)
    }

    fn named(&self, key: &str) -> Option<Cow<'_, str>> {
        assert_eq!(key, "Resp0_x");
        self.named.as_deref().map(Cow::Borrowed)
    }
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![
        2 => "[a-zA-Z0-9/._~-]{1,8}".prop_map(Part::Text),
        2 => (0..3_usize).prop_map(Part::Place),
        1 => Just(Part::Named),
    ];
    prop::collection::vec(part, 0..8)
}

fn pattern(parts: &[Part]) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Place(slot) => format!("{{p{slot}}}"),
        Part::Named => "{resp0_x}".to_owned(),
    };
    format!("/{}", parts.iter().map(part).collect::<String>())
}

fn replaced(parts: &[Part], values: &Filled) -> Vec<u8> {
    let part = |part: &Part| match part {
        Part::Text(text) => text.clone().into_bytes(),
        Part::Place(slot) => values.params[*slot].clone(),
        Part::Named => values.named.clone().map_or(b"{{.Resp0_x}}".to_vec(), String::into_bytes),
    };
    [b"/".to_vec(), parts.iter().flat_map(part).collect()].concat()
}

fn expanded(pattern: &str, values: &Filled) -> Result<Vec<u8>, ()> {
    let names = ["p0", "p1", "p2"].map(str::to_owned);
    let mut out = b"GET ".to_vec();
    let result = UrlTemplate::compile(pattern, &names).expand("", values, &mut out);
    if result.is_err() {
        assert_eq!(out, b"GET ", "a refused value leaves something behind");
    }
    result.map(|()| out.split_off(4)).map_err(drop)
}

proptest! {
    /// Values of plain letters stand where their places are.
    #[test]
    fn plain_values_stand_in_their_places(
        parts in parts(),
        params in prop::collection::vec("[a-zA-Z0-9._~-]{0,8}".prop_map(String::into_bytes), 3),
        named in "[a-zA-Z0-9]{0,8}",
    ) {
        let values = Filled { params, named: Some(named) };
        prop_assert_eq!(expanded(&pattern(&parts), &values), Ok(replaced(&parts, &values)));
    }

    /// Values of any bytes but those that cut a URL, or that no URL may hold, arrive as they were sent.
    #[test]
    fn odd_values_arrive_as_they_are(
        parts in parts(),
        params in prop::collection::vec(
            prop::collection::vec(any::<u8>().prop_filter("these cut", |byte| {
                !path::is_control(*byte) && !b"?#%".contains(byte)
            }), 0..8), 3),
        named in prop::option::of("[a-zA-Z0-9 /\u{e9}\"<>]{0,8}"),
    ) {
        let values = Filled { params, named };
        let target = expanded(&pattern(&parts), &values).unwrap();
        prop_assert!(target.iter().all(u8::is_ascii_graphic), "{}", target.escape_ascii());
        let mut room = Vec::new();
        let decoded = path::decode(&target, &mut room).unwrap().to_vec();
        prop_assert_eq!(decoded, replaced(&parts, &values));
    }

    /// Any pattern with any value: a target that cannot end its line, or a refusal that leaves nothing behind.
    #[test]
    fn no_value_ends_a_request_line(
        pattern in "/[ -~]{0,20}(\\{p0\\})?[ -~]{0,8}(\\?[ -~]{0,8}\\{p1\\})?",
        params in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 3),
    ) {
        struct Any(Vec<Vec<u8>>);
        impl Values for Any {
            fn param(&self, slot: usize) -> Option<&[u8]> {
                self.0.get(slot).map(Vec::as_slice)
            }
            fn named(&self, _: &str) -> Option<Cow<'_, str>> {
                None
            }
        }
        let names = ["p0", "p1", "p2"].map(str::to_owned);
        let mut out = b"GET ".to_vec();
        if UrlTemplate::compile(&pattern, &names).expand("", &Any(params), &mut out).is_ok() {
            let target = &out[4..];
            let is_safe = |byte: &u8| *byte > b' ' && *byte != 0x7f;
            prop_assert!(target.iter().all(is_safe), "{}", target.escape_ascii());
        }
    }
}
