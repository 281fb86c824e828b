//! The fast walk with the widest instructions that this processor has.

use std::sync::atomic::{AtomicU8, Ordering};

use super::lanes::{Avx2, Avx512, Row64, Row256, Row512, Sse2};
use super::{Recorder, Scanned, walk};

/// What a processor can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Level {
    Sse2 = 1,
    Avx2,
    Avx512,
}

/// 0 as long as nobody has looked.
static LEVEL: AtomicU8 = AtomicU8::new(0);

/// See [`super::scan`].
#[inline]
pub(super) fn scan(body: &[u8], start: usize, recorder: &mut Recorder<'_>) -> Option<Scanned> {
    // The interpreter that looks for undefined behaviour does not know the instructions.
    if cfg!(miri) {
        return None;
    }
    let level = match LEVEL.load(Ordering::Relaxed) {
        1 => Level::Sse2,
        2 => Level::Avx2,
        3 => Level::Avx512,
        _ => look(),
    };
    // SAFETY: `look` found that level, or `LEVEL` holds what it found.
    unsafe { scan_at(level, body, start, recorder) }
}

/// # Safety
/// The processor has that level.
pub(super) unsafe fn scan_at(
    level: Level,
    body: &[u8],
    start: usize,
    recorder: &mut Recorder<'_>,
) -> Option<Scanned> {
    // SAFETY: the caller's promise; the levels ask for the features that the functions are compiled for.
    // JUSTIFICATION: bench/results/spike-json.md, several times the speed of the byte-wise walk.
    unsafe {
        match level {
            Level::Sse2 => walk::scan::<Sse2, Row64>(body, start, recorder),
            Level::Avx2 => avx2(body, start, recorder),
            Level::Avx512 => avx512(body, start, recorder),
        }
    }
}

/// The highest level there is.
#[cold]
pub(super) fn look() -> Level {
    let has_avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt");
    // The first processors with AVX-512 ran slower while they used it; they lack VBMI2, and those that have it have GFNI.
    let has_avx512 = has_avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("gfni");
    let level = if has_avx512 {
        Level::Avx512
    } else if has_avx2 {
        Level::Avx2
    } else {
        Level::Sse2
    };
    LEVEL.store(level as u8, Ordering::Relaxed);
    level
}

/// # Safety
/// The processor has these features.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
unsafe fn avx2(body: &[u8], start: usize, recorder: &mut Recorder<'_>) -> Option<Scanned> {
    // SAFETY: the caller's promise.
    unsafe { walk::scan::<Avx2, Row256>(body, start, recorder) }
}

/// # Safety
/// The processor has these features.
#[target_feature(
    enable = "avx512f,avx512bw,avx512dq,avx512vbmi,avx512vbmi2,gfni,avx2,bmi1,bmi2,lzcnt,popcnt"
)]
unsafe fn avx512(body: &[u8], start: usize, recorder: &mut Recorder<'_>) -> Option<Scanned> {
    // SAFETY: the caller's promise.
    unsafe { walk::scan::<Avx512, Row512>(body, start, recorder) }
}
