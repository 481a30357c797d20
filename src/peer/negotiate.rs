//! Offers and answers of one connection, from either side, the first ones and those that follow.

use std::net::SocketAddr;
use std::sync::Arc;

use rtc::peer_connection::configuration::{RTCAnswerOptions, RTCOfferOptions};
use tracing::Instrument;
use webrtc::peer_connection::{PeerConnection, RTCIceCandidateInit, RTCSessionDescription};

use super::clock::now;
use super::continuation::{Agreed, first_sections, with_refused};
use super::description::{for_sending, host_addresses, ice_ufrag, our_setup, sections, with_setup};
use super::link::{CONNECT_LIMIT, Describing, Failure, Link, LinkEvent, Phase};
use super::local_names::{hidden_candidates, hidden_name};
use super::tcp::{description_for_crate, for_crate, with_candidates};
use super::trickle::Trickle;
use crate::session::{Candidate, FailedStep};

/// Candidates taken from the other side in one generation; a browser sends about a dozen.
const MAX_REMOTE_CANDIDATES: usize = 64;

impl Link {
    /// Makes the first offer; [`LinkEvent::Offer`] follows.
    pub(super) async fn offer(&mut self) -> Result<(), Failure> {
        self.make_offer(None).await
    }

    /// Makes an offer with new ICE credentials; [`LinkEvent::Offer`] follows, or [`LinkEvent::Declined`].
    pub(super) async fn restart(&mut self) -> Result<(), Failure> {
        // The crate would free its sockets, find no other, and end.
        if !self.plan.has_address() {
            self.decline("there is no address to restart on");
            return Ok(());
        }
        self.make_offer(Some(RTCOfferOptions { ice_restart: true })).await
    }

    async fn make_offer(&mut self, options: Option<RTCOfferOptions>) -> Result<(), Failure> {
        let restart = options.is_some();
        if restart {
            self.tcp.paths.hold();
            self.take_new_logins().await?;
        }
        let offer = self.pc.create_offer(options).await.map_err(Failure::at(FailedStep::Offer))?;
        // What the crate writes into an offer now is of before the restart, which comes with the next step.
        self.stale = if restart { candidate_lines(&offer.sdp) } else { Vec::new() };
        self.set_local(offer, Describing::Offer, restart).await
    }

    /// Answers an offer; [`LinkEvent::Answer`] follows, or [`LinkEvent::Declined`] if it does not go on with what was
    /// agreed. An offer of ours that waits for its answer is taken back.
    pub(super) async fn answer(&mut self, sdp: String) -> Result<(), Failure> {
        let agreed = self.pc.current_local_description().await.zip(self.pc.current_remote_description().await);
        let Some((ours, theirs)) = agreed else { return self.make_answer(sdp, false).await };
        let kept = match (Agreed { ours: &ours.sdp, theirs: &theirs.sdp }).continued_by(&sdp) {
            Ok((kept, refused)) => {
                // What was refused once keeps its place in all descriptions that follow.
                if refused.len() < self.refused.len() {
                    self.decline("sections that were refused before are missing");
                    return Ok(());
                }
                self.refused = refused;
                kept
            }
            Err(why) => {
                self.decline(why);
                return Ok(());
            }
        };
        // The crate forgets in its next answer which side of DTLS it is; a browser takes no answer that changes sides.
        self.setup.get_or_insert(our_setup(&ours.sdp, &theirs.sdp));
        let restart = ice_ufrag(&kept) != ice_ufrag(&theirs.sdp);
        if restart && !self.plan.has_address() {
            self.decline("there is no address to restart on");
            return Ok(());
        }
        if self.pc.pending_local_description().await.is_some() {
            let rollback = RTCSessionDescription::rollback(None).map_err(Failure::at(FailedStep::Internal))?;
            let rolled_back = self.pc.set_local_description(rollback).await;
            rolled_back.map_err(Failure::at(FailedStep::LocalDescription))?;
        }
        self.make_answer(kept, restart).await
    }

