//! The desk's part in a ring, and in hanging up: presses go to the session core, what it says goes back to whoever pressed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;

use super::desk::Running;
use crate::bell::config::RingTopic;
use crate::bell::{Press, Told, Visit, Wish};
use crate::session::node::{NotRung, RingOutcome, RingTo};
use crate::sys;

/// Visits that are told of at the same time: each takes 11 s at most.
const TELLING: usize = 4;

impl Running {
    /// Somebody has pressed the bell.
    pub(super) fn pressed(&mut self, press: Press, at: Duration) {
        let Press { wish, source, told } = press;
        let to = match wish {
            Wish::Ring(to) => to,
            Wish::HangUp => return self.hang_up(source, &told, at),
        };
        match self.desk.core.ring(to, at) {
            Ok(names) => {
                tracing::info!(source, names = names.join(", "), "rings");
                self.visited(source, names.clone());
                // Nobody need listen.
                let _ = told.send(Told::Rung(names));
                self.desk.bells.told = Some(told);
            }
            Err(why) => {
                tracing::info!(source, %why, "is not rung");
                // A phone can be told all the same.
                if matches!(why, NotRung::NobodyRegistered | NotRung::NoBroker) {
                    self.visited(source, Vec::new());
                }
                let _ = told.send(Told::NotRung(why));
            }
        }
    }

    /// A message on the config's topic.
    pub(super) fn pressed_by_topic(&mut self, payload: &[u8], at: Duration) {
        let (told, _) = mpsc::unbounded_channel();
        let wish = if RingTopic::hangs_up(payload) { Wish::HangUp } else { Wish::Ring(RingTo::All) };
        self.pressed(Press { wish, source: "topic", told }, at);
    }

    /// Somebody at the camera has seen enough, or nobody need come any more.
    fn hang_up(&mut self, source: &'static str, told: &mpsc::UnboundedSender<Told>, at: Duration) {
        let whom = self.desk.core.hang_up(at);
        tracing::info!(source, rung = whom.rung.join(", "), calls = whom.calls.join(", "), "hangs up");
        // Nobody need listen.
        let _ = told.send(Told::HungUp(whom));
    }

    /// The ring is over.
    pub(super) fn rung(&mut self, outcome: RingOutcome) {
        tracing::info!(?outcome, "the ring is over");
        if let Some(told) = self.desk.bells.told.take() {
            let _ = told.send(Told::Over(outcome));
        }
    }

    /// Tells the phones, beside everything else; a finger that stays on the bell is not told of for ever.
    fn visited(&mut self, source: &'static str, rung: Vec<String>) {
        let bells = &mut self.desk.bells;
        while bells.telling.try_join_next().is_some() {}
        let Some(webhook) = bells.webhook.as_ref().map(Arc::clone).filter(|_| bells.telling.len() < TELLING) else {
            return;
        };
        let visit = Visit { at: sys::since_unix_epoch(), source, rung };
        bells.telling.spawn(async move {
            if let Err(error) = webhook.tell(&visit).await {
                tracing::warn!(%error, "the webhook was not told of a ring");
            }
        });
    }

    /// Keeps the number of those who can be rung.
    pub(super) fn count_registered(&self) {
        self.desk.bells.registered.store(self.desk.core.registered(), Ordering::Relaxed);
    }
}
