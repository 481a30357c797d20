//! Carries the messages of one channel between the crate and the channel's service.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;
use webrtc::data_channel::{DataChannel, DataChannelEvent};

use super::{ChannelEnd, Delivery, Ends, MAX_MESSAGE_BYTES, Message};

/// What may lie in the crate's buffer for a viewer, a channel: a tenth of a second at 20 Mbit/s.
pub(crate) const SEND_BUFFER: usize = 262_144;

/// Of what is worth nothing late so much may lie there: two messages of telemetry.
const FLEETING_BUFFER: usize = 4_096;

/// A viewer that is silent is kept for so long as well.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// A service that takes nothing for so long stands in the way of all other channels.
const SERVED_WITHIN: Duration = Duration::from_secs(5);

/// The crate's buffer is empty within this time, or the viewer is not there.
const FLUSHED_WITHIN: Duration = Duration::from_secs(2);
const FLUSH_LOOK: Duration = Duration::from_millis(20);

/// Waits until the channel is open; false if it never will be.
pub(super) async fn opened(raw: &dyn DataChannel) -> bool {
    loop {
        match raw.poll().await {
            Some(DataChannelEvent::OnOpen) => return true,
            Some(DataChannelEvent::OnClose) | None => return false,
            Some(_) => {}
        }
    }
}

/// Carries messages both ways until one side has enough, then closes the channel.
pub(super) async fn carry(raw: Arc<dyn DataChannel>, delivery: Delivery, ends: Ends) {
    let Ends { to_service, mut from_service, end } = ends;
    let inward = async {
        while let Some(event) = raw.poll().await {
            let message = match event {
                DataChannelEvent::OnMessage(message) => message,
                DataChannelEvent::OnClose => break,
                _ => continue,
            };
            if message.data.len() > MAX_MESSAGE_BYTES {
                return ChannelEnd::TooLong;
            }
            let message = Message { text: message.is_string, data: message.data.freeze() };
            match timeout(SERVED_WITHIN, to_service.send(message)).await {
                Ok(Ok(())) => {}
                // The service listens no more, but may still have something to say.
                Ok(Err(_)) => {}
                Err(_) => return ChannelEnd::NotServed,
            }
        }
        ChannelEnd::Closed
    };
    let outward = async {
        while let Some(message) = from_service.recv().await {
            if delivery == Delivery::Fleeting && raw.outstanding_bytes().await.unwrap_or(0) > FLEETING_BUFFER {
                continue;
            }
            match timeout(READ_WITHIN, send(raw.as_ref(), message)).await {
                Ok(true) => {}
                Ok(false) => return Some(ChannelEnd::Closed),
                Err(_) => return Some(ChannelEnd::NotRead),
            }
        }
        None
    };
    let why = tokio::select! {
        why = inward => Some(why),
        why = outward => why,
    };
    if let Some(why) = why {
        // Told before the queues end, so that whoever sees them end finds it.
        let _ = end.set(why);
    }
    // Whoever hears that nothing more comes finds that nothing more can be said.
    drop(from_service);
    drop(to_service);
    if why.is_none() {
        flushed(raw.as_ref()).await;
    }
    close(raw.as_ref()).await;
}

/// Whether it could be sent; waits for room in the crate's buffer.
async fn send(raw: &dyn DataChannel, message: Message) -> bool {
    if message.data.len() > MAX_MESSAGE_BYTES {
        tracing::error!(
            bytes = message.data.len(),
            "a message to a viewer is too long: this is a defect, please report it"
        );
        return true;
    }
    let sent = match std::str::from_utf8(&message.data) {
        Ok(text) if message.text => raw.send_text(text).await,
        _ => raw.send(BytesMut::from(message.data)).await,
    };
    sent.inspect_err(|error| tracing::debug!(%error, "a channel takes nothing more")).is_ok()
}

/// What was sent last goes out before the channel is reset.
async fn flushed(raw: &dyn DataChannel) {
    let empty = async {
        while raw.outstanding_bytes().await.is_ok_and(|bytes| bytes > 0) {
            tokio::time::sleep(FLUSH_LOOK).await;
        }
    };
    // One that is not read is closed all the same.
    let _ = timeout(FLUSHED_WITHIN, empty).await;
}

pub(super) async fn close(raw: &dyn DataChannel) {
    if let Err(error) = raw.close().await {
        tracing::debug!(%error, "a channel did not close");
    }
}

/// Reads a channel nobody listens to: one that is not read stops all channels of its connection.
pub(super) async fn drain(raw: Arc<dyn DataChannel>) {
    while raw.poll().await.is_some() {}
}
