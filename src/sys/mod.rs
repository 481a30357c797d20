//! The only `unsafe`: thin safe wrappers over V4L2 ioctls, memory mapping, netlink, sockets, folders, the system's clocks,
//! the allocator and the end of this process; and what ALSA's cards have in common, whichever way the sound goes.
//!
//! Nothing here decides anything, and nothing here knows the rest of the program: times are plain nanoseconds of
//! `CLOCK_MONOTONIC`, errors are [`std::io::Error`], or [`DeviceError`] where they are told to a person.
#![allow(unsafe_code, reason = "the one module that talks to the kernel; every block says why it is sound")]

mod capture_queue;
mod clock;
mod control;
mod controls;
mod device_error;
mod folder;
mod h264_bitrate;
mod mapping;
mod memory;
mod network_changes;
mod packet_socket;
mod process;
mod random;
mod readable;
mod sockets;
mod sound_card;
mod thread;
mod video_device;

pub use capture_queue::{CaptureQueue, FilledBuffer};
pub use clock::{local_offset_s, monotonic_nanos, since_unix_epoch, sleep_until_nanos};
pub use control::{Control, ControlKind, MenuItem};
pub use controls::{controls, set_control};
pub use device_error::DeviceError;
pub use folder::{FileStat, Folder};
pub use h264_bitrate::set_openh264_bitrate;
pub use memory::give_back_memory;
pub use network_changes::{NetworkChange, NetworkChanges};
pub use packet_socket::PacketSocket;
pub use process::end_process;
pub use random::random_bits;
pub use readable::Readable;
pub use sockets::limit_unsent_bytes;
pub use sound_card::{
    first_sound_card, is_sound_card_there, lost_sound_card, mend_sound_card, no_sound_card, open_sound_card,
    refused_sound_card, set_sound_card,
};
pub use thread::set_thread_nice;
pub use video_device::{VideoDeviceInfo, open_video_device, video_device_info};
