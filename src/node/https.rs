//! The certificate of the https page: the user's, read again when its files change, or one of the node's own making, made
//! anew before it ends and when the machine's names or addresses change.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use tracing::{info, warn};

use crate::config::Config;
use crate::http::{Certificate, host_name, is_still_good, make_self_signed};
use crate::sys;

use super::lan::own_addresses;
use super::state_folder::StateFolder;
use super::story::whole_story;

/// The name of the self-made certificate in the state folder.
pub const CERTIFICATE: &str = "page.pem";
const KEY: &str = "page.key";

/// How soon a new file is used, and a new address has a certificate.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What browsers are shown, and where it comes from.
pub struct Https {
    /// For the server.
    pub certificate: Arc<Certificate>,
    origin: Origin,
}

enum Origin {
    Files { cert: PathBuf, key: PathBuf, seen: Vec<Option<SystemTime>> },
    OwnMaking { folder: StateFolder, common_name: String, host: String },
}

/// Whether the files that the config names make a certificate; `None` where it names none.
///
/// # Errors
/// They cannot be read, or do not belong together.
pub fn try_files(config: &Config) -> Option<anyhow::Result<()>> {
    let tls = &config.http.tls;
    let (cert, key) = (tls.cert_file.clone()?, tls.key_file.clone()?);
    let read = Origin::Files { seen: Vec::new(), cert, key }.current();
    Some(read.and_then(|(cert, key)| Certificate::from_pem(&cert, &key).context("http.tls").map(drop)))
}

impl Https {
    /// The certificate of the config, read or made; `None` if there is no https.
    ///
    /// # Errors
    /// Files that cannot be used, or a folder that cannot be written to.
    pub fn open(config: &Config, folder: &StateFolder) -> anyhow::Result<Option<Self>> {
        let tls = &config.http.tls;
        if !config.http.enabled || !tls.is_on() {
            return Ok(None);
        }
        let origin = match (&tls.cert_file, &tls.key_file) {
            (Some(cert), Some(key)) => {
                let (cert, key) = (cert.clone(), key.clone());
                Origin::Files { seen: stamps([&cert, &key]), cert, key }
            }
            _ => {
                let id = config.node.id();
                Origin::OwnMaking { folder: folder.clone(), host: host_name(&id), common_name: id.to_string() }
            }
        };
        let (cert, key) = origin.current()?;
        let certificate = Certificate::from_pem(&cert, &key).context("http.tls")?;
        if tls.self_signed {
            info!(sha256 = certificate.fingerprint(), "certificate of the https page, of this node's own making");
        }
        Ok(Some(Self { certificate: Arc::new(certificate), origin }))
    }

    /// Keeps it fresh, for ever.
    pub async fn keep_fresh(mut self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match self.origin.next() {
                Ok(None) => {}
                Ok(Some((cert, key))) => match self.certificate.exchange(&cert, &key) {
                    Ok(()) => info!(sha256 = self.certificate.fingerprint(), "another certificate for the https page"),
                    Err(error) => warn!(%error, "http.tls: the certificate before stays in use"),
                },
                Err(error) => warn!(error = whole_story(&error), "http.tls: the certificate before stays in use"),
            }
        }
    }
}

type Pems = (Vec<u8>, Vec<u8>);

impl Origin {
    /// What to show now; makes it if need be.
    fn current(&self) -> anyhow::Result<Pems> {
        match self {
            Self::Files { cert, key, .. } => {
                let read = |name, path: &PathBuf| {
                    fs::read(path).with_context(|| format!("http.tls.{name}: {}", path.display()))
                };
                Ok((read("cert_file", cert)?, read("key_file", key)?))
            }
            Self::OwnMaking { folder, common_name, host } => {
                if let Some(kept) = Self::kept_and_good(folder, &names(host))? {
                    return Ok(kept);
                }
                // A browser that was told to trust the key need not be told again.
                let key = folder.read(KEY)?.and_then(|pem| String::from_utf8(pem).ok());
                let now_s = sys::since_unix_epoch().as_secs();
                let made = make_self_signed(common_name, &names(host), key.as_deref(), now_s)
                    .or_else(|_| make_self_signed(common_name, &names(host), None, now_s))
                    .context("http.tls.self_signed: no certificate can be made")?;
                folder.write(KEY, made.key_pem.as_bytes())?;
                folder.write(CERTIFICATE, made.cert_pem.as_bytes())?;
                Ok((made.cert_pem.into_bytes(), made.key_pem.into_bytes()))
            }
        }
    }

    /// What to show from now on, if it is something else than before.
    fn next(&mut self) -> anyhow::Result<Option<Pems>> {
        match self {
            Self::Files { cert, key, seen } => {
                let now = stamps([cert, key]);
                if *seen == now {
                    return Ok(None);
                }
                *seen = now;
            }
            Self::OwnMaking { folder, host, .. } => {
                if Self::kept_and_good(folder, &names(host))?.is_some() {
                    return Ok(None);
                }
            }
        }
        self.current().map(Some)
    }

