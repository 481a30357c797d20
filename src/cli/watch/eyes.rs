//! The thread that looks at what comes in: puts packets together, decodes, reads the time stamp in the picture.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use tokio::sync::mpsc;

use super::tally::Tally;
use crate::encode::H264Decoder;
use crate::media::{Depacketized, Depacketizer, stamp};
use crate::peer::ReceivedPacket;
use crate::session::TrackKind;
use crate::sys;

/// What the thread works with.
pub struct Eyes {
    /// Packets of the session.
    pub packets: mpsc::Receiver<ReceivedPacket>,
    /// Where to count.
    pub tally: Arc<Mutex<Tally>>,
    /// Where pictures are written.
    pub file: Option<BufWriter<File>>,
    /// Asks the node for a key frame.
    pub want_key_frame: mpsc::Sender<()>,
    /// Decode, and read the time stamp; else a picture that is whole counts as seen.
    pub decode: bool,
    /// For the time since the program's beginning.
    pub clock: fn() -> std::time::Duration,
}

impl Eyes {
    /// Looks until the packets end.
    pub fn run(mut self) -> anyhow::Result<()> {
        let mut depacketizer = Depacketizer::default();
        let mut decoder = H264Decoder::new().context("no decoder")?;
        let mut stream = None;
        while let Some(packet) = self.packets.blocking_recv() {
            self.tally().received(packet.payload.len());
            match packet.kind {
                TrackKind::Audio => self.tally().heard(),
                TrackKind::Video => {
                    // A new session is a new stream, with sequence numbers of its own.
                    if stream
                        .replace(Arc::clone(&packet.stream))
                        .is_some_and(|last| !Arc::ptr_eq(&last, &packet.stream))
                    {
                        depacketizer = Depacketizer::default();
                    }
                    let units = depacketizer.push(packet.sequence, packet.rtp_time, packet.marker, packet.payload);
                    for unit in units {
                        self.unit(unit, &mut decoder)?;
                    }
                }
            }
        }
        if let Some(file) = &mut self.file {
            file.flush().context("the pictures cannot be written")?;
        }
        Ok(())
    }

    fn unit(&mut self, unit: Depacketized, decoder: &mut H264Decoder) -> anyhow::Result<()> {
        let unit = match unit {
            Depacketized::Unit(unit) => unit,
            Depacketized::Lost => {
                self.ask();
                return Ok(());
            }
        };
        if let Some(file) = &mut self.file {
            file.write_all(&unit.data).context("the pictures cannot be written")?;
        }
        if !self.decode {
            self.tally().seen((0, 0), None, 0, (self.clock)());
            return Ok(());
        }
        match decoder.decode(&unit.data) {
            Ok(Some(picture)) => {
                let (width, height) = picture.size();
                let (luma, stride) = picture.luma();
                let read = stamp::read(luma, stride, width, height);
                let size = (width as u32, height as u32);
                let wall_ms = (sys::since_unix_epoch().as_millis() & u128::from(u32::MAX)) as u32;
                self.tally().seen(size, read, wall_ms, (self.clock)());
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "a picture could not be decoded");
                self.ask();
            }
        }
        Ok(())
    }

    fn ask(&self) {
        // One wish that is already on its way is enough.
        let _ = self.want_key_frame.try_send(());
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
