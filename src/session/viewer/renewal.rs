//! A new token, for the session there is and for those to come.

use std::time::Duration;

use super::super::Token;
use super::Viewer;

impl Viewer {
    /// Renews the session's right, and keeps the token for the next `join`.
    pub(super) fn renew(&mut self, token: Token, now: Duration) {
        self.setup.token = Some(token.clone());
        if let Some(session) = &mut self.session {
            let result = session.renew(token, now);
            self.settle(result, now);
        }
    }
}
