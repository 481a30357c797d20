//! A node with its own broker behind the page's port, and clients that mean no good.

use std::net::SocketAddr;
use std::time::Duration;

use camera_node::config::Config;
use camera_node::node::{Node, State};
use camera_node::signalling::config::Broker;
use camera_node::signalling::{Endpoint, Link, LinkEvent, LinkSetup, MqttLink};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::daemon::Daemon;
use crate::ports::free_ports;
use crate::stage::{SMALL, eventually, place, watch_at};

const SOON: Duration = Duration::from_secs(15);

async fn node() -> Node {
    let more =
        "[broker]\nembedded = true\nembedded_bind = \"127.0.0.1:0\"\nembedded_websocket_bind = \"127.0.0.1:0\"\n";
    let config = Config::from_text("lan.toml", &format!("{SMALL}\n{more}"), []).expect("a good config");
    let node = Node::start(config).await.expect("it starts");
    eventually("it is at its broker", SOON, || node.conditions()["broker"].state == State::Live).await;
    node
}

/// The first line of the answer to a request with these header lines.
async fn first_line(page: SocketAddr, request: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(page).await.expect("it listens");
    let text = format!("{request} HTTP/1.1\r\nHost: {page}\r\n{headers}\r\n");
    stream.write_all(text.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 1024];
    let length = timeout(SOON, stream.read(&mut answer)).await.expect("in time").expect("read");
    String::from_utf8_lossy(&answer[..length]).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_s_port_takes_websockets_of_its_own_pages_and_no_others() {
    let _place = place().await;
    let node = node().await;
    let page = node.page().expect("a page");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mqtt = "Sec-WebSocket-Protocol: mqtt\r\n";
    let strange = "Origin: https://evil.example\r\n";
    let own = format!("Origin: http://{page}\r\n");
    for (request, headers, answer) in [
        ("GET /mqtt", String::new(), "426"),
        ("POST /mqtt", format!("{upgrade}{mqtt}"), "426"),
        ("GET /mqtt", upgrade.to_owned(), "400"),
        ("GET /mqtt", format!("{upgrade}{mqtt}{strange}"), "403"),
        ("GET /mqtt", format!("{upgrade}{mqtt}{own}"), "101"),
        ("GET /mqtt", format!("{upgrade}{mqtt}"), "101"),
    ] {
        let line = first_line(page, request, &headers).await;
        assert!(line.starts_with(&format!("HTTP/1.1 {answer} ")), "{request} {headers}: {line}");
    }
    let seen = watch_at(&format!("ws://{page}/mqtt"), &["--seconds", "1"]).await;
    assert!(seen.frames >= 1, "{seen:?}");
    node.stop().await.expect("no thread is stuck");
}

/// Room for both ends of some thousand connections in this process; a shell mostly gives 1,024 descriptors, and more to
/// who asks.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum.map_or(Some(16_384), |most| Some(most.min(16_384)));
    setrlimit(Resource::Nofile, limit).expect("up to the maximum anyone may");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_the_nodes_own_broker_turns_away_are_summed_in_the_log() {
    let _place = place().await;
    let folder = tempfile::tempdir().expect("there is room");
    let [broker] = free_ports();
    let more = format!(
        "[broker]\nembedded = true\nembedded_bind = \"0.0.0.0:{broker}\"\nembedded_websocket_bind = \"127.0.0.1:0\"\n\
         [access]\ni_trust_the_broker = true\n"
    );
    let state = format!("id = \"stage\"\nstate_folder = {:?}", folder.path());
    let config = folder.path().join("node.toml");
    std::fs::write(&config, format!("{}\n{more}", SMALL.replace("id = \"stage\"", &state))).expect("there is room");
    let node = Daemon::start(&config, &[]);
    node.says("broker connection up").await;
    let setup = LinkSetup { client_id: "eve".to_owned(), ..LinkSetup::default() };
    let mut eve = MqttLink::start(Endpoint::plain("127.0.0.1", broker), setup, 1);
    assert!(matches!(timeout(SOON, eve.next()).await, Ok(Some(LinkEvent::Down { .. }))));
    node.says("embedded broker turned clients away: 1 (no or a wrong password 1) last=\"eve\"").await;
    eve.close(Vec::new()).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_keep_no_viewer_away() {
    raise_descriptor_limit();
    let _place = place().await;
    let node = node().await;
    let page = node.page().expect("a page");
    let websocket = node.broker_websocket_url().expect("it has one").to_owned();
    let of_url = |url: &str| -> SocketAddr {
        url.split("://")
            .nth(1)
            .and_then(|rest| rest.split('/').next())
            .expect("host and port")
            .parse()
            .expect("an address")
    };
    let mut silent = Vec::new();
    for address in [page, of_url(&websocket), of_url(node.broker_url())] {
        // More than any of the servers has places for, from another address than the viewers'.
        for _ in 0..700 {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind(SocketAddr::from(([127, 0, 0, 9], 0))).expect("loopback");
            silent.push(socket.connect(address).await.expect("it listens"));
        }
    }
    for url in [format!("ws://{page}/mqtt"), websocket, node.broker_url().to_owned()] {
        let broker = Broker { url: url.parse().expect("a URL"), ..Broker::default() };
        let endpoint = Endpoint::from_config(&broker).expect("it needs no files");
        let topic = "camera-node/v1/stage/status".to_owned();
        let setup = LinkSetup { client_id: "ann".to_owned(), subscriptions: vec![topic], ..LinkSetup::default() };
        let mut viewer = MqttLink::start(endpoint, setup, 1);
        let first = timeout(SOON, viewer.next()).await.expect("in time");
        assert_eq!(first, Some(LinkEvent::Up { conn: 1 }), "{url}");
    }
    assert!(first_line(page, "GET /healthz", "").await.starts_with("HTTP/1.1 200 "));
    drop(silent);
    node.stop().await.expect("no thread is stuck");
}
