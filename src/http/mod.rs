//! Local HTTP: the page, health, metrics.
//!
//! | path | what |
//! |---|---|
//! | `/`, `/…` | the viewer page |
//! | `/config.json` | `{"node","prefix","broker"}`: what the page needs to find the node |
//! | `/healthz` | every part in a named state; 503 when one has failed |
//! | `/metrics` | Prometheus text |

pub mod config;
mod health;
mod page;
mod server;

pub use health::{Health, Part, PartState};
pub use page::{PageBroker, PageConfig, page_files, page_is_built};
pub use server::{HttpError, HttpServer, serve};

/// What the server tells; filled by the node.
pub trait Probe: Send + Sync + 'static {
    /// How every part is.
    fn health(&self) -> Health;
    /// Prometheus text, version 0.0.4.
    fn metrics(&self) -> String;
    /// What the page is told.
    fn page(&self) -> PageConfig;
}
