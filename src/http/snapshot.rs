//! `GET /snapshot.jpg`: the camera as it is now, for whoever may see it.
//!
//! The token comes in a header. One in the address would stand in logs of servers between, in histories and in what browsers
//! tell the next site, so such a request is refused with the reason.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{Query, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::websocket::Asker;

/// What takes pictures; filled by the node.
#[async_trait]
pub trait Photographer: Send + Sync + 'static {
    /// A JPEG of the camera as it is now.
    async fn picture(&self, asked: PictureAsked) -> Result<Bytes, NoPicture>;
}

/// Which picture, and by what right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureAsked {
    /// Of the camera of this name, or of the first.
    pub camera: Option<String>,
    /// Pixels a line at most.
    pub width: Option<u32>,
    /// The token that came with it.
    pub token: Option<String>,
    /// Whether a program of this machine asks, and no page of another site has made it ask.
    pub is_from_here: bool,
}

/// Why there is no picture; the text is for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPicture {
    /// A token is needed.
    NoToken(String),
    /// Whoever asks may not have it.
    NotAllowed(String),
    /// No such camera.
    NoSuchCamera(String),
    /// Too many; so many seconds later there may be another.
    TooMany(u32),
    /// The camera gives none now.
    NotNow(String),
}

/// The path, if there is who takes pictures.
pub(super) fn routes(photographer: Option<Arc<dyn Photographer>>) -> Router {
    match photographer {
        Some(photographer) => Router::new().route("/snapshot.jpg", get(snapshot)).with_state(photographer),
        None => Router::new(),
    }
}

#[derive(Deserialize)]
struct Asked {
    camera: Option<String>,
    width: Option<u32>,
    token: Option<String>,
}

async fn snapshot(
    State(photographer): State<Arc<dyn Photographer>>,
    asker: Option<Extension<Asker>>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Response {
    let Ok(Query(Asked { camera, width, token })) = asked else {
        return refused(StatusCode::BAD_REQUEST, "there are ?camera=NAME and &width=PIXELS, and no others");
    };
    if token.is_some() {
        let why = "a token in an address ends up in logs: send it as Authorization: Bearer TOKEN";
        return refused(StatusCode::BAD_REQUEST, why);
    }
    if width.is_some_and(|width| !(16..=4_096).contains(&width)) {
        return refused(StatusCode::BAD_REQUEST, "width is 16 to 4096");
    }
    let from = asker.map(|Extension(Asker(address))| address.ip());
    let is_from_here = from.is_some_and(|from| is_here(from, request.headers()));
    let asked = PictureAsked { camera, width, token: token_in(request.headers()), is_from_here };
    match photographer.picture(asked).await {
        Ok(jpeg) => private(([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response()),
        Err(NoPicture::NoToken(why)) => {
            let mut response = refused(StatusCode::UNAUTHORIZED, &why);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        Err(NoPicture::NotAllowed(why)) => refused(StatusCode::FORBIDDEN, &why),
        Err(NoPicture::NoSuchCamera(why)) => refused(StatusCode::NOT_FOUND, &why),
        Err(NoPicture::NotNow(why)) => refused(StatusCode::SERVICE_UNAVAILABLE, &why),
        Err(NoPicture::TooMany(after)) => {
            let mut response = refused(StatusCode::TOO_MANY_REQUESTS, "too many pictures at once");
            response.headers_mut().insert(header::RETRY_AFTER, after.into());
            response
        }
    }
}

/// A bearer's token, or the password of a user of any name: many programs know no other way
/// ([RFC 6750 §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1),
/// [RFC 7617](https://www.rfc-editor.org/rfc/rfc7617)).
fn token_in(headers: &HeaderMap) -> Option<String> {
    let said = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = said.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    let plain = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(rest.trim()).ok())??;
    let plain = String::from_utf8(plain).ok()?;
    Some(plain.split_once(':')?.1.to_owned())
}

/// Whether this machine asks, by a name that is its own: a page of another site may have its name lead here (DNS rebinding),
/// and would see what the browser on this machine sees.
fn is_here(from: IpAddr, headers: &HeaderMap) -> bool {
    let asked = headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let is_ours =
        |host: &str| host.eq_ignore_ascii_case("localhost") || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    from.to_canonical().is_loopback() && asked.is_some_and(|asked| is_ours(asked.host()))
}

fn refused(status: StatusCode, why: &str) -> Response {
    private((status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{why}\n")).into_response())
}

/// It is of now, and of nobody else's page.
fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("plain"))])
    }

    #[test]
    fn a_token_is_a_bearers_or_a_password() {
        for (said, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc", Some("abc")),
            // "any:a:c"
            ("Basic YW55OmE6Yw==", Some("a:c")),
            ("Basic !!", None),
            // "abc", without a colon
            ("Basic YWJj", None),
            ("Digest abc", None),
            ("abc", None),
        ] {
            assert_eq!(token_in(&headers(header::AUTHORIZATION, said)).as_deref(), token, "{said}");
        }
        assert_eq!(token_in(&HeaderMap::new()), None);
    }

    #[test]
    fn this_machine_asks_by_its_own_name() {
        let from =
            |address: &str, host: &str| is_here(address.parse().expect("an address"), &headers(header::HOST, host));
        assert!(from("127.0.0.1", "localhost:8080") && from("::1", "[::1]:8080") && from("127.0.0.9", "127.0.0.1"));
        assert!(from("::ffff:127.0.0.1", "LOCALHOST"));
        for (address, host) in [("127.0.0.1", "evil.example"), ("192.0.2.1", "localhost"), ("127.0.0.1", "")] {
            assert!(!from(address, host), "{address} {host}");
        }
        assert!(!is_here("127.0.0.1".parse().expect("an address"), &HeaderMap::new()));
    }
}
