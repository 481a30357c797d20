//! H.264 as cameras and viewers' streams bring it.

use bytes::Bytes;

use super::Script;
use crate::media::annexb::{NalKind, is_key, nals};
use crate::media::{Depacketized, Depacketizer, EncodedVideo, MediaTime, ProfileLevelId, Sps, VideoPackets};

/// A byte stream falls into NAL units, these into packets, and the packets, in any order, become the same units again.
pub fn annex_b(bytes: &[u8]) {
    let Some((&size, stream)) = bytes.split_first() else { return };
    let mut begin = 0;
    for nal in nals(stream) {
        let unit = nal.bytes();
        assert!(!unit.is_empty() && unit.last() != Some(&0) && !unit.windows(3).any(|three| three == [0, 0, 1]));
        let at = unit.as_ptr() as usize - stream.as_ptr() as usize;
        assert!(at >= begin + 3, "a start code stands before each unit");
        begin = at + unit.len();
    }
    let _ = Sps::find(stream);

    let unit = EncodedVideo {
        data: Bytes::copy_from_slice(stream),
        key: is_key(stream),
        captured: MediaTime::default(),
        encoded: MediaTime::default(),
    };
    let limit = 64 + usize::from(size) * 4;
    let packets = VideoPackets::from_access_unit(&unit, limit);
    assert!(packets.payloads.iter().all(|payload| (1..=limit).contains(&payload.len())));
    assert_eq!(packets.bytes, packets.payloads.iter().map(Bytes::len).sum::<usize>());
    assert!(packets.run <= packets.payloads.len());

    let kept = nals(stream).filter(|nal| !matches!(nal.kind(), NalKind::Delimiter | NalKind::Filler));
    // The other numbers are RTP's own (RFC 6184 §5.2), and no encoder uses them.
    let can_be_sent = kept.clone().all(|nal| (1..=23).contains(&(nal.bytes()[0] & 0x1f)));
    if unit.key && can_be_sent && packets.payloads.len() < 128 {
        let expected: Vec<u8> = kept.flat_map(|nal| [&[0, 0, 0, 1], nal.bytes()].concat()).collect();
        let last = packets.payloads.len() - 1;
        let mut sent: Vec<_> = packets.payloads.into_iter().enumerate().collect();
        sent[1..].reverse();
        let mut depacketizer = Depacketizer::default();
        let push = |(n, payload): (usize, Bytes)| {
            let sequence = u16::try_from(n).expect("few packets").wrapping_sub(7);
            depacketizer.push(sequence, 9, n == last, payload)
        };
        let out: Vec<_> = sent.into_iter().flat_map(push).collect();
        let [Depacketized::Unit(arrived)] = &out[..] else { panic!("{out:?}") };
        assert!(arrived.key && arrived.data == expected);
    }
}

/// A sequence parameter set is read, or is none.
pub fn sps(bytes: &[u8]) {
    let unit = [&[0x67], bytes].concat();
    if let Some(sps) = Sps::parse(&unit) {
        assert!(sps.width > 0 && sps.height > 0);
        let id = ProfileLevelId::of_sps(sps.profile_level);
        assert_eq!(ProfileLevelId::of_sps(id.bytes()), id, "the canonical form is its own");
        assert_eq!(id.to_string().len(), 6);
    }
}

/// Whatever packets come, access units are bounded, and the first after a loss begins with a key frame.
pub fn depacketize(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut depacketizer = Depacketizer::default();
    let (mut sequence, mut rtp_time) = (script.u16(), 0u32);
    let (mut whole, mut given, mut taken) = (false, 0, 0);
    while !script.is_over() {
        let choice = script.byte();
        sequence = match choice & 7 {
            0 => script.u16(),
            1 => sequence,
            2 => sequence.wrapping_sub(2),
            _ => sequence.wrapping_add(1),
        };
        rtp_time = if choice & 8 == 0 { rtp_time } else { rtp_time.wrapping_add(u32::from(script.u16()) * 8) };
        let payload = Bytes::copy_from_slice(script.bytes());
        given += payload.len() + 8;
        for out in depacketizer.push(sequence, rtp_time, choice & 16 != 0, payload) {
            match out {
                Depacketized::Lost => whole = false,
                Depacketized::Unit(unit) => {
                    assert!(whole || unit.key, "nothing comes between a loss and a key frame");
                    assert!(!unit.data.is_empty());
                    whole = true;
                    taken += unit.data.len();
                }
            }
        }
    }
    // A STAP-A's units grow by two bytes each, for their start codes.
    assert!(taken <= 3 * given);
}
