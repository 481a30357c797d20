//! The way from whatever is pressed to the node.

use tokio::sync::mpsc;

use crate::session::node::{HungUp, NotRung, RingOutcome, RingTo};

/// Presses that wait for the node; more are not rung: it is not there, or it rings already.
const WAITING: usize = 8;

/// Somebody wants it to ring, or to hang up.
#[derive(Debug)]
pub struct Press {
    /// Which of them.
    pub wish: Wish,
    /// What was pressed, for the log.
    pub source: &'static str,
    /// Who wants to know what becomes of it; nobody need listen.
    pub told: mpsc::UnboundedSender<Told>,
}

/// What a press is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Rings these.
    Ring(RingTo),
    /// Ends the ring there is, and all calls.
    HangUp,
}

/// What has become of a press.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// These names are rung; [`Told::Over`] follows.
    Rung(Vec<String>),
    /// Nobody is.
    NotRung(NotRung),
    /// The ring has ended.
    Over(RingOutcome),
    /// These were hung up on.
    HungUp(HungUp),
}

/// Presses the doorbell; every source has one.
#[derive(Debug, Clone)]
pub struct Button(mpsc::Sender<Press>);

impl Button {
    /// A button, and where its presses come out.
    pub fn new() -> (Self, mpsc::Receiver<Press>) {
        let (presses, pressed) = mpsc::channel(WAITING);
        (Self(presses), pressed)
    }

    /// Presses it; never waits. What has become of it comes out of the receiver, which ends at once if the node is gone.
    pub fn press(&self, wish: Wish, source: &'static str) -> mpsc::UnboundedReceiver<Told> {
        let (told, telling) = mpsc::unbounded_channel();
        if self.0.try_send(Press { wish, source, told }).is_err() {
            tracing::debug!(source, "pressed faster than it rings");
        }
        telling
    }
}
