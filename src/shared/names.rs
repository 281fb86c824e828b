//! Host names on their way to addresses: what a core looks up, and the table it finds most names in.
//!
//! A core's [`HostLookup`] reads the resolver's table, which is published whenever an answer changes; only
//! a name that is not in it is asked for. The core needs no clock for that: what is in the table may be
//! used, because the resolver renews names that are in use and takes out the others when they expire.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::published::{Published, Reader};
use super::question::{Answer, Question, Unanswered};

/// The addresses of one host, never empty. IPv4 stands before IPv6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    list: Arc<[IpAddr]>,
    /// Where to begin, so that new connections spread over the addresses while an answer is reused.
    turn: usize,
}

/// Why a host has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// The name servers say that there is no such name, or no address for it; or it is no host name.
    NoSuchHost,
    /// No name server answered in time.
    Timeout,
    /// The name servers answered with a failure, or could not be reached.
    Failed,
    /// Too many lookups are waiting already.
    Overloaded,
}

/// One answer of the resolver.
pub type LookupResult = Result<Addresses, LookupError>;

/// One host of a service that was found by DNS, `scheme://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceHost {
    pub scheme: Arc<str>,
    /// As the name server gave it, so mostly with a dot at the end.
    pub host: Arc<str>,
    pub port: u16,
}

impl ServiceHost {
    /// The name without the dot at its end.
    pub fn name(&self) -> &str {
        self.host.trim_end_matches('.')
    }

    /// `scheme://host:port`.
    pub fn origin(&self) -> Box<str> {
        format!("{}://{}:{}", self.scheme, self.name(), self.port).into()
    }
}

/// All names whose addresses may be used without asking.
#[derive(Clone, Debug, Default)]
pub struct NameTable(pub HashMap<Box<str>, KnownName>);

/// A row of the table.
#[derive(Clone, Debug)]
pub struct KnownName {
    pub addresses: Addresses,
    /// Set by cores that use the row, cleared by the resolver: a name nobody uses is not renewed.
    pub used: Arc<AtomicBool>,
}

/// The way to the resolver, for whoever makes the cores' [`HostLookup`]s.
#[derive(Clone)]
pub struct Names {
    table: Published<NameTable>,
    questions: Question<Box<str>, LookupResult>,
}

/// One core's way from names to addresses.
pub struct HostLookup {
    table: Reader<NameTable>,
    questions: Question<Box<str>, LookupResult>,
    turn: usize,
}

/// What a look into the table gave.
pub enum Looked {
    Known(Addresses),
    /// Not in the table: the answer is on its way. Await it with [`LookingUp::addresses`].
    Asked(LookingUp),
}

/// A name that the resolver was asked for.
pub struct LookingUp {
    answer: Result<Answer<LookupResult>, Unanswered>,
    turn: usize,
}

// === impl Addresses ===

impl Addresses {
    /// `None` when there are none. Sorts IPv4 first and keeps the name server's order otherwise: it is the
    /// family that works nearly everywhere, and dialing falls through to the next address.
    pub fn new(mut list: Vec<IpAddr>) -> Option<Self> {
        list.sort_by_key(IpAddr::is_ipv6);
        (!list.is_empty()).then(|| Self { list: list.into(), turn: 0 })
    }

    /// What to dial, best first; in each family the list begins one further at each lookup.
    pub fn sockets(&self, port: u16) -> impl Iterator<Item = SocketAddr> + '_ {
        let (v4, v6) = self.list.split_at(self.list.partition_point(IpAddr::is_ipv4));
        let ips = rotated(v4, self.turn).chain(rotated(v6, self.turn));
        ips.map(move |ip| SocketAddr::new(*ip, port))
    }

    /// Whether both hold the same addresses, in whatever order.
    pub fn is_same_set(&self, other: &Self) -> bool {
        let sorted = |addresses: &Self| {
            let mut list = addresses.list.to_vec();
            list.sort_unstable();
            list
        };
        sorted(self) == sorted(other)
    }

    fn at_turn(&self, turn: usize) -> Self {
        Self { list: Arc::clone(&self.list), turn }
    }
}

fn rotated(ips: &[IpAddr], turn: usize) -> impl Iterator<Item = &IpAddr> {
    let (before, from) = ips.split_at(turn.checked_rem(ips.len()).unwrap_or(0));
    from.iter().chain(before)
}

