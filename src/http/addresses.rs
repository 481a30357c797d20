//! Pure: where browsers find the page.

use std::net::{IpAddr, SocketAddr};

use super::config::Http;

/// The page's addresses, the best first: encrypted before plain, the mDNS name before numbers. `own` are this machine's
/// addresses, `host` its name if it has one; ports are the config's, or those that were `bound` in their place.
pub fn page_urls(http: &Http, bound: &Bound, host: Option<&str>, own: &[IpAddr]) -> Vec<String> {
    if !http.enabled {
        return Vec::new();
    }
    let secured = http.tls_bind().map(|bind| ("https", 443, bound.tls.unwrap_or(bind)));
    let plain = ("http", 80, bound.plain.unwrap_or(http.bind));
    let mut urls = Vec::new();
    for (scheme, usual, address) in secured.into_iter().chain([plain]) {
        let port = if address.port() == usual { String::new() } else { format!(":{}", address.port()) };
        let hosts = hosts(address.ip(), host, own);
        urls.extend(hosts.into_iter().map(|host| format!("{scheme}://{host}{port}/")));
    }
    urls
}

/// Where the listeners are, once they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bound {
    /// For http.
    pub plain: Option<SocketAddr>,
    /// For https.
    pub tls: Option<SocketAddr>,
}

fn hosts(bind: IpAddr, host: Option<&str>, own: &[IpAddr]) -> Vec<String> {
    let shown = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    if bind.is_loopback() {
        return vec![shown(&bind)];
    }
    let name = host.map(str::to_owned).into_iter();
    if !bind.is_unspecified() {
        return name.chain([shown(&bind)]).collect();
    }
    // Linux takes IPv4 on [::] as well.
    let reached = own.iter().filter(|ip| !ip.is_loopback() && (bind.is_ipv6() || ip.is_ipv4()));
    let found: Vec<String> = name.chain(reached.map(shown)).collect();
    if found.is_empty() { vec!["localhost".to_owned()] } else { found }
}

#[cfg(test)]
mod tests {
    use super::super::config::Tls;
    use super::*;

    #[test]
    fn every_way_to_the_page_is_named_the_best_first() {
        let own = ["192.0.2.7", "fd00::7", "127.0.0.1"].map(|ip| ip.parse().expect("an address"));
        let http = |bind: &str, self_signed| Http {
            bind: bind.parse().expect("an address"),
            tls: Tls { self_signed, ..Tls::default() },
            ..Http::default()
        };
        let urls = |http: &Http, host| page_urls(http, &Bound::default(), host, &own);
        let host = Some("camera-x.local");
        assert_eq!(urls(&http("127.0.0.1:8080", false), None), ["http://127.0.0.1:8080/"]);
        assert_eq!(
            urls(&http("0.0.0.0:80", true), host),
            ["https://camera-x.local:8443/", "https://192.0.2.7:8443/", "http://camera-x.local/", "http://192.0.2.7/"]
        );
        assert_eq!(urls(&http("[::]:8080", false), None), ["http://192.0.2.7:8080/", "http://[fd00::7]:8080/"]);
        assert_eq!(urls(&http("192.0.2.7:8080", false), None), ["http://192.0.2.7:8080/"]);
        assert_eq!(page_urls(&http("0.0.0.0:80", false), &Bound::default(), None, &[]), ["http://localhost/"]);
        let bound = Bound { plain: Some("127.0.0.1:41234".parse().expect("an address")), tls: None };
        assert_eq!(page_urls(&http("127.0.0.1:0", false), &bound, None, &[]), ["http://127.0.0.1:41234/"]);
        assert!(urls(&Http { enabled: false, ..Http::default() }, None).is_empty());
    }
}
