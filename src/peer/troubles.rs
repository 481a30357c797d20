//! What of `[ice]` was tried and does not work, for whoever shows it. The log has it too, once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// The config's servers, and a mistake's worth of others.
const MAX_TROUBLES: usize = 64;

/// What does not work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Peers cannot come in over TCP: `ice.tcp_port` cannot be listened on.
    Entrance,
    /// The TURN server of this URL cannot be reached.
    Unreachable(String),
    /// The TURN server of this URL gives us no relay.
    NoRelay(String),
}

/// All that does not work, each with the reason in words.
pub type Troubles = BTreeMap<Trouble, String>;

/// Where it is noted. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Sheet(Arc<watch::Sender<Troubles>>);

impl Default for Sheet {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Troubles::new())))
    }
}

impl Sheet {
    /// It does not work; whether that, or the reason, is news.
    pub(super) fn note(&self, trouble: Trouble, why: &str) -> bool {
        self.0.send_if_modified(|troubles| {
            if troubles.get(&trouble).is_some_and(|before| before == why) {
                return false;
            }
            if troubles.len() >= MAX_TROUBLES {
                troubles.clear();
            }
            troubles.insert(trouble, why.to_owned());
            true
        })
    }

    /// It works; whether that is news.
    pub(super) fn strike(&self, trouble: &Trouble) -> bool {
        self.0.send_if_modified(|troubles| troubles.remove(trouble).is_some())
    }

    /// Follows it from now on.
    pub(super) fn read(&self) -> watch::Receiver<Troubles> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_news_once_until_it_went_well() {
        let sheet = Sheet::default();
        let reader = sheet.read();
        let a = || Trouble::NoRelay("turn:a".to_owned());
        assert!(sheet.note(a(), "refused"));
        assert!(!sheet.note(a(), "refused"));
        assert!(sheet.note(Trouble::Unreachable("turn:a".to_owned()), "refused"), "something else");
        assert!(sheet.note(a(), "expired"));
        assert_eq!(reader.borrow().get(&a()).map(String::as_str), Some("expired"));
        assert!(sheet.strike(&a()));
        assert!(!sheet.strike(&a()));
        assert_eq!(reader.borrow().len(), 1);
        assert!(sheet.note(a(), "expired"));
    }

    #[test]
    fn strangers_urls_do_not_pile_up() {
        let sheet = Sheet::default();
        for n in 0..1_000 {
            sheet.note(Trouble::Unreachable(format!("turn:{n}")), "away");
        }
        assert!(sheet.read().borrow().len() <= MAX_TROUBLES);
    }
}
