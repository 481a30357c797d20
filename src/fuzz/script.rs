//! Bytes as a run of choices.

use std::time::Duration;

/// Reads choices off bytes. When they are used up every choice is the first one, so that any bytes are a whole script; and a
/// byte more or less changes little, which is what a fuzzer builds on.
pub(super) struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether all bytes are used up.
    pub(super) fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// `0..count`; `count` is 1 to 256.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    pub(super) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number as protocols count: mostly small, now and then at an edge.
    pub(super) fn number(&mut self) -> u32 {
        match self.byte() {
            small @ 0..240 => u32::from(small) % 40,
            edge => [u32::MAX, u32::MAX - 1, 1 << 31, 1 << 16, 65_535, 127][usize::from(edge) % 6],
        }
    }

    /// From nothing to two hours, most of them short.
    pub(super) fn time(&mut self) -> Duration {
        let byte = self.byte();
        let ms = [1, 10, 50, 100, 500, 1_000, 10_000, 120_000][usize::from(byte >> 5)];
        Duration::from_millis(ms * u64::from(byte & 0x1f) * 2)
    }

    /// Up to 255 bytes.
    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.rest.len());
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        bytes
    }

    /// Up to 255 bytes, as text.
    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}
