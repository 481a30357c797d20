//! One message as it goes over the broker: the envelope around a body, read strictly and written in one way.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::call_message::{Call, CallResponse, Cancel, Register, Registration};
use super::message::{Answer, Empty, Ice, Join, Leave, Offer, PeerInfo, Renew, WantsRequest};
use super::{ErrorCode, Failure, Picture, SessionId, Snapshot, Status, VERSION};

/// The largest message that is read or written.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The session it belongs to; `None` for presence and registration.
    pub session: Option<SessionId>,
    /// Its place in what its sender says in that session, or the number of a request outside of any.
    pub seq: Option<u32>,
    /// The highest `seq` that its sender has received in order.
    pub ack: Option<u32>,
    /// The request it answers.
    pub re: Option<u32>,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each variant is the message of its name, documented at its body and in PROTOCOL.md")]
pub enum Body {
    Join(Join),
    Peer(PeerInfo),
    Offer(Offer),
    Answer(Answer),
    Ice(Ice),
    Leave(Leave),
    Ack(Empty),
    Error(Failure),
    Call(Call),
    Ringing(Empty),
    Cancel(Cancel),
    CallResponse(CallResponse),
    Register(Register),
    Registered(Registration),
    Unregister(Empty),
    Unregistered(Empty),
    Renew(Renew),
    Snapshot(Snapshot),
    Picture(Picture),
    Probe(Empty),
    Status(Box<Status>),
}

/// A message that cannot be read, with what is needed to answer it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.slug())]
pub struct Malformed {
    /// What to answer.
    pub code: ErrorCode,
    /// What is wrong, for the log and the other side's programmer.
    pub detail: String,
    /// The session, if that could be read.
    pub session: Option<SessionId>,
    /// The message's `seq`, if that could be read.
    pub seq: Option<u32>,
    /// Whether it must not be answered, being an error itself.
    pub is_error: bool,
}

impl Body {
    /// The `type` on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Join(_) => "join",
            Self::Peer(_) => "peer",
            Self::Offer(_) => "offer",
            Self::Answer(_) => "answer",
            Self::Ice(_) => "ice",
            Self::Leave(_) => "leave",
            Self::Ack(_) => "ack",
            Self::Error(_) => "error",
            Self::Call(_) => "call",
            Self::Ringing(_) => "ringing",
            Self::Cancel(_) => "cancel",
            Self::CallResponse(_) => "callResponse",
            Self::Register(_) => "register",
            Self::Registered(_) => "registered",
            Self::Unregister(_) => "unregister",
            Self::Unregistered(_) => "unregistered",
            Self::Renew(_) => "renew",
            Self::Snapshot(_) => "snapshot",
            Self::Picture(_) => "picture",
            Self::Probe(_) => "probe",
            Self::Status(_) => "status",
        }
    }

    /// Whether it ends the session at once, before anything that is still missing.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Leave(_) | Self::Cancel(_) | Self::CallResponse(CallResponse::Rejected(_)))
    }

    fn read(kind: &str, value: Value) -> Result<Self, (ErrorCode, String)> {
        fn body<T: DeserializeOwned>(value: Value) -> Result<T, (ErrorCode, String)> {
            serde_json::from_value(value).map_err(|error| (ErrorCode::BadMessage, error.to_string()))
        }
        Ok(match kind {
            "join" => Self::Join(body(value)?),
            "peer" => Self::Peer(body(value)?),
            "offer" => Self::Offer(body(value)?),
            "answer" => Self::Answer(body(value)?),
            "ice" => Self::Ice(body(value)?),
            "leave" => Self::Leave(body(value)?),
            "ack" => Self::Ack(body(value)?),
            "error" => Self::Error(body(value)?),
            "call" => Self::Call(body(value)?),
            "ringing" => Self::Ringing(body(value)?),
            "cancel" => Self::Cancel(body(value)?),
            "callResponse" => Self::CallResponse(body(value)?),
            "register" => Self::Register(body(value)?),
            "registered" => Self::Registered(body(value)?),
            "unregister" => Self::Unregister(body(value)?),
            "unregistered" => Self::Unregistered(body(value)?),
            "renew" => Self::Renew(body(value)?),
            "snapshot" => Self::Snapshot(body(value)?),
            "picture" => Self::Picture(body(value)?),
            "probe" => Self::Probe(body(value)?),
            "status" => Self::Status(body(value)?),
            other => return Err((ErrorCode::Unsupported, format!("unknown type {:?}", clip(other, 32)))),
        })
    }
}

impl Message {
    /// A message outside of any session.
    pub fn plain(body: Body, seq: Option<u32>, re: Option<u32>) -> Self {
        Self { session: None, seq, ack: None, re, body }
    }

    /// Reads one message.
    ///
    /// # Errors
    /// [`Malformed`] with the code that answers it.
    pub fn read(payload: &[u8]) -> Result<Self, Malformed> {
        Self::read_as(payload, None)
    }

    /// Reads what stands on a status topic, where `type` may be missing.
    ///
    /// # Errors
    /// [`Malformed`], also when it is some other message.
    pub fn read_status(payload: &[u8]) -> Result<Status, Malformed> {
        let message = Self::read_as(payload, Some("status"))?;
        match message.body {
            Body::Status(status) => Ok(*status),
            other => Err(Malformed {
                code: ErrorCode::BadMessage,
                detail: format!("a {} on the status topic", other.kind()),
                session: message.session,
                seq: message.seq,
                is_error: matches!(other, Body::Error(_)),
            }),
        }
    }

