//! The node's side of the protocol: presence, who may join, and one session for each viewer.

mod admission;
mod callee;
mod calls;
mod doorkeeper;
mod endings;
mod hanging_up;
#[cfg(any(test, fuzzing))]
mod held;
mod io;
mod outgoing_call;
mod presence;
mod registry;
mod relays;
mod ring;
mod snapshots;
mod viewer_session;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use self::admission::{Admission, seconds_up, status};
use self::calls::{Calls, GoesOnWith};
use self::doorkeeper::Doorkeeper;
pub use self::hanging_up::HungUp;
pub use self::io::{Camera, Input, NodeSetup, Output};
use self::presence::Announcer;
pub use self::presence::Will;
use self::registry::Registry;
pub use self::relays::IceSource;
use self::relays::Relays;
use self::ring::Ring;
pub use self::ring::{NoAnswer, NotRung, RingOutcome, RingTo};
use self::snapshots::Snapshots;
pub use self::snapshots::{SnapshotId, SnapshotTaken, SnapshotWish};
use self::viewer_session::{Beginning, Over, ViewerSession};
use super::budget::Budgets;
use super::ended::Ended;
use super::{
    Body, CancelReason, Delivery, ErrorCode, Event, Failure, LeaveReason, Malformed, Message, Outgoing, PeerId,
    SessionKey, Step, Text, Topic,
};
use crate::access::Guard;

/// A clock that jumps by more than this was wrong before; less is what clocks do while they are being set.
const CLOCK_STEP_S: u64 = 10;

/// The node's side of the protocol.
///
/// The shell's part: after each [`Node::handle`] and [`Node::handle_timeout`] perform all of [`Node::poll_output`], then
/// wait for the next input or until [`Node::poll_timeout`]. `now` is the time since any fixed moment.
pub struct Node {
    setup: NodeSetup,
    cameras: Vec<Camera>,
    warnings: Vec<Text<0, 256>>,
    relays: Relays,
    sessions: BTreeMap<PeerId, ViewerSession>,
    /// Who wants to be called, and the calls to them.
    registry: Registry,
    ring: Option<Ring>,
    /// Which of the sessions are calls.
    calls: Calls,
    snapshots: Snapshots,
    ended: Ended,
    budgets: Budgets,
    door: Doorkeeper,
    announcer: Announcer,
    shutting_down: bool,
    out: VecDeque<Output>,
}

impl Node {
    /// A node without a broker, without cameras.
    pub fn new(setup: NodeSetup) -> Self {
        let will = Will::new(&setup.topics, setup.boot.clone(), setup.retain_status);
        let door = Doorkeeper::new(setup.guard.clone());
        let budgets = Budgets::new(&setup.limits);
        Self {
            setup,
            cameras: Vec::new(),
            warnings: Vec::new(),
            relays: Relays::default(),
            sessions: BTreeMap::new(),
            registry: Registry::default(),
            ring: None,
            calls: Calls::default(),
            snapshots: Snapshots::default(),
            ended: Ended::default(),
            budgets,
            door,
            announcer: Announcer::new(will),
            shutting_down: false,
            out: VecDeque::new(),
        }
    }

    /// What the broker is to publish when a connection is lost.
    pub fn will(&self) -> Will {
        Will::new(&self.setup.topics, self.setup.boot.clone(), self.setup.retain_status)
    }

    /// Sessions there are.
    pub fn viewers(&self) -> usize {
        self.sessions.len()
    }

    /// Peers that can be rung.
    pub fn registered(&self) -> usize {
        self.registry.all().count()
    }

    /// After [`Input::Shutdown`]: every viewer has heard `leave`, or never will.
    pub fn is_settled(&self) -> bool {
        self.sessions.is_empty() && self.ring.is_none() && self.ended.is_settled()
    }

