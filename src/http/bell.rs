//! `POST /ring`: a button of somebody's own making, who knows the secret.

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use serde::Deserialize;
use serde_json::json;

use crate::session::node::NotRung;

/// What rings; filled by the node.
#[async_trait]
pub trait Bell: Send + Sync + 'static {
    /// Whether this is the secret; takes the same time whatever is wrong with it.
    fn is_secret(&self, said: &str) -> bool;

    /// Rings everyone, or the one of this name; gives the names of those who are rung.
    async fn ring(&self, to: Option<String>) -> Result<Vec<String>, NotRung>;
}

/// Whom to ring.
#[derive(Deserialize)]
struct Asked {
    peer: Option<String>,
}

/// The path, if there is a bell.
pub(super) fn routes(bell: Option<Arc<dyn Bell>>) -> Router {
    match bell {
        Some(bell) => Router::new().route("/ring", post(ring)).with_state(bell),
        None => Router::new(),
    }
}

async fn ring(State(bell): State<Arc<dyn Bell>>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let said = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let secret = said.and_then(|said| said.strip_prefix("Bearer "));
    if !secret.is_some_and(|secret| bell.is_secret(secret)) {
        let how = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
        let why = "the secret of ring.http_secret_file is needed: Authorization: Bearer …";
        return (StatusCode::UNAUTHORIZED, how, Json(json!({ "error": why }))).into_response();
    }
    match bell.ring(asked.peer).await {
        Ok(names) => (StatusCode::ACCEPTED, Json(json!({ "rung": names }))).into_response(),
        Err(why) => {
            let status = match why {
                NotRung::Ringing | NotRung::NobodyRegistered => StatusCode::CONFLICT,
                NotRung::NoSuchName(_) => StatusCode::NOT_FOUND,
                NotRung::NoBroker | NotRung::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, Json(json!({ "error": why.to_string() }))).into_response()
        }
    }
}
