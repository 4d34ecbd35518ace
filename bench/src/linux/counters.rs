//! Turns and commits of a server: how often its shards entered the kernel, and how many blocks they wrote.

use serde_json::Value;

/// Counted since the server's start, over all its shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Turns: one entry to the kernel each.
    pub turns: u64,
    /// Blocks written.
    pub commits: u64,
}

/// Their names among what a broker tells of itself. Apache RocketMQ has nothing of the kind.
const TURNS: &str = "ringmqTurns";
const COMMITS: &str = "ringmqCommits";

impl Counters {
    /// GET_BROKER_RUNTIME_INFO.
    pub const REQUEST: i32 = 28;

    /// From the body of the answer; nothing where the broker does not count them.
    pub fn from_body(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let number = |name| body.get("table")?.get(name)?.as_str()?.parse().ok();
        Some(Self {
            turns: number(TURNS)?,
            commits: number(COMMITS)?,
        })
    }

    /// The body of the answer.
    pub fn to_body(self) -> String {
        let Self { turns, commits } = self;
        format!("{{\"table\":{{\"{TURNS}\":\"{turns}\",\"{COMMITS}\":\"{commits}\"}}}}")
    }

    /// Turns for each commit since `before`.
    pub fn turns_per_commit(self, before: Self) -> Option<f64> {
        let commits = self.commits.checked_sub(before.commits)?;
        let turns = self.turns.checked_sub(before.turns)?;
        (commits > 0).then(|| turns as f64 / commits as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_read_back_and_are_absent_where_nobody_counts() {
        let before = Counters {
            turns: 10,
            commits: 5,
        };
        let after = Counters {
            turns: 35,
            commits: 15,
        };
        assert_eq!(Counters::from_body(after.to_body().as_bytes()), Some(after));
        assert_eq!(after.turns_per_commit(before), Some(2.5));
        assert_eq!(before.turns_per_commit(before), None);
        for body in ["", "{}", "{\"table\":{\"brokerVersion\":\"513\"}}"] {
            assert_eq!(Counters::from_body(body.as_bytes()), None, "{body}");
        }
    }
}
