//! `Distribution`: how values are spread, counted by one core in buckets that grow with the value, read by the control side.
//!
//! Every power of two is cut into eight buckets, so a percentile is at most an eighth away from the value that it stands
//! for. Buckets take 1.3 KiB from the first value on. Nothing is ever cleared, since the counting core is the only
//! writer: whoever wants a period subtracts what was there at its beginning. Least and largest value start anew with it.

use std::cell::Cell as NotSync;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Buckets of one power of two, as a power of two.
const CUT_BITS: u32 = 3;
const CUTS: u64 = 1 << CUT_BITS;
/// Larger values count as this one: 18 minutes in nanoseconds, or a terabyte.
const VALUE_MAX: u64 = (1 << 40) - 1;
const BUCKETS: usize = ((41 - CUT_BITS) << CUT_BITS) as usize;

/// One core's end.
pub struct Distribution(Arc<Cells>, PhantomData<NotSync<()>>);

/// The control side's end.
#[derive(Clone)]
pub struct DistributionReader(Arc<Cells>);

/// Counts the periods. Cheap to clone; all clones are the same.
#[derive(Clone, Default)]
pub struct Period(Arc<AtomicU32>);

struct Cells {
    counts: OnceLock<Box<[AtomicU32]>>,
    sum: AtomicU64,
    least: AtomicU64,
    largest: AtomicU64,
    /// That of `least` and `largest`.
    period: AtomicU32,
    now: Period,
}

/// A distribution as read, of one core or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Empty where no value was ever counted.
    counts: Vec<u32>,
    sum: u64,
    /// The least and the largest value of the period, where there were any.
    range: Option<(u64, u64)>,
}

// === impl Period ===

