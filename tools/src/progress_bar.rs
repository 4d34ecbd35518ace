//! How far long work is: on a terminal only, and on standard error, so that output stays clean.

use std::io::{IsTerminal, stderr, stdout};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar, or nothing where nobody would see it.
pub struct Bar(Option<ProgressBar>);

impl Bar {
    /// No bar.
    pub fn none() -> Self {
        Self(None)
    }

    /// A bar of messages; none where messages go to the same terminal.
    pub fn messages(quiet: bool) -> Self {
        match quiet || stdout().is_terminal() {
            true => Self(None),
            false => {
                Self::with("{bar:32} {human_pos} of {human_len} messages, {per_sec}, {eta} left")
            }
        }
    }

    /// A bar of bytes.
    pub fn bytes(quiet: bool) -> Self {
        match quiet {
            true => Self(None),
            false => Self::with(
                "{bar:32} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
            ),
        }
    }

    fn with(template: &str) -> Self {
        if !stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    /// There is more to do than was known.
    pub fn more(&self, amount: u64) {
        if let Some(bar) = &self.0 {
            bar.inc_length(amount);
        }
    }

    /// Some of it is done.
    pub fn advance(&self, amount: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(amount);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
