//! `Target`: what a connection leads to, the key of a pool.

use std::net::IpAddr;

/// Scheme, name or address, and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    pub is_tls: bool,
    pub name: HostName,
    pub port: u16,
}

/// Where a host is to be found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostName {
    Address(IpAddr),
    /// To be looked up; lower case.
    Name(Box<str>),
}

impl Target {
    /// From the host part of a URL, `[::1]` with or without brackets.
    pub fn new(is_tls: bool, host: &str, port: u16) -> Target {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = match bare.parse() {
            Ok(address) => HostName::Address(address),
            Err(_) => HostName::Name(bare.to_ascii_lowercase().into()),
        };
        Target { is_tls, name, port }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_names() {
        assert_eq!(
            Target::new(false, "127.0.0.1", 80).name,
            HostName::Address("127.0.0.1".parse().unwrap())
        );
        assert_eq!(Target::new(false, "[::1]", 80).name, HostName::Address("::1".parse().unwrap()));
        assert_eq!(
            Target::new(false, "API.example", 80).name,
            HostName::Name("api.example".into())
        );
    }
}
