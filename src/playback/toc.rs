//! How much sound an Opus packet holds, from its first bytes ([RFC 6716 §3](https://www.rfc-editor.org/rfc/rfc6716#section-3)).

use super::ticks::{Ticks, millis};

/// The longest packet that there may be.
const LONGEST: Ticks = millis(120);

/// Its samples; `None` when it is none that Opus allows.
pub(super) fn samples(packet: &[u8]) -> Option<Ticks> {
    let toc = *packet.first()?;
    let config = toc >> 3;
    // In eighths of 20 ms: 2.5 ms is the shortest there is.
    let frame = match config {
        0..=11 => [millis(10), millis(20), millis(40), millis(60)][usize::from(config % 4)],
        12..=15 => [millis(10), millis(20)][usize::from(config % 2)],
        _ => millis(20) >> (3 - config % 4),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => Ticks::from(packet.get(1)? & 0x3f),
    };
    let samples = frame * frames;
    (samples > 0 && samples <= LONGEST).then_some(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_tells_how_long_it_is() {
        for (packet, expected) in [
            (&[][..], None),
            // SILK, 20 ms; the same with 60 ms, twice.
            (&[1 << 3], Some(millis(20))),
            (&[3 << 3 | 1], Some(millis(120))),
            // Hybrid, 10 ms.
            (&[12 << 3], Some(millis(10))),
            // CELT, 2.5 ms and 20 ms.
            (&[28 << 3], Some(120)),
            (&[31 << 3], Some(millis(20))),
            // A number of frames: none, three, and more than there may be.
            (&[31 << 3 | 3, 0], None),
            (&[31 << 3 | 3, 3], Some(millis(60))),
            (&[31 << 3 | 3, 7], None),
            (&[31 << 3 | 3], None),
        ] {
            assert_eq!(samples(packet), expected, "{packet:?}");
        }
    }

    #[test]
    fn it_agrees_with_libopus_about_every_first_byte() {
        for toc in 0..=255u8 {
            for count in [0, 1, 2, 6, 12, 48, 63] {
                let packet = [toc, count];
                let theirs = ::opus::packet::get_nb_samples(&packet, 48_000).ok().filter(|n| *n > 0);
                assert_eq!(samples(&packet), theirs.map(|n| n as Ticks), "{packet:?}");
            }
        }
    }
}