    fn kept_and_good(folder: &StateFolder, names: &[String]) -> anyhow::Result<Option<Pems>> {
        let (Some(cert), Some(key)) = (folder.read(CERTIFICATE)?, folder.read(KEY)?) else { return Ok(None) };
        let is_good = is_still_good(&cert, names, sys::since_unix_epoch().as_secs())
            && Certificate::from_pem(&cert, &key).is_ok();
        Ok(is_good.then_some((cert, key)))
    }
}

/// By which names and addresses browsers may come.
fn names(host: &str) -> Vec<String> {
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    names_of(host, machine.trim(), &own_addresses())
}

/// Addresses of IPv6 where there are no others: most hosts give themselves new ones each day (RFC 8981), and each would make
/// another certificate, which browsers warn of anew.
fn names_of(host: &str, machine: &str, addresses: &[IpAddr]) -> Vec<String> {
    let machine = machine.to_ascii_lowercase();
    let is_name = !machine.is_empty() && machine.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let machine = is_name.then_some(machine).filter(|machine| machine != "localhost");
    let fixed = [host, "localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut names: Vec<String> = fixed.into_iter().chain(machine).collect();
    let has_ipv4 = addresses.iter().any(|address| address.is_ipv4() && !address.is_loopback());
    for address in addresses.iter().filter(|address| address.is_ipv4() || !has_ipv4).map(ToString::to_string) {
        if !names.contains(&address) {
            names.push(address);
        }
    }
    names
}

fn stamps(files: [&PathBuf; 2]) -> Vec<Option<SystemTime>> {
    files.iter().map(|path| fs::metadata(path).and_then(|about| about.modified()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::from_text("tls", text, []).expect("right")
    }

    #[test]
    fn a_certificate_is_for_ipv6_addresses_only_where_there_are_no_others() {
        let address = |text: &str| text.parse::<IpAddr>().expect("one");
        let (four, six) = (address("192.0.2.7"), address("2001:db8::7"));
        let fixed = ["camera-x.local", "localhost", "127.0.0.1", "::1", "shed"];
        let names = |addresses: &[IpAddr]| names_of("camera-x.local", "Shed", addresses);
        assert_eq!(names(&[]), fixed);
        assert_eq!(names(&[four, six]), [&fixed[..], &["192.0.2.7"]].concat());
        assert_eq!(names(&[address("127.0.0.1"), six]), [&fixed[..], &["2001:db8::7"]].concat());
    }

    #[test]
    fn a_self_made_certificate_is_kept_for_the_next_start() {
        let base = tempfile::tempdir().expect("there is room");
        let config = config(&format!(
            "[node]\nid = 'cam'\nstate_folder = '{}'\n[http.tls]\nself_signed = true\n",
            base.path().display()
        ));
        let folder = StateFolder::of(&config.node);
        let open = || Https::open(&config, &folder).expect("made").expect("https is on").certificate.fingerprint();
        let first = open();
        assert_eq!(open(), first);
        fs::write(folder.path().join(CERTIFICATE), "broken").expect("there is room");
        assert_ne!(open(), first, "a new one, for the old key");
    }

    #[test]
    fn a_users_certificate_is_read_again_when_it_changes() {
        let base = tempfile::tempdir().expect("there is room");
        let (cert, key) = (base.path().join("c.pem"), base.path().join("k.pem"));
        let write = |modified: u64| {
            let made = make_self_signed("x", &[], None, 1_800_000_000).expect("made");
            fs::write(&cert, made.cert_pem).expect("there is room");
            fs::write(&key, made.key_pem).expect("there is room");
            // Two writes within one tick of the file system's clock are still two.
            let file = fs::File::options().write(true).open(&cert).expect("ours");
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(modified)).expect("ours");
        };
        write(1);
        let text = format!("[http.tls]\ncert_file = '{}'\nkey_file = '{}'\n", cert.display(), key.display());
        let config = config(&text);
        let mut https = Https::open(&config, &StateFolder::of(&config.node)).expect("good").expect("on");
        assert!(https.origin.next().expect("readable").is_none(), "nothing has changed");
        write(2);
        let (cert_pem, key_pem) = https.origin.next().expect("readable").expect("another");
        let first = https.certificate.fingerprint();
        https.certificate.exchange(&cert_pem, &key_pem).expect("a pair");
        assert_ne!(https.certificate.fingerprint(), first);
        fs::remove_file(&cert).expect("there");
        let gone = https.origin.next().expect_err("it is gone");
        assert!(format!("{gone:#}").starts_with("http.tls.cert_file: "), "{gone:#}");
    }
}
