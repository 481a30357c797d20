//! Whether the page's address can be listened on.

use std::io::ErrorKind;

use tokio::net::TcpListener;

use super::report::Finding;
use crate::http::config::Http;

/// Binds the address, and lets it go at once.
pub async fn check(http: &Http) -> Finding {
    let part = "http";
    if !http.enabled {
        return Finding::good(part, "switched off");
    }
    let bind = http.bind;
    match TcpListener::bind(bind).await {
        Ok(_) => Finding::good(part, format!("can listen on {bind}")),
        Err(error) => Finding::bad(part, format!("{bind}: {error}"), advise(error.kind(), bind.port())),
    }
}

fn advise(kind: ErrorKind, port: u16) -> String {
    match kind {
        ErrorKind::AddrInUse => format!(
            "another program listens there (`ss -ltnp 'sport = :{port}'` shows it; perhaps a camera-node that runs): \
             stop it, or set `http.bind` to another port"
        ),
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address: set `http.bind` to one of its own (`ip address`), or to 0.0.0.0 for all".to_owned()
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 are for root: take a higher one in `http.bind`, or give the service AmbientCapabilities=CAP_NET_BIND_SERVICE".to_owned()
        }
        _ => "set `http.bind` to an address of this machine".to_owned(),
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
