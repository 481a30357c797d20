//! What an H.264 stream says about itself: its sequence parameter set (ITU-T H.264, 7.3.2.1.1).

use std::fmt;

use super::annexb::{NalKind, nals};

/// The parts of a sequence parameter set that the SDP and a viewer need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sps {
    /// `profile_idc`, constraint flags, `level_idc`.
    pub profile_level: [u8; 3],
    /// Pixels a line after cropping.
    pub width: u32,
    /// Lines after cropping.
    pub height: u32,
}

impl Sps {
    /// Reads a NAL unit, header first. `None` when it is not a sequence parameter set, ends early or contradicts itself.
    pub fn parse(unit: &[u8]) -> Option<Self> {
        if NalKind::of_header(*unit.first()?) != NalKind::Sps {
            return None;
        }
        let mut bits = Bits::new(&unit[1..]);
        let profile_level = [bits.byte()?, bits.byte()?, bits.byte()?];
        bits.ue()?; // seq_parameter_set_id
        let mut chroma = Chroma::Yuv420;
        if HAS_CHROMA_FORMAT.contains(&profile_level[0]) {
            chroma = Chroma::parse(&mut bits)?;
        }
        bits.ue()?; // log2_max_frame_num_minus4
        skip_picture_order(&mut bits)?;
        bits.ue()?; // max_num_ref_frames
        bits.bit()?; // gaps_in_frame_num_value_allowed_flag
        let width_in_blocks = bits.ue()?.checked_add(1)?;
        let height_in_units = bits.ue()?.checked_add(1)?;
        let frames_only = bits.bit()?;
        if !frames_only {
            bits.bit()?; // mb_adaptive_frame_field_flag
        }
        bits.bit()?; // direct_8x8_inference_flag
        let field_factor = if frames_only { 1 } else { 2 };
        let crop = if bits.bit()? { [bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?] } else { [0; 4] };

        let (unit_x, unit_y) = chroma.crop_unit();
        let side = |blocks: u32, factor: u32, before: u32, after: u32, unit: u32| {
            let cropped = before.checked_add(after)?.checked_mul(unit)?;
            blocks.checked_mul(16)?.checked_mul(factor)?.checked_sub(cropped).filter(|&side| side > 0)
        };
        Some(Self {
            profile_level,
            width: side(width_in_blocks, 1, crop[0], crop[1], unit_x)?,
            height: side(height_in_units, field_factor, crop[2], crop[3], unit_y * field_factor)?,
        })
    }

    /// The first readable sequence parameter set of an Annex B stream.
    pub fn find(stream: &[u8]) -> Option<Self> {
        nals(stream).filter(|nal| nal.kind() == NalKind::Sps).find_map(|nal| Self::parse(nal.bytes()))
    }
}

/// An H.264 `profile-level-id` ([RFC 6184 §8.1]) in the form browsers compare: one spelling a profile.
///
/// [RFC 6184 §8.1]: https://www.rfc-editor.org/rfc/rfc6184#section-8.1
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileLevelId([u8; 3]);

impl ProfileLevelId {
    /// The canonical form of what a sequence parameter set says, its level raised to 3.1 if it is lower.
    ///
    /// Encoders set the constraint flags of one profile differently, while browsers match them byte by byte. Every
    /// browser decodes level 3.1, so offering less gains nothing, and a stream that grows within it needs no new offer.
    pub fn of_sps([profile, flags, level]: [u8; 3]) -> Self {
        // Table 5 of RFC 6184. In the flags, constraint_set0 is 0x80, set1 is 0x40, and so on.
        let (profile, flags) = match (profile, flags) {
            (BASELINE, f) if f & 0x4f == 0x40 => (BASELINE, 0xe0),
            // Level 1b is spelled with constraint_set3 in these profiles; the level is raised past it below.
            (BASELINE, f) if f & 0x5f == 0x50 => (BASELINE, 0xe0),
            (MAIN, f) if f & 0x8f == 0x80 => (BASELINE, 0xe0),
            (EXTENDED, f) if f & 0xcf == 0xc0 => (BASELINE, 0xe0),
            (BASELINE, f) if f & 0x4f == 0 => (BASELINE, 0x00),
            (EXTENDED, f) if f & 0xcf == 0x80 => (BASELINE, 0x00),
            (MAIN, f) if f & 0xaf == 0 => (MAIN, 0x00),
            (HIGH, f) if f & 0x0c == 0x0c => (HIGH, 0x0c),
            (HIGH, 0) => (HIGH, 0x00),
            other => other,
        };
        Self([profile, flags, level.max(LEVEL_3_1)])
    }

