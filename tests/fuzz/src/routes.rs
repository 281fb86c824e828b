//! The route trie against a matcher that tries one route after another.

use shoal::message::path::RequestTarget;
use shoal::message::route_params::RouteParams;
use shoal::plan::route::{Found, RouteOptions, RoutesBuilder, clean_path, location};

use crate::Input;

const METHODS: [&str; 3] = ["GET", "POST", "PUT"];

/// The values of a route's parameters when the route fits the path as a whole.
fn fits<'p>(route: &str, path: &'p [u8]) -> Option<Vec<&'p [u8]>> {
    let (mut values, mut rest) = (Vec::new(), path);
    let mut route = route.as_bytes();
    while let Some((&first, behind)) = route.split_first() {
        match first {
            b'*' => {
                // A catch-all keeps the slash before it.
                let start = path.len() - rest.len() - 1;
                values.push(&path[start..]);
                return Some(values);
            }
            b':' => {
                let name = behind.iter().position(|&byte| byte == b'/').unwrap_or(behind.len());
                let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
                values.push(&rest[..end]);
                (route, rest) = (&behind[name..], &rest[end..]);
            }
            _ => {
                rest = rest.strip_prefix(&[first])?;
                route = behind;
            }
        }
    }
    rest.is_empty().then_some(values)
}

/// Lines of the input are routes (`GET /a/:b`) up to an empty one; the rest are paths.
pub fn routes(input: &[u8]) {
    let mut input = Input(input);
    let flags = input.byte();
    let options = RouteOptions {
        redirect_trailing_slash: flags & 1 != 0,
        redirect_fixed_path: flags & 2 != 0,
        handle_method_not_allowed: flags & 4 != 0,
        remove_extra_slash: flags & 8 != 0,
    };
    let mut builder = RoutesBuilder::new(options);
    let mut added: Vec<(&str, String)> = Vec::new();
    while !input.0.is_empty() {
        let line = input.until(b'\n');
        if line.is_empty() {
            break;
        }
        let Ok(route) = std::str::from_utf8(&line[1..]) else { return };
        let method = METHODS[usize::from(line[0]) % METHODS.len()];
        let id = u32::try_from(added.len()).expect("a short input");
        if builder.add(method, route, id).is_err() {
            return;
        }
        added.push((method, route.to_owned()));
    }
    let routes = builder.build();
    while !input.0.is_empty() {
        let path = input.until(b'\n');
        if path.first() != Some(&b'/') {
            continue;
        }
        for method in METHODS {
            let mut params = RouteParams::default();
            let found = routes.find(method.as_bytes(), path, &mut params);
            let searched = params.cleaned.clone().unwrap_or_else(|| path.into());
            check(&added, method, path, &searched, &params, &found);
        }
    }
}

fn check(
    added: &[(&str, String)],
    method: &str,
    path: &[u8],
    searched: &[u8],
    params: &RouteParams,
    found: &Found,
) {
    let is_clean =
        |route: &str| *clean_path(route.as_bytes()) == *route.as_bytes() && !route.contains('\\');
    // A route without parameters that is the path is always found.
    let exact = added.iter().position(|(other, route)| {
        *other == method
            && is_clean(route)
            && !route.contains([':', '*'])
            && route.as_bytes() == searched
    });
    if let Some(exact) = exact {
        assert_eq!(*found, Found::Endpoint(u32::try_from(exact).expect("a short input")));
    }
    match found {
        Found::Endpoint(id) => {
            let (other, route) = &added[*id as usize];
            assert_eq!(*other, method);
            if is_clean(route) {
                let values: Vec<&[u8]> = params.iter(path).collect();
                assert_eq!(
                    fits(route, searched),
                    Some(values),
                    "{route} for {}",
                    path.escape_ascii()
                );
            }
        }
        Found::MethodNotAllowed { allow } => {
            assert!(!allow.is_empty());
            assert!(allow.split(", ").all(|name| added.iter().any(|(other, _)| *other == name)));
        }
        Found::Redirect(redirect) => {
            assert_eq!(redirect.code, if method == "GET" { 301 } else { 307 });
            if let Ok(target) = RequestTarget::parse(method.as_bytes(), path) {
                let location = location(&target, redirect, None);
                let header = location.header();
                let is_here = header.starts_with(b"/") && !header.starts_with(b"//");
                assert!(is_here, "{redirect:?} for {}", path.escape_ascii());
            }
        }
        Found::NotFound => {}
    }
}
