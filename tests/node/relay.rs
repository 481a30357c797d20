//! A node and a viewer that can reach a TURN server and nothing else, by TCP alone, over IPv4 and over IPv6; in network
//! namespaces, which needs root.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Child;
use tokio::time::timeout;

use crate::coturn::{self, Coturn, SECRET};
use crate::lacking::left_out_for;
use crate::mosquitto;
use crate::namespaces::{ip, run_in, unused_name};
use crate::spy::Spy;
use crate::stage::{Report, SMALL, place};

/// A login at the server is good for so long.
const LIFETIME_S: u32 = 60;

/// One of the two internets. Nothing on the island has an address of the other, not even on loopback.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    /// The server's address, on no cable; a public one, or the shipped file would let nobody relay to it.
    fn server(self) -> &'static str {
        match self {
            Self::V4 => "11.78.0.1",
            Self::V6 => "2600:78::1",
        }
    }

    /// The same in a URL.
    fn host(self) -> &'static str {
        match self {
            Self::V4 => "11.78.0.1",
            Self::V6 => "[2600:78::1]",
        }
    }

    /// Address and prefix of the first or second end of a cable.
    fn on_cable(self, cable: u8, end: u8) -> (String, u8) {
        match self {
            Self::V4 => (format!("10.78.{cable}.{end}"), 24),
            Self::V6 => (format!("fd78:{cable}::{end}"), 64),
        }
    }
}

/// A hub with broker and TURN server, and a cable from it to each of node and viewer. It forwards nothing.
struct Island {
    family: Family,
    hub: String,
    node: String,
    viewer: String,
}

impl Island {
    /// `None`, and says so, where this user may not.
    fn raise(family: Family) -> Option<Self> {
        let island = Self { family, hub: unused_name("hub"), node: unused_name("rnode"), viewer: unused_name("rview") };
        let Self { hub, node, viewer, .. } = &island;
        if !ip(&format!("netns add {hub}")) {
            left_out_for("network-namespaces");
            return None;
        }
        let add = |namespace: &str, address: &str, device: &str| {
            let nodad = if family == Family::V6 { " nodad" } else { "" };
            format!("-n {namespace} addr add {address} dev {device}{nodad}")
        };
        let whole = if family == Family::V6 { 128 } else { 32 };
        let mut commands =
            vec![format!("-n {hub} link set lo up"), add(hub, &format!("{}/{whole}", family.server()), "lo")];
        for (number, end) in [(1, node), (2, viewer)] {
            let ((near, prefix), (far, _)) = (family.on_cable(number, 1), family.on_cable(number, 2));
            commands.extend([
                format!("netns add {end}"),
                format!("-n {hub} link add to{number} type veth peer name out netns {end}"),
                add(hub, &format!("{near}/{prefix}"), &format!("to{number}")),
                format!("-n {hub} link set to{number} up"),
                format!("-n {end} link set lo up"),
                add(end, &format!("{far}/{prefix}"), "out"),
                format!("-n {end} link set out up"),
                format!("-n {end} route add default via {near}"),
            ]);
        }
        if family == Family::V6 {
            commands.extend([hub, node, viewer].map(|namespace| format!("-n {namespace} addr del 127.0.0.1/8 dev lo")));
        }
        for command in commands {
            assert!(ip(&command), "ip {command}");
        }
        Some(island)
    }

    /// The hub takes nothing but TCP from the cables.
    async fn block_udp(&self) {
        let rules = "table inet island { chain input { type filter hook input priority 0; iif lo accept; meta l4proto udp drop; }; }";
        let nft = run_in(&self.hub, "nft", &[rules]).status().await;
        assert!(nft.is_ok_and(|status| status.success()), "nftables blocks UDP");
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        for namespace in [&self.hub, &self.node, &self.viewer] {
            ip(&format!("netns del {namespace}"));
        }
    }
}

/// All that is on the island: a broker, a TURN server, a node.
struct Play {
    turn: Coturn,
    island: Island,
    _broker: Child,
    _node: Child,
    folder: tempfile::TempDir,
}

impl Play {
    /// The node's only server is at `url`, a TURN server's; with no URL it has none. `ice` is added to `[ice]`.
    async fn start(family: Family, url: Option<&str>, ice: &str) -> Option<Self> {
        if !coturn::is_installed() || !mosquitto::is_installed() {
            return None;
        }
        let island = Island::raise(family)?;
        let (server, host) = (family.server(), family.host());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runner = ["ip", "netns", "exec", &island.hub];
        let relays = if family == Family::V6 { "allocation-default-address-family=ipv6\n" } else { "" };
        let turn = Coturn::start(&runner, &[server], [3478, 5349], &[], relays).await;
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("mosquitto.conf"), format!("listener 1883 {server}\nallow_anonymous true\n"))
            .expect("written");
        let mut broker = run_in(&island.hub, "/usr/sbin/mosquitto", &["-c", &at("mosquitto.conf")]);
        let broker = broker.stderr(Stdio::null()).spawn().expect("it can be run");

