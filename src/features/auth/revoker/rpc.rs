//! The revoker's side of Go's net/rpc: `BloomfilterRPC.Add` and `BloomfilterRPC.Check`.

use std::sync::Arc;

use super::bloom::Rotation;
use super::gob::{self, Decoder, Gob, MESSAGE_BYTES_MAX};
use crate::control::tcp::{Broken, Conversation};

/// Identities of the types that are sent; the coding gives them from 64 on.
const RESPONSE: i64 = 65;
const ADDED: i64 = 66;
const CHECKED: i64 = 67;
const BOOLS: i64 = 68;
const NOTHING: i64 = 69;
const STRING: i64 = 6;
const UINT: i64 = 3;
const INT: i64 = 2;
const BOOL: i64 = 1;

/// One connection.
pub struct Session {
    revoked: Arc<Rotation>,
    decoder: Decoder,
    /// A call whose arguments have not come yet.
    call: Option<Gob>,
    /// Types that the other side knows.
    defined: Vec<i64>,
}

// === impl Session ===

impl Session {
    pub fn new(revoked: Arc<Rotation>) -> Session {
        Session { revoked, decoder: Decoder::default(), call: None, defined: Vec::new() }
    }

    /// Does what a call asks for, and writes its answer.
    fn perform(&mut self, call: &Gob, arguments: &Gob, out: &mut Vec<u8>) {
        let method = call.text("ServiceMethod");
        let elements = match arguments.field("Elems") {
            Some(Gob::List(list)) => list.as_slice(),
            _ => &[],
        };
        let elements = elements.iter().filter_map(|element| match element {
            Gob::Bytes(bytes) => Some(bytes),
            _ => None,
        });
        match method.as_str() {
            "BloomfilterRPC.Add" => {
                let mut count = 0;
                for element in elements {
                    self.revoked.add(element);
                    count += 1;
                }
                self.respond(call, &method, "", out);
                self.define(ADDED, "AddOutput", &[("Count", INT)], out);
                let mut value = Vec::new();
                gob::put_int(ADDED, &mut value);
                if count > 0 {
                    value.push(1);
                    gob::put_int(count, &mut value);
                }
                value.push(0);
                gob::put_message(&value, out);
            }
            "BloomfilterRPC.Check" => {
                let found: Vec<u8> =
                    elements.map(|element| u8::from(self.revoked.has(element))).collect();
                self.respond(call, &method, "", out);
                if !self.defined.contains(&BOOLS) {
                    self.defined.push(BOOLS);
                    gob::put_list_type(BOOLS, "[]bool", BOOL, out);
                }
                self.define(CHECKED, "CheckOutput", &[("Checks", BOOLS)], out);
                let mut value = Vec::new();
                gob::put_int(CHECKED, &mut value);
                if !found.is_empty() {
                    value.push(1);
                    gob::put_bytes(&found, &mut value);
                }
                value.push(0);
                gob::put_message(&value, out);
            }
            _ => {
                let why = match method.as_str() {
                    "BloomfilterRPC.Union" => {
                        "filters cannot be exchanged: add the elements".to_owned()
                    }
                    _ => format!("rpc: can't find method {method}"),
                };
                self.respond(call, &method, &why, out);
                self.define(NOTHING, "", &[], out);
                let mut value = Vec::new();
                gob::put_int(NOTHING, &mut value);
                value.push(0);
                gob::put_message(&value, out);
            }
        }
    }

    /// The head of an answer.
    fn respond(&mut self, call: &Gob, method: &str, error: &str, out: &mut Vec<u8>) {
        let fields = [("ServiceMethod", STRING), ("Seq", UINT), ("Error", STRING)];
        self.define(RESPONSE, "Response", &fields, out);
        let sequence = match call.field("Seq") {
            Some(Gob::Uint(number)) => *number,
            _ => 0,
        };
        let mut value = Vec::new();
        gob::put_int(RESPONSE, &mut value);
        let mut step = 1;
        if !method.is_empty() {
            value.push(step);
            gob::put_bytes(method.as_bytes(), &mut value);
            step = 0;
        }
        step += 1;
        if sequence > 0 {
            value.push(step);
            gob::put_uint(sequence, &mut value);
            step = 0;
        }
        step += 1;
        if !error.is_empty() {
            value.push(step);
            gob::put_bytes(error.as_bytes(), &mut value);
        }
        value.push(0);
        gob::put_message(&value, out);
    }

