//! What no single key can get wrong: keys that need, or rule out, each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use super::document::{Document, Step, shown};
use super::error::Problem;
use super::{Camera, Config};
use crate::access;
use crate::capture::config::{AudioSourceKind, FormatPreference, VideoSourceKind};
use crate::media::{Flip, Rotation, stamp};
use crate::peer::config::{IcePolicy, IceServerConfig, bad_url};
use crate::playback::config::{Echo, SinkKind};

/// All the rules that `config` breaks.
pub fn broken(config: &Config, document: &Document<'_>) -> Vec<Problem> {
    let mut found = Findings { document, problems: Vec::new() };
    node(config, &mut found);
    cameras(config, &mut found);
    broker(config, &mut found);
    access(config, &mut found);
    listeners(config, &mut found);
    ice(config, &mut found);
    ring(config, &mut found);
    apps(config, &mut found);
    relative_paths(config, &mut found);
    found.problems
}

struct Findings<'a> {
    document: &'a Document<'a>,
    problems: Vec<Problem>,
}

impl Findings<'_> {
    fn add(&mut self, path: &[Step], message: impl Into<String>) {
        let place = self.document.place_of(path);
        self.problems.push(Problem { place, key: Some(shown(path)), message: message.into() });
    }
}

fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

fn node(config: &Config, found: &mut Findings<'_>) {
    if config.node.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        found.add(&[key("node"), key("name")], "is what people see: write a name, or leave it out to show the id");
    }
}

fn cameras(config: &Config, found: &mut Findings<'_>) {
    if config.camera.is_empty() {
        found.add(&[key("camera")], "a node has a camera: write one [[camera]] section, or none for the default one");
    }
    let mut names = BTreeSet::new();
    for (n, camera) in config.camera.iter().enumerate() {
        let path = [key("camera"), Step::Index(n)];
        if !names.insert(&camera.name) {
            let path = [&path[..], &[key("name")]].concat();
            found.add(&path, format!("another camera is called \"{}\" as well", camera.name));
        } else if n == 1 {
            found.add(
                &path,
                "one camera a node for now: run a second node, with a `node.id` of its own, for a second camera",
            );
        }
        sources(camera, &path, found);
    }
}

fn sources(camera: &Camera, path: &[Step], found: &mut Findings<'_>) {
    let video = |name: &str| [path, &[key("video"), key(name)]].concat();
    let audio = |name: &str| [path, &[key("audio"), key(name)]].concat();
    let is_missing = |file: &Path| file.as_os_str().is_empty();
    for (section, device) in
        [("video", &camera.video.device), ("audio", &camera.audio.device), ("speaker", &camera.speaker.device)]
    {
        if device.trim().is_empty() {
            let path = [path, &[key(section), key("device")]].concat();
            found.add(
                &path,
                "is empty: write \"auto\" for the first there is, or a name that `camera-node devices` shows",
            );
        }
    }
    if camera.video.source == VideoSourceKind::File && is_missing(&camera.video.file) {
        found.add(&video("source"), "plays a file, and `file` does not say which");
    }
    if camera.audio.source == AudioSourceKind::File && is_missing(&camera.audio.file) {
        found.add(&audio("source"), "plays a file, and `file` does not say which");
    }
    if camera.speaker.sink == SinkKind::File && is_missing(&camera.speaker.file) {
        let path = [path, &[key("speaker"), key("sink")]].concat();
        found.add(&path, "writes a file, and `file` does not say which");
    }
    if camera.speaker.echo == Echo::Cancel && !cfg!(feature = "echo-canceller") {
        let path = [path, &[key("speaker"), key("echo")]].concat();
        found.add(&path, "this program was built without it (cargo feature echo-canceller): use \"duck\"");
    }
    if matches!(camera.video.source, VideoSourceKind::TestPattern | VideoSourceKind::Still) {
        let (width, height) = (camera.video.width.value(), camera.video.height.value());
        let fits = stamp::block_side(width as usize, height as usize).is_some();
        for (name, side) in [("width", width), ("height", height)] {
            if !side.is_multiple_of(2) {
                found.add(&video(name), format!("must be even for the test pattern, not {side}"));
            } else if !fits && name == "width" {
                found.add(&video(name), "must be at least 320 for the test pattern, which carries a time stamp");
            }
        }
    }
    if camera.video.format == FormatPreference::H264 {
        let passed_through = "a camera's own H.264 is passed through as it is: use another `format` to";
        if camera.video.rotate != Rotation::None {
            found.add(&video("rotate"), format!("{passed_through} turn the picture"));
        }
        if camera.video.flip != Flip::None {
            found.add(&video("flip"), format!("{passed_through} mirror the picture"));
        }
    }
}

fn broker(config: &Config, found: &mut Findings<'_>) {
    let broker = &config.broker;
    for (name, message) in broker.broken() {
        found.add(&[key("broker"), key(name)], message);
    }
    if broker.embedded && !cfg!(feature = "embedded-broker") {
        found.add(
            &[key("broker"), key("embedded")],
            "this program was built without the broker (cargo feature embedded-broker)",
        );
    }
}