        std::fs::write(at("secret"), SECRET).expect("written");
        let servers = url.map_or_else(String::new, |url| {
            let secret = at("secret");
            format!("[[ice.servers]]\nurls = [{url:?}]\nsecret_file = {secret:?}\nlifetime_s = {LIFETIME_S}\n")
        });
        let text = format!(
            "{SMALL}ca_file = {ca:?}\n{ice}{servers}[broker]\nurl = \"mqtt://{host}\"\n[access]\ni_trust_the_broker = true\n",
            ca = turn.ca.ca_file,
        );
        std::fs::write(at("node.toml"), text).expect("written");
        let mut node = run_in(&island.node, env!("CARGO_BIN_EXE_camera-node"), &["run", "--config", &at("node.toml")]);
        // The page, which nobody looks at here.
        node.env("CAMERA_NODE__HTTP__ENABLED", "false");
        let node = node.spawn().expect("it can be run");
        Some(Self { turn, island, _broker: broker, _node: node, folder })
    }

    /// A viewer, at the end of its cable, for so long.
    fn watch(&self, seconds: u32) -> Child {
        self.watch_from(&self.island.viewer, seconds)
    }

    fn watch_from(&self, namespace: &str, seconds: u32) -> Child {
        let (seconds, ca) = (seconds.to_string(), self.turn.ca.ca_file.display().to_string());
        let broker = format!("mqtt://{}", self.island.family.host());
        let options = ["watch", "--json", "--node", "stage", "--broker", &broker, "--turn-ca-file", &ca];
        let mut watch = run_in(namespace, env!("CARGO_BIN_EXE_camera-node"), &options);
        // Decoding is not what is tested, and there may be many at once.
        watch.args(["--no-decode", "--seconds", &seconds]).stdout(Stdio::piped()).spawn().expect("it can be run")
    }

    /// Who hears all that the node says to viewers.
    async fn spy(&self) -> Spy {
        Spy::at(&self.island.hub, self.island.family.server(), "camera-node/v1/stage/out/+").await
    }

    /// What `camera-node check`, beside the node, says of its TURN server.
    async fn checked(&self) -> String {
        let config = self.folder.path().join("node.toml").display().to_string();
        let options = ["check", "--config", &config];
        let output = run_in(&self.island.node, env!("CARGO_BIN_EXE_camera-node"), &options).output().await;
        let text = String::from_utf8(output.expect("it ran").stdout).expect("text");
        text.lines().filter(|line| line.contains("turn")).collect()
    }
}

