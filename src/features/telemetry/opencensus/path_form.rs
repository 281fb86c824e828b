//! `PathForm`: what metrics show of a path, so that there are not too many of them.

use std::borrow::Cow;

use super::Aggregation;

/// How a path is shown in metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PathForm {
    /// Always like this.
    Fixed(Box<str>),
    /// With this in place of its last step.
    EndsIn(Box<str>),
    AsItIs,
}

// === impl PathForm ===

impl Default for PathForm {
    fn default() -> Self {
        PathForm::Fixed("".into())
    }
}

impl PathForm {
    /// Of a route: `/item/:id` is shown as `/item/{id}`.
    pub fn of_route(route: &str, aggregation: Aggregation) -> PathForm {
        let steps = route.split('/').map(|step| match step.split_once(':') {
            Some((before, name)) if !name.is_empty() => format!("{before}{{{name}}}"),
            _ => step.to_owned(),
        });
        let is_open = route.rsplit('/').next().is_some_and(|last| last.starts_with(':'));
        PathForm::of(steps.collect(), is_open, aggregation)
    }

    /// Of a `url_pattern`: `/item/{{.Id}}` is shown as `/item/{id}`.
    pub fn of_pattern(pattern: &str, aggregation: Aggregation) -> PathForm {
        let shown = pattern.replace("{{.", "{").replace("}}", "}");
        let is_open = pattern.rsplit('/').next().is_some_and(|last| last.starts_with("{{."));
        PathForm::of(shown.split('/').map(str::to_owned).collect(), is_open, aggregation)
    }

    /// The steps of a path in lower case; `is_open`: the last one is a parameter.
    fn of(steps: Vec<String>, is_open: bool, aggregation: Aggregation) -> PathForm {
        let last = steps.last().map(|last| last.to_lowercase());
        match (aggregation, last) {
            (Aggregation::Off, _) => PathForm::AsItIs,
            (Aggregation::LastParam, Some(last)) if is_open => PathForm::EndsIn(last.into()),
            _ => PathForm::Fixed(steps.join("/").to_lowercase().into()),
        }
    }

    pub fn show<'p>(&'p self, path: &'p str) -> Cow<'p, str> {
        match self {
            PathForm::Fixed(fixed) => Cow::Borrowed(fixed),
            PathForm::AsItIs => Cow::Borrowed(path),
            PathForm::EndsIn(last) => {
                let before = path.rsplit_once('/').map_or("", |(before, _)| before);
                Cow::Owned(format!("{}/{last}", before.to_lowercase()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_the_block_says() {
        let route = |aggregation| PathForm::of_route("/Item/:id/x/:name", aggregation);
        assert_eq!(route(Aggregation::Pattern).show("/Item/1/x/2"), "/item/{id}/x/{name}");
        assert_eq!(route(Aggregation::LastParam).show("/Item/1/x/2"), "/item/1/x/{name}");
        assert_eq!(route(Aggregation::Off).show("/Item/1/x/2"), "/Item/1/x/2");
        let fixed = PathForm::of_route("/item", Aggregation::LastParam);
        assert_eq!(fixed.show("/item"), "/item");
        let pattern = |aggregation| PathForm::of_pattern("/up/{{.Id}}", aggregation);
        assert_eq!(pattern(Aggregation::Pattern).show("/up/7"), "/up/{id}");
        assert_eq!(pattern(Aggregation::LastParam).show("/up/7"), "/up/{id}");
    }
}