    async fn make_answer(&mut self, offer: String, restart: bool) -> Result<(), Failure> {
        if restart {
            self.tcp.paths.hold();
            self.take_new_logins().await?;
        }
        let offer = description_for_crate(&offer, |target| self.tcp.paths.to_dial(target));
        let offer = RTCSessionDescription::offer(offer).map_err(Failure::at(FailedStep::RemoteDescription))?;
        self.set_remote(offer).await?;
        let options: Option<RTCAnswerOptions> = None;
        let answer = self.pc.create_answer(options).await.map_err(Failure::at(FailedStep::Answer))?;
        self.stale = Vec::new();
        self.set_local(answer, Describing::Answer, restart).await
    }

    /// New logins at TURN servers are used from here on and not before. With any other description too the crate would renew
    /// the relays there are with them, and lose those: a relay keeps the login that it was made with
    /// ([RFC 8656 §5](https://www.rfc-editor.org/rfc/rfc8656#section-5)).
    async fn take_new_logins(&mut self) -> Result<(), Failure> {
        match self.after_restart.take() {
            Some(next) => self.pc.set_configuration(next).await.map_err(Failure::at(FailedStep::Internal)),
            None => Ok(()),
        }
    }

    /// Takes the answer to our offer.
    pub(super) async fn accept(&mut self, sdp: String) -> Result<(), Failure> {
        // RFC 3264 §6: a section for each of ours, in our order. The crate takes a part for the whole.
        let offer = self.pc.local_description().await.map(|local| local.sdp).unwrap_or_default();
        let offered = sections(&offer).len();
        let mids = |sdp: &str| sections(sdp).into_iter().map(|section| section.mid).collect::<Vec<_>>();
        if mids(&sdp) != mids(&with_refused(offer, &self.refused)) {
            let message = "the answer's sections are not the offer's".to_owned();
            return Err(Failure { step: FailedStep::RemoteDescription, message });
        }
        let sdp = if self.refused.is_empty() { sdp } else { first_sections(&sdp, offered) };
        let sdp = description_for_crate(&sdp, |target| self.tcp.paths.to_dial(target));
        let answer = RTCSessionDescription::answer(sdp).map_err(Failure::at(FailedStep::RemoteDescription))?;
        self.set_remote(answer).await
    }

    async fn set_local(
        &mut self,
        description: RTCSessionDescription,
        describing: Describing,
        restart: bool,
    ) -> Result<(), Failure> {
        // After a restart the sockets are bound anew by the driver, so which there will be is not known yet.
        let hosts = match (self.addressing.relay_only, restart) {
            (true, _) => 0,
            (false, true) => usize::MAX,
            (false, false) if self.trickle.is_some() => 0,
            (false, false) => self.watch.addresses().len(),
        };
        if restart {
            self.restarted = Some(now());
        }
        self.describing = describing;
        self.describe = false;
        self.trickle = Some(Trickle::new(hosts, now()));
        self.pc.set_local_description(description).await.map_err(Failure::at(FailedStep::LocalDescription))
    }

    async fn set_remote(&mut self, description: RTCSessionDescription) -> Result<(), Failure> {
        let hidden = hidden_candidates(&description.sdp);
        let set = self.pc.set_remote_description(description).await;
        set.map_err(Failure::at(FailedStep::RemoteDescription))?;
        self.tcp.paths.agreed(now());
        self.remote_candidates = 0;
        if self.local_names.is_some() {
            let told =
                |candidate| Candidate { candidate, sdp_mid: None, sdp_m_line_index: Some(0), username_fragment: None };
            self.add_candidates(hidden.into_iter().map(told).collect()).await;
        }
        if self.phase == Phase::Connecting {
            self.connect_by = Some(now() + CONNECT_LIMIT);
        }
        Ok(())
    }

    /// Whether our description lists all sockets that are open now: a restart binds them anew.
    pub(super) async fn lists_all_sockets(&self) -> bool {
        let Some(local) = self.local_sdp().await else { return false };
        let (listed, open) = (host_addresses(&local), self.watch.addresses());
        !open.is_empty() && open.iter().all(|address| listed.contains(address))
    }

