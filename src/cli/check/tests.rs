//! Broken configurations, each with the whole text that is told about it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::run::told;
use crate::config::{self, Problem};
use crate::features;
use crate::plan;

struct Case {
    name: String,
    files: Vec<(String, String)>,
    env: Vec<(String, String)>,
    told: String,
}

fn cases(text: &str) -> Vec<Case> {
    text.split("=== ").skip(1).map(case).collect()
}

fn case(text: &str) -> Case {
    let (name, rest) = text.split_once('\n').expect("a name");
    let mut case =
        Case { name: name.to_owned(), files: Vec::new(), env: Vec::new(), told: String::new() };
    for part in format!("\n{rest}").split("\n--- ").skip(1) {
        let (title, body) = part.split_once('\n').unwrap_or((part, ""));
        match title {
            "env" => {
                let pairs = body.lines().filter_map(|line| line.split_once('='));
                case.env = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            }
            "told" => body.trim_end().clone_into(&mut case.told),
            file => case.files.push((file.to_owned(), body.to_owned())),
        }
    }
    case
}

fn write(case: &Case, told: &str, out: &mut String) {
    out.push_str(&format!("=== {}\n", case.name));
    let files = case.files.iter().map(|(name, text)| (name.as_str(), text.clone()));
    let env = case
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("\n");
    let env = Some(("env", env)).filter(|(_, env)| !env.is_empty());
    for (title, body) in files.chain(env).chain([("told", told.to_owned())]) {
        out.push_str(&format!("--- {title}\n"));
        out.push_str(&body);
        if !body.is_empty() && !body.ends_with('\n') {
            out.push('\n');
        }
    }
}

/// What `check` says of the case's files, in a folder of their own whose name is cut off.
fn outcome(case: &Case, folder: &Path) -> String {
    let _ = fs::remove_dir_all(folder);
    for (name, text) in &case.files {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("a file");
    }
    let below = |(name, value): &(String, String)| {
        let is_folder = name.starts_with("FC_") && name != "FC_ENABLE";
        (
            name.clone(),
            if is_folder { folder.join(value).display().to_string() } else { value.clone() },
        )
    };
    let env: Vec<_> = case.env.iter().map(below).collect();
    let problems = problems(&folder.join(&case.files[0].0), &env);
    let _ = fs::remove_dir_all(folder);
    assert!(!problems.is_empty(), "{}: nothing is wrong", case.name);
    told(&problems).replace(&format!("{}/", folder.display()), "")
}

fn problems(file: &Path, env: &[(String, String)]) -> Vec<Problem> {
    match config::load(file, env) {
        Err(problems) => problems,
        Ok(loaded) => match plan::compile(&loaded.service, features::ALL, false) {
            Ok(compiled) => [loaded.warnings, compiled.warnings].concat(),
            Err(problems) => [loaded.warnings, problems].concat(),
        },
    }
}

#[test]
fn golden_problems() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/problems");
    let is_blessed = std::env::var_os("SHOAL_BLESS").is_some();
    let folder = std::env::temp_dir().join(format!("shoal-problems-{}", std::process::id()));
    let mut files: Vec<PathBuf> = fs::read_dir(&golden)
        .expect("the records")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "txt"));
    files.sort();
    let (mut count, mut differences) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).expect("a record");
        let mut blessed = String::new();
        for case in cases(&text) {
            let found = outcome(&case, &folder);
            write(&case, &found, &mut blessed);
            count += 1;
            if found != case.told {
                differences.push(format!("=== {}\nwant:\n{}\ngot:\n{found}", case.name, case.told));
            }
        }
        if is_blessed {
            fs::write(&file, blessed).expect("the records can be written");
        }
    }
    assert!(count >= 60, "{count} cases");
    assert!(is_blessed || differences.is_empty(), "{}", differences.join("\n"));
}
