//! A certificate authority of the tests' own, and what it signs, as PEM files. Included by the library's tests too.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// Signs; its certificate is `NAME-ca.pem` in the folder.
pub struct Authority {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    pub ca_file: PathBuf,
}

/// A certificate and its key.
pub struct Pair {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

impl Authority {
    pub fn new(folder: &Path, name: &str) -> Self {
        // A broker that root starts reads its files as a user of its own.
        std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
        let mut params = params(&format!("{name} CA"), &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("it signs itself");
        let ca_file = folder.join(format!("{name}-ca.pem"));
        std::fs::write(&ca_file, issuer.pem()).expect("written");
        Self { issuer, folder: folder.to_owned(), ca_file }
    }

    /// For a server or client of this common name, and these names (DNS or IP) besides.
    pub fn sign(&self, common_name: &str, names: &[&str]) -> Pair {
        self.sign_for(common_name, names, (2020, 2120))
    }

    /// The same, valid from the first of January of a year to that of another.
    pub fn sign_for(&self, common_name: &str, names: &[&str], years: (i32, i32)) -> Pair {
        self.sign_as(common_name, names, |params| {
            params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
            params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        })
    }

    /// The same, changed by `change`.
    pub fn sign_as(&self, common_name: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = params(common_name, names);
        change(&mut params);
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let pair = Pair {
            cert_file: self.folder.join(format!("{common_name}.pem")),
            key_file: self.folder.join(format!("{common_name}.key")),
        };
        std::fs::write(&pair.cert_file, certificate.pem()).expect("written");
        std::fs::write(&pair.key_file, key.serialize_pem()).expect("written");
        pair
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("there is randomness")
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names that can be in a certificate");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}
