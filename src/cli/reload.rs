//! `reload` and `upgrade`: tell a running gateway to read its configuration again, or to hand over to a new program.

use std::path::Path;
use std::process::ExitCode;

use crate::server;

use super::FAILED;
use super::args::RunningProcess;
use super::terminal::{Colour, Terminal};

pub fn reload(options: &RunningProcess, terminal: &Terminal) -> ExitCode {
    told(options, "SIGHUP", server::tell_to_reload, terminal)
}

pub fn upgrade(options: &RunningProcess, terminal: &Terminal) -> ExitCode {
    told(options, "SIGUSR2", server::tell_to_hand_over, terminal)
}

fn told(
    options: &RunningProcess,
    signal: &str,
    tell: fn(u32) -> Result<(), String>,
    terminal: &Terminal,
) -> ExitCode {
    match pid(options).and_then(|pid| tell(pid).map(|()| pid)) {
        Ok(pid) => {
            terminal
                .line(format_args!("{signal} was sent to process {pid}; its log tells the rest"));
            ExitCode::SUCCESS
        }
        Err(why) => {
            terminal.line(terminal.paint(Colour::Red, format_args!("ERROR {why}")));
            ExitCode::from(FAILED)
        }
    }
}

fn pid(options: &RunningProcess) -> Result<u32, String> {
    match (options.pid, &options.pid_file) {
        (Some(pid), _) => Ok(pid),
        (None, Some(file)) => pid_of(file),
        (None, None) => Err("no process: give --pid or --pid-file".to_owned()),
    }
}

fn pid_of(file: &Path) -> Result<u32, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    text.trim().parse().map_err(|_| format!("{} holds no process number", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_number_is_told() {
        let file = std::env::temp_dir().join(format!("shoal-pid-{}", std::process::id()));
        std::fs::write(&file, " 4711\n").unwrap();
        assert_eq!(pid_of(&file), Ok(4711));
        std::fs::write(&file, "none").unwrap();
        assert!(pid_of(&file).is_err_and(|why| why.contains("no process number")));
        std::fs::remove_file(&file).unwrap();
        assert!(pid_of(&file).is_err_and(|why| why.contains("cannot read")));
    }
}
