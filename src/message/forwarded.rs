//! Whose address a request is said to come from: the peer's, or one that a trusted proxy wrote into a header.
//!
//! The rules are those of gin's `ClientIP` (specification 2.6). Unless told otherwise every proxy is trusted, so that
//! the leftmost address of `X-Forwarded-For` counts, which any client can write.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use smallvec::SmallVec;

const APP_ENGINE_HEADER: &str = "X-Appengine-Remote-Addr";

/// A block of addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl Network {
    /// Reads `address/bits`, or an address alone. An IPv4 address written as an IPv6 one is an IPv4 one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix_bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse::<IpAddr>().ok()?, prefix_of(bits)?),
            None => match text.parse::<IpAddr>().ok()? {
                // Go appends `/32` to the text here, and so trusts a block of IPv6 instead of one address.
                IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
                    (IpAddr::V6(address), 32)
                }
                IpAddr::V6(address) => (IpAddr::V6(address), 128),
                IpAddr::V4(address) => (IpAddr::V4(address), 32),
            },
        };
        match address {
            IpAddr::V4(_) => (prefix_bits <= 32).then_some(Self { address, prefix_bits }),
            IpAddr::V6(_) if prefix_bits > 128 => None,
            IpAddr::V6(address) => Some(Self::within_v6(address, prefix_bits)),
        }
    }

    fn within_v6(address: Ipv6Addr, prefix_bits: u32) -> Self {
        let masked = Ipv6Addr::from_bits(address.to_bits() & mask_v6(prefix_bits));
        match masked.to_ipv4_mapped() {
            Some(address) => {
                Self { address: IpAddr::V4(address), prefix_bits: prefix_bits.saturating_sub(96) }
            }
            None => Self { address: IpAddr::V6(masked), prefix_bits },
        }
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix_bits).unwrap_or(0);
                (network.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()) & mask_v6(self.prefix_bits) == 0
            }
            _ => false,
        }
    }

    fn is_everything(self) -> bool {
        self.prefix_bits == 0
    }
}

fn mask_v6(prefix_bits: u32) -> u128 {
    u128::MAX.checked_shl(128 - prefix_bits).unwrap_or(0)
}

fn prefix_of(bits: &str) -> Option<u32> {
    // `parse` alone would take a sign.
    (bits.bytes().all(|byte| byte.is_ascii_digit())).then(|| bits.parse().ok())?
}

/// The addresses that may write the header of a client's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trusted {
    Everyone,
    Networks(Box<[Network]>),
}

impl Trusted {
    /// Reads `trusted_proxies`. An empty list trusts everyone. Reading stops silently at the first entry that is no
    /// address, as the original does; [`first_malformed`] tells which one that is.
    #[must_use]
    pub fn parse(list: &[String]) -> Self {
        if list.is_empty() {
            return Self::Everyone;
        }
        let networks: Box<[Network]> =
            list.iter().map_while(|entry| Network::parse(entry)).collect();
        let everything = |wanted: fn(&IpAddr) -> bool| {
            networks.iter().any(|network| network.is_everything() && wanted(&network.address))
        };
        if everything(IpAddr::is_ipv4) && everything(IpAddr::is_ipv6) {
            Self::Everyone
        } else {
            Self::Networks(networks)
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        match self {
            Self::Everyone => true,
            Self::Networks(networks) => networks.iter().any(|network| network.contains(address)),
        }
    }
}

/// The entry of `trusted_proxies` at which reading ends; it and all behind it count for nothing.
#[must_use]
pub fn first_malformed(list: &[String]) -> Option<&str> {
    list.iter().map(String::as_str).find(|entry| Network::parse(entry).is_none())
}

/// How a client's address is found.
#[derive(Clone, Debug)]
pub struct ClientIpRules {
    pub forwarded_by_client_ip: bool,
    /// Asked in this order.
    pub headers: Box<[Box<str>]>,
    pub trusted: Trusted,
    /// Believe `X-Appengine-Remote-Addr`, whatever it holds.
    pub app_engine: bool,
}

impl Default for ClientIpRules {
    fn default() -> Self {
        Self {
            forwarded_by_client_ip: true,
            headers: ["X-Forwarded-For", "X-Real-Ip"].map(Into::into).into(),
            trusted: Trusted::Everyone,
            app_engine: false,
        }
    }
}

/// A client's address: as a header has it, or the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientIp<'a> {
    Header(&'a str),
    Peer(IpAddr),
}

impl fmt::Display for ClientIp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(text) => f.write_str(text),
            Self::Peer(address) => address.to_canonical().fmt(f),
        }
    }
}

