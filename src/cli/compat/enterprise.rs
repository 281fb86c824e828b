//! What belongs to the original's Enterprise edition: its Community edition leaves it alone, and so does Shoal.

/// Namespaces; an entry that ends in a slash stands for all that begin with it.
const NAMESPACES: &[&str] = &[
    "ai/",
    "async/kafka",
    "auth/api-keys",
    "auth/aws-sigv4",
    "auth/basic",
    "auth/gcp",
    "auth/ntlm",
    "backend/conditional",
    "backend/grpc",
    "backend/pubsub/publisher/",
    "backend/pubsub/subscriber/",
    "backend/soap",
    "backend/static-filesystem",
    "grpc",
    "modifier/body-generator",
    "modifier/jmespath",
    "modifier/request-body-",
    "modifier/response-",
    "plugin/middleware",
    "qos/circuit-breaker/http",
    "qos/ratelimit/tiered",
    "security/policies",
    "server/",
    "telemetry/moesif",
    "telemetry/newrelic",
    "telemetry/opentelemetry-security",
    "validation/response-json-schema",
    "websocket",
    "workflow",
];

/// Members of blocks that the Community edition has.
const MEMBERS: &[(&str, &str)] = &[
    ("auth/revoker", "revoke_server_api_key"),
    ("auth/revoker", "revoke_server_max_retries"),
    ("auth/revoker", "revoke_server_max_workers"),
    ("auth/revoker", "revoke_server_ping_interval"),
    ("auth/revoker", "revoke_server_ping_url"),
    ("backend/http/client", "client_tls"),
    ("backend/http/client", "no_redirect"),
    ("backend/http/client", "proxy_address"),
    ("proxy", "decompress_gzip"),
    ("proxy", "max_payload"),
    ("redis", "clusters"),
    ("telemetry/logging", "access_log"),
    ("telemetry/logging", "backend"),
];

/// Whether a block, or one member of it, needs the Enterprise edition.
pub fn has(namespace: &str, member: Option<&str>) -> bool {
    let is_named = |name: &&str| match name.ends_with(['/', '-']) {
        true => namespace.starts_with(*name),
        false => namespace == *name || namespace.strip_prefix(*name) == Some("/redis"),
    };
    match member {
        Some(member) => MEMBERS.contains(&(namespace, member)),
        None => NAMESPACES.iter().any(is_named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_known_by_their_beginning() {
        assert!(has("ai/llm", None) && has("modifier/response-body", None));
        assert!(has("qos/ratelimit/tiered/redis", None) && has("websocket", None));
        assert!(!has("auth/validator", None) && !has("mine", None));
        assert!(has("proxy", Some("max_payload")) && !has("proxy", Some("sequential")));
    }
}
