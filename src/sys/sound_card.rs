//! ALSA's cards, as far as microphones and speakers have them alike: how one is found, opened and set, and what its errors mean.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use alsa::pcm::{Access, Format, Frames, HwParams, PCM, State};
use alsa::{Direction, Output, ValueOr};

use super::DeviceError;

/// The first PCM of this direction, of the first card that has one: `plughw:CARD=Mic,DEV=0`.
pub fn first_sound_card(direction: Direction) -> Option<String> {
    // alsa-lib writes to standard error of its own accord; while this lives, it writes here.
    let _quiet = Output::local_error_handler();
    // The iterator repeats an error for ever.
    let mut cards = alsa::card::Iter::new().map_while(Result::ok);
    cards.find_map(|card| {
        let control = alsa::Ctl::from_card(&card, true).ok()?;
        let name = control.card_info().ok()?.get_id().ok()?.to_owned();
        // An error means that the device lacks this direction; the iterator may name one twice, and knows no order.
        let has_direction = |device: &i32| control.pcm_info(u32::try_from(*device).unwrap_or(0), 0, direction).is_ok();
        let device = alsa::ctl::DeviceIter::new(&control).filter(has_direction).min()?;
        Some(format!("plughw:CARD={name},DEV={device}"))
    })
}

/// Whether the card of the PCM called `device` is plugged in, as far as that name tells which card that is.
pub fn is_sound_card_there(device: &str) -> bool {
    card_of(device).is_none_or(|card| {
        let is_number = card.bytes().all(|b| b.is_ascii_digit());
        // The kernel's own list; a card's folder there is called after its number, and a link after its id.
        let name = if is_number { format!("card{card}") } else { card.to_owned() };
        Path::new("/proc/asound").join(name).exists()
    })
}

/// Opens the PCM called `device`, without waiting for anything.
///
/// # Errors
/// Why it cannot be opened.
pub fn open_sound_card(device: &str, direction: Direction) -> Result<PCM, DeviceError> {
    // The crate panics on such a name.
    if device.contains('\0') {
        return Err(DeviceError::NotFound { device: device.replace('\0', "\u{fffd}") });
    }
    let _quiet = Output::local_error_handler();
    PCM::new(device, direction, true).map_err(|error| refused_sound_card(device, "open", error))
}

/// Asks for mono of 16 bits at `rate_hz`, and for periods and a buffer of about so many samples.
///
/// # Errors
/// The card's answer.
pub fn set_sound_card(pcm: &PCM, rate_hz: u32, period: Frames, buffer: Frames) -> alsa::Result<()> {
    let _quiet = Output::local_error_handler();
    let hardware = HwParams::any(pcm)?;
    hardware.set_access(Access::RWInterleaved)?;
    hardware.set_format(Format::s16())?;
    hardware.set_channels(1)?;
    hardware.set_rate(rate_hz, ValueOr::Nearest)?;
    hardware.set_period_size_near(period, ValueOr::Nearest)?;
    hardware.set_buffer_size_near(buffer)?;
    pcm.hw_params(&hardware)
}

/// What an error of opening or setting a card means.
pub fn refused_sound_card(device: &str, operation: &'static str, error: alsa::Error) -> DeviceError {
    let is_kept = || is_kept_from_us(device, Path::new("/proc/asound"), Path::new("/dev/snd"), is_denied);
    let device = device.to_owned();
    match error.errno() {
        libc::ENODEV | libc::ENOENT | libc::ENXIO if is_kept() => DeviceError::Denied { device },
        libc::ENODEV | libc::ENOENT | libc::ENXIO => DeviceError::NotFound { device },
        libc::EBUSY => DeviceError::Busy { device },
        libc::EACCES | libc::EPERM => DeviceError::Denied { device },
        libc::EINVAL => DeviceError::Unsupported { device, reason: format!("cannot {operation}") },
        errno => DeviceError::Io { device, operation, source: std::io::Error::from_raw_os_error(errno) },
    }
}

/// What there being no card for `auto` means: `what` is what was looked for.
pub fn no_sound_card(what: &str) -> DeviceError {
    let denied = is_kept_from_us("", Path::new("/proc/asound"), Path::new("/dev/snd"), is_denied);
    let device = what.to_owned();
    if denied { DeviceError::Denied { device } } else { DeviceError::NotFound { device } }
}

/// Mends an overrun, an underrun or a suspend, and says whether there was one to mend; a stream that captures is to be started again.
///
/// # Errors
/// What an error in mid-stream means. An unplugged card shows in several ways, so the card is asked.
pub fn mend_sound_card(device: &str, pcm: &PCM, error: alsa::Error) -> Result<bool, DeviceError> {
    match error.errno() {
        libc::EINTR | libc::EAGAIN => return Ok(false),
        libc::EPIPE | libc::ESTRPIPE => {}
        _ => return Err(lost_sound_card(device, pcm, error)),
    }
    tracing::debug!(device, %error, "sound lost: the card ran over or dry");
    pcm.try_recover(error, true).map_err(|error| lost_sound_card(device, pcm, error))?;
    Ok(true)
}