impl Period {
    pub fn advance(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Distribution ===

impl Distribution {
    pub fn new(period: &Period) -> Distribution {
        let cells = Cells {
            counts: OnceLock::new(),
            sum: AtomicU64::new(0),
            least: AtomicU64::new(0),
            largest: AtomicU64::new(0),
            period: AtomicU32::new(period.get().wrapping_sub(1)),
            now: period.clone(),
        };
        Distribution(Arc::new(cells), PhantomData)
    }

    pub fn reader(&self) -> DistributionReader {
        DistributionReader(self.0.clone())
    }

    pub fn record(&self, value: u64) {
        let cells = &*self.0;
        let value = value.min(VALUE_MAX);
        let counts = cells.counts.get_or_init(|| (0..BUCKETS).map(|_| AtomicU32::new(0)).collect());
        if let Some(count) = counts.get(bucket_of(value)) {
            count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
        write(&cells.sum, |sum| sum.wrapping_add(value));
        let now = cells.now.get();
        if cells.period.load(Ordering::Relaxed) == now {
            write(&cells.least, |least| least.min(value));
            write(&cells.largest, |largest| largest.max(value));
        } else {
            write(&cells.least, |_| value);
            write(&cells.largest, |_| value);
            cells.period.store(now, Ordering::Release);
        }
    }
}

/// For the one writer.
fn write(cell: &AtomicU64, next: impl FnOnce(u64) -> u64) {
    cell.store(next(cell.load(Ordering::Relaxed)), Ordering::Relaxed);
}

#[expect(clippy::cast_possible_truncation, reason = "there are a few hundred buckets")]
fn bucket_of(value: u64) -> usize {
    if value < CUTS {
        return value as usize;
    }
    let power = value.ilog2();
    let cut = (value >> (power - CUT_BITS)) - CUTS;
    (u64::from(power - CUT_BITS + 1) * CUTS + cut) as usize
}

/// The least value of a bucket, and how many values it covers.
fn values_of(bucket: usize) -> (u64, u64) {
    let bucket = bucket as u64;
    if bucket < CUTS {
        return (bucket, 1);
    }
    let shift = bucket / CUTS - 1;
    ((CUTS + bucket % CUTS) << shift, 1 << shift)
}

// === impl DistributionReader ===

impl DistributionReader {
    /// Adds what was counted so far.
    pub fn add_to(&self, spread: &mut Spread) {
        let cells = &*self.0;
        let Some(counts) = cells.counts.get() else { return };
        if spread.counts.is_empty() {
            spread.counts = vec![0; BUCKETS];
        }
        for (all, count) in spread.counts.iter_mut().zip(counts) {
            *all = all.wrapping_add(count.load(Ordering::Relaxed));
        }
        spread.sum = spread.sum.wrapping_add(cells.sum.load(Ordering::Relaxed));
        if cells.period.load(Ordering::Acquire) == cells.now.get() {
            let mine = (cells.least.load(Ordering::Relaxed), cells.largest.load(Ordering::Relaxed));
            let (least, largest) = spread.range.unwrap_or(mine);
            spread.range = Some((least.min(mine.0), largest.max(mine.1)));
        }
    }
}

// === impl Spread ===

impl Spread {
    /// What was counted after `earlier` was read.
    #[must_use]
    pub fn since(&self, earlier: &Spread) -> Spread {
        let before = earlier.counts.iter().copied().chain(std::iter::repeat(0));
        let counts = self.counts.iter().zip(before).map(|(now, before)| now.wrapping_sub(before));
        let mut since = Spread {
            counts: counts.collect(),
            sum: self.sum.wrapping_sub(earlier.sum),
            range: self.range,
        };
        if since.count() == 0 {
            since = Spread::default();
        }
        since
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    pub fn least(&self) -> u64 {
        self.range.map_or(0, |(least, _)| least)
    }

    pub fn largest(&self) -> u64 {
        self.range.map_or(0, |(_, largest)| largest)
    }

    pub fn mean(&self) -> f64 {
        match self.count() {
            0 => 0.0,
            count => self.sum as f64 / count as f64,
        }
    }

    /// Of the buckets' middles.
    pub fn variance(&self) -> f64 {
        let count = self.count();
        if count == 0 {
            return 0.0;
        }
        let middles = || self.buckets().map(|(bucket, count)| (self.middle_of(bucket), count));
        let mean =
            middles().map(|(middle, count)| middle * count as f64).sum::<f64>() / count as f64;
        let square = |middle: f64| (middle - mean) * (middle - mean);
        middles().map(|(middle, count)| square(middle) * count as f64).sum::<f64>() / count as f64
    }

    /// The value that so large a part (0 to 1) of all values does not exceed.
    pub fn percentile(&self, part: f64) -> f64 {
        let count = self.count();
        let wanted = part * count as f64;
        let mut seen = 0.0;
        for (bucket, count) in self.buckets() {
            seen += count as f64;
            if seen >= wanted {
                return self.middle_of(bucket);
            }
        }
        self.largest() as f64
    }

    fn buckets(&self) -> impl Iterator<Item = (usize, u64)> {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(|(bucket, count)| (bucket, u64::from(*count)))
    }

    /// Never outside of what was really counted.
    fn middle_of(&self, bucket: usize) -> f64 {
        let (least, width) = values_of(bucket);
        let middle = least as f64 + (width - 1) as f64 / 2.0;
        match self.range {
            Some((least, largest)) => {
                middle.clamp(least as f64, (largest as f64).max(least as f64))
            }
            None => middle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(distributions: &[&Distribution]) -> Spread {
        let mut spread = Spread::default();
        distributions.iter().for_each(|each| each.reader().add_to(&mut spread));
        spread
    }

    #[test]
    fn every_value_is_in_the_bucket_that_covers_it() {
        let mut value = 0_u64;
        while value <= VALUE_MAX {
            let bucket = bucket_of(value);
            let (least, width) = values_of(bucket);
            assert!(bucket < BUCKETS && least <= value && value < least + width, "{value}");
            assert!(width == 1 || width * CUTS <= least, "{value}: too wide");
            value += 1 + value / 7;
        }
        assert_eq!(bucket_of(VALUE_MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_at_most_an_eighth_away() {
        let (first, second) = {
            let period = Period::default();
            (Distribution::new(&period), Distribution::new(&period))
        };
        for value in 1..=5000_u64 {
            first.record(value * 1000);
            second.record((5000 + value) * 1000);
        }
        let spread = read(&[&first, &second]);
        assert_eq!((spread.count(), spread.least(), spread.largest()), (10_000, 1000, 10_000_000));
        assert!((spread.mean() - 5_000_500.0).abs() < 1.0);
        for percent in [1_u32, 10, 50, 75, 95, 99] {
            let exact = f64::from(percent) / 100.0 * 10_000_000.0;
            let got = spread.percentile(f64::from(percent) / 100.0);
            assert!((got - exact).abs() <= exact / 8.0, "{percent}: {got}, not {exact}");
        }
        let deviation = spread.variance().sqrt();
        assert!((deviation - 2_886_751.0).abs() < 100_000.0, "{deviation}");
    }

    #[test]
    fn one_value_is_shown_as_it_is() {
        let only = Distribution::new(&Period::default());
        only.record(1_234_567);
        let spread = read(&[&only]);
        assert!((spread.percentile(0.5) - 1_234_567.0).abs() < 0.5);
        assert!((spread.percentile(0.999) - 1_234_567.0).abs() < 0.5);
        only.record(u64::MAX);
        assert_eq!(read(&[&only]).largest(), VALUE_MAX);
    }

    #[test]
    fn a_period_begins_empty() {
        let period = Period::default();
        let counted = Distribution::new(&period);
        assert_eq!(read(&[&counted]), Spread::default());
        counted.record(100);
        let earlier = read(&[&counted]);
        period.advance();
        let empty = read(&[&counted]).since(&earlier);
        assert_eq!((empty.count(), empty.least(), empty.largest()), (0, 0, 0));
        assert!(empty.mean().abs() < 0.1 && empty.percentile(0.5).abs() < 0.1);
        counted.record(7);
        let later = read(&[&counted]).since(&earlier);
        assert_eq!((later.count(), later.least(), later.largest()), (1, 7, 7));
    }
}
