//! What a run keeps of its progress, so that one which is cut off is gone on with.

use std::path::PathBuf;

use anyhow::Context;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde::{Deserialize, Serialize};

use super::claim::{Issued, TemplateName};
use crate::node::StateFolder;
use crate::session::NodeId;

/// The files of one board's certificate.
#[derive(Debug)]
pub struct Files {
    folder: StateFolder,
    id: NodeId,
}

/// How far a run has come: there is a certificate, and perhaps a thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Where the certificate comes from; elsewhere it is worth nothing.
    pub url: String,
    /// By which AWS knows the certificate.
    pub certificate_id: String,
    /// Lets a template use it, for an hour.
    pub ownership_token: String,
    /// The template that was asked, and the thing it made.
    pub thing: Option<Thing>,
}

/// What a template has made of the board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thing {
    /// Its name.
    pub name: NodeId,
    /// The template.
    pub template: String,
    /// What the template says besides.
    pub configuration: serde_json::Value,
}

impl Files {
    pub fn in_folder(folder: StateFolder, id: NodeId) -> Self {
        Self { folder, id }
    }

    pub fn cert(&self) -> PathBuf {
        self.folder.path().join(self.name("pem"))
    }

    pub fn key(&self) -> PathBuf {
        self.folder.path().join(self.name("key"))
    }

    fn name(&self, ending: &str) -> String {
        format!("{}.{ending}", self.id)
    }

    /// Makes a new key, which never leaves this machine, and a request to sign for it (PKCS #10, PEM).
    pub fn new_request(&self) -> anyhow::Result<String> {
        self.folder.remove(&self.name(PROGRESS))?;
        // P-256: AWS IoT takes it, and a small board signs with it at once.
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).context("no key can be made")?;
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.id.as_str());
        let request =
            params.serialize_request(&key).and_then(|request| request.pem()).context("no request can be made")?;
        self.folder.write(&self.name("key"), key.serialize_pem().as_bytes())?;
        Ok(request)
    }

    /// Keeps a certificate, so that the next run goes on with it.
    pub fn keep_issued(&self, url: &str, issued: Issued) -> anyhow::Result<Progress> {
        self.folder.write(&self.name("pem"), issued.certificate_pem.as_bytes())?;
        let progress = Progress {
            url: url.to_owned(),
            certificate_id: issued.certificate_id,
            ownership_token: issued.certificate_ownership_token,
            thing: None,
        };
        self.keep(&progress)?;
        Ok(progress)
    }

    pub fn keep(&self, progress: &Progress) -> anyhow::Result<()> {
        self.folder.write(&self.name(PROGRESS), &serde_json::to_vec(progress)?)
    }

    /// How far an earlier run came with this AWS account's template.
    pub fn progress(&self, url: &str, template: &TemplateName) -> anyhow::Result<Option<Progress>> {
        let Some(kept) = self.folder.read(&self.name(PROGRESS))? else { return Ok(None) };
        let kept: Option<Progress> = serde_json::from_slice(&kept).ok();
        let of_template =
            |kept: &Progress| kept.thing.as_ref().is_none_or(|thing| thing.template == template.to_string());
        Ok(kept.filter(|kept| kept.url == url && of_template(kept)))
    }

    /// All is done: what the files were needed for stands in the config.
    pub fn done(&self) -> anyhow::Result<()> {
        self.folder.remove(&self.name(PROGRESS))
    }
}

const PROGRESS: &str = "claim.json";
