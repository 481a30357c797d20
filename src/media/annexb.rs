//! H.264's byte stream format: NAL units between start codes (ITU-T H.264, annex B).

/// What a NAL unit carries; the numbers of table 7-1 that matter to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NalKind {
    /// Part of a picture that refers to earlier ones (1).
    Slice,
    /// Part of a picture a decoder can start at (5).
    Idr,
    /// Supplemental enhancement information (6).
    Sei,
    /// Sequence parameter set (7).
    Sps,
    /// Picture parameter set (8).
    Pps,
    /// Access unit delimiter (9).
    Delimiter,
    /// Filler data (12).
    Filler,
    /// Anything else.
    Other(u8),
}

impl NalKind {
    /// The kind in the first byte of a NAL unit.
    pub const fn of_header(header: u8) -> Self {
        match header & 0x1f {
            1 => Self::Slice,
            5 => Self::Idr,
            6 => Self::Sei,
            7 => Self::Sps,
            8 => Self::Pps,
            9 => Self::Delimiter,
            12 => Self::Filler,
            other => Self::Other(other),
        }
    }
}

/// One NAL unit, without its start code, never empty; emulation prevention bytes are still in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nal<'a>(&'a [u8]);

impl<'a> Nal<'a> {
    /// The unit's bytes, header first.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// What it carries.
    pub const fn kind(self) -> NalKind {
        NalKind::of_header(self.0[0])
    }
}

/// The NAL units of an Annex B byte stream, in order.
///
/// Start codes of three and of four bytes both count. What stands before the first one is skipped, and so are empty
/// units and the zero bytes that may trail a unit; any bytes at all are accepted.
pub fn nals(stream: &[u8]) -> Nals<'_> {
    let rest = match start_code(stream) {
        Some(at) => &stream[at + START_CODE_LEN..],
        None => &[],
    };
    Nals { rest }
}

/// Whether a decoder can start with this access unit: it has an IDR slice.
pub fn is_key(stream: &[u8]) -> bool {
    nals(stream).any(|nal| nal.kind() == NalKind::Idr)
}

/// Iterator of [`nals`].
#[derive(Debug, Clone)]
pub struct Nals<'a> {
    /// What follows the last start code that was seen.
    rest: &'a [u8],
}

impl<'a> Iterator for Nals<'a> {
    type Item = Nal<'a>;

    fn next(&mut self) -> Option<Nal<'a>> {
        while !self.rest.is_empty() {
            let unit = match start_code(self.rest) {
                Some(at) => {
                    let unit = &self.rest[..at];
                    self.rest = &self.rest[at + START_CODE_LEN..];
                    unit
                }
                None => std::mem::take(&mut self.rest),
            };
            // A unit cannot end in a zero byte (its last bit is a stop bit): zeros here belong to a four-byte start code
            // or are padding.
            let len = unit.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
            if len > 0 {
                return Some(Nal(&unit[..len]));
            }
        }
        None
    }
}

/// The three-byte form; the zero before it in the four-byte form is taken as the earlier unit's padding.
const START_CODE_LEN: usize = 3;

/// Where the first `00 00 01` stands.
fn start_code(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(&[a, b, c]) = bytes.get(at..at + START_CODE_LEN).and_then(|w| <&[u8; 3]>::try_from(w).ok()) {
        match (a, b, c) {
            (0, 0, 1) => return Some(at),
            // The third byte is the one to be found as a zero or a one further left; any other value rules out a start
            // code that overlaps it.
            (_, _, 2..) => at += 3,
            (_, _, _) => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(stream: &[u8]) -> Vec<Vec<u8>> {
        nals(stream).map(|nal| nal.bytes().to_vec()).collect()
    }

    #[test]
    fn units_are_found_between_start_codes_of_both_lengths() {
        let table: &[(&[u8], &[&[u8]])] = &[
            (&[], &[]),
            (&[0], &[]),
            (&[0, 0, 1], &[]),
            (&[0, 0, 0, 1], &[]),
            (&[1, 2, 3], &[]),
            (&[0, 0, 1, 0x65], &[&[0x65]]),
            (&[0, 0, 0, 1, 0x65, 7], &[&[0x65, 7]]),
            (&[9, 9, 0, 0, 1, 0x41, 5], &[&[0x41, 5]]),
            (&[0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 3], &[&[0x67, 1], &[0x68, 2], &[0x65, 3]]),
            (&[0, 0, 1, 0, 0, 1, 0x65], &[&[0x65]]),
            (&[0, 0, 1, 0x65, 4, 0, 0, 0, 0], &[&[0x65, 4]]),
            (&[0, 0, 1, 0x65, 0, 0], &[&[0x65]]),
            (&[0, 0, 1, 0x65, 0, 0, 3, 1, 2], &[&[0x65, 0, 0, 3, 1, 2]]),
            (&[0, 0, 1, 0x65, 0, 1, 0, 0, 2], &[&[0x65, 0, 1, 0, 0, 2]]),
        ];
        for (stream, expected) in table {
            assert_eq!(split(stream), *expected, "{stream:?}");
        }
    }

    #[test]
    fn every_short_stream_of_zeros_ones_and_others_splits_as_a_plain_search_does() {
        // All 4^8 streams over the bytes that matter to start codes.
        for code in 0u32..1 << 16 {
            let stream: Vec<u8> = (0..8).map(|i| [0, 1, 2, 0x65][(code >> (2 * i)) as usize & 3]).collect();
            let first = stream.windows(3).position(|w| w == [0, 0, 1]);
            assert_eq!(start_code(&stream), first, "{stream:?}");
            for unit in nals(&stream) {
                assert!(!unit.bytes().is_empty() && unit.bytes().windows(3).all(|w| w != [0, 0, 1]), "{stream:?}");
            }
        }
    }

    #[test]
    fn an_access_unit_is_a_key_frame_if_it_has_an_idr_slice() {
        assert!(is_key(&[0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 3]));
        assert!(!is_key(&[0, 0, 1, 0x67, 1, 0, 0, 1, 0x41, 3]));
        assert!(!is_key(&[]));
    }
}
