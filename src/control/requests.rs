//! The requests of one `control` channel: read, checked, counted, answered.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::{ControlError, ErrorCode};
use super::method::{Command, Method};
use crate::access::Scopes;

/// Requests of one channel that may wait for their answers.
pub const MAX_IN_FLIGHT: usize = 8;

/// The longest reply; what a data channel's message may have.
pub const MAX_REPLY_BYTES: usize = 16_384;

/// The longest text that names a request, in characters.
const MAX_ID_CHARS: usize = 64;

/// What one channel has asked for and not been answered yet.
#[derive(Debug, Default)]
pub struct Requests {
    in_flight: usize,
}

/// Names a request that is being done. Given back with its result.
#[derive(Debug, PartialEq)]
pub struct Ticket(Id);

/// What follows from a message.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Send this.
    Reply(String),
    /// Do this, then [`Requests::done`].
    Do(Ticket, Command),
}

/// A request's name, chosen by the viewer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
struct Request {
    id: Id,
    method: String,
    #[serde(default)]
    params: Option<Value>,
}

impl Requests {
    /// A message of a viewer that may do what `scopes` say.
    pub fn receive(&mut self, message: &[u8], scopes: Scopes) -> Step {
        // As a whole first: what stands beside the request must be JSON, too.
        let value = match serde_json::from_slice::<Value>(message) {
            Ok(value) => value,
            Err(error) => return Step::Reply(refusal(None, &bad(&format!("this is no request: {error}")))),
        };
        let request = match Request::deserialize(&value) {
            Ok(request) if !request.id.is_long() => request,
            Ok(_) => return Step::Reply(refusal(None, &bad(&format!("an id has {MAX_ID_CHARS} characters at most")))),
            Err(error) => {
                // Whoever reads the answer should at least know to what it is one.
                let id = value.get("id").and_then(|id| Id::deserialize(id).ok()).filter(|id| !id.is_long());
                return Step::Reply(refusal(id.as_ref(), &bad(&format!("this is no request: {error}"))));
            }
        };
        match self.command(&request.method, request.params, scopes) {
            Ok(command) => {
                self.in_flight += 1;
                Step::Do(Ticket(request.id), command)
            }
            Err(error) => Step::Reply(refusal(Some(&request.id), &error)),
        }
    }

    fn command(&self, method: &str, params: Option<Value>, scopes: Scopes) -> Result<Command, ControlError> {
        let method = Method::named(method).ok_or_else(|| {
            let method: String = method.chars().take(64).collect();
            ControlError::new(ErrorCode::Unsupported, format!("there is no method {method:?}; `describe` lists them"))
        })?;
        // Before anything is told of what there is.
        if !scopes.cover(Scopes::from_iter([method.scope()])) {
            let (name, scope) = (method.name(), method.scope());
            return Err(ControlError::new(ErrorCode::NotAllowed, format!("{name} needs the scope {scope}")));
        }
        if self.in_flight >= MAX_IN_FLIGHT {
            let message = format!("{MAX_IN_FLIGHT} requests wait for their answers already");
            return Err(ControlError::new(ErrorCode::Busy, message));
        }
        method.command(params.unwrap_or_else(|| json!({})))
    }

    /// What to send for a request that has been done, or could not be.
    pub fn done(&mut self, ticket: Ticket, result: Result<Value, ControlError>) -> String {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Ticket(id) = ticket;
        match result {
            Ok(result) => {
                let reply = json!({"id": id, "result": result}).to_string();
                if reply.len() <= MAX_REPLY_BYTES {
                    return reply;
                }
                let message = format!("the answer has {} bytes, and {MAX_REPLY_BYTES} are allowed", reply.len());
                refusal(Some(&id), &ControlError::new(ErrorCode::Internal, message))
            }
            Err(error) => refusal(Some(&id), &error),
        }
    }
}

impl Id {
    fn is_long(&self) -> bool {
        matches!(self, Self::Text(text) if text.chars().count() > MAX_ID_CHARS)
    }
}

/// Something the viewer has not asked for.
pub fn event(name: &str, params: &Value) -> String {
    json!({"event": name, "params": params}).to_string()
}

