use super::*;
use crate::message::path::{self, RequestTarget};

fn routes(options: RouteOptions, list: &[&str]) -> Routes {
    let mut builder = RoutesBuilder::new(options);
    for (id, line) in list.iter().enumerate() {
        let (method, route) = line.split_once(' ').unwrap();
        builder.add(method, route, u32::try_from(id).unwrap()).unwrap();
    }
    builder.build()
}

fn describe(routes: &Routes, method: &str, path: &str) -> String {
    let mut params = Params::default();
    let found = routes.find(method.as_bytes(), path.as_bytes(), &mut params);
    let values: Vec<_> = params
        .iter(path.as_bytes())
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect();
    match found {
        Found::Endpoint(id) => format!("{id} [{}]", values.join(",")),
        Found::Redirect(redirect) => {
            format!("{} {}", redirect.code, String::from_utf8_lossy(&redirect.path))
        }
        Found::MethodNotAllowed { allow } => format!("405 {allow}"),
        Found::NotFound => "404".into(),
    }
}

fn conflict(list: &[&str]) -> String {
    let mut builder = RoutesBuilder::new(RouteOptions::default());
    let mut added = list.iter().map(|route| builder.add("GET", route, 0));
    added.find_map(Result::err).map_or_else(|| "none".into(), |conflict| conflict.to_string())
}

#[test]
fn a_word_wins_over_a_parameter_on_every_level() {
    let routes = routes(
        RouteOptions::default(),
        &[
            "GET /shop/:section",
            "GET /shop/items",
            "GET /shop/items/:item",
            "GET /shop/items/featured",
            "GET /",
        ],
    );
    assert_eq!(describe(&routes, "GET", "/shop/items"), "1 []");
    assert_eq!(describe(&routes, "GET", "/shop/item"), "0 [item]");
    assert_eq!(describe(&routes, "GET", "/shop/items/featured"), "3 []");
    assert_eq!(describe(&routes, "GET", "/shop/items/feature"), "2 [feature]");
    assert_eq!(describe(&routes, "GET", "/"), "4 []");
}

#[test]
fn a_word_that_leads_nowhere_is_left_for_the_parameter() {
    let routes = routes(RouteOptions::default(), &["GET /a/b/c", "GET /a/:x/d", "GET /:y/b/e"]);
    assert_eq!(describe(&routes, "GET", "/a/b/d"), "1 [b]");
    assert_eq!(describe(&routes, "GET", "/a/b/e"), "2 [a]");
}

#[test]
fn an_empty_segment_fits_a_parameter_in_the_middle_but_not_at_the_end() {
    let routes = routes(
        RouteOptions::default(),
        &["GET /users/:id/orders", "GET /v:version/x", "GET /par/:id"],
    );
    assert_eq!(describe(&routes, "GET", "/users//orders"), "0 []");
    assert_eq!(describe(&routes, "GET", "/v/x"), "1 []");
    assert_eq!(describe(&routes, "GET", "/par/"), "404");
}

#[test]
fn a_redirect_needs_a_route_of_the_same_method() {
    let routes =
        routes(RouteOptions::default(), &["GET /one", "GET /two/", "POST /post", "GET /Mixed/:id"]);
    assert_eq!(describe(&routes, "GET", "/one/"), "301 /one");
    assert_eq!(describe(&routes, "GET", "/two"), "301 /two/");
    assert_eq!(describe(&routes, "POST", "/post/"), "307 /post");
    assert_eq!(describe(&routes, "GET", "/post/"), "404");
    assert_eq!(describe(&routes, "GET", "/mIXED/AbC"), "301 /Mixed/AbC");
    assert_eq!(describe(&routes, "GET", "//x/..//ONE/"), "301 /one");
}

#[test]
fn methods_are_told_in_the_order_of_their_first_route() {
    let several =
        routes(RouteOptions::default(), &["PUT /x", "GET /m", "POST /m", "PUT /m", "DELETE /:any"]);
    assert_eq!(describe(&several, "HEAD", "/m"), "405 PUT, GET, POST, DELETE");
    assert_eq!(describe(&several, "get", "/x"), "405 PUT, DELETE");
    let silent = RouteOptions { handle_method_not_allowed: false, ..RouteOptions::default() };
    assert_eq!(describe(&routes(silent, &["GET /m"]), "POST", "/m"), "404");
}

#[test]
fn extra_slashes_are_removed_on_demand_and_values_are_those_of_the_clean_path() {
    let options = RouteOptions { remove_extra_slash: true, ..RouteOptions::default() };
    let routes = routes(options, &["GET /res/:id", "GET /plain"]);
    assert_eq!(describe(&routes, "GET", "//res///1"), "0 [1]");
    assert_eq!(describe(&routes, "GET", "/x/../res/1"), "0 [1]");
    assert_eq!(describe(&routes, "GET", "/plain//"), "301 /plain/");
}

#[test]
fn a_route_that_conflicts_is_named_as_gin_names_it() {
    assert_eq!(conflict(&["/x", "/x"]), "handlers are already registered for path '/x'");
    assert_eq!(
        conflict(&["/u/:b", "/u/:a/x"]),
        "':a' in new path '/u/:a/x' conflicts with existing wildcard ':b' in existing prefix '/u/:b'"
    );
    assert_eq!(conflict(&["/u/:"]), "wildcards must be named with a non-empty name in path '/u/:'");
    assert_eq!(
        conflict(&["/a:b:c"]),
        "only one wildcard per path segment is allowed, has: ':b:c' in path '/a:b:c'"
    );
    assert_eq!(
        conflict(&["/*a/b"]),
        "catch-all routes are only allowed at the end of the path in path '/*a/b'"
    );
    assert_eq!(
        conflict(&["/a/b/c", "/a/", "/a/*x"]),
        "catch-all wildcard '*x' in new path '/a/*x' conflicts with existing path segment 'b' in existing prefix '/a/b'"
    );
    assert_eq!(conflict(&["/a*x"]), "no / before catch-all in path '/a*x'");
    assert_eq!(conflict(&["/a\\x"]), "invalid escape string in path '/a\\x'");
    assert_eq!(conflict(&["/a/:id", "/a/:id/b", "/a/x", "/a/:id/:other"]), "none");
}

