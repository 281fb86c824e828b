//! Packed bodies: never more than is allowed comes out, and what was packed by another hand comes out as it was.

use std::io::Read;
use std::io::Write;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use shoal::wire::gzip::{Unpacking, unpack};

use crate::{Bounded, Input};

const BYTES_MAX: usize = 64 * 1024;
/// Read into, once more, beside what is allowed.
const ROOM: usize = 128 * 1024;

pub fn gzip(input: &[u8]) {
    let _bounded = Bounded::start();
    let mut input = Input(input);
    let flags = input.byte();
    let found = unpack(input.0, BYTES_MAX);
    match &found {
        Unpacking::Whole(bytes) => assert!(bytes.len() <= BYTES_MAX),
        Unpacking::Broken(bytes, _) => assert!(bytes.len() <= BYTES_MAX + ROOM),
        Unpacking::TooLarge => {}
    }
    let mut other = Vec::new();
    let limit = BYTES_MAX as u64 + 1;
    let is_whole = MultiGzDecoder::new(input.0).take(limit).read_to_end(&mut other).is_ok();
    if let Unpacking::Whole(bytes) = found {
        assert!(is_whole, "read by one of two");
        assert!(bytes == other, "read differently by the two");
    }
    // A body of one, of several members, or of a member that unpacks to a lot.
    let mut expected = input.0.to_vec();
    if flags & 1 != 0 {
        expected = expected.repeat(usize::from(flags) / 4);
    }
    let mut packed = Vec::new();
    for piece in expected.chunks((expected.len() / (1 + usize::from(flags >> 6))).max(1)) {
        let mut encoder = GzEncoder::new(&mut packed, Compression::new(u32::from(flags % 7)));
        encoder.write_all(piece).expect("a vector takes all");
        encoder.finish().expect("a vector takes all");
    }
    if packed.is_empty() {
        return;
    }
    match unpack(&packed, BYTES_MAX) {
        Unpacking::Whole(bytes) => assert!(bytes == expected, "another body came out"),
        Unpacking::TooLarge => assert!(expected.len() > BYTES_MAX),
        Unpacking::Broken(_, error) => panic!("{error}"),
    }
}
