//! The commands and their flags: letters, words and meanings are those of the original.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::config::parse_int;

/// An API gateway that reads krakend.json.
#[derive(Debug, Parser)]
#[command(name = "shoal", disable_version_flag = true, after_help = FIRST_STEPS)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

const FIRST_STEPS: &str = "First steps:
  shoal demo                                  try it, with an upstream of its own
  shoal check -c krakend.json                 is the configuration right?
  shoal check --compat -c krakend.json        what of a KrakenD configuration works here?
  shoal explain GET /v1/users/7 -c krakend.json   which way does a request take?
  shoal run -c krakend.json                   start

'shoal help COMMAND' tells more of a command.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts the gateway
    ///
    /// SIGTERM or SIGINT drains: no new connections, requests in flight are answered, then the process ends. A second
    /// one ends it at once.
    #[command(args_override_self = true, after_help = "Example: shoal run -c krakend.json -p 8080")]
    Run(Run),
    /// Reads a configuration and tells what is wrong with it
    ///
    /// Every mistake is told with its file, line and column. Ends with 0 when the gateway would start, with 1 otherwise.
    #[command(
        args_override_self = true,
        alias = "validate",
        after_help = "Examples:\n  shoal check -tc krakend.json\n  shoal check --compat --format json -c krakend.json"
    )]
    Check(Check),
    /// Starts a gateway with a built-in configuration to try out
    #[command(args_override_self = true)]
    Demo(Demo),
    /// Judges how safe and fast a configuration is
    ///
    /// Writes one line for each of 52 rules that finds something: rule, severity, advice. Ends with 1 when there is any.
    #[command(
        args_override_self = true,
        after_help = "Examples:\n  shoal audit -c krakend.json -s CRITICAL,HIGH\n  \
            shoal audit -c krakend.json -i 2.1.2,3.1.1 -f '{{ marshal . }}'"
    )]
    Audit(Audit),
    /// Says what to use in place of a Go plugin, which cannot be loaded
    #[command(args_override_self = true)]
    CheckPlugin(CheckPlugin),
    /// Says what to use in place of Go plugins, which cannot be loaded
    #[command(args_override_self = true)]
    TestPlugin(TestPlugin),
    /// Prints the JSON Schema of configurations, for editors
    Schema(Schema),
    /// Shows the version
    Version(Version),
    /// Shows the way that a request would take
    ///
    /// Names the route, its parameters, the stages in their order, and each call with its URL. Nothing is called.
    #[command(
        args_override_self = true,
        after_help = "Examples:\n  shoal explain GET /v1/users/7 -c krakend.json\n  \
            shoal explain POST '/v1/orders?dry=1' -c krakend.json --format json"
    )]
    Explain(Explain),
    /// Has a running gateway read its configuration again
    ///
    /// Sends SIGHUP to the process.
    #[command(
        args_override_self = true,
        after_help = "Example: shoal reload --pid-file /run/shoal/shoal.pid"
    )]
    Reload(RunningProcess),
    /// Has a running gateway hand over to the program that is installed now
    ///
    /// Sends SIGUSR2 to the process. It starts the program anew, with its own arguments and listening sockets; once that one
    /// serves, it finishes its requests in flight and ends. If the new one does not start, nothing changes.
    #[command(
        args_override_self = true,
        after_help = "Example: shoal upgrade --pid-file /run/shoal/shoal.pid"
    )]
    Upgrade(RunningProcess),
    /// Writes the completion of this command line for a shell
    #[command(
        after_help = "Example: shoal completion bash >/usr/share/bash-completion/completions/shoal"
    )]
    Completion(Completion),
    /// Writes the manual pages
    ///
    /// Without --out the page of shoal goes to stdout; with it all pages go into the folder.
    #[command(after_help = "Example: shoal man | man -l -")]
    Man(Man),
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
    /// Takes up the configuration again whenever its file changes
    #[arg(long)]
    pub watch: bool,
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
    /// Compares with the schema of all options, and tells every difference
    #[arg(short, long, conflicts_with_all = ["lint_schema", "lint_no_network"])]
    pub lint: bool,
    /// Compares with a schema of one's own, in a file or at an http(s) address
    #[arg(
        short = 's',
        long,
        value_name = "FILE|URL",
        allow_hyphen_values = true,
        conflicts_with = "lint_no_network"
    )]
    pub lint_schema: Option<String>,
    /// The same as --lint: the schema is built in, so no network is needed
    #[arg(short = 'n', long)]
    pub lint_no_network: bool,
    /// Passes blocks that cannot be understood, as the original does
    #[arg(long)]
    pub lenient: bool,
    #[arg(
        long,
        conflicts_with_all = ["lint", "lint_schema", "lint_no_network"],
        help = "Tells of each option whether it works here as in KrakenD; ends with 1 when one is missing"
    )]
    pub compat: bool,
    /// How --compat writes
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, requires = "compat")]
    pub format: Format,
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
pub struct Schema {
    #[arg(hide = true)]
    pub rest: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub struct Version {
    #[arg(hide = true)]
    pub rest: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub struct Explain {
    /// The request's method, such as GET
    #[arg(value_name = "METHOD")]
    pub method: String,
    /// The request's path, with its query if it has one
    #[arg(value_name = "PATH")]
    pub target: String,
    /// Path of the configuration file
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
    pub config: Option<PathBuf>,
    /// How to write
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,
    /// Passes blocks that cannot be understood, as the original does
    #[arg(long)]
    pub lenient: bool,
}

#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub struct RunningProcess {
    /// The process
    #[arg(long, value_name = "NUMBER")]
    pub pid: Option<u32>,
    /// File with the process's number
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct Completion {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, ClapArgs)]
pub struct Man {
    /// Folder for all pages
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// For a person, or for a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Text,
    Json,
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
    fn a_format_is_only_for_the_comparison() {
        assert!(parse("shoal check --format json -c x").is_err());
        assert!(parse("shoal check --compat -l -c x").is_err());
        let Ok(Command::Check(options)) = parse("shoal check --compat --format json") else {
            panic!("the line is right")
        };
        assert_eq!(options.format, Format::Json);
        let plain = parse("shoal check -c x");
        assert!(matches!(plain, Ok(Command::Check(check)) if check.format == Format::Text));
    }

    #[test]
    fn a_reload_needs_one_process() {
        assert!(parse("shoal reload").is_err());
        assert!(parse("shoal reload --pid 1 --pid-file x").is_err());
        assert!(parse("shoal reload --pid 1").is_ok());
    }

    #[test]
    fn the_three_kinds_of_lint_exclude_each_other() {
        for line in ["shoal check -l -s x", "shoal check -n -s x", "shoal check -ln"] {
            let error = parse(line).expect_err("two kinds").to_string();
            assert!(error.contains("--lint"), "{error}");
        }
    }
}
