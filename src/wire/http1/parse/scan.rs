//! Finds the byte at which a run of ordinary ones ends, eight at a time.
//!
//! Eight bytes are taken as one number, and arithmetic marks the bytes in question with their highest bit. A borrow
//! may mark too much above a byte that is marked rightly, never below: the lowest mark is always true.

use crate::message::headers::is_token_byte;

/// A one in each of the eight bytes.
const ONES: u64 = u64::MAX / 255;
/// The highest bit of each of the eight bytes.
const HIGHS: u64 = ONES << 7;

/// Where the token that begins at `from` ends; the end of `bytes` if nothing stops it.
#[inline]
pub fn token_end(bytes: &[u8], mut from: usize) -> usize {
    loop {
        let stop = position(bytes, from, |block| !frequent_in_tokens(block) & HIGHS);
        // Letters, digits and hyphens are nearly all there is; the other signs cost another round.
        if !bytes.get(stop).is_some_and(|&byte| is_token_byte(byte)) {
            return stop;
        }
        from = stop + 1;
    }
}

/// The first byte from `from` on that no header value may hold: a control character other than the tab.
#[inline]
pub fn control(bytes: &[u8], mut from: usize) -> usize {
    loop {
        let stop = position(bytes, from, |block| below(block, b' ') | equal(block, 0x7f));
        if bytes.get(stop) != Some(&b'\t') {
            return stop;
        }
        from = stop + 1;
    }
}

/// The first byte from `from` on that no target may hold, or that begins a query: a control character, a blank,
/// `#` or `?`.
#[inline]
pub fn target_stop(bytes: &[u8], from: usize) -> usize {
    position(bytes, from, |block| {
        below(block, b' ' + 1) | equal(block, b'#') | equal(block, b'?') | equal(block, 0x7f)
    })
}

/// Whether there is a percent sign, and with it an escape to check.
pub fn has_percent(bytes: &[u8]) -> bool {
    position(bytes, 0, |block| equal(block, b'%')) < bytes.len()
}

#[inline]
fn position(bytes: &[u8], mut from: usize, marks: impl Fn(u64) -> u64) -> usize {
    let (blocks, rest) = bytes.get(from..).unwrap_or_default().as_chunks::<8>();
    for block in blocks {
        let marked = marks(u64::from_le_bytes(*block));
        if marked != 0 {
            return from + lowest(marked);
        }
        from += 8;
    }
    let mut block = [b'a'; 8];
    for (place, byte) in block.iter_mut().zip(rest) {
        *place = *byte;
    }
    let marked = marks(u64::from_le_bytes(block));
    from + if marked == 0 { rest.len() } else { lowest(marked) }
}

/// Which byte the lowest mark is on.
fn lowest(marked: u64) -> usize {
    marked.trailing_zeros() as usize / 8
}

/// Marks exactly the bytes that are letters, digits or hyphens. No sum leaves its byte, for all are of seven bits.
fn frequent_in_tokens(block: u64) -> u64 {
    let low = block & !HIGHS;
    let reaches = |bytes: u64, limit: u8| bytes + ONES * u64::from(0x80 - limit);
    let lower = low | (ONES << 5);
    let letter = reaches(lower, b'a') & !reaches(lower, b'z' + 1);
    let digit = reaches(low, b'0') & !reaches(low, b'9' + 1);
    let hyphen = !reaches(low ^ (ONES * u64::from(b'-')), 1);
    (letter | digit | hyphen) & !block & HIGHS
}

/// Marks the bytes below `limit`, which is at most 128.
fn below(block: u64, limit: u8) -> u64 {
    block.wrapping_sub(ONES * u64::from(limit)) & !block & HIGHS
}

/// Marks the bytes that are `byte`.
fn equal(block: u64, byte: u8) -> u64 {
    below(block ^ (ONES * u64::from(byte)), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_control(byte: u8) -> bool {
        (byte < b' ' && byte != b'\t') || byte == 0x7f
    }

    fn is_target_stop(byte: u8) -> bool {
        byte <= b' ' || matches!(byte, b'#' | b'?' | 0x7f)
    }

    fn plain(bytes: &[u8], from: usize, is_stop: fn(u8) -> bool) -> usize {
        bytes
            .iter()
            .skip(from)
            .position(|&byte| is_stop(byte))
            .map_or(bytes.len(), |found| from + found)
    }

    /// Every byte value at every place, in front of a second stop that it must not hide.
    #[test]
    fn blocks_stop_where_single_bytes_would() {
        let step = if cfg!(miri) { 5 } else { 1 };
        for byte in 0..=255u8 {
            for place in (0..27).step_by(step) {
                for filler in [b'a', 0x80, 0xff, b'!'] {
                    let mut bytes = [filler; 28];
                    bytes[place] = byte;
                    bytes[27] = if place % 2 == 0 { 0 } else { filler };
                    for from in [0, place / 2, place, place + 1] {
                        assert_eq!(
                            control(&bytes, from),
                            plain(&bytes, from, is_control),
                            "{byte} at {place}"
                        );
                        assert_eq!(
                            target_stop(&bytes, from),
                            plain(&bytes, from, is_target_stop),
                            "{byte} at {place}"
                        );
                        assert_eq!(
                            token_end(&bytes, from),
                            plain(&bytes, from, |b| !is_token_byte(b)),
                            "{byte} at {place}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn neighbours_of_a_stop_change_nothing() {
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let bytes = [b'a', first, second, b'a', b'a', b'a', b'a', b'a'];
                assert_eq!(control(&bytes, 0), plain(&bytes, 0, is_control), "{first} {second}");
                assert_eq!(
                    target_stop(&bytes, 0),
                    plain(&bytes, 0, is_target_stop),
                    "{first} {second}"
                );
                assert_eq!(
                    token_end(&bytes, 0),
                    plain(&bytes, 0, |byte| !is_token_byte(byte)),
                    "{first} {second}"
                );
            }
        }
    }

    #[test]
    fn a_scan_begins_where_it_is_told_and_ends_with_the_bytes() {
        assert_eq!(control(b"\0\0ab\0", 2), 4);
        assert_eq!(control(b"abc", 3), 3);
        assert_eq!(control(b"abc", 9), 9);
        assert_eq!(control(b"a\tb\tc\0", 0), 5);
        assert_eq!(target_stop(b"/a?b?c d", 3), 4);
        assert_eq!(token_end(b"GET /", 0), 3);
        assert_eq!(token_end(b"GET", 1), 3);
        assert!(
            has_percent(b"/aaaaaaa%")
                && has_percent(b"%")
                && !has_percent(b"/aaaaaaa$&")
                && !has_percent(b"")
        );
    }
}
