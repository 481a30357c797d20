//! The machine-readable time stamp in a picture's luma.
//!
//! A row of 40 equal square blocks from the top-left corner, black 0, white 1, most significant bit first: the low
//! 32 bits of the wall clock in milliseconds at the moment the frame was made, then the 8-bit sum of those four bytes.
//! Large blocks and full contrast survive any encoder, and the sum tells a picture without a stamp from one with it.

/// Blocks in the row: 32 of time, 8 of sum.
pub const BLOCKS: usize = 40;

/// Smallest side of a block in pixels; narrower pictures (less than 320) carry no stamp.
const MIN_SIDE: usize = 8;

/// Luma of a 0 and a 1, and what lies between: the nominal black and white of video.
const BLACK: u8 = 16;
const WHITE: u8 = 235;
const THRESHOLD: u8 = 126;

/// Side of a block in pixels for a picture of this size: a fortieth of the width, rounded down to even. `None` where
/// the picture is too small to carry the row.
pub fn block_side(width: usize, height: usize) -> Option<usize> {
    let side = (width / BLOCKS) & !1;
    (side >= MIN_SIDE && side <= height).then_some(side)
}

/// Paints the stamp of `millis` onto a luma plane. Returns `false`, having painted nothing, where the picture is too
/// small or `luma` does not hold it.
pub fn write(luma: &mut [u8], stride: usize, width: usize, height: usize, millis: u32) -> bool {
    let Some(side) = block_side(width, height) else { return false };
    if stride < width || luma.len() < stride * (side - 1) + BLOCKS * side {
        return false;
    }
    for (block, bit) in bits(millis).into_iter().enumerate() {
        let value = if bit { WHITE } else { BLACK };
        luma[block * side..(block + 1) * side].fill(value);
    }
    for line in 1..side {
        luma.copy_within(..BLOCKS * side, line * stride);
    }
    true
}

/// Reads the stamp; `None` where the picture is too small or its sum does not fit.
///
/// The stamp 0 counts as none: a black picture would be it, far more often than the one millisecond in 49 days.
pub fn read(luma: &[u8], stride: usize, width: usize, height: usize) -> Option<u32> {
    let side = block_side(width, height)?;
    let mut word = 0_u64;
    for block in 0..BLOCKS {
        word = word << 1 | u64::from(mean_of_centre(luma, stride, block * side, side)? > THRESHOLD);
    }
    let [.., a, b, c, d, sum] = word.to_be_bytes();
    (word != 0 && sum_of([a, b, c, d]) == sum).then(|| u32::from_be_bytes([a, b, c, d]))
}

/// The time between the moment stamped and `now_millis`, both the low 32 bits of the wall clock; less than zero when
/// the stamp lies ahead.
pub fn age_ms(now_millis: u32, stamped: u32) -> i32 {
    now_millis.wrapping_sub(stamped).cast_signed()
}

fn bits(millis: u32) -> [bool; BLOCKS] {
    let word = u64::from(millis) << 8 | u64::from(sum_of(millis.to_be_bytes()));
    std::array::from_fn(|block| word >> (BLOCKS - 1 - block) & 1 == 1)
}

fn sum_of(bytes: [u8; 4]) -> u8 {
    bytes.into_iter().fold(0, u8::wrapping_add)
}

/// The mean luma of the block's inner half, which an encoder's ringing at the edges does not reach.
fn mean_of_centre(luma: &[u8], stride: usize, left: usize, side: usize) -> Option<u8> {
    let (from, len) = (side / 4, side / 2);
    let mut sum = 0_usize;
    for line in from..from + len {
        let start = line * stride + left + from;
        sum += luma.get(start..start + len)?.iter().map(|&y| usize::from(y)).sum::<usize>();
    }
    u8::try_from(sum / (len * len)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [(usize, usize, usize); 5] =
        [(320, 180, 320), (640, 480, 704), (1280, 720, 1280), (1366, 768, 1408), (1920, 1080, 1920)];

    #[test]
    fn what_is_written_is_read() {
        for (width, height, stride) in SIZES {
            for millis in [1, 0x8000_0000, 0xdead_beef, u32::MAX] {
                let mut luma = vec![90; stride * height];
                assert!(write(&mut luma, stride, width, height, millis));
                assert_eq!(read(&luma, stride, width, height), Some(millis), "{width}x{height}");
            }
        }
    }

    #[test]
    fn noise_and_lost_contrast_do_not_change_what_is_read() {
        let mut rng = fastrand::Rng::with_seed(7);
        for (width, height, stride) in SIZES {
            let mut luma = vec![90; stride * height];
            write(&mut luma, stride, width, height, 0x1234_5678);
            for y in &mut luma {
                let squeezed = i32::from(*y) * 6 / 10 + 40;
                *y = u8::try_from((squeezed + rng.i32(-40..=40)).clamp(0, 255)).expect("clamped");
            }
            assert_eq!(read(&luma, stride, width, height), Some(0x1234_5678), "{width}x{height}");
        }
    }

    #[test]
    fn a_flipped_block_fails_the_sum() {
        for block in 0..BLOCKS {
            let mut luma = vec![0; 640 * 480];
            write(&mut luma, 640, 640, 480, 0x0102_0304);
            for line in 0..16 {
                let at = line * 640 + block * 16;
                luma[at..at + 16].iter_mut().for_each(|y| *y = 251 - *y);
            }
            assert_eq!(read(&luma, 640, 640, 480), None, "block {block}");
        }
    }

    #[test]
    fn a_picture_without_a_stamp_is_not_read() {
        let grey = vec![200; 640 * 480];
        assert_eq!(read(&grey, 640, 640, 480), None);
        let black = vec![16; 640 * 480];
        assert_eq!(read(&black, 640, 640, 480), None);
    }

    #[test]
    fn a_picture_too_small_or_a_plane_too_short_is_refused_and_not_a_panic() {
        let mut luma = vec![0; 300 * 200];
        assert!(!write(&mut luma, 300, 300, 200, 5));
        assert_eq!(read(&luma, 300, 300, 200), None);
        assert!(!write(&mut luma, 320, 320, 4, 5));
        assert!(!write(&mut luma[..100], 640, 640, 480, 5));
        assert_eq!(read(&luma[..100], 640, 640, 480), None);
    }

    #[test]
    fn an_age_is_right_across_the_wrap_of_the_clock() {
        assert_eq!(age_ms(5, u32::MAX), 6);
        assert_eq!(age_ms(u32::MAX, 5), -6);
    }
}
