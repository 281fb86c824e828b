use super::*;

/// A body, and the bytes that follow it.
type Message = (Vec<u8>, Vec<u8>);

/// The body and what follows it, with the bytes given in pieces of that size; nothing while the end is not there.
fn decoded(raw: &[u8], piece_bytes: usize) -> Result<Option<Message>, ChunkError> {
    let mut decoder = Decoder::default();
    let mut body = Vec::new();
    let mut at = 0;
    for end in (0..raw.len()).step_by(piece_bytes).map(|from| (from + piece_bytes).min(raw.len())) {
        while at < end {
            let step = decoder.decode(&raw[at..end])?;
            assert!(step.data.end <= step.consumed && (step.consumed > 0 || step.done));
            body.extend_from_slice(&raw[at..end][step.data.clone()]);
            at += step.consumed;
            if step.done {
                assert!(decoder.is_done());
                return Ok(Some((body, raw[at..].to_vec())));
            }
        }
    }
    Ok(None)
}

/// The outcome, which must be the same for all sizes of pieces.
fn outcome(raw: &[u8]) -> Result<Option<Message>, ChunkError> {
    let whole = decoded(raw, raw.len().max(1));
    for piece_bytes in [1, 2, 3, 7] {
        assert_eq!(
            decoded(raw, piece_bytes),
            whole,
            "{piece_bytes} bytes at a time: {}",
            raw.escape_ascii()
        );
    }
    whole
}

fn body_of(raw: &[u8]) -> Vec<u8> {
    outcome(raw).unwrap().expect("the body is whole").0
}

