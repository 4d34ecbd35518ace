//! Answers what the shards ask on behalf of clients ([`crate::desk`]).

use std::time::{SystemTime, UNIX_EPOCH};

use super::live::LiveSettings;
use crate::desk::{Ask, Question, Reply};

/// See the module.
#[derive(Debug)]
pub(super) struct Desk {
    live: LiveSettings,
}

impl Desk {
    /// A desk for this process.
    pub fn new(live: LiveSettings) -> Self {
        Self { live }
    }

    /// Answers one question.
    pub fn answer(&mut self, question: Question) -> Reply {
        let Question { to, ask } = question;
        match ask {
            Ask::ShowSettings(process) => Reply::Whole(to, self.live.show(process)),
            Ask::ChangeSettings(process, lines) => self.live.change(to, process, &lines, now_ms()),
        }
    }
}

/// Wall time in milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
