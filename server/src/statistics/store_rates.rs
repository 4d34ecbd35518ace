//! Rates of the whole store over 10 seconds, a minute and ten minutes, and what was counted by
//! midnight.

use std::collections::VecDeque;
use std::fmt::Write as _;

/// How often it is sampled, in milliseconds.
pub const STEP_MS: i64 = 1000;
/// The longest time a rate is told for, in samples.
const KEPT: usize = 600;
const DAY_MS: i64 = 24 * 3_600_000;

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Messages stored.
    pub put: u64,
    /// Pulls that found messages.
    pub found: u64,
    /// Pulls that found none.
    pub missed: u64,
    /// Messages delivered.
    pub transferred: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct StoreRates {
    samples: VecDeque<(i64, StoreCounts)>,
    day: Option<i64>,
    /// Messages users had stored and got by the last midnight and by the one before.
    this_morning: (u64, u64),
    yesterday_morning: (u64, u64),
}

impl StoreRates {
    /// Whether a sample is due.
    pub fn is_due(&self, now_ms: i64) -> bool {
        let last = self.samples.back();
        last.is_none_or(|last| !(0..STEP_MS).contains(&(now_ms - last.0)))
    }

    /// Takes a sample, once a second.
    pub fn sample(&mut self, counts: StoreCounts, now_ms: i64) {
        self.samples.push_back((now_ms, counts));
        if self.samples.len() > KEPT + 1 {
            self.samples.pop_front();
        }
    }

    /// Notes what users have stored and got so far; at midnight (UTC) that is the new morning's.
    pub fn note_totals(&mut self, totals: (u64, u64), now_ms: i64) {
        let today = now_ms.div_euclid(DAY_MS);
        let day = *self.day.get_or_insert(today);
        if day < today {
            self.yesterday_morning = self.this_morning;
            self.this_morning = totals;
            self.day = Some(today);
        }
    }

    /// What users had stored and got by the midnight before the last one, and by the last one.
    pub fn mornings(&self) -> [(u64, u64); 2] {
        [self.yesterday_morning, self.this_morning]
    }

    /// `10-second minute ten-minute` rates of a counter, as Java writes them. Where the process is
    /// younger than that: since its start.
    pub fn text(&self, counter: impl Fn(&StoreCounts) -> u64) -> String {
        let mut text = String::new();
        for seconds in [10, 60, 600] {
            let separator = if text.is_empty() { "" } else { " " };
            let rate = self.rate(seconds, &counter);
            // As `Double.toString` in the range that matters: a whole number has `.0`.
            let _ = write!(text, "{separator}{rate:?}");
        }
        text
    }

    fn rate(&self, seconds: usize, counter: impl Fn(&StoreCounts) -> u64) -> f64 {
        let Some(last) = self.samples.back() else {
            return 0.0;
        };
        let at = self.samples.len().saturating_sub(seconds + 1);
        let first = &self.samples[at];
        let elapsed_ms = last.0 - first.0;
        if elapsed_ms <= 0 {
            return 0.0;
        }
        let counted = counter(&last.1).saturating_sub(counter(&first.1));
        counted as f64 * 1000.0 / elapsed_ms as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(seconds: i64) -> StoreRates {
        let mut rates = StoreRates::default();
        for second in 0..=seconds {
            let put = second as u64 * 4;
            let counts = StoreCounts {
                put,
                ..StoreCounts::default()
            };
            assert!(rates.is_due(second * 1000));
            rates.sample(counts, second * 1000);
            assert!(!rates.is_due(second * 1000 + 999));
        }
        rates
    }

    #[test]
    fn rates_are_told_for_three_times_and_are_numbers_from_the_start_on() {
        assert_eq!(rates(700).text(|c| c.put), "4.0 4.0 4.0");
        assert_eq!(rates(5).text(|c| c.put), "4.0 4.0 4.0");
        assert_eq!(rates(0).text(|c| c.put), "0.0 0.0 0.0");
        assert_eq!(StoreRates::default().text(|c| c.found), "0.0 0.0 0.0");
        let mut stopped = rates(100);
        for second in 101..=111 {
            let put = 400;
            stopped.sample(
                StoreCounts {
                    put,
                    ..StoreCounts::default()
                },
                second * 1000,
            );
        }
        assert_eq!(stopped.rate(10, |c| c.put), 0.0);
        assert!(stopped.rate(60, |c| c.put) > 3.0);
    }

    #[test]
    fn midnight_makes_today_yesterday() {
        let mut rates = StoreRates::default();
        rates.note_totals((10, 20), DAY_MS - 1);
        assert_eq!(rates.mornings(), [(0, 0), (0, 0)]);
        rates.note_totals((30, 40), DAY_MS);
        assert_eq!(rates.mornings(), [(0, 0), (30, 40)]);
        rates.note_totals((50, 60), 2 * DAY_MS);
        assert_eq!(rates.mornings(), [(30, 40), (50, 60)]);
        rates.note_totals((70, 80), 2 * DAY_MS - 5);
        assert_eq!(rates.mornings(), [(30, 40), (50, 60)], "a clock set back");
    }
}
