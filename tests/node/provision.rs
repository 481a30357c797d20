//! `camera-node provision` at a Mosquitto, with a responder on the topics where AWS IoT Core has its own.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camera_node::signalling::config::Broker;
use camera_node::signalling::{Endpoint, Link, LinkEvent, LinkSetup, MqttLink, Publish};
use rcgen::{CertificateParams, DnType, PublicKeyData, SignatureAlgorithm};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio_rustls::rustls::pki_types::CertificateSigningRequestDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use crate::certificates::Authority;
use crate::daemon::Daemon;
use crate::mosquitto::{Mosquitto, is_installed};
use crate::stage::{SMALL, command, eventually};

/// How the responder treats one kind of request.
#[derive(Debug, Clone)]
enum Manner {
    Good,
    /// It says nothing, as AWS says nothing to who is cut off.
    Silent,
    /// Its words on `/rejected`.
    Reject(Value),
    /// Its words on `/accepted`.
    Say(Value),
}

/// What the responder does, and what it was asked.
struct Aws {
    create: Manner,
    register: Manner,
    asked: Vec<(String, Value)>,
    tokens: Vec<String>,
}

/// Mosquitto with mTLS, AWS's stand-in beside it, and a board that has a claim certificate.
struct Scene {
    folder: tempfile::TempDir,
    _broker: Mosquitto,
    aws: Arc<Mutex<Aws>>,
    address: String,
    config: PathBuf,
}

struct PublicKey(Vec<u8>);

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// Signs for the key in a request, if the request was made by who has that key, and names this board.
fn sign(authority: &Authority, pem: &str) -> String {
    let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).expect("PEM");
    let (_, request) = X509CertificationRequest::from_der(&der).expect("PKCS #10");
    let info = &request.certification_request_info;
    let key = info.subject_pki.subject_public_key.data.to_vec();
    ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_ASN1, &key)
        .verify(info.raw, &request.signature_value.data)
        .expect("signed with its own key");
    let name = info.subject.iter_common_name().next().and_then(|name| name.as_str().ok()).expect("a name").to_owned();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.signed_by(&PublicKey(key), &authority.issuer).expect("signed").pem()
}

impl Aws {
    fn answer(&mut self, authority: &Authority, topic: &str, asked: &Value) -> Option<(String, Value)> {
        self.asked.push((topic.to_owned(), asked.clone()));
        let is_create = topic.starts_with("$aws/certificates/");
        let accepted = |said| Some((format!("{topic}/accepted"), said));
        match if is_create { self.create.clone() } else { self.register.clone() } {
            Manner::Silent => None,
            Manner::Reject(said) => Some((format!("{topic}/rejected"), said)),
            Manner::Say(said) => accepted(said),
            Manner::Good if is_create => {
                let token = format!("token-{}", self.tokens.len());
                self.tokens.push(token.clone());
                let pem = sign(authority, asked["certificateSigningRequest"].as_str().expect("a request"));
                accepted(json!({
                    "certificateId": "c0ffee", "certificatePem": pem, "certificateOwnershipToken": token,
                }))
            }
            Manner::Good if self.tokens.last().is_some_and(|token| asked["certificateOwnershipToken"] == **token) => {
                let thing = &asked["parameters"]["NodeId"];
                accepted(json!({ "thingName": thing, "deviceConfiguration": { "room": asked["parameters"]["Room"] } }))
            }
            Manner::Good => Some((format!("{topic}/rejected"), refusal("InvalidCertificateOwnershipToken"))),
        }
    }
}

fn refusal(code: &str) -> Value {
    json!({ "statusCode": 400, "errorCode": code, "errorMessage": "says the stand-in" })
}

/// 8883 is demanded by the profile, so that the address differs from process to process and test to test.
fn own_address() -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let pid = std::process::id();
    format!("127.{}.{}.{}", 16 + (pid >> 8) % 200, pid % 256, next)
}

