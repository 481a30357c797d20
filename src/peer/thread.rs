//! The thread that all connections live on.
//!
//! One thread and no pool: a picture wakes two tasks of each viewer, and a pool hands half of them from one thread to the
//! other, which costs a seventh of all sending. Signalling and the page have a thread of their own, so that neither waits
//! for the other. At 16 viewers this one is busy for a twentieth of its time.

use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A running thread; it ends when this is dropped, and with it what is left of its tasks.
pub(super) struct MediaThread {
    tasks: Handle,
    _end: oneshot::Sender<()>,
}

impl MediaThread {
    /// # Errors
    /// The system has no thread to give, or no descriptor.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let tasks = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("net-media".to_owned()).spawn(move || {
            // Nothing is ever sent: the sender's end is this thread's.
            let _ = runtime.block_on(ended);
            // A look-up in a name server that does not answer is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { tasks, _end: end })
    }

    /// Where tasks are started.
    pub(super) fn tasks(&self) -> &Handle {
        &self.tasks
    }
}