    /// Something happened.
    pub fn handle(&mut self, input: Input, now: Duration) {
        match input {
            Input::LinkUp { conn } => {
                self.announcer.link_up(conn, now);
                self.set_link(true, now);
            }
            Input::LinkDown => {
                self.announcer.link_down();
                self.set_link(false, now);
            }
            Input::Message { topic, payload, retained } => match self.setup.topics.parse(&topic) {
                Some(Topic::Status) => self.announcer.seen(&payload, retained, now),
                // Kept by the broker against the protocol: it is of no one who waits for an answer now.
                Some(Topic::In(peer)) if !retained => self.message(peer, &payload, now),
                _ => {}
            },
            Input::Peer(key, event) => {
                let session = self.sessions.get_mut(&key.peer).filter(|session| session.key == key);
                let result = session.map(|session| session.peer_event(event, now, &mut self.out));
                self.settle(&key.peer, result.unwrap_or(Ok(())), now);
            }
            Input::Cameras(cameras) => {
                self.cameras = cameras;
                self.announcer.changed(now);
            }
            Input::Warnings(mut warnings) => {
                warnings.truncate(16);
                self.warnings = warnings;
                self.announcer.changed(now);
            }
            Input::IceServers(sources) => {
                self.relays = Relays(sources);
                self.renew_all_relays(now);
            }
            Input::Guard(guard) => self.set_guard(guard, now),
            Input::Name(name) => {
                self.setup.name = name;
                self.announcer.changed(now);
            }
            Input::Limits(limits) => {
                self.budgets.set_limits(&limits);
                self.setup.limits = limits;
                self.announcer.changed(now);
            }
            Input::Snapshot(id, taken) => self.snapshot_taken(id, taken, now),
            Input::StreamChanged => self.leave_all(LeaveReason::Closed, now),
            Input::NetworkChanged => {
                self.sessions.values_mut().for_each(|session| session.network_changed(now, &mut self.out));
            }
            Input::WallClock(clock) => {
                let believed = self.door.unix_s(now);
                self.door.set_clock(clock, now);
                // Logins of before end at another time than we thought.
                if self.relays.lifetime_s().is_some() && believed.abs_diff(self.door.unix_s(now)) > CLOCK_STEP_S {
                    self.renew_all_relays(now);
                }
            }
            Input::Shutdown => self.shut_down(now),
        }
        self.handle_timeout(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.announcer.conn().is_some() {
            self.renew_relays(now);
        }
        let mut over = Vec::new();
        for (peer, session) in &mut self.sessions {
            let has_ended = self.door.ends_at(&session.grant).is_some_and(|at| at <= now);
            let outcome = if has_ended {
                Err(Over::Expired)
            } else {
                session.handle_timeout(&self.setup.topics, now, &mut self.out)
            };
            if let Err(why) = outcome {
                over.push((peer.clone(), why));
            }
        }
        for (peer, why) in over {
            self.settle(&peer, Err(why), now);
        }
        self.ring_timeout(now);
        while let Some((peer, message)) = self.ended.poll_transmit(now) {
            self.publish(&peer, &message);
        }
        let status =
            |conn| status(&self.setup, self.door.mode(), (&self.cameras, &self.warnings), self.sessions.len(), conn);
        if let Some(outgoing) = self.announcer.poll(now, status) {
            self.out.push_back(Output::Publish(outgoing));
        }
        self.out.extend(self.announcer.poll_rival(now).map(Output::Rival));
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to call [`Node::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Duration> {
        let link_up = self.announcer.conn().is_some();
        let sessions = self.sessions.values().filter_map(ViewerSession::poll_timeout);
        let renewals = self.sessions.values().filter_map(|session| session.renews_relays_at.filter(|_| link_up));
        let grants = self.sessions.values().filter_map(|session| self.door.ends_at(&session.grant));
        let ring = self.ring.as_ref().and_then(Ring::poll_timeout);
        let others = [ring, self.ended.poll_timeout(), self.announcer.poll_timeout()].into_iter().flatten();
        sessions.chain(renewals).chain(grants).chain(others).min()
    }

    fn message(&mut self, peer: PeerId, payload: &[u8], now: Duration) {
        if let Err(wait) = self.budgets.take_message(&peer, now) {
            // Not even read: whatever must not be lost is sent again, later and slower.
            if self.budgets.take_reply(&peer, now) {
                let failure = Failure::new(ErrorCode::RateLimited).after(seconds_up(wait));
                self.publish(&peer, &Message::plain(Body::Error(failure), None, None));
            }
            self.out.push_back(Output::Unread(peer));
            return;
        }
        let message = match Message::read(payload) {
            Ok(message) => message,
            Err(malformed) => return self.unreadable(peer, malformed, now),
        };
        let Some(session) = message.session.clone() else {
            return self.outside_of_sessions(&peer, message, now);
        };
        let key = SessionKey { peer, session };
        if let Some(session) = self.sessions.get_mut(&key.peer).filter(|session| session.key == key) {
            let result = session.receive(message, payload.len(), &self.door, now, &mut self.out);
            self.settle(&key.peer, result, now);
        } else if let Some(call) = self.ring.as_mut().and_then(|ring| ring.call(&key)) {
            let reply = call.receive(message, payload.len(), now, &mut self.out);
            self.replied(&key.peer, reply, now);
        } else if self.ended.contains(&key, now) {
            if message.body.is_final() {
                self.calls.left(&key);
            }
            if let Some(answer) = self.ended.answer(&key, &message, now) {
                self.publish(&key.peer, &answer);
            }
        } else {
            match &message.body {
                Body::Join(join) => match self.admit_join(&key, join, now) {
                    Ok(admission) => self.open(key, message, admission, now),
                    Err(failure) => self.refuse_join(key, &message, failure, now),
                },
                Body::Call(call) => {
                    let call = call.clone();
                    self.take_call(key, message, call, now);
                }
                // Whoever says goodbye to a session that is not there has what it wants.
                body if body.is_final() => self.they_ended(&key, message.seq, now),
                Body::Ack(_) | Body::Error(_) => {}
                _ => self.reply_error(&key.peer, &message, Failure::new(ErrorCode::UnknownSession), now),
            }
        }
    }

    fn unreadable(&mut self, peer: PeerId, malformed: Malformed, now: Duration) {
        let known =
            self.sessions.get_mut(&peer).filter(|session| Some(&session.key.session) == malformed.session.as_ref());
        let mut result = Ok(());
        if let (Some(session), Some(seq)) = (known, malformed.seq) {
            // It keeps its place in the order, or those after it would wait forever.
            result = session.skip(seq, &self.door, now, &mut self.out);
        }
        self.unreadable_reply(&peer, &malformed, now);
        if !malformed.is_error && self.budgets.take_reply(&peer, now) {
            let failure = Failure::with_message(malformed.code, &malformed.detail);
            let (session, re) = (malformed.session.clone(), malformed.seq);
            let reply = Message { session, seq: None, ack: None, re, body: Body::Error(failure) };
            self.publish(&peer, &reply);
        }
        self.settle(&peer, result, now);
        self.out.push_back(Output::Unreadable(peer, malformed));
    }

    fn outside_of_sessions(&mut self, peer: &PeerId, message: Message, now: Duration) {
        match &message.body {
            Body::Probe(_) => {
                if let Some(conn) = self.announcer.conn()
                    && self.budgets.take_reply(peer, now)
                {
                    let status = status(
                        &self.setup,
                        self.door.mode(),
                        (&self.cameras, &self.warnings),
                        self.sessions.len(),
                        conn,
                    );
                    self.publish(peer, &Message::plain(Body::Status(Box::new(status)), None, message.seq));
                }
            }
            Body::Error(_) => {}
            Body::Register(register) => self.register(peer, &message, register, now),
            Body::Unregister(_) => self.unregister(peer, message.seq, now),
            Body::Snapshot(snapshot) => self.snapshot(peer, &message, snapshot, now),
            _ => self.reply_error(peer, &message, Failure::new(ErrorCode::BadMessage), now),
        }
    }

    fn open(&mut self, key: SessionKey, join: Message, admission: Admission, now: Duration) {
        let mut delivery = Delivery::new(key.session.clone(), true);
        delivery.receive(join, 0, now).expect("the first message is in the window");
        let goes_on_with = self.calls.joins(&key.peer, now);
        if goes_on_with == GoesOnWith::HungUp {
            return self.hang_up_at_once(key, delivery, now);
        }
        let peer = key.peer.clone();
        self.begin(key, Beginning { delivery, request: 0, steps: &[Step::Join] }, admission, now);
        if goes_on_with == GoesOnWith::Call {
            self.calls.taken(&peer);
        }
    }

    fn begin(&mut self, key: SessionKey, beginning: Beginning, admission: Admission, now: Duration) {
        if let Some(earlier) = self.sessions.remove(&key.peer) {
            self.leave(earlier, LeaveReason::Replaced, now);
        }
        self.make_room(now);
        let introduction = self.introduction(&key.peer, now);
        let limits = self.setup.limits.clone();
        let first = (admission, introduction);
        let session = ViewerSession::open(key.clone(), limits, beginning, first, now, &mut self.out);
        self.sessions.insert(key.peer, session);
        self.viewers_changed(now);
    }

    fn reply_error(&mut self, peer: &PeerId, message: &Message, failure: Failure, now: Duration) {
        if self.budgets.take_reply(peer, now) {
            let session = message.session.clone();
            self.publish(peer, &Message { session, seq: None, ack: None, re: message.seq, body: Body::Error(failure) });
        }
    }

    fn set_link(&mut self, up: bool, now: Duration) {
        self.sessions.values_mut().for_each(|session| session.delivery.set_link(up, now));
        self.ended.set_link(up, now);
        self.ring.iter_mut().for_each(|ring| ring.set_link(up, now));
    }

    fn set_guard(&mut self, guard: Guard, now: Duration) {
        self.door.set_guard(guard);
        self.announcer.changed(now);
        let is_over = |session: &ViewerSession| !self.door.upholds(&session.grant);
        let over: Vec<PeerId> =
            self.sessions.iter().filter(|(_, session)| is_over(session)).map(|(peer, _)| peer.clone()).collect();
        over.iter().for_each(|peer| self.settle(peer, Err(Over::Expired), now));
        self.registry.keep(|grant| self.door.upholds(grant));
    }

    fn shut_down(&mut self, now: Duration) {
        self.shutting_down = true;
        self.stop_ringing(CancelReason::Closed, NoAnswer::Gone, now);
        self.leave_all(LeaveReason::Shutdown, now);
        self.handle_timeout(now);
        self.out.extend(self.announcer.farewell().map(Output::Publish));
    }

    fn leave_all(&mut self, reason: LeaveReason, now: Duration) {
        for (_, session) in std::mem::take(&mut self.sessions) {
            self.leave(session, reason, now);
        }
        self.viewers_changed(now);
    }

    fn publish(&mut self, peer: &PeerId, message: &Message) {
        self.out.push_back(Output::Publish(Outgoing::to_peer(&self.setup.topics, peer, message)));
    }

    fn log(&mut self, key: &SessionKey, step: Step) {
        self.out.push_back(Output::Event(Event { session: key.clone(), step }));
    }
}

#[cfg(test)]
mod tests;
