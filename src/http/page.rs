//! The viewer page: its files in the binary, and what it is told about this node.
//!
//! The files are embedded compressed and leave so: a third of the bytes in the binary, and on a phone's way to the page.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::write::GzDecoder;
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
    /// Where they have found the page: at `mqtt` beside it, over https if the page came so.
    Here,
}

impl PageBroker {
    /// As a browser takes it: a URL, or a path from the page's own.
    fn address(&self) -> &str {
        match self {
            Self::At(url) => url,
            Self::Here => "./mqtt",
        }
    }
}

/// Whether npm had built the page when this binary was compiled; if not, the files say how to.
pub fn page_is_built() -> bool {
    Viewer::get("index.html.gz").is_some_and(|page| inflate(&page.data) != include_bytes!("unbuilt/index.html"))
}

/// Every file of the page as npm built it, by its path relative to the page.
pub fn page_files() -> impl Iterator<Item = (String, Vec<u8>)> {
    Viewer::iter().filter_map(|path| {
        let file = Viewer::get(&path)?;
        Some((path.strip_suffix(".gz")?.to_owned(), inflate(&file.data)))
    })
}

/// `src/build.rs` has compressed every file, under its own name and `.gz`.
#[derive(RustEmbed)]
#[folder = "$OUT_DIR/viewer"]
struct Viewer;

/// What `src/build.rs` compressed. It is the binary's own, so it never fails.
fn inflate(compressed: &[u8]) -> Vec<u8> {
    let mut plain = GzDecoder::new(Vec::new());
    plain.write_all(compressed).and_then(|()| plain.finish()).unwrap_or_default()
}

/// `/config.json` for a page that was reached as `headers` say, on a machine that serves https on `tls`.
pub(super) fn config_json(config: &PageConfig, headers: &HeaderMap, tls: Option<SocketAddr>) -> Response {
    let broker = config.broker.as_ref().map(PageBroker::address);
    let mut told = json!({ "node": config.node, "prefix": config.prefix, "broker": broker });
    if let Some(https) = tls.and_then(|address| https_url(headers, address)) {
        told["https"] = https.into();
    }
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], told.to_string())
        .into_response()
}

/// Where the same page is served over https, on the host it was reached as.
fn https_url(headers: &HeaderMap, tls: SocketAddr) -> Option<String> {
    let asked = headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok())?;
    let host = asked.host();
    let asked_on_loopback =
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    // A page that was opened from elsewhere would be led to its own machine.
    let is_reached = !tls.ip().is_loopback() || asked_on_loopback;
    is_reached.then(|| format!("https://{host}:{}/", tls.port()))
}

/// A file of the page; `path` begins with a slash.
pub(super) fn file(path: &str, headers: &HeaderMap) -> Response {
    let path = match path.trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let Some(file) = Viewer::get(&format!("{path}.gz")) else {
        return (StatusCode::NOT_FOUND, "there is no such page\n").into_response();
    };
    let compressed = takes_gzip(headers);
    let mut tag = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    // Another encoding is another representation (RFC 9110 §8.8.3.3).
    tag.push_str(if compressed { "-gzip\"" } else { "\"" });
    let described = [
        (header::CONTENT_TYPE, content_type(path)),
        (header::CACHE_CONTROL, if is_hashed(path) { "public, max-age=31536000, immutable" } else { "no-cache" }),
        (header::VARY, "accept-encoding"),
    ];
    let has_it = headers.get(header::IF_NONE_MATCH).is_some_and(|known| {
        known.to_str().is_ok_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag))
    });
    let mut response = match (has_it, compressed) {
        (true, _) => (StatusCode::NOT_MODIFIED, described).into_response(),
        (false, true) => (described, [(header::CONTENT_ENCODING, "gzip")], file.data).into_response(),
        (false, false) => (described, inflate(&file.data)).into_response(),
    };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Whether whoever asks has named gzip ([RFC 9110 §12.5.3](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3)).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|one| {
        let (coding, weight) = one.split_once(';').unwrap_or((one, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        coding.trim().eq_ignore_ascii_case("gzip") && !refused
    })
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
    fn compressed_is_what_was_asked_for() {
        let takes = |value: &'static str| {
            takes_gzip(&[(header::ACCEPT_ENCODING, HeaderValue::from_static(value))].into_iter().collect())
        };
        assert!(takes("gzip, deflate, br, zstd") && takes("br;q=1.0, GZIP;q=0.8"));
        assert!(!takes("gzip;q=0") && !takes("br, identity") && !takes("") && !takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn the_https_page_is_on_the_host_the_page_was_reached_as() {
        let url = |host: &'static str, tls: &str| {
            let headers = [(header::HOST, HeaderValue::from_static(host))].into_iter().collect();
            https_url(&headers, tls.parse().expect("an address"))
        };
        let any = "0.0.0.0:8443";
        assert_eq!(url("cam.local:8080", any), Some("https://cam.local:8443/".to_owned()));
        assert_eq!(url("[fd00::7]", any), Some("https://[fd00::7]:8443/".to_owned()));
        assert_eq!(url("bad host/", any), None);
        assert_eq!(url("192.0.2.7", "192.0.2.7:8443"), Some("https://192.0.2.7:8443/".to_owned()));
        assert_eq!(url("192.0.2.7", "127.0.0.1:8443"), None, "https is for this machine alone");
    }
}
