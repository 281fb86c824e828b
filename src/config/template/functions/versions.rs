//! Functions with semantic versions and their constraints: `>=1.2 <3 || ^4.1`, `~2.13`, `1.x`, `1.2 - 2.3`.

use std::cmp::Ordering;
use std::sync::Arc;

use gotmpl::Value;
use semver::{Prerelease, Version};

use super::super::value::{map, string};
use super::{Answer, Args, Function, function};

pub const TABLE: &[Function] = &[
    function("semver", 1, 1, semver),
    function("semverCompare", 2, 2, |args| {
        let version = version(args.text(1)?)?;
        Ok(Value::Bool(fits(args.text(0)?, &version)?))
    }),
];

/// A version of which the last parts may be missing.
struct Partial {
    version: Version,
    /// How many of major, minor and patch are given.
    given: usize,
}

fn parsed(text: &str) -> Result<Partial, String> {
    let invalid = || "Invalid Semantic Version".to_owned();
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, tail) = text.split_at(end);
    let mut parts = [0; 3];
    let mut given = 0;
    for (index, part) in numbers.split('.').enumerate() {
        if matches!(part, "x" | "X" | "*") {
            break;
        }
        *parts.get_mut(index).ok_or_else(invalid)? = part.parse().map_err(|_| invalid())?;
        given = index + 1;
    }
    let [major, minor, patch] = parts;
    let version = Version::parse(&format!("{major}.{minor}.{patch}{tail}"));
    Ok(Partial { version: version.map_err(|_| invalid())?, given })
}

/// A version without wildcards; minor and patch may be missing.
fn version(text: &str) -> Result<Version, String> {
    let partial = parsed(text)?;
    let parts = text.split(['-', '+']).next().unwrap_or_default().split('.').count();
    if parts > partial.given {
        return Err("Invalid Semantic Version".to_owned());
    }
    Ok(partial.version)
}

fn semver(args: &Args<'_>) -> Answer {
    let text = args.text(0)?;
    let version = version(text)?;
    let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let members = [
        ("Major", number(version.major)),
        ("Minor", number(version.minor)),
        ("Patch", number(version.patch)),
        ("Prerelease", string(version.pre.as_str())),
        ("Metadata", string(version.build.as_str())),
        ("Original", string(text)),
    ];
    Ok(map(members.into_iter().map(|(name, value)| (Arc::from(name), value)).collect()))
}

/// `||` joins alternatives, a comma or a blank what must hold together.
fn fits(constraint: &str, version: &Version) -> Result<bool, String> {
    let mut fits_any = false;
    for alternative in constraint.split("||") {
        fits_any |= fits_all(alternative.trim(), version)?;
    }
    Ok(fits_any)
}

fn fits_all(constraints: &str, version: &Version) -> Result<bool, String> {
    if let Some((from, to)) = constraints.split_once(" - ") {
        return Ok(holds(">=", from.trim(), version)? && holds("<=", to.trim(), version)?);
    }
    let mut fits = true;
    let mut rest = constraints.trim_start_matches([' ', ',']);
    while !rest.is_empty() {
        let start = rest.find(|c: char| !"=!<>~^".contains(c)).unwrap_or(rest.len());
        let (operator, tail) = rest.split_at(start);
        let tail = tail.trim_start();
        let end = tail.find([' ', ',', '=', '!', '<', '>', '~', '^']).unwrap_or(tail.len());
        let (bound, tail) = tail.split_at(end);
        fits &= holds(operator, bound, version)?;
        rest = tail.trim_start_matches([' ', ',']);
    }
    Ok(fits)
}

fn holds(operator: &str, bound: &str, version: &Version) -> Result<bool, String> {
    let improper = || format!("improper constraint: {operator}{bound}");
    let Partial { version: bound, given } = parsed(bound).map_err(|_| improper())?;
    // A pre-release is only looked at by constraints that name one.
    if !version.pre.is_empty() && bound.pre.is_empty() && operator != "!=" {
        return Ok(false);
    }
    let order = version.cmp_precedence(&bound);
    let is_below = |limit: Option<Version>| limit.is_none_or(|limit| *version < limit);
    let not_below = order != Ordering::Less;
    Ok(match operator {
        "" | "=" if given == 3 => order == Ordering::Equal,
        "" | "=" | "~" | "~>" => not_below && is_below(next(&bound, given.min(2))),
        "!=" if given == 3 => order != Ordering::Equal,
        "!=" => !(not_below && is_below(next(&bound, given))),
        ">" if given == 3 => order == Ordering::Greater,
        ">" => next(&bound, given).is_some_and(|limit| *version >= limit),
        ">=" | "=>" => not_below,
        "<" => order == Ordering::Less,
        "<=" | "=<" if given == 3 => order != Ordering::Greater,
        "<=" | "=<" => is_below(next(&bound, given)),
        "^" => {
            // The leftmost part that is not zero may not change.
            let changing = match (bound.major, bound.minor) {
                (0, 0) if given == 3 => 3,
                (0, 0) => given,
                (0, _) => 2,
                _ => 1,
            };
            not_below && is_below(next(&bound, changing.min(given)))
        }
        _ => return Err(improper()),
    })
}

/// The first version whose part number `part` (1: major) is larger; `None` when no part is given.
fn next(version: &Version, part: usize) -> Option<Version> {
    let mut next = Version::new(version.major, version.minor, version.patch);
    match part {
        0 => return None,
        1 => next = Version::new(next.major.saturating_add(1), 0, 0),
        2 => next = Version::new(next.major, next.minor.saturating_add(1), 0),
        _ => next.patch = next.patch.saturating_add(1),
    }
    // Pre-releases of the limit are beyond it.
    next.pre = Prerelease::new("0").unwrap_or(Prerelease::EMPTY);
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_hold_or_do_not() {
        for (constraint, text, expected) in [
            (">=2.0", "2.13.8", true),
            ("^2.1", "2.13", true),
            ("^2.1", "3.0.0", false),
            ("^0.2.3", "0.3.0", false),
            ("~2.13", "2.13.9", true),
            ("~2.13.1", "2.14.0", false),
            ("~1", "1.9", true),
            ("1.x", "1.4.2", true),
            ("1.x", "2.0.0", false),
            ("*", "7.0.0", true),
            (">1.2 <3 || 9", "9.1.0", true),
            (">1.2, <3", "3.0.0", false),
            ("1.2 - 2.3", "2.3.5", true),
            ("!=1.2.3", "1.2.3", false),
            (">1", "1.5.0", false),
            (">=1.0", "1.1.0-rc1", false),
            (">=1.1.0-0", "1.1.0-rc1", true),
        ] {
            let version = version(text).expect("a version");
            assert_eq!(fits(constraint, &version), Ok(expected), "{constraint} {version}");
        }
        assert!(fits(">=1.2.3.4", &Version::new(1, 0, 0)).is_err());
        assert!(version("one").is_err() && version("1.x").is_err());
    }
}