    fn define(&mut self, id: i64, name: &str, fields: &[(&str, i64)], out: &mut Vec<u8>) {
        if !self.defined.contains(&id) {
            self.defined.push(id);
            gob::put_struct_type(id, name, fields, out);
        }
    }
}

impl Conversation for Session {
    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Broken> {
        let mut used = 0;
        while let Some((length, value)) =
            self.decoder.message(input.get(used..).unwrap_or_default()).map_err(|_| Broken)?
        {
            used += length;
            match (self.call.take(), value) {
                (Some(call), Some(arguments)) => self.perform(&call, &arguments, out),
                (None, Some(call)) => self.call = Some(call),
                (call, None) => self.call = call,
            }
        }
        Ok(used)
    }

    fn waiting_bytes_max(&self) -> usize {
        // A length, and what it announces.
        MESSAGE_BYTES_MAX + 9
    }
}

#[cfg(test)]
mod tests {
    use super::super::bloom::Size;
    use super::*;

    fn call(method: &str, sequence: u64, elements: &[&[u8]], is_first: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if is_first {
            let fields = [("ServiceMethod", STRING), ("Seq", UINT)];
            gob::put_struct_type(70, "Request", &fields, &mut out);
        }
        let mut value = Vec::new();
        gob::put_int(70, &mut value);
        value.push(1);
        gob::put_bytes(method.as_bytes(), &mut value);
        if sequence > 0 {
            value.push(1);
            gob::put_uint(sequence, &mut value);
        }
        value.push(0);
        gob::put_message(&value, &mut out);
        if is_first {
            gob::put_list_type(72, "[][]uint8", 5, &mut out);
            gob::put_struct_type(71, "AddInput", &[("Elems", 72)], &mut out);
        }
        let mut value = Vec::new();
        gob::put_int(71, &mut value);
        value.push(1);
        gob::put_uint(elements.len() as u64, &mut value);
        for element in elements {
            gob::put_bytes(element, &mut value);
        }
        value.push(0);
        gob::put_message(&value, &mut out);
        out
    }

    fn answers(stream: &[u8]) -> Vec<Gob> {
        let (mut decoder, mut rest, mut values) = (Decoder::default(), stream, Vec::new());
        while let Some((used, value)) = decoder.message(rest).expect("gob") {
            values.extend(value);
            rest = &rest[used..];
        }
        values
    }

    #[test]
    fn elements_are_added_and_found_again() {
        let revoked = Arc::new(Rotation::new(Size::of(100, 1e-6).expect("a size")));
        let mut session = Session::new(revoked.clone());
        let mut stream = call("BloomfilterRPC.Add", 0, &[b"jti-1", b"sub-bob"], true);
        stream.extend(call("BloomfilterRPC.Check", 1, &[b"jti-1", b"jti-2"], false));
        stream.extend(call("BloomfilterRPC.Union", 2, &[], false));
        let mut out = Vec::new();
        // As it may come: first only a part.
        let first = session.hear(&stream[..40], &mut out).expect("gob");
        let rest = session.hear(&stream[first..], &mut out).expect("gob");
        assert_eq!(first + rest, stream.len());
        assert!(revoked.has(b"jti-1") && revoked.has(b"sub-bob") && !revoked.has(b"jti-2"));
        let answers = answers(&out);
        assert_eq!(answers.len(), 6);
        assert_eq!(answers[0].text("ServiceMethod"), "BloomfilterRPC.Add");
        assert_eq!(answers[1].field("Count"), Some(&Gob::Int(2)));
        assert_eq!(answers[2].field("Seq"), Some(&Gob::Uint(1)));
        let checks = Gob::List(vec![Gob::Uint(1), Gob::Uint(0)]);
        assert_eq!(answers[3].field("Checks"), Some(&checks));
        assert!(!answers[4].text("Error").is_empty());
    }

    #[test]
    fn what_is_no_gob_ends_the_conversation() {
        let revoked = Arc::new(Rotation::new(Size::of(100, 1e-6).expect("a size")));
        let mut session = Session::new(revoked);
        let request = [b"GET / HTTP/1.1\r\n".as_slice(), &[b'x'; 80]].concat();
        assert!(session.hear(&request, &mut Vec::new()).is_err());
        assert!(session.hear(&[0x80; 9], &mut Vec::new()).is_err());
    }
}
