//! Three machines on one street, in network namespaces of the test's own: a node, a viewer, and between them a broker whose
//! machine is also the switch. Needs root.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Child;

use crate::lacking::left_out_for;
use crate::namespaces::{ip, must, run_in, unused_name};

/// The namespaces; gone with this value.
pub struct Street {
    pub node: String,
    pub middle: String,
    pub viewer: String,
}

/// The broker's address.
pub const BROKER: &str = "10.78.0.1";

impl Street {
    /// Node (10.78.0.2) and viewer (10.78.0.3) have a second plug each that hangs loose. `None`, and says so, where this user
    /// may not.
    pub fn build() -> Option<Self> {
        let street = Self { node: unused_name("n"), middle: unused_name("m"), viewer: unused_name("v") };
        let Self { node, middle, viewer } = &street;
        if ![node, middle, viewer].iter().all(|namespace| ip(&format!("netns add {namespace}"))) {
            left_out_for("network-namespaces");
            return None;
        }
        must(&format!("-n {middle} link add street type bridge"));
        must(&format!("-n {middle} addr add {BROKER}/24 dev street"));
        must(&format!("-n {middle} link set street up"));
        must(&format!("-n {middle} link set lo up"));
        for (house, port, last) in [(node, "n", 2), (viewer, "v", 3)] {
            must(&format!("-n {house} link set lo up"));
            for plug in ["0", "1"] {
                must(&format!("-n {middle} link add {port}{plug} type veth peer name eth{plug} netns {house}"));
                must(&format!("-n {middle} link set {port}{plug} master street"));
                must(&format!("-n {middle} link set {port}{plug} up"));
            }
            must(&format!("-n {house} addr add 10.78.0.{last}/24 dev eth0"));
            must(&format!("-n {house} link set eth0 up"));
        }
        Some(street)
    }

    /// This house pulls its first plug, which takes the address with it, and puts in the second, which brings another, as a
    /// DHCP client would.
    pub fn replug(&self, house: &str) {
        let last = if house == self.node { 12 } else { 13 };
        must(&format!("-n {house} link set eth0 down"));
        must(&format!("-n {house} addr flush dev eth0"));
        must(&format!("-n {house} link set eth1 up"));
        must(&format!("-n {house} addr add 10.78.0.{last}/24 dev eth1"));
    }

    /// The switch's port of the viewer's first plug: everything from and to the viewer passes it.
    pub fn viewers_port(&self, state: &str) {
        must(&format!("-n {} link set v0 {state}", self.middle));
    }

    /// Mosquitto, for everybody on the street.
    pub fn broker(&self, folder: &Path) -> Child {
        let file = folder.join("mosquitto.conf");
        std::fs::write(&file, format!("listener 1883 {BROKER}\nallow_anonymous true\n")).expect("written");
        let path = file.display().to_string();
        let mut command = run_in(&self.middle, "/usr/sbin/mosquitto", &["-c", &path]);
        command.stderr(Stdio::null()).spawn().expect("it can be run")
    }
}

impl Drop for Street {
    fn drop(&mut self) {
        for house in [&self.node, &self.viewer, &self.middle] {
            ip(&format!("netns del {house}"));
        }
    }
}
