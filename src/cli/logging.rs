//! Where log messages go: standard error, in the form that its reader wants.
//!
//! A terminal gets colour and time; systemd's journal gets its level prefixes (`<4>`, see sd-daemon(3)) and no time, for
//! it has its own; everything else gets plain text. JSON is JSON everywhere.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::{env, fmt, io, panic, thread};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{self, Log};

/// Overrides `log.level`, for single modules too: `info,camera_node::peer=debug`.
const VARIABLE: &str = "CAMERA_NODE_LOG";

/// `CAMERA_NODE_LOG` is not a filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "environment variable {VARIABLE}: must be a level (error, warn, info, debug, trace), or one a module such as \
     info,camera_node::peer=debug, not {0:?}"
)]
pub struct BadFilter(String);

/// Logging at work.
pub struct Logging(Box<Exchange>);

/// Puts another filter in the place of the one there is.
type Exchange = dyn Fn(Targets) -> Result<(), reload::Error> + Send + Sync;

impl Logging {
    /// Logs from `log.level` on from now on, unless the environment says otherwise.
    ///
    /// # Errors
    /// A filter that cannot be read.
    pub fn exchange(&self, log: &Log) -> Result<(), BadFilter> {
        let filter = filter(log)?;
        // It fails only when nothing is logged any more.
        let _ = (self.0)(filter);
        Ok(())
    }
}

/// Starts logging, once in a process; panics are logged from here on.
///
/// # Errors
/// A filter that cannot be read.
pub fn start(log: &Log) -> Result<Logging, BadFilter> {
    let (filter, handle) = reload::Layer::new(filter(log)?);
    // A line that cannot be written (a full disk, a reader that is gone) is lost: to say so where it could not be said
    // would panic.
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).log_internal_errors(false);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        config::Format::Json => lines.json().flatten_event(true).boxed(),
        config::Format::Text if writes_to_journal() => lines.with_ansi(false).event_format(for_journal()).boxed(),
        config::Format::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
    };
    let started = tracing_subscriber::registry().with(lines).with(filter).try_init();
    // A second start in one process (tests) leaves the first as it is.
    if started.is_ok() {
        log_panics();
    }
    Ok(Logging(Box::new(move |filter| handle.reload(filter))))
}

/// What the config and the environment say, the environment first.
fn filter(log: &Log) -> Result<Targets, BadFilter> {
    let from_env = env::var(VARIABLE).ok().filter(|directives| !directives.is_empty());
    let directives = directives(log.level, from_env.as_deref());
    let filter = directives.parse::<Targets>().ok().filter(|_| from_env.as_deref().is_none_or(is_filter));
    filter.ok_or_else(|| BadFilter(from_env.unwrap_or(directives)))
}

/// What remote peers can make the WebRTC crates say at WARN and ERROR would fill a log, and `peer` tells what matters; the
/// embedded broker's crate warns of each client that it refuses.
const QUIET: &str = "rtc=off,webrtc=off,mqtt5=error";

/// Our own messages from `level` on, those of the crates below us only when they warn.
fn directives(level: config::Level, from_env: Option<&str>) -> String {
    match from_env {
        // A bare level means ours, as in the config.
        Some(bare) if bare.parse::<Level>().is_ok() => format!("warn,{QUIET},camera_node={bare}"),
        Some(given) => given.to_owned(),
        None if level == config::Level::Error => format!("error,{QUIET}"),
        None => format!("warn,{QUIET},camera_node={}", level.as_str()),
    }
}

/// Whether all of it can be meant: a word that is no level would be read as a module's name and silence all others, and
/// no module has a dash in its name. Spans have no filter: that would take an engine of regular expressions, half a
/// megabyte.
fn is_filter(directives: &str) -> bool {
    directives.split(',').map(str::trim).all(|directive| match directive.split_once('=') {
        None => directive.parse::<LevelFilter>().is_ok(),
        Some((module, _)) => !module.contains(['-', '[']),
    })
}

/// Whether standard error is the stream that systemd says is connected to its journal.
fn writes_to_journal() -> bool {
    let Some(stream) = env::var("JOURNAL_STREAM").ok() else { return false };
    let Ok(stat) = rustix::fs::fstat(io::stderr().as_fd()) else { return false };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// A panic is our bug: it goes where the other messages go, with the thread's name.
fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let thread = thread::current();
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("no message");
        tracing::error!(thread = thread.name().unwrap_or("unnamed"), %place, "panicked: {text}");
    }));
}

/// Text with the level as a prefix that the journal understands.
struct Journal(Format<Full, ()>);

fn for_journal() -> Journal {
    Journal(Format::default().without_time().with_level(false).with_ansi(false))
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_level_is_ours_and_the_crates_below_only_warn() {
        assert_eq!(directives(config::Level::Info, None), "warn,rtc=off,webrtc=off,mqtt5=error,camera_node=info");
        assert_eq!(directives(config::Level::Error, None), "error,rtc=off,webrtc=off,mqtt5=error");
        assert_eq!(
            directives(config::Level::Info, Some("debug")),
            "warn,rtc=off,webrtc=off,mqtt5=error,camera_node=debug"
        );
        assert_eq!(directives(config::Level::Info, Some("rumqttc=trace")), "rumqttc=trace");
    }

    #[test]
    fn each_level_is_a_filter() {
        use config::Level::{Debug, Error, Info, Trace, Warn};
        for level in [Error, Warn, Info, Debug, Trace] {
            assert!(directives(level, None).parse::<Targets>().is_ok(), "{level:?}");
        }
    }

    #[test]
    fn a_word_that_would_silence_all_is_no_filter() {
        for good in ["debug", "off", "info,camera_node::peer=debug", "warn, rumqttc=trace"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["warning", "trace2", "camera-node=debug", "info,camera_node", "[peer{key=1}]=debug"] {
            assert!(!is_filter(bad), "{bad}");
        }
    }

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("one thread").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_journal_gets_its_level_as_a_prefix_and_no_time() {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .event_format(for_journal())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(viewers = 2, "streaming");
            tracing::error!("lost");
        });
        let text = String::from_utf8(buffer.0.lock().expect("one thread").clone()).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("<6>camera_node::cli::logging") && lines[0].ends_with("streaming viewers=2"),
            "{text}"
        );
        assert!(lines[1].starts_with("<3>"), "{text}");
    }
}
