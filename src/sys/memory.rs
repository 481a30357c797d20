//! What the allocator keeps of what was freed.

/// Gives it back to the system. It takes some milliseconds, in which whoever wants memory may have to wait.
pub fn give_back_memory() {
    // Other allocators than glibc's have no such call.
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointer, and glibc's own locks keep it from what other threads do (malloc_trim(3): MT-Safe).
    unsafe {
        libc::malloc_trim(0);
    }
}
