//! Counts the frames that are nothing but work.
//!
//! A client may send as many requests as get answers, and as much of a body as there is room for;
//! both have limits of their own. What is left costs it nine octets and us more: PING and SETTINGS
//! want an answer, RST_STREAM throws away what was begun, WINDOW_UPDATE, PRIORITY, CONTINUATION, DATA
//! without data and frames that nobody knows just have to be looked at. Of these there may be
//! [`BURST`] at once and [`PER_SECOND`] later on (CVE-2019-9511 to 9518, CVE-2023-44487,
//! CVE-2024-27316). A WINDOW_UPDATE is earned by what was sent.

/// Frames at once.
const BURST: u64 = 1000;
/// Frames per second in the long run.
const PER_SECOND: u64 = 100;
/// Bytes sent for which a WINDOW_UPDATE may come.
const BYTES_PER_UPDATE: u64 = 256;
/// WINDOW_UPDATE frames that a request earns.
const UPDATES_PER_REQUEST: u64 = 4;
/// WINDOW_UPDATE frames that an item of a body earns: for its stream, and for the connection.
const UPDATES_PER_ITEM: u64 = 2;
/// WINDOW_UPDATE frames that are earned for later at most: those for a window full of short items.
const MOST_UPDATES: u64 = 64 * BURST;
/// A frame's header (RFC 9113, section 4.1).
const HEADER: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

/// A client sends too many frames that are nothing but work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood;

impl std::fmt::Display for Flood {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("too many HTTP/2 frames that carry nothing")
    }
}

impl std::error::Error for Flood {}

/// How many may come now.
#[derive(Debug)]
struct Allowance {
    left: u64,
}

impl Allowance {
    fn take(&mut self) -> Result<(), Flood> {
        self.left = self.left.checked_sub(1).ok_or(Flood)?;
        Ok(())
    }

    fn give(&mut self, count: u64, most: u64) {
        self.left = self.left.saturating_add(count).min(most.max(self.left));
    }
}

/// Looks at the headers of frames as they pass.
#[derive(Debug)]
pub struct Meter {
    /// Bytes of the preface that are still to come.
    preface: usize,
    /// The beginning of a frame's header.
    header: [u8; HEADER],
    filled: usize,
    /// Bytes of a frame that are still to come.
    payload: usize,
    /// Whether they are DATA, whose pace has limits of its own.
    in_data: bool,
    /// A head is on its way.
    in_head: bool,
    since: Option<u64>,
    frames: Allowance,
    updates: Allowance,
    /// Bytes sent that did not earn a WINDOW_UPDATE yet.
    sent: u64,
    refilled: u64,
}

