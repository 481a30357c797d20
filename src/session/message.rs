//! What the messages of the session flow say: one struct each, limits in the types.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::at_most;
use super::{Candidate, IceServer, Mids, Text, Wants};
use crate::media::CameraName;

/// An SDP; the message's own limit is stricter for text beyond ASCII.
pub type Sdp = Text<1, 65_536>;
/// Random text of one side, reserved for proofs of identity.
pub type Nonce = Text<1, 128>;
/// An access token.
pub type Token = Text<1, 8_192>;

/// `join`: a peer starts a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// What the session is to carry.
    pub wants: WantsRequest,
    /// Proof of the right to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// The peer's random text.
    pub nonce: Nonce,
}

/// What a peer asks for: not yet held against the cameras there are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WantsRequest {
    /// Pictures.
    #[serde(default, skip_serializing_if = "CameraChoice::is_none")]
    pub video: CameraChoice,
    /// Sound.
    #[serde(default, skip_serializing_if = "CameraChoice::is_none")]
    pub audio: CameraChoice,
    /// To be heard at the camera.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub talk: bool,
    /// Labels of the data channels that the node is to open.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "at_most::<16, _, _>")]
    pub channels: Vec<Text<1, 64>>,
}

impl WantsRequest {
    /// Whether nothing at all is asked for.
    pub fn is_empty(&self) -> bool {
        self.video.is_none() && self.audio.is_none() && !self.talk && self.channels.is_empty()
    }

    /// The cameras by name, given those there are. `audio: true` is the sound of the cameras whose picture is wanted,
    /// or of all of them when none is.
    ///
    /// # Errors
    /// The first name that is no camera's.
    pub fn resolve(&self, cameras: &[CameraName]) -> Result<Wants, CameraName> {
        let named = |choice: &CameraChoice, all: &[CameraName]| match choice {
            CameraChoice::All => Ok(all.to_vec()),
            CameraChoice::Named(names) => {
                let mut found = Vec::new();
                for name in names {
                    if !cameras.contains(name) {
                        return Err(name.clone());
                    }
                    if !found.contains(name) {
                        found.push(name.clone());
                    }
                }
                Ok(found)
            }
        };
        let video = named(&self.video, cameras)?;
        let audio = named(&self.audio, if video.is_empty() { cameras } else { &video })?;
        let mut channels: Vec<String> = Vec::new();
        for label in self.channels.iter().map(Text::as_str) {
            // A label that nobody knows is a wish that cannot be granted, and no error.
            if is_channel(label) && !channels.iter().any(|known| known == label) {
                channels.push(label.to_owned());
            }
        }
        // At the cameras that it sees or hears; at all of them, if it wants neither.
        let near = [&video, &audio].into_iter().find(|names| !names.is_empty());
        let talk = if self.talk { near.map_or(cameras, Vec::as_slice).to_vec() } else { Vec::new() };
        Ok(Wants { video, audio, talk, channels })
    }
}

/// The data channels there are: the first two are opened by the node, the others by the peer.
fn is_channel(label: &str) -> bool {
    matches!(label, "control" | "telemetry" | "snapshot" | "files") || is_app_channel(label)
}

/// Whether a program beside the node is at the other end.
pub(super) fn is_app_channel(label: &str) -> bool {
    label.starts_with("app:")
}

/// `true`, `false` or a list of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CameraChoice {
    /// `true`.
    All,
    /// These; `false` is the empty list.
    Named(Vec<CameraName>),
}

impl CameraChoice {
    /// Whether it chooses no camera.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Named(names) if names.is_empty())
    }
}

impl Default for CameraChoice {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl Serialize for CameraChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_bool(true),
            Self::Named(names) if names.is_empty() => serializer.serialize_bool(false),
            Self::Named(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for CameraChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "true, false or a list of camera names was expected")]
        enum Wire {
            Flag(bool),
            Names(#[serde(deserialize_with = "at_most::<16, _, _>")] Vec<CameraName>),
        }
        Ok(match Wire::deserialize(deserializer)? {
            Wire::Flag(true) => Self::All,
            Wire::Flag(false) => Self::default(),
            Wire::Names(names) => Self::Named(names),
        })
    }
}

