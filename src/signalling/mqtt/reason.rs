//! Why a broker connection failed, in words that tell a person what to look at.

use std::io::ErrorKind;

use rumqttc::{ConnectReturnCode, ConnectionError, StateError};

/// `address` is `host:port`.
pub(super) fn in_words(address: &str, error: &ConnectionError) -> String {
    match error {
        ConnectionError::Io(error) => io_in_words(address, error),
        ConnectionError::NetworkTimeout => format!("{address} did not answer in time"),
        ConnectionError::FlushTimeout => format!("{address} takes nothing any more"),
        ConnectionError::ConnectionRefused(code) => match code {
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                format!("not authorised: {address} refused this client's user name, password or id")
            }
            ConnectReturnCode::BadClientId => format!("{address} refused the client id"),
            ConnectReturnCode::ServiceUnavailable => format!("{address} is not available now"),
            ConnectReturnCode::RefusedProtocolVersion => format!("{address} does not speak mqtt 3.1.1"),
            ConnectReturnCode::Success => format!("{address} closed the connection"),
        },
        ConnectionError::NotConnAck(_) => format!("{address} does not speak mqtt"),
        ConnectionError::MqttState(state) => match state {
            StateError::ConnectionAborted => format!("{address} closed the connection"),
            StateError::AwaitPingResp => format!("{address} stopped answering"),
            StateError::CollisionTimeout => format!("{address} did not acknowledge a message"),
            StateError::Io(error) => io_in_words(address, error),
            StateError::Deserialization(rumqttc::Error::Io(error)) => io_in_words(address, error),
            StateError::Deserialization(rumqttc::Error::PayloadSizeLimitExceeded(bytes)) => {
                format!("{address} sent a packet of {bytes} bytes, more than this client takes")
            }
            StateError::Deserialization(error) => format!("{address} does not speak mqtt 3.1.1: {error}"),
            other => format!("{address} broke the protocol: {other}"),
        },
        ConnectionError::RequestsDone => "the mqtt client ended".to_owned(),
    }
}

fn io_in_words(address: &str, error: &std::io::Error) -> String {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let text = error.to_string();
    // The standard library gives getaddrinfo's failures no kind of their own.
    if text.starts_with(RESOLVER_PREFIX) || text.contains("could not resolve") {
        return format!("the name {host} cannot be resolved (DNS): {}", text.trim_start_matches(RESOLVER_PREFIX));
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => format!("{address} refused the connection: no broker listens there"),
        ErrorKind::TimedOut => format!("{address} did not answer in time"),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => {
            format!("{address} closed the connection")
        }
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => format!("no route to {address}"),
        _ => format!("{address}: {text}"),
    }
}

/// Before CONNACK: false when the broker surely has not accepted, so that it holds no will with this number.
pub(super) fn may_have_been_accepted(error: &ConnectionError) -> bool {
    match error {
        ConnectionError::ConnectionRefused(_) | ConnectionError::NotConnAck(_) => false,
        ConnectionError::Io(error) => !matches!(
            error.kind(),
            ErrorKind::ConnectionRefused | ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable
        ),
        _ => true,
    }
}

const RESOLVER_PREFIX: &str = "failed to lookup address information: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_common_failure_says_what_to_look_at() {
        let io = |kind| ConnectionError::Io(std::io::Error::from(kind));
        let resolver = std::io::Error::other("failed to lookup address information: Name or service not known");
        for (error, words) in [
            (io(ErrorKind::ConnectionRefused), "h:1 refused the connection: no broker listens there"),
            (io(ErrorKind::HostUnreachable), "no route to h:1"),
            (ConnectionError::Io(resolver), "the name h cannot be resolved (DNS): Name or service not known"),
            (ConnectionError::NetworkTimeout, "h:1 did not answer in time"),
            (
                ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized),
                "not authorised: h:1 refused this client's user name, password or id",
            ),
            (ConnectionError::MqttState(StateError::ConnectionAborted), "h:1 closed the connection"),
            (ConnectionError::MqttState(StateError::AwaitPingResp), "h:1 stopped answering"),
        ] {
            assert_eq!(in_words("h:1", &error), words);
        }
    }
}
