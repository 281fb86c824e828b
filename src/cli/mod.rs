//! The command line: which commands there are, and what their exit statuses mean (spec 1.12).
//!
//! Commands of the original speak on stderr and help goes to stdout; what programs may want to read (`explain`,
//! `check --compat`, completions, manual pages) goes to stdout, too. 0 is success, 1 a check that failed,
//! 255 a command line that cannot be understood or a gateway that does not start on its configuration.

mod args;
mod audit;
mod check;
mod compat;
mod dump;
mod explain;
mod lint;
mod manuals;
mod plugins;
mod reload;
mod run;
mod terminal;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use args::{Args, Command};
use terminal::Terminal;

/// What cobra's `os.Exit(-1)` becomes.
const UNUSABLE: u8 = 255;
const FAILED: u8 = 1;

/// Runs one command; `args` are those of the process, its own name first.
pub fn run(args: Vec<OsString>) -> ExitCode {
    if args.len() < 2 {
        return help();
    }
    let env = environment();
    let terminal = Terminal::stderr();
    match Args::try_parse_from(args) {
        Ok(Args { command }) => match command {
            Command::Run(options) => run::run(&options, env, &terminal),
            Command::Check(options) => check::check(&options, env, &terminal),
            Command::Demo(options) => run::demo(&options, &terminal),
            Command::Audit(options) => audit::audit(&options, &env, &terminal),
            Command::CheckPlugin(options) => plugins::check_plugin(&options, &terminal),
            Command::TestPlugin(options) => plugins::test_plugin(&options, &terminal),
            Command::Schema(_) => lint::schema(),
            Command::Version(_) => version::version(&terminal),
            Command::Explain(options) => explain::explain(&options, env, &terminal),
            Command::Reload(options) => reload::reload(&options, &terminal),
            Command::Upgrade(options) => reload::upgrade(&options, &terminal),
            Command::Completion(options) => manuals::completion(&options),
            Command::Man(options) => manuals::man(&options, &terminal),
        },
        Err(error) => refuse(&error),
    }
}

fn help() -> ExitCode {
    // A closed pipe is the reader's wish, not a failure.
    let _ = Args::command().print_help();
    ExitCode::SUCCESS
}

fn refuse(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp => ExitCode::SUCCESS,
        _ => ExitCode::from(UNUSABLE),
    }
}

/// The process's variables; those that are no text are left out.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Lets `--lenient` count as the variable does.
fn with_leniency(mut env: Vec<(String, String)>, is_lenient: bool) -> Vec<(String, String)> {
    if is_lenient {
        env.push(("SHOAL_LENIENT".to_owned(), "1".to_owned()));
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_commands_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_flag_is_as_good_as_the_variable() {
        use crate::config::is_lenient;
        let env = vec![("SHOAL_LENIENT".to_owned(), "0".to_owned())];
        assert!(!is_lenient(&with_leniency(env.clone(), false)));
        assert!(is_lenient(&with_leniency(env, true)));
    }
}
