//! Certificates that are about to end, and those that are not.

use std::process::Command;
use std::time::Duration;

use camera_node::node::{Condition, State};
use camera_node::signalling::{Endpoint, Link, LinkEvent, LinkSetup, MqttLink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::certificates::{Authority, Pair};
use crate::stage::{SMALL, Stage, Watch, eventually};

const SOON: Duration = Duration::from_secs(15);
const PART: &str = "certificate:http.tls.cert_file";

/// Signed, with so many days left, of which the first is not over.
fn with_days_left(ca: &Authority, name: &str, days: u32) -> Pair {
    let end = camera_node::sys::since_unix_epoch() + Duration::from_secs(u64::from(days) * 86_400);
    ca.sign_as(name, &[], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + end;
    })
}

async fn stage_with(pair: &Pair, provisioned: Option<&Pair>) -> (Stage, Condition) {
    let (cert, key) = (pair.cert_file.clone(), pair.key_file.clone());
    let stage = Stage::with(|config| {
        if let Some(provisioned) = provisioned {
            config.broker.client_cert_file = Some(provisioned.cert_file.clone());
            config.broker.client_key_file = Some(provisioned.key_file.clone());
        }
        config.http.tls.cert_file = Some(cert);
        config.http.tls.key_file = Some(key);
    })
    .await;
    eventually("the certificate was looked at", SOON, || stage.node().conditions().contains_key(PART)).await;
    let condition = stage.node().conditions()[PART].clone();
    (stage, condition)
}

/// The latest `status` at the stage's broker.
async fn status(stage: &Stage) -> serde_json::Value {
    let broker = stage.broker();
    let topic = "camera-node/v1/stage/status".to_owned();
    let setup = LinkSetup { client_id: "eve".to_owned(), subscriptions: vec![topic], ..LinkSetup::default() };
    let mut link = MqttLink::start(Endpoint::plain(broker.ip().to_string(), broker.port()), setup, 1);
    loop {
        if let LinkEvent::Message { payload, .. } =
            timeout(SOON, link.next()).await.expect("in time").expect("it lives")
        {
            return serde_json::from_slice(&payload).expect("JSON");
        }
    }
}

/// The first line and the rest of the answer.
async fn healthz(stage: &Stage) -> (String, String) {
    let mut page = TcpStream::connect(stage.node().page().expect("there is one")).await.expect("it listens");
    page.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    page.read_to_string(&mut answer).await.expect("text");
    let (first, rest) = answer.split_once("\r\n").expect("an answer");
    (first.to_owned(), rest.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_warned_of_a_month_before_its_end_and_after_it_and_not_sixty_days_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ca = Authority::new(folder.path(), "ours");
    // What a node was provisioned with, it shows at the broker.
    let provisioned = with_days_left(&ca, "provisioned", 29);
    let (stage, soon) = stage_with(&with_days_left(&ca, "soon", 10), Some(&provisioned)).await;
    assert_eq!(soon.state, State::Expiring);
    assert!(soon.detail.starts_with("the certificate in http.tls.cert_file ends on 20"), "{soon:?}");
    let month = stage.node().conditions()["certificate:broker.client_cert_file"].clone();
    assert_eq!(month.state, State::Expiring);
    assert!(month.detail.starts_with("the certificate in broker.client_cert_file ends on 20"), "{month:?}");
    let told = |status: &serde_json::Value| status["state_detail"]["warnings"].clone();
    // The node may say its status once before it has looked.
    let warned = async {
        while told(&status(&stage).await) != serde_json::json!([month.detail, soon.detail]) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(SOON, warned).await.expect("viewers are told");
    stage.stop().await;

    let (stage, ended) = stage_with(&with_days_left(&ca, "ended", 0), None).await;
    assert_eq!(ended.state, State::Expired);
    assert!(ended.detail.starts_with("the certificate in http.tls.cert_file ended on 20"), "{ended:?}");
    let seen = Watch::start(&stage, &["--seconds", "1"]).report().await;
    assert!(seen.frames >= 3, "it is no reason to serve nobody: {seen:?}");
    let (status_line, body) = healthz(&stage).await;
    assert!(status_line.contains(" 200 "), "nor to be restarted: {status_line}");
    assert!(body.contains(r#""state":"degraded""#), "{body}");
    stage.stop().await;

    let (stage, later) = stage_with(&with_days_left(&ca, "later", 60), None).await;
    assert_eq!(later.state, State::Live, "{later:?}");
    assert_eq!(told(&status(&stage).await), serde_json::Value::Null);
    stage.stop().await;
}

#[test]
fn check_tells_of_the_brokers_certificates_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ca = Authority::new(folder.path(), "ours");
    let pair = with_days_left(&ca, "node", 10);
    let text = format!(
        "{SMALL}\n[broker]\nurl = \"mqtts://127.0.0.1:1\"\nca_file = {:?}\nclient_cert_file = {:?}\nclient_key_file = {:?}\n",
        ca.ca_file, pair.cert_file, pair.key_file
    );
    let config = folder.path().join("node.toml");
    std::fs::write(&config, text).expect("written");
    let mut check = Command::new(env!("CARGO_BIN_EXE_camera-node"));
    let output = check.args(["check", "--json", "--config"]).arg(&config).output().expect("the binary runs");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let of = |part: &str| found.as_array().and_then(|all| all.iter().find(|one| one["part"] == part)).cloned();
    let client = of("certificate broker.client_cert_file").expect("found");
    assert!(
        client["ok"] == true && client["advice"].as_str().is_some_and(|advice| advice.contains("newer one")),
        "{client}"
    );
    let authority = of("certificate broker.ca_file").expect("found");
    assert!(authority["ok"] == true && authority["advice"].is_null(), "{authority}");
}