impl Scene {
    /// All of it, at work.
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let authority = Authority::new(folder.path(), "aws");
        let address = own_address();
        authority.sign("broker", &["localhost"]);
        authority.sign("claim", &[]);
        let responder = authority.sign("responder", &[]);
        let at = |name: &str| folder.path().join(name);
        // The claim may do what deploy/aws-iot/claim-policy.json allows, and a node what deploy/mosquitto allows it.
        let nodes = include_str!("../../deploy/mosquitto/nodes.acl");
        let rules = format!(
            "user responder\ntopic readwrite $aws/#\n\
             user claim\ntopic write $aws/certificates/create-from-csr/json\n\
             topic read $aws/certificates/create-from-csr/json/+\n\
             topic write $aws/provisioning-templates/camera-node/provision/json\n\
             topic read $aws/provisioning-templates/camera-node/provision/json/+\n{nodes}"
        );
        std::fs::write(at("acl"), rules).expect("there is room");
        let text = format!(
            "listener 8883 {address}\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             use_identity_as_username true\nallow_anonymous false\nacl_file {}\npersistence false\n",
            authority.ca_file.display(),
            at("broker.pem").display(),
            at("broker.key").display(),
            at("acl").display(),
        );
        let broker = Mosquitto::start(folder.path(), &text, &[]).await;
        let listens = || std::net::TcpStream::connect((address.as_str(), 8883)).is_ok();
        eventually("mosquitto listens", Duration::from_secs(15), listens).await;
        let ca = authority.ca_file.clone();
        let to = Broker {
            url: format!("mqtts://{address}").parse().expect("a URL"),
            server_name: Some("localhost".to_owned().try_into().expect("a name")),
            ca_file: Some(ca.clone()),
            client_cert_file: Some(responder.cert_file),
            client_key_file: Some(responder.key_file),
            ..Broker::default()
        };
        let aws =
            Arc::new(Mutex::new(Aws { create: Manner::Good, register: Manner::Good, asked: vec![], tokens: vec![] }));
        let setup = LinkSetup {
            client_id: "responder".to_owned(),
            subscriptions: vec![
                "$aws/certificates/create-from-csr/json".to_owned(),
                "$aws/provisioning-templates/+/provision/json".to_owned(),
            ],
            ..LinkSetup::default()
        };
        let mut link = MqttLink::start(Endpoint::from_config(&to).expect("its files are there"), setup, 1);
        let up = tokio::time::timeout(Duration::from_secs(15), link.next()).await.expect("in time");
        assert_eq!(up, Some(LinkEvent::Up { conn: 1 }));
        let shared = Arc::clone(&aws);
        tokio::spawn(async move {
            while let Some(event) = link.next().await {
                let LinkEvent::Message { topic, payload, .. } = event else { continue };
                let asked = serde_json::from_slice(&payload).expect("JSON");
                let answer = shared.lock().expect("no panic").answer(&authority, &topic, &asked);
                if let Some((topic, said)) = answer {
                    let payload = serde_json::to_vec(&said).expect("JSON").into();
                    link.publish(Publish { topic, payload, retain: false }).expect("up");
                }
            }
        });
        let config = at("node.toml");
        // As the test's network has it: AWS's own name and authority need neither line.
        let lines = "[broker] # elsewhere\nurl = \"mqtts://localhost\" # the one before\nserver_name = \"localhost\"\n";
        let text = format!("# A porch.\n{SMALL}\n{lines}\n[access]\ni_trust_the_broker = true\n# The end.\n");
        std::fs::write(&config, text.replace("id = \"stage\"", "id = \"porch\" # by the door")).expect("there is room");
        Self { folder, _broker: broker, aws, address, config }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn command(&self, more: &[&str]) -> Command {
        let config = self.config.display().to_string();
        let (cert, key) = (self.file("claim.pem"), self.file("claim.key"));
        let (dir, ca) = (self.file("made"), self.file("aws-ca.pem"));
        let mut args =
            vec!["provision", "--json", "--config", &config, "--endpoint", &self.address, "--claim-cert", &cert];
        args.extend(["--claim-key", &key, "--dir", &dir, "--ca-file", &ca]);
        args.extend(more);
        command(env!("CARGO_BIN_EXE_camera-node"), &args)
    }

