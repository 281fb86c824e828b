//! Running rules over a request on its way out, and over the answer on its way back.

use super::outgoing::{self, Outgoing, failure, split, split_port};
use super::returned::{self, Returned};
use super::rule::{Action, Condition, Name, NameKind, Rule, UrlParts};
use crate::control::file_reader::FileError;
use crate::message::{path, query};
use crate::stage::{Call, Failure, Url};

/// What the rules of a request say beside the request itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// The upstream is not called.
    pub skips_upstream: bool,
}

/// The file of one tree, and the type of its content.
pub type Found = (Result<Vec<u8>, FileError>, &'static str);

/// # Errors
/// What a modifier could not do.
pub fn on_request(
    rule: &Rule,
    request: &mut Outgoing<'_, '_>,
    orders: &mut Orders,
) -> Result<(), Failure> {
    if !rule.on_request {
        return Ok(());
    }
    match &rule.action {
        Action::SetHeader(name, value) => request.set(name, value.clone()),
        Action::AppendHeader(name, value) => request.append(name, value.clone()),
        Action::CopyHeader { from, to } => {
            let value = request.get(from);
            request.set(to, value)
        }
        Action::RemoveHeaders(names) => {
            for name in names {
                request.remove(name);
            }
            Ok(())
        }
        Action::Identify(name) => {
            if outgoing::header(request.call, name).is_empty() {
                return set_plain(request, name, returned::uuid()?.into_bytes());
            }
            Ok(())
        }
        Action::ReplaceBody(body) => request.replace_body(&body.content_type, &body.bytes),
        Action::AddCookie(cookie) => request.add_cookie(&cookie.pair),
        Action::SetQuery { name, value } => {
            request.set_query(name, value);
            Ok(())
        }
        Action::ChangeUrl(parts) => {
            request.change_url(parts);
            Ok(())
        }
        Action::ChangePort(change) => request.change_port(*change),
        Action::Stash(name) => {
            let url = request.call.url.text();
            set_plain(request, name, url.into_bytes())
        }
        Action::Serve(_) => {
            orders.skips_upstream = true;
            request.call.url.is_tls = false;
            Ok(())
        }
        Action::SetStatus(_) | Action::Nothing => Ok(()),
        Action::Fail(why) => Err(failure(why.clone())),
        Action::Filter { condition, then, otherwise } => {
            let holds = match condition {
                Condition::Header(name, value) => request.has(name, value),
                Condition::Cookie { name, value } => request.has_cookie(name, value),
                Condition::Port(port) => is_port_of_request(&request.call.url, *port)?,
                condition => holds_for_request(condition, request.call),
            };
            match chosen(holds, then, otherwise.as_deref()) {
                Some(rule) => on_request(rule, request, orders),
                None => Ok(()),
            }
        }
        Action::Group { rules, gathers_errors } => {
            in_turn(rules, *gathers_errors, |rule| on_request(rule, request, orders))
        }
    }
}

/// # Errors
/// What a modifier could not do.
pub fn on_response(
    rule: &Rule,
    call: &Call<'_>,
    answer: &mut Returned<'_>,
    files: &mut [Option<Found>],
) -> Result<(), Failure> {
    if !rule.on_response {
        return Ok(());
    }
    match &rule.action {
        Action::SetHeader(name, value) => answer.set(name, value.clone()),
        Action::AppendHeader(name, value) => return answer.append(name, value.clone()),
        Action::CopyHeader { from, to } => {
            let value = answer.get(from);
            answer.set(to, value);
        }
        Action::RemoveHeaders(names) => {
            for name in names {
                answer.remove(name);
            }
        }
        Action::ReplaceBody(body) => {
            answer.remove(&Name::new("Content-Encoding"));
            let range = outgoing::header(call, &Name::new("Range"));
            return answer.replace_body(&body.content_type, body.bytes.clone(), range);
        }
        Action::AddCookie(cookie) => {
            return answer.append(&Name::new("Set-Cookie"), cookie.line.clone().into_bytes());
        }
        Action::Stash(name) => answer.set(name, outgoing::header(call, name).to_vec()),
        Action::SetStatus(status) => answer.set_status(*status),
        Action::Serve(tree) => return serve(call, answer, files.get_mut(*tree)),
        Action::Fail(why) => return Err(failure(why.clone())),
        // For requests alone.
        Action::Identify(_)
        | Action::SetQuery { .. }
        | Action::ChangeUrl(_)
        | Action::ChangePort(_)
        | Action::Nothing => {}
        Action::Filter { condition, then, otherwise } => {
            let holds = match condition {
                Condition::Header(name, value) => answer.has(name, value),
                Condition::Cookie { name, value } => answer.has_cookie(name, value),
                Condition::Port(port) => is_port_of_response(&call.url, *port)?,
                condition => holds_for_request(condition, call),
            };
            if let Some(rule) = chosen(holds, then, otherwise.as_deref()) {
                return on_response(rule, call, answer, files);
            }
        }
        Action::Group { rules, gathers_errors } => {
            return in_turn(rules, *gathers_errors, |rule| on_response(rule, call, answer, files));
        }
    }
    Ok(())
}

/// The header itself, also where its name stands for something else: then nothing comes of it.
fn set_plain(request: &mut Outgoing<'_, '_>, name: &Name, value: Vec<u8>) -> Result<(), Failure> {
    match name.kind {
        NameKind::Plain => request.set(name, value),
        _ => Ok(()),
    }
}

fn serve(
    call: &Call<'_>,
    answer: &mut Returned<'_>,
    found: Option<&mut Option<Found>>,
) -> Result<(), Failure> {
    let Some((content, content_type)) = found.and_then(|found| found.as_ref()) else {
        return Err(failure("the file was not read"));
    };
    match content {
        Ok(content) => {
            let range = outgoing::header(call, &Name::new("Range"));
            answer.replace_body(content_type.as_bytes(), content.clone(), range)
        }
        Err(FileError::NotFound) => {
            answer.set_status(404);
            Ok(())
        }
        Err(error) => Err(failure(error.to_string())),
    }
}

fn in_turn(
    rules: &[Rule],
    gathers_errors: bool,
    mut run: impl FnMut(&Rule) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut gathered = Vec::new();
    for rule in rules {
        match run(rule) {
            Err(error) if gathers_errors => gathered.push(error.into_details().message),
            result => result?,
        }
    }
    if gathered.is_empty() { Ok(()) } else { Err(failure(gathered.join("\n"))) }
}

fn chosen<'r>(holds: bool, then: &'r Rule, otherwise: Option<&'r Rule>) -> Option<&'r Rule> {
    if holds { Some(then) } else { otherwise }
}

/// What is asked of the request on both ways.
fn holds_for_request(condition: &Condition, call: &Call<'_>) -> bool {
    match condition {
        Condition::HeaderMatches(name, regex) => {
            let value = outgoing::header(call, name);
            !value.is_empty() && regex.is_match(&String::from_utf8_lossy(value))
        }
        Condition::Query { name, value } => query::pairs(split(&call.url.target).1)
            .any(|(known, has)| *known == **name && (value.is_empty() || *has == **value)),
        Condition::Url(parts) => is_url(&call.url, parts),
        Condition::UrlMatches(regex) => regex.is_match(&call.url.text()),
        Condition::Header(..) | Condition::Cookie { .. } | Condition::Port(_) => false,
    }
}

fn is_url(url: &Url, parts: &UrlParts) -> bool {
    let (raw_path, query) = split(&url.target);
    let mut decoded = Vec::new();
    let path = path::decode(raw_path, &mut decoded).unwrap_or(raw_path);
    let scheme = if url.is_tls { "https" } else { "http" };
    (parts.scheme.is_empty() || parts.scheme == scheme)
        && (parts.host.is_empty() || is_host(url.authority.as_bytes(), parts.host.as_bytes()))
        && (parts.path.is_empty() || parts.path.as_bytes() == path)
        && (parts.query.is_empty() || parts.query.as_bytes() == query)
}

/// Whether a host is meant by a pattern, in which `*` stands for what is between two dots.
fn is_host(host: &[u8], pattern: &[u8]) -> bool {
    if host == pattern {
        return true;
    }
    let (mut host, mut pattern) = (host, pattern);
    loop {
        match (host.split_last(), pattern.split_last()) {
            (_, Some((b'*', rest))) => {
                host = &host[..memchr::memrchr(b'.', host).map_or(0, |dot| dot + 1)];
                pattern = rest;
            }
            (Some((one, host_rest)), Some((other, pattern_rest))) if one == other => {
                (host, pattern) = (host_rest, pattern_rest);
            }
            (None, None) => return true,
            _ => return false,
        }
    }
}

fn is_port_of_request(url: &Url, port: i64) -> Result<bool, Failure> {
    if !url.authority.contains(':') {
        return Ok(port == default_port(url));
    }
    Ok(port_number(&url.authority)? == port)
}

/// The original wants a port to be written here, unless it is the scheme's own.
fn is_port_of_response(url: &Url, port: i64) -> Result<bool, Failure> {
    if !url.authority.contains(':') && port == default_port(url) {
        return Ok(true);
    }
    Ok(port_number(&url.authority)? == port)
}

fn default_port(url: &Url) -> i64 {
    if url.is_tls { 443 } else { 80 }
}

fn port_number(authority: &str) -> Result<i64, Failure> {
    let (_, port) = split_port(authority)?;
    port.parse().map_err(|_| failure(format!("strconv.Atoi: parsing {port:?}: invalid syntax")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        for (host, pattern, is_meant) in [
            ("api.example.com", "api.example.com", true),
            ("api.example.com", "*.example.com", true),
            ("a.b.example.com", "*.example.com", false),
            ("api.example.com", "api.*.com", true),
            ("api.example.com", "example.com", false),
            ("example.com", "api.example.com", false),
            ("localhost", "*", true),
        ] {
            assert_eq!(is_host(host.as_bytes(), pattern.as_bytes()), is_meant, "{host} {pattern}");
        }
    }
}
