//! Whether the page's addresses can be listened on, and its certificate be used.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::report::Finding;
use super::running::{Running, in_its_hands};
use super::surroundings::{Holder, listeners};
use crate::config::Config;
use crate::node::{try_https_files, whole_story};

/// The page's listener, which is the health page's too, and that of the page over https with its certificate.
pub async fn check(config: &Config, running: &Running) -> Vec<Finding> {
    let http = &config.http;
    if !http.enabled {
        return vec![Finding::good("http", "switched off")];
    }
    let mut findings = vec![check_listener("http", http.bind, "http.bind", running).await];
    if let Some(bind) = http.tls_bind() {
        findings.push(check_listener("https", bind, "http.tls.bind", running).await);
        findings.extend(try_https_files(config).map(check_files));
    }
    findings
}

/// Binds the address that stands under `key`, and lets it go at once.
pub async fn check_listener(part: &str, bind: SocketAddr, key: &str, running: &Running) -> Finding {
    let error = match TcpListener::bind(bind).await {
        Ok(_) => return Finding::good(part, format!("can listen on {bind}")),
        Err(error) => error,
    };
    let holders = if error.kind() == ErrorKind::AddrInUse { listeners(bind.port()) } else { Vec::new() };
    if error.kind() == ErrorKind::AddrInUse
        && let Some(pid) = running.among(&holders)
    {
        return in_its_hands(part, &bind.to_string(), pid);
    }
    Finding::bad(part, format!("{bind}: {error}"), advise(error.kind(), bind.port(), key, &holders))
}

fn check_files(tried: anyhow::Result<()>) -> Finding {
    const PART: &str = "http.tls";
    match tried {
        Ok(()) => Finding::good(PART, "certificate and key can be used"),
        Err(error) => Finding::bad(
            PART,
            whole_story(&error),
            "`http.tls.cert_file` is the certificate with those of the authorities between, `http.tls.key_file` its key, \
             both PEM and readable for the node's user; `http.tls.self_signed = true` needs neither",
        ),
    }
}

fn advise(kind: ErrorKind, port: u16, key: &str, holders: &[Holder]) -> String {
    match (kind, holders) {
        (ErrorKind::AddrInUse, []) => format!(
            "another program listens there (`sudo ss -ltnp 'sport = :{port}'` shows it): stop it, or set `{key}` to \
             another port"
        ),
        (ErrorKind::AddrInUse, some) => {
            let names: Vec<_> = some.iter().map(|holder| format!("{} (process {})", holder.name, holder.pid)).collect();
            format!("{} listens there: stop it, or set `{key}` to another port", names.join(", "))
        }
        (ErrorKind::AddrNotAvailable, _) => {
            format!(
                "this machine has no such address: set `{key}` to one of its own (`ip address`), or to 0.0.0.0 for all"
            )
        }
        (ErrorKind::PermissionDenied, _) => {
            format!(
                "ports below 1024 are for root: take a higher one in `{key}`, or give the service AmbientCapabilities=CAP_NET_BIND_SERVICE"
            )
        }
        _ => format!("set `{key}` to an address of this machine"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> Config {
        Config::from_text("here", &format!("[http]\nbind = '127.0.0.1:0'\n{more}"), []).expect("right")
    }

    #[tokio::test]
    async fn an_address_in_use_is_said_to_be_and_by_whom() {
        let holder = std::process::Command::new("python3")
            .args(["-c", "import socket, sys\ns = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1], flush=True)\nsys.stdin.read()"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn();
        // Without Python our own socket holds it, which is nobody else's.
        let Ok(mut python) = holder else { return };
        let mut port = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(python.stdout.as_mut().expect("piped")), &mut port)
            .expect("it says its port");
        let bind = format!("127.0.0.1:{}", port.trim()).parse().expect("an address");
        let taken = check_listener("http", bind, "http.bind", &Running::default()).await;
        let by = format!("(process {})", python.id());
        assert!(!taken.ok && taken.advice.as_ref().is_some_and(|advice| advice.contains(&by)), "{taken:?}");
        drop(python.stdin.take());
        python.wait().expect("ours");
        assert!(check_listener("http", bind, "http.bind", &Running::default()).await.ok);
    }

    #[tokio::test]
    async fn files_that_make_no_https_are_found_before_the_node_starts() {
        let none = check(&config(""), &Running::default()).await;
        assert_eq!(none.iter().map(|finding| finding.part.as_str()).collect::<Vec<_>>(), ["http"]);
        let missing = "[http.tls]\nbind = '127.0.0.1:0'\ncert_file = '/nope.pem'\nkey_file = '/nope.key'\n";
        let found = check(&config(missing), &Running::default()).await;
        let files = found.iter().find(|finding| finding.part == "http.tls").expect("asked for");
        assert!(!files.ok && files.detail.contains("/nope.pem") && files.advice.is_some(), "{files:?}");
        assert!(found.iter().any(|finding| finding.part == "https" && finding.ok), "{found:?}");
    }
}
