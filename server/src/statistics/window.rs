//! Samples of a counter, kept for a minute, an hour and a day.

use std::collections::VecDeque;

use super::Figure;
use crate::metrics::MeterSum;

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Counters at one time, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    messages: u64,
    bytes: u64,
    send_backs: u64,
}

impl Counts {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.send_backs += other.send_backs;
    }

    fn get(&self, figure: Figure) -> u64 {
        match figure {
            Figure::Messages => self.messages,
            Figure::Bytes => self.bytes,
            Figure::SendBacks => self.send_backs,
        }
    }
}

impl From<MeterSum> for Counts {
    fn from(sum: MeterSum) -> Self {
        Self {
            messages: sum.messages,
            bytes: sum.bytes,
            send_backs: sum.send_backs,
        }
    }
}

/// What a window says of a figure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WindowSums {
    /// All of it.
    pub sum: u64,
    /// A second.
    pub per_second: f64,
    /// A message.
    pub per_message: f64,
}

/// One counter's windows. The newest figures are not a sample: they end every window, so that a sum
/// is never as old as the window's step.
#[derive(Debug, Default)]
pub struct Item {
    windows: [Window; 3],
    newest: (i64, Counts),
    moved_ms: i64,
}

#[derive(Debug, Default)]
struct Window {
    samples: VecDeque<(i64, Counts)>,
}

/// Time between the samples of each window, and how many are kept (`StatsItem.java`).
const STEPS: [(i64, usize); 3] = [(10 * SECOND_MS, 7), (10 * MINUTE_MS, 7), (HOUR_MS, 25)];

impl Item {
    /// A counter seen for the first time: all it has was counted in the time before.
    pub fn new(counts: Counts, now_ms: i64) -> Self {
        let mut item = Self::default();
        item.refresh(counts, now_ms);
        item
    }

    /// Takes the counters as they are now.
    pub fn refresh(&mut self, counts: Counts, now_ms: i64) {
        for (window, (step_ms, _)) in self.windows.iter_mut().zip(STEPS) {
            if window.samples.is_empty() {
                window
                    .samples
                    .push_back((now_ms - step_ms, Counts::default()));
            }
        }
        if counts != self.newest.1 {
            self.moved_ms = now_ms;
        }
        // A counter that was given to someone else begins anew.
        if counts.messages < self.newest.1.messages {
            for (window, (step_ms, _)) in self.windows.iter_mut().zip(STEPS) {
                window.samples.clear();
                window
                    .samples
                    .push_back((now_ms - step_ms, Counts::default()));
            }
        }
        self.newest = (now_ms, counts);
    }

    /// Keeps the newest figures in the windows whose step is over.
    pub fn sample(&mut self, now_ms: i64) {
        for (window, (step_ms, kept)) in self.windows.iter_mut().zip(STEPS) {
            let last = window
                .samples
                .back()
                .map_or(now_ms - step_ms, |last| last.0);
            // Timers are not exact: half a second early is in time.
            if (0..step_ms - SECOND_MS / 2).contains(&(now_ms - last)) {
                continue;
            }
            window.samples.push_back((now_ms, self.newest.1));
            if window.samples.len() > kept {
                window.samples.pop_front();
            }
        }
    }

    /// Whether nothing has moved for so long.
    pub fn is_idle(&self, now_ms: i64, for_ms: i64) -> bool {
        now_ms - self.moved_ms > for_ms
    }

    /// Messages since the start.
    pub fn messages(&self) -> u64 {
        self.newest.1.messages
    }

    /// A figure in the last minute, hour and day; `None` when it was never counted.
    pub(super) fn view(&self, figure: Figure) -> Option<[WindowSums; 3]> {
        if self.newest.1.get(figure) == 0 {
            return None;
        }
        let sums = |window: &Window| window.sums(self.newest, figure);
        Some(self.windows.each_ref().map(sums))
    }
}

impl Window {
    fn sums(&self, (now_ms, newest): (i64, Counts), figure: Figure) -> WindowSums {
        let Some(&(from_ms, first)) = self.samples.front() else {
            return WindowSums::default();
        };
        let since = |figure| newest.get(figure).saturating_sub(first.get(figure));
        let (sum, messages) = (since(figure), since(Figure::Messages));
        let ratio = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        WindowSums {
            sum,
            per_second: ratio(sum as f64 * 1000.0, (now_ms - from_ms) as f64),
            per_message: ratio(sum as f64, messages as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(messages: u64) -> Counts {
        Counts {
            messages,
            bytes: messages * 10,
            send_backs: 0,
        }
    }

    /// An item that counted `a_second` every second from 0 to `seconds`, sampled as it is in a broker.
    fn steady(a_second: u64, seconds: i64) -> Item {
        let mut item = Item::new(counts(a_second), 0);
        for second in (0..=seconds).step_by(10) {
            item.refresh(counts(a_second * second as u64), second * SECOND_MS);
            item.sample(second * SECOND_MS);
        }
        item
    }

    #[test]
    fn a_steady_rate_is_told_in_every_window() {
        let item = steady(5, 26 * 3600);
        let windows = item.view(Figure::Messages).unwrap();
        assert_eq!(windows.map(|w| w.sum), [5 * 60, 5 * 3600, 5 * 24 * 3600]);
        for window in windows {
            assert!((window.per_second - 5.0).abs() < 0.001, "{window:?}");
        }
        let bytes = item.view(Figure::Bytes).unwrap();
        assert!((bytes[0].per_second - 50.0).abs() < 0.001);
        assert!((bytes[0].per_message - 10.0).abs() < 0.001);
        assert_eq!(item.view(Figure::SendBacks), None);
    }

    #[test]
    fn what_has_just_been_counted_is_in_all_windows_at_once() {
        let item = Item::new(counts(30), 1_000_000);
        let windows = item.view(Figure::Messages).unwrap();
        assert_eq!(windows.map(|w| w.sum), [30; 3]);
        assert!(
            (windows[0].per_second - 3.0).abs() < 0.001,
            "of ten seconds"
        );
    }

    #[test]
    fn what_is_over_falls_out_of_the_minute_and_stays_in_the_day() {
        let mut item = steady(5, 100);
        for second in (110..=200).step_by(10) {
            item.refresh(counts(500), second * SECOND_MS);
            item.sample(second * SECOND_MS);
        }
        let windows = item.view(Figure::Messages).unwrap();
        assert_eq!((windows[0].sum, windows[2].sum), (0, 500));
        assert!(item.is_idle(200_000, 90_000) && !item.is_idle(200_000, 110_000));
    }

    #[test]
    fn a_counter_that_begins_anew_gives_no_nonsense() {
        let mut item = steady(5, 100);
        item.refresh(counts(3), 101_000);
        assert_eq!(item.view(Figure::Messages).unwrap().map(|w| w.sum), [3; 3]);
    }

    #[test]
    fn a_clock_that_jumps_back_stops_nothing() {
        let mut item = steady(5, 100);
        item.refresh(counts(600), -5_000_000);
        item.sample(-5_000_000);
        item.refresh(counts(700), -4_990_000);
        item.sample(-4_990_000);
        let rate = item.view(Figure::Messages).unwrap()[0].per_second;
        assert!(rate >= 0.0 && rate.is_finite());
    }
}
