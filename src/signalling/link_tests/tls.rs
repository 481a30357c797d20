//! The link through TLS and WebSocket, with Debian's mosquitto, where it is installed.

use std::fmt::Write as _;
use std::path::PathBuf;

use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;

use super::certificates::{Authority, Pair};
use super::mosquitto::{Mosquitto, installed};
use super::ports::free_ports;
use super::*;
use crate::signalling::config::Broker;

/// A mosquitto with every kind of listener, and the files to get in.
struct Secured {
    broker: Mosquitto,
    ours: Authority,
    client: Pair,
    stranger: Pair,
    /// In the order of [`KINDS`].
    ports: [u16; KINDS.len()],
}

const KINDS: [&str; 7] = ["mqtt", "ws", "mqtts", "wss", "mutual", "expired", "future"];

impl Secured {
    async fn start() -> Option<Self> {
        if !installed() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ours = Authority::new(folder.path(), "ours");
        let good = ours.sign("server", &["localhost", "127.0.0.1"]);
        let expired = ours.sign_for("expired", &["localhost"], (2000, 2001));
        let future = ours.sign_for("future", &["localhost"], (2100, 2101));
        let client = ours.sign("cam", &[]);
        let stranger = Authority::new(folder.path(), "others").sign("stranger", &[]);
        let ports = free_ports();
        let mut text = "per_listener_settings true\n".to_owned();
        for (kind, port) in KINDS.iter().zip(&ports) {
            _ = writeln!(text, "listener {port} 127.0.0.1\nallow_anonymous true");
            if kind.starts_with("ws") {
                text += "protocol websockets\n";
            }
            let pair = match *kind {
                "mqtt" | "ws" => continue,
                "expired" => &expired,
                "future" => &future,
                _ => &good,
            };
            let (ca, cert, key) = (ours.ca_file.display(), pair.cert_file.display(), pair.key_file.display());
            _ = writeln!(text, "cafile {ca}\ncertfile {cert}\nkeyfile {key}");
            if *kind == "mutual" {
                text += "require_certificate true\nuse_identity_as_username true\n";
            }
        }
        // Listeners are opened one after the other.
        let last = ports[KINDS.len() - 1];
        let address = SocketAddr::from(([127, 0, 0, 1], last));
        let broker = Mosquitto::start_with(address, folder, &text).await;
        Some(Self { broker, ours, client, stranger, ports })
    }

    fn port(&self, kind: &str) -> u16 {
        self.ports[KINDS.iter().position(|known| *known == kind).expect("a kind")]
    }

    /// The config of a client of that listener that knows the authority.
    fn config(&self, kind: &str) -> Broker {
        let scheme = if matches!(kind, "mqtt" | "ws" | "wss") { kind } else { "mqtts" };
        let url = format!("{scheme}://localhost:{}", self.port(kind)).parse().expect("a URL");
        let ca_file = url_is_tls(scheme).then(|| self.ours.ca_file.clone());
        Broker { url, ca_file, ..Broker::default() }
    }

    fn with_pair(&self, kind: &str, pair: &Pair) -> Broker {
        let (cert, key) = (pair.cert_file.clone(), pair.key_file.clone());
        Broker { client_cert_file: Some(cert), client_key_file: Some(key), ..self.config(kind) }
    }
}

fn url_is_tls(scheme: &str) -> bool {
    scheme.ends_with('s') && scheme != "ws"
}

fn link(config: &Broker, id: &str) -> MqttLink {
    let endpoint = Endpoint::from_config(config).expect("its files are there");
    let subscriptions = vec![format!("{PREFIX}/cam/in/{id}")];
    MqttLink::start(endpoint, LinkSetup { client_id: id.to_owned(), subscriptions, ..LinkSetup::default() }, 9)
}

async fn why_not(config: &Broker) -> String {
    down(&mut link(config, "ann")).await
}

