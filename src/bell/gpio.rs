//! A push button on a line of a GPIO chip, through the character device
//! ([uAPI v2](https://docs.kernel.org/userspace-api/gpio/chardev.html)); the kernel debounces it.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gpiocdev::chip::chips;
use gpiocdev::line::{Bias, EdgeDetection};
use gpiocdev::request::Config as Lines;
use gpiocdev::{Chip, Request};
use tokio::task::JoinHandle;

use super::config::{Pull, Ring};
use super::{Button, Wish};
use crate::session::node::RingTo;
use crate::sys::Readable;

/// A chip that has gone comes back with its driver, or never.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Who uses the line, for whoever asks the kernel.
pub const CONSUMER: &str = "camera-node";

/// Why there is no push button.
#[derive(Debug, thiserror::Error)]
#[error(
    "ring.gpio_line {line} of {}: {source}: `gpioinfo` lists chips, lines and who uses them; the node's user needs the \
     right to the device (group gpio)",
    chip.display()
)]
pub struct GpioError {
    chip: PathBuf,
    line: u32,
    source: gpiocdev::Error,
}

/// What is the matter with a line that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineTrouble {
    /// There is no such device; there are these.
    NoChip(Vec<PathBuf>),
    /// The device is something else.
    NotAChip,
    /// We have no right to the device.
    Denied,
    /// The chip has only so many lines.
    NoLine(u32),
    /// Another program or driver uses it, by its own name for itself.
    Busy(String),
    /// Something else: the error has the kernel's words.
    Other,
}

/// Takes the line of the config, if it names one, and lets it go again.
///
/// # Errors
/// As for [`PushButton::listen`], and what is the matter.
pub fn try_line(ring: &Ring) -> Result<(), (GpioError, LineTrouble)> {
    let Some(line) = ring.gpio_line else { return Ok(()) };
    let opened = Line { ring: ring.clone(), line: line.value() }.open();
    opened.map(drop).map_err(|error| (error, trouble(&ring.gpio_chip, line.value())))
}

fn trouble(path: &Path, line: u32) -> LineTrouble {
    let chip = match Chip::from_path(path) {
        Ok(chip) => chip,
        Err(gpiocdev::Error::GpioChip(..)) => return LineTrouble::NotAChip,
        Err(gpiocdev::Error::Os(errno)) => {
            return match io::Error::from_raw_os_error(errno.0).kind() {
                ErrorKind::NotFound => LineTrouble::NoChip(chips().unwrap_or_default()),
                ErrorKind::PermissionDenied => LineTrouble::Denied,
                _ => LineTrouble::Other,
            };
        }
        Err(_) => return LineTrouble::Other,
    };
    match (chip.info(), chip.line_info(line)) {
        (Ok(chip), _) if line >= chip.num_lines => LineTrouble::NoLine(chip.num_lines),
        (_, Ok(info)) if info.used => LineTrouble::Busy(info.consumer),
        _ => LineTrouble::Other,
    }
}

/// A button that is listened to until this is dropped.
#[derive(Debug)]
pub struct PushButton(JoinHandle<()>);

impl PushButton {
    /// Listens to the line of the config, if it names one.
    ///
    /// # Errors
    /// [`GpioError`]: no such chip or line, it is in use, or we may not.
    pub fn listen(ring: &Ring, button: Button) -> Result<Option<Self>, GpioError> {
        let Some(line) = ring.gpio_line else { return Ok(None) };
        let request = Line { ring: ring.clone(), line: line.value() };
        let first = request.open()?;
        Ok(Some(Self(tokio::spawn(run(request, first, button)))))
    }
}

