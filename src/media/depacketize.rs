//! From RTP packets of H.264 back to access units ([RFC 6184], packetization mode 1), for the headless viewer.
//!
//! [RFC 6184]: https://www.rfc-editor.org/rfc/rfc6184

use std::collections::BTreeMap;

use bytes::Bytes;

/// Packets kept while an earlier one is missing. At 2 Mbit/s this is about half a second, more than a retransmission
/// takes; then the missing one is given up.
const WINDOW_PACKETS: usize = 128;

/// The same in 90 kHz ticks, for pictures so easy that 128 packets take seconds.
const WINDOW_TICKS: i32 = 45_000;

/// Units passed over at the beginning until a key frame is asked for again: the wish can be lost too.
const ASK_EVERY: u32 = 30;

/// The largest access unit put together; a 4K key frame is well below it.
const MAX_ACCESS_UNIT_BYTES: usize = 8 << 20;

const START_CODE: [u8; 4] = [0, 0, 0, 1];
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const IDR: u8 = 5;

/// One whole access unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessUnit {
    /// Annex B.
    pub data: Vec<u8>,
    /// 90 kHz.
    pub rtp_time: u32,
    /// Contains an IDR picture.
    pub key: bool,
}

/// What came of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Depacketized {
    /// An access unit that a decoder can go on with.
    Unit(AccessUnit),
    /// Packets are missing for good: nothing comes before the next key frame, which should be asked for.
    Lost,
}

/// Puts packets in order and access units together. Memory is bounded whatever comes in.
#[derive(Debug, Default)]
pub struct Depacketizer {
    /// The next packet to take, extended to 64 bits so that it does not wrap.
    next: Option<u64>,
    waiting: BTreeMap<u64, Packet>,
    unit: Option<AccessUnit>,
    /// A fragmented NAL unit has begun in `unit`.
    in_fragment: bool,
    /// The unit being put together misses something.
    damaged: bool,
    /// Decoding can only begin at a key frame.
    needs_key: bool,
    begun: bool,
    first_key_seen: bool,
    /// Units before that.
    passed_over: u32,
}

#[derive(Debug)]
struct Packet {
    rtp_time: u32,
    marker: bool,
    payload: Bytes,
}

impl Depacketizer {
    /// Takes one packet, in any order, duplicates included; returns what it completes.
    pub fn push(&mut self, sequence: u16, rtp_time: u32, marker: bool, payload: Bytes) -> Vec<Depacketized> {
        let mut out = Vec::new();
        let place = self.extend(sequence);
        let next = *self.next.get_or_insert(place);
        if place < next {
            return out;
        }
        self.waiting.insert(place, Packet { rtp_time, marker, payload });
        if self.has_waited_enough(rtp_time) {
            // Given up: go on with what is there. Asked for every time, since what is missing may be of the key frame
            // that was asked for before.
            let first = self.waiting.keys().next().copied();
            self.next = first;
            self.lose(true, &mut out);
        }
        while let Some(packet) = self.next.and_then(|next| self.waiting.remove(&next)) {
            self.next = self.next.map(|next| next + 1);
            self.take(packet, &mut out);
        }
        out
    }

    /// Whether the packets behind a gap are as many, or span as much time up to `newest`, as is waited for.
    fn has_waited_enough(&self, newest: u32) -> bool {
        let Some((place, first)) = self.waiting.first_key_value() else { return false };
        let span = newest.wrapping_sub(first.rtp_time).cast_signed();
        self.next != Some(*place) && (self.waiting.len() > WINDOW_PACKETS || span > WINDOW_TICKS)
    }

    /// The sequence number closest to what is expected, without wrapping.
    fn extend(&self, sequence: u16) -> u64 {
        // One cycle ahead, so that a packet from before the first does not go below zero.
        let reference = self.next.unwrap_or(u64::from(sequence) + (1 << 16));
        let ahead = sequence.wrapping_sub(reference as u16).cast_signed();
        reference.saturating_add_signed(i64::from(ahead))
    }

    /// Drops all up to the next key frame; `ask` for one even if one is waited for already.
    fn lose(&mut self, ask: bool, out: &mut Vec<Depacketized>) {
        self.damaged = true;
        self.in_fragment = false;
        if !std::mem::replace(&mut self.needs_key, true) || ask {
            out.push(Depacketized::Lost);
        }
    }

