//! Functions whose result is another one each time.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gotmpl::Value;

use super::super::value::string;
use super::{Answer, Args, Function, function};

pub const TABLE: &[Function] = &[
    function("randAlpha", 1, 1, |args| random_text(args, |byte| byte.is_ascii_alphabetic())),
    function("randAlphaNum", 1, 1, |args| random_text(args, |byte| byte.is_ascii_alphanumeric())),
    function("randAscii", 1, 1, |args| random_text(args, |byte| (b' '..=b'~').contains(&byte))),
    function("randBytes", 1, 1, |args| Ok(string(STANDARD.encode(random(args.count(0)?)?)))),
    function("randInt", 2, 2, |args| {
        let (min, max) = (args.int(0)?, args.int(1)?);
        let span = max.checked_sub(min).and_then(|span| u64::try_from(span).ok());
        let span = span.filter(|span| *span > 0).ok_or("invalid argument to Intn")?;
        let offset = i64::try_from(number()? % span).unwrap_or(0);
        Ok(Value::Int(min.saturating_add(offset)))
    }),
    function("randNumeric", 1, 1, |args| random_text(args, |byte| byte.is_ascii_digit())),
    function("shuffle", 1, 1, |args| {
        let mut characters: Vec<char> = args.text(0)?.chars().collect();
        for index in (1..characters.len()).rev() {
            let other = number()? % (index as u64 + 1);
            characters.swap(index, usize::try_from(other).unwrap_or(0));
        }
        Ok(string(characters.into_iter().collect::<String>()))
    }),
    function("uuidv4", 0, 0, |_| uuid()),
];

fn random(count: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; count];
    rand::fill(&mut bytes).map_err(|_| "the system gives no random numbers".to_owned())?;
    Ok(bytes)
}

fn number() -> Result<u64, String> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&random(8)?);
    Ok(u64::from_le_bytes(bytes))
}

/// So many characters of a kind, each as likely as the others.
fn random_text(args: &Args<'_>, fits: fn(u8) -> bool) -> Answer {
    let count = args.count(0)?;
    let mut text = String::with_capacity(count);
    while text.len() < count {
        let bytes = random(64.max(count))?;
        let fitting = bytes.into_iter().map(|byte| byte & 0x7f).filter(|byte| fits(*byte));
        text.extend(fitting.take(count - text.len()).map(char::from));
    }
    Ok(string(text))
}

/// RFC 9562, section 5.4.
fn uuid() -> Answer {
    let mut bytes = random(16)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    let parts = [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)];
    Ok(string(parts.join("-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_texts_have_the_length_and_the_letters_that_were_asked_for() {
        let text = random_text(&Args::new(&[Value::Int(100)]), |byte| byte.is_ascii_digit());
        let text = text.expect("numbers").to_string();
        assert!(text.len() == 100 && text.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
        let uuid = uuid().expect("one").to_string();
        assert_eq!((uuid.len(), uuid.get(14..15)), (36, Some("4")));
    }
}
