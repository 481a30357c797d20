//! The whole config file, composed of each module's own section.
//!
//! A key comes from the file, or from an environment variable named after it (`CAMERA_NODE__BROKER__URL` for `url` in
//! `[broker]`, `CAMERA_NODE__CAMERA__0__VIDEO__WIDTH` for the first camera's width), or else has its default. Whatever is
//! wrong is said with its place, all of it at once, and nothing is started.
//!
//! How: [`schema`] asks the section types which keys they have; [`document`] keeps what was written together with its
//! place; [`read`] holds the one against the other and lets serde do the rest; [`rules`] checks what no single key can.

mod document;
mod error;
mod log;
mod node;
mod reach;
mod read;
mod rules;
mod schema;
mod small_file;

use std::ffi::OsString;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::media::{Bounded, CameraName};
use crate::{access, bell, capture, control, encode, http, peer, playback, session, signalling};
use document::{Document, Variable};
use read::PREFIX;
use schema::Schema;

pub use document::Place;
pub use error::{ConfigError, Problem};
pub use log::{Format, Level, Log};
pub use node::NodeSection;
pub use small_file::read_small_file;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who this node is.
    pub node: NodeSection,
    /// The cameras; one for now.
    pub camera: Vec<Camera>,
    /// The MQTT broker that carries the signalling.
    pub broker: signalling::config::Broker,
    /// Who may watch.
    pub access: access::config::Access,
    /// Which ways media may take.
    pub ice: peer::config::Ice,
    /// The local page, health and metrics.
    pub http: http::config::Http,
    /// What rings the registered viewers.
    pub ring: bell::config::Ring,
    /// How much viewers may ask for.
    pub limits: session::config::Limits,
    /// Programs beside the node that viewers talk to.
    pub app: Vec<control::config::App>,
    /// The folder that viewers see into.
    pub files: control::config::Files,
    /// What is logged.
    pub log: Log,
}

/// A camera with its microphone: `[[camera]]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Camera {
    /// Requests, tracks, metrics and file names carry it: 1 to 32 of `a-z 0-9 -`.
    pub name: CameraName,
    /// Capture and encode only while someone watches; the first picture then waits for the camera's start.
    pub on_demand: bool,
    /// With `on_demand`: seconds without a viewer until the camera is let go.
    pub linger_s: Bounded<0, 3600>,
    /// Where the picture comes from.
    pub video: capture::config::Video,
    /// How it is encoded.
    pub h264: encode::config::H264,
    /// Where the sound comes from.
    pub audio: capture::config::Audio,
    /// How it is encoded.
    pub opus: encode::config::Opus,
    /// Where viewers are heard who talk.
    pub speaker: playback::config::Speaker,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: NodeSection::default(),
            camera: vec![Camera::default()],
            broker: signalling::config::Broker::default(),
            access: access::config::Access::default(),
            ice: peer::config::Ice::default(),
            http: http::config::Http::default(),
            ring: bell::config::Ring::default(),
            limits: session::config::Limits::default(),
            app: Vec::new(),
            files: control::config::Files::default(),
            log: Log::default(),
        }
    }
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            name: CameraName::try_from("main".to_owned()).expect("letters only"),
            on_demand: true,
            linger_s: const { Bounded::new(10) },
            video: capture::config::Video::default(),
            h264: encode::config::H264::default(),
            audio: capture::config::Audio::default(),
            opus: encode::config::Opus::default(),
            speaker: playback::config::Speaker::default(),
        }
    }
}

impl Config {
    /// Reads the file at `path`, or starts from the defaults if there is none, and lays the variables of `env` over it
    /// (`std::env::vars_os()`; those that do not start with `CAMERA_NODE__` are left alone).
    ///
    /// # Errors
    /// A file that cannot be read, or all that is wrong with what was written.
    pub fn load(path: Option<&Path>, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Self::from_text("defaults", "", env) };
        let text = read_to_string(path).map_err(|source| ConfigError::Unreadable { file: path.to_owned(), source })?;
        Self::from_text(&path.display().to_string(), &text, env)
    }

    /// Like [`Config::load`] with the file's text at hand; `file` is what messages call it.
    ///
    /// # Errors
    /// All that is wrong with what was written.
    pub fn from_text(
        file: &str,
        text: &str,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let schema = Self::schema();
        let env: Vec<_> = env.into_iter().collect();
        let almost = read::almost_variables(&schema, env.iter().filter_map(|(name, _)| name.to_str()));
        let (variables, mut problems) = overriding(env);
        let mut document = match Document::parse(file, text, &variables) {
            Ok(document) => document,
            Err(slips) => {
                let slips = slips.into_iter().map(|(place, message)| Problem { place, key: None, message });
                return Err(ConfigError::Invalid(slips.collect()));
            }
        };
        problems.extend(almost);
        problems.extend(read::check_keys(&mut document, &schema));
        problems.extend(read::lay_over(&mut document, &schema, &variables));
        let (config, refused) = read::read::<Self>(&document);
        problems.extend(refused);
        // Rules that join several keys would only repeat what is already wrong with one of them.
        if problems.is_empty() {
            problems = rules::broken(&config, &document);
        }
        problems.sort();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(problems)) }
    }

    fn schema() -> Schema {
        let defaults = toml::Value::try_from(Self::default()).expect("sections are plain data");
        Schema::of::<Self>(&defaults)
    }
}

fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read_small_file(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The variables that start with our prefix, in the order of their names.
fn overriding(env: impl IntoIterator<Item = (OsString, OsString)>) -> (Vec<Variable>, Vec<Problem>) {
    let mut variables = Vec::new();
    let mut problems = Vec::new();
    for (name, value) in env {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)).map(str::to_owned) else { continue };
        match value.into_string() {
            Ok(value) => variables.push(Variable { name, value }),
            Err(_) => {
                let message = "its value is not UTF-8".to_owned();
                problems.push(Problem { place: Place::Variable(name), key: None, message });
            }
        }
    }
    // Sections of a list come before those that follow them.
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    (variables, problems)
}

#[cfg(test)]
mod tests;
