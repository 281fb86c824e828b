//! Several nodes and a common store, on clocks that are moved by hand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::quotas::{self, QuotaBatch, Quotas};
use super::rates::{self, Draw, Level, Rates};
use crate::shared::allowance::{Limit, Limits, Moment};
use crate::shared::period::Period;
use crate::shared::portion::{Flow, Portion};

const INTERVAL_MS: u64 = 100;
const MS: u64 = 1_000_000;

/// What the scripts do, on a clock of its own.
#[derive(Default)]
struct Server {
    now_us: u64,
    buckets: HashMap<Vec<u8>, (u64, u64)>,
    counts: HashMap<Vec<u8>, i64>,
    last_marker: Option<String>,
}

impl Server {
    fn draw(&mut self, draws: &[Draw]) -> Vec<Level> {
        let mut levels = Vec::new();
        for draw in draws {
            let (full_us, asked) = self.buckets.entry(draw.key.clone()).or_default();
            *full_us = (*full_us).max(self.now_us - INTERVAL_MS * 1000) + draw.cost_us;
            *asked += draw.drawn.asked;
            let owed_us = full_us.cast_signed() - self.now_us.cast_signed();
            levels.push(Level { owed_us, asked: i64::try_from(*asked).expect("small") });
        }
        levels
    }

    fn count(&mut self, batch: &QuotaBatch) -> Vec<i64> {
        let is_known =
            self.last_marker.replace(batch.marker.clone()).as_ref() == Some(&batch.marker);
        let mut totals = Vec::new();
        for told in &batch.uses {
            let total = self.counts.entry(told.key.clone()).or_default();
            if !is_known {
                *total += i64::try_from(told.used()).expect("small");
            }
            totals.push(*total);
        }
        totals
    }
}

/// A node whose clock began at another time, and whose exchanges come at other moments than those of the others.
struct Node {
    rates: [Arc<Rates>; 1],
    clock_ahead_ns: u64,
    phase_ms: u64,
    /// An exchange that is under way, when it began and when it ends.
    in_flight: Option<(Vec<Draw>, Vec<Level>, [u64; 2])>,
    is_alone: bool,
}

impl Node {
    fn take(&self, client: &[u8], now_ms: u64) -> bool {
        let now_ns = now_ms * MS + self.clock_ahead_ns;
        let flow = self.rates[0].flow();
        let take = |portion: &Portion| portion.take(flow, self.is_alone, now_ns);
        self.rates[0].table.count(client, now_ns, take).expect("nobody visits")
    }

    fn exchange(&mut self, server: &mut Server, now_ms: u64, latency_ms: u64) {
        if self.in_flight.is_none() && now_ms % INTERVAL_MS == self.phase_ms {
            let draws = rates::collect(&self.rates, 1000);
            let levels = server.draw(&draws);
            self.in_flight = Some((draws, levels, [now_ms, now_ms + latency_ms]));
        }
        let ended = self.in_flight.take_if(|(_, _, [_, end])| *end <= now_ms);
        if let Some((draws, levels, [began, _])) = ended {
            let told_at_ns = began * MS + self.clock_ahead_ns;
            let interval = Duration::from_millis(INTERVAL_MS);
            rates::learn(&self.rates, &draws, &levels, interval, told_at_ns);
        }
    }
}

struct Cluster {
    nodes: Vec<Node>,
    server: Server,
    now_ms: u64,
    latency_ms: u64,
}

impl Cluster {
    fn of(count: u64, rate: f64, capacity: u64) -> Cluster {
        let flow = Flow::new(rate, capacity, INTERVAL_MS * MS);
        let nodes = (0..count).map(|node| Node {
            rates: [Arc::new(Rates::of_clients("limit", flow, 64))],
            clock_ahead_ns: node * 777_000_000_123,
            phase_ms: node * 31 % INTERVAL_MS,
            in_flight: None,
            is_alone: false,
        });
        let server = Server { now_us: 1_700_000_000_000_000, ..Server::default() };
        Cluster { nodes: nodes.collect(), server, now_ms: 0, latency_ms: 3 }
    }

    /// Every node is asked so many times a second, evenly; gives what all let through in each millisecond.
    fn run(&mut self, asked_per_s: &[u64], ms: u64) -> Vec<u64> {
        let mut passed = Vec::new();
        for _ in 0..ms {
            let mut now = 0;
            for (node, per_s) in self.nodes.iter_mut().zip(asked_per_s) {
                let until_now = |ms: u64| ms * per_s / 1000;
                let asked = until_now(self.now_ms + 1) - until_now(self.now_ms);
                now += (0..asked).filter(|_| node.take(b"client", self.now_ms)).count() as u64;
                node.exchange(&mut self.server, self.now_ms, self.latency_ms);
            }
            passed.push(now);
            self.now_ms += 1;
            self.server.now_us += 1000;
        }
        passed
    }
}

/// The most that passed in any window of this length, and the least.
fn extremes(passed: &[u64], window_ms: usize) -> (u64, u64) {
    let mut sum: u64 = passed[..window_ms].iter().sum();
    let (mut most, mut least) = (sum, sum);
    for (old, new) in passed.iter().zip(&passed[window_ms..]) {
        sum = sum + new - old;
        (most, least) = (most.max(sum), least.min(sum));
    }
    (most, least)
}