fn refusal(id: Option<&Id>, error: &ControlError) -> String {
    json!({"id": id, "error": error}).to_string()
}

fn bad(message: &str) -> ControlError {
    ControlError::new(ErrorCode::BadMessage, message)
}

#[cfg(test)]
mod tests {
    use super::super::method::SettingsChange;
    use super::*;
    use crate::access::Scope;
    use crate::media::CameraName;

    fn camera() -> CameraName {
        "main".to_owned().try_into().expect("letters only")
    }

    /// A good request of each method.
    fn examples() -> [(Method, Value, Command); 9] {
        let of = json!({"camera": "main"});
        let with = |name: &str, value: Value| {
            let mut params = of.clone();
            params[name] = value;
            params
        };
        let change = SettingsChange { fps: Some(15), ..SettingsChange::default() };
        [
            (Method::Describe, json!({}), Command::Describe),
            (Method::Controls, with("after", json!(9)), Command::Controls { camera: camera(), after: 9 }),
            (
                Method::SetControl,
                json!({"camera": "main", "id": 7, "value": true}),
                Command::SetControl { camera: camera(), id: 7, value: Some(1) },
            ),
            (Method::Settings, of.clone(), Command::Settings { camera: camera() }),
            (Method::SetSettings, with("fps", json!(15)), Command::SetSettings { camera: camera(), change }),
            (Method::KeyFrame, of.clone(), Command::KeyFrame { camera: camera() }),
            (Method::Mute, with("muted", json!(true)), Command::Mute { camera: camera(), muted: true }),
            (Method::Privacy, with("on", json!(true)), Command::Privacy { camera: camera(), private: true }),
            (Method::Restart, json!({}), Command::Restart),
        ]
    }

    fn request(method: &str, params: &Value) -> Vec<u8> {
        json!({"id": 1, "method": method, "params": params}).to_string().into_bytes()
    }

    fn code_of(step: &Step) -> (Value, u64) {
        let Step::Reply(reply) = step else { panic!("not refused: {step:?}") };
        let reply: Value = serde_json::from_str(reply).expect("JSON");
        (reply["id"].clone(), reply["error"]["code"].as_u64().unwrap_or_else(|| panic!("{reply}")))
    }

