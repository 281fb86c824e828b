use std::collections::BTreeMap;

use proptest::prelude::*;

use super::health::{Change, Thresholds};
use super::outlier::Rules;
use super::*;

const ORIGINS: [&str; 4] = ["http://a", "http://b", "http://c", "http://d"];
const ONE: Thresholds = Thresholds { healthy: 1, unhealthy: 1 };

fn rules() -> Rules {
    Rules { return_ms: 0, ..outlier::tests::rules() }
}

fn ejecting(rules: Rules) -> GroupRules {
    GroupRules { outliers: Some(rules), ..GroupRules::default() }
}

fn group(rules: GroupRules, checks: Option<&Arc<Checks>>, hosts: usize) -> HostGroup {
    HostGroup::new(rules, checks.cloned(), ORIGINS[..hosts].iter().copied())
}

/// How often each place is picked over evenly spread draws.
fn picks(group: &HostGroup, now_ms: u64) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for draw in 0..4000 {
        if let Some(picked) = group.pick(now_ms, || draw, |_| false) {
            *counts.entry(picked.seat).or_default() += 1;
        }
    }
    counts
}

fn member(group: &HostGroup, place: usize) -> Arc<Member> {
    group.members(0)[place].0.clone()
}

fn fail(group: &HostGroup, place: usize, times: usize, now_ms: u64) {
    let member = member(group, place);
    (0..times).for_each(|_| group.note(&member, true, now_ms));
}

#[test]
fn an_ejected_host_is_left_out_until_its_time_is_over() {
    let group = group(ejecting(rules()), None, 4);
    fail(&group, 1, 3, 10);
    assert_eq!(group.members(10)[1].1, State::Ejected(1000));
    let counts = picks(&group, 500);
    assert!(!counts.contains_key(&1) && counts.len() == 3, "{counts:?}");
    assert_eq!(picks(&group, 1010), [(0, 1000), (1, 1000), (2, 1000), (3, 1000)].into());
    let member = member(&group, 1);
    assert_eq!(member.take_news(20), News { ejections: 1, is_back: false });
    assert_eq!(member.take_news(30), News::default());
    assert_eq!(member.take_news(1010), News { ejections: 0, is_back: true });
    fail(&group, 1, 3, 1020);
    assert_eq!(member.take_news(9000), News { ejections: 1, is_back: true }, "nobody looked");
}

#[test]
fn a_host_comes_back_slowly() {
    let group = group(ejecting(Rules { return_ms: 1000, ..rules() }), None, 2);
    fail(&group, 0, 3, 10);
    let share = |now_ms| *picks(&group, now_ms).get(&0).unwrap_or(&0);
    assert_eq!((share(1009), share(2010)), (0, 2000));
    let shares: Vec<usize> = (0..=10).map(|step| share(1010 + step * 100)).collect();
    assert!(shares.is_sorted() && shares[0] > 300 && shares[0] < 500, "{shares:?}");
    assert_eq!(group.members(1510)[0].1, State::Returning(550));
}

#[test]
fn at_most_the_allowed_share_is_ejected() {
    let group = group(ejecting(rules()), None, 4);
    (0..4).for_each(|place| fail(&group, place, 10, 10));
    assert_eq!(picks(&group, 11).keys().copied().collect::<Vec<_>>(), [2, 3]);
    let alone = HostGroup::new(ejecting(rules()), None, ["http://a"].into_iter());
    fail(&alone, 0, 100, 10);
    assert_eq!(picks(&alone, 11).len(), 1, "the only host is never ejected");
}

#[test]
fn a_host_that_is_down_gets_nothing_and_when_all_are_down_all_get_their_share() {
    let checks = Arc::new(Checks::new());
    let group = group(GroupRules::default(), Some(&checks), 3);
    for origin in &ORIGINS[..2] {
        assert_eq!(checks.of(origin).unwrap().note(false, ONE, 5), Some(Change::Down));
    }
    checks.look(0);
    assert_eq!(group.members(6)[0].1, State::Down);
    assert_eq!(picks(&group, 6).keys().copied().collect::<Vec<_>>(), [2]);
    checks.of(ORIGINS[2]).unwrap().note(false, ONE, 7);
    checks.look(0);
    assert_eq!(picks(&group, 8).len(), 3, "nobody is left");
    checks.of(ORIGINS[0]).unwrap().note(true, ONE, 9);
    checks.look(0);
    assert_eq!(picks(&group, 10).keys().copied().collect::<Vec<_>>(), [0]);
}