pub async fn report(watch: Child, limit: Duration) -> Report {
    let output = timeout(limit, watch.wait_with_output()).await.expect("it ends").expect("it ran");
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

async fn plays_over(family: Family, url: &str, word: &str) {
    let Some(play) = Play::start(family, Some(url), "").await else { return };
    play.island.block_udp().await;
    let seen = report(play.watch(5), Duration::from_secs(60)).await;
    assert!(seen.frames >= 30, "5 s at 30 fps, on a machine that does other things too: {seen:?}");
    assert_eq!(seen.events, ["join", "peer", "opening", "offer", "answer", "connected", "leave"]);
    // One relay for each of the two, with a login of its own.
    play.turn.says(word, 2).await;
    play.turn.says(".node>, lifetime=600", 1).await;
    let checked = play.checked().await;
    assert!(checked.contains(&format!("gave us a relay at {}:", family.host())), "{checked}");
}

const V4_UDP: &str = "turn:11.78.0.1:3478?transport=udp";
const V4_TCP: &str = "turn:11.78.0.1:3478?transport=tcp";
const V4_TLS: &str = "turns:11.78.0.1:5349?transport=tcp";
const V6_TLS: &str = "turns:[2600:78::1]:5349?transport=tcp";

#[tokio::test(flavor = "multi_thread")]
async fn where_udp_is_blocked_it_plays_through_a_relay_over_tcp_and_over_tls() {
    let _place = place().await;
    plays_over(Family::V4, V4_TCP, "tcp or tls connected to").await;
    plays_over(Family::V4, V4_TLS, "method=TLS").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_plays_where_there_is_no_ipv4_straight_and_through_a_relay() {
    let _place = place().await;
    if let Some(play) = Play::start(Family::V6, None, "").await {
        // From the hub there is a way to the node.
        let seen = report(play.watch_from(&play.island.hub, 2), Duration::from_secs(60)).await;
        assert!(seen.frames >= 15, "2 s at 30 fps: {seen:?}");
    }
    plays_over(Family::V6, V6_TLS, "method=TLS").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_to_use_relays_alone_tells_and_uses_no_other_way_though_there_is_one() {
    let _place = place().await;
    let Some(play) = Play::start(Family::V4, Some(V4_UDP), "policy = \"relay\"\n").await else { return };
    let spy = play.spy().await;
    // From the hub there is a way to the node.
    let seen = report(play.watch_from(&play.island.hub, 2), Duration::from_secs(60)).await;
    assert!(seen.frames >= 15, "2 s at 30 fps: {seen:?}");
    play.turn.says(".node>, lifetime=600", 1).await;
    let said: Vec<String> = spy.heard().iter().map(|heard| heard.message.to_string()).collect();
    let said = said.join("\n");
    assert!(said.contains(" typ relay "), "{said}");
    let (node, _) = Family::V4.on_cable(1, 2);
    for other in [" typ host", " typ srflx", " typ prflx", node.as_str()] {
        assert!(!said.contains(other), "{other}: {said}");
    }
}

/// The ring `relay` of tests/run.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes four minutes"]
async fn a_login_of_a_minute_is_enough_for_three_and_a_relay_made_anew_after_that_has_a_later_one() {
    let _place = place().await;
    tokio::join!(renews_over(V4_TCP), renews_over(V4_TLS));
}

async fn renews_over(url: &str) {
    let Some(mut play) = Play::start(Family::V4, Some(url), "").await else { return };
    play.island.block_udp().await;
    let spy = play.spy().await;
    let (undisturbed, disturbed) = (play.watch(180), play.watch(225));
    let (seen, stall) = beside_stalls(report(undisturbed, Duration::from_secs(240))).await;
    assert!(seen.frames >= 180 * 28, "{url}: {seen:?}");
    let gap_ms = seen.longest_gap_ms - 1_000.0 * stall.as_secs_f64();
    assert!(gap_ms <= 500.0, "{url}: beyond the {stall:?} that this machine made everybody wait: {seen:?}");
    assert_eq!(seen.events, ["join", "peer", "opening", "offer", "answer", "connected", "leave"], "{url}");

    // A relay that was had once is kept without a login that is good, by this server. One made anew is not.
    play.turn.restart().await;
    let seen = report(disturbed, Duration::from_secs(120)).await;
    assert_eq!(seen.events.iter().filter(|step| *step == "join").count(), 1, "{url}: the session went on: {seen:?}");
    assert!(seen.events.iter().any(|step| step == "recovered"), "{url}: {seen:?}");
    assert!(seen.frames >= 190 * 28, "{url}: {seen:?}");

    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for heard in spy.heard().iter().filter(|heard| heard.message["type"] == "peer") {
        let login = heard.message["iceServers"][0]["username"].as_str().expect("a login").to_owned();
        let left = ends(&login).saturating_sub(heard.unix_s);
        assert!((1..=u64::from(LIFETIME_S)).contains(&left), "{url}: {login} is good for {left} s: {heard:?}");
        let logins = told.entry(heard.topic.clone()).or_default();
        // What is not acknowledged is said again.
        if logins.last() != Some(&login) {
            logins.push(login);
        }
    }
    assert_eq!(told.len(), 2, "{url}: two viewers: {told:?}");
    assert!(told.values().all(|logins| logins.len() >= 4), "{url}: {told:?}");
    let first = told.values().map(|logins| ends(&logins[0])).max().expect("two");
    let log = play.turn.log();
    let used: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(": new, realm="))
        .filter_map(|line| line.split_once("username=<")?.1.split('>').next())
        .collect();
    // The viewer's and the node's.
    assert!(used.len() >= 2 && used.iter().all(|login| ends(login) > first), "{url}: {used:?}, {told:?}");
    assert!(used.iter().any(|login| told.values().flatten().any(|told| told == login)), "{url}: {used:?}, {told:?}");
}

/// What comes of `watching`, and the longest time that a thread of this machine's had to wait meanwhile beyond what it had asked.
async fn beside_stalls<T>(watching: impl Future<Output = T>) -> (T, Duration) {
    const TICK: Duration = Duration::from_millis(20);
    let mut ticks = tokio::time::interval(TICK);
    let (mut last, mut longest) = (ticks.tick().await, Duration::ZERO);
    let mut watching = std::pin::pin!(watching);
    loop {
        tokio::select! {
            outcome = &mut watching => return (outcome, longest),
            _ = ticks.tick() => {
                let waited = now().duration_since(last).saturating_sub(TICK);
                (last, longest) = (now(), longest.max(waited));
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a tick really took is what is measured")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// When a login ends, in seconds since 1970.
fn ends(login: &str) -> u64 {
    login.split(':').next().and_then(|unix_s| unix_s.parse().ok()).expect("it begins with a time")
}