    fn read_as(payload: &[u8], default_kind: Option<&str>) -> Result<Self, Malformed> {
        let bad = |code, detail| Malformed { code, detail, session: None, seq: None, is_error: false };
        if payload.len() > MAX_MESSAGE_BYTES {
            return Err(bad(ErrorCode::BadMessage, format!("{} bytes are too many", payload.len())));
        }
        let mut value: Value = serde_json::from_slice(payload)
            .map_err(|error| bad(ErrorCode::BadMessage, format!("no JSON: {}", clip(&error.to_string(), 120))))?;
        drop_nulls(&mut value);
        let Value::Object(object) = value else {
            return Err(bad(ErrorCode::BadMessage, "not a JSON object".to_owned()));
        };
        let is_error = object.get("type").and_then(Value::as_str) == Some("error");
        let session = object.get("session").and_then(|s| serde_json::from_value(s.clone()).ok());
        let seq = object.get("seq").and_then(Value::as_u64).and_then(|seq| u32::try_from(seq).ok());
        Self::from_object(object, default_kind).map_err(|(code, detail)| Malformed {
            code,
            // The text may hold what the other side sent.
            detail: clip(&detail, 200).to_owned(),
            session,
            seq,
            is_error,
        })
    }

    fn from_object(object: Map<String, Value>, default_kind: Option<&str>) -> Result<Self, (ErrorCode, String)> {
        let bad = |detail: &str| (ErrorCode::BadMessage, detail.to_owned());
        match object.get("v").and_then(Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => return Err((ErrorCode::UnsupportedVersion, format!("version {version}"))),
            None => return Err(bad("v is not a version's number")),
        }
        let kind = match object.get("type") {
            Some(kind) => kind.as_str().ok_or_else(|| bad("type is not a string"))?.to_owned(),
            None => default_kind.ok_or_else(|| bad("type is missing"))?.to_owned(),
        };
        let session = optional::<SessionId>(&object, "session")?;
        let seq = optional::<u32>(&object, "seq")?;
        let ack = optional::<u32>(&object, "ack")?;
        let re = optional::<u32>(&object, "re")?;
        let body = Body::read(&kind, Value::Object(object))?;
        let message = Self { session, seq, ack, re, body };
        match message.missing() {
            None => Ok(message),
            Some(what) => Err((ErrorCode::BadMessage, format!("a {kind} {what}"))),
        }
    }

    /// What its type asks of its envelope and is not there.
    fn missing(&self) -> Option<&'static str> {
        let in_session = !matches!(
            self.body,
            Body::Error(_)
                | Body::Register(_)
                | Body::Registered(_)
                | Body::Unregister(_)
                | Body::Unregistered(_)
                | Body::Snapshot(_)
                | Body::Picture(_)
                | Body::Probe(_)
                | Body::Status(_)
        );
        if in_session && self.session.is_none() {
            return Some("without session");
        }
        let first = matches!(self.body, Body::Join(_) | Body::Call(_));
        let reply = matches!(
            self.body,
            Body::Answer(_) | Body::CallResponse(_) | Body::Registered(_) | Body::Unregistered(_) | Body::Picture(_)
        );
        let wants = match &self.body {
            Body::Join(join) => Some(&join.wants),
            Body::Call(call) => call.wants.as_ref(),
            Body::CallResponse(CallResponse::Accepted(acceptance)) => acceptance.wants.as_ref(),
            _ => None,
        };
        let numbered = (in_session && !matches!(self.body, Body::Ack(_)))
            || matches!(self.body, Body::Register(_) | Body::Unregister(_) | Body::Snapshot(_));
        match &self.body {
            _ if wants.is_some_and(WantsRequest::is_empty) => Some("that wants nothing"),
            Body::Ack(_) if self.ack.is_none() => Some("without ack"),
            _ if numbered && self.seq.is_none() => Some("without seq"),
            _ if first && self.seq != Some(0) => Some("whose seq is not 0"),
            _ if reply && self.re.is_none() => Some("without re"),
            _ => None,
        }
    }

    /// The message as it goes out.
    pub fn to_bytes(&self) -> Bytes {
        #[derive(Serialize)]
        struct Wire<'a> {
            v: u32,
            #[serde(rename = "type")]
            kind: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            session: Option<&'a SessionId>,
            #[serde(skip_serializing_if = "Option::is_none")]
            seq: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            ack: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            re: Option<u32>,
            #[serde(flatten)]
            body: &'a Body,
        }
        let wire = Wire {
            v: VERSION,
            kind: self.body.kind(),
            session: self.session.as_ref(),
            seq: self.seq,
            ack: self.ack,
            re: self.re,
            body: &self.body,
        };
        serde_json::to_vec(&wire).expect("bodies are plain data with text keys").into()
    }
}

fn optional<T: DeserializeOwned>(object: &Map<String, Value>, key: &str) -> Result<Option<T>, (ErrorCode, String)> {
    match object.get(key) {
        None => Ok(None),
        Some(value) => match serde_json::from_value(value.clone()) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err((ErrorCode::BadMessage, format!("{key}: {error}"))),
        },
    }
}

/// A field that is `null` is absent, at any depth. (JSON is not read deeper than 128 levels.)
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// At most `max` bytes of `text`, cut between characters.
fn clip(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}
