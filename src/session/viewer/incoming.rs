//! A call of the node's that rings at the viewer's.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::{
    Body, Boot, CancelReason, Delivery, Empty, End, Event, Message, Outgoing, SessionKey, Step, Topics,
};
use super::Output;

/// The node gives up long before; this is for one that has gone.
const GIVE_UP: Duration = Duration::from_secs(120);

/// A call that rings.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) key: SessionKey,
    /// The node's run that it belongs to.
    pub(super) boot: Boot,
    pub(super) delivery: Delivery,
    until: Duration,
}

/// Why a call does not ring any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone {
    /// For the log.
    pub(super) end: End,
    /// The node's message that says so.
    pub(super) seq: Option<u32>,
}

impl Incoming {
    /// Takes `call` in and says `ringing`.
    pub(super) fn start(key: SessionKey, boot: Boot, call: Message, now: Duration, out: &mut VecDeque<Output>) -> Self {
        let mut delivery = Delivery::new(key.session.clone(), true);
        delivery.receive(call, 0, now).expect("the first message is in the window");
        delivery.send(Body::Ringing(Empty {}), Some(0), now).expect("nothing has been said before");
        for step in [Step::Call, Step::Ringing] {
            out.push_back(Output::Event(Event { session: key.clone(), step }));
        }
        Self { key, boot, delivery, until: now + GIVE_UP }
    }

    /// A message of the node; tells when the call is over.
    pub(super) fn receive(&mut self, message: Message, bytes: usize, now: Duration) -> Option<Gone> {
        let failed = |seq| Some(Gone { end: End::Cancelled(CancelReason::Failed), seq });
        let Ok(messages) = self.delivery.receive(message, bytes, now) else { return failed(None) };
        messages.into_iter().find_map(|message| match message.body {
            Body::Cancel(cancel) => Some(Gone { end: End::Cancelled(cancel.reason), seq: message.seq }),
            Body::Leave(leave) => Some(Gone { end: End::TheyLeft(leave.reason), seq: message.seq }),
            Body::Error(failure) if failure.ends() => Some(Gone { end: End::TheyFailed(failure.code), seq: None }),
            // Nothing else is said before the call is taken.
            _ => None,
        })
    }

    /// Publishes what is due; `false` when it has rung for too long, or the node does not hear us.
    pub(super) fn handle_timeout(&mut self, topics: &Topics, now: Duration, out: &mut VecDeque<Output>) -> bool {
        while let Some(message) = self.delivery.poll_transmit(now) {
            out.push_back(Output::Publish(Outgoing::to_node(topics, &self.key.peer, &message)));
        }
        now < self.until && !self.delivery.has_failed(now)
    }

    /// When [`Incoming::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.delivery.poll_timeout().into_iter().chain(std::iter::once(self.until)).min()
    }
}
