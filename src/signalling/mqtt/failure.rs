//! Why a broker connection failed: in words that tell a person what to look at, and when to try again.

use std::io::{self, ErrorKind};

use rumqttc::ConnectReturnCode;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

use crate::signalling::backoff::Retry;
use crate::trust::certificate_in_words;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Failure {
    /// No CONNACK in time.
    Timeout,
    /// The socket; with TLS, its error may be in there.
    Io(io::Error),
    /// The TLS handshake.
    Handshake(io::Error),
    /// A WebSocket upgrade was answered with this status.
    Http(u16),
    /// It was answered with nonsense.
    WebSocket(String),
    /// CONNACK said no.
    Refused(ConnectReturnCode),
    /// The first packet was none, or another than CONNACK.
    NotConnAck,
    /// A later one.
    Packet(rumqttc::Error),
    /// The end of the stream.
    Closed,
    /// The same, where a CONNACK should have come, from a broker that saw our certificate.
    ClosedOnCertificate,
    /// Words of their own.
    Said(String),
}

impl Failure {
    /// What a broken stream of packets says.
    pub(super) fn of_packet(error: rumqttc::Error) -> Self {
        match error {
            rumqttc::Error::Io(error) => Self::Io(error),
            error => Self::Packet(error),
        }
    }

    /// `address` is `host:port`.
    pub(super) fn in_words(&self, address: &str) -> String {
        match self {
            Self::Timeout => format!("{address} did not answer in time"),
            Self::Io(error) => io_in_words(address, error),
            Self::Handshake(error) if is_end(error.kind()) => {
                format!("{address} closed the connection in the TLS handshake: is that its TLS port?")
            }
            Self::Handshake(error) => io_in_words(address, error),
            Self::Http(status) => {
                format!("{address} refused the WebSocket with HTTP status {status}: check the path in the URL")
            }
            Self::WebSocket(error) => format!("{address} does not speak mqtt over WebSocket: {error}"),
            Self::Refused(code) => match code {
                ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                    format!("not authorised: {address} refused this client's user name, password or id")
                }
                ConnectReturnCode::BadClientId => format!("{address} refused the client id"),
                ConnectReturnCode::ServiceUnavailable => format!("{address} is not available now"),
                ConnectReturnCode::RefusedProtocolVersion => format!("{address} does not speak mqtt 3.1.1"),
                ConnectReturnCode::Success => format!("{address} closed the connection"),
            },
            Self::NotConnAck => format!("{address} does not speak mqtt"),
            Self::Packet(rumqttc::Error::PayloadSizeLimitExceeded(bytes)) => {
                format!("{address} sent a packet of {bytes} bytes, more than this client takes")
            }
            Self::Packet(error) => format!("{address} does not speak mqtt 3.1.1: {error}"),
            Self::Closed => format!("{address} closed the connection"),
            Self::ClosedOnCertificate => format!(
                "{address} closed the connection in place of an answer: it refuses this client's certificate, or what that \
                 may do (AWS IoT: a policy must allow iot:Connect for this client id)"
            ),
            Self::Said(words) => words.clone(),
        }
    }

    /// Whether the other side closed the connection, and said nothing.
    pub(super) fn is_close(&self) -> bool {
        matches!(self, Self::Closed | Self::ClosedOnCertificate)
            || matches!(self, Self::Io(error) if is_end(error.kind()))
    }

    /// Whether waiting may cure it.
    pub(super) fn retry(&self) -> Retry {
        let (Self::Handshake(error) | Self::Io(error)) = self else { return Retry::Soon };
        match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
                | CertificateError::Expired
                | CertificateError::ExpiredContext { .. },
            )) => Retry::WhenTheClockIsSet,
            Some(_) => Retry::Rarely,
            None if error.kind() == ErrorKind::ConnectionRefused => Retry::Shortly,
            None => Retry::Soon,
        }
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn is_end(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof
    )
}

fn io_in_words(address: &str, error: &io::Error) -> String {
    if let Some(error) = tls_error(error) {
        return tls_in_words(address, error);
    }
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let text = error.to_string();
    // The standard library gives getaddrinfo's failures no kind of their own.
    if text.starts_with(RESOLVER_PREFIX) {
        return format!("the name {host} cannot be resolved (DNS): {}", text.trim_start_matches(RESOLVER_PREFIX));
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => format!("{address} refused the connection: no broker listens there"),
        ErrorKind::TimedOut => format!("{address} did not answer in time"),
        kind if is_end(kind) => format!("{address} closed the connection"),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => format!("no route to {address}"),
        _ => format!("{address}: {text}"),
    }
}

fn tls_in_words(address: &str, error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(problem) => {
            certificate_in_words(address, problem, "use that name in the URL, or set server_name")
        }
        rustls::Error::AlertReceived(alert) => alert_in_words(address, *alert),
        rustls::Error::InvalidMessage(_) => format!("{address} does not speak TLS: is that its plain port?"),
        rustls::Error::PeerIncompatible(_) => {
            format!("{address} speaks no TLS that this client does (1.2 or 1.3, modern ciphers): {error}")
        }
        error => format!("{address}: TLS failed: {error}"),
    }
}