impl ClientIpRules {
    /// Finds the address of the client behind `peer`; `header` gives all values of a header in their order.
    pub fn client_ip<'a, I>(&'a self, peer: IpAddr, header: impl Fn(&'a str) -> I) -> ClientIp<'a>
    where
        I: Iterator<Item = &'a [u8]>,
    {
        if self.app_engine {
            let first =
                header(APP_ENGINE_HEADER).next().and_then(|value| std::str::from_utf8(value).ok());
            if let Some(address) = first.filter(|value| !value.is_empty()) {
                return ClientIp::Header(address);
            }
        }
        if self.forwarded_by_client_ip && self.trusted.contains(peer) {
            let found = self.headers.iter().find_map(|name| {
                let mut values = header(name);
                let first = values.next()?;
                self.address_in(std::iter::once(first).chain(values))
            });
            if let Some(address) = found {
                return ClientIp::Header(address);
            }
        }
        ClientIp::Peer(peer)
    }

    /// Several headers of a name are one list. It is read from its end, as each proxy appends: the first address
    /// that is not trusted counts, or the leftmost. A part that is no address spoils the whole list.
    #[inline(never)]
    fn address_in<'a>(&self, values: impl Iterator<Item = &'a [u8]>) -> Option<&'a str> {
        let values: SmallVec<[&[u8]; 4]> = values.collect();
        let mut leftmost = None;
        for item in values.iter().rev().flat_map(|value| value.rsplit(|&byte| byte == b',')) {
            let text = std::str::from_utf8(item).ok()?.trim();
            let address = text.parse::<IpAddr>().ok()?;
            leftmost = Some(text);
            if !self.trusted.contains(address) {
                break;
            }
        }
        leftmost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "127.0.0.1";

    fn rules(trusted: &[&str]) -> ClientIpRules {
        let list: Vec<String> = trusted.iter().map(ToString::to_string).collect();
        ClientIpRules { trusted: Trusted::parse(&list), ..ClientIpRules::default() }
    }

    fn found(rules: &ClientIpRules, peer: &str, headers: &[(&str, &str)]) -> String {
        let values = |name: &str| -> std::vec::IntoIter<&[u8]> {
            let same = headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
            same.map(|(_, value)| value.as_bytes()).collect::<Vec<_>>().into_iter()
        };
        let owned = rules.clone();
        owned.client_ip(peer.parse().unwrap(), values).to_string()
    }

