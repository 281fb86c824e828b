//! `shoal/admin`: where the node shows its status to people and programs.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::plan::feature::{Fallback, Feature, Scope, Site, decode};

pub struct Admin;

#[derive(Deserialize)]
struct Options {
    address: String,
}

impl Feature for Admin {
    fn namespace(&self) -> &'static str {
        "shoal/admin"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["address"])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        let options: Options = decode(block)?;
        let Ok(address) = options.address.parse::<SocketAddr>() else {
            let what = format!("{:?} is no address with a port", options.address);
            let problem = Problem::lenient(block.place_at("/address"), what);
            let hint = "write it like \"127.0.0.1:8091\", or \"[::]:8091\" for all interfaces";
            return Err(Fallback::Skip(problem.hint(hint)));
        };
        draft.admin = Some(address);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config;
    use crate::features;
    use crate::plan;

    fn compiled(block: &str) -> Result<Option<std::net::SocketAddr>, String> {
        let text = format!(r#"{{"version": 3, "extra_config": {{"shoal/admin": {block}}}}}"#);
        let loaded = config::parse("krakend.json", text.as_bytes(), &[]).expect("right");
        match plan::compile(&loaded.service, features::ALL, false) {
            Ok(compiled) => Ok(compiled.plan.admin),
            Err(problems) => Err(problems[0].to_string()),
        }
    }

    #[test]
    fn an_address_has_a_port() {
        let address = compiled(r#"{"address": "127.0.0.1:8091"}"#).expect("right");
        assert_eq!(address.map(|address| address.port()), Some(8091));
        let problem = compiled(r#"{"address": "localhost"}"#).expect_err("no port");
        assert!(problem.contains("shoal/admin.address") && problem.contains("hint"), "{problem}");
        assert!(compiled("{}").expect_err("no address").contains("address"));
    }
}
