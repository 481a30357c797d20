//! Whom this program believes when it is a TLS client, and in words why it does not believe somebody.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use time::OffsetDateTime;
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, ConfigBuilder, RootCertStore};
use tracing::debug;

/// Why no certificate can be checked.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
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
    /// The TLS library refuses its own defaults.
    #[error("TLS: {0}")]
    Library(rustls::Error),
}

/// A TLS client that believes the authorities in `ca_file`; without one, those the system trusts, or Mozilla's.
///
/// # Errors
/// Each [`TrustError`].
pub fn client(ca_file: Option<&Path>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TrustError> {
    let roots = match ca_file {
        Some(path) => of_file(path)?,
        None => of_system(rustls_native_certs::load_native_certs().certs),
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Library)?;
    Ok(builder.with_root_certificates(roots))
}

/// The certificates in the file that the config names under `key`.
///
/// # Errors
/// It cannot be read, or has none.
pub fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|source| TrustError::File { key, path: path.to_owned(), source })?;
    if found.is_empty() {
        return Err(TrustError::Empty { key, path: path.to_owned(), what: "certificate" });
    }
    Ok(found)
}

/// A file named by a person is taken as a whole: one bad authority in it is a mistake to be told.
fn of_file(path: &Path) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca_file", path)? {
        roots.add(certificate).map_err(|source| TrustError::Authority { path: path.to_owned(), source })?;
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

/// A name as the library presents it (`DnsName("broker.lan")`), without what that puts around it.
fn plain(presented: &str) -> &str {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(presented, |name| name.trim_matches('"'))
}

/// What is wrong with the certificate of `address`; `name_cure` says how to get around a wrong name.
pub fn certificate_in_words(address: &str, problem: &CertificateError, name_cure: &str) -> String {
    match problem {
        CertificateError::UnknownIssuer => {
            format!(
                "the certificate of {address} comes from an authority that is not known here: set ca_file to its CA"
            )
        }
        CertificateError::NotValidForName => {
            format!("the certificate of {address} is for another name: {name_cure}")
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| plain(name)).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            format!("the certificate of {address} is not for {} but for {names}: {name_cure}", expected.to_str())
        }
        CertificateError::Expired => {
            format!("the certificate of {address} has expired, or this machine's clock is wrong")
        }
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the certificate of {address} expired on {}, and here it is {}: renew it, or set the clock",
            date(*not_after),
            date(*time)
        ),
        CertificateError::NotValidYet => {
            format!("the certificate of {address} is not valid yet: this machine's clock is wrong")
        }
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the certificate of {address} is valid from {}, and here it is {}: this machine's clock is wrong, set it (NTP)",
            date(*not_before),
            date(*time)
        ),
        CertificateError::Revoked => format!("the certificate of {address} was revoked: it needs a new one"),
        // The library keeps its checker's words to itself but in this form.
        CertificateError::Other(why) if format!("{why:?}").contains("CaUsedAsEndEntity") => format!(
            "the certificate of {address} is an authority's: sign one for it with that authority, or make one that is none \
             (`openssl req -x509 … -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:NAME`)"
        ),
        problem => format!("the certificate of {address} cannot be used: {problem}"),
    }
}

/// `2026-11-21`, in UTC.
fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).map_or_else(|_| "no date".to_owned(), |at| at.date().to_string())
}

/// For the tests of those who trust.
#[cfg(test)]
#[path = "../tests/node/certificates.rs"]
pub(crate) mod certificates;

/// For their servers.
#[cfg(test)]
#[path = "../tests/node/lacking.rs"]
pub(crate) mod lacking;

/// For the same.
#[cfg(test)]
#[path = "../tests/node/ports.rs"]
pub(crate) mod ports;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_authorities_still_knows_some() {
        assert_eq!(of_system(Vec::new()).len(), webpki_roots::TLS_SERVER_ROOTS.len());
    }
}
