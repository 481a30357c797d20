//! The card that is sent in place of pictures which cannot be encoded, by an encoder of its own.

use std::time::{Duration, Instant};

use crate::capture::Card;
use crate::encode::{self, EncodeError, Turn, VideoEncoder, config::H264};
use crate::media::{EncodedVideo, Frame};

use super::clock::media_now;

/// How often a card is sent.
pub const CARD_INTERVAL: Duration = Duration::from_millis(200);

/// What it says in large letters.
pub const HEADLINE: &str = "not encodable";

/// A card that is being shown.
pub struct Notice {
    card: Frame,
    encoder: Box<dyn VideoEncoder>,
    due: Instant,
}

impl Notice {
    /// One that says `words` in pictures of `size`, from `now` on. What it gives first is a key frame.
    ///
    /// # Errors
    /// Not even a card can be encoded.
    pub fn new(config: &H264, size: (u32, u32), fps: u32, words: &str, now: Instant) -> Result<Self, EncodeError> {
        let card = card(size, words);
        let encoder = encode::open_video(config, card.format, fps, Turn::default())?;
        Ok(Self { card, encoder, due: now })
    }

    /// Goes on with other words.
    pub fn say(&mut self, size: (u32, u32), words: &str) {
        self.card = card(size, words);
    }

    /// The card, if it is time for it; `key` is asked only then.
    ///
    /// # Errors
    /// The encoder's own.
    pub fn poll(&mut self, now: Instant, key: impl FnOnce() -> bool) -> Result<Option<EncodedVideo>, EncodeError> {
        if now < self.due {
            return Ok(None);
        }
        self.due = now + CARD_INTERVAL;
        self.encoder.encode(&Frame { captured: media_now(), ..self.card.clone() }, key())
    }
}

fn card((width, height): (u32, u32), words: &str) -> Frame {
    Card::new(width, height, HEADLINE, words).frame(media_now(), 0)
}
