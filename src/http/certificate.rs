//! The certificate of the https page: read from PEM, shown by its fingerprint, exchanged without a restart.

use std::fmt::Write;
use std::sync::{Arc, PoisonError, RwLock};

use ring::digest;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};

/// Why a certificate cannot be shown to browsers.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No certificate in the file.
    #[error("cert_file holds no certificate in PEM form (\"-----BEGIN CERTIFICATE-----\")")]
    NoCertificate,
    /// No key in the other.
    #[error("key_file holds no private key in PEM form (\"-----BEGIN PRIVATE KEY-----\")")]
    NoKey,
    /// They do not go together, or are of a kind that is not supported.
    #[error("cert_file and key_file do not go together: {0}")]
    Pair(rustls::Error),
    /// The TLS library refuses its own defaults.
    #[error("TLS: {0}")]
    Library(rustls::Error),
}

/// What a server shows to browsers now.
#[derive(Debug)]
pub struct Certificate {
    current: Arc<Current>,
    acceptor_config: Arc<ServerConfig>,
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Certificate {
    /// From the contents of two PEM files: the certificate with those between it and its authority, and its key.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let current = Arc::new(Current(RwLock::new(Arc::new(certified(cert, key)?))));
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(CertificateError::Library)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Current>::clone(&current));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { current, acceptor_config: Arc::new(config) })
    }

    /// Shows another one from the next handshake on.
    ///
    /// # Errors
    /// [`CertificateError`]; the one before stays.
    pub fn exchange(&self, cert: &[u8], key: &[u8]) -> Result<(), CertificateError> {
        let next = Arc::new(certified(cert, key)?);
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// SHA-256 of the certificate as browsers show it: pairs of hex digits with colons between.
    pub fn fingerprint(&self) -> String {
        let current = self.current.0.read().unwrap_or_else(PoisonError::into_inner);
        current.cert.first().map(|der| sha256(der)).unwrap_or_default()
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.acceptor_config))
    }
}

/// The fingerprint of the first certificate in a PEM file.
pub fn fingerprint_of(cert: &[u8]) -> Option<String> {
    let first = CertificateDer::pem_slice_iter(cert).next()?.ok()?;
    Some(sha256(&first))
}

fn sha256(der: &CertificateDer<'_>) -> String {
    digest::digest(&digest::SHA256, der).as_ref().iter().fold(String::new(), |mut text, byte| {
        let colon = if text.is_empty() { "" } else { ":" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{colon}{byte:02X}");
        text
    })
}

fn certified(cert: &[u8], key: &[u8]) -> Result<CertifiedKey, CertificateError> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(cert).collect::<Result<_, _>>().map_err(|_| CertificateError::NoCertificate)?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
    CertifiedKey::from_der(chain, key, &provider::default_provider()).map_err(CertificateError::Pair)
}

/// When a certificate ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateEnd {
    /// Seconds since 1970.
    pub unix_s: i64,
    /// The day, in UTC: `2026-11-21`.
    pub date: String,
}

/// Whom the first certificate in a PEM file is made out to (its common name). `None` if there is none that can be read.
pub fn common_name_of(pem: &[u8]) -> Option<String> {
    let der = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    certificate.subject().iter_common_name().next()?.as_str().ok().map(str::to_owned)
}

/// When the first of the certificates in a PEM file ends. `None` if there is none that can be read.
pub fn first_end(pem: &[u8]) -> Option<CertificateEnd> {
    let ends = CertificateDer::pem_slice_iter(pem).filter_map(|der| {
        let der = der.ok()?;
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
        let end = certificate.validity().not_after;
        Some(CertificateEnd { unix_s: end.timestamp(), date: end.to_datetime().date().to_string() })
    });
    ends.min()
}

#[cfg(test)]
mod tests {
    use super::super::make_self_signed;
    use super::*;

    #[test]
    fn another_certificate_has_another_fingerprint_and_a_bad_one_changes_nothing() {
        let make = || make_self_signed("cam", &["cam.local".to_owned()], None, 1_800_000_000).expect("made");
        let (one, two) = (make(), make());
        let certificate = Certificate::from_pem(one.cert_pem.as_bytes(), one.key_pem.as_bytes()).expect("ours");
        let first = certificate.fingerprint();
        assert_eq!(first.len(), 32 * 3 - 1, "{first}");
        assert_eq!(Some(&first), fingerprint_of(one.cert_pem.as_bytes()).as_ref());
        assert_eq!(common_name_of(one.cert_pem.as_bytes()).as_deref(), Some("cam"));
        let mixed = certificate.exchange(two.cert_pem.as_bytes(), one.key_pem.as_bytes()).expect_err("another's key");
        assert!(mixed.to_string().starts_with("cert_file and key_file do not go together"), "{mixed}");
        assert!(matches!(certificate.exchange(b"", b""), Err(CertificateError::NoCertificate)));
        assert!(matches!(certificate.exchange(one.cert_pem.as_bytes(), b"x"), Err(CertificateError::NoKey)));
        assert_eq!(certificate.fingerprint(), first);
        certificate.exchange(two.cert_pem.as_bytes(), two.key_pem.as_bytes()).expect("a pair");
        assert_ne!(certificate.fingerprint(), first);
    }

    #[test]
    fn the_end_of_a_certificate_is_read_from_it_and_nonsense_has_none() {
        let made = make_self_signed("cam", &[], None, 1_800_000_000).expect("made");
        let end = first_end(made.cert_pem.as_bytes()).expect("an end");
        assert_eq!(((end.unix_s - 1_800_000_000) / 86_400, end.date.as_str()), (365, "2028-01-15"));
        assert_eq!(first_end(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), None);
        assert_eq!(first_end(b""), None);
    }
}
