//! The channel `snapshot`: still pictures at full size, one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::Services;
use super::announcer::error_of;
use super::viewer::{Ended, Viewer};
use crate::control::{ControlError, ErrorCode, StillRequest, read_request, refusal, still_header};
use crate::encode::{Still, StillWish};
use crate::media::CameraName;
use crate::node::clock::now;
use crate::peer::{Channel, Closed, MAX_MESSAGE_BYTES, Message, Outgoing};

/// A viewer's pictures are so far apart, on however many channels it asks: each costs the processor a little.
const APART: Duration = Duration::from_millis(250);

/// When a viewer was last given a picture; held while it is given one.
pub type LastStill = Arc<Mutex<Option<Instant>>>;

/// Answers until the channel ends.
pub async fn serve(all: Arc<Services>, viewer: Viewer, mut channel: Channel) -> Ended {
    loop {
        let request = match channel.next().await {
            Ok(message) => read_request::<StillRequest>(&message.data),
            Err(end) => return error_of(end),
        };
        let mut last = viewer.last_still.lock().await;
        if let Some(last) = *last {
            tokio::time::sleep_until((last + APART).into()).await;
        }
        let outgoing = channel.outgoing();
        let sent = match take(&all, request).await {
            Ok((camera, still)) => {
                *last = Some(now());
                send(outgoing, &camera, still).await
            }
            Err(why) => outgoing.send(Message::text(refusal(&why))).await,
        };
        if sent.is_err() {
            return None;
        }
    }
}

async fn take(
    all: &Services,
    request: Result<StillRequest, ControlError>,
) -> Result<(CameraName, Still), ControlError> {
    let StillRequest { camera, width, quality } = request?;
    let camera = match &camera {
        Some(name) => all.cameras.0.get(name),
        None => all.cameras.0.values().next(),
    };
    let camera = camera.ok_or_else(|| ControlError::new(ErrorCode::NoSuchCamera, "there is no camera of this name"))?;
    let wish = StillWish {
        width: width.map(|width| width.value()),
        quality: quality.map_or(StillWish::FULL.quality, |quality| quality.value()),
        ..StillWish::FULL
    };
    let still = camera.still(wish).await.map_err(|why| {
        let (_, code) = why.codes();
        ControlError::new(code, why.to_string())
    })?;
    Ok((camera.name().clone(), still))
}

async fn send(outgoing: &Outgoing, camera: &CameraName, still: Still) -> Result<(), Closed> {
    let mut jpeg = still.jpeg;
    let header = still_header(camera, (still.width, still.height), jpeg.len());
    outgoing.send(Message::text(header)).await?;
    while !jpeg.is_empty() {
        let chunk = jpeg.split_to(jpeg.len().min(MAX_MESSAGE_BYTES));
        outgoing.send(Message { text: false, data: chunk }).await?;
    }
    Ok(())
}
