//! `Stats`: what the cores counted of endpoints and backends, by the original's names, for all who show or send it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::distribution::{Distribution, DistributionReader, Period, Spread};

/// Statuses of one hundred are counted in one row, made when the first of them is seen.
const ROW: usize = 100;
const ROWS: usize = 10;

/// The names under which is counted; several endpoints or backends may have the same. What is not counted has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatNames {
    pub endpoints: Vec<String>,
    pub pipes: Vec<String>,
    pub backends: Vec<String>,
}

/// One plan's statistics; every feature that asks for them gets the same.
#[derive(Default)]
pub struct Stats {
    is_wanted: AtomicBool,
    /// `None`: no core counts yet.
    state: Mutex<Option<State>>,
    period: Period,
}

struct State {
    names: Arc<StatNames>,
    cores: Vec<Arc<Cells>>,
    /// What was read when the period began.
    before: Reading,
    connected_total: u64,
    disconnected_total: u64,
    connected_last: u64,
    disconnected_last: u64,
    snapshot: Option<Arc<Snapshot>>,
}

/// One core's end: it counts by the index of a name.
pub struct CoreStats {
    endpoints: Box<[EndpointStats]>,
    pipes: Box<[[Distribution; 4]]>,
    backends: Box<[[Distribution; 4]]>,
    cells: Arc<Cells>,
}

struct EndpointStats {
    size: Distribution,
    time: Distribution,
}

struct Cells {
    connected: AtomicU64,
    disconnected: AtomicU64,
    endpoints: Box<[EndpointCells]>,
    pipes: Box<[[DistributionReader; 4]]>,
    backends: Box<[[DistributionReader; 4]]>,
}

struct EndpointCells {
    statuses: [OnceLock<Box<[AtomicU64]>>; ROWS],
    size: DistributionReader,
    time: DistributionReader,
}

/// Everything as it stands, summed over the cores.
#[derive(Clone, Debug, Default)]
struct Reading {
    connected: u64,
    disconnected: u64,
    endpoints: Vec<EndpointReading>,
    pipes: Vec<[Spread; 4]>,
    backends: Vec<[Spread; 4]>,
}

#[derive(Clone, Debug, Default)]
struct EndpointReading {
    statuses: BTreeMap<u16, u64>,
    size: Spread,
    time: Spread,
}

/// Statistics at one moment: totals since the start, distributions since the period began.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Seconds since 1970.
    pub at_s: u64,
    /// In this period.
    pub connected: u64,
    pub disconnected: u64,
    /// In the periods that have ended.
    pub connected_total: u64,
    pub disconnected_total: u64,
    /// In the last period that has ended.
    pub connected_last: u64,
    pub disconnected_last: u64,
    pub responses: Vec<Responses>,
    pub requests: Vec<Requests>,
}

/// The answers of an endpoint.
#[derive(Clone, Debug)]
pub struct Responses {
    pub name: String,
    pub statuses: BTreeMap<u16, u64>,
    pub size: Spread,
    /// In nanoseconds.
    pub time: Spread,
}

/// The requests to a pipe or a backend that ended in one way.
#[derive(Clone, Debug)]
pub struct Requests {
    pub layer: &'static str,
    pub name: String,
    pub is_complete: bool,
    pub is_error: bool,
    pub total: u64,
    /// In nanoseconds.
    pub latency: Spread,
}

/// How a request to a pipe or a backend ended, as an index.
pub fn ending(is_complete: bool, is_error: bool) -> usize {
    usize::from(!is_complete) * 2 + usize::from(!is_error)
}

// === impl Stats ===

impl Stats {
    /// Somebody collects; the plan's compiler says so before anything runs.
    pub fn want(&self) {
        self.is_wanted.store(true, Ordering::Relaxed);
    }

    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// One core's end. All cores count under the same names, those of the first that asks.
    pub fn core(&self, names: impl FnOnce() -> StatNames) -> CoreStats {
        let mut state = self.state();
        let state = state.get_or_insert_with(|| State::new(names()));
        let core = CoreStats::new(&state.names, &self.period);
        state.cores.push(core.cells.clone());
        core
    }

    /// How it stands; `None` where no core counts.
    pub fn now(&self) -> Option<Snapshot> {
        self.state().as_ref().map(|state| state.snapshot(&state.read()))
    }

    /// Ends the period, and keeps how it stood.
    pub fn end_period(&self) {
        let mut state = self.state();
        let Some(state) = &mut *state else { return };
        let now = state.read();
        let connected = now.connected.wrapping_sub(state.before.connected);
        let disconnected = now.disconnected.wrapping_sub(state.before.disconnected);
        (state.connected_last, state.disconnected_last) = (connected, disconnected);
        state.connected_total = state.connected_total.wrapping_add(connected);
        state.disconnected_total = state.disconnected_total.wrapping_add(disconnected);
        let mut snapshot = state.snapshot(&now);
        (snapshot.connected, snapshot.disconnected) = (0, 0);
        state.snapshot = Some(Arc::new(snapshot));
        state.before = now;
        self.period.advance();
    }

