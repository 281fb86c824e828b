use super::*;

mod broken;

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn right(text: &str) -> Service {
    parse("krakend.json", text.as_bytes(), &[]).expect("the text is right").service
}

fn told(file: &str, text: &str, variables: &[(&str, &str)]) -> Vec<Problem> {
    parse(file, text.as_bytes(), &env(variables))
        .map_or_else(|problems| problems, |loaded| loaded.warnings)
}

#[test]
fn every_mistake_is_told_with_its_position_and_the_text_of_the_original() {
    for (file, text, expected) in broken::BROKEN {
        let problems = told(file, text, &[]);
        let lines: Vec<_> = problems
            .iter()
            .map(|problem| {
                format!("{}:{} {}", problem.place.line, problem.place.column, problem.what)
            })
            .collect();
        assert_eq!(&lines, expected, "{file}: {text}");
    }
}

#[test]
fn a_problem_inside_an_endpoint_names_it_and_says_what_it_offers() {
    let text = r#"{"version": 3, "endpoints": [{"endpoint": "/users/{id}", "backend": [{"url_pattern": "/v1/{user}"}]}]}"#;
    let problem = told("krakend.json", text, &[]).remove(0);
    assert_eq!(
        problem.to_string(),
        "krakend.json:1:86  endpoints[0] GET /users/{id} → backend[0].url_pattern\n    \
         undefined output param 'user'! endpoint: GET /users/:id, backend: 0. input: [id], output: [user]\n    \
         hint: the endpoint's path offers {id}; claims are written {JWT.sub}, earlier answers {resp0_id}"
    );
}

#[test]
fn what_is_inherited_is_filled_in() {
    let service = right(
        r#"{"version": "3", "Host": "a.b:80", "timeout": "3s", "cache_ttl": "500ms", "output_encoding": "xml",
            "endpoints": [{"endpoint": "x/{id}", "method": "post", "input_headers": "x-a",
                           "backend": [{}, {"host": ["c.d/"], "method": "put", "encoding": "rss"}]}]}"#,
    );
    let endpoint = &service.endpoints[0];
    assert_eq!((endpoint.endpoint.as_str(), endpoint.route.as_str()), ("/x/{id}", "/x/:id"));
    assert_eq!(
        (endpoint.method.as_str(), endpoint.params.as_slice()),
        ("POST", &["id".to_owned()][..])
    );
    assert_eq!((endpoint.timeout, endpoint.cache_ttl.as_s()), (Millis::from_s(3), 0));
    assert_eq!((endpoint.output_encoding.as_str(), endpoint.concurrent_calls), ("xml", 1));
    assert_eq!(endpoint.input_headers, ["X-A"]);
    let [first, second] = &endpoint.backend[..] else { panic!("two backends") };
    assert_eq!((first.host[0].url.as_str(), first.method.as_str()), ("http://a.b:80", "POST"));
    assert_eq!((first.url_pattern.as_str(), first.sd_scheme.as_str()), ("/", "http"));
    assert_eq!((second.host[0].url.as_str(), second.method.as_str()), ("http://c.d", "PUT"));
    assert_eq!(second.encoding, "rss");
}