    fn take(&mut self, packet: Packet, out: &mut Vec<Depacketized>) {
        if !std::mem::replace(&mut self.begun, true) {
            self.needs_key = true;
        }
        if self.unit.as_ref().is_some_and(|unit| unit.rtp_time != packet.rtp_time) {
            // The marker of the unit before never came, which senders may leave out.
            self.finish(out);
        }
        let unit =
            self.unit.get_or_insert_with(|| AccessUnit { data: Vec::new(), rtp_time: packet.rtp_time, key: false });
        let appended = append(unit, &mut self.in_fragment, &packet.payload);
        if !appended || unit.data.len() > MAX_ACCESS_UNIT_BYTES {
            let key = self.unit.take().is_some_and(|unit| unit.key);
            self.lose(key, out);
        }
        if packet.marker {
            self.finish(out);
        }
    }

    fn finish(&mut self, out: &mut Vec<Depacketized>) {
        let unit = self.unit.take();
        let damaged = std::mem::take(&mut self.damaged) || std::mem::take(&mut self.in_fragment);
        let Some(unit) = unit.filter(|unit| !unit.data.is_empty()) else { return };
        if damaged {
            // One loss is reported once, unless it took the very key frame that was waited for.
            self.lose(false, out);
            self.damaged = false;
        } else if unit.key || !self.needs_key {
            self.needs_key = false;
            self.first_key_seen = true;
            out.push(Depacketized::Unit(unit));
        } else if !self.first_key_seen {
            // The stream began before we could read it: no gap in its numbers will ever tell.
            if self.passed_over.is_multiple_of(ASK_EVERY) {
                out.push(Depacketized::Lost);
            }
            self.passed_over += 1;
        }
    }
}

/// Appends the NAL units of one payload; false if it makes no sense, or continues what was never begun.
fn append(unit: &mut AccessUnit, in_fragment: &mut bool, payload: &[u8]) -> bool {
    let Some((&indicator, rest)) = payload.split_first() else { return false };
    match indicator & 0x1f {
        1..=23 => {
            if *in_fragment {
                return false;
            }
            append_nal(unit, payload);
            true
        }
        STAP_A => {
            let mut rest = rest;
            while let Some((size, after)) = rest.split_first_chunk::<2>() {
                let Some((nal, after)) = after.split_at_checked(u16::from_be_bytes(*size).into()) else { return false };
                if nal.is_empty() {
                    return false;
                }
                append_nal(unit, nal);
                rest = after;
            }
            rest.is_empty()
        }
        FU_A => {
            let Some((&header, fragment)) = rest.split_first() else { return false };
            let (begins, ends) = (header & 0x80 != 0, header & 0x40 != 0);
            if begins == *in_fragment {
                return false;
            }
            if begins {
                append_nal(unit, &[indicator & 0xe0 | header & 0x1f]);
            }
            unit.data.extend_from_slice(fragment);
            *in_fragment = !ends;
            true
        }
        _ => false,
    }
}

