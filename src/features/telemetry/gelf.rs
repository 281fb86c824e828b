//! `telemetry/gelf`: log lines and the access log go to Graylog.

use serde_json::Value;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::plan::feature::{Fallback, Feature, Scope, Site};
use crate::plan::logging::GelfPlan;

pub struct Gelf;

impl Feature for Gelf {
    fn namespace(&self) -> &'static str {
        "telemetry/gelf"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["address", "enable_tcp"])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        if !block.value.is_object() {
            let problem = Problem::lenient(block.place.clone(), "the block must be an object");
            return Err(Fallback::Skip(problem.hint("write {\"address\": \"host:port\"}")));
        }
        // The original panics when one of them has another type.
        let refuse = |member: &str, what: &str, hint: &str| {
            let problem = Problem::refuse(block.place_at(&format!("/{member}")), what);
            Err(Fallback::Refuse(problem.hint(hint)))
        };
        let over_tcp = match block.value.get("enable_tcp") {
            None => false,
            Some(Value::Bool(over_tcp)) => *over_tcp,
            Some(_) => {
                return refuse("enable_tcp", "enable_tcp must be true or false", "without quotes");
            }
        };
        let address = match block.value.get("address") {
            None => "",
            Some(Value::String(address)) => address,
            Some(_) => return refuse("address", "address must be a text", "\"host:port\""),
        };
        let failure = match address {
            "" => Some("missing addr to send gelf logs".to_owned()),
            _ if is_address(address) => None,
            _ => Some(format!("address {address}: missing port in address")),
        };
        if let Some(failure) = failure {
            let problem = Problem::lenient(block.place_at("/address"), failure.clone());
            draft.logging.gelf_failure = Some(failure);
            return Err(Fallback::Skip(problem.hint("write \"address\": \"host:port\"")));
        }
        let place = block.place.clone();
        draft.logging.gelf = Some(GelfPlan { address: address.to_owned(), over_tcp, place });
        Ok(())
    }
}

/// `host:port` or `[::1]:port`.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_whole = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
    is_whole && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for right in ["graylog:12201", "10.0.0.1:1", "[::1]:12201", ":12201"] {
            assert!(is_address(right), "{right}");
        }
        for wrong in ["graylog", "graylog:", "graylog:x", "::1:12201", "graylog:0", "a:70000"] {
            assert!(!is_address(wrong), "{wrong}");
        }
    }
}
