//! Cuts an Annex B stream into access units, piece by piece.
//!
//! A picture begins at the first slice of its own, or at the parameter sets, delimiters and SEI before it
//! ([ITU-T H.264 §7.4.1.2.3](https://www.itu.int/rec/T-REC-H.264)).

/// Where an access unit lies in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AccessUnit {
    /// Of its first start code.
    pub(super) start: u64,
    /// With all its start codes.
    pub(super) len: u32,
    /// It has an IDR slice: a decoder can start here.
    pub(super) key: bool,
}

/// Finds access units in a stream that is given in pieces.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// Bytes seen.
    position: u64,
    /// Zero bytes just before `position`.
    zeros: u64,
    /// What follows a start code, as far as it was seen.
    header: Option<Header>,
    /// The unit being collected: its start, and what it has so far.
    open: Option<Open>,
    found: Vec<AccessUnit>,
}

#[derive(Debug)]
struct Header {
    start: u64,
    kind: Option<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    start: u64,
    slices: bool,
    key: bool,
}

impl Splitter {
    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        for &byte in piece {
            self.take(byte);
            self.position += 1;
        }
    }

    /// All units of the stream that ends here.
    pub(super) fn finish(mut self) -> Vec<AccessUnit> {
        self.close(self.position);
        self.found
    }

    fn take(&mut self, byte: u8) {
        if let Some(header) = &mut self.header {
            match header.kind {
                None => {
                    header.kind = Some(byte & 0x1f);
                    if !matches!(byte & 0x1f, 1 | 5) {
                        self.unit_begins(false);
                    }
                }
                // The slice header begins with first_mb_in_slice; a leading 1 is its 0.
                Some(_) => self.unit_begins(byte & 0x80 != 0),
            }
        }
        if byte == 1 && self.zeros >= 2 {
            // A fourth byte, and padding before it, go with the start code that follows.
            self.header = Some(Header { start: self.position - self.zeros, kind: None });
        }
        self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
    }

    /// A NAL unit's kind is known, and for a slice whether it is its picture's first.
    fn unit_begins(&mut self, first_slice: bool) {
        let Some(Header { start, kind: Some(kind) }) = self.header.take() else { return };
        let slice = matches!(kind, 1 | 5);
        let begins_picture = if slice { first_slice } else { matches!(kind, 6..=9 | 14..=18) };
        if begins_picture && self.open.is_some_and(|open| open.slices) {
            self.close(start);
        }
        let open = self.open.get_or_insert(Open { start, slices: false, key: false });
        open.slices |= slice;
        open.key |= kind == 5;
    }

    fn close(&mut self, end: u64) {
        let Some(open) = self.open.take() else { return };
        if let (true, Ok(len)) = (open.slices, u32::try_from(end - open.start)) {
            self.found.push(AccessUnit { start: open.start, len, key: open.key });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nal(long: bool, header: u8, body: &[u8]) -> Vec<u8> {
        let mut nal = if long { vec![0, 0, 0, 1] } else { vec![0, 0, 1] };
        nal.push(header);
        nal.extend_from_slice(body);
        nal
    }

    /// SPS, PPS, IDR in two slices; SEI and a P picture; a P picture.
    fn stream() -> (Vec<u8>, Vec<usize>) {
        let first = [
            nal(true, 0x67, &[0x42, 0xc0, 0x1f]),
            nal(true, 0x68, &[0xce]),
            nal(false, 0x65, &[0x88, 7]),
            nal(false, 0x65, &[0x40, 7]),
        ]
        .concat();
        let second = [nal(true, 0x06, &[5, 1]), nal(true, 0x41, &[0x9a, 3])].concat();
        let third = nal(false, 0x41, &[0x9a, 4]);
        let lens = vec![first.len(), second.len(), third.len()];
        ([first, second, third].concat(), lens)
    }

    fn split(stream: &[u8], piece: usize) -> Vec<AccessUnit> {
        let mut splitter = Splitter::default();
        stream.chunks(piece).for_each(|piece| splitter.push(piece));
        splitter.finish()
    }

    #[test]
    fn pictures_are_cut_whole_however_the_stream_is_given() {
        let (stream, lens) = stream();
        for piece in 1..=stream.len() {
            let units = split(&stream, piece);
            let got: Vec<_> = units.iter().map(|unit| (unit.len as usize, unit.key)).collect();
            assert_eq!(got, [(lens[0], true), (lens[1], false), (lens[2], false)], "pieces of {piece}");
            assert_eq!(units[1].start as usize, lens[0]);
        }
    }

    #[test]
    fn truncated_and_random_streams_never_panic_and_stay_within_bounds() {
        let (stream, _) = stream();
        for len in 0..stream.len() {
            assert!(split(&stream[..len], 3).iter().all(|unit| unit.start + u64::from(unit.len) <= len as u64));
        }
        let mut rng = fastrand::Rng::with_seed(11);
        for _ in 0..200 {
            let noise: Vec<u8> = (0..300).map(|_| rng.u8(..8) * rng.u8(0..2)).collect();
            let mut end = 0;
            for unit in split(&noise, 7) {
                assert!(unit.start >= end);
                end = unit.start + u64::from(unit.len);
            }
            assert!(end <= 300);
        }
    }
}
