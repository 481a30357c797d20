//! The [rules](TopicRules) of who may do what, as the crate asks for them.

use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use mqtt5::Result;
use mqtt5::broker::{AuthProvider, AuthResult};
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;
use tracing::debug;

use super::refused::Refused;
use crate::signalling::rights::{Client, Refusal, TopicRules};

/// Asks the rules, and counts whom they refuse.
pub(super) struct Gate {
    /// Who may do what.
    pub(super) rules: TopicRules,
    /// Who may not be here.
    pub(super) refused: Arc<Refused>,
}

impl AuthProvider for Gate {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        client_addr: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = Result<AuthResult>> + Send + 'a>> {
        let result = match self.rules.refusal(&client(connect)) {
            // The user is the client id, so that the crate ties a session to it.
            None => AuthResult::success_with_user(connect.client_id.as_str()),
            Some(refusal) => {
                debug!(%client_addr, ?refusal, "embedded broker refused a client");
                self.refused.count(in_words(refusal), &connect.client_id);
                AuthResult::fail(ReasonCode::NotAuthorized)
            }
        };
        Box::pin(ready(Ok(result)))
    }

    fn authorize_publish<'a>(
        &'a self,
        client_id: &str,
        _user_id: Option<&'a str>,
        topic: &'a str,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(ready(self.rules.may_publish(client_id, topic)))
    }

    fn authorize_subscribe<'a>(
        &'a self,
        client_id: &str,
        _user_id: Option<&'a str>,
        topic_filter: &'a str,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(ready(self.rules.may_subscribe(client_id, topic_filter)))
    }
}

fn in_words(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Name => "not a client id of this protocol",
        Refusal::Password => "no or a wrong password",
        Refusal::Will => "another's last will",
    }
}

fn client(connect: &ConnectPacket) -> Client<'_> {
    Client {
        id: &connect.client_id,
        username: connect.username.as_deref(),
        password: connect.password.as_deref(),
        will: connect.will.as_ref().map(|will| will.topic.as_str()),
    }
}
