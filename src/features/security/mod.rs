//! The namespaces `security/…`: what stands between clients and everything else.

pub mod bot_detector;
pub mod cors;
pub mod http;
mod members;
#[cfg(test)]
mod testing;

use smallvec::SmallVec;

/// Origins and host names that fit without an allocation.
const NAME_BYTES_USUAL: usize = 64;

/// The text in lower case, to be looked up in a list that is in lower case.
fn lowered(text: &[u8]) -> SmallVec<[u8; NAME_BYTES_USUAL]> {
    if text.is_ascii() {
        let mut lower = SmallVec::from_slice(text);
        lower.make_ascii_lowercase();
        return lower;
    }
    String::from_utf8_lossy(text).to_lowercase().into_bytes().into()
}