/// What may pass in a window, as docs/clustering.md says: the bucket, what flows in and an interval more of that, and for
/// each further node what it lets through before it has heard of the others.
fn bound(nodes: u64, rate: u64, capacity: u64, window_ms: u64, latency_ms: u64) -> u64 {
    let unheard = capacity + rate * (INTERVAL_MS + latency_ms) / 1000;
    capacity + rate * (window_ms + INTERVAL_MS) / 1000 + (nodes - 1) * unheard + 1
}

#[test]
fn nodes_together_keep_the_limit() {
    for nodes in [1, 2, 3, 8] {
        for (rate, capacity) in [(100, 100), (1000, 50), (20, 5), (5, 1)] {
            let mut cluster = Cluster::of(nodes, rate as f64, capacity);
            let latency_ms = cluster.latency_ms;
            let asked = vec![rate * 3; usize::try_from(nodes).expect("few")];
            let passed = cluster.run(&asked, 20_000);
            for window_ms in [50, 1000, 10_000] {
                let (most, _) = extremes(&passed, usize::try_from(window_ms).expect("short"));
                let allowed = bound(nodes, rate, capacity.max(rate / 10), window_ms, latency_ms);
                assert!(most <= allowed, "{nodes} nodes, {rate}/s: {most} in {window_ms} ms");
            }
            // Once the nodes have heard of each other, what is too much is paid back at once.
            let (most, least) = extremes(&passed[5000..], 5000);
            let flown = rate * 5;
            let slack = 2 * nodes + nodes * rate * INTERVAL_MS / 1000;
            assert!(most <= flown + slack, "{nodes} nodes, {rate}/s: {most} of {flown}");
            assert!(least + slack >= flown * 9 / 10, "{nodes} nodes, {rate}/s: {least} of {flown}");
        }
    }
}

#[test]
fn the_node_that_is_asked_gets_what_the_others_leave() {
    let mut cluster = Cluster::of(3, 100.0, 100);
    cluster.run(&[300, 300, 300], 5000);
    let passed = cluster.run(&[300, 0, 0], 5000);
    let (_, least) = extremes(&passed[1000..], 2000);
    assert!(least >= 190, "{least} of 200");
    let passed = cluster.run(&[300, 10, 10], 5000);
    let (most, least) = extremes(&passed[1000..], 2000);
    assert!((185..=215).contains(&least) && most <= 215, "{least} to {most} of 200");
}

#[test]
fn below_the_limit_nobody_is_refused() {
    let mut cluster = Cluster::of(4, 100.0, 100);
    cluster.run(&[80, 2, 2, 2], 5000);
    let before = cluster.run(&[80, 2, 2, 2], 2000).iter().sum::<u64>();
    assert_eq!(before, 172);
    // Another node gets the traffic from one moment to the next.
    let after = cluster.run(&[2, 80, 2, 2], 2000).iter().sum::<u64>();
    assert_eq!(after, 172);
}

#[test]
fn a_burst_that_meets_all_nodes_at_once_is_paid_back() {
    let mut cluster = Cluster::of(3, 10.0, 100);
    let burst = cluster.run(&[2000, 2000, 2000], 90);
    assert!(burst.iter().sum::<u64>() <= 3 * 102);
    let rest = cluster.run(&[2000, 2000, 2000], 19_000);
    assert!(rest.iter().sum::<u64>() <= 60, "the others' 200 are owed for twenty seconds");
}

#[test]
fn a_node_alone_has_all_of_the_limit_and_rejoins() {
    let mut cluster = Cluster::of(2, 100.0, 100);
    cluster.run(&[300, 300], 5000);
    cluster.nodes.iter_mut().for_each(|node| {
        node.phase_ms = INTERVAL_MS; // never
        node.is_alone = true;
    });
    let passed = cluster.run(&[300, 300], 6000);
    let (most, least) = extremes(&passed[1000..], 2000);
    assert!(least >= 390 && most <= 410, "{least} to {most}: each node its 100 a second");
    cluster.nodes.iter_mut().enumerate().for_each(|(index, node)| {
        node.phase_ms = u64::try_from(index).expect("few");
        node.is_alone = false;
        rates::forgive(&node.rates);
    });
    cluster.run(&[300, 300], 3000);
    let (most, least) = extremes(&cluster.run(&[300, 300], 5000), 2000);
    assert!(least >= 180 && most <= 230, "{least} to {most} of 200");
}

