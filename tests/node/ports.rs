//! TCP ports for servers that cannot be told to take any free one.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// From below those that the kernel gives away by itself: there, any other test's connection may take one before the
/// server does. Asked for from two processes at once, they begin elsewhere.
const FIRST: u16 = 10_240;
const COUNT: u16 = 20_480;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// `N` ports that nobody listens on and nobody else here is given.
pub fn free_ports<const N: usize>() -> [u16; N] {
    std::array::from_fn(|_| free_port())
}

fn free_port() -> u16 {
    let of_process = (std::process::id() % u32::from(COUNT)).wrapping_mul(97);
    (0..COUNT)
        .map(|_| {
            let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
            FIRST + ((of_process + next) % u32::from(COUNT)) as u16
        })
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("one of thousands is free")
}
