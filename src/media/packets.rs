//! An H.264 access unit as RTP payloads, made once and shared by all viewers ([RFC 6184], packetization-mode 1).
//!
//! [RFC 6184]: https://www.rfc-editor.org/rfc/rfc6184

use bytes::{BufMut, Bytes, BytesMut};

use super::annexb::{Nal, NalKind, nals};
use super::{EncodedVideo, MediaTime};

/// The RTP payloads of one access unit, in order; the last one's packet carries the marker bit.
#[derive(Debug, Clone)]
pub struct VideoPackets {
    /// Payloads without RTP headers, each at most as long as was asked for.
    pub payloads: Vec<Bytes>,
    /// Whether a decoder can start here.
    pub key: bool,
    /// When the picture was captured; the RTP time stamp of all its packets.
    pub captured: MediaTime,
    /// When the encoder handed it out.
    pub encoded: MediaTime,
    /// The sum of the payloads' lengths.
    pub bytes: usize,
    /// So many payloads in a row, the most there are, have one length, but for the last, which may be shorter: they can
    /// leave in one system call.
    pub run: usize,
}

impl VideoPackets {
    /// Cuts an access unit into payloads of at most `max_payload_bytes` (at least [`MIN_PAYLOAD_BYTES`]).
    ///
    /// NAL units that fit together share a STAP-A ([§5.7.1]), so SPS and PPS cost no packet of their own; one that fits
    /// alone is sent as it is ([§5.6]), a slice of the access unit's own bytes; a longer one becomes FU-As of equal size
    /// ([§5.8]). Delimiters and filler are left out: they tell a decoder nothing that RTP does not.
    ///
    /// [§5.6]: https://www.rfc-editor.org/rfc/rfc6184#section-5.6
    /// [§5.7.1]: https://www.rfc-editor.org/rfc/rfc6184#section-5.7.1
    /// [§5.8]: https://www.rfc-editor.org/rfc/rfc6184#section-5.8
    pub fn from_access_unit(unit: &EncodedVideo, max_payload_bytes: usize) -> Self {
        let max = max_payload_bytes.max(MIN_PAYLOAD_BYTES);
        let units: Vec<Nal<'_>> =
            nals(&unit.data).filter(|nal| !matches!(nal.kind(), NalKind::Delimiter | NalKind::Filler)).collect();
        let plan = plan(&units, max);

        // Aggregates and fragments have headers of their own: all of them are written into one allocation.
        let copied: usize = plan.iter().map(|step| step.copied_bytes(&units)).sum();
        let mut scratch = BytesMut::with_capacity(copied);
        let mut payloads = Vec::with_capacity(units.len() + copied / max + 1);
        for step in plan {
            match step {
                Step::Single(at) => payloads.push(unit.data.slice_ref(units[at].bytes())),
                Step::Aggregate { from, to } => payloads.push(aggregate(&units[from..to], &mut scratch)),
                Step::Fragments { at, count } => fragment(units[at].bytes(), count, &mut scratch, &mut payloads),
            }
        }
        let bytes = payloads.iter().map(Bytes::len).sum();
        let run = longest_run(&payloads);
        Self { payloads, key: unit.key, captured: unit.captured, encoded: unit.encoded, bytes, run }
    }
}

fn longest_run(payloads: &[Bytes]) -> usize {
    let (mut longest, mut begin) = (0, 0);
    for end in 1..=payloads.len() {
        longest = longest.max(end - begin);
        let goes_on = payloads.get(end).is_some_and(|next| {
            let (first, last) = (payloads[begin].len(), payloads[end - 1].len());
            last == first && next.len() <= first
        });
        if !goes_on {
            begin = end;
        }
    }
    longest
}

/// The least payload size that is honoured; no path that carries WebRTC is narrower (IPv4's 576 bytes less all headers).
pub const MIN_PAYLOAD_BYTES: usize = 64;

