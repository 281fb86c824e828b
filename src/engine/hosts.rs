//! Which host a call goes to: one at random, or one by its share where hosts are watched; and another one after a failure.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use super::Gateway;
use crate::net::clock;
use crate::plan::backend::{BackendPlan, HostPlan, Hosts};
use crate::shared::hosts::{HostGroup, Member};
use crate::shared::names::ServiceHost;
use crate::stage::ids::HostId;
use crate::upstream::{Pool, Target, UpstreamError, Url};

/// Hosts that are tried after the first one, when it could not be connected to.
const OTHER_HOSTS_MAX: usize = 3;

/// The connections for where a call goes, and the credentials that its configuration brings.
pub(super) struct Destination<'p> {
    pub(super) pool: Result<Rc<Pool>, UpstreamError>,
    pub(super) host: Host<'p>,
    pub(super) authority: Rc<str>,
    /// What is known of the host, where it is watched.
    pub(super) member: Option<Arc<Member>>,
}

/// A host of the plan, or one that service discovery has found.
pub(super) enum Host<'p> {
    Planned(&'p HostPlan),
    Found(Box<HostPlan>),
}

impl Deref for Host<'_> {
    type Target = HostPlan;
    fn deref(&self) -> &HostPlan {
        match self {
            Host::Planned(host) => host,
            Host::Found(host) => host,
        }
    }
}

/// A call that left its first host.
pub(super) struct Moved<'p> {
    pub(super) url: Url,
    pub(super) destination: Destination<'p>,
}

/// The hosts that a call has failed at, by their origins.
#[derive(Default)]
pub(super) struct Failed {
    /// Those that could not be connected to since the last attempt that reached one.
    dead: Vec<Box<str>>,
    /// Those of all attempts.
    tried: Vec<Box<str>>,
}

impl Failed {
    /// Notes a host that could not be connected to; false: there were too many.
    pub(super) fn bury(&mut self, host: &HostPlan) -> bool {
        self.dead.push(host.origin.clone());
        self.dead.len() <= OTHER_HOSTS_MAX
    }

    /// Notes the end of an attempt: as many hosts as before may be dead in the next one.
    pub(super) fn end_attempt(&mut self, host: &HostPlan) {
        self.tried.append(&mut self.dead);
        if !self.has(&host.origin) {
            self.tried.push(host.origin.clone());
        }
    }

    fn has(&self, origin: &str) -> bool {
        self.dead.iter().chain(&self.tried).any(|failed| **failed == *origin)
    }
}