#[tokio::test]
async fn every_way_to_a_broker_carries_messages_of_any_size() {
    let Some(stage) = Secured::start().await else { return };
    let client = &stage.client;
    for config in [stage.config("ws"), stage.config("mqtts"), stage.config("wss"), stage.with_pair("mutual", client)] {
        let mut ann = link(&config, "ann");
        assert_eq!(up(&mut ann).await, 1, "{}", config.url);
        // Mosquitto 2.0.11 takes seconds for the largest over WebSocket, which a busy machine makes too long.
        let is_websocket = config.url.to_string().starts_with("ws");
        for bytes in [0, 1, 4_000, if is_websocket { 16_000 } else { MAX_PAYLOAD_BYTES }] {
            let text = "x".repeat(bytes);
            ann.publish(message("in/ann", text.clone(), false)).expect("up");
            assert_eq!(said(&mut ann).await, format!("in/ann: {text}"), "{}", config.url);
        }
        for number in 0..100 {
            ann.publish(message("in/ann", number.to_string(), false)).expect("room for a hundred");
        }
        for number in 0..100 {
            assert_eq!(said(&mut ann).await, format!("in/ann: {number}"), "{}", config.url);
        }
        ann.close(Vec::new()).await;
    }
}

#[tokio::test]
async fn a_broker_that_cannot_be_trusted_is_refused_with_the_reason() {
    let Some(stage) = Secured::start().await else { return };
    let begins = |kind: &str, rest: &str| format!("the certificate of localhost:{} {rest}", stage.port(kind));

    let unknown = Broker { ca_file: None, ..stage.config("mqtts") };
    assert_eq!(
        why_not(&unknown).await,
        begins("mqtts", "comes from an authority that is not known here: set ca_file to its CA")
    );
    let misnamed =
        Broker { server_name: Some("other.example".to_owned().try_into().expect("a name")), ..stage.config("wss") };
    let reason = why_not(&misnamed).await;
    assert!(reason.starts_with(&begins("wss", "is not for other.example but for ")), "{reason}");
    assert!(reason.contains("localhost"), "{reason}");
    let reason = why_not(&stage.config("expired")).await;
    assert!(reason.starts_with(&begins("expired", "expired on 2001-01-01, and here it is ")), "{reason}");
    let reason = why_not(&stage.config("future")).await;
    assert!(reason.starts_with(&begins("future", "is valid from 2100-01-01, and here it is ")), "{reason}");
}

#[tokio::test]
async fn a_certificate_that_is_missing_or_a_strangers_is_told() {
    let Some(stage) = Secured::start().await else { return };
    let port = stage.port("mutual");
    assert_eq!(
        why_not(&stage.config("mutual")).await,
        format!("localhost:{port} asks for a client certificate: set client_cert_file and client_key_file")
    );
    let reason = why_not(&stage.with_pair("mutual", &stage.stranger)).await;
    assert!(reason.starts_with(&format!("localhost:{port} refused this client's certificate (")), "{reason}");
}

#[tokio::test]
async fn a_certificate_that_is_exchanged_is_shown_from_the_next_connection_on() {
    let Some(mut stage) = Secured::start().await else { return };
    let mut ann = link(&stage.with_pair("mutual", &stage.client), "ann");
    assert_eq!(up(&mut ann).await, 1);
    // One that the broker refuses, so that it shows which is used.
    std::fs::copy(&stage.stranger.cert_file, &stage.client.cert_file).expect("ours");
    std::fs::copy(&stage.stranger.key_file, &stage.client.key_file).expect("ours");
    stage.broker.stop().await;
    stage.broker.start().await;
    while !down(&mut ann).await.contains("refused this client's certificate") {}
}

#[tokio::test]
async fn a_server_name_other_than_the_host_is_what_the_certificate_is_held_to() {
    let Some(stage) = Secured::start().await else { return };
    let by_address = |name: Option<&str>| Broker {
        url: format!("mqtts://127.0.0.1:{}", stage.port("mqtts")).parse().expect("a URL"),
        server_name: name.map(|name| name.to_owned().try_into().expect("a name")),
        ..stage.config("mqtts")
    };
    for name in [None, Some("localhost")] {
        assert_eq!(up(&mut link(&by_address(name), "ann")).await, 1, "{name:?}");
    }
}

#[tokio::test]
async fn the_wrong_kind_of_port_is_told() {
    let Some(stage) = Secured::start().await else { return };
    let at = |scheme: &str, kind: &str| {
        let url = format!("{scheme}://localhost:{}", stage.port(kind)).parse().expect("a URL");
        let ca_file = url_is_tls(scheme).then(|| stage.ours.ca_file.clone());
        Broker { url, ca_file, ..Broker::default() }
    };
    for (scheme, kind, words) in [
        ("mqtts", "mqtt", "closed the connection in the TLS handshake: is that its TLS port?"),
        ("mqtts", "ws", "does not speak TLS: is that its plain port?"),
        ("mqtt", "mqtts", "closed the connection"),
        ("ws", "mqtt", "closed the connection"),
    ] {
        let reason = why_not(&at(scheme, kind)).await;
        assert!(reason.contains(words), "{scheme} to the port of {kind}: {reason}");
    }
}

