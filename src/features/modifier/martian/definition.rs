//! From a block to a `Program`: which modifiers there are, what they may hold, and what is wrong with them.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, Datelike, Utc};
use serde_json::Value;

use super::catalog::MODIFIERS;
use super::cookie::{Attributes, Cookie};
use super::fields::Fields;
use super::file_tree::FileTree;
use super::rule::{
    Action, Condition, Name, NameKind, NewBody, PortChange, Program, Rule, UrlParts,
};
use crate::config::extra::Block;
use crate::config::go_regex::go_regex;
use crate::config::problem::Problem;
use crate::message::headers::{is_token, is_value_byte};

/// Filters and groups inside each other.
const DEPTH_MAX: usize = 100;
/// What header.Id sets unless it is told otherwise.
const ID_HEADER: &str = "X-Krakend-Id";
/// `expires` of years before this one is none (RFC 6265 section 5.1.1).
const EXPIRES_YEAR_MIN: i32 = 1601;
const SKIPPED: &str = "--lenient starts, and the backend works without modifiers";
const FAILING: &str = "take it out; --lenient starts, and what reaches it fails with 500";

/// When a modifier can run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Able {
    Both,
    Request,
    Response,
}

/// Reads one block.
struct Reader<'b> {
    block: &'b Block,
    trees: Vec<FileTree>,
    /// What is odd and leaves the definition usable.
    doubts: Vec<Problem>,
}

impl Program {
    /// Reads a block. The second of the two is what is odd about a definition that can be used.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn read(block: &Block) -> Result<(Program, Option<Problem>), Problem> {
        let mut reader = Reader { block, trees: Vec::new(), doubts: Vec::new() };
        let root = reader.rule(&block.value, String::new(), 0);
        let root = root.map_err(|problem| match problem.hint {
            Some(_) => problem,
            None => problem.hint(SKIPPED),
        })?;
        let worst = reader.doubts.into_iter().max_by_key(|doubt| doubt.severity);
        Ok((Program { root, trees: reader.trees }, worst))
    }
}

impl<'b> Reader<'b> {
    fn rule(&mut self, value: &'b Value, pointer: String, depth: usize) -> Result<Rule, Problem> {
        let problem = |what: String| Problem::lenient(self.block.place_at(&pointer), what);
        let Some(members) = value.as_object() else {
            return Err(problem(
                "a modifier must be an object with the modifier's name".to_owned(),
            ));
        };
        if depth > DEPTH_MAX {
            return Err(problem(format!("modifiers stand in each other {DEPTH_MAX} times")));
        }
        let (Some((name, value)), 1) = (members.iter().next(), members.len()) else {
            let what = format!("there must be one modifier, and there are {}", members.len());
            let hint = "put several into the modifiers of a fifo.Group";
            return Err(problem(what).hint(format!("{hint}; {SKIPPED}")));
        };
        let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        let Some((_, known)) = MODIFIERS.iter().find(|(known, _)| known == name) else {
            let alike = MODIFIERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let meant = alike.map_or(String::new(), |(known, _)| format!("did you mean {known}? "));
            let problem = Problem::lenient(
                self.block.place_at(&pointer),
                format!("{name} is no modifier that KrakenD or Shoal has"),
            );
            return Err(problem.hint(format!("{meant}{SKIPPED}")));
        };
        let fields = Fields::new(self.block, pointer, value)?;
        let known: Vec<&str> = known.iter().copied().chain(["scope"]).collect();
        if let Some(unknown) = fields.unknown(&known) {
            let what = format!("{name} has no member {unknown}");
            let problem = Problem::warn(fields.place(unknown), what);
            self.doubts.push(problem.hint(format!("it has {}", known.join(", "))));
        }
        let (able, action) = self.action(name, &fields, depth)?;
        let (on_request, on_response) = scopes(name, &fields, able)?;
        if matches!(action, Action::Stash(_)) && on_response && !on_request {
            let what = "stash.Modifier needs the scope request beside response";
            return Err(fields.problem("scope", what));
        }
        Ok(Rule { action, on_request, on_response })
    }

