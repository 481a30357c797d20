//! Whether the page's address can be listened on.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::report::Finding;
use crate::http::config::Http;

/// The page's listener, and the health page's, which is the same.
pub async fn check(http: &Http) -> Finding {
    if http.enabled {
        check_listener("http", http.bind, "http.bind").await
    } else {
        Finding::good("http", "switched off")
    }
}

/// Binds the address that stands under `key`, and lets it go at once.
pub async fn check_listener(part: &str, bind: SocketAddr, key: &str) -> Finding {
    match TcpListener::bind(bind).await {
        Ok(_) => Finding::good(part, format!("can listen on {bind}")),
        Err(error) => Finding::bad(part, format!("{bind}: {error}"), advise(error.kind(), bind.port(), key)),
    }
}

fn advise(kind: ErrorKind, port: u16, key: &str) -> String {
    match kind {
        ErrorKind::AddrInUse => format!(
            "another program listens there (`ss -ltnp 'sport = :{port}'` shows it; perhaps a camera-node that runs): \
             stop it, or set `{key}` to another port"
        ),
        ErrorKind::AddrNotAvailable => {
            format!(
                "this machine has no such address: set `{key}` to one of its own (`ip address`), or to 0.0.0.0 for all"
            )
        }
        ErrorKind::PermissionDenied => {
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

    #[tokio::test]
    async fn an_address_in_use_is_said_to_be() {
        let holder = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let http = Http { bind: holder.local_addr().expect("bound"), ..Http::default() };
        let taken = check(&http).await;
        assert!(!taken.ok && taken.advice.is_some_and(|advice| advice.contains("another program")));
        drop(holder);
        assert!(check(&http).await.ok);
    }
}