impl Gateway {
    /// Where the next call of a backend goes; `None` when no host is known.
    pub(super) fn destination(&self, backend: &BackendPlan) -> Option<Destination<'_>> {
        match &backend.group {
            None => self.any_destination(&backend.hosts),
            Some(group) => self.watched_destination(group, &backend.hosts, &Failed::default()),
        }
    }

    /// A host at random.
    fn any_destination(&self, hosts: &Hosts) -> Option<Destination<'_>> {
        Some(match hosts {
            Hosts::Fixed(hosts) => self.planned(*self.pick(hosts)?),
            Hosts::Discovered(feed) => {
                let mut feeds = self.feeds.borrow_mut();
                let hosts = feeds.get_mut(*feed)?.get();
                self.found(self.pick(hosts)?)
            }
        })
    }

    /// A host by its share, and none of those that have failed.
    fn watched_destination(
        &self,
        group: &HostGroup,
        hosts: &Hosts,
        failed: &Failed,
    ) -> Option<Destination<'_>> {
        if let Hosts::Discovered(feed) = hosts {
            self.follow(group, *feed);
        }
        let now_ms = clock::now().as_ms();
        let draw = || self.next_random();
        let picked = group.pick(now_ms, draw, |origin| failed.has(origin))?;
        let destination = match (hosts, &picked.found) {
            (Hosts::Fixed(hosts), _) => self.planned(*hosts.get(picked.seat)?),
            (Hosts::Discovered(_), found) => self.found(found.as_ref()?),
        };
        Some(Destination { member: Some(picked.member), ..destination })
    }

    /// Has a group go over to what service discovery has found.
    pub(super) fn follow(&self, group: &HostGroup, feed: usize) {
        if let Some(feed) = self.feeds.borrow_mut().get_mut(feed) {
            group.follow(&feed.share());
        }
    }

    fn planned(&self, id: HostId) -> Destination<'_> {
        Destination {
            pool: self.pool_of(id),
            host: Host::Planned(self.plan.host(id)),
            authority: self.hosts[id.index()].authority.clone(),
            member: None,
        }
    }

    fn found(&self, host: &ServiceHost) -> Destination<'_> {
        let (host, upstream) = discovered(host);
        let authority = Rc::from(&*host.authority);
        let pool = self.upstreams.pool(&upstream);
        Destination { pool, host: Host::Found(Box::new(host)), authority, member: None }
    }

    fn pool_of(&self, host: HostId) -> Result<Rc<Pool>, UpstreamError> {
        match (&self.hosts[host.index()].pool, &self.plan.host(host).target) {
            (Some(pool), _) => Ok(pool.clone()),
            (None, Err(why)) => Err(UpstreamError::Scheme(why.clone())),
            (None, Ok(target)) => self.upstreams.pool(target),
        }
    }

    /// A host at random: every host gets its share, however the cores are loaded.
    fn pick<'a, T>(&self, hosts: &'a [T]) -> Option<&'a T> {
        match hosts.len() {
            0 => None,
            1 => hosts.first(),
            count => hosts.get(usize::try_from(self.next_random() % count as u64).unwrap_or(0)),
        }
    }

    /// Where else a call may go that failed at these hosts, the last one of which is `host`.
    pub(super) fn other_host<'p>(
        &'p self,
        backend: &BackendPlan,
        url: &Url,
        host: &HostPlan,
        failed: &Failed,
    ) -> Option<(Box<Moved<'p>>, Rc<Pool>)> {
        let destination = match (&backend.group, &backend.hosts) {
            (Some(group), hosts) => self.watched_destination(group, hosts, failed)?,
            (None, Hosts::Fixed(hosts)) => {
                let is_left = |id: &HostId| !failed.has(&self.plan.host(*id).origin);
                let left: Vec<HostId> = hosts.iter().copied().filter(is_left).collect();
                self.planned(*self.pick(&left)?)
            }
            // The list belongs to service discovery: a few looks at random find another one of it.
            (None, hosts @ Hosts::Discovered(_)) => (0..4 * OTHER_HOSTS_MAX)
                .filter_map(|_| self.any_destination(hosts))
                .find(|destination| !failed.has(&destination.host.origin))?,
        };
        moved(url, host, destination)
    }

    /// Where a call goes that is sent again: another host where there is one, otherwise any.
    pub(super) fn next_host<'p>(
        &'p self,
        backend: &BackendPlan,
        url: &Url,
        host: &HostPlan,
        failed: &Failed,
    ) -> Option<(Box<Moved<'p>>, Rc<Pool>)> {
        let other = self.other_host(backend, url, host, failed);
        other.or_else(|| moved(url, host, self.destination(backend)?))
    }
}

/// The same call at another destination.
fn moved<'p>(
    url: &Url,
    host: &HostPlan,
    destination: Destination<'p>,
) -> Option<(Box<Moved<'p>>, Rc<Pool>)> {
    let pool = destination.pool.as_ref().ok()?.clone();
    let rest = url.target.strip_prefix(host.path_prefix.as_bytes())?;
    let to = &destination.host;
    let url = Url {
        is_tls: is_https(to),
        authority: destination.authority.clone(),
        target: [to.path_prefix.as_bytes(), rest].concat(),
    };
    Some((Box::new(Moved { url, destination }), pool))
}

/// A host that service discovery has found, as the plan would name it.
fn discovered(host: &ServiceHost) -> (HostPlan, Target) {
    let is_tls = host.scheme.eq_ignore_ascii_case("https");
    let target = Target::new(is_tls, host.name(), host.port);
    let plan = HostPlan {
        target: Ok(target.clone()),
        origin: host.origin(),
        authority: format!("{}:{}", host.name(), host.port).into(),
        path_prefix: "".into(),
        authorization: None,
    };
    (plan, target)
}

pub(super) fn is_https(host: &HostPlan) -> bool {
    host.origin.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}
