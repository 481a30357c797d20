//! A TURN server that lets the node in with no login: the log says which, and what to check.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::coturn::{self, Coturn};
use crate::daemon::Daemon;
use crate::ports::free_ports;
use crate::reload::healthz;
use crate::stage::{SMALL, Watch, embedded_broker, eventually, place};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_server_that_refuses_the_login_is_named_once_with_what_to_check() {
    if !coturn::is_installed() {
        return;
    }
    let _place = place().await;
    let folder = tempfile::tempdir().expect("there is room");
    let [http, ports @ ..] = free_ports::<3>();
    let turn =
        Coturn::start(&[], &["127.0.0.1"], ports, &["127.0.0.0-127.255.255.255"], "allow-loopback-peers\n").await;
    let any = ([127, 0, 0, 1], 0).into();
    let broker = embedded_broker(any, any).await;
    let url = format!("mqtt://{}", broker.tcp_addr());
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "not the server's\n").expect("there is room");
    let servers =
        [format!("turn:localhost:{}?transport=udp", ports[0]), format!("turn:127.0.0.1:{}?transport=tcp", ports[0])];
    let small = SMALL.replace("127.0.0.1:0", &format!("127.0.0.1:{http}"));
    let text =
        format!("{small}\n[[ice.servers]]\nurls = {servers:?}\nsecret_file = {secret:?}\n[broker]\nurl = '{url}'\n");
    let config = folder.path().join("node.toml");
    std::fs::write(&config, text).expect("there is room");

    let node = Daemon::start(&config, &[]);
    node.says("broker connection up").await;
    let refusals = |log: &str, url: &str| {
        let told = format!("url=\"{url}\"");
        let lines = log.lines().filter(|line| line.contains(&told));
        lines.filter(|line| line.contains("WARN") && line.contains("refuses the user name and password (401)")).count()
    };
    // Each login is asked for, and then refused.
    let words_of_server = || turn.log().matches("error 401").count();
    let mut said = 0;
    for nth in 1..=2 {
        let viewer = Watch::at(&url, &[]);
        eventually("both ways are refused", SOON, || words_of_server() >= said + 2 * servers.len()).await;
        for server in &servers {
            eventually(server, SOON, || refusals(&node.log(), server) == 1).await;
        }
        let connected = || node.log().matches("step=\"connected\"").count();
        eventually("there is a way without a relay", SOON, || connected() == nth).await;
        // Viewers are there all the same, but for those who need a relay.
        let told = async {
            while healthz(http).await["parts"]["turn"].is_null() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(SOON, told).await.expect("it is told");
        let health = healthz(http).await;
        assert_eq!(health["state"], "degraded", "{health}");
        let detail = health["parts"]["turn"]["detail"].as_str().expect("in words");
        assert!(detail.starts_with("refused: ") && detail.contains("(401)"), "{detail}");
        viewer.interrupt();
        viewer.report().await;
        said = words_of_server();
    }
    let log = node.stop().await;
    for server in &servers {
        assert_eq!(refusals(&log, server), 1, "{server}:\n{log}");
    }
    assert!(log.contains("static-auth-secret"), "{log}");
    broker.stop().await;
}
