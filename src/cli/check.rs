//! `check`: everything that `run` would find wrong, without starting.

use std::process::ExitCode;

use crate::config::{self, Service};
use crate::features;
use crate::plan;

use super::args::Check;
use super::compat;
use super::dump;
use super::lint;
use super::run::{NO_CONFIG, tell_problems, tell_warnings};
use super::terminal::{Colour, Terminal};
use super::{FAILED, with_leniency};

pub fn check(options: &Check, env: Vec<(String, String)>, terminal: &Terminal) -> ExitCode {
    if options.compat {
        return compat::compat(options.config.as_deref(), options.format, env, terminal);
    }
    let Some(path) = &options.config else {
        terminal.line(terminal.paint(Colour::Red, NO_CONFIG));
        return ExitCode::from(FAILED);
    };
    terminal.line(format_args!("Parsing configuration file: {}", path.display()));
    let env = with_leniency(env, options.lenient);
    let loaded = match config::load(path, &env) {
        Ok(loaded) => loaded,
        Err(problems) => {
            tell_problems(&problems, terminal);
            return ExitCode::from(FAILED);
        }
    };
    tell_warnings(&loaded.warnings, terminal);
    if (options.lint || options.lint_no_network || options.lint_schema.is_some())
        && !lint::lint(&loaded.document, options, terminal)
    {
        return ExitCode::from(FAILED);
    }
    if options.debug > 0 {
        dump::Dump::new(terminal, &options.indent, options.debug).service(&loaded.service);
    }
    if !is_plan_sound(&loaded.service, options, config::is_lenient(&env), terminal) {
        return ExitCode::from(FAILED);
    }
    terminal.line(terminal.paint(Colour::Green, "Syntax OK!"));
    ExitCode::SUCCESS
}

/// Compiles the plan, which finds wrong blocks and conflicting routes. The original looks at neither unless `-t`
/// asks for the routes, so a lenient check lets them pass.
fn is_plan_sound(
    service: &Service,
    options: &Check,
    is_lenient: bool,
    terminal: &Terminal,
) -> bool {
    let problems = match plan::compile(service, features::ALL, is_lenient) {
        Ok(compiled) => {
            tell_warnings(&compiled.warnings, terminal);
            return true;
        }
        Err(problems) => problems,
    };
    if is_lenient && !options.test_routes {
        tell_warnings(&problems, terminal);
        return true;
    }
    tell_problems(&problems, terminal);
    false
}

#[cfg(test)]
mod tests;
