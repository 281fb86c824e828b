//! Parts of a body that a `Range` header asks for, read the way the original reads them.

/// What to send of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// From the first byte to the last one, both sent.
    One(usize, usize),
    Several(Vec<(usize, usize)>),
    /// There is no such part.
    Unsatisfiable,
}

/// Parts that one answer may have.
const PARTS_MAX: usize = 16;

/// # Errors
/// What is no number, in Go's words.
pub fn cut(range: &[u8], length: usize) -> Result<Cut, String> {
    let range = String::from_utf8_lossy(range).to_ascii_lowercase();
    // The original takes these letters off, not this word.
    let list = range.trim_start_matches(['b', 'y', 't', 'e', 's', '=']);
    let mut parts = Vec::new();
    for part in list.split(',') {
        let Some((first, last)) = part.split_once('-').filter(|(_, last)| !last.contains('-'))
        else {
            return Ok(Cut::Unsatisfiable);
        };
        let first = number(first)?;
        // Go's own answer to a last byte behind the end is a crash; RFC 9110 section 14.1.2 has it end there.
        let end = length.saturating_sub(1);
        let last = if last.is_empty() { end } else { number(last)? };
        if first > last || first >= length || parts.len() == PARTS_MAX {
            return Ok(Cut::Unsatisfiable);
        }
        parts.push((first, last.min(end)));
    }
    // Parts that lie over each other would make much of little.
    let total: usize = parts.iter().map(|(first, last)| last - first + 1).sum();
    Ok(match parts.as_slice() {
        &[(first, last)] => Cut::One(first, last),
        _ if total > length => Cut::Unsatisfiable,
        _ => Cut::Several(parts),
    })
}

fn number(text: &str) -> Result<usize, String> {
    let text = text.trim();
    text.parse().map_err(|_| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
}

/// Several parts as one body (RFC 9110 section 14.6).
pub fn multipart(
    parts: &[(usize, usize)],
    body: &[u8],
    content_type: &[u8],
    boundary: &str,
) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, &(first, last)) in parts.iter().enumerate() {
        let start = if index == 0 { "" } else { "\r\n" };
        let range = content_range(first, last, body.len());
        let head = format!("{start}--{boundary}\r\nContent-Range: {range}\r\nContent-Type: ");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(content_type);
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(body.get(first..=last).unwrap_or_default());
    }
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    out
}

pub fn content_range(first: usize, last: usize, length: usize) -> String {
    format!("bytes {first}-{last}/{length}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_end_with_the_body() {
        assert_eq!(cut(b"bytes=0-3", 10), Ok(Cut::One(0, 3)));
        assert_eq!(cut(b"Bytes=4-", 10), Ok(Cut::One(4, 9)));
        assert_eq!(cut(b"bytes=8-99", 10), Ok(Cut::One(8, 9)));
        assert_eq!(cut(b"bytes=0-1, 4-5", 10), Ok(Cut::Several(vec![(0, 1), (4, 5)])));
        for none in ["bytes=5-3", "bytes=10-", "bytes=1", "bytes=1-2-3", "bytes=0-9,0-9"] {
            assert_eq!(cut(none.as_bytes(), 10), Ok(Cut::Unsatisfiable), "{none}");
        }
        assert_eq!(cut(b"bytes=0-", 0), Ok(Cut::Unsatisfiable));
        assert!(cut(b"bytes=-5", 10).is_err());
        assert!(cut(b"bytes=a-b", 10).is_err());
    }

    #[test]
    fn several_parts_are_one_body() {
        let body = multipart(&[(0, 1), (3, 3)], b"abcd", b"text/plain", "B");
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "--B\r\nContent-Range: bytes 0-1/4\r\nContent-Type: text/plain\r\n\r\nab\
             \r\n--B\r\nContent-Range: bytes 3-3/4\r\nContent-Type: text/plain\r\n\r\nd\r\n--B--\r\n"
        );
    }
}