impl Meter {
    /// For a connection that begins with its preface.
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self {
            preface: super::PREFACE.len(),
            header: [0; HEADER],
            filled: 0,
            payload: 0,
            in_data: false,
            in_head: false,
            since: Some(now),
            frames: Allowance { left: BURST },
            updates: Allowance { left: BURST },
            sent: 0,
            refilled: now,
        }
    }

    /// Takes in bytes of the client; `now` is in milliseconds.
    ///
    /// # Errors
    ///
    /// It sends too many frames that are nothing but work.
    pub fn advance(&mut self, mut bytes: &[u8], now: u64) -> Result<(), Flood> {
        let earned = now.saturating_sub(self.refilled).saturating_mul(PER_SECOND) / 1000;
        if earned > 0 {
            // What is left of a frame's time counts for the next one.
            self.refilled = self.refilled.saturating_add(earned * 1000 / PER_SECOND);
            self.frames.give(earned, BURST);
            self.updates.give(earned, BURST);
        }
        while !bytes.is_empty() {
            if self.preface > 0 || self.payload > 0 {
                let wanted = if self.preface > 0 { &mut self.preface } else { &mut self.payload };
                let count = (*wanted).min(bytes.len());
                *wanted -= count;
                bytes = bytes.get(count..).unwrap_or(&[]);
                self.look_for_end();
                continue;
            }
            let count = (HEADER - self.filled).min(bytes.len());
            let (start, rest) = bytes.split_at(count);
            if let Some(place) = self.header.get_mut(self.filled..self.filled + count) {
                place.copy_from_slice(start);
            }
            self.filled += count;
            bytes = rest;
            if self.filled == HEADER {
                self.filled = 0;
                self.frame()?;
                self.look_for_end();
            }
        }
        if self.filled > 0 || self.is_open() {
            self.since = self.since.or(Some(now));
        }
        Ok(())
    }

    /// Whether something is on its way whose time is limited, and more of it than a header's begin.
    fn is_open(&self) -> bool {
        self.preface > 0 || self.in_head || (self.payload > 0 && !self.in_data)
    }

    /// What is whole has no time any more: what follows it in the same bytes begins now.
    fn look_for_end(&mut self) {
        if !self.is_open() {
            self.since = None;
        }
    }

    /// Bytes of the preface that are still to come.
    pub(super) fn preface(&self) -> usize {
        self.preface
    }

    /// Since when a head or a frame other than DATA is on its way that is not whole.
    #[must_use]
    pub fn unfinished_since(&self) -> Option<u64> {
        self.since
    }

    /// A request was taken.
    pub fn request(&mut self) {
        self.updates.give(UPDATES_PER_REQUEST, BURST);
    }

    /// So many items of bodies went out, however short, each as a whole.
    ///
    /// A client may open both windows again for each. What had to wait for a window is no such item,
    /// or a client that opens windows by an octet earned the next one with each (CVE-2019-9511).
    pub fn items(&mut self, count: u64) {
        self.updates.give(count.saturating_mul(UPDATES_PER_ITEM), MOST_UPDATES);
    }

    /// So many bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes as u64);
        self.updates.give(self.sent / BYTES_PER_UPDATE, 10 * BURST);
        self.sent %= BYTES_PER_UPDATE;
    }

    /// A frame's header is there.
    fn frame(&mut self) -> Result<(), Flood> {
        let [high, middle, low, kind, flags, ..] = self.header;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.payload = length;
        self.in_data = kind == DATA;
        match kind {
            DATA => {
                let is_padded = flags & PADDED != 0 && length <= 256;
                if (length == 0 || is_padded) && flags & END_STREAM == 0 {
                    self.frames.take()?;
                }
            }
            HEADERS => self.in_head = flags & END_HEADERS == 0,
            CONTINUATION => {
                self.in_head &= flags & END_HEADERS == 0;
                self.frames.take()?;
            }
            WINDOW_UPDATE => self.updates.take()?,
            _ => self.frames.take()?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h2::PREFACE;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, u8::try_from(payload.len()).expect("short"), kind, flags];
        bytes.extend([0, 0, 0, 1]);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn meter() -> Meter {
        let mut meter = Meter::new(0);
        meter.advance(PREFACE, 0).expect("no frame yet");
        meter
    }

    /// How many of these frames pass at once.
    fn passes(meter: &mut Meter, bytes: &[u8], now: u64) -> u64 {
        (0..100_000).take_while(|_| meter.advance(bytes, now).is_ok()).count() as u64
    }

    #[test]
    fn frames_that_carry_nothing_are_limited_and_come_back_with_time() {
        for (kind, flags) in [(6, 0), (4, 0), (3, 0), (2, 0), (9, 0), (0, 0), (0, PADDED), (77, 0)]
        {
            let mut meter = meter();
            let bytes = frame(kind, flags, &[]);
            assert_eq!(passes(&mut meter, &bytes, 0), BURST, "kind {kind}");
            assert_eq!(passes(&mut meter, &bytes, 1000), PER_SECOND, "kind {kind}");
            assert_eq!(passes(&mut meter, &bytes, 1_000_000), BURST, "kind {kind}");
        }
    }

    #[test]
    fn what_is_looked_at_often_is_permitted_as_many() {
        let mut meter = meter();
        let bytes = frame(6, 0, &[]);
        assert_eq!(passes(&mut meter, &bytes, 0), BURST);
        let looks = (1..=100).map(|look| passes(&mut meter, &bytes, look * 19));
        assert_eq!(looks.sum::<u64>(), 1900 * PER_SECOND / 1000);
    }

    #[test]
    fn requests_and_bodies_are_not_limited_here() {
        let mut meter = meter();
        for bytes in [frame(HEADERS, END_HEADERS, b"x"), frame(DATA, 0, b"x"), frame(DATA, 1, b"")]
        {
            assert_eq!(passes(&mut meter, &bytes, 0), 100_000);
        }
    }

    #[test]
    fn window_updates_are_earned_by_what_is_sent() {
        let mut meter = meter();
        let bytes = frame(WINDOW_UPDATE, 0, &[]);
        assert_eq!(passes(&mut meter, &bytes, 0), BURST);
        meter.sent(100);
        meter.sent(10 * 256);
        assert_eq!(passes(&mut meter, &bytes, 0), 10);
        meter.request();
        assert_eq!(passes(&mut meter, &bytes, 0), UPDATES_PER_REQUEST);
        meter.items(3);
        assert_eq!(passes(&mut meter, &bytes, 0), 3 * UPDATES_PER_ITEM);
    }

    #[test]
    fn any_cut_of_the_bytes_counts_the_same() {
        let bytes: Vec<u8> =
            PREFACE.iter().copied().chain(frame(6, 0, &[7; 8]).repeat(1000)).collect();
        for size in [1, 2, 8, 9, 10, 17, 1000] {
            let mut meter = Meter::new(0);
            bytes.chunks(size).for_each(|piece| meter.advance(piece, 0).expect("allowed"));
            assert_eq!(meter.unfinished_since(), None);
            assert_eq!(meter.advance(&frame(6, 0, &[7; 8]), 0), Err(Flood));
        }
    }

    #[test]
    fn a_frame_that_is_whole_has_no_time_although_it_came_with_the_begin_of_another() {
        for cut in [1, 9, 12] {
            let mut meter = meter();
            let ping = frame(6, 0, &[7; 8]);
            let (begin, end) = ping.split_at(cut);
            meter.advance(begin, 1).expect("allowed");
            for now in 2..20 {
                assert_eq!(meter.unfinished_since(), Some(now - 1));
                meter.advance(&[end, begin].concat(), now).expect("allowed");
            }
            meter.advance(end, 20).expect("allowed");
            assert_eq!(meter.unfinished_since(), None);
        }
    }

    #[test]
    fn a_head_that_does_not_end_is_noticed_with_the_time_of_its_beginning() {
        let mut meter = Meter::new(5);
        assert_eq!(meter.unfinished_since(), Some(5));
        meter.advance(PREFACE, 6).expect("allowed");
        assert_eq!(meter.unfinished_since(), None);
        meter.advance(&frame(HEADERS, 0, b"x"), 7).expect("allowed");
        meter.advance(&frame(CONTINUATION, 0, b"x"), 8).expect("allowed");
        assert_eq!(meter.unfinished_since(), Some(7));
        meter.advance(&frame(CONTINUATION, END_HEADERS, b"x"), 9).expect("allowed");
        assert_eq!(meter.unfinished_since(), None);
        meter.advance(&[0, 0], 10).expect("allowed");
        assert_eq!(meter.unfinished_since(), Some(10));
        let mut data = meter;
        data.advance(&[9, 0, 0, 0, 0, 0, 1], 11).expect("allowed");
        assert_eq!(data.unfinished_since(), None, "bodies have limits of their own");
    }
}
