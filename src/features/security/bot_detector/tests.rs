use serde_json::{Value, json};

use super::super::testing::{ask, block, compile, inner, problem, stage};
use super::*;
use crate::plan::feature::EndpointDraft;

fn status(stage: &dyn EndpointStage, agent: Option<&str>) -> u16 {
    let headers: Vec<(&str, &str)> = agent.map(|agent| ("User-Agent", agent)).into_iter().collect();
    ask(stage, "GET /", &headers, inner(200)).status
}

fn check(value: &Value, table: &[(&str, u16)]) {
    for cache_size in [0, 2] {
        let mut value = value.clone();
        value["cache_size"] = json!(cache_size);
        let stage = stage(&BotDetector, &value);
        // Twice: the second time from the cache.
        for (agent, expected) in table.iter().chain(table) {
            assert_eq!(status(&*stage, Some(agent)), *expected, "{agent:?}");
        }
    }
}

#[test]
fn lists_come_before_patterns_and_want_the_whole_value() {
    let block = json!({"allow": ["Good_bot/1"], "deny": ["a", "Bad/2"],
        "patterns": ["_bot/", "^curl/", "(?i)crawler", "\\d{8}"]});
    check(
        &block,
        &[
            ("Mozilla/5.0", 200),
            ("Good_bot/1", 200),
            ("Good_bot/2", 403),
            ("Bad/2", 403),
            ("bad/2", 200),
            ("Bad/2.1", 200),
            ("curl/8", 403),
            ("libcurl/8", 200),
            ("My CRAWLER", 403),
            ("12345678", 403),
            ("\u{661}2345678", 200),
            ("", 200),
        ],
    );
}

#[test]
fn no_agent_is_a_bot_where_the_block_says_so_whatever_the_lists_say() {
    let without = stage(&BotDetector, &json!({"deny": [""], "patterns": [".*"]}));
    assert_eq!(status(&*without, None), 200);
    let with = stage(&BotDetector, &json!({"allow": [""], "empty_user_agent_is_bot": true}));
    assert_eq!((status(&*with, None), status(&*with, Some(""))), (403, 403));
}

#[test]
fn the_first_of_two_agents_counts() {
    let stage = stage(&BotDetector, &json!({"deny": ["b"]}));
    let headers = [("User-Agent", "a"), ("User-Agent", "b")];
    assert_eq!(ask(&*stage, "GET /", &headers, inner(200)).status, 200);
}

#[test]
fn the_cache_is_bounded_and_long_agents_are_not_kept() {
    let rules = |size: i64| {
        let block = block(&BotDetector, &json!({"patterns": ["x"], "cache_size": size}));
        Arc::new(Rules::compile(decode(&block).unwrap(), &block).unwrap())
    };
    assert_eq!(rules(1 << 40).cache_entries, CACHE_ENTRIES_MAX);
    let rules = rules(2);
    let stage = Stage {
        patterns: rules.patterns.clone(),
        rules,
        cache: Some(RefCell::new(LruCache::new(NonZeroUsize::new(2).unwrap()))),
    };
    for agent in ["a", "b", "x", "a"] {
        assert_eq!(stage.is_bot(agent.as_bytes()), agent == "x");
    }
    assert!(stage.is_bot("x".repeat(CACHED_AGENT_BYTES_MAX + 1).as_bytes()));
    let cache = stage.cache.as_ref().unwrap().borrow();
    let kept: Vec<_> = cache.iter().map(|(agent, is_bot)| (&**agent, *is_bot)).collect();
    assert_eq!(kept, [(&b"a"[..], false), (&b"x"[..], true)]);
}

#[test]
fn an_endpoint_has_a_detector_of_its_own() {
    let block = block(&BotDetector, &json!({"deny": ["b"]}));
    let mut draft = EndpointDraft::default();
    BotDetector.compile(&block, &mut Site::Endpoint(&mut draft)).unwrap();
    let (slot, build) = draft.stages.pop().unwrap();
    assert_eq!(slot, EndpointSlot::BotDetector);
    assert_eq!(status(&*build(), Some("b")), 403);
}

#[test]
fn what_is_wrong_leaves_the_detector_out() {
    for (value, path) in [
        (json!({"patterns": ["a", "(unclosed"], "deny": ["b"]}), "patterns[1]"),
        (json!({"cache_size": -1}), "cache_size"),
        (json!({"deny": "b"}), "security/bot-detector"),
        (json!({"cache_size": 1.5}), "security/bot-detector"),
        (json!([]), "security/bot-detector"),
    ] {
        let problem = problem(&BotDetector, &value);
        assert!(problem.is_fatal(false) && !problem.is_fatal(true), "{problem}");
        assert!(problem.place.path.ends_with(path), "{problem}");
        assert!(compile(&BotDetector, &value).0.is_none(), "{value}");
    }
}
