//! As much of STUN (RFC 8489) and TURN (RFC 8656) as it takes to see that a server is there. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// RFC 8489 §5: tells STUN from other traffic, and masks addresses.
const MAGIC_COOKIE: u32 = 0x2112_A442;
const HEADER_BYTES: usize = 20;

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const ALLOCATE_REQUEST: u16 = 0x0003;
const ALLOCATE_SUCCESS: u16 = 0x0103;
/// The bit pattern of every error answer's class.
const ERROR_CLASS: u16 = 0x0110;

const ATTRIBUTE_ERROR_CODE: u16 = 0x0009;
const ATTRIBUTE_REQUESTED_TRANSPORT: u16 = 0x0019;
const ATTRIBUTE_XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// Marks a request, and the answer to it.
pub type Transaction = [u8; 12];

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Our address as the server sees it.
    Mapped(SocketAddr),
    /// A relay was allocated, at this address, with the login of the config.
    Relay(SocketAddr),
    /// A relay was allocated without one, or something else went well that carries no address we asked for.
    Granted,
    /// It answers, and refuses: 401 means that it wants a user name and password.
    Refused {
        /// RFC 8489 §14.8.
        code: u16,
        /// The server's words.
        reason: String,
    },
}

/// "What is my address?"
pub fn binding_request(transaction: Transaction) -> Vec<u8> {
    message(BINDING_REQUEST, transaction, &[])
}

/// "Relay UDP for me", without credentials, as every TURN client asks first (RFC 8656 §7.1).
pub fn allocate_request(transaction: Transaction) -> Vec<u8> {
    const UDP: u8 = 17;
    let [high, low] = ATTRIBUTE_REQUESTED_TRANSPORT.to_be_bytes();
    message(ALLOCATE_REQUEST, transaction, &[high, low, 0, 4, UDP, 0, 0, 0])
}

fn message(kind: u16, transaction: Transaction, attributes: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_BYTES + attributes.len());
    message.extend(kind.to_be_bytes());
    message.extend((attributes.len() as u16).to_be_bytes());
    message.extend(MAGIC_COOKIE.to_be_bytes());
    message.extend(transaction);
    message.extend(attributes);
    message
}

/// The answer to our request in `message`; `None` for anything else that arrives at our port.
pub fn read_answer(message: &[u8], transaction: Transaction) -> Option<Answer> {
    let (header, rest) = message.split_at_checked(HEADER_BYTES)?;
    let kind = u16::from_be_bytes([header[0], header[1]]);
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[4..8] != MAGIC_COOKIE.to_be_bytes() || header[8..] != transaction {
        return None;
    }
    let attributes = rest.get(..length)?;
    if kind & ERROR_CLASS == ERROR_CLASS {
        return Attributes(attributes)
            .find(|(kind, _)| *kind == ATTRIBUTE_ERROR_CODE)
            .and_then(|(_, value)| refusal(value));
    }
    match kind {
        BINDING_SUCCESS => Attributes(attributes)
            .find(|(kind, _)| *kind == ATTRIBUTE_XOR_MAPPED_ADDRESS)
            .and_then(|(_, value)| unmask(value, transaction))
            .map(Answer::Mapped),
        ALLOCATE_SUCCESS => Some(Answer::Granted),
        _ => None,
    }
}

fn refusal(value: &[u8]) -> Option<Answer> {
    let (head, reason) = value.split_at_checked(4)?;
    let code = u16::from(head[2] & 0x07) * 100 + u16::from(head[3]);
    Some(Answer::Refused { code, reason: String::from_utf8_lossy(reason).into_owned() })
}

/// RFC 8489 §14.2.
fn unmask(value: &[u8], transaction: Transaction) -> Option<SocketAddr> {
    let (head, address) = value.split_at_checked(4)?;
    let port = u16::from_be_bytes([head[2], head[3]]) ^ (MAGIC_COOKIE >> 16) as u16;
    let ip = match head[1] {
        1 => IpAddr::V4(Ipv4Addr::from(u32::from_be_bytes(address.try_into().ok()?) ^ MAGIC_COOKIE)),
        2 => {
            let mut mask = [0; 16];
            mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
            mask[4..].copy_from_slice(&transaction);
            IpAddr::V6(Ipv6Addr::from(u128::from_be_bytes(address.try_into().ok()?) ^ u128::from_be_bytes(mask)))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Attributes of a message, up to the first that is cut off.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_at_checked(4)?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = rest.get(..length)?;
        self.0 = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_be_bytes([head[0], head[1]]), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: Transaction = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    fn answer(kind: u16, attributes: &[u8]) -> Vec<u8> {
        message(kind, TRANSACTION, attributes)
    }

    #[test]
    fn a_mapped_address_is_unmasked_as_in_rfc_5769() {
        // The XOR-MAPPED-ADDRESS attributes of RFC 5769 §2.2 and §2.3.
        let v4 = [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let v6 = [
            0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25,
            0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        for (attribute, expected) in
            [(&v4[..], "192.0.2.1:32853"), (&v6[..], "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
        {
            let read = read_answer(&answer(BINDING_SUCCESS, attribute), TRANSACTION);
            assert_eq!(read, Some(Answer::Mapped(expected.parse().expect("an address"))));
        }
    }

    #[test]
    fn a_turn_server_that_wants_credentials_has_answered() {
        let attributes = [&[0x00, 0x09, 0x00, 0x10, 0, 0, 4, 1][..], b"Unauthorized"].concat();
        let read = read_answer(&answer(0x0113, &attributes), TRANSACTION);
        assert_eq!(read, Some(Answer::Refused { code: 401, reason: "Unauthorized".to_owned() }));
    }

    #[test]
    fn what_is_cut_off_or_for_someone_else_is_no_answer() {
        let whole = answer(BINDING_SUCCESS, &[0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        for end in 0..whole.len() {
            assert_eq!(read_answer(&whole[..end], TRANSACTION), None, "cut to {end}");
        }
        assert_eq!(read_answer(&whole, [0; 12]), None);
    }

    #[test]
    fn requests_have_the_form_of_the_rfc() {
        assert_eq!(binding_request(TRANSACTION)[..8], [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
        let allocate = allocate_request(TRANSACTION);
        assert_eq!(allocate[..4], [0, 3, 0, 8]);
        assert_eq!(allocate[20..], [0, 0x19, 0, 4, 17, 0, 0, 0]);
    }
}
