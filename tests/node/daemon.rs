//! `camera-node run` as a process of its own, for what only its surroundings or its log can show.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::task::JoinHandle;

use crate::stage::{command, eventually};

/// A running daemon. Dropped, it is killed.
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
}

impl Daemon {
    /// Starts it with this config, and these variables besides.
    pub fn start(config: &Path, variables: &[(&str, &str)]) -> Self {
        let mut run = command(env!("CARGO_BIN_EXE_camera-node"), &["run", "--config"]);
        run.arg(config).envs(variables.iter().copied()).stderr(Stdio::piped());
        let mut child = run.spawn().expect("the binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&log);
        let reading = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = written.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log, reading }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has logged these words.
    pub async fn says(&self, words: &str) {
        eventually(words, Duration::from_secs(20), || self.log().contains(words)).await;
    }

    /// Waits until it ends by itself; its exit code.
    pub async fn exit_code(mut self) -> Option<i32> {
        let ended = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
        ended.expect("it ends").expect("it ran").code()
    }

    /// Sends it a signal; SIGINT and SIGTERM ask it to stop in order.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
        kill_process(pid, signal).expect("it is our child");
    }

    /// Stops it in order; its whole log.
    pub async fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let ended = tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await;
        assert!(ended.expect("it ends").expect("it ran").success(), "{}", self.log());
        (&mut self.reading).await.expect("no panic");
        self.log()
    }
}