fn append_nal(unit: &mut AccessUnit, nal: &[u8]) {
    unit.key |= nal[0] & 0x1f == IDR;
    unit.data.extend_from_slice(&START_CODE);
    unit.data.extend_from_slice(nal);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{EncodedVideo, MediaTime, VideoPackets};

    type Sent = Vec<(u16, u32, bool, Bytes)>;

    /// An access unit with parameter sets if it is a key frame, and its packets.
    fn packets(key: bool, bytes: usize, rtp_time: u32, sequence: u16) -> (Vec<u8>, Sent) {
        let mut data = Vec::new();
        if key {
            data.extend_from_slice(&[0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0, 0, 0, 1, 0x68, 0xce]);
        }
        data.extend_from_slice(&[0, 0, 0, 1, if key { 0x65 } else { 0x61 }]);
        data.extend((0..bytes).map(|n| (n % 251 + 4) as u8));
        let encoded = EncodedVideo {
            data: data.clone().into(),
            key,
            captured: MediaTime::default(),
            encoded: MediaTime::default(),
        };
        let made = VideoPackets::from_access_unit(&encoded, 100);
        let last = made.payloads.len() - 1;
        let packets = made.payloads.iter().enumerate();
        (data, packets.map(|(n, p)| (sequence.wrapping_add(n as u16), rtp_time, n == last, p.clone())).collect())
    }

    fn push_all(depacketizer: &mut Depacketizer, packets: Sent) -> Vec<Depacketized> {
        packets.into_iter().flat_map(|(s, t, m, p)| depacketizer.push(s, t, m, p)).collect()
    }

    #[test]
    fn what_was_packetized_comes_out_the_same_across_the_wrap_and_in_any_order() {
        let (key, mut sent) = packets(true, 900, 3_000, 65_530);
        let (delta, more) = packets(false, 450, 6_000, 65_530u16.wrapping_add(sent.len() as u16));
        sent.extend(more);
        sent[1..].reverse();
        sent.push(sent[2].clone());
        let out = push_all(&mut Depacketizer::default(), sent);
        let unit = |data, rtp_time, key| Depacketized::Unit(AccessUnit { data, rtp_time, key });
        assert_eq!(out, [unit(key, 3_000, true), unit(delta, 6_000, false)]);
    }

    #[test]
    fn a_stream_that_begins_in_its_middle_asks_for_a_key_frame_until_it_has_one() {
        let mut depacketizer = Depacketizer::default();
        let mut sequence = 7;
        let mut asked = Vec::new();
        for n in 0..70 {
            let (data, sent) = packets(n == 65, 300, n * 3_000, sequence);
            sequence += u16::try_from(sent.len()).expect("few");
            for out in push_all(&mut depacketizer, sent) {
                match out {
                    Depacketized::Lost => asked.push(n),
                    Depacketized::Unit(unit) => assert!(n >= 65 && unit.data == data),
                }
            }
        }
        assert_eq!(asked, [0, 30, 60]);
    }

    #[test]
    fn nothing_comes_out_between_a_loss_and_the_next_key_frame() {
        let mut depacketizer = Depacketizer::default();
        let mut all = packets(true, 500, 0, 0).1;
        let mut sequence = all.len() as u16;
        for n in 1..80u32 {
            let key = n == 70;
            let (_, sent) = packets(key, 300, n * 3_000, sequence);
            sequence += sent.len() as u16;
            all.extend(if n == 10 { sent[1..].to_vec() } else { sent });
        }
        let out = push_all(&mut depacketizer, all);
        let times: Vec<u32> = out
            .iter()
            .filter_map(|o| match o {
                Depacketized::Unit(unit) => Some(unit.rtp_time / 3_000),
                Depacketized::Lost => None,
            })
            .collect();
        assert_eq!(times, (0..10).chain(70..80).collect::<Vec<_>>());
        assert_eq!(out.iter().filter(|o| **o == Depacketized::Lost).count(), 1, "asked for once");
    }

    #[test]
    fn a_key_frame_lost_while_one_is_waited_for_is_asked_for_again() {
        let mut depacketizer = Depacketizer::default();
        let (_, mut sent) = packets(true, 900, 0, 0);
        sent.remove(3);
        let mut sequence = 20;
        for n in 1..20 {
            let (_, delta) = packets(false, 20, n * 3_000, sequence);
            sequence += delta.len() as u16;
            sent.extend(delta);
        }
        assert_eq!(push_all(&mut depacketizer, sent.clone())[..1], [Depacketized::Lost]);
        // Few packets a frame: time, not their number, ended the wait.
        assert!(sent.len() < WINDOW_PACKETS);
        let (key, again) = packets(true, 900, 90_000, sequence);
        let out = push_all(&mut depacketizer, again);
        assert_eq!(out, [Depacketized::Unit(AccessUnit { data: key, rtp_time: 90_000, key: true })]);
    }

    #[test]
    fn nonsense_neither_panics_nor_piles_up() {
        let mut depacketizer = Depacketizer::default();
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        for _ in 0..50_000 {
            let payload: Vec<u8> = (0..random() % 9).map(|_| random() as u8).collect();
            depacketizer.push(random() as u16, random() % 9, random() % 4 == 0, payload.into());
            assert!(depacketizer.waiting.len() <= WINDOW_PACKETS);
        }
    }
}
