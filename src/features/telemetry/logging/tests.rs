use super::*;
use crate::config;
use crate::plan::feature::ServiceDraft;
use crate::plan::logging::LoggingPlan;
use crate::shared::log::Field;

fn compiled(block: &str) -> (LoggingPlan, Result<(), Fallback>) {
    let file = format!(
        r#"{{"version": 3, "endpoints": [], "extra_config": {{"telemetry/logging": {block}}}}}"#
    );
    let loaded = config::parse("krakend.json", file.as_bytes(), &[]).expect("a configuration");
    let mut draft = ServiceDraft::default();
    let block = loaded.service.extra_config.get("telemetry/logging").expect("a block");
    let result = Logging.compile(block, &mut Site::Service(&mut draft));
    (draft.logging, result)
}

fn right(block: &str) -> LinesPlan {
    let (logging, result) = compiled(block);
    assert!(result.is_ok(), "{block}: {result:?}");
    logging.lines.expect("a plan")
}

/// The plan of a lenient start, and what stops any other.
fn wrong(block: &str) -> (LoggingPlan, Problem) {
    let (logging, result) = compiled(block);
    match result {
        Err(Fallback::Skip(problem)) => {
            assert!(!problem.is_fatal(true), "{block}");
            (logging, problem)
        }
        other => panic!("{block}: {other:?}"),
    }
}

#[test]
fn members_are_read() {
    let plan = right(
        r#"{"level": "warning", "prefix": "[P]", "stdout": true, "syslog": true, "syslog_facility": "LOCAL6"}"#,
    );
    assert_eq!((plan.level, plan.prefix.as_str(), plan.to_stdout), (Level::Warning, "[P]", true));
    assert_eq!(plan.to_syslog, Facility::parse("local6"));
    assert!(matches!(plan.look, Look::Default) && plan.access.is_none());
    let plan = right(r#"{"level": "INFO", "format": "logstash", "syslog": true}"#);
    assert!(matches!(plan.look, Look::Logstash) && !plan.to_stdout);
    assert_eq!(plan.to_syslog, Some(Facility::default()));
    assert_eq!(right(r#"{"level": "NOTICE"}"#).level, Level::Warning);
    let custom = r#"{"level": "DEBUG", "format": "custom", "custom_format": "%{message}"}"#;
    assert!(matches!(right(custom).look, Look::Custom(_)));
}

#[test]
fn a_wrong_level_is_leniently_the_plain_log() {
    for block in [r#"{"level": "loud"}"#, r#"{"level": 3}"#, "{}"] {
        let (logging, problem) = wrong(block);
        assert!(logging.lines.is_none(), "{block}");
        assert_eq!(logging.failure.as_deref(), Some("logger: invalid log level"));
        assert!(problem.is_fatal(false), "{block}");
    }
}

#[test]
fn what_has_the_wrong_value_is_named_and_leniently_left_out() {
    for (block, part) in [
        (r#"{"level": "INFO", "format": "xml"}"#, "xml"),
        (r#"{"level": "INFO", "prefix": 1}"#, "prefix"),
        (r#"{"level": "INFO", "syslog": true, "syslog_facility": "daemon"}"#, "daemon"),
        (r#"{"level": "INFO", "access_log_format": "xml"}"#, "xml"),
        (r#"{"level": "INFO", "access_log_format": "custom"}"#, "empty"),
        (r#"{"level": "INFO", "access_log": {"custom_format": "%{jwt.sub}"}}"#, "jwt.sub"),
        (r#"{"level": "INFO", "access_log": {"no_value": 1}}"#, "no_value"),
        (r#"{"level": "INFO", "access_log": {"color": true}}"#, "color"),
        (r#"{"level": "INFO", "access_log": 1}"#, "access_log"),
        (r#"{"level": "INFO", "backend": {"custom_format": "x"}}"#, "backends"),
    ] {
        let (logging, problem) = wrong(block);
        assert!(logging.lines.is_some() && problem.is_fatal(false), "{block}");
        assert!(problem.what.contains(part) && problem.hint.is_some(), "{block}: {problem}");
    }
    let (logging, problem) = wrong("true");
    assert!(logging.lines.is_none() && logging.failure.is_none() && problem.is_fatal(false));
}

#[test]
fn what_makes_the_original_panic_is_refused() {
    for block in [
        r#"{"level": "INFO", "stdout": "yes"}"#,
        r#"{"level": "INFO", "syslog": 1}"#,
        r#"{"level": "INFO", "format": "custom"}"#,
        r#"{"level": "INFO", "format": "custom", "custom_format": "%{nothing}"}"#,
    ] {
        let (_, result) = compiled(block);
        assert!(matches!(result, Err(Fallback::Refuse(_))), "{block}: {result:?}");
    }
}

#[test]
fn the_access_log_has_formats() {
    let plan = right(r#"{"level": "INFO", "access_log_format": "httpdCombined"}"#);
    let fields = plan.access.expect("a format").fields().to_vec();
    let header = |name: &str| Field::Header(name.into());
    assert_eq!(fields, [Field::Protocol, header("referer"), header("user-agent")]);
    for block in [
        r#"{"level": "INFO", "access_log": {"@comment": "x", "format": "json", "prefix": "[A]"}}"#,
        r#"{"level": "INFO", "access_log": {"custom_format": "%{path}", "no_value": "none"}}"#,
        r#"{"level": "INFO", "access_log_format": "custom", "access_log_custom_format": "%{host}"}"#,
    ] {
        assert!(right(block).access.is_some(), "{block}");
    }
    let unused = r#"{"level": "INFO", "access_log_custom_format": "%{host}"}"#;
    assert!(right(unused).access.is_none(), "the format does not ask for it");
}

#[test]
fn places_in_the_program_are_question_marks_and_said_to_be() {
    let block =
        r#"{"level": "INFO", "format": "custom", "custom_format": "%{shortfile} %{message}"}"#;
    let (logging, problem) = wrong(block);
    assert!(logging.lines.is_some() && !problem.is_fatal(false));
}
