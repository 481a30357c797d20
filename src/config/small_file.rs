//! Files that a person or this program wrote: never longer than a mistake.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Configs, keys, lists of revoked tokens: a few thousand bytes, and a list as long as this names thousands.
const MAX_BYTES: u64 = 1 << 20;

/// What the file holds.
///
/// # Errors
/// It cannot be read, or is longer than 1 MiB: then it is another file.
pub fn read_small_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 1 MiB: is it the right file?"));
    }
    Ok(content)
}
