//! Priority of the calling thread.

use std::io;

/// Sets the niceness of the calling thread alone (Linux keeps one a thread): −20 is the most urgent, 19 the least.
///
/// # Errors
/// Values below the present one need `CAP_SYS_NICE` or a raised `RLIMIT_NICE`; without them the thread goes on as it was.
pub fn set_thread_nice(nice: i32) -> io::Result<()> {
    Ok(rustix::process::setpriority_process(None, nice)?)
}