#[test]
fn the_root_has_the_defaults_of_the_original() {
    let service = right(r#"{"version": 3.7, "port": 0, "dns_cache_ttl": "10ms"}"#);
    assert_eq!((service.port, service.timeout, service.listen_ip), (8080, Millis::from_s(2), None));
    assert_eq!((service.client.max_idle_connections_per_host, service.dns_cache_ttl), (250, None));
}

#[test]
fn idle_connections_per_host_are_250_for_zero_and_none_below() {
    for (written, kept) in [("0", 250), ("7", 7), ("-1", 0)] {
        let text = format!(r#"{{"version": 3, "max_idle_connections_per_host": {written}}}"#);
        assert_eq!(right(&text).client.max_idle_connections_per_host, kept, "{written}");
    }
}

#[test]
fn a_no_op_endpoint_makes_its_backend_no_op() {
    let service = right(
        r#"{"version": 3, "endpoints": [{"endpoint": "/", "output_encoding": "no-op", "backend": [{"encoding": "xml"}]}]}"#,
    );
    assert_eq!(service.endpoints[0].backend[0].encoding, "no-op");
}

#[test]
fn keys_match_in_any_case_and_the_exact_one_wins() {
    assert_eq!(right(r#"{"VERSION": 3, "port": 82, "PORT": 83}"#).port, 82);
}

#[test]
fn a_variable_is_named_where_it_is_wrong() {
    let problem =
        told("krakend.json", r#"{"version": 3}"#, &[("KRAKEND_PORT", "tcp://10.0.0.1:80")])
            .remove(0);
    let text = problem.to_string();
    assert!(text.starts_with("KRAKEND_PORT  port\n"), "{text}");
    assert!(text.contains("enableServiceLinks"), "{text}");
}

#[test]
fn variables_that_are_no_keys_are_left_alone() {
    let variables =
        [("KRAKEND_MADE_UP", "x"), ("KRAKEND_HOST", "c.d"), ("KRAKEND_DEBUG_ENDPOINT", "true")];
    let loaded = parse("krakend.json", br#"{"version": 3, "host": ["a", "b"]}"#, &env(&variables))
        .expect("right");
    assert_eq!(loaded.warnings, []);
    assert_eq!(
        (loaded.service.host[0].url.as_str(), loaded.service.debug_endpoint),
        ("http://c.d", true)
    );
}

#[test]
fn leniency_lets_pass_what_the_original_lets_pass() {
    let text = br#"{"version": 3, "port": 99999, "timeout": "-1s"}"#;
    assert!(parse("krakend.json", text, &[]).is_err());
    let loaded = parse("krakend.json", text, &env(&[("SHOAL_LENIENT", "1")])).expect("lenient");
    assert_eq!(
        (loaded.service.port, loaded.service.timeout, loaded.warnings.len()),
        (0, Millis::from_ns(1), 2)
    );
    assert!(parse("krakend.json", b"{\"version\": 2}", &env(&[("SHOAL_LENIENT", "1")])).is_err());
}

#[test]
fn agents_are_completed() {
    let service = right(
        r#"{"version": 3, "timeout": "4s", "host": ["a"], "async_agent": [
            {"name": "n", "consumer": {"workers": "0"}, "backend": {"url_pattern": "/x"}, "extra_config": {"async/amqp": {}}}]}"#,
    );
    let expected = serde_json::json!({
        "name": "n", "consumer": {"workers": 1, "timeout": "4s"}, "connection": {"health_interval": "1s"},
        "backend": [{"url_pattern": "/x", "method": "GET", "host": ["http://a"]}], "extra_config": {"async/amqp": {}},
    });
    assert_eq!(service.async_agents, [expected]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let problems = load(Path::new("none.json"), &[]).expect_err("no such file");
    assert_eq!(problems[0].to_string(), "none.json\n    open none.json: no such file or directory");
}

#[test]
fn the_three_formats_say_the_same() {
    let texts = [
        (
            "a.json",
            r#"{"version": 3, "endpoints": [{"endpoint": "/a/{x}", "backend": [{"url_pattern": "/{x}", "host": ["h"]}]}]}"#,
        ),
        (
            "a.yml",
            "version: 3\nendpoints:\n- endpoint: /a/{x}\n  backend:\n  - url_pattern: /{x}\n    host: [h]\n",
        ),
        (
            "a.toml",
            "version = 3\n[[endpoints]]\nendpoint = '/a/{x}'\n[[endpoints.backend]]\nurl_pattern = '/{x}'\nhost = 'h'\n",
        ),
    ];
    for (file, text) in texts {
        let service = parse(file, text.as_bytes(), &[]).expect("right").service;
        let endpoint = &service.endpoints[0];
        assert_eq!(
            (endpoint.route.as_str(), endpoint.backend[0].host[0].url.as_str()),
            ("/a/:x", "http://h"),
            "{file}"
        );
    }
}
