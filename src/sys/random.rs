//! Random bits of the operating system, for what others must not guess.

/// 64 of them.
pub fn random_bits() -> u64 {
    let mut bytes = [0; 8];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    assert_eq!(got, Ok(8), "linux gives up to 256 bytes at once, whenever it has booted");
    u64::from_ne_bytes(bytes)
}