#[test]
fn with_fewer_usable_hosts_than_asked_for_all_are_used() {
    let checks = Arc::new(Checks::new());
    let rules = GroupRules { panic_percent: 50, ..GroupRules::default() };
    let group = group(rules, Some(&checks), 4);
    for (place, used) in [(0, 3), (1, 2), (2, 4)] {
        checks.of(ORIGINS[place]).unwrap().note(false, ONE, 5);
        checks.look(0);
        assert_eq!(picks(&group, 6).len(), used, "{} down", place + 1);
    }
}

#[test]
fn places_that_were_tried_are_not_picked_again() {
    let group =
        HostGroup::new(ejecting(rules()), None, ["http://a", "http://b", "http://a"].into_iter());
    for draw in 0..100 {
        let picked = group.pick(5, || draw, |origin| origin == "http://a").expect("one is left");
        assert_eq!((picked.seat, picked.member.origin()), (1, "http://b"));
    }
    assert!(group.pick(5, || 1, |_| true).is_none());
    assert_eq!(group.members(5).len(), 2, "a host that stands there twice is one");
}

#[test]
fn a_list_that_changes_keeps_what_is_known() {
    let host = |name: &str| ServiceHost { scheme: "http".into(), host: name.into(), port: 80 };
    let checks = Arc::new(Checks::new());
    let group = HostGroup::new(ejecting(rules()), Some(checks.clone()), [].into_iter());
    assert!(group.pick(5, || 0, |_| false).is_none(), "nobody is known");
    group.follow(&Arc::new(vec![host("a."), host("b."), host("a.")]));
    fail(&group, 1, 3, 10);
    let next = Arc::new(vec![host("b."), host("c.")]);
    group.follow(&next);
    group.follow(&next);
    let picked = group.pick(20, || 5, |_| false).expect("c");
    assert_eq!((picked.seat, picked.found), (1, Some(host("c."))));
    assert_eq!(group.members(20)[0].1, State::Ejected(990));
    let checked: Vec<Box<str>> = checks.in_use().into_iter().map(|(origin, _)| origin).collect();
    assert_eq!(checked, ["http://b:80", "http://c:80"].map(Box::<str>::from));
}

proptest! {
    /// Whatever fails in whatever order, also on several hosts at once: the share holds, and somebody is always picked.
    #[test]
    fn never_more_than_the_allowed_share_is_ejected(
        hosts in 1_usize..=4,
        percent in 1_u64..=100,
        steps in prop::collection::vec((0_u64..400, 0_usize..4, any::<bool>(), any::<u64>()), 1..300),
    ) {
        let own = Rules { ejected_percent_max: percent, ..rules() };
        let most = own.ejected_max(hosts);
        let group = group(ejecting(own), None, hosts);
        let mut now_ms = 1;
        for (pause_ms, place, is_failure, draw) in steps {
            now_ms += pause_ms;
            let member = member(&group, place % hosts);
            group.note(&member, is_failure, now_ms);
            let states = group.members(now_ms);
            let ejected = states.iter().filter(|(_, state)| matches!(state, State::Ejected(_)));
            prop_assert!(ejected.count() <= most);
            let picked = group.pick(now_ms, || draw, |_| false).expect("somebody");
            prop_assert!(matches!(states[picked.seat].1, State::Up));
        }
    }
}

#[test]
fn cores_that_eject_at_the_same_time_keep_to_the_share() {
    for _ in 0..50 {
        let group = Arc::new(group(ejecting(rules()), None, 4));
        let cores: Vec<_> = (0..4)
            .map(|place| {
                let group = group.clone();
                std::thread::spawn(move || fail(&group, place, 50, 10))
            })
            .collect();
        cores.into_iter().for_each(|core| core.join().expect("it lives"));
        let ejected = group.members(10).into_iter().filter(|(_, state)| *state != State::Up);
        assert!((1..=2).contains(&ejected.count()));
    }
}
