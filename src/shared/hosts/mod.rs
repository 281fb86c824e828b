//! `HostGroup`: the hosts of a backend with what is known of each, over all cores: who is ejected, down or coming back.
//!
//! Backends with the same hosts and the same rules are one group. Who picks a host reads, who ends a call notes; nobody
//! waits for anybody.

pub mod health;
pub mod outlier;
pub mod share;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::names::ServiceHost;
use health::{Checks, Health};
use outlier::Outlier;
use share::WHOLE;

/// How a group treats its hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupRules {
    /// `None`: calls tell nothing.
    pub outliers: Option<outlier::Rules>,
    /// How long a host's share grows after it was down.
    pub health_return_ms: u64,
    /// With fewer usable hosts, in percent, all are used; they are in any case when none is usable.
    pub panic_percent: u64,
}

/// Hosts that are picked from.
pub struct HostGroup {
    rules: GroupRules,
    /// `None`: nobody checks.
    checks: Option<Arc<Checks>>,
    roster: ArcSwap<Roster>,
    /// When the last host that was ejected has its whole share again.
    calm_at_ms: AtomicU64,
    /// Somebody decides on an ejection; whoever comes meanwhile leaves it at that.
    is_deciding: AtomicBool,
}

/// Who is in a group.
struct Roster {
    /// The list of service discovery that it was made of.
    list: Option<Arc<Vec<ServiceHost>>>,
    /// For each place of the backend's list the member; one that stands there twice is one member.
    seats: Vec<usize>,
    members: Vec<Arc<Member>>,
}

/// One host of a group.
pub struct Member {
    origin: Box<str>,
    outlier: Outlier,
    health: Option<Arc<Health>>,
    ejections: AtomicU64,
    /// What [`Member::take_news`] has said already.
    told_ejections: AtomicU64,
    told_ejected: AtomicBool,
}

/// What is new of a member since somebody asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// How often it was ejected.
    pub ejections: u64,
    /// Its ejection is over.
    pub is_back: bool,
}

/// A host that was picked.
pub struct Picked {
    /// Its place in the backend's list.
    pub seat: usize,
    pub member: Arc<Member>,
    /// The host, where service discovery has found it.
    pub found: Option<ServiceHost>,
}

/// How a host is, for those who show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Up,
    /// It gets so many thousandths of its share.
    Returning(u64),
    /// For so many milliseconds more.
    Ejected(u64),
    Down,
}

// === impl State ===

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Returning(_) => "returning",
            State::Ejected(_) => "ejected",
            State::Down => "down",
        }
    }
}

// === impl HostGroup ===

