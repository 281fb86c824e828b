//! Random documents, edits and damage, the same for the same seed.

use crate::json::EditSpec;

/// A small generator of numbers (splitmix64).
pub struct Random(pub u64);

/// Few names, so that paths meet documents; one occurs in three spellings.
const KEYS: [&str; 12] = [
    "a",
    "b",
    "c",
    "id",
    "items",
    "a.b",
    "",
    r"\u0061",
    r"i\u0064",
    "über",
    "a_longer_name_1",
    "a_longer_name_2",
];

const SCALARS: [&str; 22] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "7",
    "-12",
    "1.50",
    "1e3",
    "2E-7",
    "-3.25e+10",
    "12345678",
    "9007199254740993",
    "\"\"",
    "\"x\"",
    "\"a longer text with { [ , : ] } in it\"",
    r#""q\"\\\/""#,
    r#""\u00e9\n\t""#,
    r#""\ud83d\ude00""#,
    "\"漢字 é 😀\"",
    "\"\\\\\\\\\"",
    "\"<&>\"",
];

const BLANKS: [&str; 6] = ["", "", "", " ", "\n  ", "\t\r\n"];

impl Random {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() % limit as u64).unwrap()
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// An object, sometimes of many members.
    pub fn object(&mut self) -> String {
        let mut out = self.pick(&BLANKS).to_owned();
        let members = if self.below(20) == 0 { 60 + self.below(40) } else { self.below(9) };
        self.write_object(members, 4, &mut out);
        out
    }

    /// Any value.
    pub fn value(&mut self) -> String {
        let mut out = self.pick(&BLANKS).to_owned();
        self.write_value(5, &mut out);
        out
    }

    /// The text with a few bytes changed, cut out or put in.
    pub fn damaged(&mut self, text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                break;
            }
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => _ = bytes.remove(at),
                2 => bytes[at] = self.odd_byte(),
                _ => bytes.insert(at, self.odd_byte()),
            }
        }
        bytes
    }

    /// Target, lists, mapping and group; not more than one rename, for several have no order in the original.
    pub fn edit(&mut self) -> EditSpec {
        let mut spec = EditSpec::default();
        if self.below(4) == 0 {
            spec.target = self.path(2);
        }
        match self.below(4) {
            0 | 1 => spec.allow = self.paths(),
            2 => spec.deny = self.paths(),
            _ => {}
        }
        if self.below(3) == 0 {
            spec.mapping = vec![(self.name(), self.path(2))];
        }
        if self.below(4) == 0 {
            spec.group = self.path(2);
        }
        spec
    }

    fn paths(&mut self) -> Vec<String> {
        (0..=self.below(4)).map(|_| self.path(3)).collect()
    }

    fn path(&mut self, steps_max: usize) -> String {
        let steps: Vec<_> = (0..=self.below(steps_max)).map(|_| self.name()).collect();
        steps.join(".")
    }

    fn name(&mut self) -> String {
        let key = self.pick(&["a", "b", "c", "id", "items", "über", "a_longer_name_1", "ghost"]);
        key.to_owned()
    }

    fn odd_byte(&mut self) -> u8 {
        if self.below(8) == 0 {
            self.number().to_le_bytes()[0]
        } else {
            self.pick(b"{}[]:,\"\\ \n\x00\x1f0123-+.eEutrfn\xe9\x80d")
        }
    }

    fn write_object(&mut self, members: usize, depth: usize, out: &mut String) {
        out.push('{');
        for i in 0..members {
            out.push_str(if i > 0 { "," } else { "" });
            out.push_str(self.pick(&BLANKS));
            let key = if members > 50 {
                format!("key_{}", self.below(90))
            } else {
                self.pick(&KEYS).to_owned()
            };
            out.push_str(&format!("\"{key}\"{}:{}", self.pick(&BLANKS), self.pick(&BLANKS)));
            self.write_value(depth, out);
            out.push_str(self.pick(&BLANKS));
        }
        out.push_str(if members == 0 { self.pick(&BLANKS) } else { "" });
        out.push('}');
    }

    fn write_array(&mut self, depth: usize, out: &mut String) {
        out.push('[');
        for i in 0..self.below(5) {
            out.push_str(if i > 0 { "," } else { "" });
            out.push_str(self.pick(&BLANKS));
            self.write_value(depth, out);
            out.push_str(self.pick(&BLANKS));
        }
        out.push(']');
    }

    fn write_value(&mut self, depth: usize, out: &mut String) {
        match (self.below(5), depth) {
            (0 | 1, 1..) => {
                let members = self.below(5);
                self.write_object(members, depth - 1, out);
            }
            (2, 1..) => self.write_array(depth - 1, out),
            _ if self.below(12) == 0 => {
                out.push_str(&format!("\"{}\"", "long text, ".repeat(self.below(30))));
            }
            _ => out.push_str(self.pick(&SCALARS)),
        }
    }
}
