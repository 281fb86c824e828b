//! What is wrong with a quota is told by its place.

use crate::config;
use crate::features;
use crate::plan;

fn problem(quota: &str) -> Option<String> {
    let text = format!(
        r#"{{"version": 3, "extra_config": {{
            "governance/quota": {quota},
            "governance/processors": {{"quotas": [{{"name": "plans", "connection_name": "r", "rules": [
                {{"name": "gold", "limits": [{{"amount": 10, "unit": "hour"}}]}}]}}]}},
            "redis": {{"connection_pools": [{{"name": "r", "address": "h:1"}}]}}}}}}"#
    );
    let loaded = config::parse("krakend.json", text.as_bytes(), &[]).expect("right");
    let lenient = plan::compile(&loaded.service, features::ALL, true);
    assert!(lenient.is_ok(), "{quota}: a lenient start has no quotas");
    plan::compile(&loaded.service, features::ALL, false).err().map(|found| found[0].to_string())
}

#[test]
fn what_makes_no_sense_is_named() {
    let right = r#"{"quota_name": "plans", "tier_key": "X-Plan", "tiers": [
        {"rule_name": "gold", "tier_value": "gold", "key": "X-User"},
        {"rule_name": "gold", "tier_value_as": "*", "strategy": "ip"}]}"#;
    assert_eq!(problem(right), None);
    for (quota, place) in [
        ("{}", "quota_name"),
        (r#"{"quota_name": "plan"}"#, "known are: plans"),
        (r#"{"quota_name": "plans"}"#, "tiers"),
        (
            r#"{"quota_name": "plans", "tiers": [{"rule_name": "silver", "tier_value_as": "*", "strategy": "ip"}]}"#,
            "tiers[0].rule_name",
        ),
        (
            r#"{"quota_name": "plans", "tiers": [{"rule_name": "gold", "tier_value_as": "*"}]}"#,
            "a tier needs a key",
        ),
        (
            r#"{"quota_name": "plans", "tiers": [{"rule_name": "gold", "tier_value_as": "*", "strategy": "jwt", "key": "sub"}]}"#,
            "tiers[0].strategy",
        ),
        (
            r#"{"quota_name": "plans", "tiers": [{"rule_name": "gold", "tier_value_as": "policy", "strategy": "ip"}]}"#,
            "not built yet",
        ),
        (
            r#"{"quota_name": "plans", "tiers": [{"rule_name": "gold", "tier_value": "a", "strategy": "ip"}]}"#,
            "tier_key",
        ),
        (
            r#"{"quota_name": "plans", "tiers": [{"rule_name": "gold", "tier_value_as": "*", "strategy": "param", "key": "id"}]}"#,
            "tiers[0].key",
        ),
    ] {
        let told = problem(quota).unwrap_or_else(|| panic!("{quota} is right"));
        assert!(told.contains(place) && told.contains("hint"), "{quota}: {told}");
    }
}