#[test]
fn chunks_are_joined_and_what_follows_is_left() {
    assert_eq!(
        outcome(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nNEXT"),
        Ok(Some((b"hello world".to_vec(), b"NEXT".to_vec())))
    );
    assert_eq!(body_of(b"a\r\n0123456789\r\n0\r\n\r\n"), b"0123456789");
    assert_eq!(body_of(b"A\r\n0123456789\r\n0\r\n\r\n"), b"0123456789");
    assert_eq!(body_of(b"0005\r\nhello\r\n000\r\n\r\n"), b"hello");
    assert_eq!(body_of(b"0\r\n\r\n"), b"");
    assert_eq!(body_of(&[&b"1\r\nx\r\n".repeat(3000)[..], LAST_CHUNK].concat()), b"x".repeat(3000));
}

#[test]
fn an_unfinished_body_is_not_done() {
    let raw = b"5;x\r\nhello\r\n0\r\nX: y\r\n\r\n";
    for count in 0..raw.len() {
        assert_eq!(outcome(&raw[..count]), Ok(None), "{count}");
    }
}

#[test]
fn sizes_are_hexadecimal_digits_and_nothing_else() {
    for size in [
        &b"0x5"[..],
        b"+5",
        b"-5",
        b" 5",
        b"5 ",
        b"5\t",
        b"",
        b";a",
        b"5g",
        b"g",
        b"5,",
        b"0_5",
        b"5\0",
        b"5\x0b",
        b"\xa05",
        b"5.0",
        b"\"5\"",
        b"5 ;a",
        b"FFFFFFFFFFFFFFFF5",
        b"10000000000000005",
        b"FFFFFFFFFFFFFFFF",
        b"8000000000000000",
        b"00000000000000005",
    ] {
        let raw = [size, b"\r\nhello\r\n0\r\n\r\n"].concat();
        assert!(
            matches!(outcome(&raw), Err(ChunkError::Size | ChunkError::SizeTooLarge)),
            "{}",
            size.escape_ascii()
        );
    }
    assert_eq!(outcome(b"7FFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"), Ok(None));
    assert_eq!(body_of(b"0000000000000005\r\nhello\r\n0\r\n\r\n"), b"hello");
}

#[test]
fn every_line_and_chunk_ends_with_cr_lf() {
    for raw in [
        &b"5\nhello\r\n0\r\n\r\n"[..],
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello  0\r\n\r\n",
        b"5\r\nhello\r\n0\n\r\n",
        b"5\r\nhello\r\n0\r\n\n",
        b"5\r\nhello\r\n0\n\n",
        b"5\r\nhello\r\n0\r\n\rX",
        b"5;\nhello\r\n0\r\n\r\n",
        b"2;\nxx\r\n5\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"0\r\nX: y\n\r\n",
        b"0\r\nX: y\rz\r\n\r\n",
    ] {
        assert!(outcome(raw).is_err(), "{}", raw.escape_ascii());
    }
}

#[test]
fn extensions_are_dropped_but_not_endless() {
    assert_eq!(body_of(b"5;a=b\r\nhello\r\n0;c\r\n\r\n"), b"hello");
    assert_eq!(body_of(b"5;a=\"q;\\\"x\"\r\nhello\r\n0\r\n\r\n"), b"hello");
    assert_eq!(outcome(b"5;a\0b\r\nhello\r\n0\r\n\r\n"), Err(ChunkError::Extension));
    let with_extension =
        |count: usize| [b"5;", &b"a".repeat(count)[..], b"\r\nhello\r\n0\r\n\r\n"].concat();
    assert_eq!(body_of(&with_extension(4096)), b"hello");
    assert_eq!(outcome(&with_extension(4097)), Err(ChunkError::ExtensionsTooLong));
}

#[test]
fn extensions_in_all_may_not_outweigh_the_data() {
    let talk = [&b"1;aaaaaaaaaaaaaaaa\r\nx\r\n".repeat(3000)[..], LAST_CHUNK].concat();
    assert_eq!(decoded(&talk, 1000), Err(ChunkError::ExtensionsTooLong));
    let mut signed = Vec::new();
    for _ in 0..400 {
        signed.extend_from_slice(
            b"400;chunk-signature=0123456789012345678901234567890123456789012345678901234567890123\r\n",
        );
        signed.resize(signed.len() + 0x400, b'x');
        signed.extend_from_slice(b"\r\n");
    }
    signed.extend_from_slice(LAST_CHUNK);
    assert_eq!(decoded(&signed, 1000).unwrap().map(|(body, _)| body.len()), Some(400 * 0x400));
}

#[test]
fn trailers_are_header_lines_that_are_dropped() {
    assert_eq!(body_of(b"5\r\nhello\r\n0\r\nX-T: 1\r\nX-U:\r\n\r\n"), b"hello");
    assert_eq!(body_of(b"5\r\nhello\r\n0\r\nContent-Length: 99\r\nHost: evil\r\n\r\n"), b"hello");
    for trailer in [
        &b"GARBAGE"[..],
        b"X-T : 1",
        b"X-T: 1\r\n 2",
        b"X: a\0b",
        b": 1",
        b"X: y\r\nGET /hidden HTTP/1.1\r\nHost: h",
        b" X: y",
    ] {
        let raw = [b"0\r\n", trailer, b"\r\n\r\n"].concat();
        assert_eq!(outcome(&raw), Err(ChunkError::Trailer), "{}", trailer.escape_ascii());
    }
    let many =
        [b"0\r\n", &b"X-Trailer: vvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\r\n".repeat(500)[..], b"\r\n"]
            .concat();
    assert_eq!(decoded(&many, 100), Err(ChunkError::TrailersTooLong));
}

#[test]
fn chunk_heads_are_written_in_hexadecimal() {
    for count in [1usize, 9, 10, 15, 16, 255, 256, 4096, 65535, 1 << 20, usize::MAX] {
        let mut out = Vec::new();
        write_chunk_head(&mut out, count);
        assert_eq!(out, format!("{count:x}\r\n").into_bytes());
        assert!(out.len() <= HEAD_ROOM);
    }
}

#[test]
fn a_piece_is_framed_where_it_lies() {
    for count in [1usize, 15, 16, 4096] {
        let mut out = vec![0; HEAD_ROOM];
        out.resize(HEAD_ROOM + count, b'x');
        let from = frame_in_place(&mut out);
        out.extend_from_slice(LAST_CHUNK);
        assert_eq!(body_of(&out[from..]), b"x".repeat(count));
    }
}

#[test]
fn errors_read_as_short_sentences() {
    assert_eq!(ChunkError::Size.to_string(), "a chunk size is not a hexadecimal number");
}
