//! Guesses the content type of a body that came without one, as Go's server does (the WHATWG MIME sniffing standard).

/// Bytes of a body that are looked at.
const LOOKED_AT_MAX: usize = 512;

const HTML_TAGS: &[&str] = &[
    "<!DOCTYPE HTML",
    "<HTML",
    "<HEAD",
    "<SCRIPT",
    "<IFRAME",
    "<H1",
    "<DIV",
    "<FONT",
    "<TABLE",
    "<A",
    "<STYLE",
    "<TITLE",
    "<B",
    "<BODY",
    "<BR",
    "<P",
    "<!--",
];

/// What a body may begin with, exactly.
const BEGINNINGS: &[(&[u8], &str)] = &[
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\xFE\xFF\0\0", "text/plain; charset=utf-16be"),
    (b"\xFE\xFF", "text/plain; charset=utf-16be"),
    (b"\xFF\xFE", "text/plain; charset=utf-16le"),
    (b"\xEF\xBB\xBF", "text/plain; charset=utf-8"),
    (b"\0\0\x01\0", "image/x-icon"),
    (b"\0\0\x02\0", "image/x-icon"),
    (b"BM", "image/bmp"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x89PNG\x0D\x0A\x1A\x0A", "image/png"),
    (b"\xFF\xD8\xFF", "image/jpeg"),
    (b"ID3", "audio/mpeg"),
    (b"OggS\0", "application/ogg"),
    (b"MThd\0\0\0\x06", "audio/midi"),
    (b"\x1A\x45\xDF\xA3", "video/webm"),
    (b"\0\x01\0\0", "font/ttf"),
    (b"OTTO", "font/otf"),
    (b"ttcf", "font/collection"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"\x1F\x8B\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"Rar!\x1A\x07\0", "application/x-rar-compressed"),
    (b"Rar!\x1A\x07\x01\0", "application/x-rar-compressed"),
    (b"\0\x61\x73\x6D", "application/wasm"),
];

/// Four letters at the start, four more after a length: RIFF and its kin.
const CONTAINERS: &[(&[u8; 4], &[u8], &str)] = &[
    (b"RIFF", b"WEBPVP", "image/webp"),
    (b"FORM", b"AIFF", "audio/aiff"),
    (b"RIFF", b"AVI ", "video/avi"),
    (b"RIFF", b"WAVE", "audio/wave"),
];

/// The content type that the first bytes of a body suggest.
#[must_use]
pub fn content_type(body: &[u8]) -> &'static str {
    let body = &body[..body.len().min(LOOKED_AT_MAX)];
    let text = &body[body.iter().take_while(|byte| is_blank(**byte)).count()..];
    if HTML_TAGS.iter().any(|tag| is_tag(text, tag)) {
        return "text/html; charset=utf-8";
    }
    if text.starts_with(b"<?xml") {
        return "text/xml; charset=utf-8";
    }
    if let Some((_, found)) = BEGINNINGS.iter().find(|(beginning, _)| body.starts_with(beginning)) {
        return found;
    }
    let container = CONTAINERS.iter().find(|(outer, inner, _)| {
        body.starts_with(*outer) && body.get(8..).is_some_and(|rest| rest.starts_with(inner))
    });
    if let Some((.., found)) = container {
        return found;
    }
    if is_mp4(body) {
        return "video/mp4";
    }
    if text.iter().any(|byte| is_binary(*byte)) {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0C | b'\r' | b' ')
}

fn is_binary(byte: u8) -> bool {
    matches!(byte, 0..=0x08 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F)
}

/// A tag in any case, ended by a blank or a bracket.
fn is_tag(text: &[u8], tag: &str) -> bool {
    let Some((start, rest)) = text.split_at_checked(tag.len()) else { return false };
    start.eq_ignore_ascii_case(tag.as_bytes())
        && rest.first().is_some_and(|byte| matches!(byte, b' ' | b'>'))
}

/// A box `ftyp` at the start, of a brand that begins with `mp4` (section 6.2.1 of the standard).
fn is_mp4(body: &[u8]) -> bool {
    let Some((&size, _)) = body.split_first_chunk::<4>() else { return false };
    let size = u32::from_be_bytes(size) as usize;
    if !size.is_multiple_of(4) || body.len() < size || body.len() < 12 || &body[4..8] != b"ftyp" {
        return false;
    }
    (8..size).step_by(4).filter(|at| *at != 12).any(|at| body.get(at..at + 3) == Some(b"mp4"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_and_xml_are_known_by_their_first_tag() {
        assert_eq!(content_type(b"\n <html>"), "text/html; charset=utf-8");
        assert_eq!(content_type(b"<b>&</b>"), "text/html; charset=utf-8");
        assert_eq!(content_type(b"<!doctype html>"), "text/html; charset=utf-8");
        assert_eq!(content_type(b"<bx>"), "text/plain; charset=utf-8");
        assert_eq!(content_type(b"<?xml version='1.0'?>"), "text/xml; charset=utf-8");
    }

    #[test]
    fn binary_formats_are_known_by_their_first_bytes() {
        assert_eq!(content_type(b"\x89PNG\r\n\x1a\n..."), "image/png");
        assert_eq!(content_type(b"RIFF\0\0\0\0WAVEfmt "), "audio/wave");
        assert_eq!(content_type(b"\0\0\0\x18ftypmp42\0\0\0\0mp41isom"), "video/mp4");
        assert_eq!(content_type(b"\x1f\x8b\x08\0"), "application/x-gzip");
    }

    #[test]
    fn what_is_left_is_text_unless_it_has_control_bytes() {
        assert_eq!(content_type(b"{\"a\":1}"), "text/plain; charset=utf-8");
        assert_eq!(content_type(b"\0\x01\x02"), "application/octet-stream");
        assert_eq!(content_type(b""), "text/plain; charset=utf-8");
    }
}
