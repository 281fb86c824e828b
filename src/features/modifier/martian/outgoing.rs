//! `Outgoing`: the request of a call, as modifiers see and change it.

use std::borrow::Cow;
use std::rc::Rc;

use smallvec::SmallVec;

use super::cookie;
use super::rule::{Name, NameKind, PortChange, UrlParts};
use crate::message::headers::is_value_byte;
use crate::message::{path, query};
use crate::stage::{Call, CallBody, Cause, Failure, Header};

/// A request while its modifiers run.
pub struct Outgoing<'c, 'x> {
    pub call: &'c mut Call<'x>,
    /// The Host header, which stays when the URL changes; empty where it was removed.
    host: Rc<str>,
}

pub fn failure(what: impl Into<String>) -> Failure {
    Failure::new(Cause::Manipulation, what)
}

// === impl Outgoing ===

impl<'c, 'x> Outgoing<'c, 'x> {
    pub fn new(call: &'c mut Call<'x>) -> Outgoing<'c, 'x> {
        let host = call.host.clone().unwrap_or_else(|| call.url.authority.clone());
        Outgoing { call, host }
    }

    /// Hands the Host header over to the call.
    pub fn finish(self) -> Result<(), Failure> {
        if !self.host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(failure("http: invalid Host header"));
        }
        let is_own = self.host.is_empty() || self.host == self.call.url.authority;
        self.call.host = (!is_own).then_some(self.host);
        Ok(())
    }

    /// The first value, empty where there is none; of the length and the host what stands for them.
    pub fn get(&self, name: &Name) -> Vec<u8> {
        match name.kind {
            NameKind::Host => self.host.as_bytes().to_vec(),
            NameKind::Length => {
                self.call.body.bytes_known().unwrap_or_default().to_string().into_bytes()
            }
            _ => header(self.call, name).to_vec(),
        }
    }

    pub fn has(&self, name: &Name, value: &[u8]) -> bool {
        match name.kind {
            NameKind::Host => !self.host.is_empty() && self.host.as_bytes() == value,
            NameKind::Length => {
                let length = self.call.body.bytes_known().filter(|length| *length > 0);
                length.is_some_and(|length| length.to_string().as_bytes() == value)
            }
            _ => self.call.headers.iter().any(|line| name.is(&line.name) && *line.value == *value),
        }
    }

    pub fn set(&mut self, name: &Name, value: Vec<u8>) -> Result<(), Failure> {
        match name.kind {
            NameKind::Host => {
                self.host = String::from_utf8_lossy(&value).into();
                Ok(())
            }
            NameKind::Length | NameKind::Framing => Ok(()),
            NameKind::Plain => {
                self.remove(name);
                self.push(name, value)
            }
        }
    }

    pub fn append(&mut self, name: &Name, value: Vec<u8>) -> Result<(), Failure> {
        match name.kind {
            NameKind::Host if self.host.is_empty() => self.set(name, value),
            NameKind::Host => Err(failure("proxyutil: illegal header multiple: Host")),
            NameKind::Length if self.call.body.bytes_known().is_some_and(|length| length > 0) => {
                Err(failure("proxyutil: illegal header multiple: Content-Length"))
            }
            NameKind::Length | NameKind::Framing => Ok(()),
            NameKind::Plain => self.push(name, value),
        }
    }

    fn push(&mut self, name: &Name, value: Vec<u8>) -> Result<(), Failure> {
        if !value.iter().copied().all(is_value_byte) {
            let name = String::from_utf8_lossy(&name.text);
            return Err(failure(format!("net/http: invalid header field value for {name:?}")));
        }
        let name = Cow::Owned(name.text.to_vec());
        self.call.headers.to_mut().push(Header { name, value: Cow::Owned(value) });
        Ok(())
    }

    pub fn remove(&mut self, name: &Name) {
        match name.kind {
            NameKind::Host => self.host = "".into(),
            NameKind::Length | NameKind::Framing => {}
            NameKind::Plain => {
                if self.call.headers.iter().any(|line| name.is(&line.name)) {
                    self.call.headers.to_mut().retain(|line| !name.is(&line.name));
                }
            }
        }
    }

    pub fn add_cookie(&mut self, pair: &str) -> Result<(), Failure> {
        let name = Name::new("Cookie");
        let mut value = header(self.call, &name).to_vec();
        if !value.is_empty() {
            value.extend_from_slice(b"; ");
        }
        value.extend_from_slice(pair.as_bytes());
        self.set(&name, value)
    }

    pub fn has_cookie(&self, name: &[u8], value: &[u8]) -> bool {
        let cookie_lines = Name::new("Cookie");
        let lines = self.call.headers.iter().filter(|line| cookie_lines.is(&line.name));
        lines
            .flat_map(|line| cookie::of_request(&line.value))
            .any(|(known, has)| known == name && (value.is_empty() || has == value))
    }

    pub fn replace_body(&mut self, content_type: &[u8], body: &[u8]) -> Result<(), Failure> {
        self.set(&Name::new("Content-Type"), content_type.to_vec())?;
        self.remove(&Name::new("Content-Encoding"));
        self.call.body = CallBody::Bytes(Rc::new(body.to_vec()));
        Ok(())
    }

    /// The query, put together anew with this name once, sorted by name as Go's `url.Values` are.
    pub fn set_query(&mut self, name: &[u8], value: &[u8]) {
        let (path, old) = split(&self.call.url.target);
        let mut pairs: SmallVec<[query::Pair<'_>; 8]> =
            query::pairs(old).filter(|(known, _)| **known != *name).collect();
        pairs.push((Cow::Borrowed(name), Cow::Borrowed(value)));
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut target = path.to_vec();
        for (index, (name, value)) in pairs.iter().enumerate() {
            target.push(if index == 0 { b'?' } else { b'&' });
            path::encode_query_component(name, &mut target);
            target.push(b'=');
            path::encode_query_component(value, &mut target);
        }
        drop(pairs);
        self.change_target(target);
    }

    pub fn change_url(&mut self, parts: &UrlParts) {
        if !parts.scheme.is_empty() {
            self.call.url.is_tls = parts.scheme == "https";
        }
        if !parts.host.is_empty() {
            self.call.url.authority = parts.host.as_str().into();
        }
        if parts.path.is_empty() && parts.query.is_empty() {
            return;
        }
        let (old_path, old_query) = split(&self.call.url.target);
        let mut target = Vec::new();
        if parts.path.is_empty() {
            target.extend_from_slice(old_path);
        } else {
            if !parts.path.starts_with('/') {
                target.push(b'/');
            }
            path::encode_like(parts.path.as_bytes(), old_path, &mut target);
        }
        let query = if parts.query.is_empty() { old_query } else { parts.query.as_bytes() };
        if !query.is_empty() {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        self.change_target(target);
    }

    fn change_target(&mut self, target: Vec<u8>) {
        let length = split(&target).0.len();
        self.call.url.target = target;
        self.call.pattern_range = 0..length;
    }

    pub fn change_port(&mut self, change: PortChange) -> Result<(), Failure> {
        let authority = &self.call.url.authority;
        let host = match authority.contains(':') {
            true => split_port(authority)?.0,
            false => authority,
        };
        let port = match change {
            PortChange::Use(port) => port,
            PortChange::DefaultOfScheme if self.call.url.is_tls => 443,
            PortChange::DefaultOfScheme => 80,
            PortChange::Remove => {
                // Without its brackets an address of IPv6 would be a name and a port.
                let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
                self.call.url.authority = host.into();
                return Ok(());
            }
        };
        let authority =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        self.call.url.authority = authority.into();
        Ok(())
    }
}

/// The first value of a plain header of a call, empty where there is none.
pub fn header<'h>(call: &'h Call<'_>, name: &Name) -> &'h [u8] {
    if name.kind != NameKind::Plain {
        return &[];
    }
    call.headers.iter().find(|line| name.is(&line.name)).map_or(&[], |line| &line.value)
}

/// Path and query of a target.
pub fn split(target: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'?', target) {
        Some(at) => (&target[..at], &target[at + 1..]),
        None => (target, &[]),
    }
}

/// Name and port, the name without brackets (Go's `net.SplitHostPort`).
pub fn split_port(authority: &str) -> Result<(&str, &str), Failure> {
    let missing = || failure(format!("address {authority}: missing port in address"));
    let (host, port) = authority.rsplit_once(':').ok_or_else(missing)?;
    if let Some(inner) = host.strip_prefix('[') {
        return Ok((inner.strip_suffix(']').ok_or_else(missing)?, port));
    }
    if host.contains(':') {
        return Err(failure(format!("address {authority}: too many colons in address")));
    }
    Ok((host, port))
}
