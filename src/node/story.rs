//! An error in one line of words.

/// The error and its causes, without those that the text before them has already told.
pub fn whole_story(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |story, cause| {
        let cause = cause.to_string();
        match story.as_str() {
            "" => cause,
            told if told.ends_with(&cause) => story,
            _ => format!("{story}: {cause}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = || io::Error::other("no such file");
        let error = anyhow::Error::new(cause()).context("page.html: no such file");
        assert_eq!(whole_story(&error), "page.html: no such file");
        assert_eq!(whole_story(&anyhow::Error::new(cause()).context("page.html")), "page.html: no such file");
    }
}
