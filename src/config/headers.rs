//! Header names in the form that Go gives them.

/// Go's `textproto.CanonicalMIMEHeaderKey`: `x-my-ID` becomes `X-My-Id`; a name that is no token stays as it is.
pub fn canonical(name: &str) -> String {
    // RFC 9110 section 5.6.2
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(is_token) {
        return name.to_owned();
    }
    let mut is_first = true;
    let convert = |letter: char| {
        let converted =
            if is_first { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        is_first = letter == '-';
        converted
    };
    name.chars().map(convert).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_go_writes_them() {
        for (name, expected) in [
            ("x-aB", "X-Ab"),
            ("*", "*"),
            ("bad header", "bad header"),
            ("x_y", "X_y"),
            ("", ""),
            ("é-a", "é-a"),
        ] {
            assert_eq!(canonical(name), expected);
        }
    }
}
