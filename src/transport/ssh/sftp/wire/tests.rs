//! Packets there and back, cut anywhere; and whatever bytes a host may send.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn packet(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_string(&mut out, body);
    out
}

/// What came out, with the pieces of data put together again.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Packet(Vec<u8>),
    Data(u32, Vec<u8>),
}

/// Takes bytes apart that come in pieces of these lengths, again and again.
fn unpacked(bytes: &[u8], lengths: &[usize]) -> Result<Vec<Came>, Malformed> {
    let mut unpacker = Unpacker::default();
    let (mut came, mut data) = (Vec::new(), Vec::new());
    let mut lengths = lengths.iter().cycle();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (mut piece, after) = rest.split_at(rest.len().min(*lengths.next().unwrap()));
        rest = after;
        while let Some(event) = unpacker.next(&mut piece)? {
            match event {
                Event::Packet(body) => came.push(Came::Packet(body)),
                Event::Data(_, length) => assert!(length as usize <= MAX_PACKET && data.is_empty()),
                Event::Piece(_, bytes) => {
                    assert!(!bytes.is_empty());
                    data.extend_from_slice(bytes);
                }
                Event::End(id) => came.push(Came::Data(id, std::mem::take(&mut data))),
            }
        }
        assert!(piece.is_empty());
    }
    Ok(came)
}

fn data(id: u32, bytes: &[u8]) -> Vec<u8> {
    let mut body = vec![DATA];
    put_u32(&mut body, id);
    put_string(&mut body, bytes);
    packet(&body)
}

#[test]
fn a_request_is_as_the_draft_has_it() {
    let mut out = Vec::new();
    Request::Open(b"/a", OPEN_NEW, Setting::mode(0o10_600)).put(7, &mut out);
    let expected = [
        0, 0, 0, 23, 3, 0, 0, 0, 7, 0, 0, 0, 2, b'/', b'a', 0, 0, 0, 0x2a, 0, 0, 0, 4, 0, 0, 1,
        0x80,
    ];
    assert_eq!(out, expected);
    let setting = Setting {
        size: Some(1 << 33),
        mode: None,
        modified: Some(u64::MAX),
    };
    out.clear();
    Request::SetOpen(b"h", setting).put(1, &mut out);
    let expected = [
        0, 0, 0, 30, 10, 0, 0, 0, 1, 0, 0, 0, 1, b'h', 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 0, 255,
        255, 255, 255, 255, 255, 255, 255,
    ];
    assert_eq!(
        out, expected,
        "later times than can be told are the last one"
    );
}

#[test]
fn a_write_announces_the_data_that_follows() {
    let mut out = Vec::new();
    put_write(&mut out, 9, b"hh", 1 << 40, 3);
    out.extend_from_slice(b"abc");
    let came = unpacked(&out, &[1]).unwrap();
    let [Came::Packet(body)] = came.as_slice() else {
        panic!("{came:?}");
    };
    let mut reader = Reader::new(body);
    assert_eq!(reader.take(1), Some(&[WRITE][..]));
    assert_eq!(reader.u32(), Some(9));
    assert_eq!(reader.string(), Some(&b"hh"[..]));
    assert_eq!(reader.u64(), Some(1 << 40));
    assert_eq!(reader.string(), Some(&b"abc"[..]));
    assert!(reader.is_empty());
}

#[test]
fn lengths_that_lie_are_refused_at_once() {
    for length in [0_u32, 4, 256 * 1024 + 1025, 0x6865_6c6c, u32::MAX] {
        let result = unpacked(&length.to_be_bytes(), &[4]);
        assert_eq!(result, Err(Malformed::Length(length)));
    }
    // Data that is longer or shorter than its packet.
    for count in [0_u32, 2, 4, u32::MAX] {
        let mut bytes = data(1, b"abc");
        bytes[9..13].copy_from_slice(&count.to_be_bytes());
        assert_eq!(unpacked(&bytes, &[99]), Err(Malformed::Packet), "{count}");
    }
    assert_eq!(
        unpacked(&packet(&[DATA, 0, 0, 0, 1]), &[99]),
        Err(Malformed::Packet)
    );
}

#[test]
fn handles_may_be_so_long_and_no_longer() {
    let handle = |length: usize| {
        let mut body = vec![HANDLE, 0, 0, 0, 5];
        put_string(&mut body, &vec![b'h'; length]);
        Reply::read(&body)
    };
    assert_eq!(handle(256), Ok((5, Reply::Handle(vec![b'h'; 256]))));
    assert_eq!(handle(257), Err(Malformed::Packet));
}

