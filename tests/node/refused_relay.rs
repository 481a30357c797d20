//! A TURN server that lets the node in with no login: the log says which, and what to check.

use std::time::Duration;

use crate::coturn::{self, Coturn};
use crate::daemon::Daemon;
use crate::ports::free_ports;
use crate::stage::{SMALL, alone, embedded_broker, watch_at};

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_server_that_refuses_the_login_is_named_once_with_what_to_check() {
    if !coturn::is_installed() {
        return;
    }
    let _alone = alone().await;
    let folder = tempfile::tempdir().expect("there is room");
    let ports = free_ports();
    let turn =
        Coturn::start(&[], &["127.0.0.1"], ports, &["127.0.0.0-127.255.255.255"], "allow-loopback-peers\n").await;
    let any = ([127, 0, 0, 1], 0).into();
    let broker = embedded_broker(any, any).await;
    let url = format!("mqtt://{}", broker.tcp_addr());
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "not the server's\n").expect("there is room");
    let servers =
        [format!("turn:localhost:{}?transport=udp", ports[0]), format!("turn:127.0.0.1:{}?transport=tcp", ports[0])];
    let text =
        format!("{SMALL}\n[[ice.servers]]\nurls = {servers:?}\nsecret_file = {secret:?}\n[broker]\nurl = '{url}'\n");
    let config = folder.path().join("node.toml");
    std::fs::write(&config, text).expect("there is room");

    let node = Daemon::start(&config, &[]);
    node.says("broker connection up").await;
    let refusals = |log: &str, url: &str| {
        let told = format!("url=\"{url}\"");
        let lines = log.lines().filter(|line| line.contains(&told));
        lines.filter(|line| line.contains("WARN") && line.contains("refuses the user name and password (401)")).count()
    };
    // The second is refused as well, and that is known by then.
    for _ in 0..2 {
        let seen = watch_at(&url, &["--seconds", "2"]).await;
        assert!(seen.frames >= 20, "there is a way without a relay: {seen:?}");
        for server in &servers {
            crate::stage::eventually(server, Duration::from_secs(15), || refusals(&node.log(), server) == 1).await;
        }
    }
    let log = node.stop().await;
    for server in &servers {
        assert_eq!(refusals(&log, server), 1, "{server}:\n{log}");
    }
    assert!(log.contains("static-auth-secret"), "{log}");
    assert!(turn.log().contains("401"), "the server's own words: {}", turn.log());
    broker.stop().await;
}
