//! The TLS side of an endpoint: the files of the config, read once, made into what a handshake needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use tracing::debug;

use crate::signalling::config::{Alpn, Broker};

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
    /// A file that cannot be read, or holds something else.
    #[error("{key} {}: {source}", path.display())]
    File {
        /// The config's key.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// A file without what it is for.
    #[error("{key} {}: holds no {what} in PEM form (\"-----BEGIN …\")", path.display())]
    Empty {
        /// The config's key.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// A certificate that is none, in an otherwise good file.
    #[error("ca_file {}: an authority in it cannot be used: {source}", path.display())]
    Authority {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
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
    /// The TLS library refuses its own defaults.
    #[error("TLS: {0}")]
    Library(rustls::Error),
}

impl Tls {
    /// For the broker of the config, at `host`; reads the files it names.
    pub(super) fn from_config(broker: &Broker, host: &str) -> Result<Self, TlsError> {
        let server_name = match &broker.server_name {
            Some(name) => name.for_tls(),
            None => host.to_owned().try_into().map_err(|_| TlsError::Name { host: host.to_owned() })?,
        };
        let roots = match &broker.ca_file {
            Some(path) => of_file(path)?,
            None => of_system(rustls_native_certs::load_native_certs().certs),
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Library)?
            .with_root_certificates(roots);
        let mut config = match (&broker.client_cert_file, &broker.client_key_file) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => {
                let chain = certificates("client_cert_file", cert)?;
                let secret = PrivateKeyDer::from_pem_file(key).map_err(|source| match source {
                    pem::Error::NoItemsFound => {
                        TlsError::Empty { key: "client_key_file", path: key.clone(), what: "private key" }
                    }
                    source => TlsError::File { key: "client_key_file", path: key.clone(), source },
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

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|source| TlsError::File { key, path: path.to_owned(), source })?;
    if found.is_empty() {
        return Err(TlsError::Empty { key, path: path.to_owned(), what: "certificate" });
    }
    Ok(found)
}

/// A file named by a person is taken as a whole: one bad authority in it is a mistake to be told.
fn of_file(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca_file", path)? {
        roots.add(certificate).map_err(|source| TlsError::Authority { path: path.to_owned(), source })?;
    }
    Ok(roots)
}

/// A small board's image often has no `ca-certificates`.
fn of_system(certificates: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (good, bad) = roots.add_parsable_certificates(certificates);
    debug!(good, bad, "certificate authorities of the system");
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
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

    #[test]
    fn a_system_without_authorities_still_knows_some() {
        assert_eq!(of_system(Vec::new()).len(), webpki_roots::TLS_SERVER_ROOTS.len());
    }
}
