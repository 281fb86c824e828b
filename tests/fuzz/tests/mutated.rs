//! Every target on mutated seeds, from a seeded generator: what CI runs where there is no nightly compiler.
//!
//! A failure prints the input; `SHOAL_FUZZ_SEED` and `SHOAL_FUZZ_MS` (per target) make other and longer runs.

use std::fs;
use std::panic;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time for one target unless told otherwise; the rounds of one run are the first of a longer one.
const TARGET_MS: u64 = 2_000;
/// Growing inputs stop here.
const INPUT_BYTES_MAX: usize = 4_096;

/// xorshift: small, and the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder of ours").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file of ours")).collect()
}

/// The dictionary that a target uses: its own, or the one that it shares with others.
fn dictionary_of(target: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dictionaries");
    if folder.join(format!("{target}.dict")).exists() {
        return target.to_owned();
    }
    let table = fs::read_to_string(folder.join("shared")).expect("a file of ours");
    let mut rows = table.lines().filter_map(|line| line.split_once(' '));
    let found = rows.find(|(name, _)| *name == target);
    found.unwrap_or_else(|| panic!("{target} has no dictionary")).1.to_owned()
}

/// The entries of a dictionary in libFuzzer's form: one in quotes a line, with `\xNN`, `\"` and `\\`.
fn dictionary(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("dictionaries/{name}.dict"));
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| unescaped(line[1..line.len() - 1].as_bytes(), line)).collect()
}

fn unescaped(mut text: &[u8], line: &str) -> Vec<u8> {
    let mut entry = Vec::new();
    while let Some((&first, rest)) = text.split_first() {
        text = rest;
        if first != b'\\' {
            entry.push(first);
        } else if let Some(hex) = rest.strip_prefix(b"x") {
            let digits = std::str::from_utf8(&hex[..2]).expect("two digits");
            entry.push(
                u8::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("no entry: {line}")),
            );
            text = &hex[2..];
        } else {
            entry.push(rest[0]);
            text = &rest[1..];
        }
    }
    entry
}

fn mutated(numbers: &mut Numbers, seeds: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
    let mut input = numbers.one(seeds).clone();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(input.len() + 1);
        let until = (at + numbers.below(12)).min(input.len());
        match numbers.below(7) {
            0 => drop(input.drain(at..until)),
            1 => {
                let copy = input[at..until].to_vec();
                input.splice(at..at, copy);
            }
            2 => drop(input.splice(at..until.min(at + 1), [numbers.below(256) as u8])),
            3 => input.truncate(at),
            4 => {
                let other = numbers.one(seeds);
                let from = numbers.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => drop(input.splice(at..at, numbers.one(words).iter().copied())),
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn no_target_panics_on_mutated_seeds() {
    let limit = Duration::from_millis(variable("SHOAL_FUZZ_MS", TARGET_MS));
    let seed = variable("SHOAL_FUZZ_SEED", 0x9e37_79b9_7f4a_7c15).max(1);
    let mut failures = Vec::new();
    // Configuration may nest deeply; a core has as much stack.
    let run = move || {
        for &(name, target) in shoal_fuzz::ALL {
            let (seeds, words) =
                (files(&format!("seeds/{name}")), dictionary(&dictionary_of(name)));
            let mut numbers = Numbers(seed);
            let (begin, mut rounds) = (Instant::now(), 0u64);
            let mut inputs = seeds.clone();
            while begin.elapsed() < limit {
                let input = inputs.pop().unwrap_or_else(|| mutated(&mut numbers, &seeds, &words));
                rounds += 1;
                if panic::catch_unwind(|| target(&input)).is_err() {
                    failures.push(format!("{name}: {}", input.escape_ascii()));
                    break;
                }
            }
            println!("{name}: {rounds} inputs");
        }
        failures
    };
    let thread = std::thread::Builder::new().stack_size(16 * 1024 * 1024).spawn(run);
    let failures = thread.expect("a thread").join().expect("panics are caught");
    assert!(failures.is_empty(), "inputs that a target does not stand:\n{}", failures.join("\n"));
}

#[test]
fn every_target_has_its_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in shoal_fuzz::ALL {
        assert!(folder.join(format!("fuzz_targets/{name}.rs")).exists(), "{name}");
        assert!(!files(&format!("seeds/{name}")).is_empty(), "{name}");
        assert!(!dictionary(&dictionary_of(name)).is_empty(), "{name}");
    }
}
