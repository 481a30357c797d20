//! Named OS threads for blocking device work, each owned and ended within a time limit.

use std::sync::mpsc;
use std::time::Duration;

/// A running thread. It ends when what it waits on tells it to; [`Thread::join`] waits for that.
#[derive(Debug)]
pub struct Thread {
    name: String,
    ended: mpsc::Receiver<()>,
}

/// A thread did not end in time, most likely because a driver does not return from a system call.
#[derive(Debug, thiserror::Error)]
#[error("thread {name} did not end within {limit:?}: abandoned")]
pub struct Wedged {
    name: String,
    limit: Duration,
}

/// Which threads come first when the processor is short: sound before network before picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Sound: a late period is heard.
    Sound,
    /// Picture: a late frame is replaced by the next.
    Picture,
    /// Watching over all the others, for a moment each second.
    Watch,
}

impl Priority {
    /// Niceness relative to the network's 0; lower runs first. A few steps suffice to order threads without starving any.
    const fn nice(self) -> i32 {
        match self {
            Self::Sound => -5,
            Self::Picture => 3,
            Self::Watch => -5,
        }
    }
}

/// Starts a thread called `name` (at most 15 bytes are shown by Linux).
///
/// # Errors
/// The system has no more threads to give.
pub fn start(
    name: impl Into<String>,
    priority: Priority,
    body: impl FnOnce() + Send + 'static,
) -> std::io::Result<Thread> {
    let name = name.into();
    let (ending, ended) = mpsc::channel::<()>();
    std::thread::Builder::new().name(name.clone()).spawn(move || {
        // Linux counts niceness per thread; raising it needs a privilege that a service may lack, and then it stays.
        if let Err(error) = crate::sys::set_thread_nice(priority.nice()) {
            tracing::debug!(%error, "thread priority stays as it is");
        }
        body();
        drop(ending);
    })?;
    Ok(Thread { name, ended })
}

impl Thread {
    /// Blocks until the thread has ended, a panic included, at most `limit`.
    ///
    /// # Errors
    /// [`Wedged`]: it is still running, and is left to itself.
    pub fn join(self, limit: Duration) -> Result<(), Wedged> {
        // Nothing is ever sent: the sender's end is the thread's end.
        match self.ended.recv_timeout(limit) {
            Err(mpsc::RecvTimeoutError::Timeout) => Err(Wedged { name: self.name, limit }),
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wedged_thread_is_abandoned_and_named() {
        let (release, wait) = mpsc::channel::<()>();
        let wedged = start("wedged", Priority::Picture, move || {
            let _ = wait.recv();
        })
        .expect("threads can be had");
        let error = wedged.join(Duration::from_millis(10)).expect_err("it waits");
        assert_eq!(error.to_string(), "thread wedged did not end within 10ms: abandoned");
        drop(release);
    }

    #[test]
    fn a_thread_that_panics_counts_as_ended() {
        let thread =
            start("panics", Priority::Picture, || panic!("expected in this test")).expect("threads can be had");
        thread.join(Duration::from_secs(10)).expect("it ended");
    }
}
