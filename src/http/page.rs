//! The viewer page: its files in the binary, and what it is told about this node.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::SocketAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use serde_json::json;

use crate::session::NodeId;

/// What the page needs to find its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageConfig {
    /// This node.
    pub node: NodeId,
    /// The topics' prefix.
    pub prefix: String,
    /// The broker as browsers reach it; without one the page asks.
    pub broker: Option<PageBroker>,
}

/// Where browsers reach the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageBroker {
    /// At this `ws://` or `wss://` URL.
    At(String),
    /// On whatever host the page itself was reached as, at this port and path `/mqtt`.
    SameHost {
        /// TCP port.
        port: u16,
    },
}

impl PageBroker {
    /// The broker that listens here, in this machine. A loopback or wildcard address goes by several names, so the
    /// browser keeps to the one it has used.
    pub fn listening_on(address: SocketAddr) -> Self {
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            Self::SameHost { port: address.port() }
        } else {
            Self::At(format!("ws://{address}/mqtt"))
        }
    }

    fn url(&self, headers: &HeaderMap, own: SocketAddr) -> String {
        match self {
            Self::At(url) => url.clone(),
            Self::SameHost { port } => {
                let asked = headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
                let host = asked.map_or_else(|| own_host(own), |authority| authority.host().to_owned());
                format!("ws://{host}:{port}/mqtt")
            }
        }
    }
}

/// Whether npm had built the page when this binary was compiled; if not, the files say how to.
pub fn page_is_built() -> bool {
    Viewer::get("index.html").is_some_and(|page| *page.data != *include_bytes!("unbuilt/index.html"))
}

/// Every file of the page, by its path relative to the page.
pub fn page_files() -> impl Iterator<Item = (Cow<'static, str>, Cow<'static, [u8]>)> {
    Viewer::iter().filter_map(|path| Viewer::get(&path).map(|file| (path, file.data)))
}

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/viewer"]
struct Viewer;

/// `/config.json` for a page that was reached as `headers` say, through a listener on `own`.
pub(super) fn config_json(config: &PageConfig, headers: &HeaderMap, own: SocketAddr) -> Response {
    let broker = config.broker.as_ref().map(|broker| broker.url(headers, own));
    let text = json!({ "node": config.node, "prefix": config.prefix, "broker": broker }).to_string();
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

/// A file of the page; `path` begins with a slash.
pub(super) fn file(path: &str, headers: &HeaderMap) -> Response {
    let path = match path.trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let Some(file) = Viewer::get(path) else {
        return (StatusCode::NOT_FOUND, "there is no such page\n").into_response();
    };
    let mut tag = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    let described = [
        (header::CONTENT_TYPE, content_type(path)),
        (header::CACHE_CONTROL, if is_hashed(path) { "public, max-age=31536000, immutable" } else { "no-cache" }),
    ];
    let has_it = headers.get(header::IF_NONE_MATCH).is_some_and(|known| {
        known.to_str().is_ok_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag))
    });
    let mut response = if has_it {
        (StatusCode::NOT_MODIFIED, described).into_response()
    } else {
        (described, file.data).into_response()
    };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The page connects to brokers anywhere, plays from memory, and runs mqtt.js's timers in a worker made from a blob; it
/// takes no script, style or picture from elsewhere and has no inline ones.
pub(super) fn content_security_policy(frame_ancestors: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; \
         media-src 'self' blob: mediastream:; connect-src 'self' ws: wss:; worker-src 'self' blob:; \
         manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {frame_ancestors}"
    )
}

fn own_host(own: SocketAddr) -> String {
    match own {
        SocketAddr::V4(own) if own.ip().is_unspecified() => "127.0.0.1".to_owned(),
        SocketAddr::V4(own) => own.ip().to_string(),
        SocketAddr::V6(own) if own.ip().is_unspecified() => "[::1]".to_owned(),
        SocketAddr::V6(own) => format!("[{}]", own.ip()),
    }
}

/// With `nosniff` a wrong type means that the browser refuses the file.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("wasm") => "application/wasm",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Whether the bundler put the content's hash into the name, `page-1a2B3c4D.js`: after the last dash eight or more
/// letters and digits that are no word, so with a digit among them or (esbuild's base 32) all in capitals.
fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((_, end)) = name.rsplit_once('-') else { return false };
    let hash = end.split('.').next().unwrap_or(end);
    let no_word = hash.bytes().any(|b| b.is_ascii_digit()) || hash.bytes().all(|b| b.is_ascii_uppercase());
    hash.len() >= 8 && hash.bytes().all(|b| b.is_ascii_alphanumeric()) && no_word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_hash_are_kept_for_ever() {
        assert!(is_hashed("assets/page-1A2B3C4D.js"));
        assert!(is_hashed("page-ABCDEFGH.css"));
        assert!(is_hashed("assets/worker-timers-a8dk30fj.js.map"));
        for plain in ["index.html", "assets/page.js", "assets/page-settings.js", "assets/a-1.js"] {
            assert!(!is_hashed(plain), "{plain}");
        }
    }

    #[test]
    fn the_brokers_host_is_the_one_the_page_was_reached_as() {
        let own = SocketAddr::from(([0, 0, 0, 0], 8080));
        let broker = PageBroker::listening_on("127.0.0.1:9001".parse().expect("an address"));
        for (host, url) in [
            (Some("localhost:8080"), "ws://localhost:9001/mqtt"),
            (Some("cam.local"), "ws://cam.local:9001/mqtt"),
            (Some("[::1]:8080"), "ws://[::1]:9001/mqtt"),
            (Some("bad host/"), "ws://127.0.0.1:9001/mqtt"),
            (None, "ws://127.0.0.1:9001/mqtt"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert(header::HOST, HeaderValue::from_static(host));
            }
            assert_eq!(broker.url(&headers, own), url);
        }
        let fixed = PageBroker::listening_on("192.168.1.5:9001".parse().expect("an address"));
        assert_eq!(fixed, PageBroker::At("ws://192.168.1.5:9001/mqtt".to_owned()));
    }
}