/// How some of an access unit's NAL units are sent.
enum Step {
    /// As it is.
    Single(usize),
    /// `from..to` together in a STAP-A.
    Aggregate { from: usize, to: usize },
    /// In `count` FU-As.
    Fragments { at: usize, count: usize },
}

impl Step {
    fn copied_bytes(&self, units: &[Nal<'_>]) -> usize {
        match *self {
            Self::Single(_) => 0,
            Self::Aggregate { from, to } => aggregate_len(&units[from..to]),
            Self::Fragments { at, count } => units[at].bytes().len() - 1 + count * FU_HEADERS_LEN,
        }
    }
}

/// FU indicator and FU header.
const FU_HEADERS_LEN: usize = 2;
/// The size field before each unit in a STAP-A.
const STAP_SIZE_LEN: usize = 2;
/// NAL unit type of a STAP-A.
const STAP_A: u8 = 24;
/// NAL unit type of an FU-A.
const FU_A: u8 = 28;

/// Decides unit by unit, in order: as many as fit together, else alone, else in fragments.
fn plan(units: &[Nal<'_>], max: usize) -> Vec<Step> {
    let mut steps = Vec::with_capacity(units.len());
    let mut from = 0;
    while from < units.len() {
        let mut to = from + 1;
        while to < units.len() && aggregate_len(&units[from..=to]) <= max {
            to += 1;
        }
        let len = units[from].bytes().len();
        steps.push(if to - from > 1 {
            Step::Aggregate { from, to }
        } else if len <= max {
            Step::Single(from)
        } else {
            Step::Fragments { at: from, count: (len - 1).div_ceil(max - FU_HEADERS_LEN) }
        });
        from = to;
    }
    steps
}

fn aggregate_len(units: &[Nal<'_>]) -> usize {
    1 + units.iter().map(|nal| STAP_SIZE_LEN + nal.bytes().len()).sum::<usize>()
}

fn aggregate(units: &[Nal<'_>], scratch: &mut BytesMut) -> Bytes {
    // The aggregate is as important as its most important part (§5.3), and as broken as any.
    let forbidden = units.iter().fold(0, |bits, nal| bits | nal.bytes()[0] & 0x80);
    let importance = units.iter().map(|nal| nal.bytes()[0] & 0x60).max().unwrap_or(0);
    scratch.put_u8(forbidden | importance | STAP_A);
    for nal in units {
        let len = u16::try_from(nal.bytes().len()).expect("a unit in an aggregate is shorter than a packet");
        scratch.put_u16(len);
        scratch.put_slice(nal.bytes());
    }
    scratch.split().freeze()
}

/// Equal sizes, but for the last, which is shorter by less than a byte a fragment: a last one of a few bytes would cost a
/// whole packet's overhead for nothing, and what is equal can leave in one system call.
fn fragment(unit: &[u8], count: usize, scratch: &mut BytesMut, payloads: &mut Vec<Bytes>) {
    let (header, rest) = (unit[0], &unit[1..]);
    let mut parts = rest.chunks(rest.len().div_ceil(count)).peekable();
    let mut start = 0x80;
    while let Some(part) = parts.next() {
        let end = if parts.peek().is_none() { 0x40 } else { 0 };
        scratch.put_u8(header & 0xe0 | FU_A);
        scratch.put_u8(start | end | header & 0x1f);
        scratch.put_slice(part);
        payloads.push(scratch.split().freeze());
        start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(data: &[u8], max: usize) -> VideoPackets {
        let unit = EncodedVideo {
            data: Bytes::copy_from_slice(data),
            key: true,
            captured: MediaTime::from_nanos(1),
            encoded: MediaTime::from_nanos(2),
        };
        VideoPackets::from_access_unit(&unit, max)
    }

    fn annexb(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
    }

    /// Bytes that hold no start code.
    fn unit(header: u8, len: usize) -> Vec<u8> {
        (0..len).map(|i| if i == 0 { header } else { (i % 250) as u8 + 3 }).collect()
    }

    #[test]
    fn a_small_unit_is_sent_as_it_is_without_a_copy() {
        let data = Bytes::from(annexb(&[&unit(0x41, 500)]));
        let video = EncodedVideo {
            data: data.clone(),
            key: false,
            captured: MediaTime::default(),
            encoded: MediaTime::default(),
        };
        let packets = VideoPackets::from_access_unit(&video, 1200);
        assert_eq!(packets.payloads, [data.slice(4..)]);
        assert_eq!(packets.payloads[0].as_ptr(), data[4..].as_ptr(), "the payload is the encoder's own memory");
        assert_eq!(packets.bytes, 500);
    }

    #[test]
    fn parameter_sets_share_a_packet_with_the_importance_of_the_highest() {
        let sent = packets(&annexb(&[&[0x09, 0x10], &[0x67, 1, 2], &[0x28, 3], &unit(0x65, 300), &[0x0c, 9]]), 128);
        assert_eq!(&sent.payloads[0][..], [0x60 | 24, 0, 3, 0x67, 1, 2, 0, 2, 0x28, 3]);
        assert_eq!(sent.payloads.len(), 4, "STAP-A and three fragments; delimiter and filler are gone");
    }

    #[test]
    fn the_longest_run_of_one_size_is_known() {
        let run = |sizes: &[usize]| {
            let payloads: Vec<Bytes> = sizes.iter().map(|size| Bytes::from(vec![0; *size])).collect();
            longest_run(&payloads)
        };
        let table: [(&[usize], usize); 6] =
            [(&[], 0), (&[9], 1), (&[9, 9, 8], 3), (&[9, 9, 8, 8], 3), (&[2, 9, 9, 9, 1], 4), (&[9, 8, 7, 7], 2)];
        for (sizes, expected) in table {
            assert_eq!(run(sizes), expected, "{sizes:?}");
        }
    }

    #[test]
    fn a_large_unit_becomes_fragments_of_equal_size_that_join_to_it() {
        for len in [1201, 1202, 2397, 2398, 2399, 30_000] {
            let whole = unit(0x65, len);
            let VideoPackets { payloads: sent, run, .. } = packets(&annexb(&[&whole]), 1200);
            let sizes: Vec<usize> = sent.iter().map(Bytes::len).collect();
            let (last, others) = sizes.split_last().expect("some");
            assert!(others.iter().all(|size| *size == sizes[0]) && sizes[0] <= 1200, "{len}: {sizes:?}");
            assert!((sizes[0] - sizes.len() + 1..=sizes[0]).contains(last), "{len}: {sizes:?}");
            assert_eq!((sent.len(), run), ((len - 1).div_ceil(1198), sent.len()), "{len}");

            let mut joined = vec![sent[0][0] & 0xe0 | sent[0][1] & 0x1f];
            for (i, payload) in sent.iter().enumerate() {
                assert_eq!(payload[0], 0x60 | 28);
                assert_eq!(payload[1] & 0x80 != 0, i == 0, "start bit on the first only");
                assert_eq!(payload[1] & 0x40 != 0, i + 1 == sent.len(), "end bit on the last only");
                joined.extend_from_slice(&payload[2..]);
            }
            assert_eq!(joined, whole);
        }
    }

    #[test]
    fn a_unit_of_exactly_the_limit_is_not_fragmented() {
        assert_eq!(packets(&annexb(&[&unit(0x41, 1200)]), 1200).payloads.len(), 1);
    }

    #[test]
    fn nothing_in_gives_nothing_out_and_an_absurd_limit_is_raised() {
        assert!(packets(&[], 1200).payloads.is_empty());
        assert!(packets(&annexb(&[&unit(0x41, 1000)]), 0).payloads.iter().all(|p| p.len() <= MIN_PAYLOAD_BYTES));
    }
}