    fn action(
        &mut self,
        name: &str,
        fields: &Fields<'b>,
        depth: usize,
    ) -> Result<(Able, Action), Problem> {
        let both = |action| Ok((Able::Both, action));
        match name {
            "header.Modifier" | "header.Append" => {
                let name_of = header(fields, "name")?;
                let value = header_value(fields, "value")?;
                if name_of.kind == NameKind::Length && value.parse::<i64>().is_err() {
                    let what = format!("{value:?} is no length");
                    return both(self.failing(fields, "value", what));
                }
                both(match name {
                    "header.Append" => Action::AppendHeader(name_of, value.into()),
                    _ => Action::SetHeader(name_of, value.into()),
                })
            }
            "header.Copy" => both(Action::CopyHeader {
                from: Name::new(fields.text("from")?),
                to: header(fields, "to")?,
            }),
            "header.Blacklist" => {
                let names = fields.texts("names")?.unwrap_or_default();
                both(Action::RemoveHeaders(names.into_iter().map(Name::new).collect()))
            }
            "header.Id" => {
                let written = fields.text("header")?;
                let name = if written.is_empty() {
                    Name::new(ID_HEADER)
                } else {
                    header(fields, "header")?
                };
                Ok((Able::Request, Action::Identify(name)))
            }
            "header.Verifier" => {
                fields.text("name")?;
                fields.text("value")?;
                let what = "header.Verifier has no effect: what it finds is shown nowhere";
                self.doubts.push(Problem::warn(fields.place(""), what));
                both(Action::Nothing)
            }
            "body.Modifier" => both(Action::ReplaceBody(new_body(fields)?)),
            "cookie.Modifier" => both(Action::AddCookie(Cookie::new(&attributes(fields)?))),
            "querystring.Modifier" => {
                let action = Action::SetQuery {
                    name: fields.text("name")?.into(),
                    value: fields.text("value")?.into(),
                };
                Ok((Able::Request, action))
            }
            "url.Modifier" => {
                let action = self.new_url(fields)?;
                Ok((Able::Request, action))
            }
            "port.Modifier" => Ok((Able::Request, Action::ChangePort(port_change(fields)?))),
            "stash.Modifier" => both(Action::Stash(header(fields, "headerName")?)),
            "status.Modifier" => {
                let status = fields.number("statusCode")?;
                let valid =
                    u16::try_from(status).ok().filter(|status| (200..1000).contains(status));
                let action = match valid {
                    Some(status) => Action::SetStatus(status),
                    None => {
                        let what = format!("{status} is no status of an answer");
                        self.failing(fields, "statusCode", what)
                    }
                };
                Ok((Able::Response, action))
            }
            "static.Modifier" => {
                let explicit = fields.map_of_texts("explicitPaths")?;
                self.trees.push(FileTree::new(fields.text("rootPath")?, explicit));
                both(Action::Serve(self.trees.len() - 1))
            }
            "status.Verifier" => {
                fields.number("statusCode")?;
                let what = "the original crashes where status.Verifier runs".to_owned();
                Ok((Able::Response, self.failing(fields, "", what)))
            }
            "querystring.Verifier" | "url.Verifier" => {
                if name == "url.Verifier" {
                    url_parts(fields)?;
                } else if fields.text("name")?.is_empty() {
                    return Err(fields.problem("name", "querystring.Verifier needs a name"));
                }
                let what = format!("the original crashes where {name} runs");
                Ok((Able::Request, self.failing(fields, "", what)))
            }
            "fifo.Group" => {
                let gathers_errors = fields.flag("aggregateErrors")?;
                let entries = fields.list("modifiers")?.unwrap_or_default();
                let mut rules = Vec::with_capacity(entries.len());
                for (index, entry) in entries.iter().enumerate() {
                    let pointer = format!("{}/{index}", fields.pointer_to("modifiers"));
                    rules.push(self.rule(entry, pointer, depth + 1)?);
                }
                both(Action::Group { rules, gathers_errors })
            }
            "priority.Group" => {
                let rules = self.by_priority(fields, depth)?;
                both(Action::Group { rules, gathers_errors: false })
            }
            _ => both(self.filter(name, fields, depth)?),
        }
    }

