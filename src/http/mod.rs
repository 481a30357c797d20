//! Local HTTP: the page, health, metrics, still pictures.
//!
//! | path | what |
//! |---|---|
//! | `/`, `/…` | the viewer page |
//! | `/config.json` | `{"node","prefix","broker","https"?}`: what the page needs to find the node |
//! | `/mqtt` | the embedded broker, by WebSocket |
//! | `/healthz` | every part in a named state; 503 when one has failed |
//! | `/metrics` | Prometheus text |
//! | `/snapshot.jpg` | the camera as it is now, for whoever may see it |
//! | `/ring` | POST: rings the registered viewers; only where the config has a secret for it |

mod addresses;
mod bell;
mod certificate;
pub mod config;
mod health;
mod listener;
mod mdns;
mod page;
mod self_signed;
mod server;
mod snapshot;
mod websocket;

pub use addresses::{Bound, page_urls};
pub use bell::Bell;
pub use certificate::{Certificate, CertificateEnd, CertificateError, common_name_of, fingerprint_of, first_end};
pub use health::{Health, Part, PartState};
pub use mdns::{Announcement, AnnouncementError, host_name};
pub use page::{PageBroker, PageConfig, page_files, page_is_built};
pub use self_signed::{SelfSigned, is_still_good, make_self_signed};
pub use server::{Extras, HttpError, HttpServer, serve};
pub use snapshot::{NoPicture, Photographer, PictureAsked};

/// What the server tells; filled by the node.
pub trait Probe: Send + Sync + 'static {
    /// How every part is.
    fn health(&self) -> Health;
    /// Prometheus text, version 0.0.4.
    fn metrics(&self) -> String;
    /// What the page is told.
    fn page(&self) -> PageConfig;
    /// What `POST /ring` rings, if there is such a path.
    fn bell(&self) -> Option<std::sync::Arc<dyn Bell>> {
        None
    }
    /// What `GET /snapshot.jpg` asks, if there is such a path.
    fn photographer(&self) -> Option<std::sync::Arc<dyn Photographer>> {
        None
    }
}
