//! The channels of one connection: opens those that are wanted, takes in those that the other side opens.

use std::sync::Arc;

use rtc::data_channel::RTCDataChannelInit;
use tokio::sync::watch;
use tokio::task::JoinSet;
use webrtc::data_channel::DataChannel;
use webrtc::peer_connection::PeerConnection;

use super::{ChannelServices, Delivery, MAX_CHANNELS, Opener, Refused, channel, pump};
use crate::peer::link::Failure;
use crate::peer::stats::PeerStats;
use crate::session::FailedStep;

/// The longest label, in characters; the protocol's.
const MAX_LABEL_CHARS: usize = 64;

/// The highest stream that the crate's association has for certain; a viewer's own channels begin with the lowest.
const UNSEEN: u16 = 1_022;

/// All channels of one connection. Its tasks end with it.
pub(crate) struct Switchboard {
    services: Arc<dyn ChannelServices>,
    stats: watch::Receiver<PeerStats>,
    tasks: JoinSet<()>,
}

impl Switchboard {
    pub(crate) fn new(services: Arc<dyn ChannelServices>, stats: watch::Receiver<PeerStats>) -> Self {
        Self { services, stats, tasks: JoinSet::new() }
    }

    /// Adds to the connection, before it is offered, what is wanted and what there is.
    pub(crate) async fn open(&mut self, pc: &dyn PeerConnection, wanted: &[String]) -> Result<(), Failure> {
        let mut opened = false;
        for label in wanted {
            let Some(delivery) = self.services.opens(label) else { continue };
            opened = true;
            self.add(pc, label.clone(), delivery).await?;
        }
        if !wanted.is_empty() && !opened {
            // What is wanted is opened by the viewer, and an offer has a section for that only with a channel of ours. This
            // one was agreed upon in advance by nobody, so that the viewer sees none of it.
            let unseen = RTCDataChannelInit { negotiated: Some(UNSEEN), ..RTCDataChannelInit::default() };
            let raw = pc.create_data_channel("", Some(unseen)).await.map_err(Failure::at(FailedStep::Offer))?;
            self.tasks.spawn(pump::drain(raw));
        }
        Ok(())
    }

    /// Opens a channel of ours.
    pub(crate) async fn add(
        &mut self,
        pc: &dyn PeerConnection,
        label: String,
        delivery: Delivery,
    ) -> Result<(), Failure> {
        let created = pc.create_data_channel(&label, Some(init(delivery))).await;
        let raw = created.map_err(Failure::at(FailedStep::Offer))?;
        let (services, stats) = (Arc::clone(&self.services), self.stats.clone());
        self.tasks.spawn(async move {
            if pump::opened(raw.as_ref()).await {
                serve(services.as_ref(), raw, label, (Opener::Us, delivery), stats).await;
            }
        });
        Ok(())
    }

    /// The other side has opened a channel.
    pub(crate) fn accept(&mut self, raw: Arc<dyn DataChannel>) {
        while self.tasks.try_join_next().is_some() {}
        let (services, stats) = (Arc::clone(&self.services), self.stats.clone());
        let has_room = self.tasks.len() < MAX_CHANNELS;
        self.tasks.spawn(async move {
            let label = raw.label().await.unwrap_or_default();
            let refused = match (has_room, is_label(&label)) {
                (false, _) => Some(Refused::TooMany),
                (true, false) => Some(Refused::BadLabel),
                (true, true) => None,
            };
            if let Some(why) = refused {
                services.refused(&clipped(&label), why);
                return pump::close(raw.as_ref()).await;
            }
            serve(services.as_ref(), raw, label, (Opener::Them, Delivery::Reliable), stats).await;
        });
    }

    /// Ends them all.
    pub(crate) async fn end(&mut self) {
        self.tasks.shutdown().await;
    }
}

async fn serve(
    services: &dyn ChannelServices,
    raw: Arc<dyn DataChannel>,
    label: String,
    (opener, delivery): (Opener, Delivery),
    stats: watch::Receiver<PeerStats>,
) {
    let (ours, ends) = channel(label, opener, stats);
    services.serve(ours);
    pump::carry(pump::Raw(raw), delivery, ends, pump::Patience::USUAL).await;
}

fn init(delivery: Delivery) -> RTCDataChannelInit {
    match delivery {
        Delivery::Reliable => RTCDataChannelInit { ordered: true, ..RTCDataChannelInit::default() },
        Delivery::Fleeting => {
            RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..RTCDataChannelInit::default() }
        }
    }
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL_CHARS).contains(&label.chars().count()) && !label.chars().any(char::is_control)
}

/// As much of a label as may be said of it.
fn clipped(label: &str) -> String {
    label.chars().filter(|c| !c.is_control()).take(MAX_LABEL_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_plain_text_of_64_characters() {
        assert!(is_label("control") && is_label("app:räder") && is_label(&"ä".repeat(64)));
        assert!(!is_label("") && !is_label("a\nb") && !is_label(&"a".repeat(65)));
        assert_eq!(clipped(&format!("a\n{}", "b".repeat(100))).chars().count(), 64);
    }
}
