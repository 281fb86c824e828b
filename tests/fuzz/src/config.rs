//! Configuration texts: whatever they hold, they are understood or refused with their place.

use shoal::config::{self, Severity};
use shoal::{features, plan};

use crate::Input;

const FILES: [&str; 3] = ["krakend.json", "krakend.yaml", "krakend.toml"];

/// The first byte chooses the format and whether the start is lenient.
pub fn config(input: &[u8]) {
    let mut input = Input(input);
    let first = usize::from(input.byte());
    let file = FILES[first % FILES.len()];
    let is_lenient = first & 0x80 != 0;
    let env = [("SHOAL_LENIENT".to_owned(), u8::from(is_lenient).to_string())];
    match config::parse(file, input.0, &env) {
        Ok(loaded) => {
            if let Err(problems) = plan::compile(&loaded.service, features::ALL, is_lenient) {
                assert!(problems.iter().any(|problem| problem.severity != Severity::Warn));
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            for problem in &problems {
                assert!(problem.to_string().contains(file), "a problem without its file");
            }
        }
    }
}