/// `peer`: who the node is, and by which servers it can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerInfo {
    /// For the peer's own `RTCPeerConnection`.
    #[serde(deserialize_with = "ice_servers")]
    pub ice_servers: Vec<IceServer>,
    /// Who the node is.
    pub node: NodeInfo,
    /// The node's random text.
    pub nonce: Nonce,
    /// Seconds until the servers' credentials end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u32>,
}

/// A node as it introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// For a person.
    pub name: Text<0, 64>,
    /// This run of the program.
    pub boot: super::Boot,
    /// Of the program.
    pub version: Text<1, 64>,
    /// Reserved for proofs of identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text<1, 1024>>,
}

/// Servers as a browser would take them: `urls` may be a string, unknown fields are ignored.
fn ice_servers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IceServer>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "urls is a string or a list of 1 to 8 strings")]
    enum Urls {
        One(Text<1, 512>),
        Many(#[serde(deserialize_with = "at_most::<8, _, _>")] Vec<Text<1, 512>>),
    }
    #[derive(Deserialize)]
    struct Wire {
        urls: Urls,
        username: Option<Text<0, 512>>,
        credential: Option<Text<0, 512>>,
    }
    at_most::<16, Wire, D>(deserializer)?
        .into_iter()
        .map(|server| {
            let urls: Vec<String> = match server.urls {
                Urls::One(url) => vec![url.into()],
                Urls::Many(urls) => urls.into_iter().map(String::from).collect(),
            };
            if urls.is_empty() {
                return Err(serde::de::Error::custom("an ICE server without urls"));
            }
            let text = |text: Option<Text<0, 512>>| text.map(String::from);
            Ok(IceServer { urls, username: text(server.username), credential: text(server.credential) })
        })
        .collect()
}

/// `offer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The description.
    pub sdp: Sdp,
    /// What its media sections carry.
    #[serde(deserialize_with = "mids")]
    pub mids: Mids,
}

pub(super) fn mids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mids, D::Error> {
    let mids = Mids::deserialize(deserializer)?;
    if mids.len() <= 64 { Ok(mids) } else { Err(serde::de::Error::custom("more than 64 media sections")) }
}

/// `answer`; its `re` names the offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The description.
    pub sdp: Sdp,
}

/// `ice`: candidates found after the description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ice {
    /// The candidates.
    #[serde(deserialize_with = "candidates")]
    pub candidates: Vec<Candidate>,
    /// No more will come in this generation.
    pub complete: bool,
}

/// Candidates in one `ice` message at most.
pub(super) const MAX_CANDIDATES: usize = 64;

fn candidates<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Candidate>, D::Error> {
    let list = at_most::<MAX_CANDIDATES, Candidate, D>(deserializer)?;
    let fits = |c: &Candidate| {
        let longer = |text: &Option<String>, max| text.as_ref().is_some_and(|t| t.chars().count() > max);
        c.candidate.chars().count() <= 1024 && !longer(&c.sdp_mid, 64) && !longer(&c.username_fragment, 256)
    };
    if list.iter().all(fits) { Ok(list) } else { Err(serde::de::Error::custom("a candidate is too long")) }
}

/// `leave`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    /// Why.
    pub reason: LeaveReason,
}

/// Why a side leaves a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaveReason {
    /// It is done.
    Closed,
    /// The same peer has started another session.
    Replaced,
    /// The right to it has ended.
    Expired,
    /// A limit on its length or cost is reached.
    Limit,
    /// The program ends.
    Shutdown,
    /// It cannot go on.
    Failed,
}

/// A message that says all by its type: `ack`, `ringing`, `unregister`, `unregistered`, `probe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// `renew`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renew {
    /// The new token.
    pub token: Token,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_heard_at_the_cameras_that_it_sees_or_hears_or_else_at_all() {
        let name = |name: &str| CameraName::try_from(name.to_owned()).expect("a valid name");
        let cameras = [name("front"), name("back")];
        for (wants, heard) in [
            (r#"{"talk":true}"#, &cameras[..]),
            (r#"{"talk":true,"video":["back"]}"#, &cameras[1..]),
            (r#"{"talk":true,"audio":["front"]}"#, &cameras[..1]),
            (r#"{"talk":true,"video":["back"],"audio":["front"]}"#, &cameras[1..]),
            (r#"{"video":true,"audio":true}"#, &[]),
        ] {
            let asked: WantsRequest = serde_json::from_str(wants).expect("valid");
            assert_eq!(asked.resolve(&cameras).expect("there are such cameras").talk, heard, "{wants}");
        }
    }
}