    /// How it stood when the last period ended; `None` before that.
    pub fn last(&self) -> Option<Arc<Snapshot>> {
        self.state().as_ref().and_then(|state| state.snapshot.clone())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn new(names: StatNames) -> State {
        State {
            before: Reading::of(&names, &[]),
            names: Arc::new(names),
            cores: Vec::new(),
            connected_total: 0,
            disconnected_total: 0,
            connected_last: 0,
            disconnected_last: 0,
            snapshot: None,
        }
    }

    fn read(&self) -> Reading {
        Reading::of(&self.names, &self.cores)
    }

    fn snapshot(&self, now: &Reading) -> Snapshot {
        let responses = self.names.endpoints.iter().zip(&now.endpoints).enumerate();
        let responses = responses.map(|(index, (name, reading))| {
            let before = self.before.endpoints.get(index).cloned().unwrap_or_default();
            Responses {
                name: name.clone(),
                statuses: reading.statuses.clone(),
                size: reading.size.since(&before.size),
                time: reading.time.since(&before.time),
            }
        });
        let pipes = requests("pipe", &self.names.pipes, &now.pipes, &self.before.pipes);
        let backends =
            requests("backend", &self.names.backends, &now.backends, &self.before.backends);
        let at = SystemTime::now().duration_since(UNIX_EPOCH);
        Snapshot {
            at_s: at.map_or(0, |since| since.as_secs()),
            connected: now.connected.wrapping_sub(self.before.connected),
            disconnected: now.disconnected.wrapping_sub(self.before.disconnected),
            connected_total: self.connected_total,
            disconnected_total: self.disconnected_total,
            connected_last: self.connected_last,
            disconnected_last: self.disconnected_last,
            responses: responses.collect(),
            requests: pipes.chain(backends).collect(),
        }
    }
}

fn requests<'r>(
    layer: &'static str,
    names: &'r [String],
    now: &'r [[Spread; 4]],
    before: &'r [[Spread; 4]],
) -> impl Iterator<Item = Requests> + 'r {
    let rows = names.iter().zip(now).enumerate();
    rows.flat_map(move |(index, (name, spreads))| {
        let endings = [(true, true), (true, false), (false, true), (false, false)];
        endings.into_iter().map(move |(is_complete, is_error)| {
            let place = ending(is_complete, is_error);
            let nothing = Spread::default();
            let before = before.get(index).map_or(&nothing, |row| &row[place]);
            Requests {
                layer,
                name: name.clone(),
                is_complete,
                is_error,
                total: spreads[place].count(),
                latency: spreads[place].since(before),
            }
        })
    })
}

// === impl Reading ===

impl Reading {
    fn of(names: &StatNames, cores: &[Arc<Cells>]) -> Reading {
        let mut reading = Reading {
            endpoints: vec![EndpointReading::default(); names.endpoints.len()],
            pipes: vec![<[Spread; 4]>::default(); names.pipes.len()],
            backends: vec![<[Spread; 4]>::default(); names.backends.len()],
            ..Reading::default()
        };
        for core in cores {
            reading.add(core);
        }
        reading
    }

    fn add(&mut self, core: &Cells) {
        self.connected = self.connected.wrapping_add(core.connected.load(Ordering::Relaxed));
        let disconnected = core.disconnected.load(Ordering::Relaxed);
        self.disconnected = self.disconnected.wrapping_add(disconnected);
        for (all, cells) in self.endpoints.iter_mut().zip(&core.endpoints) {
            for (status, count) in cells.statuses() {
                *all.statuses.entry(status).or_default() += count;
            }
            cells.size.add_to(&mut all.size);
            cells.time.add_to(&mut all.time);
        }
        let sums = self.pipes.iter_mut().chain(&mut self.backends);
        for (all, readers) in sums.zip(core.pipes.iter().chain(&core.backends)) {
            all.iter_mut().zip(readers).for_each(|(all, reader)| reader.add_to(all));
        }
    }
}

impl EndpointCells {
    fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = self
            .statuses
            .iter()
            .enumerate()
            .filter_map(|(row, counts)| counts.get().map(|counts| (row, counts)));
        counts.flat_map(|(row, counts)| {
            counts.iter().enumerate().filter_map(move |(place, count)| {
                let status = u16::try_from(row * ROW + place).ok()?;
                let count = count.load(Ordering::Relaxed);
                (count > 0).then_some((status, count))
            })
        })
    }
}

// === impl CoreStats ===

