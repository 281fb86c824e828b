use proptest::prelude::*;
use shoal::message::route_params::RouteParams;
use shoal::plan::route::{Found, RouteOptions, RoutesBuilder};

const OPTIONS: RouteOptions = RouteOptions {
    redirect_trailing_slash: false,
    redirect_fixed_path: false,
    handle_method_not_allowed: true,
    remove_extra_slash: false,
};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Word(String),
    Param,
    /// The rest of the path, slash included; only at the end.
    Rest,
}

type Route = Vec<Segment>;

/// Few letters, so that words share beginnings and paths hit.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab]{1,3}", 1 => "[a-c]{1,5}"]
}

fn route() -> impl Strategy<Value = Route> {
    let segment = prop_oneof![3 => word().prop_map(Segment::Word), 1 => Just(Segment::Param)];
    (prop::collection::vec(segment, 1..5), prop::bool::weighted(0.1)).prop_map(
        |(mut route, rest)| {
            route.extend(rest.then_some(Segment::Rest));
            route
        },
    )
}

/// In the router's form; parameters of one place have one name, as the router wants it.
fn text(route: &Route) -> String {
    let part = |(at, segment): (usize, &Segment)| match segment {
        Segment::Word(word) => format!("/{word}"),
        Segment::Param => format!("/:p{at}"),
        Segment::Rest => "/*rest".to_owned(),
    };
    route.iter().enumerate().map(part).collect()
}

/// A route and the values of its parameters.
type Hit = (usize, Vec<String>);

/// gin has no way back from a parameter that took the last segment it can: the path then has no route at all.
struct DeadEnd;

/// The naive search: at each segment words before the parameter, one after another, with all ways back open but gin's
/// dead ends.
fn search(
    routes: &[(usize, &Route)],
    depth: usize,
    path: &[&str],
    by_param: bool,
) -> Result<Option<Hit>, DeadEnd> {
    let Some((first, behind)) = path.split_first() else {
        let end = routes.iter().find(|(_, route)| route.len() == depth);
        return match end {
            None if by_param => Err(DeadEnd),
            end => Ok(end.map(|(id, _)| (*id, Vec::new()))),
        };
    };
    if by_param && routes.iter().all(|(_, route)| route.len() == depth) {
        return Err(DeadEnd);
    }
    let with = |wanted: &dyn Fn(&Segment) -> bool| -> Vec<(usize, &Route)> {
        routes.iter().copied().filter(|(_, route)| route.get(depth).is_some_and(wanted)).collect()
    };
    let words = with(&|segment| matches!(segment, Segment::Word(word) if word == first));
    if let Some(found) = search_all(&words, depth + 1, behind, false)? {
        return Ok(Some(found));
    }
    let params = with(&|segment| *segment == Segment::Param);
    if let Some((id, mut values)) = search_all(&params, depth + 1, behind, true)? {
        values.insert(0, (*first).to_owned());
        return Ok(Some((id, values)));
    }
    let rest = with(&|segment| *segment == Segment::Rest);
    Ok(rest.first().map(|(id, _)| (*id, vec![format!("/{}", path.join("/"))])))
}

fn search_all(
    routes: &[(usize, &Route)],
    depth: usize,
    path: &[&str],
    by_param: bool,
) -> Result<Option<Hit>, DeadEnd> {
    if routes.is_empty() { Ok(None) } else { search(routes, depth, path, by_param) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    /// The trie and the naive search agree on every path of whole segments: which route, and which values.
    #[test]
    fn the_trie_finds_what_a_naive_search_finds(
        wanted in prop::collection::vec(route(), 1..14),
        paths in prop::collection::vec(prop::collection::vec(word(), 1..6), 1..12),
    ) {
        // Routes that the router refuses beside those before them are left out: a refusal spoils its builder.
        let mut routes: Vec<Route> = Vec::new();
        for route in wanted {
            let mut builder = RoutesBuilder::new(OPTIONS);
            let fits = routes.iter().chain([&route]).zip(0..).all(|(route, id)| builder.add("GET", &text(route), id).is_ok());
            if fits {
                routes.push(route);
            }
        }
        let mut builder = RoutesBuilder::new(OPTIONS);
        for (route, id) in routes.iter().zip(0..) {
            builder.add("GET", &text(route), id).unwrap();
        }
        let built = builder.build();
        let numbered: Vec<(usize, &Route)> = routes.iter().enumerate().collect();
        // Paths of their own, and every route with values in it.
        let own = routes.iter().map(|route| {
            route.iter().map(|segment| match segment {
                Segment::Word(word) => word.clone(),
                Segment::Param => "ab".to_owned(),
                Segment::Rest => "a/b".to_owned(),
            }).collect::<Vec<String>>()
        });
        for path in own.chain(paths.iter().cloned()) {
            let joined = format!("/{}", path.join("/"));
            let segments: Vec<&str> = joined[1..].split('/').collect();
            let expected = search(&numbered, 0, &segments, false).unwrap_or(None);
            let mut params = RouteParams::default();
            let found = built.find(b"GET", joined.as_bytes(), &mut params);
            let routes: Vec<String> = routes.iter().map(text).collect();
            let is_found = expected.is_some();
            match expected {
                Some((id, values)) => {
                    prop_assert_eq!(found, Found::Endpoint(u32::try_from(id).unwrap()), "{} in {:?}", joined, routes);
                    let got: Vec<String> = params.iter(joined.as_bytes()).map(|value| String::from_utf8(value.to_vec()).unwrap()).collect();
                    prop_assert_eq!(got, values, "{} in {:?}", joined, routes);
                }
                None => prop_assert_eq!(found, Found::NotFound, "{} in {:?}", joined, routes),
            }
            let other = built.find(b"PUT", joined.as_bytes(), &mut params);
            let is_elsewhere = matches!(other, Found::MethodNotAllowed { ref allow } if allow == "GET");
            prop_assert_eq!(is_elsewhere, is_found);
        }
    }
}
