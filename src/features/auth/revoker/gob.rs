//! The part of Go's gob coding that remote calls with lists and texts need (encoding/gob, its documentation).
//!
//! A stream is a row of messages; each defines a type, or holds a value of one. Types describe themselves, so the
//! definitions are read by the same code as the values.

use std::collections::HashMap;

/// The largest message in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Types that one stream may define.
const TYPES_MAX: usize = 64;
/// How deep values may be nested.
const DEPTH_MAX: usize = 16;
/// Fields that one type may have.
const FIELDS_MAX: usize = 64;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Gob {
    Int(i64),
    Uint(u64),
    /// A text or bytes.
    Bytes(Vec<u8>),
    List(Vec<Gob>),
    Struct(Vec<(String, Gob)>),
}

/// The stream cannot be gob, or not this part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadGob;

#[derive(Clone, Debug)]
enum Type {
    Int,
    Uint,
    Bytes,
    List(i64),
    Struct(Vec<(String, i64)>),
    /// Of no use here.
    Other,
}

/// Reads one stream.
pub struct Decoder {
    types: HashMap<i64, Type>,
}

/// The identities that the coding itself gives (encoding/gob, type.go).
const WIRE_TYPE: i64 = 16;

impl Default for Decoder {
    fn default() -> Self {
        let fields = |fields: &[(&str, i64)]| {
            Type::Struct(fields.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect())
        };
        let types = [
            (1, Type::Uint),
            (2, Type::Int),
            (3, Type::Uint),
            // A float's bits come as an unsigned number.
            (4, Type::Uint),
            (5, Type::Bytes),
            (6, Type::Bytes),
            (WIRE_TYPE, fields(&[("ArrayT", 17), ("SliceT", 19), ("StructT", 20), ("MapT", 23)])),
            (17, fields(&[("CommonType", 18), ("Elem", 2), ("Len", 2)])),
            (18, fields(&[("Name", 6), ("Id", 2)])),
            (19, fields(&[("CommonType", 18), ("Elem", 2)])),
            (20, fields(&[("CommonType", 18), ("Field", 22)])),
            (21, fields(&[("Name", 6), ("Id", 2)])),
            (22, Type::List(21)),
            (23, fields(&[("CommonType", 18), ("Key", 2), ("Elem", 2)])),
        ];
        Decoder { types: types.into_iter().collect() }
    }
}

// === impl Gob ===

