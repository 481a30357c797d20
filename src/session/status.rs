//! Presence: what a node publishes about itself, and its last will.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::text::at_most;
use super::{BadId, Text};
use crate::media::CameraName;

/// One run of the program: 8 to 64 lower-case hex digits, random.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Boot(String);

impl Boot {
    /// The boot made of these random bits.
    pub fn from_random(bits: u64) -> Self {
        Self(format!("{bits:016x}"))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Boot {
    type Error = BadId;

    fn try_from(got: String) -> Result<Self, BadId> {
        if (8..=64).contains(&got.len()) && got.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(got))
        } else {
            Err(BadId::new("a boot", "8 to 64 lower-case hex digits", got))
        }
    }
}

impl From<Boot> for String {
    fn from(boot: Boot) -> Self {
        boot.0
    }
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The body of a `status` message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire")]
pub struct Status {
    /// Protocol versions spoken.
    pub versions: Vec<u32>,
    /// Whether the node is there.
    pub state: Presence,
    /// Its run.
    pub boot: Boot,
    /// Which of its broker connections within that run, from 1.
    pub conn: u32,
    /// For a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<0, 64>>,
    /// Its cameras; always there in `online`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cameras: Option<Vec<CameraInfo>>,
    /// Whether a token is needed; always there in `online`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessMode>,
    /// Sessions right now; only where configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewers: Option<u32>,
    /// More for a page that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_detail: Option<StateDetail>,
}

impl Status {
    /// What the broker says of connection `conn` of `boot` when it is lost.
    pub fn offline(boot: Boot, conn: u32) -> Self {
        Self {
            versions: vec![super::VERSION],
            state: Presence::Offline,
            boot,
            conn,
            name: None,
            cameras: None,
            access: None,
            viewers: None,
            state_detail: None,
        }
    }
}

/// The fields as they come in, before what belongs together is checked.
#[derive(Deserialize)]
struct Wire {
    #[serde(deserialize_with = "at_most::<16, _, _>")]
    versions: Vec<u32>,
    state: Presence,
    boot: Boot,
    conn: u32,
    name: Option<Text<0, 64>>,
    #[serde(default, deserialize_with = "cameras")]
    cameras: Option<Vec<CameraInfo>>,
    access: Option<AccessMode>,
    viewers: Option<u32>,
    state_detail: Option<StateDetail>,
}

fn cameras<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<CameraInfo>>, D::Error> {
    at_most::<64, _, D>(deserializer).map(Some)
}

impl TryFrom<Wire> for Status {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, &'static str> {
        if wire.conn == 0 {
            return Err("conn counts from 1");
        }
        if wire.versions.is_empty() {
            return Err("versions is empty");
        }
        if wire.state == Presence::Online && (wire.cameras.is_none() || wire.access.is_none()) {
            return Err("an online status says its cameras and access");
        }
        let Wire { versions, state, boot, conn, name, cameras, access, viewers, state_detail } = wire;
        Ok(Self { versions, state, boot, conn, name, cameras, access, viewers, state_detail })
    }
}

/// Whether a node is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It is.
    Online,
    /// It is not.
    Offline,
}

/// Whether a token is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessMode {
    /// Whoever reaches the broker may watch.
    Open,
    /// Only with a token.
    Token,
}

/// One camera as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraInfo {
    /// Its name.
    pub name: CameraName,
    /// Pixels a line of what viewers get.
    pub width: u16,
    /// Lines.
    pub height: u16,
    /// Frames a second, rounded.
    pub fps: u16,
}

/// `state_detail`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StateDetail {
    /// Cameras by name.
    #[serde(default, deserialize_with = "details")]
    pub cameras: BTreeMap<CameraName, CameraDetail>,
    /// What will want somebody's hand soon, each in a sentence: a certificate that is about to end.
    #[serde(default, deserialize_with = "at_most::<16, _, _>", skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Text<0, 256>>,
}

fn details<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<CameraName, CameraDetail>, D::Error> {
    let details = BTreeMap::deserialize(deserializer)?;
    if details.len() <= 64 { Ok(details) } else { Err(serde::de::Error::custom("details of more than 64 cameras")) }
}

/// How one camera is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraDetail {
    /// In one word.
    pub state: CameraState,
    /// With [`CameraState::Failed`]: what is wrong, in one word, such as `busy`. There may be others than a reader knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Text<0, 32>>,
    /// In a few more, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Text<0, 256>>,
}

/// What a camera is doing. None of these refuses a `join`: a viewer gets a card that says what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CameraState {
    /// Stopped because nobody watches; starts with the next viewer.
    Idle,
    /// Delivers pictures.
    Running,
    /// A person has shut it.
    Private,
    /// Unplugged.
    Away,
    /// There, and delivers nothing.
    Failed,
}