    #[test]
    fn by_default_the_leftmost_address_of_the_first_header_counts() {
        let rules = rules(&[]);
        assert_eq!(found(&rules, PEER, &[]), PEER);
        assert_eq!(found(&rules, PEER, &[("X-Forwarded-For", " 10.0.0.1 , 10.0.0.2")]), "10.0.0.1");
        assert_eq!(
            found(&rules, PEER, &[("X-Real-IP", "10.0.0.3"), ("X-Forwarded-For", "10.0.0.1")]),
            "10.0.0.1"
        );
        assert_eq!(
            found(&rules, PEER, &[("X-Forwarded-For", "unknown"), ("X-Real-Ip", "10.0.0.3")]),
            "10.0.0.3"
        );
        assert_eq!(
            found(&rules, PEER, &[("X-Forwarded-For", "10.0.0.1, rubbish, 10.0.0.2")]),
            PEER
        );
        assert_eq!(found(&rules, PEER, &[("X-Forwarded-For", "rubbish, 10.0.0.2")]), PEER);
        assert_eq!(
            found(&rules, PEER, &[("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "2.2.2.2")]),
            "1.1.1.1"
        );
        assert_eq!(
            found(&rules, PEER, &[("X-Forwarded-For", ""), ("X-Forwarded-For", "2.2.2.2")]),
            PEER
        );
        assert_eq!(found(&rules, PEER, &[("X-Forwarded-For", "fe80::1%eth0")]), PEER);
        assert_eq!(found(&rules, PEER, &[("X-Forwarded-For", "2001:DB8::1")]), "2001:DB8::1");
        assert_eq!(found(&rules, PEER, &[("X-Forwarded-For", "1.2.3.4:80")]), PEER);
        assert_eq!(found(&rules, PEER, &[("X-Forwarded-For", "01.2.3.4")]), PEER);
    }

    #[test]
    fn with_trusted_proxies_the_last_untrusted_address_counts() {
        let rules = rules(&["127.0.0.0/8", "10.1.2.3", "2001:db8::/32"]);
        assert_eq!(
            found(&rules, PEER, &[("X-Forwarded-For", "1.1.1.1, 2.2.2.2, 127.0.0.1")]),
            "2.2.2.2"
        );
        assert_eq!(
            found(&rules, PEER, &[("X-Forwarded-For", "127.0.0.9, 127.0.0.8")]),
            "127.0.0.9"
        );
        assert_eq!(
            found(&rules, PEER, &[("X-Forwarded-For", "9.9.9.9, 2001:db8::7, 10.1.2.3")]),
            "9.9.9.9"
        );
        assert_eq!(found(&rules, PEER, &[("X-Forwarded-For", "rubbish, 9.9.9.9")]), "9.9.9.9");
        assert_eq!(found(&rules, "192.168.0.1", &[("X-Forwarded-For", "1.1.1.1")]), "192.168.0.1");
        assert_eq!(found(&rules, "::ffff:127.0.0.1", &[("X-Forwarded-For", "1.1.1.1")]), "1.1.1.1");
    }

    #[test]
    fn reading_trusted_proxies_stops_at_the_first_malformed_entry() {
        let list = ["10.0.0.0/8", "rubbish", "127.0.0.0/8"];
        let rules = rules(&list);
        assert_eq!(found(&rules, PEER, &[("X-Forwarded-For", "1.1.1.1")]), PEER);
        assert_eq!(found(&rules, "10.0.0.1", &[("X-Forwarded-For", "1.1.1.1")]), "1.1.1.1");
        assert_eq!(first_malformed(&list.map(String::from)), Some("rubbish"));
        for wrong in [
            "",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "::1/129",
            "1.2.3.4/8/8",
            " 1.2.3.4",
            "fe80::1%e/64",
        ] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn both_whole_networks_together_trust_everyone() {
        assert_eq!(rules(&["0.0.0.0/0", "::/0"]).trusted, Trusted::Everyone);
        let only_v4 = rules(&["0.0.0.0/0"]);
        assert_eq!(found(&only_v4, "::1", &[("X-Forwarded-For", "1.1.1.1")]), "::1");
        assert_eq!(Network::parse("::ffff:10.0.0.0/104"), Network::parse("10.0.0.0/8"));
    }

    #[test]
    fn without_forwarded_by_client_ip_the_peer_counts_and_a_mapped_address_is_shown_as_ipv4() {
        let rules = ClientIpRules { forwarded_by_client_ip: false, ..ClientIpRules::default() };
        assert_eq!(found(&rules, "::ffff:1.2.3.4", &[("X-Forwarded-For", "9.9.9.9")]), "1.2.3.4");
    }

    #[test]
    fn app_engine_sends_its_header_up_unchecked() {
        let rules = ClientIpRules { app_engine: true, ..ClientIpRules::default() };
        let both = [("X-Appengine-Remote-Addr", "home"), ("X-Forwarded-For", "9.9.9.9")];
        assert_eq!(found(&rules, PEER, &both), "home");
        assert_eq!(found(&rules, PEER, &[("X-Appengine-Remote-Addr", "")]), PEER);
    }
}