impl CoreStats {
    fn new(names: &StatNames, period: &Period) -> CoreStats {
        let four = |_: &String| std::array::from_fn(|_| Distribution::new(period));
        let pipes: Box<[[Distribution; 4]]> = names.pipes.iter().map(four).collect();
        let backends: Box<[[Distribution; 4]]> = names.backends.iter().map(four).collect();
        let endpoint = |_: &String| EndpointStats {
            size: Distribution::new(period),
            time: Distribution::new(period),
        };
        let endpoints: Box<[EndpointStats]> = names.endpoints.iter().map(endpoint).collect();
        let readers = |row: &[Distribution; 4]| row.each_ref().map(Distribution::reader);
        let cells = Cells {
            connected: AtomicU64::new(0),
            disconnected: AtomicU64::new(0),
            endpoints: endpoints
                .iter()
                .map(|endpoint| EndpointCells {
                    statuses: std::array::from_fn(|_| OnceLock::new()),
                    size: endpoint.size.reader(),
                    time: endpoint.time.reader(),
                })
                .collect(),
            pipes: pipes.iter().map(readers).collect(),
            backends: backends.iter().map(readers).collect(),
        };
        CoreStats { endpoints, pipes, backends, cells: Arc::new(cells) }
    }

    /// A request to an endpoint has come.
    pub fn connected(&self) {
        add_one(&self.cells.connected);
    }

    /// Its answer has left.
    pub fn disconnected(&self, endpoint: usize, status: u16, bytes: u64, time_ns: u64) {
        add_one(&self.cells.disconnected);
        let Some(stats) = self.endpoints.get(endpoint) else { return };
        stats.size.record(bytes);
        stats.time.record(time_ns);
        let (row, place) = (usize::from(status) / ROW, usize::from(status) % ROW);
        let cells = self.cells.endpoints.get(endpoint);
        let Some(counts) = cells.and_then(|cells| cells.statuses.get(row)) else { return };
        let counts = counts.get_or_init(|| (0..ROW).map(|_| AtomicU64::new(0)).collect());
        if let Some(count) = counts.get(place) {
            add_one(count);
        }
    }

    pub fn piped(&self, pipe: usize, ending: usize, time_ns: u64) {
        record(&self.pipes, pipe, ending, time_ns);
    }

    pub fn called(&self, backend: usize, ending: usize, time_ns: u64) {
        record(&self.backends, backend, ending, time_ns);
    }
}

fn record(rows: &[[Distribution; 4]], row: usize, ending: usize, time_ns: u64) {
    if let Some(distribution) = rows.get(row).and_then(|row| row.get(ending)) {
        distribution.record(time_ns);
    }
}

/// For the one writer.
fn add_one(cell: &AtomicU64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> StatNames {
        StatNames {
            endpoints: vec!["/a".into(), "/b".into()],
            pipes: vec!["/a".into()],
            backends: vec!["/up".into()],
        }
    }

    #[test]
    fn there_is_nothing_before_a_core_counts() {
        let stats = Stats::default();
        stats.end_period();
        assert!(stats.now().is_none() && stats.last().is_none() && !stats.is_wanted());
        stats.want();
        assert!(stats.is_wanted());
    }

    #[test]
    fn cores_are_added_and_periods_kept_apart() {
        let stats = Stats::default();
        let (first, second) = (stats.core(names), stats.core(names));
        first.connected();
        second.connected();
        first.disconnected(0, 200, 10, 1000);
        second.disconnected(0, 404, 30, 3000);
        first.called(0, ending(true, false), 500);
        let now = stats.now().expect("collected");
        assert_eq!((now.connected, now.connected_total), (2, 0));
        assert!(stats.last().is_none());
        stats.end_period();
        let last = stats.last().expect("a period has ended");
        assert_eq!((last.connected, last.connected_total, last.connected_last), (0, 2, 2));
        assert_eq!(last.responses[0].statuses, BTreeMap::from([(200, 1), (404, 1)]));
        assert_eq!(last.responses[0].size.count(), 2);
        assert!(last.responses[1].statuses.is_empty());
        let called: Vec<u64> = last.requests.iter().map(|requests| requests.total).collect();
        assert_eq!(called, [0, 0, 0, 0, 0, 1, 0, 0]);
        stats.end_period();
        let later = stats.last().expect("a period has ended");
        assert_eq!((later.connected_total, later.connected_last), (2, 0));
        assert_eq!(later.responses[0].size.count(), 0, "a new period");
        assert_eq!(later.requests[5].total, 1, "totals stay");
        drop((first, second));
        assert_eq!(stats.now().expect("collected").requests[5].total, 1, "cores that ended count");
    }

    #[test]
    fn a_status_without_a_row_is_no_harm() {
        let stats = Stats::default();
        let core = stats.core(names);
        core.disconnected(0, 65_535, 0, 0);
        core.disconnected(9, 200, 0, 0);
        core.piped(7, 9, 1);
        assert!(stats.now().expect("collected").responses[0].statuses.is_empty());
    }
}
