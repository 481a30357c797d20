//! What of `[ice]` does not work, on the board: a port that others hold, a TURN server that gives no relay.

use crate::peer::{Trouble, Troubles};

use super::desk::Running;
use super::state::State;

/// The part of the board that the entrance for ICE over TCP is.
const ENTRANCE: &str = "ice:tcp";
/// The part of the board that the TURN servers are, all together.
const RELAYS: &str = "turn";

impl Running {
    /// Shows what the connector has met. Of what nobody has tried there is no part.
    pub(super) fn show_troubles(&mut self) {
        let troubles = self.troubles.borrow_and_update().clone();
        let ice = &self.desk.config.ice;
        let is_ours = |url: &str| ice.servers.iter().any(|server| server.urls.iter().any(|ours| ours == url));
        for (part, found) in [(ENTRANCE, entrance(&troubles)), (RELAYS, relays(&troubles, is_ours))] {
            match found {
                Some((state, why)) => self.desk.board.note(part, state, why),
                None => self.desk.board.forget(part),
            }
        }
    }
}

/// Whether what stands on the board about `part` is for whoever looks after the node alone: it has addresses in it.
pub(super) fn is_private(part: &str) -> bool {
    part == ENTRANCE || part == RELAYS
}

fn entrance(troubles: &Troubles) -> Option<(State, String)> {
    let why = troubles.get(&Trouble::Entrance)?;
    Some((State::Refused, format!("nobody comes in over TCP: {why}: set ice.tcp_port to a port that is free")))
}

/// Servers that a reload has taken out of the config concern nobody any more.
fn relays(troubles: &Troubles, is_ours: impl Fn(&str) -> bool) -> Option<(State, String)> {
    let (mut refused, mut away) = (Vec::new(), Vec::new());
    for (trouble, why) in troubles {
        match trouble {
            Trouble::NoRelay(url) if is_ours(url) => refused.push(why.clone()),
            Trouble::Unreachable(url) if is_ours(url) => away.push(format!("{url}: {why}")),
            _ => {}
        }
    }
    // A server that refuses waits for somebody, one that is away may come back.
    let state = if refused.is_empty() { State::Away } else { State::Refused };
    refused.append(&mut away);
    (!refused.is_empty()).then(|| (state, refused.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_work_is_told_and_servers_of_before_are_forgotten() {
        let ours = |url: &str| url != "turn:old";
        let mut troubles = Troubles::new();
        assert_eq!((entrance(&troubles), relays(&troubles, ours)), (None, None));
        troubles.insert(Trouble::NoRelay("turn:old".to_owned()), "old refuses".to_owned());
        assert_eq!(relays(&troubles, ours), None);
        troubles.insert(Trouble::Unreachable("turns:b".to_owned()), "nothing listens there".to_owned());
        assert_eq!(relays(&troubles, ours), Some((State::Away, "turns:b: nothing listens there".to_owned())));
        troubles.insert(Trouble::NoRelay("turn:a".to_owned()), "a refuses".to_owned());
        let both = "a refuses; turns:b: nothing listens there".to_owned();
        assert_eq!(relays(&troubles, ours), Some((State::Refused, both)));
        troubles.insert(Trouble::Entrance, "0.0.0.0:80: taken".to_owned());
        let (state, why) = entrance(&troubles).expect("told");
        assert_eq!(state, State::Refused);
        assert!(why.contains("0.0.0.0:80: taken") && why.contains("ice.tcp_port"), "{why}");
    }
}
