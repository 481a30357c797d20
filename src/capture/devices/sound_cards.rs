//! ALSA devices: microphones and speakers under names that stay.

use std::collections::BTreeSet;

use alsa::card::Card;
use alsa::ctl::{Ctl, DeviceIter};
use alsa::{Direction, Output};
use serde::Serialize;

use super::DeviceKind;

/// One direction of an ALSA PCM device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SoundDevice {
    /// `audioinput` or `audiooutput`.
    pub kind: DeviceKind,
    /// The PCM's name, by the card's id and not by its number, which moves: `plughw:CARD=Mic,DEV=0`.
    pub id: String,
    /// What a person calls it.
    pub label: String,
    /// The card's id.
    pub card: String,
    /// The card's own PCM number.
    pub device: u32,
}

/// All ALSA devices, card by card.
pub fn sound_devices() -> Vec<SoundDevice> {
    // alsa-lib writes to standard error of its own accord; while this lives, it writes here.
    let _quiet = Output::local_error_handler();
    // The iterator repeats an error for ever.
    let cards = alsa::card::Iter::new().map_while(Result::ok);
    cards.flat_map(|card| on_card(card).unwrap_or_default()).collect()
}

fn on_card(card: Card) -> alsa::Result<Vec<SoundDevice>> {
    let control = Ctl::from_card(&card, true)?;
    let info = control.card_info()?;
    let (id, name) = (info.get_id()?.to_owned(), info.get_name()?.to_owned());
    // The iterator may name a device once for each direction.
    let numbers: BTreeSet<i32> = DeviceIter::new(&control).collect();
    let mut found = Vec::new();
    for number in numbers.into_iter().filter_map(|number| u32::try_from(number).ok()) {
        for (direction, kind) in
            [(Direction::Capture, DeviceKind::AudioInput), (Direction::Playback, DeviceKind::AudioOutput)]
        {
            // An error means that the device lacks this direction.
            let Ok(pcm) = control.pcm_info(number, 0, direction) else { continue };
            let label = pcm.get_name().map_or_else(|_| name.clone(), |pcm_name| format!("{name}, {pcm_name}"));
            let id_of_pcm = format!("plughw:CARD={id},DEV={number}");
            found.push(SoundDevice { kind, id: id_of_pcm, label, card: id.clone(), device: number });
        }
    }
    Ok(found)
}
