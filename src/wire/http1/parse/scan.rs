//! Finds the byte at which a run of ordinary ones ends, a block of bytes at a time.

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector instructions; each use has its proof")]
mod sse2;
#[cfg(any(test, not(target_arch = "x86_64")))]
mod swar;

#[cfg(target_arch = "x86_64")]
use sse2 as block;
#[cfg(not(target_arch = "x86_64"))]
use swar as block;

use block::{BYTES, Block, Marks, lowest};

use crate::message::headers::is_token_byte;

/// Where the token that begins at `from` ends; the end of `bytes` if nothing stops it.
#[inline]
pub fn token_end(bytes: &[u8], mut from: usize) -> usize {
    loop {
        let stop = position(bytes, from, Block::not_frequent_in_tokens);
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
        let stop = position(bytes, from, |block| block.below(b' ') | block.equal(0x7f));
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
        block.below(b' ' + 1) | block.equal(b'#') | block.equal(b'?') | block.equal(0x7f)
    })
}

/// Whether there is a percent sign, and with it an escape to check.
pub fn has_percent(bytes: &[u8]) -> bool {
    position(bytes, 0, |block| block.equal(b'%')) < bytes.len()
}

#[inline]
fn position(bytes: &[u8], mut from: usize, marks: impl Fn(Block) -> Marks) -> usize {
    let mut rest = bytes.get(from..).unwrap_or_default();
    while let Some((block, more)) = rest.split_first_chunk::<BYTES>() {
        let marked = marks(Block::of(*block));
        if marked != 0 {
            return from + lowest(marked);
        }
        from += BYTES;
        rest = more;
    }
    // What is left over is looked at among letters, which nothing marks.
    let mut block = [b'a'; BYTES];
    block[..rest.len()].copy_from_slice(rest);
    let marked = marks(Block::of(block));
    from + if marked == 0 { rest.len() } else { lowest(marked) }
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

    /// Both kinds of block mark the same byte first, whatever its neighbours.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_two_kinds_of_block_agree() {
        for first in 0..=255u8 {
            for second in (0..=255u8).step_by(if cfg!(miri) { 51 } else { 1 }) {
                let eight = [b'a', first, second, b'a', second, b'a', first, b'a'];
                let mut sixteen = [b'a'; 16];
                sixteen[..8].copy_from_slice(&eight);
                let (wide, narrow) = (Block::of(sixteen), swar::Block::of(eight));
                let agree = |wide: u32, narrow: u64| {
                    let wide = if wide == 0 { None } else { Some(lowest(wide)) };
                    let narrow = if narrow == 0 { None } else { Some(swar::lowest(narrow)) };
                    assert_eq!(wide, narrow, "{first} {second}");
                };
                agree(wide.not_frequent_in_tokens(), narrow.not_frequent_in_tokens());
                agree(wide.below(b' '), narrow.below(b' '));
                agree(wide.equal(0x7f), narrow.equal(0x7f));
                agree(wide.equal(second), narrow.equal(second));
            }
        }
    }
}
