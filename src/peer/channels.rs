//! Data channels that nobody serves yet: how ours deliver, and what becomes of theirs.

use std::sync::Arc;

use rtc::data_channel::RTCDataChannelInit;
use webrtc::data_channel::DataChannel;

/// How a channel of ours delivers, by its label: telemetry is worth nothing late.
pub(super) fn mode(label: &str) -> RTCDataChannelInit {
    match label {
        "telemetry" => RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..RTCDataChannelInit::default() },
        _ => RTCDataChannelInit { ordered: true, ..RTCDataChannelInit::default() },
    }
}

/// Reads a channel nobody listens to: one that is not read stops all channels of its connection.
pub(super) async fn drain(channel: Arc<dyn DataChannel>) {
    while channel.poll().await.is_some() {}
}

/// Closes a channel that the other side opened.
pub(super) async fn refuse(channel: Arc<dyn DataChannel>) {
    tracing::debug!("the viewer opened a channel that nobody waits for");
    if let Err(error) = channel.close().await {
        tracing::debug!(%error, "a channel did not close");
    }
}
