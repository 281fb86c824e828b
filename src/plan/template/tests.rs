use super::*;

struct Given<'a> {
    params: &'a [&'a str],
    named: &'a [(&'a str, &'a str)],
}

impl Values for Given<'_> {
    fn param(&self, slot: usize) -> Option<&[u8]> {
        self.params.get(slot).map(|value| value.as_bytes())
    }

    fn named(&self, key: &str) -> Option<Cow<'_, str>> {
        self.named.iter().find(|(known, _)| *known == key).map(|(_, value)| Cow::Borrowed(*value))
    }
}

fn template(pattern: &str, names: &[&str]) -> UrlTemplate {
    UrlTemplate::compile(pattern, &names.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn filled(
    pattern: &str,
    params: &[(&str, &str)],
    named: &[(&str, &str)],
) -> Result<String, String> {
    let (names, values): (Vec<&str>, Vec<&str>) = params.iter().copied().unzip();
    let mut out = b"GET ".to_vec();
    let expanded =
        template(pattern, &names).expand("", &Given { params: &values, named }, &mut out);
    let text = String::from_utf8(out).unwrap();
    expanded.map(|()| text["GET ".len()..].to_owned()).map_err(|bad| bad.message("http://h:1"))
}

#[test]
fn parameters_are_put_where_their_names_stand() {
    let params = [("one", "1"), ("two", "2"), ("three", "3")];
    assert_eq!(filled("/echo/{three}-{two}-{one}", &params, &[]).unwrap(), "/echo/3-2-1");
    assert_eq!(filled("/{x}/and/{x}?q={x}", &[("x", "zz")], &[]).unwrap(), "/zz/and/zz?q=zz");
    assert_eq!(filled("/q?x={id}&y=%7B{id}%7D", &[("id", "5")], &[]).unwrap(), "/q?x=5&y=%7B5%7D");
    assert_eq!(filled("/v/{version}/x", &[("version", "")], &[]).unwrap(), "/v//x");
}

#[test]
fn a_pattern_without_placeholders_is_its_own_target() {
    let fixed = template("/a b?c=1#d", &[]);
    assert!(fixed.is_fixed() && !template("/{a}", &["a"]).is_fixed());
    assert_eq!(filled("/plain", &[], &[]).unwrap(), "/plain");
    assert_eq!(filled("/a b?c=1#d", &[], &[]).unwrap(), "/a%20b?c=1");
    assert_eq!(filled("/a?", &[], &[]).unwrap(), "/a?");
}

#[test]
fn the_first_letter_of_a_name_is_upper_case_inside() {
    let inside = |pattern: &str| template(pattern, &[]).internal_pattern().to_owned();
    assert_eq!(inside("/no/{id}"), "/no/{{.Id}}");
    assert_eq!(
        inside("/{user_id}/{JWT.sub}/{resp0_a.b}"),
        "/{{.User_id}}/{{.JWT.sub}}/{{.Resp0_a.b}}"
    );
    assert_eq!(inside("/{}/{a b}/{{x}}/{_y}"), "/{}/{a b}/{{{.X}}}/{{._y}}");
    assert_eq!(filled("/{Id}/{id}", &[("id", "1"), ("Id", "2")], &[]).unwrap(), "/2/2");
}

#[test]
fn a_missing_value_leaves_its_placeholder_encoded_in_the_path() {
    assert_eq!(filled("/a/{JWT.sub}", &[], &[]).unwrap(), "/a/%7B%7B.JWT.sub%7D%7D");
    assert_eq!(filled("/a/{resp0_x}", &[], &[("Resp0_x", "7")]).unwrap(), "/a/7");
    // A parameter that the router calls `id.json` does not fill `{id}`.
    assert_eq!(
        filled("/a/{id}?b={id}", &[("id.json", "7")], &[]).unwrap(),
        "/a/%7B%7B.Id%7D%7D?b={{.Id}}"
    );
}

#[test]
fn a_value_is_encoded_where_the_path_needs_it_and_else_kept() {
    let one = |value: &str| filled("/e/{id}/t", &[("id", value)], &[]).unwrap();
    assert_eq!(one("a!b$c'd(e)*,;:@&=+"), "/e/a!b$c'd(e)*,;:@&=+/t");
    assert_eq!(one("a b"), "/e/a%20b/t");
    assert_eq!(one("a b!"), "/e/a%20b%21/t");
    assert_eq!(one("caf\u{e9}"), "/e/caf%C3%A9/t");
    assert_eq!(one(".."), "/e/../t");
    assert_eq!(one("a%2Fb"), "/e/a%2Fb/t");
    assert_eq!(one("%2F b"), "/e//%20b/t");
}

#[test]
fn a_question_mark_or_a_hash_in_a_value_cuts_the_path() {
    let one = |value: &str| filled("/e/{id}/t?q=1", &[("id", value)], &[]).unwrap();
    assert_eq!(one("a?b"), "/e/a?b/t?q=1");
    assert_eq!(one("a#b"), "/e/a");
    let query = |value: &str| filled("/e?q={resp0_v}&r=1", &[], &[("Resp0_v", value)]).unwrap();
    assert_eq!(query("a&b=?c"), "/e?q=a&b=?c&r=1");
    assert_eq!(query("a#b"), "/e?q=a");
    assert_eq!(query("a b"), "/e?q=a%20b&r=1");
    assert_eq!(query("100%"), "/e?q=100%&r=1");
}

#[test]
fn a_control_byte_or_a_broken_escape_is_an_error_that_names_the_url() {
    let one = |value: &str| filled("/e/{id}?q=1", &[("id", value)], &[]).unwrap_err();
    assert_eq!(
        one("a\nb"),
        "parse \"http://h:1/e/a\\nb?q=1\": net/url: invalid control character in URL"
    );
    assert_eq!(one("100%"), "parse \"http://h:1/e/100%?q=1\": invalid URL escape \"%\"");
    assert_eq!(one("a#%z"), "parse \"http://h:1/e/a#%z?q=1\": invalid URL escape \"%z?\"");
    assert_eq!(
        one("%\n#"),
        "parse \"http://h:1/e/%\\n\": net/url: invalid control character in URL"
    );
}

#[test]
fn what_the_host_has_behind_its_port_comes_first() {
    let mut out = Vec::new();
    let values = Given { params: &["1"], named: &[] };
    template("/{id}", &["id"]).expand("/base path", &values, &mut out).unwrap();
    assert_eq!(out, b"/base%20path/1");
}

#[test]
fn an_error_leaves_the_output_as_it_was() {
    let mut out = b"kept".to_vec();
    let values = Given { params: &["\n"], named: &[] };
    assert!(template("/{id}", &["id"]).expand("", &values, &mut out).is_err());
    assert_eq!(out, b"kept");
}

#[test]
fn the_fields_of_earlier_answers_are_listed() {
    let steps = template("/{resp0_user.id}/{id}/{resp12_a-b}/{JWT.sub}?x={resp0_user.id}", &["id"])
        .step_values();
    let short: Vec<(usize, &str)> =
        steps.iter().map(|value| (value.step, value.path.as_str())).collect();
    assert_eq!(short, [(0, "user.id"), (12, "a-b"), (0, "user.id")]);
    assert_eq!(steps[1].key, "Resp12_a-b");
    assert!(template("/{resp0}/{resp0_a:b}/{respx_a}", &[]).step_values().is_empty());
}
