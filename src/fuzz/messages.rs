//! One message, one status, one topic.

use crate::session::{
    Body, Failure, MAX_MESSAGE_BYTES, Malformed, Message, NodeId, PeerId, SessionId, Topic, TopicPrefix, Topics,
};

/// A message is read, or answered by an error that can be read; what was read is written so that it reads the same.
pub fn message(bytes: &[u8]) {
    match Message::read(bytes) {
        Ok(message) => assert_reads_back(&message),
        Err(malformed) => assert_can_be_answered(&malformed),
    }
}

/// The same for what stands on a status topic.
pub fn status(bytes: &[u8]) {
    match Message::read_status(bytes) {
        Ok(status) => {
            let written = Message::plain(Body::Status(Box::new(status.clone())), None, None).to_bytes();
            if written.len() <= MAX_MESSAGE_BYTES {
                assert_eq!(Message::read_status(&written), Ok(status));
            }
        }
        Err(malformed) => assert_can_be_answered(&malformed),
    }
}

/// Ids, prefixes and topics are what MQTT allows, and are written as they were read.
pub fn topic(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (text, prefix) = text.split_once('\n').unwrap_or((text, "cn"));
    let is_plain = |text: &str| !text.is_empty() && !text.contains(['+', '#', '/', '\0', '$', ' ']);
    if let Ok(peer) = text.parse::<PeerId>() {
        assert!(is_plain(peer.as_str()) && peer.as_str() == text && text.len() <= 64);
    }
    if let Ok(session) = serde_json::from_value::<SessionId>(text.into()) {
        assert!(session.as_str() == text && text.len() == 32);
    }
    let Ok(prefix) = prefix.parse::<TopicPrefix>() else { return };
    assert!(prefix.as_str().split('/').all(is_plain));
    let node: NodeId = "node".parse().expect("a node id");
    let topics = Topics::new(&prefix, &node);
    let written = match topics.parse(text) {
        None => return,
        Some(Topic::Status) => topics.status(),
        Some(Topic::In(peer)) => topics.to_node(&peer),
        Some(Topic::Out(peer)) => topics.to_peer(&peer),
    };
    assert_eq!(written, text);
    // AWS IoT Core allows seven slashes and 256 bytes.
    assert!(text.matches('/').count() <= 7 && text.len() <= 256);
}

fn assert_reads_back(message: &Message) {
    let written = message.to_bytes();
    if written.len() <= MAX_MESSAGE_BYTES {
        assert_eq!(Message::read(&written).as_ref(), Ok(message));
    }
}

fn assert_can_be_answered(malformed: &Malformed) {
    assert!(malformed.detail.len() <= 200, "a long text goes into logs");
    let failure = Failure::with_message(malformed.code, &malformed.detail);
    let (session, re) = (malformed.session.clone(), malformed.seq);
    assert_reads_back(&Message { session, seq: None, ack: None, re, body: Body::Error(failure) });
}

/// What is published can be read by whoever it is for.
pub(super) fn assert_can_be_heard(payload: &[u8]) {
    if let Err(malformed) = Message::read(payload) {
        panic!("{malformed}: {}", String::from_utf8_lossy(payload));
    }
}