/// Without tokens, whoever reaches the broker can watch: that must be nobody beyond this machine, or be meant.
fn ring(config: &Config, found: &mut Findings<'_>) {
    let path = |name: &str| [key("ring"), key(name)];
    let own = format!("{}/{}/", config.broker.prefix, config.node.id());
    if config.ring.topic.as_ref().is_some_and(|topic| topic.as_str().starts_with(&own)) {
        found.add(&path("topic"), format!("{own}… is where viewers and the node talk: choose a topic of its own"));
    }
    if config.ring.topic.is_some() && config.broker.embedded {
        found.add(
            &path("topic"),
            "the embedded broker carries nothing but what viewers and the node say: use `POST /ring`",
        );
    }
    if config.ring.http_secret_file.is_some() && !config.http.enabled {
        found.add(&path("http_secret_file"), "nobody can post to http, which `http.enabled` turns off");
    }
}

fn apps(config: &Config, found: &mut Findings<'_>) {
    let mut names = BTreeSet::new();
    for (n, app) in config.app.iter().enumerate() {
        let path = |name: &str| [key("app"), Step::Index(n), key(name)];
        if let Some((name, message)) = app.broken() {
            found.add(&path(name), message);
        } else if !names.insert(&app.name) {
            found.add(&path("name"), format!("another program is called \"{}\" as well", app.name));
        }
    }
}

/// What the node makes, and where it meets other programs, lies in the same place whatever folder it is started in: systemd
/// starts it in `/`, a person anywhere.
fn relative_paths(config: &Config, found: &mut Findings<'_>) {
    let sockets = config.app.iter().enumerate();
    let sockets = sockets.map(|(n, app)| (vec![key("app"), Step::Index(n), key("socket")], Some(&app.socket)));
    let others = [
        (vec![key("node"), key("state_folder")], config.node.state_folder.as_ref()),
        (vec![key("access"), key("clock_file")], config.access.clock_file.as_ref()),
        (vec![key("ring"), key("socket")], config.ring.socket.as_ref()),
    ];
    for (at, path) in sockets.chain(others) {
        if let Some(path) = path.filter(|path| path.is_relative() && !path.as_os_str().is_empty()) {
            let message = format!(
                "{} would be another place for each folder the node is started in: write the whole path, from / on",
                path.display()
            );
            found.add(&at, message);
        }
    }
}

fn access(config: &Config, found: &mut Findings<'_>) {
    let access = &config.access;
    let path = |name: &str| [key("access"), key(name)];
    if access.mode == access::config::Mode::Open && !access.i_trust_the_broker {
        for path in beyond_this_machine(config) {
            found.add(
                &path,
                "whoever reaches this broker from another machine could watch: set `access.mode` to \"token\", or \
                 `access.i_trust_the_broker` to true if all of them may",
            );
        }
    }
    if access.mode == access::config::Mode::Token && access.keys.is_empty() {
        found.add(
            &path("mode"),
            "tokens are checked with a key, and there is none: `camera-node keys make` makes one, and an [[access.keys]] \
             section names it",
        );
    }
    let mut names = BTreeSet::new();
    for (n, file) in access.keys.iter().enumerate() {
        if !names.insert(&file.kid) {
            let path = [&path("keys")[..], &[Step::Index(n), key("kid")]].concat();
            found.add(&path, format!("another key is called \"{}\" as well", file.kid));
        }
        if file.file.as_os_str().is_empty() {
            let path = [&path("keys")[..], &[Step::Index(n)]].concat();
            found.add(&path, "a key is in a file: set `file` to its path");
        }
    }
}

/// The keys by which other machines reach the broker without being asked for anything.
fn beyond_this_machine(config: &Config) -> Vec<Vec<Step>> {
    let broker = &config.broker;
    if broker.embedded {
        let open = config.embedded_reach().into_iter().filter(|_| !broker.embedded_password);
        return open.map(|(path, _)| path.iter().map(|name| key(name)).collect()).collect();
    }
    let websocket = broker.websocket_url.as_ref().is_none_or(|url| is_on_loopback(url.as_str()));
    let keys = [("url", is_on_loopback(&broker.url.to_string())), ("websocket_url", websocket)];
    keys.into_iter().filter(|(_, is_local)| !is_local).map(|(name, _)| vec![key("broker"), key(name)]).collect()
}

/// Whether a broker's URL, of whatever scheme, stays on this machine.
fn is_on_loopback(url: &str) -> bool {
    // `loopback:` leads nowhere at all.
    let Some((_, rest)) = url.split_once("://") else { return true };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    };
    let host = host.unwrap_or_default();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// What listens on TCP: no two on one port.
