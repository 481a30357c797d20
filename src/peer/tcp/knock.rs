//! The first message of a peer that comes in over TCP: a connectivity check of ICE
//! ([RFC 8445 §7.2.2](https://www.rfc-editor.org/rfc/rfc8445#section-7.2.2)), which tells whose guest it is and proves that
//! it has our description. Pure.

use rtc::crypto::RTCCrypto;
use rtc::stun::attributes::ATTR_USERNAME;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{BINDING_REQUEST, Getter, Message};
use rtc::stun::textattrs::TextAttribute;

/// A check that somebody has sent us.
pub(in crate::peer) struct Knock(Message);

impl Knock {
    /// `None` for anything else than a binding request.
    pub(in crate::peer) fn read(datagram: &[u8]) -> Option<Self> {
        let mut message = Message::new();
        message.unmarshal_binary(datagram).ok()?;
        (message.typ == BINDING_REQUEST).then_some(Self(message))
    }

    /// The user name fragment of ours that it names: the first half of its user name.
    pub(in crate::peer) fn ufrag(&self) -> Option<String> {
        let mut username = TextAttribute { attr: ATTR_USERNAME, text: String::new() };
        username.get_from(&self.0).ok()?;
        username.text.split_once(':').map(|(ours, _)| ours.to_owned())
    }

    /// Whether it was made by one who knows this password of ours.
    pub(in crate::peer) fn is_signed_with(&mut self, password: &str, crypto: &dyn RTCCrypto) -> bool {
        MessageIntegrity::check(&mut self.0, password.as_bytes(), crypto).is_ok()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rtc::stun::fingerprint::FINGERPRINT;
    use rtc::stun::message::{BINDING_SUCCESS, MessageType, Setter, TransactionId};

    use super::*;

    /// A check that is signed with `password`.
    pub(in crate::peer) fn check(kind: MessageType, username: &str, password: &str) -> Vec<u8> {
        let provider = rtc::crypto::default_provider().expect("the crate's cryptography");
        let parts: [Box<dyn Setter + '_>; 5] = [
            Box::new(kind),
            Box::new(TransactionId::new()),
            Box::new(TextAttribute::new(ATTR_USERNAME, username.to_owned())),
            Box::new(MessageIntegrity::new_short_term_integrity_with_provider(password.to_owned(), provider.crypto())),
            Box::new(FINGERPRINT),
        ];
        let mut message = Message::new();
        message.build(&parts).expect("a good message");
        message.raw
    }

    #[test]
    fn only_a_check_with_our_password_lets_in() {
        let provider = rtc::crypto::default_provider().expect("the crate's cryptography");
        let good = check(BINDING_REQUEST, "ours:theirs", "password");
        assert_eq!(Knock::read(&good).and_then(|knock| knock.ufrag()).as_deref(), Some("ours"));
        let signed = |bytes: &[u8], password| {
            Knock::read(bytes).is_some_and(|mut knock| knock.is_signed_with(password, provider.crypto()))
        };
        assert!(signed(&good, "password"));
        assert!(!signed(&good, "guessed"));
        let mut changed = good.clone();
        changed[24] ^= 1;
        assert!(!signed(&changed, "password"));
        for end in 0..good.len() {
            assert!(!signed(&good[..end], "password"), "cut at {end}");
        }
        assert!(Knock::read(&check(BINDING_SUCCESS, "ours:theirs", "password")).is_none());
        let nameless = check(BINDING_REQUEST, "ours", "password");
        assert_eq!(Knock::read(&nameless).and_then(|knock| knock.ufrag()), None);
    }
}
