//! The node as a service: tells systemd how it is (sd_notify(3)), and ends the process when a part of it is stuck.
//!
//! A thread of its own, so that nothing else can hold it up. Without `NOTIFY_SOCKET` nobody is told; a stuck part ends the
//! process all the same.

mod starts;
mod vigil;
mod words;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use sd_notify::NotifyState;

use super::Node;
use super::clock::media_now;
use super::thread::{self, Priority, Thread};
use crate::sys;
pub use starts::Starts;
use vigil::{Stuck, Vigil};
use words::{Facts, Words};

/// Between two looks; shorter where systemd wants to hear more often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Of the time after which systemd loses patience.
const PARTS_OF_PATIENCE: u32 = 4;
/// For the thread to end, once nobody needs it.
const END_WITHIN: Duration = Duration::from_millis(500);

/// The watch over a running node. Dropped, it watches no more.
pub struct Service {
    orders: Option<Sender<Order>>,
    thread: Option<Thread>,
}

enum Order {
    Reloading,
    Ready,
    Stopping,
}

impl Service {
    /// Begins to watch over `node`, and says that it is ready.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(node: &Node) -> std::io::Result<Self> {
        let (orders, ordered) = channel();
        let patience = sd_notify::watchdog_enabled();
        let watch = Watch {
            view: node.view(),
            vigil: Vigil::default(),
            words: Words::default(),
            said: String::new(),
            look_every: patience.map_or(LOOK_EVERY, |patience| LOOK_EVERY.min(patience / PARTS_OF_PATIENCE)),
        };
        let thread = thread::start("service", Priority::Watch, move || watch.run(&ordered))?;
        let service = Self { orders: Some(orders), thread: Some(thread) };
        service.order(Order::Ready);
        Ok(service)
    }

    /// The config is being read again.
    pub fn reloading(&self) {
        self.order(Order::Reloading);
    }

    /// It was read again, or refused; the node goes on.
    pub fn ready(&self) {
        self.order(Order::Ready);
    }

    /// The node is about to be stopped, which has time limits of its own.
    pub fn stopping(mut self) {
        self.order(Order::Stopping);
        self.end();
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // It ends before us only together with the process.
            let _ = orders.send(order);
        }
    }

    fn end(&mut self) {
        self.orders = None;
        if let Some(Err(wedged)) = self.thread.take().map(|thread| thread.join(END_WITHIN)) {
            tracing::debug!(%wedged, "the service manager does not take what it is told");
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}

/// The thread.
struct Watch {
    view: super::View,
    vigil: Vigil,
    words: Words,
    /// The status line that was sent last.
    said: String,
    look_every: Duration,
}

impl Watch {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            self.look();
            match orders.recv_timeout(self.look_every) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(Order::Ready) => {
                    let line = self.line();
                    tell(&[NotifyState::Ready, NotifyState::Status(&line)]);
                    self.said = line;
                }
                Ok(Order::Reloading) => {
                    let since_boot = i128::from(sys::monotonic_nanos() / 1_000);
                    tell(&[NotifyState::Reloading, NotifyState::MonotonicUsec(since_boot)]);
                }
                Ok(Order::Stopping) => {
                    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
                    return;
                }
            }
        }
    }

    fn look(&mut self) {
        if let Some(stuck) = self.vigil.look(&self.view.pulses(), media_now()) {
            end_process(&stuck);
        }
        tell(&[NotifyState::Watchdog]);
        let line = self.line();
        if line != self.said {
            tell(&[NotifyState::Status(&line)]);
            self.said = line;
        }
    }

    fn line(&mut self) -> String {
        let facts =
            Facts { name: self.view.name(), page: self.view.pages().into_iter().next(), viewers: self.view.viewers() };
        self.words.line(&facts, &self.view.conditions(), media_now())
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager is not told");
    }
}

/// A thread that hangs in a driver cannot be ended, and takes with it what it holds: only a new process helps.
fn end_process(stuck: &Stuck) -> ! {
    let seconds = stuck.silent.as_secs();
    tracing::error!(
        part = stuck.name,
        seconds,
        "stuck: no sign of life for {seconds} s; this process ends, so that another can begin (`dmesg` may have a driver's words)"
    );
    let line = format!("ended: {} stuck for {seconds} s", stuck.name);
    tell(&[NotifyState::Status(&line)]);
    sys::end_process(1)
}