    /// The highest first; of equal ones the one that was declared last.
    fn by_priority(&mut self, fields: &Fields<'b>, depth: usize) -> Result<Vec<Rule>, Problem> {
        let mut rules = Vec::new();
        for (index, entry) in fields.list("modifiers")?.unwrap_or_default().iter().enumerate() {
            let pointer = format!("{}/{index}", fields.pointer_to("modifiers"));
            let entry = Fields::new(self.block, pointer, entry)?;
            let priority = entry.number("priority")?;
            rules.push((priority, self.inner(&entry, "modifier", depth)?));
        }
        rules.reverse();
        rules.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
        Ok(rules.into_iter().map(|(_, rule)| rule).collect())
    }

    fn filter(&mut self, name: &str, fields: &Fields<'b>, depth: usize) -> Result<Action, Problem> {
        let bytes = |member: &str| fields.text(member).map(Vec::from);
        let condition = match name {
            "header.Filter" => Condition::Header(Name::new(fields.text("name")?), bytes("value")?),
            "header.RegexFilter" => {
                Condition::HeaderMatches(Name::new(fields.text("header")?), regex(fields)?)
            }
            "cookie.Filter" => Condition::Cookie { name: bytes("name")?, value: bytes("value")? },
            "querystring.Filter" => {
                Condition::Query { name: bytes("name")?, value: bytes("value")? }
            }
            "url.Filter" => Condition::Url(url_parts(fields)?),
            "url.RegexFilter" => Condition::UrlMatches(regex(fields)?),
            _ => Condition::Port(fields.number("port")?),
        };
        let has_else = !matches!(name, "header.RegexFilter" | "port.Filter");
        let then = Box::new(self.inner(fields, "modifier", depth)?);
        let otherwise = match fields.find("else") {
            Some(_) if has_else => Some(Box::new(self.inner(fields, "else", depth)?)),
            _ => None,
        };
        Ok(Action::Filter { condition, then, otherwise })
    }

    fn inner(&mut self, fields: &Fields<'b>, member: &str, depth: usize) -> Result<Rule, Problem> {
        match fields.find(member) {
            Some((written, value)) => self.rule(value, fields.pointer_to(written), depth + 1),
            None => Err(fields.problem(member, format!("{member} is missing"))),
        }
    }

    fn new_url(&mut self, fields: &Fields<'b>) -> Result<Action, Problem> {
        let parts = url_parts(fields)?;
        let is_visible = |text: &str| text.bytes().all(|byte| (0x21..0x7F).contains(&byte));
        if !matches!(parts.scheme.as_str(), "" | "http" | "https") {
            let what = format!("{:?} is no scheme that can be called", parts.scheme);
            return Ok(self.failing(fields, "scheme", what));
        }
        if !is_visible(&parts.host) || parts.host.contains(['/', '?', '#', '@', '\\']) {
            return Ok(self.failing(fields, "host", format!("{:?} is no host", parts.host)));
        }
        if !is_visible(&parts.query) || parts.query.contains('#') {
            let what = format!("{:?} must be encoded to be a query", parts.query);
            return Ok(self.failing(fields, "query", what));
        }
        Ok(Action::ChangeUrl(parts))
    }

    fn failing(&mut self, fields: &Fields<'_>, member: &str, what: String) -> Action {
        self.doubts.push(fields.problem(member, what.clone()).hint(FAILING));
        Action::Fail(what)
    }
}

