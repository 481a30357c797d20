//! What the messages of calls and registrations say: one struct each, limits in the types.

use serde::{Deserialize, Deserializer, Serialize};

use super::message::{Nonce, Sdp, Token, WantsRequest, mids};
use super::{Mids, PeerId, Text};

/// `call`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The caller's offer, which the callee may answer; if it does not, the node offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp: Option<Sdp>,
    /// Who calls: the topic's peer, or the node.
    pub from: PeerId,
    /// What the call is to carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wants: Option<WantsRequest>,
    /// Proof of the right to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// The caller's random text.
    pub nonce: Nonce,
}

/// `cancel`: the caller gave up, or the node has hung up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Why.
    pub reason: CancelReason,
}

/// Why a caller gives up; the node hangs up with [`CancelReason::Closed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CancelReason {
    /// The person hung up.
    Closed,
    /// Nobody answered in time.
    Timeout,
    /// Somebody else has answered, or the callee has called by itself.
    Answered,
    /// The caller's own side failed.
    Failed,
}

/// `callResponse`; its `re` names the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "lowercase")]
pub enum CallResponse {
    /// Somebody takes the call.
    Accepted(Acceptance),
    /// Nobody does.
    Rejected(Rejection),
}

/// `callResponse` `accepted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// The answer to the call's offer, if there was one; without it the node offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp: Option<Sdp>,
    /// What the answer's media sections carry.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "mids_if_any")]
    pub mids: Option<Mids>,
    /// The callee's random text.
    pub nonce: Nonce,
    /// Of a peer: what the session is to carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wants: Option<WantsRequest>,
    /// Of a peer: proof of the right to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
}

fn mids_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Mids>, D::Error> {
    #[derive(Deserialize)]
    struct Wire(#[serde(deserialize_with = "mids")] Mids);
    Ok(Option::<Wire>::deserialize(deserializer)?.map(|Wire(mids)| mids))
}

/// `callResponse` `rejected`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// Why, in one word.
    pub reason: RejectReason,
    /// Number of an [`ErrorCode`](super::ErrorCode) that says it more exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// For a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Text<0, 512>>,
    /// Seconds to wait before calling again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

/// Why a call is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RejectReason {
    /// In another call.
    Busy,
    /// A person said no.
    Declined,
    /// Nobody answered.
    Timeout,
    /// The caller may not.
    NotAllowed,
    /// Calls are not taken here.
    Unsupported,
}

/// `register`: a peer wants to be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The name to be called by.
    pub name: Text<1, 64>,
    /// For how many seconds, 1 to 3600.
    pub ttl: crate::media::Bounded<1, 3600>,
    /// Proof of the right to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
}

/// `registered`: what a `register` got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The name to be called by.
    pub name: Text<1, 64>,
    /// For how many seconds, 1 to 3600; no more than was asked for.
    pub ttl: crate::media::Bounded<1, 3600>,
}
