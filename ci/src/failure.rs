//! Why a check did not pass: a text for the person who must mend it.

use std::fmt;

/// What went wrong, ready to print.
#[derive(Debug)]
pub struct Failure(String);

/// A check passes with one line of what it did, or fails with the reason.
pub type Outcome = Result<String, Failure>;

impl Failure {
    /// A failure with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}
