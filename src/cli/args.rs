//! The commands and their flags: letters, words and meanings are those of the original.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand};

use crate::config::parse_int;

/// An API gateway that reads krakend.json.
#[derive(Debug, Parser)]
#[command(name = "shoal", disable_version_flag = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts the gateway
    #[command(args_override_self = true)]
    Run(Run),
    /// Reads a configuration and tells what is wrong with it
    #[command(args_override_self = true, alias = "validate")]
    Check(Check),
    /// Starts a gateway with a built-in configuration to try out
    #[command(args_override_self = true)]
    Demo(Demo),
    /// Judges how safe and fast a configuration is
    #[command(args_override_self = true)]
    Audit(Audit),
    /// Compares a plugin's dependencies with those of the gateway
    #[command(args_override_self = true)]
    CheckPlugin(CheckPlugin),
    /// Tries to load plugins
    #[command(args_override_self = true)]
    TestPlugin(TestPlugin),
    /// Shows the version
    Version(Version),
}

#[derive(Debug, ClapArgs)]
pub struct Run {
    /// Path of the configuration file
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
    pub config: Option<PathBuf>,
    /// Switches the debug endpoint on
    #[arg(short, long, action = ArgAction::Count)]
    pub debug: u8,
    /// Port to listen on, instead of the configuration's
    #[arg(short, long, value_name = "PORT", allow_hyphen_values = true, value_parser = port)]
    pub port: Option<i64>,
    /// Starts in spite of blocks that cannot be understood, as the original does
    #[arg(long)]
    pub lenient: bool,
    /// The original leaves further words alone.
    #[arg(hide = true)]
    pub rest: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub struct Check {
    /// Path of the configuration file
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
    pub config: Option<PathBuf>,
    /// Tells how the configuration was understood; more of it when repeated
    #[arg(short, long, action = ArgAction::Count)]
    pub debug: u8,
    /// Builds the routes, too, and finds those that conflict
    #[arg(short, long = "test-gin-routes")]
    pub test_routes: bool,
    /// What the lines of -d are indented with
    #[arg(
        short,
        long,
        value_name = "TEXT",
        default_value = "\t",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub indent: String,
    /// Compares with the official schema
    #[arg(short, long, conflicts_with_all = ["lint_schema", "lint_no_network"])]
    pub lint: bool,
    /// Compares with a schema of one's own
    #[arg(
        short = 's',
        long,
        value_name = "FILE",
        allow_hyphen_values = true,
        conflicts_with = "lint_no_network"
    )]
    pub lint_schema: Option<String>,
    /// Compares with the built-in schema
    #[arg(short = 'n', long)]
    pub lint_no_network: bool,
    /// Passes blocks that cannot be understood, as the original does
    #[arg(long)]
    pub lenient: bool,
    #[arg(hide = true)]
    pub rest: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub struct Demo {
    /// Port to listen on
    #[arg(short, long, value_name = "PORT")]
    pub port: Option<u16>,
}

#[derive(Debug, ClapArgs)]
pub struct Audit {
    /// Path of the configuration file
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
    pub config: Option<PathBuf>,
    /// Rules to leave out, separated by commas
    #[arg(short, long, value_name = "RULES")]
    pub ignore: Option<String>,
    /// Severities to tell of, separated by commas
    #[arg(short, long, value_name = "LIST", default_value = "CRITICAL,HIGH,MEDIUM,LOW")]
    pub severity: String,
    /// File with rules to leave out, one a line
    #[arg(short = 'I', long, value_name = "FILE")]
    pub ignore_file: Option<PathBuf>,
    /// Template for the findings
    #[arg(short, long, value_name = "TEMPLATE")]
    pub format: Option<String>,
    #[arg(hide = true)]
    pub rest: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub struct CheckPlugin {
    /// The plugin's go.sum
    #[arg(short, long, value_name = "FILE", default_value = "./go.sum")]
    pub sum: PathBuf,
    /// Version of Go that the plugin is built with
    #[arg(short, long, value_name = "VERSION")]
    pub go: Option<String>,
    /// Version of the C library that the plugin is built with
    #[arg(short, long, value_name = "VERSION")]
    pub libc: Option<String>,
    /// Writes the commands that would mend the differences
    #[arg(short, long)]
    pub format: bool,
    #[arg(hide = true)]
    pub rest: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub struct TestPlugin {
    /// The files are HTTP server plugins
    #[arg(short, long)]
    pub server: bool,
    /// The files are HTTP client plugins
    #[arg(short, long)]
    pub client: bool,
    /// The files are request and response modifiers
    #[arg(short, long)]
    pub modifier: bool,
    /// The plugins
    #[arg(value_name = "FILES")]
    pub files: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct Version {
    #[arg(hide = true)]
    pub rest: Vec<OsString>,
}

/// Any whole number is accepted here, as by the original; whether it is a port shows when it is listened on.
fn port(text: &str) -> Result<i64, &'static str> {
    parse_int(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Args::try_parse_from(line.split(' ')).map(|args| args.command)
    }

    #[test]
    fn flags_may_be_joined_and_repeated() {
        let Ok(Command::Check(options)) =
            parse("shoal check -dtdic ~~ x.json -c a.json -c=b.json more -d")
        else {
            panic!("the line is right")
        };
        // `i` takes the rest of its cluster, so `c` is its value here, as with the original.
        assert_eq!((options.debug, options.test_routes, options.indent.as_str()), (3, true, "c"));
        assert_eq!(options.config, Some("b.json".into()));
    }

    #[test]
    fn ports_are_any_whole_number() {
        let port = |line| match parse(line) {
            Ok(Command::Run(options)) => options.port,
            _ => None,
        };
        assert_eq!(port("shoal run -p 99999"), Some(99999));
        assert_eq!(port("shoal run --port=0x50"), Some(80));
        assert_eq!(port("shoal run -p -1"), Some(-1));
        assert!(parse("shoal run -p http").is_err());
    }

    #[test]
    fn the_three_kinds_of_lint_exclude_each_other() {
        for line in ["shoal check -l -s x", "shoal check -n -s x", "shoal check -ln"] {
            let error = parse(line).expect_err("two kinds").to_string();
            assert!(error.contains("--lint"), "{error}");
        }
    }
}
