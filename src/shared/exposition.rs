//! The Prometheus text format: families of series as a scraper reads them.

use std::fmt::Write;

use super::meter::{Reading, Value};

/// Of the page that the text is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text as it grows. A family's series must follow its head, and no family may begin twice.
#[derive(Clone, Debug, Default)]
pub struct Exposition(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyKind {
    Counter,
    Gauge,
    Histogram,
    Summary,
    Untyped,
}

// === impl Exposition ===

impl Exposition {
    /// The head of a family. `name` must be right already, see [`metric_name`].
    pub fn family(&mut self, name: &str, help: &str, kind: FamilyKind) {
        let Self(text) = self;
        let _ = write!(text, "# HELP {name} ");
        push_escaped(text, help, false);
        let _ = writeln!(text, "\n# TYPE {name} {}", kind.name());
    }

    /// One series, which is one line.
    pub fn series<'l>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        value: f64,
    ) {
        self.line(name, "", labels, None, value);
    }

    /// A histogram's buckets, sum and count. `counts` are those of the single buckets, one more than there are bounds.
    pub fn histogram<'l>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'l str, &'l str)> + Clone,
        (bounds, counts): (&[f64], &[u64]),
        sum: f64,
    ) {
        let mut total = 0_u64;
        let all_bounds = bounds.iter().copied().chain([f64::INFINITY]);
        for (bound, count) in all_bounds.zip(counts) {
            total = total.wrapping_add(*count);
            self.line(name, "_bucket", labels.clone(), Some(bound), total as f64);
        }
        self.line(name, "_sum", labels.clone(), None, sum);
        self.line(name, "_count", labels, None, total as f64);
    }

    /// A series of the meter under a name of its own.
    pub fn reading(&mut self, name: &str, reading: &Reading) {
        let labels = reading.labels.iter().map(|(name, value)| (&**name, &**value));
        match &reading.value {
            Value::Counter(count) => self.series(name, labels, *count as f64),
            Value::Gauge(value) => self.series(name, labels, *value as f64),
            Value::Histogram { bounds, counts, sum } => {
                self.histogram(name, labels, (bounds, counts), *sum);
            }
        }
    }

    pub fn into_text(self) -> String {
        self.0
    }

    fn line<'l>(
        &mut self,
        name: &str,
        suffix: &str,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        le: Option<f64>,
        value: f64,
    ) {
        let Self(text) = self;
        text.push_str(name);
        text.push_str(suffix);
        let mut open = '{';
        for (name, value) in labels {
            let _ = write!(text, "{open}{name}=\"");
            push_escaped(text, value, true);
            text.push('"');
            open = ',';
        }
        if let Some(bound) = le {
            let _ = write!(text, "{open}le=\"");
            push_number(text, bound);
            text.push('"');
            open = ',';
        }
        text.push_str(if open == ',' { "} " } else { " " });
        push_number(text, value);
        text.push('\n');
    }
}

// === impl FamilyKind ===

impl FamilyKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Untyped => "untyped",
        }
    }

    /// What a reading is.
    pub fn of(value: &Value) -> FamilyKind {
        match value {
            Value::Counter(_) => Self::Counter,
            Value::Gauge(_) => Self::Gauge,
            Value::Histogram { .. } => Self::Histogram,
        }
    }
}

/// A text as the name of a metric: letters, digits, `_` and `:`, not a digit first; `_` stands for anything else.
pub fn metric_name(text: &str) -> String {
    cleaned(text, |letter| letter.is_ascii_alphanumeric() || letter == ':')
}

/// The same for a label, which has no `:`.
pub fn label_name(text: &str) -> String {
    cleaned(text, |letter| letter.is_ascii_alphanumeric())
}

fn cleaned(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let begins_wrong = text.is_empty() || text.starts_with(|letter: char| letter.is_ascii_digit());
    let letters = text.chars().map(|letter| if is_kept(letter) { letter } else { '_' });
    begins_wrong.then_some('_').into_iter().chain(letters).collect()
}

fn push_escaped(text: &mut String, value: &str, is_quoted: bool) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if is_quoted => text.push_str("\\\""),
            letter => text.push(letter),
        }
    }
}

/// As Go's client writes it: the shortest digits that are exact, with an exponent from a million on.
pub fn push_number(text: &mut String, value: f64) {
    if !value.is_finite() {
        text.push_str(match value {
            _ if value.is_nan() => "NaN",
            _ if value > 0.0 => "+Inf",
            _ => "-Inf",
        });
        return;
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        let _ = write!(text, "{value}");
        return;
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(text, "{digits}e{sign}{:02}", exponent.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::meter::Meter;

    #[test]
    fn a_family_has_a_head_and_its_series() {
        let mut page = Exposition::default();
        page.family("up", "Is it \"up\"?\nA\\B", FamilyKind::Gauge);
        page.series("up", [], 1.0);
        page.series("up", [("path", "a\"b\\c\nd"), ("host", "é")], -0.5);
        assert_eq!(
            page.into_text(),
            "# HELP up Is it \"up\"?\\nA\\\\B\n# TYPE up gauge\nup 1\n\
             up{path=\"a\\\"b\\\\c\\nd\",host=\"é\"} -0.5\n"
        );
    }

    #[test]
    fn readings_become_series() {
        const BOUNDS: &[f64] = &[0.5, 2.0];
        let meter = Meter::default();
        let took = meter.histogram("took", &[("route", "/a")], BOUNDS);
        [0.1, 0.2, 1.0, 7.0].iter().for_each(|value| took.record(*value));
        let hits = meter.counter("hits", &[]);
        hits.add(3);
        let mut page = Exposition::default();
        for reading in meter.readings() {
            page.family(reading.name, "Help.", FamilyKind::of(&reading.value));
            page.reading(reading.name, &reading);
        }
        assert_eq!(
            page.into_text(),
            "# HELP hits Help.\n# TYPE hits counter\nhits 3\n\
             # HELP took Help.\n# TYPE took histogram\n\
             took_bucket{route=\"/a\",le=\"0.5\"} 2\n\
             took_bucket{route=\"/a\",le=\"2\"} 3\n\
             took_bucket{route=\"/a\",le=\"+Inf\"} 4\n\
             took_sum{route=\"/a\"} 8.3\n\
             took_count{route=\"/a\"} 4\n"
        );
    }

    #[test]
    fn names_are_cleaned() {
        assert_eq!(metric_name("http.server:duration"), "http_server:duration");
        assert_eq!(metric_name("9lives"), "_9lives");
        assert_eq!(metric_name(""), "_");
        assert_eq!(label_name("a:b-ü"), "a_b__");
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.075, "0.075"),
            (262_144.0, "262144"),
            (1_000_000.0, "1e+06"),
            (1_048_576.0, "1.048576e+06"),
            (67_108_864.0, "6.7108864e+07"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (-1.5e300, "-1.5e+300"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            let mut written = String::new();
            push_number(&mut written, value);
            assert_eq!(written, text);
        }
    }
}
