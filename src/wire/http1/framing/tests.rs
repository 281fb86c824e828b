use super::*;
use crate::message::head::RequestHead;

const CODING: &str = "Transfer-Encoding";
const LENGTH: &str = "Content-Length";

fn head(fields: &[(&str, &[u8])]) -> RequestHead {
    let mut head = RequestHead::default();
    for (name, value) in fields {
        head.push_header(name.as_bytes(), value);
    }
    head
}

fn of_request(fields: &[(&str, &[u8])]) -> Result<Framing, FramingError> {
    request(head(fields).headers(), Version::Http11)
}

fn of_response(fields: &[(&str, &[u8])]) -> Result<AnswerFraming, FramingError> {
    response(head(fields).headers(), Version::Http11, 200, false)
}

#[test]
fn a_request_without_length_and_coding_has_no_body() {
    assert_eq!(of_request(&[("X", b"1")]), Ok(Framing::Empty));
    assert_eq!(of_request(&[(LENGTH, b"0")]), Ok(Framing::Empty));
}

#[test]
fn a_length_is_digits_only() {
    for (text, length) in [
        (&b"5"[..], 5),
        (b"05", 5),
        (b"4294967301", 4_294_967_301),
        (b"999999999999999999", 999_999_999_999_999_999),
    ] {
        assert_eq!(of_request(&[(LENGTH, text)]), Ok(Framing::Length(length)), "{text:?}");
    }
    for text in [
        &b""[..],
        b"+5",
        b"-5",
        b"-0",
        b"0x5",
        b"5.0",
        b"5e0",
        b"5,5",
        b"5, 5",
        b"5 5",
        b"5;",
        b"\"5\"",
        b"5a",
        b"1_0",
        b"\xef\xbc\x95",
        b"\xa05",
        b"5\x0b",
        b"9223372036854775808",
        b"18446744073709551621",
        b"99999999999999999999999999",
        b"00000000000000000000005",
        b",5",
        b"5,",
    ] {
        assert_eq!(of_request(&[(LENGTH, text)]), Err(FramingError::Length), "{text:?}");
        assert_eq!(of_response(&[(LENGTH, text)]), Err(FramingError::Length), "{text:?}");
    }
}

#[test]
fn repeated_lengths_must_be_the_same_text() {
    assert_eq!(of_request(&[(LENGTH, b"5"), ("content-LENGTH", b"5")]), Ok(Framing::Length(5)));
    for second in [&b"6"[..], b"05", b"", b"5,5"] {
        assert_eq!(
            of_request(&[(LENGTH, b"5"), ("content-length", second)]),
            Err(FramingError::LengthsDiffer)
        );
        assert_eq!(
            of_response(&[(LENGTH, b"5"), ("content-length", second)]),
            Err(FramingError::LengthsDiffer)
        );
    }
}

#[test]
fn only_the_single_coding_chunked_is_understood() {
    for value in [&b"chunked"[..], b"CHUNKED", b"ChUnKeD"] {
        assert_eq!(of_request(&[(CODING, value)]), Ok(Framing::Chunked), "{value:?}");
    }
    for value in [
        &b""[..],
        b"\"chunked\"",
        b"chunked;q=1",
        b",chunked",
        b"chunked,",
        b"chunked, chunked",
        b"\x0bchunked",
        b"\xa0chunked",
        b"chunked\xff",
        b"chu\xe2\x84\xaaed",
        b"chunked chunked",
    ] {
        assert_eq!(of_request(&[(CODING, value)]), Err(FramingError::Coding), "{value:?}");
    }
    for value in [
        &b"xchunked"[..],
        b"chunk",
        b"identity",
        b"gzip, chunked",
        b"chunked, gzip",
        b"cow",
        b"chunked, identity",
    ] {
        assert_eq!(of_request(&[(CODING, value)]), Err(FramingError::UnknownCoding), "{value:?}");
    }
}

#[test]
fn codings_on_several_lines_are_one_list() {
    assert_eq!(
        of_request(&[(CODING, b"chunked"), (CODING, b"chunked")]),
        Err(FramingError::Coding)
    );
    assert_eq!(
        of_request(&[(CODING, b"identity"), (CODING, b"chunked")]),
        Err(FramingError::UnknownCoding)
    );
    assert_eq!(of_request(&[(CODING, b"chunked"), (CODING, b"")]), Err(FramingError::Coding));
}

#[test]
fn a_request_with_length_and_coding_is_refused_in_any_order() {
    for fields in [
        [(LENGTH, &b"5"[..]), (CODING, b"chunked")],
        [(CODING, b"chunked"), (LENGTH, b"0")],
        [(CODING, b"cow"), (LENGTH, b"x")],
    ] {
        assert_eq!(of_request(&fields), Err(FramingError::LengthBesideCoding));
    }
}

#[test]
fn http_10_knows_no_transfer_coding() {
    let head = head(&[(CODING, b"chunked")]);
    assert_eq!(request(head.headers(), Version::Http10), Err(FramingError::CodingInHttp10));
    assert_eq!(
        response(head.headers(), Version::Http10, 200, false),
        Err(FramingError::CodingInHttp10)
    );
}

#[test]
fn an_answer_without_length_ends_with_the_connection() {
    let framing = of_response(&[]).unwrap();
    assert_eq!(
        framing,
        AnswerFraming { framing: Framing::UntilClose, content_length: None, is_dubious: false }
    );
}

#[test]
fn an_answer_with_both_is_chunked_and_its_connection_is_not_kept() {
    let framing = of_response(&[(LENGTH, b"3"), (CODING, b"chunked")]).unwrap();
    assert_eq!(
        framing,
        AnswerFraming { framing: Framing::Chunked, content_length: None, is_dubious: true }
    );
    assert_eq!(of_response(&[(CODING, b"xchunked")]), Err(FramingError::UnknownCoding));
}

#[test]
fn answers_to_head_and_informational_204_304_answers_have_no_body() {
    let head = head(&[(LENGTH, b"7")]);
    for (status, is_head_request) in
        [(200, true), (204, false), (304, false), (100, false), (103, false)]
    {
        let framing = response(head.headers(), Version::Http11, status, is_head_request).unwrap();
        assert_eq!(
            (framing.framing, framing.content_length),
            (Framing::Empty, Some(7)),
            "{status}"
        );
    }
    assert_eq!(of_response(&[(LENGTH, b"7")]).unwrap().framing, Framing::Length(7));
}

#[test]
fn errors_have_the_status_that_a_client_gets() {
    assert_eq!(FramingError::UnknownCoding.status(), 501);
    assert_eq!(FramingError::LengthsDiffer.status(), 400);
    assert_eq!(FramingError::Length.to_string(), "content-length is not a number");
}
