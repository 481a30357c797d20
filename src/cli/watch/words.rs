//! What `watch` says to people.

use super::tally::{Report, Told};
use crate::session::viewer::{Shown, ViewerState};
use crate::session::{CameraDetail, CameraState};

/// Why there is no picture, as far as it is known.
pub fn in_short(shown: &Shown) -> String {
    match &shown.detail {
        Some(detail) => format!(" ({}: {detail})", shown.state.name()),
        None if shown.state == ViewerState::Looking => {
            " (this broker has heard nothing of it: is that its id, and does it run?)".to_owned()
        }
        None => format!(" ({})", shown.state.name()),
    }
}

/// The outcome in a line.
pub fn in_words(report: &Report) -> String {
    let mut text = format!(
        "{} frames of {}x{}, {:.1} fps, {} kbit/s, {} audio packets, {} packets lost",
        report.frames,
        report.size.0,
        report.size.1,
        report.fps,
        report.bitrate_bps / 1_000,
        report.audio_packets,
        report.packets_lost,
    );
    if let Some(first) = report.first_frame_ms {
        text += &format!(", first frame after {first:.0} ms");
    }
    if let Some(rtt) = report.rtt_ms {
        text += &format!(", round trip {rtt:.1} ms");
    }
    for Told { info, detail } in &report.cameras {
        let Some(CameraDetail { state, message, .. }) = detail else { continue };
        let trouble = match state {
            CameraState::Away => "is away",
            CameraState::Private => "is switched off",
            CameraState::Failed => "delivers nothing",
            CameraState::Idle | CameraState::Running => continue,
        };
        let why = message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        text += &format!(", a card in place of {}, which {trouble}{why}", info.name);
    }
    if report.talk_heard == Some(false) {
        text += ", nobody hears what is said: the node has no speaker (camera.speaker.sink in its config)";
    }
    if let Some(latency) = report.latency_ms {
        text += &format!(", latency {} / {} / {} ms (p50 / p95 / max)", latency.p50, latency.p95, latency.max);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tally::Tally;
    use super::*;

    #[test]
    fn whoever_talks_to_nobody_is_told() {
        let said = |talk_heard| in_words(&Report { talk_heard, ..Tally::default().report() });
        assert!(said(Some(false)).contains("nobody hears what is said"));
        assert!(!said(Some(true)).contains("nobody hears") && !said(None).contains("nobody hears"));
    }
}