impl HostGroup {
    /// A group of the hosts with these origins, in the order of the backend's list; none, where service discovery keeps the
    /// list.
    pub fn new<'o>(
        rules: GroupRules,
        checks: Option<Arc<Checks>>,
        origins: impl Iterator<Item = &'o str>,
    ) -> HostGroup {
        let roster = Roster::of(origins.map(Box::from), None, &[], checks.as_deref());
        HostGroup {
            rules,
            checks,
            roster: ArcSwap::from_pointee(roster),
            calm_at_ms: AtomicU64::new(0),
            is_deciding: AtomicBool::new(false),
        }
    }

    /// Goes over to the list of service discovery, if it is another one. What is known of hosts that stay is kept.
    pub fn follow(&self, list: &Arc<Vec<ServiceHost>>) {
        let before = self.roster.load();
        if before.list.as_ref().is_some_and(|known| Arc::ptr_eq(known, list)) {
            return;
        }
        let origins = list.iter().map(ServiceHost::origin);
        let (list, checks) = (Some(list.clone()), self.checks.as_deref());
        self.roster.store(Arc::new(Roster::of(origins, list, &before.members, checks)));
    }

    /// Picks a host: by its share of the calls, and none that is ejected or down, unless too few would be left.
    /// `is_tried` tells of origins that do not count. `draw` gives numbers at random.
    pub fn pick(
        &self,
        now_ms: u64,
        draw: impl FnOnce() -> u64,
        is_tried: impl Fn(&str) -> bool,
    ) -> Option<Picked> {
        let roster = self.roster.load();
        let share = self.shares(&roster, now_ms);
        let weight = |seat: usize| {
            let member = &roster.members[roster.seats[seat]];
            if is_tried(&member.origin) { 0 } else { share(member) }
        };
        let sum: u64 = (0..roster.seats.len()).map(weight).sum();
        if sum == 0 {
            return None;
        }
        let mut left = draw() % sum;
        let mut last = None;
        for seat in 0..roster.seats.len() {
            let weight = weight(seat);
            if weight > left {
                return Some(roster.picked(seat));
            }
            left -= weight;
            // Another core may have changed shares since they were added up.
            last = if weight > 0 { Some(seat) } else { last };
        }
        last.map(|seat| roster.picked(seat))
    }

    /// The share of each member at this moment.
    fn shares(&self, roster: &Roster, now_ms: u64) -> impl Fn(&Member) -> u64 {
        let is_calm = self.calm_at_ms.load(Ordering::Acquire) <= now_ms
            && self.checks.as_ref().is_none_or(|checks| checks.are_calm(now_ms));
        let gives_all = is_calm || {
            let usable = roster.members.iter().filter(|member| self.share(member, now_ms) > 0);
            let (usable, all) = (usable.count() as u64, roster.members.len() as u64);
            usable == 0 || usable * 100 < all * self.rules.panic_percent
        };
        move |member| if gives_all { WHOLE } else { self.share(member, now_ms) }
    }

    fn share(&self, member: &Member, now_ms: u64) -> u64 {
        let by_calls =
            self.rules.outliers.as_ref().map_or(WHOLE, |rules| member.outlier.share(rules, now_ms));
        let by_checks = member
            .health
            .as_ref()
            .map_or(WHOLE, |health| health.share(self.rules.health_return_ms, now_ms));
        by_calls.min(by_checks)
    }

    /// Whether this status of an answer counts as a failure.
    pub fn is_failure(&self, status: u16) -> bool {
        let outliers = self.rules.outliers.as_ref();
        outliers.is_some_and(|rules| rules.statuses.binary_search(&status).is_ok())
    }

    /// Notes how a call to a member ended, and ejects it where that is due and enough others are left.
    pub fn note(&self, member: &Member, is_failure: bool, now_ms: u64) {
        let Some(rules) = &self.rules.outliers else { return };
        if !member.outlier.note(rules, is_failure, now_ms)
            || self.is_deciding.swap(true, Ordering::Acquire)
        {
            return;
        }
        let roster = self.roster.load();
        let is_ejected = |member: &&Arc<Member>| member.outlier.is_ejected(now_ms);
        let ejected = roster.members.iter().filter(is_ejected).count();
        let is_one_of_us =
            roster.members.iter().any(|ours| std::ptr::eq(Arc::as_ptr(ours), member));
        if is_one_of_us
            && !member.outlier.is_ejected(now_ms)
            && ejected < rules.ejected_max(roster.members.len())
        {
            let length_ms = member.outlier.eject(rules, now_ms);
            member.ejections.fetch_add(1, Ordering::Relaxed);
            self.calm_at_ms.fetch_max(now_ms + length_ms + rules.return_ms, Ordering::AcqRel);
        }
        self.is_deciding.store(false, Ordering::Release);
    }

    /// The members with their states.
    pub fn members(&self, now_ms: u64) -> Vec<(Arc<Member>, State)> {
        let members = self.roster.load();
        members.members.iter().map(|member| (member.clone(), self.state(member, now_ms))).collect()
    }

    fn state(&self, member: &Member, now_ms: u64) -> State {
        if member.health.as_ref().is_some_and(|health| health.is_down()) {
            return State::Down;
        }
        match member.outlier.ends_ms().saturating_sub(now_ms) {
            0 => match self.share(member, now_ms) {
                WHOLE => State::Up,
                share => State::Returning(share),
            },
            left_ms => State::Ejected(left_ms),
        }
    }
}

// === impl Roster ===

impl Roster {
    fn of(
        origins: impl Iterator<Item = Box<str>>,
        list: Option<Arc<Vec<ServiceHost>>>,
        known: &[Arc<Member>],
        checks: Option<&Checks>,
    ) -> Roster {
        let mut members: Vec<Arc<Member>> = Vec::new();
        let mut seats = Vec::new();
        for origin in origins {
            let place = members.iter().position(|member| member.origin == origin);
            seats.push(place.unwrap_or(members.len()));
            if place.is_none() {
                let known = known.iter().find(|member| member.origin == origin).cloned();
                members.push(known.unwrap_or_else(|| Arc::new(Member::new(origin, checks))));
            }
        }
        Roster { list, seats, members }
    }

    fn picked(&self, seat: usize) -> Picked {
        Picked {
            seat,
            member: self.members[self.seats[seat]].clone(),
            found: self.list.as_ref().and_then(|list| list.get(seat)).cloned(),
        }
    }
}

// === impl Member ===

impl Member {
    fn new(origin: Box<str>, checks: Option<&Checks>) -> Member {
        let health = checks.and_then(|checks| checks.of(&origin));
        Member {
            origin,
            outlier: Outlier::new(),
            health,
            ejections: AtomicU64::new(0),
            told_ejections: AtomicU64::new(0),
            told_ejected: AtomicBool::new(false),
        }
    }

    /// `http://host:port`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How often it was ejected.
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// What its checks say; `None`: it is not checked.
    pub fn health(&self) -> Option<&Health> {
        self.health.as_deref()
    }

    /// What has happened since the last call, each thing once.
    pub fn take_news(&self, now_ms: u64) -> News {
        let is_ejected = self.outlier.is_ejected(now_ms);
        let all = self.ejections();
        let ejections = all.saturating_sub(self.told_ejections.swap(all, Ordering::Relaxed));
        let was_ejected = self.told_ejected.swap(is_ejected, Ordering::Relaxed) || ejections > 0;
        News { ejections, is_back: was_ejected && !is_ejected }
    }
}

#[cfg(test)]
mod tests;
