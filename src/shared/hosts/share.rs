//! A host's share of the calls, in thousandths, while it comes back after it was left out.

/// All that a host gets that is well.
pub const WHOLE: u64 = 1000;
/// What a host begins with: a tenth.
const FIRST: u64 = 100;

/// The share `elapsed_ms` after the return: it grows evenly until `return_ms` have passed, and never falls.
pub fn growing(elapsed_ms: u64, return_ms: u64) -> u64 {
    if elapsed_ms >= return_ms {
        return WHOLE;
    }
    // Below the whole, so the product stays far from overflow: a return takes an hour at most.
    FIRST + (WHOLE - FIRST) * elapsed_ms / return_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_from_a_tenth_to_the_whole_and_never_falls() {
        for return_ms in [1, 7, 1000, 10_000] {
            let shares: Vec<u64> = (0..=return_ms).map(|at| growing(at, return_ms)).collect();
            assert_eq!((shares[0], shares.last()), (FIRST, Some(&WHOLE)));
            assert!(shares.is_sorted(), "{return_ms}");
        }
        assert_eq!(growing(0, 0), WHOLE);
        assert_eq!(growing(500, 1000), 550);
    }
}
