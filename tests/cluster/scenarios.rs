//! What happens to the nodes while clients send requests, and how many of these may fail: none, where the balancer may repeat them.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::lab::{Lab, Setting, is_nginx, set_link, settle, wait_until_closed};
use super::load::{CLIENTS, Load};
use super::prometheus::Prometheus;
use crate::harness::process::Signal;
use crate::harness::{Gate, eventually};

pub struct Scenario {
    pub name: &'static str,
    setting: Setting,
    /// What happens; gives the number of requests that may fail.
    act: fn(&mut Lab) -> usize,
    /// Needs of the balancer what nginx does not do.
    only_haproxy: bool,
}

const fn scenario(name: &'static str, act: fn(&mut Lab) -> usize) -> Scenario {
    let setting = Setting { nodes: 3, retries: true };
    Scenario { name, setting, act, only_haproxy: false }
}

pub const ALL: &[Scenario] = &[
    scenario("nothing happens", |_| 0),
    scenario("each node restarts in turn", restart_each),
    scenario("each node reloads in turn, ten times", reload_each),
    scenario("each node's program is replaced in turn", replace_each),
    scenario("a fourth node is added", add_one),
    scenario("a node is taken away", take_one_away),
    scenario("a node is killed, and comes back", kill_one),
    Scenario {
        setting: Setting { nodes: 3, retries: false },
        only_haproxy: true,
        ..scenario("a node is killed, nothing is repeated", kill_one_in_the_midst)
    },
    scenario("a node freezes, and goes on", freeze_one),
    scenario("a node's cable is pulled, and put back", unplug_one),
    scenario("a node has no descriptors, and some again", starve_one),
];

/// Of two looks of the balancer, within which traffic is even again.
const TWO_LOOKS: Duration = Duration::from_secs(1);

fn restart_each(lab: &mut Lab) -> usize {
    for node in 1..=3 {
        lab.stop_node(node);
        lab.start_node(node);
        settle();
    }
    0
}

fn reload_each(lab: &mut Lab) -> usize {
    for round in 1..=10 {
        for node in 1..=3 {
            lab.write_config(node, round * 10);
            lab.signal_node(node, Signal::Hangup);
            eventually("the reload is told", Duration::from_secs(5), || {
                lab.log(node).matches("the new configuration is in use").count() >= round
            });
        }
    }
    0
}

fn replace_each(lab: &mut Lab) -> usize {
    for node in 1..=3 {
        lab.replace_node(node);
    }
    0
}

fn add_one(lab: &mut Lab) -> usize {
    lab.start_node(4);
    thread::sleep(TWO_LOOKS);
    assert_even(lab, 4);
    0
}

fn take_one_away(lab: &mut Lab) -> usize {
    lab.stop_node(2);
    0
}

fn kill_one(lab: &mut Lab) -> usize {
    lab.kill_node(2);
    thread::sleep(Duration::from_secs(2));
    lab.start_node(2);
    thread::sleep(TWO_LOOKS);
    assert_even(lab, 3);
    0
}

/// Every client waits for an answer when a node dies: what may fail is what that node was asked.
fn kill_one_in_the_midst(lab: &mut Lab) -> usize {
    let gate = Gate::new();
    let held = lab.answer_with(Some(&gate));
    eventually("every client waits", Duration::from_secs(2), || {
        held.all().iter().sum::<u64>() == CLIENTS as u64
    });
    let on_the_node = held.all()[1];
    assert!(on_the_node > 0, "{:?}", held.all());
    lab.kill_node(2);
    // The kernel needs some milliseconds to close the connections of a killed process whose reads were in flight on a ring.
    wait_until_closed(2);
    lab.answer_with(None);
    gate.open();
    thread::sleep(Duration::from_secs(2));
    usize::try_from(on_the_node).unwrap()
}

fn freeze_one(lab: &mut Lab) -> usize {
    lab.signal_node(2, Signal::Stop);
    thread::sleep(Duration::from_secs(4));
    lab.signal_node(2, Signal::Continue);
    settle();
    0
}

fn unplug_one(_lab: &mut Lab) -> usize {
    set_link(2, false);
    thread::sleep(Duration::from_secs(4));
    set_link(2, true);
    settle();
    0
}

fn starve_one(lab: &mut Lab) -> usize {
    lab.starve_node(2, true);
    thread::sleep(Duration::from_secs(4));
    lab.starve_node(2, false);
    settle();
    0
}

/// Every one of so many nodes gets its share. nginx gives by its own measure, and is not judged.
fn assert_even(lab: &Lab, nodes: usize) {
    if is_nginx() {
        return;
    }
    let before = lab.counts();
    thread::sleep(Duration::from_secs(1));
    let after = lab.counts();
    let came: Vec<u64> = (0..nodes).map(|node| after[node] - before[node]).collect();
    let share = came.iter().sum::<u64>() / nodes as u64;
    let is_even = came.iter().all(|count| count.abs_diff(share) * 10 <= share);
    assert!(share > 100 && is_even, "uneven: {came:?}");
}

impl Scenario {
    /// Runs it and prints a line; true when no more requests failed than may.
    pub fn run(&self) -> bool {
        if self.only_haproxy && is_nginx() {
            return true;
        }
        let requests = std::env::var("SHOAL_CLUSTER_REQUESTS").ok();
        let at_least = requests.and_then(|text| text.parse().ok()).unwrap_or(10_000);
        let mut lab = Lab::start(self.setting);
        let seen_before = lab.seen();
        let began = Instant::now();
        let mut allowed = 0;
        let load = Load::during(at_least, |_| {
            // Some load on the unharmed cluster, then the harm.
            thread::sleep(Duration::from_millis(500));
            allowed = (self.act)(&mut lab);
        });
        let took = began.elapsed();
        let (made, failures) = (load.made.load(Ordering::Relaxed), load.failures());
        println!(
            "{:<44} {made:>9} {:>7} {allowed:>7} {:>8.0}  {} ms",
            self.name,
            failures.len(),
            made as f64 / took.as_secs_f64(),
            load.longest_ms.load(Ordering::Relaxed),
        );
        for failure in failures.iter().take(5) {
            println!("    {failure}");
        }
        let seen = (lab.seen() - seen_before) as u64;
        assert!(
            seen + failures.len() as u64 >= made,
            "answers came from nowhere: {seen} of {made}"
        );
        failures.len() <= allowed
    }
}

/// Every request is counted once: the nodes' counters, added up by Prometheus, are the number that the clients sent.
pub fn count_is_whole() -> bool {
    let lab = Lab::start(Setting { nodes: 3, retries: true });
    let prometheus = Prometheus::start(lab.folder(), 3);
    let load = Load::during(10_000, |_| {});
    let made = load.made.load(Ordering::Relaxed) + lab.probes();
    let counted = prometheus.settled_sum();
    println!("{:<44} {made:>9} requests, {counted} counted", "the nodes' counters are added up");
    counted == made && load.failures().is_empty()
}
