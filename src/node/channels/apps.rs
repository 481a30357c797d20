//! The bridge between an `app:` channel and a local program: a `SOCK_SEQPACKET` connection a channel.
//!
//! Not a stream: the socket keeps the bounds of messages, so that a program reads one message a `recv` and no framing stands
//! between it and the viewer. Not datagrams: both sides see the other one go.

use std::sync::Arc;
use std::time::Instant;

use super::Services;
use super::announcer::error_of;
use super::viewer::{Ended, Viewer};
use crate::control::app::{Silence, Word, message, packet, scope_names};
use crate::control::{ControlError, ErrorCode};
use crate::node::clock::now;
use crate::peer::{Channel, MAX_MESSAGE_BYTES, Message, Outgoing};
use crate::sys::PacketSocket;

/// Carries messages until the viewer or the program has enough, or the viewer loses its right.
pub async fn serve(all: Arc<Services>, viewer: Viewer, mut channel: Channel) -> Ended {
    let name = channel.label().strip_prefix("app:").unwrap_or_default();
    let Some(app) = all.apps().iter().find(|app| app.name == name).cloned() else {
        return Some(ControlError::new(ErrorCode::NoSuchChannel, "no [[app]] of the node's config has this name"));
    };
    let socket = match PacketSocket::connect(&app.socket) {
        Ok(socket) => Parting(socket),
        Err(error) => {
            tracing::info!(app = app.name, socket = %app.socket.display(), %error, "the program cannot be reached");
            return Some(away("the program behind this channel is not there; try again later"));
        }
    };
    let (label, outgoing) = (channel.label().to_owned(), channel.outgoing().clone());
    let opening = Word::Open {
        label: &label,
        peer: viewer.key.peer.as_str(),
        session: viewer.key.session.as_str(),
        scopes: scope_names(*viewer.scopes.borrow()),
    };
    let opening = opening.packet();
    tokio::select! {
        ended = to_app(&socket.0, &opening, &mut channel) => ended,
        ended = to_viewer(&socket.0, &outgoing) => ended,
    }
}

/// Says goodbye however the bridge ends: it may be dropped at any point when the viewer loses its right.
struct Parting(PacketSocket);

impl Drop for Parting {
    fn drop(&mut self) {
        // A program that does not read sees the end all the same.
        let _ = self.0.try_send(&Word::Closed.packet());
    }
}

async fn to_app(socket: &PacketSocket, opening: &[u8], channel: &mut Channel) -> Ended {
    let begun = now();
    let elapsed = || now().saturating_duration_since(begun);
    let mut silence = Silence::begin(elapsed());
    if socket.send(opening).await.is_err() {
        return Some(gone());
    }
    loop {
        let due = silence.due().map(|due| begun + due);
        let sent = tokio::select! {
            next = channel.next() => match next {
                Err(end) => return error_of(end),
                Ok(Message { text, data }) => {
                    let told = if silence.heard(elapsed()) { socket.send(&Word::Heard.packet()).await } else { Ok(()) };
                    match told {
                        Ok(()) => socket.send(&packet(text, &data)).await,
                        failed => failed,
                    }
                }
            },
            () = sleep_until(due) => match silence.is_news(elapsed()) {
                true => socket.send(&Word::Silent.packet()).await,
                false => Ok(()),
            },
        };
        if sent.is_err() {
            return Some(gone());
        }
    }
}

async fn to_viewer(socket: &PacketSocket, outgoing: &Outgoing) -> Ended {
    // A byte for the tag, and one more that shows a packet that is too long.
    let mut buffer = vec![0; MAX_MESSAGE_BYTES + 2];
    loop {
        let bytes = match socket.receive(&mut buffer).await {
            // An empty packet would look the same: there are none.
            Ok(0) | Err(_) => return Some(gone()),
            Ok(bytes) if bytes > MAX_MESSAGE_BYTES + 1 => {
                let why = "the program behind this channel has said more than 16384 bytes at once";
                return Some(ControlError::new(ErrorCode::MessageTooLong, why));
            }
            Ok(bytes) => bytes,
        };
        let said = match message(&buffer[..bytes]) {
            Ok((text, data)) => Message { text, data: data.to_vec().into() },
            Err(what) => {
                let why = format!("the program behind this channel has sent {what}");
                return Some(ControlError::new(ErrorCode::BadMessage, why));
            }
        };
        if outgoing.send(said).await.is_err() {
            return None;
        }
    }
}

fn away(why: &str) -> ControlError {
    ControlError::new(ErrorCode::AppAway, why)
}

fn gone() -> ControlError {
    away("the program behind this channel has ended")
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
