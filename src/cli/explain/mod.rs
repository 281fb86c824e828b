//! `explain METHOD PATH`: the way that a request would take through a configuration. Nothing is called.

mod find;
mod parts;
mod text;
mod way;

use std::process::ExitCode;

use crate::config;
use crate::features;
use crate::plan;

use super::args::{Explain, Format};
use super::run::{NO_CONFIG, tell_problems, tell_warnings};
use super::terminal::{Colour, Terminal};
use super::{FAILED, with_leniency};

/// Runs the command: 0 when an endpoint, or the gateway itself, would answer; 1 when there is no such route.
pub fn explain(options: &Explain, env: Vec<(String, String)>, terminal: &Terminal) -> ExitCode {
    let Some(path) = &options.config else {
        terminal.line(terminal.paint(Colour::Red, NO_CONFIG));
        return ExitCode::from(FAILED);
    };
    let env = with_leniency(env, options.lenient);
    let is_lenient = config::is_lenient(&env);
    let loaded = config::load(path, &env);
    let compiled = loaded.and_then(|loaded| {
        let compiled = plan::compile(&loaded.service, features::ALL, is_lenient)?;
        Ok((loaded, compiled))
    });
    let (loaded, compiled) = match compiled {
        Ok(compiled) => compiled,
        Err(problems) => {
            tell_problems(&problems, terminal);
            return ExitCode::from(FAILED);
        }
    };
    tell_warnings(&loaded.warnings, terminal);
    tell_warnings(&compiled.warnings, terminal);
    let request = (options.method.as_str(), options.target.as_str());
    let way = find::way(&loaded.service, &compiled.plan, is_lenient, request);
    let out = Terminal::stdout();
    match options.format {
        Format::Text => text::write(&way, &out),
        Format::Json => match serde_json::to_string_pretty(&way) {
            Ok(json) => out.line(json),
            Err(error) => terminal.line(format_args!("ERROR {error}")),
        },
    }
    if way.is_answered() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

#[cfg(test)]
mod tests;
