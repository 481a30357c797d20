//! Sound to Opus ([RFC 6716](https://www.rfc-editor.org/rfc/rfc6716)), 20 ms a packet.

use ::opus::{Application, Bitrate as OpusBitrate, Channels, Encoder};

use super::config::Opus;
use super::{AudioEncoder, EncodeError};
use crate::media::{EncodedAudio, Pcm, SAMPLE_RATE_HZ};

/// The largest packet RFC 6716 recommends to make room for.
const MAX_PACKET_BYTES: usize = 1_275;

/// An Opus encoder for speech and surroundings.
pub struct OpusEncoder {
    encoder: Encoder,
}

impl OpusEncoder {
    /// An encoder as `config` says; its FEC costs nothing until losses are reported.
    ///
    /// # Errors
    /// libopus refuses.
    pub fn new(config: &Opus) -> Result<Self, EncodeError> {
        let mut encoder = Encoder::new(SAMPLE_RATE_HZ, Channels::Mono, Application::Voip).map_err(codec)?;
        let bps = i32::try_from(config.bitrate_kbps.value() * 1_000).expect("bounded to 256 kbit/s");
        let complexity = i32::try_from(config.complexity.value()).expect("bounded to 10");
        encoder.set_bitrate(OpusBitrate::Bits(bps)).map_err(codec)?;
        encoder.set_complexity(complexity).map_err(codec)?;
        encoder.set_inband_fec(config.fec).map_err(codec)?;
        Ok(Self { encoder })
    }
}

impl AudioEncoder for OpusEncoder {
    fn encode(&mut self, pcm: &Pcm) -> Result<EncodedAudio, EncodeError> {
        let packet = self.encoder.encode_vec(&pcm.samples, MAX_PACKET_BYTES).map_err(codec)?;
        Ok(EncodedAudio { data: packet.into(), captured: pcm.captured })
    }

    fn set_loss(&mut self, share: f32) -> Result<(), EncodeError> {
        // Clamped, so the cast loses nothing but a fraction of a percent.
        let percent = (share.clamp(0.0, 1.0) * 100.0).round() as i32;
        self.encoder.set_packet_loss_perc(percent).map_err(codec)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn codec(error: ::opus::Error) -> EncodeError {
    EncodeError::Codec { codec: "opus", message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;
    use std::sync::Arc;

    use super::*;
    use crate::media::{MediaTime, SAMPLES_PER_PERIOD};

    #[test]
    fn a_tone_comes_out_of_a_decoder_as_loud_as_it_went_in() {
        let mut encoder = OpusEncoder::new(&Opus::default()).expect("libopus takes the defaults");
        let mut decoder = ::opus::Decoder::new(SAMPLE_RATE_HZ, Channels::Mono).expect("libopus decodes");
        encoder.set_loss(0.1).expect("a tenth is possible");
        let mut heard = vec![0i16; SAMPLES_PER_PERIOD];
        for period in 0..25u32 {
            let sample = |n: usize| {
                let at = (period as usize * SAMPLES_PER_PERIOD + n) as f32 / SAMPLE_RATE_HZ as f32;
                ((440.0 * TAU * at).sin() * 8_000.0) as i16
            };
            let samples: Arc<[i16]> = (0..SAMPLES_PER_PERIOD).map(sample).collect();
            let captured = MediaTime::from_nanos(u64::from(period) * 20_000_000);
            let packet = encoder.encode(&Pcm { samples, captured }).expect("a period of 20 ms");
            assert_eq!(packet.captured, captured);
            assert!(packet.data.len() < 400, "{} bytes", packet.data.len());
            let decoded = decoder.decode(&packet.data, &mut heard, false).expect("a packet of our own");
            assert_eq!(decoded, SAMPLES_PER_PERIOD);
        }
        let power: f64 = heard.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / heard.len() as f64;
        assert!((4_000.0..7_000.0).contains(&power.sqrt()), "a sine of 8000 has an RMS of 5657, not {}", power.sqrt());
    }
}
