//! Templates from their text and their files to the configuration, and what is told when they fail.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value as Json, json};

use super::*;

/// A folder that goes when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("shoal-template-{}-{number}", std::process::id()));
        for (name, text) in files {
            let file = path.join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, text).expect("a file");
        }
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn load(&self, env: &[(&str, &str)]) -> Result<crate::config::Loaded, Vec<Problem>> {
        let mut all = vec![("FC_ENABLE".to_owned(), "1".to_owned())];
        for (name, value) in env {
            let is_path = name.starts_with("FC_");
            all.push((
                (*name).to_owned(),
                if is_path { self.path(value) } else { (*value).to_owned() },
            ));
        }
        crate::config::load(&self.0.join("krakend.tmpl"), &all)
    }

    /// The problems, with the folder's name cut off.
    fn problems(&self, env: &[(&str, &str)]) -> Vec<String> {
        let problems = self.load(env).expect_err("problems");
        let folder = format!("{}/", self.0.display());
        problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn rendered(text: &str, settings: &Json, env: &[(&str, &str)]) -> Result<String, Problem> {
    let source =
        SourceFile { file: "krakend.tmpl".into(), name: "krakend.tmpl".into(), text: text.into() };
    let env: Vec<_> =
        env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    executed(Limits::default(), vec![source], value::from_json(settings), &env)
        .map(|(text, _, _)| text)
}

#[test]
fn templates_come_out_as_the_original_renders_them() {
    let records = include_str!("../../../tests/golden/templates/sprig.jsonl");
    let settings = include_str!("../../../tests/golden/templates/settings.json");
    let settings: Json = serde_json::from_str(settings).expect("settings");
    let mut differences = Vec::new();
    for line in records.lines() {
        let record: Json = serde_json::from_str(line).expect("a record");
        let template = record["template"].as_str().expect("a template");
        let found = rendered(template, &settings, &[]);
        let got = found.as_ref().ok().map(String::as_str);
        if got != record["result"].as_str() {
            differences.push(format!(
                "{template}\n  want {:?}\n  got  {found:?}",
                record["result"].as_str()
            ));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn variables_of_the_environment_are_read_and_expanded() {
    let env = [("HOST", "a.example"), ("PORT", "80")];
    let text =
        r#"{{ env "HOST" }} {{ env "NONE" | default "d" }} {{ expandenv "$HOST:${PORT}/$" }}"#;
    assert_eq!(rendered(text, &json!({}), &env).expect("text"), "a.example d a.example:80/$");
}

#[test]
fn a_template_can_neither_run_for_ever_nor_grow_without_bound() {
    for (text, what) in [
        (r#"{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}"#, "levels deep"),
        (
            r#"{{ define "a" }}{{ range until 40 }}{{ template "b" }}{{ end }}{{ end }}{{ define "b" }}{{ range until 400 }}{{ range until 400 }}x{{ end }}{{ end }}{{ end }}{{ template "a" }}"#,
            "actions",
        ),
        (r"{{ range until 2000000 }}x{{ end }}", "no count|numbers"),
        (
            r#"{{ $x := "xxxxxxxxxxxxxxxx" }}{{ range until 60 }}{{ $x = print $x $x }}{{ end }}"#,
            "longer than",
        ),
        (r#"{{ repeat 999999 (repeat 999999 "x") }}"#, "longer than"),
        (r#"{{ $x := repeat 9000000 "x" }}"#, "no count"),
        (r#"{{ $x := repeat 900000 "x" }}{{ range until 100 }}{{ $x }}{{ end }}"#, "larger than"),
        (
            r"{{ $d := dict }}{{ range $i := until 3000 }}{{ $c := $d }}{{ range $d }}{{ end }}{{ $_ := set $d (print $i) $c }}{{ end }}",
            "too often|too deeply",
        ),
    ] {
        let problem = rendered(text, &json!({}), &[]).expect_err(text).to_string();
        assert!(what.split('|').any(|what| problem.contains(what)), "{text}: {problem}");
    }
}

#[test]
fn failures_name_the_template_the_line_and_a_way_out() {
    for (text, expected) in [
        (
            "{\n  \"name\": {{ uper \"x\" }}\n}",
            "krakend.tmpl:2:14\n    template: function \"uper\" not defined\n    hint: did you mean \"upper\"?",
        ),
        (
            "{\n{{ if true }}\n",
            "krakend.tmpl:3:1\n    template: unexpected EOF\n    hint: the {{ if }} of line 2 has no {{ end }}",
        ),
        ("{{ end }} more", "krakend.tmpl:1:1\n    template: unexpected {{end}}"),
        (
            "a\n b {{ fail \"the port is missing\" }}",
            "krakend.tmpl:2:7\n    template: error calling fail: the port is missing",
        ),
        (
            "{{ range until .n }}{{ end }}",
            "krakend.tmpl:1:4\n    template: error calling until: wrong type for value; expected int; got float64 \
             (numbers of settings are float64: convert with int)",
        ),
        (
            "{{ define \"users\" }}{{ end }}\n{{ template \"user\" }}",
            "krakend.tmpl:2:4\n    template: template \"user\" not defined\n    hint: did you mean \"users\"?",
        ),
        (
            "{{ genPrivateKey \"rsa\" }}",
            "krakend.tmpl:1:4\n    template: error calling genPrivateKey: this function is left out: make secrets \
             elsewhere and pass them in with env",
        ),
    ] {
        let problem = rendered(text, &json!({"n": 2}), &[]).expect_err(text);
        assert_eq!(problem.to_string(), expected, "{text}");
    }
}

#[test]
fn files_of_settings_partials_and_templates_come_together() {
    let folder = Folder::with(&[
        (
            "krakend.tmpl",
            "{ \"version\": 3, \"port\": {{ .service.port }},\n{{ include \"name.txt\" }}{{ include \"none\" }}\
             \"endpoints\": [{{ template \"one.tmpl\" .service }}] }",
        ),
        ("s/service.json", r#"{"port": 8081, "path": "/a"}"#),
        ("s/ignored.txt", "no settings"),
        ("p/name.txt", "\"name\": \"partial {{ .x }}\","),
        (
            "t/one.tmpl",
            r#"{"endpoint": "{{ .path }}", "backend": [{"url_pattern": "/", "host": ["http://h"]}]}"#,
        ),
    ]);
    let env =
        [("FC_SETTINGS", "s"), ("FC_PARTIALS", "p"), ("FC_TEMPLATES", "t"), ("FC_OUT", "out.json")];
    let loaded = folder.load(&env).expect("a configuration");
    assert_eq!((loaded.service.port, loaded.service.name.as_str()), (8081, "partial {{ .x }}"));
    assert_eq!(loaded.service.endpoints[0].endpoint, "/a");
    let out = fs::read_to_string(folder.path("out.json")).expect("the result");
    assert!(out.contains("\"endpoint\": \"/a\""), "{out}");
}

#[test]
fn the_result_is_json_unless_its_file_says_otherwise() {
    let folder = Folder::with(&[("krakend.tmpl", "version: 3\nname: {{ \"x\" }}\n")]);
    assert!(folder.load(&[]).is_err());
    let loaded = folder.load(&[("FC_OUT", "out.yaml")]).expect("YAML");
    assert_eq!(loaded.service.name, "x");
    assert!(folder.load(&[("FC_OUT", "none/out.yaml")]).is_err());
}

#[test]
fn problems_of_the_result_are_told_at_their_place_in_the_template() {
    let folder = Folder::with(&[
        (
            "krakend.tmpl",
            "{\n\"version\": 3,\n{{ if true }}\n\"timeout\": \"{{ .s.timeout }}\", \"nmae\": 1{{ end }},\n\n\
          \"endpoints\": [ {{ template \"e.tmpl\" }} ] }",
        ),
        ("s/s.json", r#"{"timeout": "soon"}"#),
        ("t/e.tmpl", "{\n \"endpoint\": \"/__health\" }"),
    ]);
    let problems = folder.problems(&[("FC_SETTINGS", "s"), ("FC_TEMPLATES", "t")]);
    let places: Vec<_> =
        problems.iter().filter_map(|problem| problem.split_whitespace().next()).collect();
    assert_eq!(places.first(), Some(&"krakend.tmpl:4:12"), "{problems:?}");
    assert!(places.contains(&"krakend.tmpl:4:32"), "{problems:?}");
    assert!(places.iter().any(|place| place.starts_with("t/e.tmpl:")), "{problems:?}");
}

#[test]
fn settings_that_cannot_be_read_are_all_told() {
    let folder = Folder::with(&[
        ("krakend.tmpl", "{}"),
        ("s/a.json", "{\n \"x\": }"),
        ("s/b.json", "[1]"),
        ("s/c.json", "{}"),
    ]);
    let problems = folder.problems(&[("FC_SETTINGS", "s"), ("FC_TEMPLATES", "none")]);
    assert_eq!(
        problems,
        [
            "s/a.json:2:7\n    invalid character '}' looking for beginning of value",
            "s/b.json:1:1\n    json: cannot unmarshal array into Go value of type map[string]interface {}\n    \
             hint: settings are objects: { \"name\": … }",
            "none\n    open none: no such file or directory\n    hint: FC_TEMPLATES names a folder",
        ]
    );
}

#[test]
fn after_a_failed_template_the_file_is_read_as_it_is() {
    let folder = Folder::with(&[("krakend.tmpl", "{ \"version\": 3, {{ fail \"no\" }} }")]);
    let problems = folder.problems(&[]);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].contains("krakend.tmpl:1:20") && problems[0].contains("calling fail: no"),
        "{problems:?}"
    );
    assert!(problems[1].contains("read as it is"), "{problems:?}");
    // What is a configuration without its template starts only when leniency is asked for.
    let folder =
        Folder::with(&[("krakend.tmpl", "{ \"version\": 3, \"name\": \"{{ fail `no` }}\" }")]);
    assert_eq!(folder.problems(&[]).len(), 1);
    let loaded = folder.load(&[("SHOAL_LENIENT", "1")]).expect("the raw file");
    assert_eq!((loaded.service.name.as_str(), loaded.warnings.len()), ("{{ fail `no` }}", 1));
}

#[test]
fn the_documentation_names_every_function_and_no_other() {
    let page = include_str!("../../../docs/flexible-configuration.md");
    let listed = page.split("## Functions").nth(1).expect("the list");
    let mut listed: Vec<&str> = listed
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| !matches!(*word, "UTC" | "Local"))
        .collect();
    let mut known: Vec<&str> =
        natives::names().into_iter().chain(functions::LEFT_OUT.iter().copied()).collect();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known);
}

#[test]
fn a_partial_without_an_end_is_none() {
    let text = r#"[{{ include "/dev/zero" }}]"#;
    assert_eq!(rendered(text, &json!({}), &[]).expect("a result"), "[]");
}

#[test]
fn a_rendering_ends_at_the_limits_that_it_is_given() {
    let limits = Limits { steps_max: 100, result_bytes_max: 1000, ..Limits::default() };
    let failure = |text: &str| match render_within(limits, "f", text.as_bytes(), &[]) {
        Err(Failure::Template(problem)) => problem.what,
        _ => panic!("{text} ends"),
    };
    let many = "{{ range until 1000 }}x{{ end }}";
    assert_eq!(failure(many), "template: more than 100 actions: does a template call itself?");
    let large = "{{ repeat 600 \"x\" }}{{ repeat 600 \"x\" }}";
    assert_eq!(failure(large), "template: the result is larger than 1000 bytes");
}

#[test]
fn values_that_contain_themselves_or_are_too_much_are_refused() {
    let failure = |text: &str| rendered(text, &json!({}), &[]).expect_err(text).what;
    let too_much = "the value is too large, or nested too deeply";
    for (text, function) in [
        ("{{ $d := dict }}{{ $_ := set $d \"a\" $d }}{{ toJson $d }}", "error calling toJson: "),
        ("{{ $d := dict }}{{ $_ := set $d \"a\" $d }}{{ $d }}", ""),
        ("{{ $x := list 1 }}{{ range until 100000 }}{{ $x = list $x }}{{ end }}", ""),
        ("{{ $d := dict }}{{ range until 100000 }}{{ $_ := set $d \"a\" $d }}{{ end }}", ""),
        (
            "{{ $d := dict }}{{ range until 100000 }}{{ set $d \"a\" $d | len }}{{ end }}",
            "error calling set: ",
        ),
        (
            "{{ $d := dict }}{{ range $i := until 100000 }}{{ merge $d (dict (print $i) $d) | len }}{{ end }}",
            "error calling merge: ",
        ),
        ("{{ $x := list 1 }}{{ range until 40 }}{{ $x = list $x $x }}{{ end }}", ""),
        (
            "{{ $x := repeat 1000000 \"x\" }}{{ print (list $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x
            $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x
            $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x) }}",
            "error calling print: ",
        ),
    ] {
        assert_eq!(failure(text), format!("template: {function}{too_much}"), "{text}");
    }
    for (text, function) in [
        ("{{ $x := repeat 1000 \"x\" }}{{ join $x (until 100000) }}", "join"),
        ("{{ $x := repeat 10000 \"x\" }}{{ regexReplaceAll \"x\" $x $x }}", "regexReplaceAll"),
    ] {
        let expected = format!("template: error calling {function}: the text would be longer than");
        assert!(failure(text).starts_with(&expected), "{text}: {}", failure(text));
    }
}
