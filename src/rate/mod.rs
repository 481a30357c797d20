//! Pure: what N viewers ask and suffer, turned into what to encode.

mod key_frames;

pub use key_frames::KeyFrameGate;