#[tokio::test]
async fn a_secured_link_comes_back_after_a_broker_restart() {
    let Some(mut stage) = Secured::start().await else { return };
    let mut ann = link(&stage.with_pair("mutual", &stage.client), "ann");
    assert_eq!(up(&mut ann).await, 1);
    stage.broker.stop().await;
    down(&mut ann).await;
    stage.broker.start().await;
    while !matches!(event(&mut ann).await, LinkEvent::Up { conn: 2 }) {}
}

#[tokio::test]
async fn a_handshake_asks_for_the_server_by_name_and_offers_the_protocols_of_the_config() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = server.local_addr().expect("bound").port();
    let config = |url: &str, name: Option<&str>, alpn: &[&str]| Broker {
        url: format!("{url}:{port}").parse().expect("a URL"),
        server_name: name.map(|name| name.to_owned().try_into().expect("a name")),
        alpn: alpn.iter().map(|name| (*name).to_owned().try_into().expect("a protocol")).collect(),
        ..Broker::default()
    };
    for (config, name, alpn) in [
        (config("mqtts://localhost", None, &[]), Some("localhost"), None),
        (config("mqtts://127.0.0.1", None, &[]), None, None),
        (config("wss://127.0.0.1", Some("a.example"), &["one", "two"]), Some("a.example"), Some(vec!["one", "two"])),
    ] {
        let _link = link(&config, "ann");
        let (stream, _) = server.accept().await.expect("a connection");
        let greeting = LazyConfigAcceptor::new(Acceptor::default(), stream).await.expect("a ClientHello");
        let hello = greeting.client_hello();
        assert_eq!(hello.server_name(), name, "{config:?}");
        let offered = hello.alpn().map(|names| names.map(|name| String::from_utf8_lossy(name).into_owned()).collect());
        let alpn = alpn.map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(offered, alpn, "{config:?}");
    }
}

#[tokio::test]
async fn a_handshake_that_hangs_is_begun_anew_when_an_address_is_lost() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("mqtts://{}", silent.local_addr().expect("bound")).parse().expect("a URL");
    let link = link(&Broker { url, ..Broker::default() }, "ann");
    let (_first, _) = silent.accept().await.expect("a connection");
    let lost = NetworkChange::AddressGone("192.0.2.7".parse().expect("an address"));
    assert!(link.network_reports().tell(lost));
    // By itself it would wait ten seconds for an answer.
    timeout(Duration::from_secs(4), silent.accept()).await.expect("at once").expect("a connection");
}

#[test]
fn files_that_do_not_fit_are_named_before_anything_is_tried() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ours = Authority::new(folder.path(), "ours");
    let (one, two) = (ours.sign("one", &[]), ours.sign("two", &[]));
    let base = Broker { url: "mqtts://h".parse().expect("a URL"), ..Broker::default() };
    let refused = |broker: Broker| Endpoint::from_config(&broker).expect_err("it does not fit").to_string();
    let path = |name: &str| folder.path().join(name);
    let shown = |path: &PathBuf| path.display().to_string();
    std::fs::write(path("empty.pem"), "nothing").expect("written");

    let said = refused(Broker { ca_file: Some(path("none.pem")), ..base.clone() });
    assert!(said.starts_with(&format!("broker.ca_file {}: ", shown(&path("none.pem")))), "{said}");
    assert!(said.contains("No such file"), "{said}");
    assert_eq!(
        refused(Broker { ca_file: Some(path("empty.pem")), ..base.clone() }),
        format!("broker.ca_file {}: holds no certificate in PEM form (\"-----BEGIN …\")", shown(&path("empty.pem")))
    );
    let pair = |cert: &PathBuf, key: &PathBuf| Broker {
        client_cert_file: Some(cert.clone()),
        client_key_file: Some(key.clone()),
        ..base.clone()
    };
    assert_eq!(
        refused(pair(&one.cert_file, &two.cert_file)),
        format!(
            "broker.client_key_file {}: holds no private key in PEM form (\"-----BEGIN …\")",
            shown(&two.cert_file)
        )
    );
    let said = refused(pair(&one.cert_file, &two.key_file));
    let both = format!("{} and client_key_file {}", shown(&one.cert_file), shown(&two.key_file));
    assert!(said.starts_with(&format!("broker.client_cert_file {both} do not go together: ")), "{said}");
}