impl Drop for PushButton {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The line to be asked for.
struct Line {
    ring: Ring,
    line: u32,
}

impl Line {
    fn open(&self) -> Result<Request, GpioError> {
        let failed = |source| GpioError { chip: self.ring.gpio_chip.clone(), line: self.line, source };
        let request = Request::from_config(lines(&self.ring, self.line)).with_consumer(CONSUMER).request();
        request.map_err(failed)
    }
}

/// What is asked of the kernel: one event for each press, none for letting go.
fn lines(ring: &Ring, line: u32) -> Lines {
    let mut lines = Lines::default();
    // Of an active-low line the kernel calls falling "rising": it tells of becoming active.
    lines.on_chip(&ring.gpio_chip).with_line(line).as_input().with_edge_detection(EdgeDetection::RisingEdge);
    if ring.gpio_active_low {
        lines.as_active_low();
    }
    match ring.gpio_pull {
        Pull::Up => lines.with_bias(Bias::PullUp),
        Pull::Down => lines.with_bias(Bias::PullDown),
        Pull::None => lines.with_bias(Bias::Disabled),
        Pull::AsIs => &mut lines,
    };
    if ring.gpio_debounce_ms.value() > 0 {
        lines.with_debounce_period(Duration::from_millis(ring.gpio_debounce_ms.value().into()));
    }
    lines
}

async fn run(line: Line, first: Request, button: Button) {
    let mut request = Some(first);
    loop {
        if let Some(request) = request.take() {
            let error = run_once(request, &button).await;
            tracing::warn!(%error, line = line.line, "the push button is not heard");
        }
        tokio::time::sleep(AGAIN_AFTER).await;
        request = line.open().ok();
    }
}

/// Listens until that fails.
async fn run_once(request: Request, button: &Button) -> io::Error {
    let listened = async {
        let readable = Readable::new(request.as_fd().try_clone_to_owned()?)?;
        loop {
            readable.ready().await?;
            while request.has_edge_event().map_err(io::Error::other)? {
                request.read_edge_event().map_err(io::Error::other)?;
                drop(button.press(Wish::Ring(RingTo::All), "gpio"));
            }
        }
    };
    let Err(error): Result<std::convert::Infallible, io::Error> = listened.await;
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Bounded;

    fn wired() -> Ring {
        Ring { gpio_line: Some(const { Bounded::new(17) }), ..Ring::default() }
    }

    #[test]
    fn a_button_to_ground_is_asked_for_as_one() {
        let asked = lines(&wired(), 17);
        let line = asked.line_config(17).expect("it is asked for");
        assert!(line.active_low);
        assert_eq!(line.bias, Some(Bias::PullUp));
        assert_eq!(line.edge_detection, Some(EdgeDetection::RisingEdge));
        assert_eq!(line.debounce_period, Some(Duration::from_millis(30)));
        let other = Ring {
            gpio_active_low: false,
            gpio_pull: Pull::AsIs,
            gpio_debounce_ms: const { Bounded::new(0) },
            ..wired()
        };
        let asked = lines(&other, 17);
        let line = asked.line_config(17).expect("it is asked for");
        assert_eq!((line.active_low, line.bias, line.debounce_period), (false, None, None));
    }

    #[tokio::test]
    async fn a_chip_that_is_not_there_is_named_with_what_to_do() {
        let (button, _) = Button::new();
        assert!(PushButton::listen(&Ring::default(), button.clone()).expect("none is wired").is_none());
        let nowhere = Ring { gpio_chip: PathBuf::from("/dev/gpiochip-nowhere"), ..wired() };
        let error = PushButton::listen(&nowhere, button).expect_err("there is none").to_string();
        assert!(error.starts_with("ring.gpio_line 17 of /dev/gpiochip-nowhere: "), "{error}");
        assert!(error.contains("gpioinfo"), "{error}");
    }

    #[test]
    fn what_is_the_matter_with_a_line_is_told() {
        let of = |chip: &str| {
            let ring = Ring { gpio_chip: PathBuf::from(chip), ..wired() };
            try_line(&ring).err().map(|(_, trouble)| trouble)
        };
        assert!(matches!(of("/dev/gpiochip-nowhere"), Some(LineTrouble::NoChip(_))));
        assert_eq!(of("/dev/null"), Some(LineTrouble::NotAChip));
        assert!(try_line(&Ring::default()).is_ok(), "none is wired");
    }
}
