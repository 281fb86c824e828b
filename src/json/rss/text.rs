//! The text of a feed's elements: sections and entities undone as the original does.

use super::html;

const SECTION_START: &str = "<![CDATA[";
const SECTION_END: &str = "]]>";

/// The text of an element's raw content.
pub fn plain(content: &str) -> String {
    let content = content.trim();
    if content.contains(SECTION_START) { without_sections(content) } else { entities(content) }
}

/// What stands in the sections of a text. What stands before a section is lost, and after the first section
/// the search goes on too far behind: both are the original's.
pub fn without_sections(text: &str) -> String {
    let mut out = String::new();
    let mut from = 0;
    while from < text.len() {
        let rest = tail(text, from);
        let section = rest.find(SECTION_START).and_then(|start| {
            let content = rest.get(start + SECTION_START.len()..)?;
            // The end is sought from the start of the section on.
            let end = rest.get(start..)?.find(SECTION_END)? + start;
            Some((content.get(..end.checked_sub(start + SECTION_START.len())?)?, end))
        });
        let Some((content, end)) = section else {
            out.push_str(&entities(rest));
            return out;
        };
        out.push_str(content);
        let end = text.len() - rest.len() + end;
        from = from.saturating_add(end).saturating_add(SECTION_END.len());
    }
    out
}

/// From a place on, or from the next one at which a character begins.
fn tail(text: &str, from: usize) -> &str {
    (from..=text.len()).find_map(|at| text.get(at..)).unwrap_or_default()
}

/// Resolves entities, HTML's too. The first that turns out to be none ends that: the rest stays as it is.
pub fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        let (before, entity) = rest.split_at(start);
        out.push_str(before);
        rest = entity;
        let Some(end) = entity.find(';') else { break };
        let (entity, after) = entity.split_at(end + 1);
        if entity.contains(' ') {
            break;
        }
        html::unescape(entity, &mut out);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Standard base64, with line breaks anywhere.
pub fn base64(text: &str) -> Option<String> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    if !digits.len().is_multiple_of(4) {
        return None;
    }
    let padding = digits.iter().rev().take(2).take_while(|digit| **digit == b'=').count();
    let mut bytes = Vec::new();
    let mut bits = 0_u32;
    for (position, digit) in digits.iter().take(digits.len() - padding).enumerate() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        // Each digit behind the first of four completes a byte.
        let spare = match position % 4 {
            0 => continue,
            1 => 4,
            2 => 2,
            _ => 0,
        };
        bytes.extend_from_slice(&(bits >> spare).to_be_bytes()[3..]);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