    /// The description that is under way, to be sent.
    pub(super) async fn describe(&mut self) {
        let local = self.local_sdp().await;
        self.describe = false;
        let Some(local) = local else {
            let message = "there is no local description".to_owned();
            return self.over(LinkEvent::Failed(Failure { step: FailedStep::LocalDescription, message }));
        };
        let mid = sections(&local).into_iter().next().map(|section| section.mid);
        self.generation = (mid, ice_ufrag(&local).map(str::to_owned));
        let ips: Vec<_> = self.watch.addresses().iter().map(SocketAddr::ip).collect();
        let over_tcp = self.tcp.candidates(&local, &ips, self.addressing.public);
        let sdp = with_candidates(&for_sending(&local, self.addressing), &over_tcp);
        let sdp = with_refused(sdp, &self.refused);
        self.ready.push_back(match self.describing {
            Describing::Offer => LinkEvent::Offer(sdp),
            Describing::Answer => LinkEvent::Answer(match self.setup {
                Some(setup) => with_setup(&sdp, setup),
                None => sdp,
            }),
        });
    }

    /// The latest description of ours with the candidates of now.
    async fn local_sdp(&self) -> Option<String> {
        let local = self.pc.local_description().await?;
        let mut stale = self.stale.clone();
        let mut of_now = |line: &&str| match stale.iter().position(|gone| gone == line) {
            Some(at) => {
                // Once each: the same port may have been bound again.
                stale.swap_remove(at);
                false
            }
            None => true,
        };
        Some(local.sdp.lines().filter(&mut of_now).map(|line| format!("{line}\r\n")).collect())
    }

    /// Takes candidates of the other side. One that cannot be used is no reason to fail: others follow or came before.
    pub(super) async fn add_candidates(&mut self, candidates: Vec<Candidate>) {
        let remote = self.pc.remote_description().await;
        let ufrag = remote.and_then(|remote| ice_ufrag(&remote.sdp).map(str::to_owned));
        let current = |candidate: &Candidate| {
            // One of a generation before an ICE restart leads nowhere.
            let of_now = candidate.username_fragment.is_none() || candidate.username_fragment == ufrag;
            of_now && !candidate.candidate.is_empty()
        };
        let room = MAX_REMOTE_CANDIDATES.saturating_sub(self.remote_candidates);
        for candidate in candidates.into_iter().filter(current).take(room) {
            self.remote_candidates += 1;
            let Some(told) = for_crate(&candidate.candidate, |target| self.tcp.paths.to_dial(target)) else { continue };
            let init = RTCIceCandidateInit {
                candidate: told,
                sdp_mid: candidate.sdp_mid,
                sdp_mline_index: candidate.sdp_m_line_index,
                username_fragment: candidate.username_fragment,
                ..RTCIceCandidateInit::default()
            };
            match (&self.local_names, hidden_name(&init.candidate).map(str::to_owned)) {
                (Some(names), Some(name)) => {
                    while self.asking.try_join_next().is_some() {}
                    let (pc, names) = (Arc::clone(&self.pc), Arc::clone(names));
                    let generation = ufrag.clone();
                    let asked = async move {
                        let Some(address) = names.resolve(&name).await else { return };
                        let remote = pc.remote_description().await;
                        if remote.and_then(|remote| ice_ufrag(&remote.sdp).map(str::to_owned)) != generation {
                            return;
                        }
                        let candidate = init.candidate.replace(&name, &address.to_string());
                        add_candidate(&*pc, RTCIceCandidateInit { candidate, ..init }).await;
                    };
                    self.asking.spawn(asked.in_current_span());
                }
                _ => add_candidate(&*self.pc, init).await,
            }
        }
    }

    fn decline(&mut self, why: &str) {
        tracing::info!(why, "an offer comes to nothing");
        self.ready.push_back(LinkEvent::Declined(why.to_owned()));
    }
}

async fn add_candidate(pc: &dyn PeerConnection, candidate: RTCIceCandidateInit) {
    if let Err(error) = pc.add_ice_candidate(candidate).await {
        tracing::debug!(%error, "a candidate cannot be used");
    }
}

fn candidate_lines(sdp: &str) -> Vec<String> {
    sdp.lines().filter(|line| line.starts_with("a=candidate:")).map(str::to_owned).collect()
}