fn listeners(config: &Config, found: &mut Findings<'_>) {
    for (name, message) in config.http.tls.broken() {
        found.add(&[key("http"), key("tls"), key(name)], message);
    }
    let mut ports: BTreeMap<u16, (SocketAddr, String)> = BTreeMap::new();
    let mut claims = Vec::new();
    if config.http.enabled {
        claims.push((config.http.bind, vec![key("http"), key("bind")]));
        claims.extend(config.http.tls_bind().map(|bind| (bind, vec![key("http"), key("tls"), key("bind")])));
    }
    if config.broker.embedded {
        claims.push((config.broker.embedded_bind, vec![key("broker"), key("embedded_bind")]));
        claims.push((config.broker.embedded_websocket_bind, vec![key("broker"), key("embedded_websocket_bind")]));
    }
    if config.ice.tcp {
        claims.push(((Ipv4Addr::UNSPECIFIED, config.ice.tcp_port).into(), vec![key("ice"), key("tcp_port")]));
    }
    for (address, path) in claims.into_iter().filter(|(address, _)| address.port() != 0) {
        match ports.get(&address.port()) {
            Some((other, owner))
                if other.ip() == address.ip() || other.ip().is_unspecified() || address.ip().is_unspecified() =>
            {
                found.add(&path, format!("port {} is `{owner}`'s already", address.port()));
            }
            _ => _ = ports.insert(address.port(), (address, shown(&path))),
        }
    }
}

fn ice(config: &Config, found: &mut Findings<'_>) {
    let ice = &config.ice;
    let path = |name: &str| [key("ice"), key(name)];
    if !ice.bind.is_empty() && !ice.interfaces.is_empty() {
        found.add(&path("interfaces"), "addresses are chosen by `bind` or by `interfaces`, not by both");
    }
    for (n, name) in ice.interfaces.iter().enumerate() {
        // As the kernel has it: dev_valid_name in net/core/dev.c.
        let is_name = (1..=15).contains(&name.len()) && !name.contains(|c: char| c.is_whitespace() || "/:".contains(c));
        if !is_name {
            let path = [&path("interfaces")[..], &[Step::Index(n)]].concat();
            found.add(&path, format!("is like \"eth0\" or \"wlan0\" (`ip link` lists them), not \"{name}\""));
        }
    }
    if ice.public_address.ip().is_some() && ice.port_range.bounds().is_none() {
        found.add(&path("public_address"), "a router forwards known ports: set `port_range` to those it forwards");
    }
    if ice.tcp && ice.public_address.ip().is_some() && ice.tcp_port == 0 {
        found.add(&path("public_address"), "a router forwards known ports: set `tcp_port` to the one it forwards");
    }
    if !ice.tcp && ice.tcp_port != 0 {
        found.add(&path("tcp_port"), "nobody comes in there: set `tcp` to true");
    }
    if ice.tcp && ice.policy == IcePolicy::Relay {
        found.add(&path("tcp"), "media goes through TURN servers only, so nobody comes in: leave `tcp` out");
    }
    if let Some((first, last)) = ice.port_range.bounds() {
        let ports = u32::from(last - first) + 1;
        let viewers = config.limits.max_viewers.value();
        if ports < viewers {
            found.add(
                &path("port_range"),
                format!("has {ports} ports, and `limits.max_viewers` lets {viewers} viewers in, who take one each"),
            );
        }
    }
    for (n, server) in ice.servers.iter().enumerate() {
        ice_server(server, &[key("ice"), key("servers"), Step::Index(n)], found);
    }
    let has_turn = ice.servers.iter().flat_map(|server| &server.urls).any(|url| is_turn(url));
    if ice.policy == IcePolicy::Relay && !has_turn {
        found.add(&path("policy"), "media through TURN servers only, and there is none in [[ice.servers]]");
    }
}

fn ice_server(server: &IceServerConfig, path: &[Step], found: &mut Findings<'_>) {
    let at = |name: &str| [path, &[key(name)]].concat();
    if server.urls.is_empty() {
        found.add(&at("urls"), "a server needs a URL, like \"stun:stun.example.org:3478\"");
    }
    for (n, url) in server.urls.iter().enumerate() {
        if let Some(why) = bad_url(url) {
            found.add(&[&at("urls")[..], &[Step::Index(n)]].concat(), why);
        }
    }
    let has_secret = !server.secret_file.as_os_str().is_empty();
    let has_login = !server.username.is_empty() && !server.credential_file.as_os_str().is_empty();
    if server.urls.iter().any(|url| is_turn(url)) && !has_login && !has_secret {
        found.add(
            &at("urls"),
            "a TURN server wants a user name and a password: set `username` and `credential_file`, or `secret_file`",
        );
    }
    if has_secret && (!server.username.is_empty() || !server.credential_file.as_os_str().is_empty()) {
        found.add(&at("secret_file"), "makes user names and passwords: leave out `username` and `credential_file`");
    }
}

fn is_turn(url: &str) -> bool {
    url.starts_with("turn:") || url.starts_with("turns:")
}
