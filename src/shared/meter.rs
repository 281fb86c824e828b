//! `Meter`: numbers that each core counts by itself and that the control side adds up when asked.
//!
//! A cell has one writer, so counting is a plain load and store without a locked instruction, and cells
//! of different cores never share a cache line. Names and label values come from the configuration or are
//! bounded here: above [`SERIES_MAX`] label sets of a name, the rest is counted under `overflow="true"`.

use std::cell::Cell as NotSync;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Label sets for one name; OpenTelemetry's default limit of attribute sets for one instrument.
pub const SERIES_MAX: usize = 2000;

/// Label names and values, in the order in which they are shown.
pub type Labels = Arc<[(Box<str>, Box<str>)]>;

/// The registry. Clones are the same registry.
#[derive(Clone, Default)]
pub struct Meter(Arc<Mutex<BTreeMap<&'static str, Family>>>);

/// A number that only grows. One core writes it.
pub struct Counter(Arc<Cell>, OneWriter);

/// A number that goes up and down; the cores' values are added. One core writes it.
pub struct Gauge(Arc<Cell>, OneWriter);

/// How many values fell into each of some fixed ranges. One core writes it.
pub struct Histogram(Arc<Buckets>, OneWriter);

/// One series as the control side sees it: the sum over the cores.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub name: &'static str,
    pub labels: Labels,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Counter(u64),
    Gauge(i64),
    /// `counts` has one entry more than `bounds`: what is above the last bound.
    Histogram {
        bounds: &'static [f64],
        counts: Vec<u64>,
        sum: f64,
    },
}

/// A series that a core has begun by itself, on its way into the registry.
pub struct Newcomer {
    name: &'static str,
    labels: Labels,
    cell: NewCell,
}

enum NewCell {
    Counter(Arc<Cell>),
    Histogram(Arc<Buckets>),
}

/// Keeps a handle on one thread at a time: it may be sent to its core, not shared.
type OneWriter = PhantomData<NotSync<()>>;

type Family = BTreeMap<Labels, Series>;

enum Series {
    Counter { cells: Vec<Arc<Cell>>, retired: u64 },
    Gauge { cells: Vec<Arc<Cell>> },
    Histogram { cells: Vec<Arc<Buckets>>, retired: Arc<Buckets> },
}

/// Alone on its cache line.
#[derive(Default)]
#[repr(align(64))]
struct Cell(AtomicU64);

/// The counts of one core lie together: it alone writes them, and allocates them.
#[repr(align(64))]
struct Buckets {
    bounds: &'static [f64],
    counts: Box<[AtomicU64]>,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

// === impl Meter ===

impl Meter {
    /// A cell of this series for the calling core.
    pub fn counter(&self, name: &'static str, labels: &[(&str, &str)]) -> Counter {
        let cell = Arc::<Cell>::default();
        self.register(
            name,
            labels,
            |series| match series {
                Series::Counter { cells, .. } => cells.push(Arc::clone(&cell)),
                _ => debug_assert!(false, "{name} is not a counter"),
            },
            || Series::Counter { cells: Vec::new(), retired: 0 },
        );
        Counter(cell, PhantomData)
    }

    /// A cell of this series for the calling core.
    pub fn gauge(&self, name: &'static str, labels: &[(&str, &str)]) -> Gauge {
        let cell = Arc::<Cell>::default();
        self.register(
            name,
            labels,
            |series| match series {
                Series::Gauge { cells } => cells.push(Arc::clone(&cell)),
                _ => debug_assert!(false, "{name} is not a gauge"),
            },
            || Series::Gauge { cells: Vec::new() },
        );
        Gauge(cell, PhantomData)
    }

    /// A cell of this series for the calling core. `bounds` ascend; a value counts for the first bound
    /// that is not below it, as in Prometheus' `le`.
    pub fn histogram(
        &self,
        name: &'static str,
        labels: &[(&str, &str)],
        bounds: &'static [f64],
    ) -> Histogram {
        debug_assert!(bounds.is_sorted(), "the bounds of {name} must ascend");
        let buckets = Arc::new(Buckets::new(bounds));
        self.register(
            name,
            labels,
            |series| match series {
                Series::Histogram { cells, retired } if retired.bounds == bounds => {
                    cells.push(Arc::clone(&buckets));
                }
                _ => debug_assert!(false, "{name} is not a histogram with these bounds"),
            },
            || Series::Histogram { cells: Vec::new(), retired: Arc::new(Buckets::new(bounds)) },
        );
        Histogram(buckets, PhantomData)
    }

