//! `telemetry/logging`: the level, the look and the places of log lines, and the look of the access log.
//!
//! Follows krakend-gologging, log.go (specification, section 2.39); the access log's formats are those of the
//! original's other edition.

use serde_json::Value;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::plan::feature::{Fallback, Feature, Scope, Site};
use crate::plan::logging::{LinesPlan, Look};
use crate::shared::log::access_pattern::{DEFAULT, HTTPD_COMBINED, HTTPD_COMMON, JSON};
use crate::shared::log::{AccessPattern, Facility, Level, Pattern};

pub struct Logging;

const ACCESS_FORMATS: &str = "default, httpdCommon, httpdCombined, json and custom are known";

/// A block's members, and what is wrong with them.
struct Members<'b> {
    block: &'b Block,
    /// The first of them is told.
    problems: Vec<Problem>,
}

impl Feature for Logging {
    fn namespace(&self) -> &'static str {
        "telemetry/logging"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&[
            "access_log",
            "access_log_custom_format",
            "access_log_format",
            "access_log_missing_key_marker",
            "backend",
            "custom_format",
            "format",
            "level",
            "prefix",
            "stdout",
            "syslog",
            "syslog_facility",
        ])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        if !block.value.is_object() {
            // The original knows no difference from a block that is not there.
            let problem = Problem::lenient(block.place.clone(), "the block must be an object");
            return Err(Fallback::Skip(problem.hint("write {\"level\": \"INFO\"}")));
        }
        let mut members = Members { block, problems: Vec::new() };
        let prefix = members.text("prefix");
        let to_stdout = members.flag("stdout")?;
        let to_syslog = members.flag("syslog")?.then(|| members.facility());
        let look = members.look()?;
        let access = members.access(&prefix);
        let level = members.level();
        members.backend();
        match level {
            Some(level) => {
                let lines = LinesPlan { level, prefix, to_stdout, to_syslog, look, access };
                draft.logging.lines = Some(lines);
            }
            None => draft.logging.failure = Some("logger: invalid log level".to_owned()),
        }
        members.problems.into_iter().next().map_or(Ok(()), |problem| Err(Fallback::Skip(problem)))
    }
}

