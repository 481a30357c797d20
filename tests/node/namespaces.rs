//! Network namespaces of the tests' own. Needs root.

use std::process::{Command as Blocking, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::process::Command;

/// A name that no namespace has yet: tests run side by side, in this process and in others.
pub fn unused_name(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("cn-{what}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// `program`, in this namespace. It does not outlive its test.
pub fn run_in(namespace: &str, program: &str, options: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]).args(options).kill_on_drop(true);
    command
}

/// Whether `ip` did it.
pub fn ip(options: &str) -> bool {
    let status = Blocking::new("ip").args(options.split(' ')).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// What must succeed.
pub fn must(options: &str) {
    assert!(ip(options), "ip {options}");
}