    /// Takes a core's series in, if nobody else is at the registry: a core does not wait. It asks again later then.
    pub fn try_take_in(&self, newcomer: &Newcomer) -> bool {
        let Ok(mut families) = self.0.try_lock() else { return false };
        let Newcomer { name, labels, cell } = newcomer;
        match cell {
            NewCell::Counter(cell) => add(
                &mut families,
                name,
                labels.clone(),
                |series| match series {
                    Series::Counter { cells, .. } => cells.push(Arc::clone(cell)),
                    _ => debug_assert!(false, "{name} is not a counter"),
                },
                || Series::Counter { cells: Vec::new(), retired: 0 },
            ),
            NewCell::Histogram(buckets) => add(
                &mut families,
                name,
                labels.clone(),
                |series| match series {
                    Series::Histogram { cells, retired } if retired.bounds == buckets.bounds => {
                        cells.push(Arc::clone(buckets));
                    }
                    _ => debug_assert!(false, "{name} is not a histogram with these bounds"),
                },
                || {
                    let retired = Arc::new(Buckets::new(buckets.bounds));
                    Series::Histogram { cells: Vec::new(), retired }
                },
            ),
        }
        true
    }

    /// All series, sorted by name and labels, each summed over the cores.
    pub fn readings(&self) -> Vec<Reading> {
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut readings = Vec::new();
        for (name, family) in families.iter_mut() {
            for (labels, series) in family {
                let (labels, value) = (Arc::clone(labels), series.read());
                readings.push(Reading { name, labels, value });
            }
        }
        readings
    }

    fn register(
        &self,
        name: &'static str,
        labels: &[(&str, &str)],
        add: impl FnOnce(&mut Series),
        create: impl FnOnce() -> Series,
    ) {
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        self::add(&mut families, name, to_labels(labels), add, create);
    }
}

fn add(
    families: &mut BTreeMap<&'static str, Family>,
    name: &'static str,
    mut labels: Labels,
    add: impl FnOnce(&mut Series),
    create: impl FnOnce() -> Series,
) {
    let family = families.entry(name).or_default();
    if family.len() >= SERIES_MAX && !family.contains_key(&labels) {
        labels = to_labels(&[("overflow", "true")]);
    }
    add(family.entry(labels).or_insert_with(create));
}

fn to_labels(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|&(name, value)| (name.into(), value.into())).collect()
}

// === impl Counter, Gauge, Histogram ===

impl Counter {
    /// A counter that is in no registry yet; give its newcomer to [`Meter::try_take_in`].
    pub fn begin(name: &'static str, labels: Labels) -> (Counter, Newcomer) {
        let cell = Arc::<Cell>::default();
        let newcomer = Newcomer { name, labels, cell: NewCell::Counter(Arc::clone(&cell)) };
        (Counter(cell, PhantomData), newcomer)
    }

    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    #[inline]
    pub fn add(&self, count: u64) {
        self.0.write(|now| now.wrapping_add(count));
    }
}

impl Gauge {
    #[inline]
    pub fn add(&self, difference: i64) {
        self.0.write(|now| now.wrapping_add_signed(difference));
    }

    #[inline]
    pub fn set(&self, value: i64) {
        self.0.write(|_| value.cast_unsigned());
    }
}

impl Histogram {
    /// A histogram that is in no registry yet; give its newcomer to [`Meter::try_take_in`].
    pub fn begin(
        name: &'static str,
        labels: Labels,
        bounds: &'static [f64],
    ) -> (Histogram, Newcomer) {
        let cell = Arc::new(Buckets::new(bounds));
        let newcomer = Newcomer { name, labels, cell: NewCell::Histogram(Arc::clone(&cell)) };
        (Histogram(cell, PhantomData), newcomer)
    }

    #[inline]
    pub fn record(&self, value: f64) {
        let index = self.0.bounds.partition_point(|bound| *bound < value);
        if let Some(cell) = self.0.counts.get(index) {
            write(cell, |now| now.wrapping_add(1));
        }
        write(&self.0.sum, |now| (f64::from_bits(now) + value).to_bits());
    }
}

// === impl Series ===

impl Series {
    /// Adds up the cells. A cell that no core holds any more is folded into what is kept for good (a
    /// counter must not go back when a core is given a new plan), or forgotten, if it is a gauge's.
    fn read(&mut self) -> Value {
        match self {
            Self::Counter { cells, retired } => {
                cells.retain(|cell| {
                    let held = is_held(cell);
                    if !held {
                        *retired = retired.wrapping_add(cell.read());
                    }
                    held
                });
                let live = cells.iter().map(|cell| cell.read());
                Value::Counter(live.fold(*retired, u64::wrapping_add))
            }
            Self::Gauge { cells } => {
                cells.retain(is_held);
                let values = cells.iter().map(|cell| cell.read().cast_signed());
                Value::Gauge(values.fold(0, i64::wrapping_add))
            }
            Self::Histogram { cells, retired } => {
                cells.retain(|cell| {
                    let held = is_held(cell);
                    if !held {
                        retired.absorb(cell);
                    }
                    held
                });
                let total = Buckets::new(retired.bounds);
                total.absorb(retired);
                for cell in &*cells {
                    total.absorb(cell);
                }
                let counts = total.counts.iter().map(|cell| cell.load(Ordering::Relaxed)).collect();
                Value::Histogram {
                    bounds: total.bounds,
                    counts,
                    sum: f64::from_bits(total.sum.load(Ordering::Relaxed)),
                }
            }
        }
    }
}

