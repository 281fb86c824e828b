//! `Admission`: how many client connections are open, in all and per address, counted over all cores.
//!
//! Atomics only, touched when a connection comes or goes. Addresses are counted in two rows of slots that a secret seed
//! spreads them over; an address is full when both of its slots are. So memory is fixed, nothing is locked, and two
//! addresses that share one slot do not disturb each other.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Slots of one row, as many as 16 bits name: of 10,000 busy addresses one in 50 shares both of its slots with others.
const SLOTS: usize = 1 << 16;

/// The counts; cheap to clone.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    open: AtomicU32,
    open_max: u32,
    per_address_max: u32,
    /// Empty when addresses are not counted.
    rows: [Box<[AtomicU32]>; 2],
    seed: RandomState,
}

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `connections_max` are open.
    Full,
    /// `connections_per_address_max` are open from there.
    AddressFull,
}

/// One open connection; dropping it gives its place back.
#[derive(Debug)]
pub struct Ticket {
    counts: Arc<Counts>,
    slots: Option<[usize; 2]>,
}

impl Admission {
    /// `None` when nothing is limited: then nothing is counted either.
    pub fn new(open_max: Option<u32>, per_address_max: Option<u32>) -> Option<Admission> {
        if open_max.is_none() && per_address_max.is_none() {
            return None;
        }
        let slots = if per_address_max.is_some() { SLOTS } else { 0 };
        let row = || (0..slots).map(|_| AtomicU32::new(0)).collect();
        Some(Admission(Arc::new(Counts {
            open: AtomicU32::new(0),
            open_max: open_max.unwrap_or(u32::MAX),
            per_address_max: per_address_max.unwrap_or(u32::MAX),
            rows: [row(), row()],
            seed: RandomState::new(),
        })))
    }

    /// A place for a connection from this address.
    ///
    /// # Errors
    /// Which bound has been reached.
    pub fn enter(&self, address: IpAddr) -> Result<Ticket, Refusal> {
        let counts = &self.0;
        // Taken first and given back by the ticket: a count never exceeds its bound, even for a moment of two cores.
        if counts.open.fetch_add(1, Ordering::Relaxed) >= counts.open_max {
            counts.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::Full);
        }
        let mut ticket = Ticket { counts: counts.clone(), slots: None };
        let slots = counts.slots_of(address);
        if let Some([one, two]) = slots {
            let before_one = counts.rows[0][one].fetch_add(1, Ordering::Relaxed);
            let before_two = counts.rows[1][two].fetch_add(1, Ordering::Relaxed);
            ticket.slots = slots;
            if before_one.min(before_two) >= counts.per_address_max {
                return Err(Refusal::AddressFull);
            }
        }
        Ok(ticket)
    }

    /// Connections that are open now.
    pub fn open(&self) -> u32 {
        self.0.open.load(Ordering::Relaxed)
    }
}

impl Counts {
    fn slots_of(&self, address: IpAddr) -> Option<[usize; 2]> {
        if self.rows[0].is_empty() {
            return None;
        }
        // Who has an IPv6 address has a network of 64 bits.
        let who = match address.to_canonical() {
            IpAddr::V4(four) => u64::from(four.to_bits()),
            IpAddr::V6(six) => (six.to_bits() >> 64) as u64 | 1 << 63,
        };
        let [a, b, c, d, ..] = self.seed.hash_one(who).to_le_bytes();
        Some([u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])].map(usize::from))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
        if let Some([one, two]) = self.slots {
            self.counts.rows[0][one].fetch_sub(1, Ordering::Relaxed);
            self.counts.rows[1][two].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_is_counted_without_a_limit() {
        assert!(Admission::new(None, None).is_none());
    }

    #[test]
    fn a_place_comes_free_when_its_connection_ends() {
        let admission = Admission::new(Some(2), None).unwrap();
        let first = admission.enter(ip("10.0.0.1")).unwrap();
        let _second = admission.enter(ip("10.0.0.2")).unwrap();
        assert_eq!(admission.enter(ip("10.0.0.3")).err(), Some(Refusal::Full));
        assert_eq!(admission.open(), 2);
        drop(first);
        assert!(admission.enter(ip("10.0.0.3")).is_ok());
    }

    #[test]
    fn an_address_at_its_bound_leaves_room_for_others() {
        let admission = Admission::new(None, Some(3)).unwrap();
        let kept: Vec<_> = (0..3).map(|_| admission.enter(ip("10.0.0.1")).unwrap()).collect();
        assert_eq!(admission.enter(ip("10.0.0.1")).err(), Some(Refusal::AddressFull));
        assert_eq!(admission.enter(ip("::ffff:10.0.0.1")).err(), Some(Refusal::AddressFull));
        let _other = admission.enter(ip("10.0.0.2")).unwrap();
        assert_eq!(admission.open(), 4, "the refused ones left nothing behind");
        drop(kept);
        assert!(admission.enter(ip("10.0.0.1")).is_ok());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_client() {
        let admission = Admission::new(None, Some(1)).unwrap();
        let _first = admission.enter(ip("2001:db8:0:1::1")).unwrap();
        assert!(admission.enter(ip("2001:db8:0:1:ffff::2")).is_err());
        assert!(admission.enter(ip("2001:db8:0:2::1")).is_ok());
    }
}