impl Gob {
    /// A field of a struct; fields with their zero value are not sent.
    pub fn field(&self, name: &str) -> Option<&Gob> {
        let Gob::Struct(fields) = self else { return None };
        fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn int(&self, name: &str) -> i64 {
        match self.field(name) {
            Some(Gob::Int(number)) => *number,
            _ => 0,
        }
    }

    pub fn text(&self, name: &str) -> String {
        match self.field(name) {
            Some(Gob::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }
}

// === impl Decoder ===

impl Decoder {
    /// Reads the first message of `input`: how long it is, and its value; `None` where it defines a type. `Ok(None)`: it
    /// is not there as a whole yet.
    pub fn message(&mut self, input: &[u8]) -> Result<Option<(usize, Option<Gob>)>, BadGob> {
        let mut rest = input;
        let Some(length) = take_uint(&mut rest)? else { return Ok(None) };
        let length = usize::try_from(length).map_err(|_| BadGob)?;
        if length > MESSAGE_BYTES_MAX {
            return Err(BadGob);
        }
        let Some(mut message) = rest.get(..length) else { return Ok(None) };
        let used = input.len() - rest.len() + length;
        let id = int(&mut message)?;
        if id < 0 {
            let definition = self.value(WIRE_TYPE, &mut message, 0)?;
            self.define(id.checked_neg().ok_or(BadGob)?, &definition)?;
            return Ok(Some((used, None)));
        }
        if !matches!(self.types.get(&id), Some(Type::Struct(_))) && uint(&mut message)? != 0 {
            return Err(BadGob);
        }
        Ok(Some((used, Some(self.value(id, &mut message, 0)?))))
    }

    fn define(&mut self, id: i64, definition: &Gob) -> Result<(), BadGob> {
        if id < 64 || self.types.len() >= TYPES_MAX {
            return Err(BadGob);
        }
        let found = if let Some(slice) = definition.field("SliceT") {
            Type::List(slice.int("Elem"))
        } else if let Some(structure) = definition.field("StructT") {
            let fields = match structure.field("Field") {
                Some(Gob::List(fields)) if fields.len() <= FIELDS_MAX => fields.as_slice(),
                None => &[],
                Some(_) => return Err(BadGob),
            };
            Type::Struct(fields.iter().map(|field| (field.text("Name"), field.int("Id"))).collect())
        } else {
            Type::Other
        };
        self.types.insert(id, found);
        Ok(())
    }

    fn value(&self, id: i64, input: &mut &[u8], depth: usize) -> Result<Gob, BadGob> {
        if depth > DEPTH_MAX {
            return Err(BadGob);
        }
        match self.types.get(&id).ok_or(BadGob)? {
            Type::Int => int(input).map(Gob::Int),
            Type::Uint => uint(input).map(Gob::Uint),
            Type::Bytes => {
                let length = usize::try_from(uint(input)?).map_err(|_| BadGob)?;
                let (bytes, rest) = input.split_at_checked(length).ok_or(BadGob)?;
                *input = rest;
                Ok(Gob::Bytes(bytes.to_vec()))
            }
            Type::List(element) => {
                let count = usize::try_from(uint(input)?).map_err(|_| BadGob)?;
                // Every element takes a byte at least.
                if count > input.len() {
                    return Err(BadGob);
                }
                let list = (0..count).map(|_| self.value(*element, input, depth + 1));
                list.collect::<Result<_, _>>().map(Gob::List)
            }
            Type::Struct(fields) => {
                let (mut found, mut at) = (Vec::new(), 0usize);
                loop {
                    // Fields are counted from the one before.
                    let step = usize::try_from(uint(input)?).map_err(|_| BadGob)?;
                    if step == 0 {
                        return Ok(Gob::Struct(found));
                    }
                    at = at.checked_add(step).ok_or(BadGob)?;
                    let (name, id) = fields.get(at - 1).ok_or(BadGob)?;
                    found.push((name.clone(), self.value(*id, input, depth + 1)?));
                }
            }
            Type::Other => Err(BadGob),
        }
    }
}

/// An unsigned number: one byte below 128, else the count of its bytes, negated, and these.
fn take_uint(input: &mut &[u8]) -> Result<Option<u64>, BadGob> {
    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
    if first < 128 {
        *input = rest;
        return Ok(Some(u64::from(first)));
    }
    let count = usize::from(first.wrapping_neg());
    if count > 8 {
        return Err(BadGob);
    }
    let Some((bytes, rest)) = rest.split_at_checked(count) else { return Ok(None) };
    *input = rest;
    Ok(Some(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))))
}

fn uint(input: &mut &[u8]) -> Result<u64, BadGob> {
    take_uint(input)?.ok_or(BadGob)
}

/// The lowest bit tells whether the others are to be complemented.
fn int(input: &mut &[u8]) -> Result<i64, BadGob> {
    let number = uint(input)?;
    let half = i64::try_from(number >> 1).map_err(|_| BadGob)?;
    Ok(if number & 1 == 1 { !half } else { half })
}

// === writing ===

pub fn put_uint(number: u64, out: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    match number {
        0..128 => out.extend(bytes.last()),
        _ => {
            let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
            let count = u8::try_from(bytes.len() - zeros).unwrap_or(8);
            out.push(count.wrapping_neg());
            out.extend_from_slice(bytes.get(zeros..).unwrap_or_default());
        }
    }
}

pub fn put_int(number: i64, out: &mut Vec<u8>) {
    let doubled = number.wrapping_shl(1).cast_unsigned();
    put_uint(if number < 0 { !doubled } else { doubled }, out);
}

pub fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_uint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A message: its length and `content`.
pub fn put_message(content: &[u8], out: &mut Vec<u8>) {
    put_bytes(content, out);
}

/// The definition of a struct.
pub fn put_struct_type(id: i64, name: &str, fields: &[(&str, i64)], out: &mut Vec<u8>) {
    let mut content = Vec::new();
    put_int(-id, &mut content);
    content.push(3); // StructT
    content.push(1); // CommonType
    put_common(id, name, &mut content);
    if !fields.is_empty() {
        content.push(1); // Field
        put_uint(fields.len() as u64, &mut content);
        for (name, id) in fields {
            put_common(*id, name, &mut content);
        }
    }
    content.extend_from_slice(&[0, 0]);
    put_message(&content, out);
}

/// The definition of a list.
pub fn put_list_type(id: i64, name: &str, element: i64, out: &mut Vec<u8>) {
    let mut content = Vec::new();
    put_int(-id, &mut content);
    content.push(2); // SliceT
    content.push(1); // CommonType
    put_common(id, name, &mut content);
    content.push(1); // Elem
    put_int(element, &mut content);
    content.extend_from_slice(&[0, 0]);
    put_message(&content, out);
}

/// A name and an identity: a type, or a field and its type.
fn put_common(id: i64, name: &str, out: &mut Vec<u8>) {
    if name.is_empty() {
        out.push(2);
    } else {
        out.push(1);
        put_bytes(name.as_bytes(), out);
        out.push(1);
    }
    put_int(id, out);
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_coded_as_the_documentation_shows() {
        for (number, coded) in [(7, vec![7]), (256, vec![0xFE, 1, 0]), (0, vec![0])] {
            let mut out = Vec::new();
            put_uint(number, &mut out);
            assert_eq!(out, coded);
            assert_eq!(uint(&mut out.as_slice()), Ok(number));
        }
        for number in [0, 1, -1, -129, 17, 1 << 40, -(1 << 40)] {
            let mut out = Vec::new();
            put_int(number, &mut out);
            assert_eq!(int(&mut out.as_slice()), Ok(number));
        }
        let mut out = Vec::new();
        put_int(-129, &mut out);
        assert_eq!(out, [0xFE, 1, 1], "the documentation's own example");
    }

    #[test]
    fn a_field_beyond_all_numbers_is_no_gob() {
        let mut stream = Vec::new();
        put_struct_type(65, "T", &[("Count", 2)], &mut stream);
        let mut decoder = Decoder::default();
        let (used, _) = decoder.message(&stream).expect("gob").expect("it is whole");
        assert_eq!(used, stream.len());
        let mut value = Vec::new();
        put_int(65, &mut value);
        value.extend_from_slice(&[1, 2]);
        put_uint(u64::MAX, &mut value);
        let mut message = Vec::new();
        put_message(&value, &mut message);
        assert_eq!(decoder.message(&message), Err(BadGob));
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut stream = Vec::new();
        put_list_type(66, "[]string", 6, &mut stream);
        put_struct_type(65, "T", &[("Names", 66), ("Count", 2)], &mut stream);
        let mut value = Vec::new();
        put_int(65, &mut value);
        value.extend_from_slice(&[1, 2]);
        put_bytes(b"a", &mut value);
        put_bytes(b"bc", &mut value);
        value.push(1);
        put_int(-5, &mut value);
        value.push(0);
        put_message(&value, &mut stream);
        let (mut decoder, mut rest, mut values) =
            (Decoder::default(), stream.as_slice(), Vec::new());
        while let Some((used, value)) = decoder.message(rest).expect("gob") {
            values.extend(value);
            rest = &rest[used..];
        }
        assert!(rest.is_empty());
        let names = Gob::List(vec![Gob::Bytes(b"a".to_vec()), Gob::Bytes(b"bc".to_vec())]);
        let fields = vec![("Names".to_owned(), names), ("Count".to_owned(), Gob::Int(-5))];
        assert_eq!(values, [Gob::Struct(fields)]);
    }

    #[test]
    fn no_stream_makes_it_panic_or_read_without_end() {
        let mut state = 7_u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..48)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 56) as u8 & if state & 1 == 0 { 0x07 } else { 0xFF }
                })
                .collect();
            let (mut decoder, mut rest) = (Decoder::default(), bytes.as_slice());
            while let Ok(Some((used, _))) = decoder.message(rest) {
                assert!(used > 0);
                rest = &rest[used..];
            }
        }
        let too_long = [0xFC, 0x7F, 0xFF, 0xFF, 0xFF];
        assert_eq!(Decoder::default().message(&too_long), Err(BadGob));
    }

    #[test]
    fn a_type_that_holds_itself_ends() {
        let mut stream = Vec::new();
        put_list_type(65, "loop", 65, &mut stream);
        put_message(&[[0xFF, 130, 0].as_slice(), &[1; 100]].concat(), &mut stream);
        let mut decoder = Decoder::default();
        let (used, _) = decoder.message(&stream).expect("a type").expect("whole");
        assert_eq!(decoder.message(&stream[used..]), Err(BadGob));
    }
}