/// What the broker has against us (RFC 8446 §6.2).
fn alert_in_words(address: &str, alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            format!("{address} asks for a client certificate: set client_cert_file and client_key_file")
        }
        AlertDescription::HandshakeFailure => format!(
            "{address} refused the TLS handshake: it may ask for a client certificate (client_cert_file, client_key_file)"
        ),
        AlertDescription::CertificateExpired => {
            format!("{address} says that this client's certificate has expired: renew client_cert_file")
        }
        AlertDescription::CertificateRevoked => {
            format!("{address} says that this client's certificate was revoked: it needs a new client_cert_file")
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => format!(
            "{address} refused this client's certificate ({alert:?}): client_cert_file must come from an authority that the \
             broker trusts"
        ),
        AlertDescription::NoApplicationProtocol => {
            format!("{address} speaks none of the protocols in alpn")
        }
        AlertDescription::UnrecognisedName => {
            format!("{address} does not know the name it was asked for: check the host in the URL, or server_name")
        }
        AlertDescription::ProtocolVersion => format!("{address} speaks neither TLS 1.2 nor 1.3"),
        alert => format!("{address} ended TLS with the alert {alert:?}"),
    }
}

const RESOLVER_PREFIX: &str = "failed to lookup address information: ";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_rustls::rustls::pki_types::UnixTime;

    use super::*;

    fn day(days: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(days * 86_400))
    }

    #[test]
    fn every_common_failure_says_what_to_look_at() {
        let io = |kind| Failure::Io(io::Error::from(kind));
        let resolver = io::Error::other("failed to lookup address information: Name or service not known");
        for (failure, words) in [
            (io(ErrorKind::ConnectionRefused), "h:1 refused the connection: no broker listens there"),
            (io(ErrorKind::HostUnreachable), "no route to h:1"),
            (Failure::Io(resolver), "the name h cannot be resolved (DNS): Name or service not known"),
            (Failure::Timeout, "h:1 did not answer in time"),
            (
                Failure::Refused(ConnectReturnCode::NotAuthorized),
                "not authorised: h:1 refused this client's user name, password or id",
            ),
            (Failure::Closed, "h:1 closed the connection"),
            (io(ErrorKind::ConnectionReset), "h:1 closed the connection"),
            (
                Failure::Handshake(ErrorKind::UnexpectedEof.into()),
                "h:1 closed the connection in the TLS handshake: is that its TLS port?",
            ),
            (Failure::Http(404), "h:1 refused the WebSocket with HTTP status 404: check the path in the URL"),
        ] {
            assert_eq!(failure.in_words("h:1"), words);
            // A broker that is just being started again refuses, and is there at once.
            let refused = matches!(&failure, Failure::Io(error) if error.kind() == ErrorKind::ConnectionRefused);
            assert_eq!(failure.retry(), if refused { Retry::Shortly } else { Retry::Soon }, "{words}");
        }
    }

    #[test]
    fn a_failed_handshake_says_whose_certificate_and_what_to_do() {
        let certificate = rustls::Error::InvalidCertificate;
        let alert = rustls::Error::AlertReceived;
        #[rustfmt::skip]
        let table = [
            (certificate(CertificateError::UnknownIssuer), Retry::Rarely, "the certificate of h:1 comes from an authority that is not known here: set ca_file to its CA"),
            (
                certificate(CertificateError::NotValidForNameContext { expected: "h".try_into().expect("a name"), presented: vec!["DnsName(\"x\")".to_owned(), "IpAddress(192.0.2.1)".to_owned()] }),
                Retry::Rarely,
                "the certificate of h:1 is not for h but for x, 192.0.2.1: use that name in the URL, or set server_name",
            ),
            (
                certificate(CertificateError::ExpiredContext { time: day(20_000), not_after: day(19_782) }),
                Retry::WhenTheClockIsSet,
                "the certificate of h:1 expired on 2024-02-29, and here it is 2024-10-04: renew it, or set the clock",
            ),
            (
                certificate(CertificateError::NotValidYetContext { time: day(0), not_before: day(11_016) }),
                Retry::WhenTheClockIsSet,
                "the certificate of h:1 is valid from 2000-02-29, and here it is 1970-01-01: this machine's clock is wrong, set it (NTP)",
            ),
            (alert(AlertDescription::CertificateRequired), Retry::Rarely, "h:1 asks for a client certificate: set client_cert_file and client_key_file"),
            (
                alert(AlertDescription::UnknownCA),
                Retry::Rarely,
                "h:1 refused this client's certificate (UnknownCA): client_cert_file must come from an authority that the broker trusts",
            ),
            (alert(AlertDescription::NoApplicationProtocol), Retry::Rarely, "h:1 speaks none of the protocols in alpn"),
            (rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), Retry::Rarely, "h:1 does not speak TLS: is that its plain port?"),
        ];
        for (error, retry, words) in table {
            let failure = Failure::Handshake(io::Error::new(ErrorKind::InvalidData, error));
            assert_eq!(failure.in_words("h:1"), words);
            assert_eq!(failure.retry(), retry, "{words}");
        }
    }
}
