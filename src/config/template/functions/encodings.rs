//! Functions that encode texts, and sums of them.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::value::string;
use super::{Answer, Args, Function, function};

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

pub const TABLE: &[Function] = &[
    function("adler32sum", 1, 1, |args| Ok(string(adler32(args.text(0)?).to_string()))),
    function("b32dec", 1, 1, |args| {
        let decoded = base32_decoded(args.text(0)?);
        Ok(string(decoded.unwrap_or_else(|| "illegal base32 data at input byte 0".to_owned())))
    }),
    function("b32enc", 1, 1, |args| Ok(string(base32_encoded(args.text(0)?)))),
    function("b64dec", 1, 1, |args| {
        // Like the original, the error is the result.
        let text: String = args.text(0)?.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
        Ok(string(match STANDARD.decode(text) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(_) => "illegal base64 data at input byte 0".to_owned(),
        }))
    }),
    function("b64enc", 1, 1, |args| Ok(string(STANDARD.encode(args.text(0)?)))),
    function("sha1sum", 1, 1, |args| sum(args, &digest::SHA1_FOR_LEGACY_USE_ONLY)),
    function("sha256sum", 1, 1, |args| sum(args, &digest::SHA256)),
    function("sha512sum", 1, 1, |args| sum(args, &digest::SHA512)),
];

fn sum(args: &Args<'_>, algorithm: &'static digest::Algorithm) -> Answer {
    let digest = digest::digest(algorithm, args.text(0)?.as_bytes());
    Ok(string(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

/// RFC 1950, section 8.2.
fn adler32(text: &str) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in text.bytes() {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    b << 16 | a
}

fn base32_encoded(text: &str) -> String {
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(5) {
        let bits = chunk.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte))
            << (8 * (5 - chunk.len()));
        let digits = (chunk.len() * 8).div_ceil(5);
        for index in 0..8 {
            let digit = usize::try_from(bits >> (35 - 5 * index) & 31).unwrap_or(0);
            out.push(if index < digits { char::from(BASE32[digit]) } else { '=' });
        }
    }
    out
}

fn base32_decoded(text: &str) -> Option<String> {
    let text: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    if !text.len().is_multiple_of(8) {
        return None;
    }
    let mut out = Vec::new();
    for chunk in text.chunks(8) {
        let digits = chunk.iter().position(|byte| *byte == b'=').unwrap_or(8);
        if !matches!(digits, 2 | 4 | 5 | 7 | 8)
            || chunk.get(digits..)?.iter().any(|byte| *byte != b'=')
        {
            return None;
        }
        let mut bits = 0_u64;
        for byte in chunk.get(..digits)? {
            bits =
                bits << 5 | u64::try_from(BASE32.iter().position(|digit| digit == byte)?).ok()?;
        }
        bits <<= 5 * (8 - digits);
        let bytes = bits.to_be_bytes();
        out.extend_from_slice(bytes.get(3..3 + digits * 5 / 8)?);
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 4648, section 10.
    #[test]
    fn base32_goes_both_ways() {
        for (text, encoded) in [
            ("", ""),
            ("f", "MY======"),
            ("fo", "MZXQ===="),
            ("foo", "MZXW6==="),
            ("foob", "MZXW6YQ="),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI======"),
        ] {
            assert_eq!(base32_encoded(text), encoded);
            assert_eq!(base32_decoded(encoded).as_deref(), Some(text));
        }
        assert_eq!(base32_decoded("M======="), None);
        assert_eq!(adler32("Wikipedia"), 0x11E6_0398);
    }
}