    #[test]
    fn each_method_is_read_and_answered_under_its_requests_name() {
        assert_eq!(examples().map(|(method, ..)| method), Method::ALL);
        for (method, params, command) in examples() {
            let mut requests = Requests::default();
            let step = requests.receive(&request(method.name(), &params), Scopes::ALL);
            let Step::Do(ticket, done) = step else { panic!("{step:?}") };
            assert_eq!(done, command);
            assert_eq!(requests.done(ticket, Ok(json!({"a": 1}))), r#"{"id":1,"result":{"a":1}}"#);
        }
    }

    #[test]
    fn each_method_is_refused_for_each_scope_that_is_missing() {
        for (method, params, _) in examples() {
            for scope in Scope::ALL {
                let others = Scope::ALL.into_iter().filter(|other| *other != scope).collect();
                let step = Requests::default().receive(&request(method.name(), &params), others);
                if scope == method.scope() {
                    assert_eq!(code_of(&step), (json!(1), 20), "{} without {scope}", method.name());
                } else {
                    assert!(matches!(step, Step::Do(..)), "{} does not need {scope}: {step:?}", method.name());
                }
            }
            let step = Requests::default().receive(&request(method.name(), &params), Scopes::NONE);
            assert_eq!(code_of(&step), (json!(1), 20));
        }
    }

    #[test]
    fn what_is_no_request_is_answered_and_never_counted() {
        let long = "x".repeat(65);
        let cases: Vec<(String, Value, u64)> = vec![
            (String::new(), Value::Null, 10),
            ("junk".to_owned(), Value::Null, 10),
            ("[]".to_owned(), Value::Null, 10),
            ("{}".to_owned(), Value::Null, 10),
            (json!({"id": 3}).to_string(), json!(3), 10),
            (json!({"id": "a", "method": 7}).to_string(), json!("a"), 10),
            (json!({"id": -1, "method": "describe"}).to_string(), Value::Null, 10),
            (json!({"id": 1.5, "method": "describe"}).to_string(), Value::Null, 10),
            (json!({"id": long, "method": "describe"}).to_string(), Value::Null, 10),
            (json!({"id": 1, "method": "reboot"}).to_string(), json!(1), 12),
            (json!({"id": 1, "method": "camera.settings"}).to_string(), json!(1), 10),
            (json!({"id": 1, "method": "camera.settings", "params": []}).to_string(), json!(1), 10),
            (json!({"id": 1, "method": "camera.settings", "params": {"camera": "../x"}}).to_string(), json!(1), 10),
            (
                json!({"id": 1, "method": "camera.privacy", "params": {"camera": "main", "on": 1}}).to_string(),
                json!(1),
                10,
            ),
            (json!({"id": 1, "method": "camera.setSettings", "params": {"camera": "main"}}).to_string(), json!(1), 10),
            (
                json!({"id": 1, "method": "camera.setSettings", "params": {"camera": "main", "fps": -1}}).to_string(),
                json!(1),
                10,
            ),
            (
                json!({"id": 1, "method": "camera.setControl", "params": {"camera": "main", "id": 1, "value": 1e300}})
                    .to_string(),
                json!(1),
                10,
            ),
        ];
        let mut requests = Requests::default();
        for (message, id, code) in cases {
            assert_eq!(code_of(&requests.receive(message.as_bytes(), Scopes::ALL)), (id, code), "{message}");
        }
        assert_eq!(code_of(&requests.receive(&[0xff, 0xfe], Scopes::ALL)), (Value::Null, 10));
        assert_eq!(requests.in_flight, 0);
    }

    #[test]
    fn one_request_too_many_is_refused_until_another_is_done() {
        let mut requests = Requests::default();
        let describe = request("describe", &json!({}));
        let mut tickets: Vec<Ticket> = (0..MAX_IN_FLIGHT)
            .map(|_| match requests.receive(&describe, Scopes::ALL) {
                Step::Do(ticket, _) => ticket,
                refused => panic!("{refused:?}"),
            })
            .collect();
        assert_eq!(code_of(&requests.receive(&describe, Scopes::ALL)), (json!(1), 25));
        requests.done(tickets.pop().expect("eight"), Ok(json!({})));
        assert!(matches!(requests.receive(&describe, Scopes::ALL), Step::Do(..)));
    }

    #[test]
    fn an_answer_that_is_too_long_is_an_error_and_an_error_is_never_too_long() {
        let mut requests = Requests::default();
        let Step::Do(ticket, _) = requests.receive(&request("describe", &json!({})), Scopes::ALL) else { panic!() };
        let reply = requests.done(ticket, Ok(json!("x".repeat(MAX_REPLY_BYTES))));
        assert_eq!(code_of(&Step::Reply(reply)), (json!(1), 59));
        let step = requests.receive(&request(&"\u{1}".repeat(5_000), &json!({})), Scopes::ALL);
        let Step::Reply(reply) = &step else { panic!() };
        assert!(reply.len() < MAX_REPLY_BYTES, "{}", reply.len());
    }

    #[test]
    fn the_golden_requests_are_ones_of_every_method() {
        let golden: Vec<Value> =
            serde_json::from_str(include_str!("../session/golden/control/requests.json")).expect("JSON");
        for request in &golden {
            let step = Requests::default().receive(request.to_string().as_bytes(), Scopes::ALL);
            let Step::Do(ticket, _) = step else { panic!("{request}: {step:?}") };
            assert_eq!(json!(ticket.0), request["id"]);
        }
        for method in Method::ALL {
            assert!(golden.iter().any(|request| request["method"] == method.name()), "{}", method.name());
        }
    }

    #[test]
    fn the_reference_has_each_method_with_its_scope() {
        let reference = include_str!("../session/PROTOCOL.md");
        for method in Method::ALL {
            let (name, scope) = (method.name(), method.scope());
            let row = reference.lines().find(|line| line.starts_with(&format!("| `{name}` | `{scope}` | ")));
            assert!(row.is_some(), "{name} with {scope}");
        }
    }
}
