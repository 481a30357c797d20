//! What viewers say on the channels `control`, `snapshot` and `files`, and what local programs say on their sockets.

use serde_json::Value;

use crate::access::{Scope, Scopes};
use crate::control::app::{message, packet};
use crate::control::{
    ControlError, ErrorCode, FileInfo, FileRequest, MAX_IN_FLIGHT, MAX_REPLY_BYTES, Method, Requests, Step,
    StillRequest, listing, read_request, refusal,
};

/// The first byte says what the viewer may do, each line after it is a message, every third is answered at once: nothing is
/// done without the right to it, no more at once than is allowed, and each answer is one that fits. The whole is a program's
/// packet as well. As requests for files the lines lead out of no folder.
pub fn control(bytes: &[u8]) {
    if let Ok((text, data)) = message(bytes) {
        assert_eq!(packet(text, data), bytes);
    }
    let Some((&bits, rest)) = bytes.split_first() else { return };
    let scopes: Scopes = Scope::ALL.into_iter().filter(|scope| bits >> *scope as u8 & 1 == 1).collect();
    let (mut requests, mut open) = (Requests::default(), Vec::new());
    for (n, line) in rest.split(|byte| *byte == b'\n').enumerate() {
        transfer(line);
        match requests.receive(line, scopes) {
            Step::Reply(reply) => assert_answers(&reply, "error"),
            Step::Do(ticket, _) => {
                let request: Value = serde_json::from_slice(line).expect("it was read");
                let method = request["method"].as_str().and_then(Method::named).expect("it is known");
                assert!(scopes.cover(Scopes::from_iter([method.scope()])));
                open.push(ticket);
                assert!(open.len() <= MAX_IN_FLIGHT);
            }
        }
        if n % 3 == 2
            && let Some(ticket) = open.pop()
        {
            let (result, field) = match bits & 0x10 {
                0 => (Ok(Value::String("x".repeat(line.len()))), "result"),
                _ => (Err(ControlError::new(ErrorCode::Internal, String::from_utf8_lossy(line))), "error"),
            };
            assert_answers(&requests.done(ticket, result), field);
        }
    }
}

fn transfer(line: &[u8]) {
    if let Err(why) = read_request::<StillRequest>(line) {
        assert!(refusal(&why).len() <= MAX_REPLY_BYTES);
    }
    let name = match read_request::<FileRequest>(line) {
        Ok(
            FileRequest::Fetch { name, .. } | FileRequest::Delete { name } | FileRequest::List { after: Some(name) },
        ) => name,
        Ok(FileRequest::List { after: None }) => return,
        Err(why) => return assert!(refusal(&why).len() <= MAX_REPLY_BYTES),
    };
    let path = std::path::Path::new(name.as_str());
    let parts: Vec<_> = path.components().collect();
    assert!(matches!(parts[..], [std::path::Component::Normal(part)] if part == name.as_str()), "{path:?}");
    let many = (0..100).map(|bytes| FileInfo { name: name.clone(), bytes, modified: 0 }).collect();
    assert!(listing(many, None).len() <= MAX_REPLY_BYTES);
}

fn assert_answers(reply: &str, field: &str) {
    assert!(reply.len() <= MAX_REPLY_BYTES);
    let reply: Value = serde_json::from_str(reply).expect("JSON");
    // One that is too long is an error in place of a result.
    assert!(reply.get("id").is_some() && (reply.get(field).is_some() || reply.get("error").is_some()));
}
