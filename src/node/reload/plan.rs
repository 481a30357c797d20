//! What another config changes, and what it takes to apply that.

use std::collections::BTreeMap;

use toml::Value;

use crate::config::Config;
use crate::peer::config::Ice;

/// What it takes to apply a key, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    /// Nothing: it holds from now on.
    AtOnce,
    /// The camera's pipeline begins anew; its viewers stay.
    Pipeline,
    /// The broker is connected to anew; viewers see on.
    Broker,
    /// The page's server begins anew; viewers see on.
    Page,
    /// The doorbell's sources begin anew.
    Bell,
    /// The program must be started anew.
    Restart,
}

impl Means {
    /// What the key at this path takes.
    pub fn of(key: &str) -> Self {
        let (section, name) = key.split_once('.').unwrap_or((key, ""));
        match (section.split('[').next().unwrap_or_default(), name) {
            ("node", "name") | ("access" | "app" | "files" | "ice" | "limits", _) | ("log", "level") => Self::AtOnce,
            ("camera", name) if !name.is_empty() && name != "name" => Self::Pipeline,
            ("broker", name) if name.starts_with("embedded") || matches!(name, "prefix" | "retain") => Self::Restart,
            ("broker", "websocket_url") | ("http", _) => Self::Page,
            ("broker", _) => Self::Broker,
            ("ring", _) => Self::Bell,
            _ => Self::Restart,
        }
    }
}

/// How to come from one config to another.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// The config to come to: the new one, but for what needs a restart.
    pub config: Config,
    /// Keys that change, by what that takes.
    changed: BTreeMap<Means, Vec<String>>,
    /// Keys that stay as they are until the program is started anew.
    pub left: Vec<String>,
}

impl Plan {
    /// From `old` to `new`.
    pub fn between(old: &Config, new: &Config) -> Self {
        let config = without_what_needs_a_restart(old, new);
        let mut changed: BTreeMap<Means, Vec<String>> = BTreeMap::new();
        for key in differences(old, &config) {
            changed.entry(Means::of(&key)).or_default().push(key);
        }
        let left = differences(&config, new);
        Self { config, changed, left }
    }

    /// Whether something changes that takes this.
    pub fn takes(&self, means: Means) -> bool {
        self.changed.contains_key(&means)
    }

    /// Whether a key that begins like this changes.
    pub fn touches(&self, beginning: &str) -> bool {
        self.applied().any(|key| key.starts_with(beginning))
    }

    /// All keys that change.
    pub fn applied(&self) -> impl Iterator<Item = &str> {
        self.changed.values().flatten().map(String::as_str)
    }
}

/// `new`, with what `old` says where a running node cannot follow.
fn without_what_needs_a_restart(old: &Config, new: &Config) -> Config {
    let mut config = new.clone();
    config.node.id.clone_from(&old.node.id);
    config.node.state_folder.clone_from(&old.node.state_folder);
    config.log.format = old.log.format;
    let (broker, before) = (&mut config.broker, &old.broker);
    broker.prefix = before.prefix.clone();
    broker.retain = before.retain;
    broker.embedded = before.embedded;
    broker.embedded_bind = before.embedded_bind;
    broker.embedded_websocket_bind = before.embedded_websocket_bind;
    broker.embedded_password = before.embedded_password;
    broker.embedded_origins.clone_from(&before.embedded_origins);
    let names = |config: &Config| config.camera.iter().map(|camera| camera.name.clone()).collect::<Vec<_>>();
    if names(&config) != names(old) {
        config.camera.clone_from(&old.camera);
    }
    // Who is in keeps the old connections' port, where no others could listen beside them.
    if old.ice.tcp && old.ice.tcp_port != 0 {
        config.ice = Ice { servers: config.ice.servers, ..old.ice.clone() };
    }
    // Whether the embedded broker asks for its password is settled when it starts.
    if config.asks_for_password() != old.asks_for_password() {
        config.http.clone_from(&old.http);
    }
    config
}

/// The keys in which two configs differ, as a person reads them: `camera[0].video.width`.
fn differences(old: &Config, new: &Config) -> Vec<String> {
    let value = |config| Value::try_from(config).expect("sections are plain data");
    let mut found = Vec::new();
    differ("", Some(&value(old)), Some(&value(new)), &mut found);
    found
}

