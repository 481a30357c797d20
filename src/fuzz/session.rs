//! x
/// x
pub fn message(bytes: &[u8]) { let _ = crate::session::Message::read(bytes); }
