//! The TLS side of an endpoint: the files of the config, read once, made into what a handshake needs.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig};

use crate::signalling::config::{Alpn, Broker};
use crate::trust::{self, TrustError};

/// Ready for handshakes with one broker.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    /// Authorities, our certificate, ALPN.
    pub config: Arc<ClientConfig>,
    /// Asked for (SNI), and looked for in the certificate.
    pub server_name: ServerName<'static>,
    /// We have a certificate that the broker may refuse.
    pub has_certificate: bool,
}

/// Why no handshake can even be tried.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of certificates, or the key's, cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The key is another's, or of a kind that is not supported.
    #[error("client_cert_file {} and client_key_file {} do not go together: {source}", cert.display(), key.display())]
    Pair {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// One without the other.
    #[error("client_cert_file and client_key_file are needed both, or none")]
    HalfPair,
    /// The URL's host can be in no certificate.
    #[error("{host} can be in no certificate: set server_name to the name that is")]
    Name {
        /// The URL's host.
        host: String,
    },
}

impl Tls {
    /// For the broker of the config, at `host`; reads the files it names.
    pub(super) fn from_config(broker: &Broker, host: &str) -> Result<Self, TlsError> {
        let server_name = match &broker.server_name {
            Some(name) => name.for_tls(),
            None => host.to_owned().try_into().map_err(|_| TlsError::Name { host: host.to_owned() })?,
        };
        let builder = trust::client(broker.ca_file.as_deref())?;
        let mut config = match (&broker.client_cert_file, &broker.client_key_file) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => {
                let chain = trust::certificates("client_cert_file", cert)?;
                let secret = PrivateKeyDer::from_pem_file(key).map_err(|source| match source {
                    pem::Error::NoItemsFound => {
                        TrustError::Empty { key: "client_key_file", path: key.clone(), what: "private key" }
                    }
                    source => TrustError::File { key: "client_key_file", path: key.clone(), source },
                })?;
                builder.with_client_auth_cert(chain, secret).map_err(|source| TlsError::Pair {
                    cert: cert.clone(),
                    key: key.clone(),
                    source,
                })?
            }
            _ => return Err(TlsError::HalfPair),
        };
        let named = broker.alpn.iter().map(Alpn::as_str);
        let demanded = broker.profile.alpn(&broker.url).iter().copied().filter(|_| broker.alpn.is_empty());
        config.alpn_protocols = named.chain(demanded).map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self { config: Arc::new(config), server_name, has_certificate: broker.client_cert_file.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signalling::Profile;

    #[test]
    fn aws_iot_on_port_443_is_told_that_mqtt_is_spoken_unless_the_config_says_so_itself() {
        let offered = |url: &str, profile, alpn: &[&str]| {
            let alpn = alpn.iter().map(|name| (*name).to_owned().try_into().expect("a protocol")).collect();
            let broker = Broker { url: url.parse().expect("a URL"), profile, alpn, ..Broker::default() };
            Tls::from_config(&broker, "h").expect("no files").config.alpn_protocols.clone()
        };
        assert_eq!(offered("mqtts://h:443", Profile::AwsIot, &[]), [b"x-amzn-mqtt-ca"]);
        assert_eq!(offered("mqtts://h:443", Profile::AwsIot, &["mqtt"]), [b"mqtt"]);
        assert!(offered("mqtts://h:8883", Profile::AwsIot, &[]).is_empty());
        assert!(offered("mqtts://h:443", Profile::Any, &[]).is_empty());
    }
}
