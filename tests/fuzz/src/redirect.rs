//! Where a redirect leads: a URL that can be sent, and for plain ones the one that another implementation finds.

use shoal::upstream::Url;

use crate::Input;

fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(byte))
}

/// `path and query of the request LF Location`
pub fn redirect(input: &[u8]) {
    let mut input = Input(input);
    let target = input.until(b'\n');
    // Targets that are sent have been checked.
    let is_usual = target.first() == Some(&b'/') && is_plain(target) && !target.contains(&b'.');
    let from = if is_usual { target } else { b"/a/b?c" };
    let base = Url { is_tls: true, authority: "h.example:81".into(), target: from.to_vec() };
    let Ok(found) = base.follow(input.0) else { return };
    // Bytes above ASCII stay in a query, as the original sends them.
    let is_visible = |byte: &u8| *byte > b' ' && *byte != 0x7F;
    assert!(found.target.starts_with(b"/"), "{found:?}");
    assert!(found.target.iter().all(is_visible), "{found:?}");
    assert!(!found.target.contains(&b'#'), "{found:?}");
    let authority = found.authority.as_bytes();
    let is_odd = |byte: &u8| *byte <= b' ' || b"/?#@\\\x7f".contains(byte);
    assert!(!authority.is_empty() && !authority.iter().any(is_odd), "{found:?}");
    let _ = (found.host_name().len(), found.upstream().is_ok());
    if is_plain(input.0) && !input.0.starts_with(b"//") {
        let text = std::str::from_utf8(input.0).expect("plain");
        let other = url::Url::parse(&base.text()).expect("a URL of ours");
        let other = other.join(text).expect("a plain reference");
        assert_eq!(found.text(), other.to_string());
    }
}