// === impl Names ===

impl Names {
    pub fn new(table: Published<NameTable>, questions: Question<Box<str>, LookupResult>) -> Self {
        Self { table, questions }
    }

    /// A lookup for one core.
    pub fn lookup(&self) -> HostLookup {
        HostLookup { table: self.table.reader(), questions: self.questions.clone(), turn: 0 }
    }
}

// === impl HostLookup ===

impl HostLookup {
    /// The addresses of `host`, which is a name as the configuration has it, not a literal address.
    /// Known names are found without waiting for anyone.
    pub fn look(&mut self, host: &str) -> Looked {
        self.turn = self.turn.wrapping_add(1);
        let Some(known) = self.table.get().0.get(host) else {
            let answer = self.questions.ask(host.into());
            return Looked::Asked(LookingUp { answer, turn: self.turn });
        };
        // A plain read first: the line is then shared, and written by one core in each renewal.
        if !known.used.load(Ordering::Relaxed) {
            known.used.store(true, Ordering::Relaxed);
        }
        Looked::Known(known.addresses.at_turn(self.turn))
    }
}

// === impl Looked, LookingUp ===

impl Looked {
    /// The addresses, at once or after the resolver's answer.
    pub async fn addresses(self) -> LookupResult {
        match self {
            Self::Known(addresses) => Ok(addresses),
            Self::Asked(asked) => asked.addresses().await,
        }
    }
}

impl LookingUp {
    pub async fn addresses(self) -> LookupResult {
        let addresses = self.answer?.await??;
        Ok(addresses.at_turn(self.turn))
    }
}

// === impl LookupError ===

impl fmt::Display for LookupError {
    /// The words of Go's resolver, as they end up in the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchHost => "no such host",
            Self::Timeout => "i/o timeout",
            Self::Failed => "server misbehaving",
            Self::Overloaded => "too many lookups are waiting",
        })
    }
}

impl std::error::Error for LookupError {}

impl From<Unanswered> for LookupError {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Overloaded => Self::Overloaded,
            Unanswered::Dropped => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::question::question;
    use super::*;

    fn addresses(list: &[&str]) -> Addresses {
        let parsed = list.iter().map(|ip| ip.parse().expect("an address"));
        Addresses::new(parsed.collect()).expect("not empty")
    }

    fn dialed(addresses: &Addresses) -> Vec<String> {
        addresses.sockets(80).map(|socket| socket.to_string()).collect()
    }

    #[test]
    fn ipv4_is_dialed_before_ipv6_in_the_name_servers_order() {
        let mixed = addresses(&["::1", "127.0.0.2", "127.0.0.1"]);
        assert_eq!(dialed(&mixed), ["127.0.0.2:80", "127.0.0.1:80", "[::1]:80"]);
        assert!(Addresses::new(Vec::new()).is_none());
    }

    #[test]
    fn each_lookup_begins_with_the_next_address_of_a_family() {
        let all = addresses(&["10.0.0.1", "10.0.0.2", "::1"]);
        assert_eq!(dialed(&all.at_turn(1)), ["10.0.0.2:80", "10.0.0.1:80", "[::1]:80"]);
        assert_eq!(dialed(&all.at_turn(usize::MAX)).len(), 3);
        assert_eq!(dialed(&addresses(&["::1"]).at_turn(7)), ["[::1]:80"]);
    }

    #[test]
    fn a_name_in_the_table_is_found_without_a_question_and_marked_as_used() {
        let table = Published::<NameTable>::default();
        let (ask, _questions) = question(0);
        let mut lookup = Names::new(table.clone(), ask).lookup();
        let used = Arc::new(AtomicBool::new(false));
        let known = KnownName { addresses: addresses(&["10.0.0.1"]), used: Arc::clone(&used) };
        table.publish(NameTable(HashMap::from([("db".into(), known)])));

        assert!(
            matches!(lookup.look("db"), Looked::Known(found) if dialed(&found) == ["10.0.0.1:80"])
        );
        assert!(used.load(Ordering::Relaxed));
        let Looked::Asked(asked) = lookup.look("other") else { panic!("not in the table") };
        assert_eq!(asked.answer.err(), Some(Unanswered::Overloaded));
    }
}
