//! `ClientKey`: what of a request tells one client from another, for limits and quotas.

use std::net::IpAddr;

use crate::stage::Exchange;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientKey {
    Address,
    /// The first address of this header, else that of the client.
    AddressIn(String),
    Header(String),
    /// The endpoint's parameter in this slot.
    Param(usize),
    /// No request has it.
    Nothing,
}

impl ClientKey {
    /// The bytes that name this client; `None` where the request has none.
    pub fn of<'x>(&self, exchange: &'x Exchange<'_>) -> Option<&'x [u8]> {
        let client = || exchange.client_text().as_bytes();
        let found = match self {
            ClientKey::Address => client(),
            ClientKey::AddressIn(name) => exchange
                .head
                .header(name)
                .and_then(first_address)
                .map_or_else(client, str::as_bytes),
            ClientKey::Header(name) => exchange.header(name)?,
            ClientKey::Param(slot) => exchange.param(*slot)?,
            ClientKey::Nothing => return None,
        };
        (!found.is_empty()).then_some(found)
    }
}

/// The first entry of a list up to its first colon, if that is an address: so ports are cut off, and IPv6 is never found.
fn first_address(value: &[u8]) -> Option<&str> {
    let first = value.split(|byte| *byte == b',').next()?.trim_ascii();
    let first = std::str::from_utf8(first.split(|byte| *byte == b':').next()?).ok()?;
    first.parse::<IpAddr>().ok().map(|_| first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_cut_at_the_first_colon() {
        assert_eq!(first_address(b"198.51.100.2:99, 10.0.0.1"), Some("198.51.100.2"));
        assert_eq!(first_address(b" 198.51.100.2 "), Some("198.51.100.2"));
        for none in [&b""[..], b"nobody", b"2001:db8::9", b"[2001:db8::9]", b"010.1.1.1", b"\xff"] {
            assert_eq!(first_address(none), None, "{none:?}");
        }
    }
}