fn is_held<T>(cell: &Arc<T>) -> bool {
    Arc::strong_count(cell) > 1
}

// === impl Cell, Buckets ===

impl Cell {
    /// For the one writer only: two would lose counts.
    #[inline]
    fn write(&self, next: impl FnOnce(u64) -> u64) {
        write(&self.0, next);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[inline]
fn write(cell: &AtomicU64, next: impl FnOnce(u64) -> u64) {
    cell.store(next(cell.load(Ordering::Relaxed)), Ordering::Relaxed);
}

impl Buckets {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::default()).collect();
        Self { bounds, counts, sum: AtomicU64::new(0.0_f64.to_bits()) }
    }

    fn absorb(&self, other: &Self) {
        for (mine, theirs) in self.counts.iter().zip(&other.counts) {
            write(mine, |now| now.wrapping_add(theirs.load(Ordering::Relaxed)));
        }
        let sum = f64::from_bits(other.sum.load(Ordering::Relaxed));
        write(&self.sum, |now| (f64::from_bits(now) + sum).to_bits());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(meter: &Meter, name: &str) -> Value {
        let readings = meter.readings();
        readings.into_iter().find(|reading| reading.name == name).expect("registered").value
    }

    #[test]
    fn a_counter_is_the_sum_over_the_cores() {
        let meter = Meter::default();
        let cores: Vec<_> = (0..3)
            .map(|_| {
                let counter = meter.counter("requests", &[("endpoint", "/a")]);
                std::thread::spawn(move || {
                    (0..10_000).for_each(|_| counter.increment());
                    counter
                })
            })
            .collect();
        let counters: Vec<Counter> =
            cores.into_iter().map(|core| core.join().expect("lives")).collect();
        assert_eq!(value(&meter, "requests"), Value::Counter(30_000));
        drop(counters);
        assert_eq!(
            value(&meter, "requests"),
            Value::Counter(30_000),
            "a core that ended still counts"
        );
        meter.counter("requests", &[("endpoint", "/a")]).add(5);
        assert_eq!(value(&meter, "requests"), Value::Counter(30_005));
    }

    #[test]
    fn a_gauge_forgets_the_cores_that_ended() {
        let meter = Meter::default();
        let (first, second) = (meter.gauge("open", &[]), meter.gauge("open", &[]));
        first.add(3);
        first.add(-1);
        second.set(-7);
        assert_eq!(value(&meter, "open"), Value::Gauge(-5));
        drop(second);
        assert_eq!(value(&meter, "open"), Value::Gauge(2));
    }

    #[test]
    fn a_histogram_counts_a_value_for_the_first_bound_that_is_not_below_it() {
        const BOUNDS: &[f64] = &[1.0, 5.0];
        let meter = Meter::default();
        let (first, second) =
            (meter.histogram("took", &[], BOUNDS), meter.histogram("took", &[], BOUNDS));
        for took in [0.5, 1.0, 1.5] {
            first.record(took);
        }
        second.record(9.0);
        let expected = Value::Histogram { bounds: BOUNDS, counts: vec![2, 1, 1], sum: 12.0 };
        assert_eq!(value(&meter, "took"), expected);
        drop((first, second));
        assert_eq!(value(&meter, "took"), expected, "cores that ended still count");
        assert_eq!(value(&meter, "took"), expected, "and are folded in once");
    }

    #[test]
    fn what_a_core_has_begun_is_taken_in_when_nobody_is_at_the_registry() {
        let meter = Meter::default();
        let (hits, newcomer) = Counter::begin("hits", to_labels(&[("path", "/a")]));
        hits.add(2);
        let held = meter.0.lock().expect("free");
        assert!(!meter.try_take_in(&newcomer));
        drop(held);
        assert!(meter.try_take_in(&newcomer));
        drop(newcomer);
        hits.add(1);
        assert_eq!(value(&meter, "hits"), Value::Counter(3));
    }

    #[test]
    fn label_sets_above_the_bound_are_counted_together() {
        let meter = Meter::default();
        for number in 0..SERIES_MAX + 10 {
            meter.counter("hits", &[("path", &number.to_string())]).increment();
        }
        let readings = meter.readings();
        assert_eq!(readings.len(), SERIES_MAX + 1);
        let overflow = readings.iter().find(|reading| &*reading.labels[0].0 == "overflow");
        assert_eq!(overflow.expect("there is one").value, Value::Counter(10));
    }
}
