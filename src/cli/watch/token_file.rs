//! The file with the token: read at the start, and again when somebody has written a newer one into it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::session::Token;

/// The file, if there is one, and the token that was last read from it.
pub struct TokenFile {
    path: Option<PathBuf>,
    token: Option<Token>,
}

impl TokenFile {
    /// Reads it.
    pub fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let token = path.map(read).transpose()?;
        Ok(Self { path: path.map(Path::to_owned), token })
    }

    /// What was last read.
    pub fn token(&self) -> Option<Token> {
        self.token.clone()
    }

    /// The token, if it is another than before. A file that is just being written is looked at again later.
    pub fn newer(&mut self) -> Option<Token> {
        let token = read(self.path.as_deref()?).ok()?;
        if self.token.as_ref() == Some(&token) {
            return None;
        }
        self.token = Some(token);
        self.token()
    }
}

fn read(path: &Path) -> anyhow::Result<Token> {
    let text = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    Token::try_from(text.trim()).with_context(|| format!("{}: holds no token", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_written_over_is_read_once_and_an_empty_file_changes_nothing() {
        let file = tempfile::NamedTempFile::new().expect("there is room");
        assert!(TokenFile::open(Some(file.path())).is_err(), "it is empty");
        fs::write(file.path(), "first\n").expect("there is room");
        let mut tokens = TokenFile::open(Some(file.path())).expect("a token");
        assert_eq!(tokens.token().as_ref().map(Token::as_str), Some("first"));
        assert_eq!(tokens.newer(), None);
        fs::write(file.path(), "").expect("there is room");
        assert_eq!(tokens.newer(), None);
        fs::write(file.path(), "second").expect("there is room");
        assert_eq!(tokens.newer().as_ref().map(Token::as_str), Some("second"));
        assert_eq!(tokens.newer(), None);
        assert_eq!(TokenFile::open(None).expect("no file is no error").newer(), None);
    }
}