#[test]
fn the_names_of_parameters_run_to_the_next_slash() {
    assert_eq!(param_names("/a/:id/v:version.json/x\\:y/*rest"), ["id", "version.json", "rest"]);
    assert!(param_names("/a/b").is_empty());
}

#[test]
fn a_long_route_keeps_more_than_eight_parameters() {
    let path = "/1/2/3/4/5/6/7/8/9/10";
    let route = (0..10).map(|at| format!("/:p{at}")).collect::<Vec<_>>().concat();
    let routes = routes(RouteOptions::default(), &[&format!("GET {route}")]);
    assert_eq!(describe(&routes, "GET", path), "0 [1,2,3,4,5,6,7,8,9,10]");
}

#[test]
fn a_location_never_leads_to_another_host() {
    let routes = routes(RouteOptions::default(), &["GET /:a/:b"]);
    let target = RequestTarget::parse(b"GET", b"//evil.example/").unwrap();
    let Found::Redirect(redirect) = routes.find(b"GET", target.path, &mut Params::default()) else {
        panic!("no redirect")
    };
    assert_eq!(location(&target, &redirect, None).header(), &b"/evil.example"[..]);
}

/// Replays what gin itself did with random routes and paths: thousands of lookups, conflicts and locations.
///
/// `S -tfmx` starts a set with these options on; `A method route id [conflict]` adds a route;
/// `Q method target prefix result` is a request: `E<id> values…`, `R<code> location [link]`, `M methods values…`,
/// `N values…` or `B` for 400. A percent sign alone is the empty text.
#[test]
fn random_routes_behave_as_they_do_in_gin() {
    let golden = include_str!("../../../tests/golden/routes/gin.txt");
    let mut replayed = 0;
    let mut builder = RoutesBuilder::new(RouteOptions::default());
    let mut routes = None;
    let mut set = Vec::new();
    for line in golden.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        match fields[0] {
            "S" => {
                builder = RoutesBuilder::new(options(fields[1]));
                routes = None;
                set = vec![line];
            }
            "A" => {
                set.push(line);
                let added = builder.add(fields[1], &plain(fields[2]), fields[3].parse().unwrap());
                let conflict = added.err().map(|conflict| conflict.to_string());
                assert_eq!(conflict, fields.get(4).map(|text| plain(text)), "{set:#?}");
            }
            _ => {
                let done =
                    std::mem::replace(&mut builder, RoutesBuilder::new(RouteOptions::default()));
                let routes = routes.get_or_insert_with(|| done.build());
                assert_eq!(replay(routes, &fields), fields[4..].join(" "), "{line} of {set:#?}");
                replayed += 1;
            }
        }
    }
    assert!(replayed > 1000);
}

fn options(flags: &str) -> RouteOptions {
    RouteOptions {
        redirect_trailing_slash: flags.contains('t'),
        redirect_fixed_path: flags.contains('f'),
        handle_method_not_allowed: flags.contains('m'),
        remove_extra_slash: flags.contains('x'),
    }
}

fn replay(routes: &Routes, fields: &[&str]) -> String {
    let (method, raw) = (fields[1].as_bytes(), bytes(fields[2]));
    let prefix = bytes(fields[3]);
    let Ok(target) = RequestTarget::parse(method, &raw) else { return "B".into() };
    let mut buffer = Vec::new();
    let decoded = path::decode(target.path, &mut buffer).unwrap();
    let mut params = Params::default();
    let found = routes.find(method, decoded, &mut params);
    let values: Vec<String> =
        params.iter(decoded).map(|value| format!(" {}", written(value))).collect();
    let values = values.concat();
    match found {
        Found::Endpoint(id) => format!("E{id}{values}"),
        Found::MethodNotAllowed { allow } => format!("M {}{values}", allow.replace(' ', "")),
        Found::NotFound => format!("N{values}"),
        Found::Redirect(redirect) => {
            let location = location(&target, &redirect, (!prefix.is_empty()).then_some(&prefix));
            let mut text = format!("R{} {}", redirect.code, written(&location.header()));
            if method == b"GET" {
                let page = String::from_utf8(location.body()).unwrap();
                let link = page
                    .strip_prefix("<a href=\"")
                    .and_then(|page| page.strip_suffix("\">Moved Permanently</a>.\n\n"));
                text = [text, written(link.unwrap().as_bytes())].join(" ");
            }
            text
        }
    }
}

fn bytes(text: &str) -> Vec<u8> {
    if text == "%" {
        return Vec::new();
    }
    let mut out = Vec::new();
    path::decode(text.as_bytes(), &mut out).unwrap().to_vec()
}

fn plain(text: &str) -> String {
    String::from_utf8_lossy(&bytes(text)).into_owned()
}

fn written(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "%".into();
    }
    let kept = b"/._~-:*\\@!$&'(),;=+?";
    let write = |&byte: &u8| match byte {
        _ if byte.is_ascii_alphanumeric() || kept.contains(&byte) => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    bytes.iter().map(write).collect()
}