impl Members<'_> {
    fn wrong(&mut self, member: &str, what: String, hint: &str) {
        let place = self.block.place_at(&format!("/{}", member.replace('.', "/")));
        self.problems.push(Problem::lenient(place, what).hint(hint));
    }

    /// The original takes what is no text for one without characters.
    fn text(&mut self, member: &str) -> String {
        match self.block.value.get(member) {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(_) => {
                self.wrong(member, format!("{member} must be a text"), "write it in quotes");
                String::new()
            }
        }
    }

    /// # Errors
    /// It is something else: the original ends with a panic then.
    fn flag(&self, member: &str) -> Result<bool, Fallback> {
        match self.block.value.get(member) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => {
                let place = self.block.place_at(&format!("/{member}"));
                let problem = Problem::refuse(place, format!("{member} must be true or false"));
                Err(Fallback::Refuse(problem.hint("without quotes")))
            }
        }
    }

    fn level(&mut self) -> Option<Level> {
        let text = self.text("level");
        // Nothing is written at the original's level between WARNING and INFO.
        let is_notice = text.eq_ignore_ascii_case("NOTICE");
        let level = if is_notice { Some(Level::Warning) } else { Level::parse(&text) };
        if level.is_none() {
            let what = match text.as_str() {
                "" => "level is missing: everything would be logged".to_owned(),
                _ => format!("{text:?} is no level: everything would be logged"),
            };
            self.wrong("level", what, "DEBUG, INFO, WARNING, ERROR and CRITICAL are levels");
        }
        level
    }

    fn facility(&mut self) -> Facility {
        let text = self.text("syslog_facility");
        if text.is_empty() {
            return Facility::default();
        }
        Facility::parse(&text).unwrap_or_else(|| {
            let what = format!("{text:?} is no facility here: {} is used", Facility::default());
            self.wrong("syslog_facility", what, "local0 to local7 are facilities");
            Facility::default()
        })
    }

    /// # Errors
    /// A pattern that is none: the original ends with a panic then.
    fn look(&mut self) -> Result<Look, Fallback> {
        let custom = self.text("custom_format");
        match self.text("format").as_str() {
            "" | "default" => Ok(Look::Default),
            "logstash" => Ok(Look::Logstash),
            "custom" => match Pattern::parse(&custom) {
                Ok(pattern) => {
                    if pattern.shows_unknown() {
                        let place = self.block.place_at("/custom_format");
                        let what = "files and functions are not known here: ??? stands for them";
                        self.problems.push(Problem::warn(place, what));
                    }
                    Ok(Look::Custom(pattern))
                }
                Err(error) => {
                    let place = self.block.place_at("/custom_format");
                    let problem = Problem::refuse(place, format!("custom_format {error}"));
                    Err(Fallback::Refuse(
                        problem.hint("write it like \"%{time:15:04:05} %{level} %{message}\""),
                    ))
                }
            },
            other => {
                let what = format!("{other:?} is no format: the default is used");
                self.wrong("format", what, "default, logstash and custom are formats");
                Ok(Look::Default)
            }
        }
    }

    /// The look of the access log, from an object or from members that say the same.
    fn access(&mut self, prefix: &str) -> Option<AccessPattern> {
        let object = self.block.value.get("access_log");
        if object.is_some_and(|object| !object.is_object()) {
            self.wrong("access_log", "access_log must be an object".to_owned(), "{\"format\": …}");
        }
        for member in object.and_then(Value::as_object).into_iter().flat_map(|it| it.keys()) {
            let is_remark = member.starts_with(['@', '_', '$', '#']);
            if !is_remark
                && !["format", "custom_format", "no_value", "prefix"].contains(&member.as_str())
            {
                let what = format!("access_log knows no {member}");
                let hint = "format, custom_format, no_value and prefix are its members";
                self.wrong(&format!("access_log.{member}"), what, hint);
            }
        }
        let mut format = self.access_text("format", "access_log_format");
        let custom = self.access_text("custom_format", "access_log_custom_format");
        let no_value = self.access_text("no_value", "access_log_missing_key_marker");
        let own_prefix = self.access_text("prefix", "");
        if format.is_none() && custom.is_some() && object.is_some() {
            format = Some("custom".to_owned());
        }
        let pattern = match format.as_deref() {
            None | Some("") => return None,
            Some("default") => DEFAULT,
            Some("httpdCommon") => HTTPD_COMMON,
            Some("httpdCombined" | "httpdCombine") => HTTPD_COMBINED,
            Some("json") => JSON,
            Some("custom") => custom.as_deref().unwrap_or_default(),
            Some(other) => {
                let what = format!("{other:?} is no format of the access log");
                self.wrong("access_log_format", what, ACCESS_FORMATS);
                return None;
            }
        };
        let prefix = own_prefix.as_deref().unwrap_or(prefix);
        match AccessPattern::parse(pattern, prefix, &no_value.unwrap_or_default()) {
            Ok(_) if pattern.is_empty() => {
                let what = "the access log has a custom format that is empty".to_owned();
                self.wrong("access_log_custom_format", what, "write the pattern");
                None
            }
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let what = format!("the access log's format {error}");
                let hint = "prefix, time, statusCode, latency, latencyMs, clientIP, method, path, query, host, scheme, \
                     proto and header.NAME are variables";
                self.wrong("access_log_custom_format", what, hint);
                None
            }
        }
    }

    /// A text of the object `access_log`, or the member that says the same.
    fn access_text(&mut self, inner: &str, outer: &str) -> Option<String> {
        match self.block.value.get("access_log").and_then(|object| object.get(inner)) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                let what = format!("{inner} must be a text");
                self.wrong(&format!("access_log.{inner}"), what, "write it in quotes");
                None
            }
            None => {
                let is_there = self.block.value.get(outer).is_some();
                is_there.then(|| self.text(outer))
            }
        }
    }

    fn backend(&mut self) {
        if self.block.value.get("backend").is_some() {
            let what = "a log of the calls to backends is not built".to_owned();
            self.wrong("backend", what, "--lenient starts without it");
        }
    }
}

#[cfg(test)]
mod tests;