/// What an error in mid-stream that cannot be mended means.
pub fn lost_sound_card(device: &str, pcm: &PCM, error: alsa::Error) -> DeviceError {
    let device = device.to_owned();
    let absent = |error: &alsa::Error| matches!(error.errno(), libc::ENODEV | libc::ENOENT | libc::ENXIO);
    if absent(&error) || pcm.state() == State::Disconnected || pcm.status().is_err_and(|error| absent(&error)) {
        return DeviceError::Gone { device };
    }
    let source = std::io::Error::from_raw_os_error(error.errno());
    DeviceError::Io { device, operation: error.func(), source }
}

/// Whether the card that the PCM `device` lies on is plugged in and not ours. To alsa-lib such a card is not there, as it looks for a
/// card's name by opening each. A name that tells no card stands for all of them.
fn is_kept_from_us(device: &str, cards: &Path, nodes: &Path, is_denied: impl Fn(&Path) -> bool) -> bool {
    let denied = |number: &str| is_denied(&nodes.join(format!("controlC{number}")));
    match card_of(device) {
        // The kernel's own list, which everybody may read: a link called after the card's id leads to `card0`.
        Some(card) if card.bytes().all(|b| b.is_ascii_digit()) => denied(card),
        Some(card) => fs::read_link(cards.join(card))
            .ok()
            .and_then(|card| card.to_str()?.strip_prefix("card").map(denied))
            .unwrap_or(false),
        None if device.is_empty() => controls(nodes).iter().any(|node| is_denied(node)),
        None => false,
    }
}

/// The card in a PCM's name: `Mic` of `plughw:CARD=Mic,DEV=0` and of `hw:Mic`, `1` of `plughw:1,0`.
fn card_of(device: &str) -> Option<&str> {
    let (plugin, arguments) = device.split_once(':')?;
    let card = arguments.split(',').find_map(|argument| argument.strip_prefix("CARD="));
    let first = || arguments.split(',').next().filter(|_| matches!(plugin, "hw" | "plughw"));
    // No name of a card holds a slash, and none is to lead out of the kernel's folder.
    card.or_else(first).filter(|card| !card.is_empty() && !card.contains(['/', '=']) && !card.starts_with('.'))
}

fn controls(nodes: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(nodes).into_iter().flatten().flatten().map(|entry| entry.path());
    all.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("controlC")))
        .collect()
}

/// As alsa-lib would open it.
fn is_denied(node: &Path) -> bool {
    let opened = File::options().read(true).write(true).open(node);
    opened.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_card_keeps_its_meaning() {
        let of =
            |errno| refused_sound_card("plughw:CARD=NoSuchCard,DEV=0", "open", alsa::Error::new("snd_pcm_open", errno));
        assert!(matches!(of(libc::ENODEV), DeviceError::NotFound { .. }));
        assert!(matches!(of(libc::EBUSY), DeviceError::Busy { .. }));
        assert!(matches!(of(libc::EACCES), DeviceError::Denied { .. }));
        assert!(matches!(of(libc::EPERM), DeviceError::Denied { .. }));
        assert_eq!(of(libc::EINVAL).to_string(), "plughw:CARD=NoSuchCard,DEV=0: cannot open");
        assert!(matches!(of(libc::EIO), DeviceError::Io { .. }));
    }

    #[test]
    fn a_name_tells_its_card() {
        for (device, card) in [
            ("plughw:CARD=Mic,DEV=0", Some("Mic")),
            ("front:DEV=0,CARD=Mic", Some("Mic")),
            ("hw:Mic", Some("Mic")),
            ("plughw:1,0", Some("1")),
            ("null", None),
            ("default", None),
            ("front:1", None),
            ("hw:CARD=../etc", None),
            ("hw:", None),
        ] {
            assert_eq!(card_of(device), card, "{device}");
        }
    }

    #[test]
    fn a_card_that_is_plugged_in_and_not_ours_is_told_from_one_that_is_not_there() {
        let system = tempfile::tempdir().expect("there is room");
        let (cards, nodes) = (system.path().join("asound"), system.path().join("snd"));
        for folder in [&cards, &nodes] {
            fs::create_dir(folder).expect("a new folder");
        }
        std::os::unix::fs::symlink("card1", cards.join("Mic")).expect("a new link");
        for node in ["controlC1", "pcmC1D0c", "timer"] {
            fs::write(nodes.join(node), "").expect("there is room");
        }
        // Whoever is root may open all, so who may is an argument.
        let kept = |device: &str, denied: &str| {
            is_kept_from_us(device, &cards, &nodes, |node| node == nodes.join(denied) && node.exists())
        };
        for device in ["plughw:CARD=Mic,DEV=0", "hw:1", "plughw:1,0", ""] {
            assert!(kept(device, "controlC1"), "{device}");
            assert!(!kept(device, "nothing"), "{device}");
        }
        for device in ["plughw:CARD=Other,DEV=0", "hw:0", "null", "no such pcm"] {
            assert!(!kept(device, "controlC1"), "{device}");
        }
        assert!(!kept("", "timer"), "it is no card");
    }
}
