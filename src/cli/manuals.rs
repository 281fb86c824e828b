//! `completion` and `man`: what shells and `man` know of the command line, made from its definition.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;

use super::FAILED;
use super::args::{Args, Completion, Man};
use super::terminal::{Colour, Terminal};

pub fn completion(options: &Completion) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut Args::command(), "shoal", &mut text);
    // A closed pipe is the reader's wish, not a failure.
    let _ = io::stdout().lock().write_all(&text);
    ExitCode::SUCCESS
}

pub fn man(options: &Man, terminal: &Terminal) -> ExitCode {
    let (what, result) = match &options.out {
        Some(folder) => (folder.display().to_string(), pages(folder)),
        None => ("the page".to_owned(), page()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal
                .line(terminal.paint(Colour::Red, format_args!("cannot write {what}: {error}")));
            ExitCode::from(FAILED)
        }
    }
}

fn page() -> io::Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Args::command()).render(&mut text)?;
    let _ = io::stdout().lock().write_all(&text);
    Ok(())
}

/// `shoal.1` and one page for each command, as `shoal-check.1`.
fn pages(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Args::command(), folder)
}
