//! The options of a running H.264 encoder that its crate has no safe method for.

use std::ffi::c_int;

use openh264::encoder::Encoder;
use openh264_sys2::{ENCODER_OPTION, ENCODER_OPTION_BITRATE, ENCODER_OPTION_MAX_BITRATE};
use openh264_sys2::{SBitrateInfo, SPATIAL_LAYER_0, SPATIAL_LAYER_ALL};

/// Sets the target bit rate of a running encoder, from its next frame on and without a key frame.
///
/// `ceiling` is the most that will ever be asked: the library keeps a bound of its own, the rate it was initialised with,
/// and refuses any target above it.
///
/// # Errors
/// The library's code, when the encoder has not encoded its first frame yet or refuses a rate.
pub fn set_openh264_bitrate(encoder: &mut Encoder, target_bps: u32, ceiling_bps: u32) -> Result<(), c_int> {
    // The bound is kept by layer; with "all layers" the library stores it where nothing reads it.
    set_bitrate_option(encoder, ENCODER_OPTION_MAX_BITRATE, SPATIAL_LAYER_0, ceiling_bps)?;
    set_bitrate_option(encoder, ENCODER_OPTION_BITRATE, SPATIAL_LAYER_ALL, target_bps.min(ceiling_bps))
}

fn set_bitrate_option(encoder: &mut Encoder, option: ENCODER_OPTION, layer: c_int, bps: u32) -> Result<(), c_int> {
    let bitrate = c_int::try_from(bps).unwrap_or(c_int::MAX);
    let mut info = SBitrateInfo { iLayer: layer, iBitrate: bitrate };
    // SAFETY: for these two options the library reads one `SBitrateInfo`, which lives through the call, keeps no pointer
    // to it, and refuses when the encoder is not initialised. The encoder is borrowed mutably, so nobody else is in it.
    let code = unsafe { encoder.raw_api().set_option(option, (&raw mut info).cast()) };
    if code == 0 { Ok(()) } else { Err(code) }
}
