//! Whose address a request comes from: an address that its header holds, found as a plain walk from the right finds it.

use std::net::IpAddr;

use shoal::message::forwarded::{ClientIp, ClientIpRules, Network, Trusted};

use crate::Input;

const PEER: &str = "10.0.0.9";

/// Whether the address is in the block, bit by bit.
fn is_in(block: &str, address: IpAddr) -> bool {
    let (network, bits) = block.split_once('/').expect("a block");
    let bits: u32 = bits.parse().expect("a number");
    match (network.parse().expect("an address"), address.to_canonical()) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (0..bits).all(|bit| (network.to_bits() ^ address.to_bits()) >> (31 - bit) & 1 == 0)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            (0..bits).all(|bit| (network.to_bits() ^ address.to_bits()) >> (127 - bit) & 1 == 0)
        }
        _ => false,
    }
}

/// `trusted proxies, by commas LF value LF value …`
pub fn client_ip(input: &[u8]) {
    let mut input = Input(input);
    let Ok(listed) = std::str::from_utf8(input.until(b'\n')) else { return };
    let listed: Vec<String> = listed.split(',').map(str::to_owned).collect();
    for text in &listed {
        let _ = Network::parse(text);
    }
    let values: Vec<&[u8]> = input.0.split(|&byte| byte == b'\n').collect();
    let peer: IpAddr = PEER.parse().expect("an address");
    let found = |trusted: &[String]| {
        let rules = ClientIpRules {
            headers: ["X-Forwarded-For".into()].into(),
            trusted: Trusted::parse(trusted),
            ..ClientIpRules::default()
        };
        match rules.client_ip(peer, |_| values.iter().copied()) {
            ClientIp::Header(text) => Some(text.to_owned()),
            ClientIp::Peer(address) => {
                assert_eq!(address, peer);
                None
            }
        }
    };
    if let Some(text) = found(&listed) {
        assert!(text.parse::<IpAddr>().is_ok(), "{text:?} is no address");
    }
    let trusted = ["10.0.0.0/8".to_owned(), "192.0.2.0/25".to_owned(), "2001:db8::/33".to_owned()];
    let all = values.join(&b","[..]);
    let mut expected = None;
    for item in all.split(|&byte| byte == b',').rev() {
        let text = std::str::from_utf8(item).map(str::trim).unwrap_or_default();
        let Ok(address) = text.parse::<IpAddr>() else {
            expected = None;
            break;
        };
        expected = Some(text.to_owned());
        if !trusted.iter().any(|block| is_in(block, address)) {
            break;
        }
    }
    assert_eq!(found(&trusted), expected, "{}", all.escape_ascii());
}
