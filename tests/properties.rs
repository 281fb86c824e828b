//! Properties of the pure parts for any input: each module compares one of them with a model, or with itself on the
//! same bytes cut otherwise. `PROPTEST_CASES=100000` looks longer; a failure is printed in its smallest form.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod properties {
    /// The chunked coding, however the bytes are cut.
    mod chunked;
    /// Blocks of header lines, and heads that are edited.
    mod headers;
    /// Heads in pieces and as a whole.
    mod heads;
    /// Queries: what passes, in which order, and how it is written.
    mod query;
    /// The route trie against a walk over segments.
    mod routes;
    /// URL templates.
    mod templates;

    /// Where bytes are cut, as lengths of the pieces; the last one takes what is left.
    fn pieces<'b>(mut bytes: &'b [u8], lengths: &[usize]) -> Vec<&'b [u8]> {
        let mut pieces = Vec::new();
        for &length in lengths {
            let (piece, rest) = bytes.split_at(length.min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces.push(bytes);
        pieces
    }
}
