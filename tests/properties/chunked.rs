use proptest::prelude::*;
use shoal::wire::http1::chunked::{
    ChunkError, Decoder, HEAD_ROOM, LAST_CHUNK, frame_in_place, write_chunk_head,
};

use super::pieces;

/// Decodes pieces as they come; the data, whether the body has ended, and what is left behind its end.
fn decoded(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, Vec<u8>), ChunkError> {
    let mut decoder = Decoder::default();
    let (mut data, mut behind) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() && !decoder.is_done() {
            let step = decoder.decode(rest)?;
            assert!(step.consumed > 0, "no progress");
            data.extend_from_slice(&rest[step.data]);
            rest = &rest[step.consumed..];
        }
        behind.extend_from_slice(rest);
    }
    Ok((data, decoder.is_done(), behind))
}

#[derive(Clone, Debug)]
struct Chunk {
    data: Vec<u8>,
    zeros: usize,
    is_upper: bool,
    extension: String,
}

fn chunk() -> impl Strategy<Value = Chunk> {
    let data = prop::collection::vec(any::<u8>(), 1..300);
    let extension = prop_oneof![3 => Just(String::new()), 1 => ";[ -~]{0,20}"];
    (data, 0..3_usize, any::<bool>(), extension)
        .prop_map(|(data, zeros, is_upper, extension)| Chunk { data, zeros, is_upper, extension })
}

fn written(chunks: &[Chunk], trailers: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    for Chunk { data, zeros, is_upper, extension } in chunks {
        let size =
            if *is_upper { format!("{:X}", data.len()) } else { format!("{:x}", data.len()) };
        out.extend_from_slice(format!("{}{size}{extension}\r\n", "0".repeat(*zeros)).as_bytes());
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n");
    for trailer in trailers {
        out.extend_from_slice(format!("{trailer}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

proptest! {
    /// Any way to write a body is read back, to its end and not a byte further.
    #[test]
    fn what_is_written_is_read_however_it_is_cut(
        chunks in prop::collection::vec(chunk(), 0..8),
        trailers in prop::collection::vec("[A-Za-z-]{1,10}:[ -~]{0,20}", 0..3),
        next in prop::collection::vec(any::<u8>(), 0..20),
        cuts in prop::collection::vec(0..40_usize, 0..60),
    ) {
        let body = written(&chunks, &trailers);
        let input = [&body[..], &next].concat();
        let (data, is_done, behind) = decoded(&pieces(&input, &cuts)).unwrap();
        prop_assert_eq!(data, chunks.iter().flat_map(|chunk| chunk.data.clone()).collect::<Vec<u8>>());
        prop_assert!(is_done);
        prop_assert_eq!(behind, next);
        // A body that breaks off has not ended.
        let (_, is_done, _) = decoded(&[&body[..body.len() - 1]]).unwrap();
        prop_assert!(!is_done);
    }

    /// Both of our ways to write a chunk say the same, and the decoder reads it.
    #[test]
    fn our_own_chunks_are_read_back(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..5000), 0..6),
        cuts in prop::collection::vec(0..900_usize, 0..30),
    ) {
        let mut body = Vec::new();
        for part in &parts {
            let mut framed = vec![0; HEAD_ROOM];
            framed.extend_from_slice(part);
            let from = frame_in_place(&mut framed);
            let before = body.len();
            write_chunk_head(&mut body, part.len());
            body.extend_from_slice(part);
            body.extend_from_slice(b"\r\n");
            prop_assert_eq!(&framed[from..], &body[before..]);
        }
        body.extend_from_slice(LAST_CHUNK);
        let (data, is_done, behind) = decoded(&pieces(&body, &cuts)).unwrap();
        prop_assert_eq!(data, parts.concat());
        prop_assert!(is_done && behind.is_empty());
    }

    /// Rubbish is judged the same as a whole and in pieces, and never more than it holds comes out.
    #[test]
    fn rubbish_is_judged_alike_however_it_is_cut(
        input in "[0-9a-fA-F;\r\n :x]{0,60}",
        cuts in prop::collection::vec(0..6_usize, 0..30),
    ) {
        let input = input.as_bytes();
        let whole = decoded(&[input]);
        prop_assert_eq!(&decoded(&pieces(input, &cuts)), &whole);
        if let Ok((data, _, _)) = whole {
            prop_assert!(data.len() <= input.len());
        }
    }
}
