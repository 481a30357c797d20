//! The channels of one viewer: who serves each, and by which right.

use std::sync::Arc;

use tokio::sync::watch;

use super::announcer::{Announcer, error_of_refusal};
use super::snapshots::LastStill;
use super::{Services, apps, files, requests, snapshots, telemetry};
use crate::access::{Scope, Scopes};
use crate::control::{ControlError, ErrorCode};
use crate::peer::{Channel, ChannelServices, Delivery, Message, Opener, Refused};
use crate::session::SessionKey;

/// The services of one viewer.
pub struct ViewerServices {
    all: Arc<Services>,
    viewer: Viewer,
}

/// Who is at the other end. Cloning shares it.
#[derive(Clone)]
pub struct Viewer {
    /// Its session.
    pub key: SessionKey,
    /// What it may do now.
    pub scopes: watch::Receiver<Scopes>,
    /// What it is told unasked.
    pub announcer: Arc<Announcer>,
    /// When it was given a still picture.
    pub last_still: LastStill,
}

/// Why a service has ended; nothing when the viewer knows.
pub type Ended = Option<ControlError>;

impl ViewerServices {
    pub(super) fn new(all: Arc<Services>, key: SessionKey, scopes: watch::Receiver<Scopes>) -> Self {
        Self { all, viewer: Viewer { key, scopes, announcer: Arc::default(), last_still: LastStill::default() } }
    }

    /// Serves for as long as the viewer has this right, and tells it why that has ended.
    fn spawn(&self, label: String, scope: Scope, service: impl Future<Output = Ended> + Send + 'static) {
        let Viewer { key, scopes, announcer, .. } = self.viewer.clone();
        let service = async move {
            let ended = while_allowed(scopes, scope, service).await;
            if label == CONTROL {
                announcer.detach();
            }
            match ended {
                Some(why) => announcer.channel_closed(&label, &why),
                None => tracing::debug!(session = %key, label, "a data channel is closed"),
            }
        };
        drop(self.all.tasks.spawn(service));
    }
}

const CONTROL: &str = "control";
const TELEMETRY: &str = "telemetry";
const SNAPSHOT: &str = "snapshot";
const FILES: &str = "files";

impl ChannelServices for ViewerServices {
    fn opens(&self, label: &str) -> Option<Delivery> {
        match label {
            CONTROL => Some(Delivery::Reliable),
            TELEMETRY => Some(Delivery::Fleeting),
            _ => None,
        }
    }

    fn serve(&self, channel: Channel) {
        let (all, viewer, label) = (Arc::clone(&self.all), self.viewer.clone(), channel.label().to_owned());
        match (label.as_str(), channel.opener()) {
            (CONTROL, Opener::Us) => {
                let control = channel.outgoing().clone();
                viewer.announcer.attach(move |event| {
                    // A viewer that does not read has no use for it.
                    let _ = control.offer(Message::text(event));
                });
                self.spawn(label, Scope::Control, requests::serve(all, viewer, channel));
            }
            (TELEMETRY, Opener::Us) => self.spawn(label, Scope::View, telemetry::serve(all, channel)),
            (SNAPSHOT, Opener::Them) => self.spawn(label, Scope::View, snapshots::serve(all, viewer, channel)),
            (FILES, Opener::Them) if all.files.are_served() => {
                self.spawn(label, Scope::Files, files::serve(all, viewer, channel));
            }
            (app, Opener::Them) if app.starts_with("app:") => {
                self.spawn(label, Scope::Control, apps::serve(all, viewer, channel));
            }
            (_, opener) => {
                let why = match self.opens(&label) {
                    Some(_) if opener == Opener::Them => {
                        "the node opens this one itself, for whom wants.channels names it"
                    }
                    _ => "nobody here serves a channel of this label",
                };
                viewer.announcer.channel_closed(&label, &ControlError::new(ErrorCode::NoSuchChannel, why));
            }
        }
    }

    fn refused(&self, label: &str, why: Refused) {
        self.viewer.announcer.channel_closed(label, &error_of_refusal(why));
    }
}

/// Serves until the service ends, or the right to it.
async fn while_allowed(scopes: watch::Receiver<Scopes>, scope: Scope, service: impl Future<Output = Ended>) -> Ended {
    tokio::select! {
        // The right first: of who has it not, nothing is done that waits already.
        biased;
        () = lost(scopes, scope) => {
            Some(ControlError::new(ErrorCode::NotAllowed, format!("this channel needs the scope {scope}")))
        }
        ended = service => ended,
    }
}

/// Waits until the viewer may do this no more.
async fn lost(mut scopes: watch::Receiver<Scopes>, scope: Scope) {
    let needed = Scopes::from_iter([scope]);
    // The session is over when nobody can tell us any more; its channels end by themselves.
    if scopes.wait_for(|scopes| !scopes.cover(needed)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn nothing_is_done_for_who_lacks_the_right_however_ready_it_is() {
        // More than chance would let pass.
        for _ in 0..64 {
            let (_rights, scopes) = watch::channel(Scopes::from_iter([Scope::View, Scope::Control]));
            let is_done = Cell::new(false);
            let ended = while_allowed(scopes, Scope::Files, async {
                is_done.set(true);
                None
            });
            let why = ended.await.expect("it is told why");
            assert_eq!((why.code(), is_done.get()), (20, false), "{why}");
        }
    }

    #[tokio::test]
    async fn a_right_that_is_taken_away_ends_the_service_before_its_next_step() {
        for _ in 0..64 {
            let (rights, scopes) = watch::channel(Scopes::ALL);
            let (begun, next, went_on) = (Cell::new(false), Notify::new(), Cell::new(false));
            let served = while_allowed(scopes, Scope::Files, async {
                begun.set(true);
                next.notified().await;
                went_on.set(true);
                None
            });
            let taken_away = async {
                assert!(begun.get(), "it may");
                // Both at once.
                next.notify_one();
                rights.send_replace(Scopes::NONE);
            };
            let (ended, ()) = tokio::join!(served, taken_away);
            assert_eq!((ended.expect("it is told why").code(), went_on.get()), (20, false));
        }
    }

    #[tokio::test]
    async fn a_session_that_is_over_takes_no_right_away() {
        let (rights, scopes) = watch::channel(Scopes::ALL);
        drop(rights);
        assert_eq!(while_allowed(scopes, Scope::View, async { None }).await, None);
    }
}