    /// Whether who was offered this can be sent a stream of `other`: one of the same profile, or of constrained baseline, which is
    /// part of each profile here; of no higher level.
    pub fn carries(self, other: Self) -> bool {
        let ([profile, flags, level], [its_profile, its_flags, its_level]) = (self.0, other.0);
        let is_part = (its_profile, its_flags) == (profile, flags) || (its_profile, its_flags) == (BASELINE, 0xe0);
        is_part && matches!(profile, BASELINE | MAIN | HIGH) && its_level <= level
    }

    /// The three bytes.
    pub const fn bytes(self) -> [u8; 3] {
        self.0
    }
}

impl fmt::Display for ProfileLevelId {
    /// Six lower-case hex digits, as in the SDP.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [profile, flags, level] = self.0;
        write!(f, "{profile:02x}{flags:02x}{level:02x}")
    }
}

const BASELINE: u8 = 0x42;
const MAIN: u8 = 0x4d;
const EXTENDED: u8 = 0x58;
const HIGH: u8 = 0x64;
const LEVEL_3_1: u8 = 31;

/// The values of `profile_idc` that carry a chroma format.
const HAS_CHROMA_FORMAT: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

enum Chroma {
    Grey,
    Yuv420,
    Yuv422,
    Yuv444,
}

impl Chroma {
    fn parse(bits: &mut Bits<'_>) -> Option<Self> {
        let format = bits.ue()?;
        // Three planes coded as three grey pictures are cropped as one.
        let separate_planes = format == 3 && bits.bit()?;
        bits.ue()?; // bit_depth_luma_minus8
        bits.ue()?; // bit_depth_chroma_minus8
        bits.bit()?; // qpprime_y_zero_transform_bypass_flag
        if bits.bit()? {
            for list in 0..if format == 3 { 12 } else { 8 } {
                if bits.bit()? {
                    skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        match format {
            0 => Some(Self::Grey),
            1 => Some(Self::Yuv420),
            2 => Some(Self::Yuv422),
            3 if separate_planes => Some(Self::Grey),
            3 => Some(Self::Yuv444),
            _ => None,
        }
    }

    /// Pixels a step of cropping (table 6-1, equations 7-19 to 7-22).
    fn crop_unit(&self) -> (u32, u32) {
        match self {
            Self::Grey | Self::Yuv444 => (1, 1),
            Self::Yuv420 => (2, 2),
            Self::Yuv422 => (2, 1),
        }
    }
}

fn skip_scaling_list(bits: &mut Bits<'_>, len: u32) -> Option<()> {
    let (mut last, mut next) = (8, 8);
    for _ in 0..len {
        if next != 0 {
            next = (last + bits.se()?).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

fn skip_picture_order(bits: &mut Bits<'_>) -> Option<()> {
    match bits.ue()? {
        0 => {
            bits.ue()?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            bits.bit()?; // delta_pic_order_always_zero_flag
            bits.ue()?; // offset_for_non_ref_pic, read unsigned: only its length matters
            bits.ue()?; // offset_for_top_to_bottom_field
            let cycle = bits.ue()?;
            for _ in 0..if cycle <= 255 { cycle } else { return None } {
                bits.ue()?;
            }
        }
        2 => {}
        _ => return None,
    }
    Some(())
}

/// Bits of a NAL unit, first to last, over its emulation prevention bytes (7.4.1: the 3 of `00 00 03`).
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Bits of the current byte that are read.
    used: u32,
    zeros: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, used: 0, zeros: 0 }
    }

    fn bit(&mut self) -> Option<bool> {
        if self.used == 0 && self.zeros >= 2 && self.bytes.get(self.at) == Some(&3) {
            self.at += 1;
            self.zeros = 0;
        }
        let byte = *self.bytes.get(self.at)?;
        let bit = byte >> (7 - self.used) & 1 == 1;
        self.used += 1;
        if self.used == 8 {
            self.used = 0;
            self.at += 1;
            self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
        }
        Some(bit)
    }

    fn bits(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.bit()?);
        }
        Some(value)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bits(8).and_then(|value| u8::try_from(value).ok())
    }

    /// Unsigned Exp-Golomb (9.1); codes over 31 bits, which no field here can hold, are refused.
    fn ue(&mut self) -> Option<u32> {
        let mut leading = 0;
        while !self.bit()? {
            leading += 1;
            if leading > 31 {
                return None;
            }
        }
        let rest = self.bits(leading)?;
        ((1u32 << leading) - 1).checked_add(rest)
    }

    /// Signed Exp-Golomb (9.1.1), for scaling lists, whose values are small.
    fn se(&mut self) -> Option<i32> {
        let code = i32::try_from(self.ue()?).ok()?;
        let magnitude = code / 2 + code % 2;
        (magnitude <= 512).then_some(if code % 2 == 1 { magnitude } else { -magnitude })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a parameter set bit by bit, as its syntax table reads.
    #[derive(Default)]
    struct Writer {
        bits: Vec<bool>,
    }

    impl Writer {
        fn u(&mut self, count: u32, value: u32) -> &mut Self {
            self.bits.extend((0..count).rev().map(|i| value >> i & 1 == 1));
            self
        }

        fn ue(&mut self, value: u32) -> &mut Self {
            let len = 32 - (value + 1).leading_zeros();
            self.u(len - 1, 0).u(len, value + 1)
        }

        /// The unit, with its stop bit and with emulation prevention.
        fn unit(&self) -> Vec<u8> {
            let mut bits = self.bits.clone();
            bits.push(true);
            bits.resize(bits.len().next_multiple_of(8), false);
            let mut unit = vec![0x67];
            for byte in bits.chunks(8).map(|byte| byte.iter().fold(0u8, |b, &bit| b << 1 | u8::from(bit))) {
                if byte <= 3 && unit.ends_with(&[0, 0]) {
                    unit.push(3);
                }
                unit.push(byte);
            }
            unit
        }
    }

    fn baseline(width: u32, height: u32) -> Writer {
        let mut w = Writer::default();
        w.u(8, 66).u(8, 0xc0).u(8, 31).ue(0).ue(11).ue(2).ue(1).u(1, 0);
        w.ue(width.div_ceil(16) - 1).ue(height.div_ceil(16) - 1).u(1, 1).u(1, 1);
        let (right, bottom) = (width.next_multiple_of(16) - width, height.next_multiple_of(16) - height);
        w.u(1, 1).ue(0).ue(right / 2).ue(0).ue(bottom / 2).u(1, 0);
        w
    }

    #[test]
    fn sizes_are_read_after_cropping() {
        for (width, height) in [(1280, 720), (1920, 1080), (640, 480), (322, 242), (16, 16), (4096, 2160)] {
            let sps = Sps::parse(&baseline(width, height).unit());
            assert_eq!(sps, Some(Sps { profile_level: [66, 0xc0, 31], width, height }));
        }
    }

    #[test]
    fn a_high_profile_set_with_scaling_lists_and_emulation_prevention_is_read() {
        let mut w = Writer::default();
        w.u(8, 100).u(8, 0).u(8, 40).ue(0).ue(1).ue(0).ue(0).u(1, 0).u(1, 1);
        w.u(1, 1); // the first list: sixteen times "as before", which is the code 1
        w.u(16, 0xffff);
        w.u(7, 0); // seven lists absent
        w.ue(0).ue(0).ue(4).ue(4).u(1, 0).ue(119).ue(33).u(1, 0).u(1, 0).u(1, 1); // fields
        w.u(1, 1).ue(0).ue(0).ue(0).ue(2).u(1, 0); // 4 x 2 lines less
        assert_eq!(Sps::parse(&w.unit()), Some(Sps { profile_level: [100, 0, 40], width: 1920, height: 1080 }));

        // An id of 2^17 - 1 has 17 zero bits in a row, which the byte stream must break up.
        let mut w = Writer::default();
        w.u(8, 66).u(8, 0xc0).u(8, 0).ue((1 << 24) - 1).ue(0).ue(2).ue(1).u(1, 0).ue(1).ue(2).u(1, 1).u(1, 1).u(1, 0);
        assert!(w.unit().windows(3).any(|bytes| bytes == [0, 0, 3]));
        assert_eq!(Sps::parse(&w.unit()), Some(Sps { profile_level: [66, 0xc0, 0], width: 32, height: 48 }));
    }

    #[test]
    fn a_damaged_set_is_refused_without_a_panic() {
        let whole = baseline(1280, 720).unit();
        for len in 0..whole.len() - 2 {
            assert_eq!(Sps::parse(&whole[..len]), None, "{len} bytes");
        }
        for at in 0..whole.len() {
            for value in 0..=255 {
                let mut damaged = whole.clone();
                damaged[at] = value;
                let _whatever = Sps::parse(&damaged);
            }
        }
        assert_eq!(Sps::parse(&[0x68, 1, 2, 3]), None, "another kind of unit");
        assert_eq!(Sps::parse(&[0x67, 66, 0, 31, 0, 0, 0, 0, 0, 0, 0]), None, "an endless Exp-Golomb code");
    }

    #[test]
    fn each_profile_has_one_spelling_and_at_least_level_3_1() {
        let table = [
            ([0x42, 0xc0, 31], "42e01f"),
            ([0x42, 0xe0, 31], "42e01f"),
            ([0x42, 0x40, 40], "42e028"),
            ([0x42, 0xd0, 11], "42e01f"),
            ([0x4d, 0x80, 31], "42e01f"),
            ([0x58, 0xc0, 31], "42e01f"),
            ([0x42, 0x00, 30], "42001f"),
            ([0x42, 0x80, 32], "420020"),
            ([0x4d, 0x40, 31], "4d001f"),
            ([0x64, 0x00, 40], "640028"),
            ([0x64, 0x0c, 42], "640c2a"),
            ([0x7a, 0x10, 42], "7a102a"),
        ];
        for (sps, id) in table {
            assert_eq!(ProfileLevelId::of_sps(sps).to_string(), id, "{sps:02x?}");
        }
    }

    #[test]
    fn whoever_was_offered_a_stream_can_be_sent_a_lesser_one() {
        let id = |bytes| ProfileLevelId::of_sps(bytes);
        let (constrained, baseline, high) = ([0x42, 0xc0], [0x42, 0x00], [0x64, 0x00]);
        let at = |[profile, flags]: [u8; 2], level| id([profile, flags, level]);
        for (offered, sent, carries) in [
            (at(constrained, 31), at(constrained, 13), true),
            (at(constrained, 31), at(constrained, 40), false),
            (at(constrained, 40), at(constrained, 31), true),
            (at(high, 40), at(constrained, 40), true),
            (at(high, 31), at(constrained, 40), false),
            (at(baseline, 31), at(constrained, 31), true),
            (at(constrained, 40), at(high, 31), false),
            (at(constrained, 31), at(baseline, 31), false),
            (at(high, 40), at(high, 31), true),
            (at([0, 0], 40), at(constrained, 31), false),
        ] {
            assert_eq!(offered.carries(sent), carries, "{sent} for {offered}");
        }
    }
}
