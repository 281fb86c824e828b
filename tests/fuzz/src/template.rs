//! URL templates: what comes out never ends a request line, and plain values stand where their places are.

use std::borrow::Cow;

use shoal::plan::template::{UrlTemplate, Values, param_key};

use crate::Input;

struct Filled<'v> {
    slots: Vec<&'v [u8]>,
    named: &'v [u8],
}

impl Values for Filled<'_> {
    fn param(&self, slot: usize) -> Option<&[u8]> {
        self.slots.get(slot).copied()
    }

    fn named(&self, key: &str) -> Option<Cow<'_, str>> {
        key.starts_with("Resp").then(|| String::from_utf8_lossy(self.named))
    }
}

/// `pattern LF value LF value LF value of a step`; parameters are called `a` and `b`.
pub fn template(input: &[u8]) {
    let mut input = Input(input);
    let Ok(pattern) = std::str::from_utf8(input.until(b'\n')) else { return };
    let names = ["a".to_owned(), "b".to_owned()];
    let values = Filled { slots: vec![input.until(b'\n'), input.until(b'\n')], named: input.0 };
    let template = UrlTemplate::compile(pattern, &names);
    for step in template.step_values() {
        assert!(!step.key.is_empty());
    }
    let before = b"before".to_vec();
    let mut out = before.clone();
    if template.expand("", &values, &mut out).is_err() {
        assert_eq!(out, before, "a refused value leaves something behind");
        return;
    }
    let target = out.strip_prefix(&before[..]).expect("what was there stays");
    let is_word = |text: &[u8]| text.iter().all(u8::is_ascii_alphanumeric);
    let is_plain = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_{}".contains(&byte))
    };
    if is_plain(pattern)
        && pattern.starts_with('/')
        && values.slots.iter().all(|value| is_word(value))
    {
        let mut simple = pattern.to_owned();
        for (name, value) in names.iter().zip(&values.slots) {
            assert_eq!(param_key(name), name.to_ascii_uppercase());
            let value = std::str::from_utf8(value).expect("words");
            simple = simple.replace(&format!("{{{name}}}"), value);
        }
        if !simple.contains(['{', '}']) && !pattern.contains("{{") && !pattern.contains("}}") {
            assert_eq!(String::from_utf8_lossy(target), simple);
        }
    }
    for &byte in target {
        assert!(byte >= b' ' && byte != 0x7F, "a control byte in {}", target.escape_ascii());
    }
}