    /// Whether it went well, and what it says.
    async fn provision(&self, more: &[&str]) -> (bool, Value) {
        let output = self.command(more).output().await.expect("the binary runs");
        let said = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.success(), said)
    }

    /// Why it fails.
    async fn refused(&self, more: &[&str]) -> String {
        let (good, said) = self.provision(more).await;
        assert!(!good, "{said}");
        said["error"].as_str().expect("a reason").to_owned()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.config).expect("there")
    }

    fn manners(&self, create: Manner, register: Manner) {
        let mut aws = self.aws.lock().expect("no panic");
        (aws.create, aws.register) = (create, register);
    }

    /// The topics that were asked since the last time, without what they have in common.
    fn asked(&self) -> Vec<&'static str> {
        let asked = std::mem::take(&mut self.aws.lock().expect("no panic").asked);
        asked.iter().map(|(topic, _)| if topic.contains("create") { "create" } else { "provision" }).collect()
    }

    /// Starts a run, and kills it once this has been asked for.
    async fn cut_off_at(&self, what: &str) {
        let mut run = self.command(&[]).stdout(std::process::Stdio::null()).spawn().expect("the binary runs");
        let asked = || {
            let aws = self.aws.lock().expect("no panic");
            aws.asked.last().is_some_and(|(topic, _)| topic.contains(what))
        };
        eventually(what, Duration::from_secs(20), asked).await;
        run.kill().await.expect("it runs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_becomes_a_thing_and_is_online_with_its_own_certificate() {
    if !is_installed() {
        return;
    }
    let scene = Scene::start().await;
    let before = scene.text();
    let (good, said) = scene.provision(&["--serial", "00c0ffee", "--parameter", "Room=hall"]).await;
    assert!(good && said["changed"] == true && said["node"] == "porch", "{said}");
    assert_eq!(said["configuration"], json!({ "room": "hall" }));
    let parameters = scene.aws.lock().expect("no panic").asked[1].1["parameters"].clone();
    assert_eq!(parameters, json!({ "NodeId": "porch", "SerialNumber": "00c0ffee", "Room": "hall" }));
    assert_eq!(scene.asked(), ["create", "provision"]);
    let made: Vec<_> = std::fs::read_dir(scene.file("made")).expect("made").flatten().collect();
    let mut names: Vec<_> = made.iter().map(|file| file.file_name().into_string().expect("ours")).collect();
    names.sort();
    assert_eq!(names, ["porch.key", "porch.pem"]);
    for file in made {
        assert_eq!(file.metadata().expect("there").permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    let after = scene.text();
    let mut lines = after.lines();
    for line in before.lines().filter(|line| !line.starts_with("url")) {
        assert!(lines.any(|kept| kept == line), "gone: {line}\n{after}");
    }
    assert!(after.contains("\" # the one before\n") && !after.contains("mqtts://localhost"), "{after}");

    let (good, said) = scene.provision(&[]).await;
    assert!(good && said["changed"] == false, "{said}");
    assert_eq!((scene.text(), scene.asked()), (after, vec![]));

    // Its own log says that it is there; that the broker lets this name in at all is its certificate's doing.
    let node = Daemon::start(&scene.config, &[]);
    node.says("broker connection up").await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_off_leaves_the_old_config_and_the_next_one_goes_on() {
    if !is_installed() {
        return;
    }
    let scene = Scene::start().await;
    let before = scene.text();
    scene.manners(Manner::Silent, Manner::Good);
    scene.cut_off_at("create").await;
    assert_eq!((scene.text(), scene.asked()), (before.clone(), vec!["create"]));
    scene.manners(Manner::Good, Manner::Silent);
    scene.cut_off_at("provision").await;
    assert_eq!((scene.text(), scene.asked()), (before.clone(), vec!["create", "provision"]));

    // The certificate is there: only the thing is missing, and then only the config.
    scene.manners(Manner::Good, Manner::Good);
    std::fs::create_dir(scene.file("node.toml.new")).expect("there is room");
    let error = scene.refused(&[]).await;
    assert!(error.contains("cannot be written") && error.contains("the next run goes on here"), "{error}");
    assert_eq!((scene.text(), scene.asked()), (before.clone(), vec!["provision"]));
    std::fs::remove_dir(scene.file("node.toml.new")).expect("ours");
    let (good, said) = scene.provision(&[]).await;
    assert!(good && said["changed"] == true && said["node"] == "porch", "{said}");
    assert_eq!(scene.asked(), Vec::<&str>::new());

    // A token that has ended while nobody went on: another certificate.
    std::fs::write(&scene.config, &before).expect("ours");
    scene.manners(Manner::Good, Manner::Silent);
    scene.cut_off_at("provision").await;
    scene.aws.lock().expect("no panic").tokens.push("another".to_owned());
    scene.manners(Manner::Good, Manner::Good);
    scene.asked();
    let (good, said) = scene.provision(&[]).await;
    assert!(good && said["changed"] == true, "{said}");
    assert_eq!(scene.asked(), ["provision", "create", "provision"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_told_in_aws_words_and_changes_nothing() {
    if !is_installed() {
        return;
    }
    let scene = Scene::start().await;
    let before = scene.text();
    let thing = |name: &str| Manner::Say(json!({ "thingName": name }));
    let foreign = json!({ "certificateId": "c", "certificatePem": "no PEM", "certificateOwnershipToken": "t" });
    // The last but one leaves a certificate that the last goes on with.
    #[rustfmt::skip]
    let table = [
        (Manner::Reject(refusal("InvalidCsr")), Manner::Good, "AWS IoT rejected the request for a certificate: InvalidCsr (status 400): says the stand-in"),
        (Manner::Say(json!({})), Manner::Good, "AWS IoT answered the request for a certificate with what cannot be read"),
        (Manner::Say(foreign), Manner::Good, "AWS IoT sent a certificate that cannot be used"),
        (Manner::Good, Manner::Reject(refusal("AccessDenied")), "AWS IoT rejected this board (template camera-node): AccessDenied (status 400): says the stand-in"),
        (Manner::Good, thing("a thing/with a slash"), "the template camera-node made a thing whose name cannot be a node's id"),
    ];
    for (create, register, words) in table {
        scene.manners(create, register);
        let error = scene.refused(&[]).await;
        assert!(error.starts_with(words), "{words}: {error}");
        assert_eq!(scene.text(), before, "{words}");
    }
    scene.manners(Manner::Good, Manner::Good);
    scene.asked();
    // A claim of somebody else's authority.
    let elsewhere = tempfile::tempdir().expect("there is room");
    let stranger = Authority::new(elsewhere.path(), "other").sign("claim", &[]);
    let (cert, key) = (stranger.cert_file.display().to_string(), stranger.key_file.display().to_string());
    let text = scene.config.display().to_string();
    let (dir, ca) = (scene.file("made"), scene.file("aws-ca.pem"));
    let args =
        ["provision", "--config", &text, "--endpoint", &scene.address, "--claim-cert", &cert, "--claim-key", &key];
    let mut refused = command(env!("CARGO_BIN_EXE_camera-node"), &args);
    let output = refused.args(["--dir", &dir, "--ca-file", &ca]).output().await.expect("the binary runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("no way to AWS IoT with the claim certificate: "), "{error}");
    assert_eq!(output.status.code(), Some(1));
    let with = |line: &str| before.replace("server_name", &format!("{line}\nserver_name"));
    // A config that would not do is told before AWS hears of the board.
    std::fs::write(&scene.config, with("keep_alive_s = 10")).expect("ours");
    let error = scene.refused(&[]).await;
    assert!(error.starts_with("the config would not do for AWS IoT, and nothing was done"), "{error}");
    std::fs::write(&scene.config, with("username = 'porch'")).expect("ours");
    let error = scene.refused(&[]).await;
    assert!(error.starts_with("the config logs in at another broker"), "{error}");
    assert_eq!(scene.asked(), Vec::<&str>::new());
}
