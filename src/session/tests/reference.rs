//! The numbers of the reference, held against the code's own.

use std::time::Duration;

use crate::session::{
    ACK_DELAY, Limits, MAX_MESSAGE_BYTES, MAX_PICTURE_BYTES, RESEND_WAITS, WINDOW_BYTES, WINDOW_MESSAGES,
};

/// 65536 as people write it.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let (head, tail) = digits.split_at(digits.len().saturating_sub(3));
    if head.is_empty() { digits } else { format!("{head},{tail}") }
}

fn seconds(wait: &Duration) -> String {
    wait.as_secs_f64().to_string()
}

#[test]
fn the_reference_has_the_times_and_limits_of_the_code() {
    let reference = include_str!("../PROTOCOL.md");
    let limits = Limits::default();
    let waits: Vec<String> = RESEND_WAITS.iter().map(seconds).collect();
    let last = RESEND_WAITS.last().expect("waits");
    let in_all = RESEND_WAITS.iter().sum::<Duration>() + *last;
    for row in [
        format!("| message, one | {} bytes |", grouped(MAX_MESSAGE_BYTES)),
        format!(
            "| window, and what waits out of order | {WINDOW_MESSAGES} messages and {} bytes |",
            grouped(WINDOW_BYTES)
        ),
        format!(
            "| sent again after | {} s; failed {} s later, {} s in all; every {} s while media flows |",
            waits.join(", "),
            seconds(last),
            seconds(&in_all),
            seconds(last)
        ),
        format!("| `ack` alone after | {} ms |", ACK_DELAY.as_millis()),
        format!("| answer within | {} s, configurable |", limits.answer_timeout_s.value()),
        format!("| connection within | {} s from the answer, configurable;", limits.connect_timeout_s.value()),
        format!("`leave` after another {} s, configurable |", limits.silence_timeout_s.value()),
        format!("| joins of one peer | 10 at once, then {} a minute, configurable |", limits.joins_per_minute.value()),
        format!(
            "| messages of one peer, of all | {} and {} a second, twice as many at once, configurable |",
            limits.messages_per_second.value(),
            limits.messages_per_second_in_all.value()
        ),
        format!("| a still picture in a message | {} bytes;", grouped(MAX_PICTURE_BYTES)),
        format!("| viewers | {}, configurable |", limits.max_viewers.value()),
    ] {
        assert!(reference.contains(&row), "PROTOCOL.md does not say: {row}");
    }
}