#[test]
fn a_status_needs_no_words() {
    let status = |code, words: &str| {
        let words = words.to_owned();
        Ok((5, Reply::Status(Status { code, words })))
    };
    assert_eq!(
        Reply::read(&[STATUS, 0, 0, 0, 5, 0, 0, 0, 4]),
        status(4, "")
    );
    let mut body = vec![STATUS, 0, 0, 0, 5, 0, 0, 0, 4];
    put_string(&mut body, b" \x1b[2J\xff\n");
    assert_eq!(Reply::read(&body), status(4, "\\u{1b}[2J\u{fffd}"));
}

#[test]
fn attributes_are_read_past_what_is_of_no_use() {
    let mut body = vec![ATTRS, 0, 0, 0, 5];
    put_u32(
        &mut body,
        HAS_SIZE | HAS_OWNER | HAS_MODE | HAS_TIMES | HAS_EXTENSIONS,
    );
    put_u64(&mut body, 1 << 40);
    for number in [1, 2, 0o100_644, 3, 4, 1] {
        put_u32(&mut body, number);
    }
    put_string(&mut body, b"name");
    put_string(&mut body, b"value");
    let Ok((5, Reply::Attributes(known))) = Reply::read(&body) else {
        panic!("these are attributes");
    };
    let expected = Attributes {
        kind: FileKind::File,
        size: 1 << 40,
        mode: 0o644,
        modified: 4,
    };
    assert_eq!(known.attributes(), expected);
    for length in 5..body.len() {
        assert_eq!(Reply::read(&body[..length]), Err(Malformed::Packet));
    }
}

#[test]
fn names_that_are_announced_and_do_not_come_take_no_memory() {
    let mut body = Vec::new();
    put_u32(&mut body, u32::MAX);
    assert_eq!(names(&body), Err(Malformed::Packet));
}

#[test]
fn extensions_are_known_by_their_names() {
    let mut body = Vec::new();
    for text in ["limits@openssh.com", "1", "x", "", "cut off"] {
        put_string(&mut body, text.as_bytes());
    }
    assert_eq!(extensions(&body), [&b"limits@openssh.com"[..], b"x"]);
}

proptest! {
    #[test]
    fn whatever_comes_nothing_panics(bytes: Vec<u8>, lengths in vec(1_usize..50, 1..5)) {
        let _ = unpacked(&bytes, &lengths);
        let _ = Reply::read(&bytes);
        let _ = names(&bytes);
        let _ = limits(&bytes);
        let _ = extensions(&bytes);
    }

    /// As above, past the length and the kind.
    #[test]
    fn whatever_an_answer_holds_nothing_panics(
        kind in prop_oneof![Just(STATUS), Just(HANDLE), Just(NAME), Just(ATTRS), any::<u8>()],
        rest in vec(prop_oneof![Just(0_u8), any::<u8>()], 0..99),
    ) {
        let body = [&[kind][..], &rest].concat();
        if let Ok((_, Reply::Names(body))) = Reply::read(&body) {
            let _ = names(&body);
        }
        let _ = unpacked(&packet(&body), &[7]);
    }

    #[test]
    fn packets_come_out_as_they_were_however_they_are_cut(
        bodies in vec((any::<u32>(), vec(any::<u8>(), 0..300), any::<bool>()), 0..9),
        lengths in vec(1_usize..400, 1..9),
    ) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (id, content, is_data) in bodies {
            if is_data {
                bytes.extend(data(id, &content));
                expected.push(Came::Data(id, content));
            } else {
                let body = [&[STATUS][..], &id.to_be_bytes(), &content].concat();
                bytes.extend(packet(&body));
                expected.push(Came::Packet(body));
            }
        }
        // An end shows with what comes next.
        bytes.extend(packet(b"last!"));
        expected.push(Came::Packet(b"last!".to_vec()));
        prop_assert_eq!(unpacked(&bytes, &lengths), Ok(expected));
    }

    #[test]
    fn names_read_back(listed in vec((vec(any::<u8>(), 0..20), any::<u32>()), 0..9)) {
        let mut body = Vec::new();
        put_u32(&mut body, u32::try_from(listed.len()).unwrap());
        for (name, mode) in &listed {
            put_string(&mut body, name);
            put_string(&mut body, b"-rw-r--r-- 1 root");
            put_u32(&mut body, HAS_MODE);
            put_u32(&mut body, *mode);
        }
        let read = names(&body).unwrap();
        prop_assert_eq!(read.len(), listed.len());
        for ((name, mode), (read, known)) in listed.into_iter().zip(read) {
            prop_assert_eq!(read.into_vec(), name);
            prop_assert_eq!(known.mode, mode & 0o7777);
        }
    }
}
