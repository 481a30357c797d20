//! What a subcommand says on standard output, and the one line on standard error when it fails.
//!
//! A reader that goes away (`camera-node devices | head -1`) ends the output, not the program with a panic.

use std::io::{self, Write};

use serde::Serialize;

use crate::node::whole_story;

/// Writes a line of text.
///
/// # Errors
/// Standard output cannot be written to, for another reason than that nobody reads it.
pub fn line(text: &str) -> io::Result<()> {
    write_line(&mut io::stdout().lock(), text)
}

/// Writes a value as one line of JSON.
///
/// # Errors
/// As [`line()`].
pub fn json(value: &impl Serialize) -> io::Result<()> {
    line(&serde_json::to_string(value)?)
}

/// Says on standard error why the command failed.
pub fn complain(error: &anyhow::Error) {
    // One prefix a line: several problems of a config are several lines.
    for line in whole_story(error).lines() {
        // There is nowhere left to say that standard error is closed.
        let _ = write_line(&mut io::stderr().lock(), &format!("camera-node: {line}"));
    }
}

fn write_line(to: &mut impl Write, text: &str) -> io::Result<()> {
    let written = writeln!(to, "{text}").and_then(|()| to.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        assert!(write_line(&mut Gone, "x").is_ok());
    }
}
