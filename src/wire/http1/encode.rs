//! Writes start lines and headers into a buffer, without formatting machinery and without an allocation of its own.
//!
//! Names and values that come from a parsed head are clean already. Any other text goes through `checked_header` and
//! `is_target_safe`, so that no caller can be tricked into splitting a message (RFC 9112 section 11.1).

use crate::message::date::DATE_BYTES;
use crate::message::headers::{is_token, is_value_byte};
use crate::message::status::reason;

/// Digits of the largest number of 64 bits.
const DECIMAL_BYTES_MAX: usize = 20;

/// `HTTP/1.1 200 OK` and the line end. Codes without a phrase get the text that Go's server writes.
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    if let Some(line) = frequent_status_line(status) {
        return out.extend_from_slice(line);
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(status));
    out.push(b' ');
    match reason(status) {
        "" => {
            out.extend_from_slice(b"status code ");
            decimal(out, u64::from(status));
        }
        reason => out.extend_from_slice(reason.as_bytes()),
    }
    out.extend_from_slice(b"\r\n");
}

fn frequent_status_line(status: u16) -> Option<&'static [u8]> {
    Some(match status {
        200 => b"HTTP/1.1 200 OK\r\n",
        201 => b"HTTP/1.1 201 Created\r\n",
        204 => b"HTTP/1.1 204 No Content\r\n",
        304 => b"HTTP/1.1 304 Not Modified\r\n",
        400 => b"HTTP/1.1 400 Bad Request\r\n",
        401 => b"HTTP/1.1 401 Unauthorized\r\n",
        404 => b"HTTP/1.1 404 Not Found\r\n",
        429 => b"HTTP/1.1 429 Too Many Requests\r\n",
        500 => b"HTTP/1.1 500 Internal Server Error\r\n",
        503 => b"HTTP/1.1 503 Service Unavailable\r\n",
        _ => return None,
    })
}

/// `GET /path?query HTTP/1.1` and the line end.
pub fn request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8]) {
    debug_assert!(is_token(method) && is_target_safe(target));
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    end_request_line(out);
}

/// What follows the target, for callers that write it piece by piece.
pub fn end_request_line(out: &mut Vec<u8>) {
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// One header line. Name and value must be from a parsed head, or known to be clean.
#[inline]
pub fn header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    debug_assert!(is_token(name) && is_value_safe(value));
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// One header line of any origin. False: the name or the value cannot be sent, and nothing was written.
#[must_use]
pub fn checked_header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> bool {
    let is_clean = is_token(name) && is_value_safe(value);
    if is_clean {
        header(out, name, value);
    }
    is_clean
}

pub fn content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    decimal(out, length);
    out.extend_from_slice(b"\r\n");
}

pub fn transfer_chunked(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
}

pub fn connection_close(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Connection: close\r\n");
}

/// The `Date` header with a text from `DateCache`.
pub fn date(out: &mut Vec<u8>, text: &[u8; DATE_BYTES]) {
    out.extend_from_slice(b"Date: ");
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// The empty line behind the headers.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// A whole answer to a message that is no request, as Go's server writes it.
pub fn plain_refusal(out: &mut Vec<u8>, status: u16) {
    let phrase = reason(status).as_bytes();
    status_line(out, status);
    out.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n");
    content_length(out, phrase.len() as u64 + 4);
    end(out);
    decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(phrase);
}

/// Whether the text can stand in a header's value.
pub fn is_value_safe(value: &[u8]) -> bool {
    value.iter().all(|&byte| is_value_byte(byte))
}

/// Whether the text can stand as a request's target: no blank, no control byte, no `#`, and not empty. Bytes beyond ASCII
/// go up as a client's query or an earlier answer has them, as in the original; they cannot end a line.
pub fn is_target_safe(target: &[u8]) -> bool {
    !target.is_empty() && target.iter().all(|&byte| byte > b' ' && byte != 0x7F && byte != b'#')
}

/// A number in decimal digits.
pub fn decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; DECIMAL_BYTES_MAX];
    let mut from = DECIMAL_BYTES_MAX;
    let mut left = number;
    for place in digits.iter_mut().rev() {
        let digit = (left % 10) as u8;
        *place = b'0' + digit;
        from -= 1;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::date::DateCache;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn status_lines_have_the_phrases_of_the_table() {
        for status in 100..600 {
            let line = written(|out| status_line(out, status));
            let phrase = if reason(status).is_empty() {
                format!("status code {status}")
            } else {
                reason(status).into()
            };
            assert_eq!(line, format!("HTTP/1.1 {status} {phrase}\r\n"));
        }
        assert_eq!(written(|out| status_line(out, 999)), "HTTP/1.1 999 status code 999\r\n");
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 1, 9, 10, 99, 100, 12345, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            assert_eq!(written(|out| decimal(out, number)), number.to_string());
        }
    }

    #[test]
    fn a_whole_answer_head_reads_as_expected() {
        let head = written(|out| {
            status_line(out, 200);
            header(out, b"Content-Type", b"application/json");
            date(out, DateCache::new(784_111_777).value(784_111_777));
            content_length(out, 300);
            end(out);
        });
        assert_eq!(
            head,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Length: 300\r\n\r\n"
        );
    }

    #[test]
    fn a_whole_request_head_reads_as_expected() {
        let head = written(|out| {
            request_line(out, b"POST", b"/a?b=%20");
            header(out, b"Host", b"a.test");
            transfer_chunked(out);
            connection_close(out);
            end(out);
        });
        assert_eq!(
            head,
            "POST /a?b=%20 HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn nothing_that_splits_a_message_is_written() {
        for (name, value) in [
            (&b"X-A"[..], &b"b\r\nX-Evil: 1"[..]),
            (b"X-A", b"b\nc"),
            (b"X-A", b"b\0"),
            (b"X-A", b"\x7f"),
            (b"X A", b"b"),
            (b"X-A: b\r\nX", b"c"),
            (b"", b"b"),
        ] {
            let mut out = Vec::new();
            assert!(!checked_header(&mut out, name, value) && out.is_empty(), "{name:?} {value:?}");
        }
        assert_eq!(
            written(|out| assert!(checked_header(out, b"X-A", "caf\u{e9}\t".as_bytes()))),
            "X-A: caf\u{e9}\t\r\n"
        );
        for target in [&b""[..], b"/a b", b"/a\r\nX: y", b"/a#b", b"/\x7f"] {
            assert!(!is_target_safe(target), "{target:?}");
        }
        assert!(is_target_safe(b"/a?x=\xc3\xa9"));
        assert!(is_target_safe(b"/a/%C3%A9?x=1&y=\"<>\\^`{|}"));
    }

    #[test]
    fn a_refusal_is_a_whole_answer_that_ends_the_connection() {
        assert_eq!(
            written(|out| plain_refusal(out, 431)),
            "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Connection: close\r\nContent-Length: 35\r\n\r\n431 Request Header Fields Too Large"
        );
    }
}
