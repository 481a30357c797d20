//! Debian's coturn as `deploy/coturn` sets it up, on addresses of a test's own. Included by the library's tests too.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::hmac;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::certificates::Authority;
use super::lacking;

/// A running server. Dropped, it is killed.
pub struct Coturn {
    child: Child,
    words: Vec<String>,
    pub ca: Authority,
    folder: tempfile::TempDir,
}

const BINARY: &str = "/usr/bin/turnserver";
/// The secret that all of its users' passwords come from.
pub const SECRET: &str = "one secret for tests";

/// Says so if not.
pub fn is_installed() -> bool {
    lacking::is_installed(BINARY)
}

impl Coturn {
    /// Run by `runner` (such as `ip netns exec NAME`, or nothing), listening on `ips`, with TLS on the second port; relays to
    /// `peers` (a range of coturn's), though the shipped file denies private networks. `more` is added to the config.
    pub async fn start(runner: &[&str], ips: &[&str], [plain, tls]: [u16; 2], peers: &[&str], more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ca = Authority::new(folder.path(), "turn");
        let pair = ca.sign("turn", &[ips, &["localhost"]].concat());
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/coturn/turnserver.conf");
        let shipped = std::fs::read_to_string(shipped).expect("it is shipped");
        let mut text = shipped
            .replace("/etc/coturn/fullchain.pem", &pair.cert_file.display().to_string())
            .replace("/etc/coturn/privkey.pem", &pair.key_file.display().to_string())
            .replace("=CHANGE-THIS", &format!("={SECRET}"))
            .replace("listening-port=3478", &format!("listening-port={plain}"))
            .replace("tls-listening-port=5349", &format!("tls-listening-port={tls}"));
        for ip in ips {
            _ = writeln!(text, "listening-ip={ip}\nrelay-ip={ip}");
        }
        for range in peers {
            _ = writeln!(text, "allowed-peer-ip={range}");
        }
        let pid = folder.path().join("pid");
        _ = writeln!(text, "verbose\npidfile={}\nuserdb={}", pid.display(), folder.path().join("db").display());
        text += more;
        let file = folder.path().join("turnserver.conf");
        std::fs::write(&file, text).expect("written");

        let words = runner.iter().copied().chain([BINARY, "-c"]).map(str::to_owned);
        let words: Vec<String> = words.chain([file.display().to_string()]).collect();
        let child = run(&words, folder.path()).await;
        Self { child, words, ca, folder }
    }

    /// Kills it, with all its relays and connections, and starts it again.
    pub async fn restart(&mut self) {
        self.child.kill().await.expect("it is ours");
        self.child = run(&self.words, self.folder.path()).await;
    }

    /// A user name that ends after so many seconds, and its password, made by coturn's rule.
    #[allow(dead_code, reason = "a node makes its logins itself")]
    pub fn login(lifetime_s: u64) -> (String, String) {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
        let username = format!("{}:tester", now + lifetime_s);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
        let password = BASE64_STANDARD.encode(hmac::sign(&key, username.as_bytes()));
        (username, password)
    }

    /// Waits until it has logged these words so many times.
    pub async fn says(&self, words: &str, times: usize) {
        let said = async {
            while self.log().matches(words).count() < times {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(timeout(Duration::from_secs(20), said).await.is_ok(), "not {times} times {words:?}:\n{}", self.log());
    }

    /// What it has logged since it started.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// Starts it: it listens when this returns, and logs into the folder.
async fn run(words: &[String], folder: &Path) -> Child {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it can be run");
    let mut log = BufReader::new(child.stdout.take().expect("piped")).lines();
    let listens = async {
        loop {
            let line = log.next_line().await.expect("it can be read").expect("coturn ends");
            // Said when all its listeners are open.
            if line.contains("Total General servers") {
                return;
            }
        }
    };
    timeout(Duration::from_secs(20), listens).await.expect("coturn starts");
    let mut seen = std::fs::File::create(folder.join("log")).expect("a file");
    tokio::spawn(async move {
        while let Ok(Some(line)) = log.next_line().await {
            _ = std::io::Write::write_all(&mut seen, format!("{line}\n").as_bytes());
        }
    });
    child
}