#[test]
fn keys_show_no_names_and_only_what_changed_is_told() {
    let cluster = Cluster::of(1, 1.0, 10);
    let node = &cluster.nodes[0];
    assert!(node.take(b"secret token", 0) && node.take(b"other", 0));
    let draws = rates::collect(&node.rates, 1000);
    assert_eq!(draws.len(), 2);
    for draw in &draws {
        let key = String::from_utf8(draw.key.clone()).expect("text");
        let sum = key.strip_prefix("limit:").expect("the limit's");
        assert!(sum.len() == 32 && sum.bytes().all(|digit| digit.is_ascii_hexdigit()), "{key}");
        assert_eq!(draw.cost_us, 1_000_000);
    }
    assert_eq!(rates::collect(&node.rates, 1000), []);
    let all = [Arc::new(Rates::of_all("all", Flow::new(1.0, 1, MS), 0))];
    let asked = |draws: Vec<Draw>| draws.iter().map(|draw| draw.drawn.asked).collect::<Vec<_>>();
    assert_eq!(asked(rates::collect(&all, 1000)), [0], "one bucket is looked at every time");
    assert_eq!(asked(rates::collect(&all, 1000)), [0]);
}

/// A minute begins.
const START_S: u64 = 1_700_000_040;

fn at(ms: u64) -> Moment {
    let unix_ns = i64::try_from((START_S * 1000 + ms) * MS).expect("near");
    Moment { monotonic_ns: ms * MS, unix_ns }
}

fn quota(limits: &[(u64, Period)], hashes_names: bool) -> [Arc<Quotas>; 1] {
    let limits = limits.iter().map(|(amount, period)| Limit { amount: *amount, period: *period });
    let limits = Limits::new(limits.collect()).expect("some");
    [Arc::new(Quotas::new("plan:gold", limits, 64, hashes_names))]
}

fn uses(rules: &[Arc<Quotas>; 1], ms: u64, at_most: usize) -> usize {
    let take = || rules[0].table.count(b"jane", ms * MS, |allowance| allowance.take(ms * MS));
    (0..at_most).take_while(|_| take().expect("nobody visits")).count()
}

fn tell(server: &mut Server, rules: &[Arc<Quotas>; 1], marker: &str, ms: u64) {
    if let Some(batch) = QuotaBatch::collect(rules, marker.to_owned(), at(ms), 1000) {
        let totals = server.count(&batch);
        batch.learn(&totals, at(ms));
    }
}

#[test]
fn nodes_together_keep_a_quota_in_every_window() {
    let mut server = Server::default();
    let limits = [(10, Period::Minute), (15, Period::Day)];
    let nodes = [quota(&limits, false), quota(&limits, false)];
    assert_eq!((uses(&nodes[0], 0, 4), uses(&nodes[1], 0, 3)), (4, 3));
    for round in ["a1", "a2"] {
        tell(&mut server, &nodes[0], round, 100);
        tell(&mut server, &nodes[1], &round.replace('a', "b"), 100);
        // To hear of the other one a node must count again, or be asked in vain.
        uses(&nodes[0], 100, 1);
    }
    let mut all = 8;
    for step in 0..20 {
        all += uses(&nodes[step % 2], 200, 1) + uses(&nodes[(step + 1) % 2], 200, 1);
        tell(&mut server, &nodes[0], &format!("c{step}"), 200);
        tell(&mut server, &nodes[1], &format!("d{step}"), 200);
    }
    assert!((10..=11).contains(&all), "{all}: each node may take one before it hears of the last");
    let minute_later = uses(&nodes[0], 60_000, 100);
    assert!(minute_later <= 5, "of the day five are left");
    tell(&mut server, &nodes[0], "e", 60_100);
    assert_eq!(uses(&nodes[0], 60_200, 100), 0);
    let keys: Vec<_> = server.counts.keys().map(|key| String::from_utf8_lossy(key)).collect();
    assert!(keys.iter().any(|key| *key == format!("plan:gold:jane:minute:{START_S}")), "{keys:?}");
}

#[test]
fn a_batch_that_is_told_twice_counts_once() {
    let mut server = Server::default();
    let rules = quota(&[(100, Period::Day)], true);
    assert_eq!(uses(&rules, 0, 7), 7);
    let batch = QuotaBatch::collect(&rules, "1".to_owned(), at(0), 1000).expect("news");
    assert!(!String::from_utf8_lossy(&batch.uses[0].key).contains("jane"));
    server.count(&batch);
    // The answer was lost; meanwhile more is used, and the server has come back.
    assert_eq!(uses(&rules, 100, 2), 2);
    quotas::roll(&rules, at(100));
    let totals = server.count(&batch);
    assert_eq!(totals, [7]);
    batch.learn(&totals, at(200));
    tell(&mut server, &rules, "2", 200);
    assert_eq!(server.counts.values().copied().collect::<Vec<_>>(), [9]);
}

#[test]
fn without_the_server_each_node_counts_by_itself_and_tells_later() {
    let mut server = Server::default();
    let rules = quota(&[(5, Period::Minute)], false);
    assert_eq!(uses(&rules, 0, 100), 5);
    quotas::roll(&rules, at(100));
    assert_eq!(uses(&rules, 200, 100), 0);
    assert_eq!(uses(&rules, 61_000, 2), 2, "a new minute");
    quotas::roll(&rules, at(61_100));
    tell(&mut server, &rules, "1", 61_200);
    assert_eq!(
        server.counts.values().copied().collect::<Vec<_>>(),
        [2],
        "the minute before is over"
    );
}
