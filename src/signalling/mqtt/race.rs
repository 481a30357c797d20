//! Several addresses of one name, of which some may be dead: a race in the manner of RFC 8305 ("Happy Eyeballs").
//!
//! A board often has an IPv6 address without a way out, or a broker has several addresses of which one does not answer.
//! Tried one after the other, the first silent one would use up all the time that a connection may take, each time anew.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

/// How long one address has a name's attention for itself before the next is tried as well: RFC 8305 §5, "Connection
/// Attempt Delay".
pub(super) const HEAD_START: Duration = Duration::from_millis(250);

/// What `connect` makes of the first of `addresses` that takes us. An address that refuses makes way for the next at
/// once, one that is silent when its `head_start` is over; it may still win.
///
/// # Errors
/// All have refused: with the reason of the one that the system prefers. Without any address, there is no name.
pub(super) async fn first_to_answer<T, F, H>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    mut connect: impl FnMut(SocketAddr) -> F,
    mut head_start: impl FnMut() -> H,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
    H: Future<Output = ()>,
{
    let mut waiting = in_turns(addresses).into_iter().enumerate();
    let mut running = FuturesUnordered::new();
    let mut refused: Option<(usize, io::Error)> = None;
    loop {
        if let Some((place, address)) = waiting.next() {
            let attempt = connect(address);
            running.push(async move { (place, attempt.await) });
        }
        let is_last = waiting.len() == 0;
        tokio::select! {
            biased;
            ended = running.next() => match ended {
                Some((_, Ok(stream))) => return Ok(stream),
                Some((place, Err(error))) if refused.as_ref().is_none_or(|(earlier, _)| place < *earlier) => {
                    refused = Some((place, error));
                }
                Some((_, Err(_))) => {}
                None => {
                    let none = || io::Error::other("failed to lookup address information: it has no address");
                    return Err(refused.map_or_else(none, |(_, error)| error));
                }
            },
            () = head_start(), if !is_last => {}
        }
    }
}

/// The families by turns, beginning with the one that the system prefers (RFC 8305 §4).
fn in_turns(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let all: Vec<_> = addresses.into_iter().collect();
    let Some(preferred) = all.first().map(SocketAddr::is_ipv4) else { return all };
    let (first, second): (Vec<_>, Vec<_>) = all.into_iter().partition(|address| address.is_ipv4() == preferred);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut by_turns = Vec::new();
    loop {
        match (first.next(), second.next()) {
            (None, None) => return by_turns,
            (one, other) => by_turns.extend(one.into_iter().chain(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::io::ErrorKind;

    use tokio::task::yield_now;

    use super::*;

    /// What an address does with those who come.
    #[derive(Clone, Copy)]
    enum Door {
        Opens,
        /// When others have been tried.
        OpensLate,
        Refuses,
        IsSilent,
    }
    use Door::{IsSilent, Opens, OpensLate, Refuses};

    /// Who has won, or why nobody has, and who was tried; `waits` if no head start is ever over.
    async fn race(doors: &[(&str, Door)], waits: bool) -> (Result<String, String>, Vec<String>) {
        let doors: Vec<(SocketAddr, Door)> =
            doors.iter().map(|(address, door)| (address.parse().expect("an address"), *door)).collect();
        let mut tried = Vec::new();
        let connect = |address: SocketAddr| {
            tried.push(address.to_string());
            let door = doors.iter().find(|(other, _)| *other == address).expect("one of them").1;
            async move {
                match door {
                    Opens => {}
                    OpensLate => {
                        for _ in 0..9 {
                            yield_now().await;
                        }
                    }
                    Refuses => return Err(io::Error::new(ErrorKind::ConnectionRefused, address.to_string())),
                    IsSilent => pending().await,
                }
                Ok(address)
            }
        };
        let head_start = async || {
            if waits { pending().await } else { ready(()).await }
        };
        let won = first_to_answer(doors.iter().map(|(address, _)| *address), connect, head_start).await;
        (won.map(|address| address.to_string()).map_err(|error| error.to_string()), tried)
    }

    const SIX: &str = "[2001:db8::1]:1883";
    const SIX_TOO: &str = "[2001:db8::2]:1883";
    const SIX_AGAIN: &str = "[2001:db8::3]:1883";
    const FOUR: &str = "192.0.2.1:1883";
    const FOUR_TOO: &str = "192.0.2.2:1883";

    #[tokio::test]
    async fn a_preferred_address_that_answers_is_the_only_one_tried() {
        let (won, tried) = race(&[(SIX, Opens), (FOUR, Opens)], true).await;
        assert_eq!((won.as_deref(), tried), (Ok(SIX), vec![SIX.to_owned()]));
    }

    #[tokio::test]
    async fn a_dead_family_costs_one_head_start_however_many_addresses_it_has() {
        let (won, tried) =
            race(&[(SIX, IsSilent), (SIX_TOO, IsSilent), (SIX_AGAIN, IsSilent), (FOUR, Opens)], false).await;
        assert_eq!((won.as_deref(), tried), (Ok(FOUR), vec![SIX.to_owned(), FOUR.to_owned()]));
    }

    #[tokio::test]
    async fn one_that_refuses_is_not_waited_for() {
        let (won, _) = race(&[(FOUR, Refuses), (SIX, Opens)], true).await;
        assert_eq!(won.as_deref(), Ok(SIX));
    }

    #[tokio::test]
    async fn one_dead_address_of_several_is_passed_by() {
        let (won, tried) = race(&[(FOUR, IsSilent), (FOUR_TOO, Opens)], false).await;
        assert_eq!((won.as_deref(), tried.len()), (Ok(FOUR_TOO), 2));
    }

    #[tokio::test]
    async fn a_slow_one_may_still_win() {
        let (won, tried) = race(&[(SIX, OpensLate), (FOUR, IsSilent)], false).await;
        assert_eq!((won.as_deref(), tried.len()), (Ok(SIX), 2));
    }

    #[tokio::test]
    async fn when_all_refuse_it_is_the_preferred_ones_reason() {
        let (won, tried) = race(&[(SIX, Refuses), (FOUR, Refuses)], true).await;
        assert_eq!((won, tried.len()), (Err(SIX.to_owned()), 2));
        let (won, _) = race(&[], true).await;
        assert!(won.expect_err("no address").contains("no address"));
    }
}
