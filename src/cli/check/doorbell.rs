//! Whether what rings can be pressed, and what is told of a ring can be reached. Nothing rings, and nothing is told.

use std::path::{Path, PathBuf};

use super::report::Finding;
use super::surroundings::{group_of, user};
use crate::bell::config::Ring;
use crate::bell::{BellSocket, Button, CONSUMER, LineTrouble, SocketError, WebhookError, try_line};
use crate::config::Config;
use crate::node::{read_ring_secret, webhook};

/// Each of the config's keys that needs something; `ring.topic` is asked of the broker.
pub async fn check(config: &Config) -> Vec<Finding> {
    let ring = &config.ring;
    let mut findings = Vec::new();
    findings.extend(check_line(ring));
    if let Some(path) = &ring.socket {
        findings.push(check_socket(path).await);
    }
    findings.extend(ring.http_secret_file.as_deref().map(check_secret));
    if ring.webhook.is_some() {
        findings.push(check_webhook(config).await);
    }
    findings
}

fn check_line(ring: &Ring) -> Option<Finding> {
    const PART: &str = "ring.gpio_line";
    let line = ring.gpio_line?.value();
    let name = format!("line {line} of {}", ring.gpio_chip.display());
    Some(match try_line(ring) {
        Ok(()) => Finding::good(PART, format!("{name} can be listened to")),
        Err((_, LineTrouble::Busy(by))) if by == CONSUMER => {
            Finding::good(PART, format!("a camera-node that runs listens to {name}"))
        }
        Err((error, trouble)) => {
            let group = group_of(&ring.gpio_chip, "gpio");
            Finding::bad(PART, error.to_string(), advise_on_line(&trouble, ring, &group, &user()))
        }
    })
}

