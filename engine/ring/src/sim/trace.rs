//! What happened, as one number and, when asked for, as lines.

use std::collections::VecDeque;
use std::fmt::Display;

/// A running 64-bit hash over everything that a world did, and its last lines.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    lines: VecDeque<String>,
    kept: usize,
}

impl Trace {
    pub(super) fn new() -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            lines: VecDeque::new(),
            kept: 0,
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Keeps the last `lines` lines from now on.
    pub(super) fn keep(&mut self, lines: usize) {
        self.kept = lines;
        while self.lines.len() > lines {
            self.lines.pop_front();
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }

    /// Takes an event into the hash; `line` is only asked for its text when lines are kept.
    pub(super) fn record(&mut self, now_ns: u64, numbers: &[u64], line: impl Display) {
        self.mix(now_ns);
        for number in numbers {
            self.mix(*number);
        }
        if self.kept == 0 {
            return;
        }
        if self.lines.len() == self.kept {
            self.lines.pop_front();
        }
        self.lines
            .push_back(format!("{:>14} {line}", now_ns / 1000));
    }

    fn mix(&mut self, number: u64) {
        let mixed = (self.hash ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.hash = mixed ^ (mixed >> 29);
    }
}
