//! The options of `watch` that say how its end of the connection is made.

use std::path::PathBuf;

use crate::peer::config::{Ice, IcePolicy};

/// As the keys of `[ice]`, from the command line. The servers are those that the node names.
#[derive(Debug, clap::Args)]
pub struct IceArgs {
    /// Receive through TURN servers only.
    #[arg(long)]
    relay_only: bool,
    /// PEM file with the authorities that the certificates of turns: servers may come from; else the system's.
    #[arg(long, value_name = "FILE.pem")]
    turn_ca_file: Option<PathBuf>,
}

impl IceArgs {
    /// The same as a node's config would have it.
    pub fn config(&self) -> Ice {
        let policy = if self.relay_only { IcePolicy::Relay } else { IcePolicy::All };
        Ice { include_loopback: true, policy, ca_file: self.turn_ca_file.clone(), ..Ice::default() }
    }
}
