//! What the two ends of a relay say to each other: a kind, a length, and as many bytes.

use crate::http2::End;

/// Bytes before those of a frame: its kind and their number.
const HEADER: usize = 1 + 4;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The head of an interim response.
    Interim,
    /// The head of the response.
    Head,
    /// A part of its body.
    Body,
    /// The response is over: how, in one byte.
    End,
    /// Said by the near end: the client has closed its side.
    Gone,
}

impl Kind {
    fn of(octet: u8) -> Option<Self> {
        let all = [Self::Interim, Self::Head, Self::Body, Self::End, Self::Gone];
        all.into_iter().find(|kind| *kind as u8 == octet)
    }
}

const ENDS: [End; 3] = [End::Kept, End::Closed, End::Cut];

/// Appends a frame.
pub(super) fn put(out: &mut Vec<u8>, kind: Kind, bytes: &[u8]) {
    // What is put here is a head, or a piece of some 64 KiB.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.push(kind as u8);
    out.extend(length.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Appends the last frame.
pub(super) fn put_end(out: &mut Vec<u8>, end: End) {
    put(out, Kind::End, &[end as u8]);
}

/// What a reader makes of the bytes that it gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Interim(Vec<u8>),
    Head(Vec<u8>),
    /// Some of a body, however it was cut.
    Body(&'a [u8]),
    End(End),
    Gone,
    /// Nothing that another end would say.
    Broken,
}

/// Takes frames apart, wherever the bytes were cut.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// What there is of a frame's header or, if that is short, of its bytes.
    held: Vec<u8>,
    /// Bytes of a body that are still to come.
    body: usize,
}

impl Reader {
    /// The next item in `bytes`, of which it takes what it needs; `None` when it needs more.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Item<'a>> {
        loop {
            if self.body > 0 {
                let piece = take(bytes, self.body);
                self.body -= piece.len();
                return (!piece.is_empty()).then_some(Item::Body(piece));
            }
            if !self.fill(HEADER, bytes) {
                return None;
            }
            let (&[octet], rest) = self.held.split_first_chunk()?;
            let (&length, _) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
            let Some(kind) = Kind::of(octet) else { return Some(Item::Broken) };
            if kind == Kind::Body {
                self.held.clear();
                self.body = length;
                continue;
            }
            if !self.fill(HEADER.saturating_add(length), bytes) {
                return None;
            }
            let mut frame = std::mem::take(&mut self.held);
            frame.drain(..HEADER);
            return Some(match (kind, frame.as_slice()) {
                (Kind::Interim, _) => Item::Interim(frame),
                (Kind::Head, _) => Item::Head(frame),
                (Kind::End, [how]) => {
                    ENDS.into_iter().find(|end| *end as u8 == *how).map_or(Item::Broken, Item::End)
                }
                (Kind::Gone, []) => Item::Gone,
                _ => Item::Broken,
            });
        }
    }

    /// Holds so many bytes, if they are there.
    fn fill(&mut self, count: usize, bytes: &mut &[u8]) -> bool {
        let missing = count.saturating_sub(self.held.len());
        self.held.extend_from_slice(take(bytes, missing));
        self.held.len() >= count
    }
}

/// Splits up to `count` bytes off.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (piece, rest) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
    *bytes = rest;
    piece
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: End = End::Closed;

    fn frames() -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, Kind::Interim, b"HTTP/1.1 103 Early Hints\r\n\r\n");
        put(&mut out, Kind::Head, b"HTTP/1.1 200 OK\r\n\r\n");
        put(&mut out, Kind::Body, b"");
        put(&mut out, Kind::Body, b"some bytes");
        put(&mut out, Kind::Body, b" and more");
        put_end(&mut out, LAST);
        put(&mut out, Kind::Gone, b"");
        out
    }

    #[test]
    fn frames_are_read_wherever_they_are_cut() {
        let out = frames();
        for size in 1..=out.len() {
            let (mut reader, mut body, mut others) = (Reader::default(), Vec::new(), Vec::new());
            for mut piece in out.chunks(size) {
                while let Some(item) = reader.next(&mut piece) {
                    match item {
                        Item::Body(bytes) => body.extend_from_slice(bytes),
                        Item::Interim(head) | Item::Head(head) => others.push(head.len()),
                        Item::End(end) => assert_eq!((end, others.len()), (LAST, 2)),
                        Item::Gone => others.push(0),
                        Item::Broken => panic!("broken at pieces of {size}"),
                    }
                }
                assert!(piece.is_empty());
            }
            assert_eq!(
                (body.as_slice(), others.as_slice()),
                (&b"some bytes and more"[..], &[28, 19, 0][..])
            );
        }
    }

    #[test]
    fn what_no_end_says_is_broken() {
        for bytes in [
            &[9, 0, 0, 0, 0][..],
            &[Kind::End as u8, 0, 0, 0, 0],
            &[Kind::End as u8, 1, 0, 0, 0, 9],
            &[Kind::Gone as u8, 1, 0, 0, 0, 7],
        ] {
            let mut rest = bytes;
            assert_eq!(Reader::default().next(&mut rest), Some(Item::Broken), "{bytes:?}");
        }
    }
}