fn advise_on_line(trouble: &LineTrouble, ring: &Ring, group: &str, user: &str) -> String {
    match trouble {
        LineTrouble::NoChip(chips) if chips.is_empty() => {
            "there is no GPIO chip: does this board have one? In a container, hand the device in (--device)".to_owned()
        }
        LineTrouble::NoChip(chips) => {
            format!("set `ring.gpio_chip` to one that is there: {}", listed(chips))
        }
        LineTrouble::NotAChip => {
            format!("set `ring.gpio_chip` to a chip such as /dev/gpiochip0, not {}", ring.gpio_chip.display())
        }
        LineTrouble::Denied => format!(
            "let the user {user} in: `sudo usermod -aG {group} {user}`, then log in again (a service: \
             SupplementaryGroups={group})"
        ),
        LineTrouble::NoLine(lines) => {
            format!("the chip has the lines 0 to {}: `gpioinfo` names them", lines.saturating_sub(1))
        }
        LineTrouble::Busy(by) if by.is_empty() => {
            "the kernel or another program uses it: take another line, or switch off what is on it".to_owned()
        }
        LineTrouble::Busy(by) => format!("\"{by}\" uses it: take another line, or end that program or driver"),
        LineTrouble::Other => {
            "see `dmesg` for the kernel's words; a chip without pull resistors takes only `ring.gpio_pull = \"as-is\"`"
                .to_owned()
        }
    }
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

async fn check_socket(path: &Path) -> Finding {
    const PART: &str = "ring.socket";
    match BellSocket::listen(path, Button::new().0).await {
        Ok(_) => Finding::good(PART, format!("{} can be made", path.display())),
        Err(SocketError::Taken { .. }) => {
            Finding::good(PART, format!("a camera-node that runs listens at {}", path.display()))
        }
        Err(error) => {
            let folder = path.parent().unwrap_or(path).display();
            let advice = format!(
                "the user {} must be able to write to the folder {folder} (a service: RuntimeDirectory=camera-node makes \
                 /run/camera-node); the whole path has 107 characters at most",
                user()
            );
            let said = error.to_string();
            Finding::bad(PART, said.strip_prefix("ring.webhook: ").unwrap_or(&said), advice)
        }
    }
}

fn check_secret(path: &Path) -> Finding {
    const PART: &str = "ring.http_secret_file";
    match read_ring_secret(path) {
        Ok(_) => Finding::good(PART, format!("{} holds a secret", path.display())),
        Err(error) => Finding::bad(
            PART,
            format!("{}: {error}", path.display()),
            format!("`openssl rand -hex 16` makes a secret; the file must be readable for the user {}", user()),
        ),
    }
}

async fn check_webhook(config: &Config) -> Finding {
    const PART: &str = "ring.webhook";
    let reached = match webhook(config, None) {
        Ok(Some(webhook)) => webhook.reach().await,
        Ok(None) => return Finding::good(PART, "none"),
        Err(error) => {
            let advice = "the file must be there, be readable for the user that runs the node, and be PEM";
            return Finding::bad(PART, error.to_string(), advice);
        }
    };
    match reached {
        Ok(address) => Finding::good(PART, format!("{address} can be reached (it was told nothing)")),
        Err(error) => {
            let advice = match error {
                WebhookError::Stranger(_) => {
                    "a private CA: copy its certificate here and set `ring.ca_file`; a public one: `apt install \
                     ca-certificates`; and this machine's clock must be right"
                }
                WebhookError::Late => "does every firewall on the way let its port through?",
                _ => "check the host and the port in `ring.webhook`, and that this machine has DNS and a route there",
            };
            Finding::bad(PART, error.to_string(), advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Bounded;

    fn config(section: &str) -> Config {
        Config::from_text("ring", &format!("[broker]\nurl = 'loopback:'\n[ring]\n{section}\n"), []).expect("right")
    }

    #[tokio::test]
    async fn a_node_without_a_doorbell_is_asked_nothing() {
        assert_eq!(check(&config("")).await, []);
    }

    #[tokio::test]
    async fn a_chip_that_is_not_there_is_answered_with_what_to_do() {
        let found = check(&config("gpio_line = 17\ngpio_chip = '/dev/gpiochip-nowhere'")).await;
        assert!(!found[0].ok && found[0].detail.starts_with("ring.gpio_line 17 of /dev/gpiochip-nowhere"), "{found:?}");
    }

    #[test]
    fn each_trouble_with_a_line_has_advice_of_its_own() {
        let ring = Ring { gpio_line: Some(const { Bounded::new(17) }), ..Ring::default() };
        let advise = |trouble| advise_on_line(&trouble, &ring, "gpio", "ada");
        assert!(advise(LineTrouble::Denied).contains("sudo usermod -aG gpio ada"));
        assert_eq!(
            advise(LineTrouble::NoChip(vec!["/dev/gpiochip4".into()])),
            "set `ring.gpio_chip` to one that is there: /dev/gpiochip4"
        );
        assert!(advise(LineTrouble::NoLine(54)).starts_with("the chip has the lines 0 to 53"));
        assert!(advise(LineTrouble::Busy("w1".to_owned())).starts_with("\"w1\" uses it"));
    }

    #[tokio::test]
    async fn a_socket_is_tried_and_taken_away_again() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("ring.sock");
        let good = check(&config(&format!("socket = '{}'", path.display()))).await;
        assert!(good[0].ok && !path.exists(), "{good:?}");
        let running = BellSocket::listen(&path, Button::new().0).await.expect("a free path");
        let taken = check_socket(&path).await;
        assert!(taken.ok && taken.detail.starts_with("a camera-node that runs"), "{taken:?}");
        assert!(path.exists(), "the running node keeps it");
        drop(running);
        let nowhere = check_socket(&folder.path().join("none/ring.sock")).await;
        assert!(!nowhere.ok && nowhere.advice.is_some_and(|advice| advice.contains("/none")), "{}", nowhere.detail);
    }

    #[tokio::test]
    async fn a_webhook_is_reached_and_told_nothing() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = server.local_addr().expect("bound");
        let heard = tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.expect("a client");
            let mut all = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut all).await.expect("its end");
            all
        });
        let found = check(&config(&format!("webhook = 'http://{address}/hook'"))).await;
        assert!(found[0].ok && found[0].detail.starts_with(&address.to_string()), "{found:?}");
        assert!(heard.await.expect("no panic").is_empty());
        let gone = check(&config(&format!("webhook = 'http://{address}/hook'"))).await;
        assert!(!gone[0].ok && gone[0].detail.contains("refused"), "{gone:?}");
    }
}