/// No scope is every scope that the modifier can do.
fn scopes(name: &str, fields: &Fields<'_>, able: Able) -> Result<(bool, bool), Problem> {
    let able_to = |scope: Able| able == Able::Both || able == scope;
    let Some(listed) = fields.texts("scope")? else {
        return Ok((able_to(Able::Request), able_to(Able::Response)));
    };
    let mut chosen = (false, false);
    for scope in listed {
        let (place, scope_of) = match scope {
            "request" => (&mut chosen.0, Able::Request),
            "response" => (&mut chosen.1, Able::Response),
            _ => {
                let what = format!("{scope:?} is no scope: there are request and response");
                return Err(fields.problem("scope", what));
            }
        };
        if !able_to(scope_of) {
            let what = format!("{name} cannot do the scope {scope}");
            return Err(fields.problem("scope", what));
        }
        *place = true;
    }
    Ok(chosen)
}

/// The name of a header that is set.
fn header(fields: &Fields<'_>, member: &str) -> Result<Name, Problem> {
    let name = fields.text(member)?;
    if !is_token(name.as_bytes()) {
        return Err(fields.problem(member, format!("{name:?} is no name of a header")));
    }
    Ok(Name::new(name))
}

fn header_value<'b>(fields: &Fields<'b>, member: &str) -> Result<&'b str, Problem> {
    let value = fields.text(member)?;
    if !value.bytes().all(is_value_byte) {
        return Err(fields.problem(member, format!("{value:?} cannot stand in a header")));
    }
    Ok(value.trim_matches([' ', '\t']))
}

fn regex(fields: &Fields<'_>) -> Result<regex::Regex, Problem> {
    let pattern = fields.text("regex")?;
    go_regex(pattern)
        .map_err(|error| fields.problem("regex", format!("{pattern:?} is no pattern: {error}")))
}

fn url_parts(fields: &Fields<'_>) -> Result<UrlParts, Problem> {
    let text = |member: &str| fields.text(member).map(str::to_owned);
    Ok(UrlParts {
        scheme: text("scheme")?,
        host: text("host")?,
        path: text("path")?,
        query: text("query")?,
    })
}

fn new_body(fields: &Fields<'_>) -> Result<NewBody, Problem> {
    let content_type = header_value(fields, "contentType")?.as_bytes().to_vec();
    // Go's decoder passes over line ends.
    let encoded = fields.text("body")?.replace(['\r', '\n'], "");
    let bytes = BASE64_STANDARD
        .decode(encoded)
        .map_err(|error| fields.problem("body", format!("the body is no base64: {error}")))?;
    Ok(NewBody { content_type, bytes })
}

fn attributes(fields: &Fields<'_>) -> Result<Attributes, Problem> {
    let text = |member: &str| fields.text(member).map(str::to_owned);
    let expires = match fields.text("expires")? {
        "" if fields.find("expires").is_none_or(|(_, value)| value.is_null()) => None,
        written => {
            let moment = DateTime::parse_from_rfc3339(written).map_err(|_| {
                fields.problem("expires", format!("{written:?} is no time as RFC 3339 writes it"))
            })?;
            let moment = moment.with_timezone(&Utc);
            (moment.year() >= EXPIRES_YEAR_MIN)
                .then(|| moment.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        }
    };
    Ok(Attributes {
        name: text("name")?,
        value: text("value")?,
        path: text("path")?,
        domain: text("domain")?,
        expires,
        max_age_s: fields.number("maxAge")?,
        is_http_only: fields.flag("httpOnly")?,
        is_secure: fields.flag("secure")?,
    })
}

fn port_change(fields: &Fields<'_>) -> Result<PortChange, Problem> {
    let port = fields.number("port")?;
    match (port, fields.flag("defaultForScheme")?, fields.flag("remove")?) {
        (0, true, false) => Ok(PortChange::DefaultOfScheme),
        (0, false, true) => Ok(PortChange::Remove),
        (0, ..) | (_, true, _) | (_, _, true) => {
            Err(fields.problem("", "port.Modifier needs one of port, defaultForScheme and remove"))
        }
        (port, false, false) => u16::try_from(port)
            .map(PortChange::Use)
            .map_err(|_| fields.problem("port", format!("{port} is no port"))),
    }
}