fn differ(path: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<String>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Table(old)), Some(Value::Table(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                differ(&below, old.get(key), new.get(key), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new)))
            if old.len() == new.len() && old.iter().chain(new).all(Value::is_table) =>
        {
            for (n, (old, new)) in old.iter().zip(new).enumerate() {
                differ(&format!("{path}[{n}]"), Some(old), Some(new), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::from_text("plan", text, []).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn plan(old: &str, new: &str) -> Plan {
        Plan::between(&config(old), &config(new))
    }

    /// Applied and left, sorted.
    fn told(plan: &Plan) -> (Vec<&str>, Vec<&str>) {
        let mut applied: Vec<&str> = plan.applied().collect();
        applied.sort_unstable();
        let mut left: Vec<&str> = plan.left.iter().map(String::as_str).collect();
        left.sort_unstable();
        (applied, left)
    }

    #[test]
    fn the_same_config_changes_nothing() {
        let plan = plan("[node]\nname = 'a'", "[node]\nname = 'a'\n[limits]\nmax_viewers = 16");
        assert_eq!(told(&plan), (vec![], vec![]));
    }

    #[test]
    fn what_a_running_node_can_follow_is_applied_and_the_rest_is_left_and_named() {
        let old = "[node]\nid = 'one'\n[log]\nlevel = 'info'\n[camera.video]\nwidth = 640";
        let old = old.replace("[camera.video]", "[[camera]]\n[camera.video]");
        let new = "[node]\nid = 'two'\nname = 'Porch'\n[log]\nlevel = 'debug'\nformat = 'json'\n[[camera]]\n[camera.video]\nwidth = 320\n\
                   [broker]\nurl = 'mqtt://127.0.0.1:1884'\nprefix = 'x/y'\n[http]\nframe_ancestors = []\n[ring]\ngpio_chip = '/dev/x'";
        let plan = plan(&old, new);
        let (applied, left) = told(&plan);
        assert_eq!(
            applied,
            ["broker.url", "camera[0].video.width", "http.frame_ancestors", "log.level", "node.name", "ring.gpio_chip"]
        );
        assert_eq!(left, ["broker.prefix", "log.format", "node.id"]);
        for means in [Means::AtOnce, Means::Pipeline, Means::Broker, Means::Page, Means::Bell] {
            assert!(plan.takes(means), "{means:?}");
        }
        assert!(!plan.takes(Means::Restart), "{:?}", plan.changed);
        assert_eq!(plan.config.node.id, config(&old).node.id);
        assert_eq!(plan.config.camera[0].video.width.value(), 320);
    }

    #[test]
    fn a_camera_of_another_name_is_another_camera() {
        let plan = plan("[[camera]]\nname = 'front'", "[[camera]]\nname = 'back'\non_demand = false");
        assert_eq!(told(&plan), (vec![], vec!["camera[0].name", "camera[0].on_demand"]));
    }

    #[test]
    fn a_page_whose_opening_would_ask_for_the_brokers_password_waits_for_a_restart() {
        let old = "[broker]\nembedded = true\n[http]\nbind = '127.0.0.1:8080'";
        let (more, open) = ("\nframe_ancestors = []", old.replace("127.0.0.1:8080", "0.0.0.0:8080"));
        assert_eq!(told(&plan(old, &open)), (vec![], vec!["http.bind"]));
        assert_eq!(told(&plan(old, &format!("{old}{more}"))), (vec!["http.frame_ancestors"], vec![]));
    }

    #[test]
    fn addresses_wait_for_a_restart_where_a_port_for_tcp_is_held_and_servers_do_not() {
        let held = "[ice]\ntcp = true\ntcp_port = 8189\n";
        let server = "[[ice.servers]]\nurls = ['stun:a:3478']\n";
        let new = format!("[ice]\ntcp = true\ntcp_port = 8190\nmdns = true\n{server}");
        assert_eq!(told(&plan(held, &new)), (vec!["ice.servers"], vec!["ice.mdns", "ice.tcp_port"]));
        assert_eq!(told(&plan("[ice]\ntcp = true", "[ice]\ntcp = true\nmdns = true")), (vec!["ice.mdns"], vec![]));
    }

    #[test]
    fn servers_and_optional_keys_come_and_go() {
        let server = "[[ice.servers]]\nurls = ['stun:a:3478']\n";
        let other = "[[ice.servers]]\nurls = ['stun:b:3478']\n";
        assert_eq!(told(&plan("", server)), (vec!["ice.servers"], vec![]));
        assert_eq!(told(&plan(server, other)), (vec!["ice.servers[0].urls"], vec![]));
        assert_eq!(told(&plan("", "[node]\nname = 'x'")), (vec!["node.name"], vec![]));
        assert_eq!(told(&plan("[node]\nname = 'x'", "")), (vec!["node.name"], vec![]));
    }

    /// The table in `deploy/reload.md`: a row a key or section, with the words for what it takes.
    #[test]
    fn the_documents_table_says_what_the_code_does() {
        let document = include_str!("../../../deploy/reload.md");
        let rows = document.lines().filter(|line| line.starts_with("| `"));
        let mut sections = std::collections::BTreeSet::new();
        for row in rows {
            let mut cells = row.trim_matches('|').split('|').map(str::trim);
            let (keys, words) = (cells.next().expect("keys"), cells.next().expect("what it takes"));
            let expected = match words {
                "at once" => Means::AtOnce,
                "the camera's pipeline" => Means::Pipeline,
                "the way to the broker" => Means::Broker,
                "the page's server" => Means::Page,
                "the doorbell" => Means::Bell,
                "a restart" => Means::Restart,
                other => panic!("{other}: no such words"),
            };
            for key in keys.split(',').map(|key| key.trim().trim_matches('`')) {
                sections.insert(key.split(['.', '[']).next().unwrap_or_default().to_owned());
                // `broker.embedded_*` stands for any of them, `http.*` too.
                let key = key.replace("[]", "[0]").replace('*', "x");
                assert_eq!(Means::of(&key), expected, "{key}");
            }
        }
        let Ok(Value::Table(all)) = Value::try_from(Config::default()) else { panic!("a config is a table") };
        assert_eq!(sections, all.keys().cloned().collect(), "each section has a row");
    }
}
