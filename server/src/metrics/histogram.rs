//! Durations in buckets of a quarter octave: coarse enough to be cheap, fine enough for a p99 that is
//! right within a fifth.

use super::counter::Counter;

/// Buckets of each doubling.
const STEPS: usize = 4;
/// Shortest duration told apart: 2^10 ns, about a microsecond.
const FIRST_OCTAVE: u32 = 10;
/// Longest told apart: 2^37 ns, about 137 s.
const LAST_OCTAVE: u32 = 37;
/// Buckets of a histogram.
pub const BUCKETS: usize = (LAST_OCTAVE - FIRST_OCTAVE) as usize * STEPS;

/// Counts of durations, written by one thread and read by any.
#[derive(Debug)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    sum_ns: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [const { Counter::new() }; BUCKETS],
            sum_ns: Counter::new(),
        }
    }
}

impl Histogram {
    /// Counts a duration `times` times. The writing thread only.
    pub fn record(&self, duration_ns: u64, times: u64) {
        self.buckets[bucket_of(duration_ns)].add(times);
        self.sum_ns.add(duration_ns.wrapping_mul(times));
    }

    /// Adds all that this one counted to a reading.
    pub fn read_into(&self, reading: &mut HistogramReading) {
        for (sum, bucket) in reading.buckets.iter_mut().zip(&self.buckets) {
            *sum = sum.wrapping_add(bucket.get());
        }
        reading.sum_ns = reading.sum_ns.wrapping_add(self.sum_ns.get());
    }
}

/// One reading, possibly of several histograms together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramReading {
    buckets: [u64; BUCKETS],
    /// All durations together.
    pub sum_ns: u64,
}

impl Default for HistogramReading {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
            sum_ns: 0,
        }
    }
}

impl HistogramReading {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Each doubling: its upper end in nanoseconds, and how many durations were shorter.
    pub fn octaves(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut below = 0;
        self.buckets
            .chunks(STEPS)
            .enumerate()
            .map(move |(at, octave)| {
                below += octave.iter().sum::<u64>();
                (1 << (FIRST_OCTAVE + 1 + at as u32), below)
            })
    }

    /// How many durations were shorter than this, to the bucket that it lies in.
    pub fn count_below_ns(&self, duration_ns: u64) -> u64 {
        self.buckets[..bucket_of(duration_ns)].iter().sum()
    }

    /// The duration that the share `quantile` (0 to 1) of all did not exceed, in nanoseconds: the upper
    /// end of its bucket. `None` when nothing was counted.
    pub fn quantile_ns(&self, quantile: f64) -> Option<u64> {
        let count = self.count();
        let rank = ((count as f64 * quantile).ceil() as u64).clamp(1, count.max(1));
        let mut below = 0;
        self.buckets.iter().enumerate().find_map(|(at, bucket)| {
            below += bucket;
            (count > 0 && below >= rank).then(|| upper_ns(at))
        })
    }

    /// What was counted since an earlier reading of the same histograms.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut new = self.clone();
        for (bucket, old) in new.buckets.iter_mut().zip(&earlier.buckets) {
            *bucket = bucket.wrapping_sub(*old);
        }
        new.sum_ns = new.sum_ns.wrapping_sub(earlier.sum_ns);
        new
    }
}

fn bucket_of(duration_ns: u64) -> usize {
    let octave = duration_ns.max(1).ilog2();
    if octave < FIRST_OCTAVE {
        return 0;
    }
    let step = (duration_ns >> (octave - 2)) as usize % STEPS;
    ((octave - FIRST_OCTAVE) as usize * STEPS + step).min(BUCKETS - 1)
}

fn upper_ns(bucket: usize) -> u64 {
    let octave = 1 << (FIRST_OCTAVE as usize + bucket / STEPS);
    octave + octave / STEPS as u64 * (bucket % STEPS + 1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_below_the_upper_end_of_its_bucket_and_within_a_quarter_of_it() {
        for exponent in FIRST_OCTAVE..LAST_OCTAVE {
            for extra in [0, 1, 100, 255] {
                let duration = (1u64 << exponent) + (1 << exponent) / 256 * extra;
                let upper = upper_ns(bucket_of(duration));
                assert!(
                    duration < upper && upper <= duration + duration / 4 + 1,
                    "{duration}"
                );
            }
        }
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn readings_add_up_and_tell_quantiles() {
        let (one, two) = (Histogram::default(), Histogram::default());
        one.record(100_000, 99);
        let mut before = HistogramReading::default();
        one.read_into(&mut before);
        two.record(9_000_000, 1);
        let mut reading = HistogramReading::default();
        one.read_into(&mut reading);
        two.read_into(&mut reading);
        assert_eq!((reading.count(), reading.sum_ns), (100, 18_900_000));
        let median = reading.quantile_ns(0.5).unwrap();
        assert!((100_000..125_000).contains(&median));
        assert!(reading.quantile_ns(0.995).unwrap() >= 9_000_000);
        assert_eq!(reading.since(&before).count(), 1);
        assert_eq!(HistogramReading::default().quantile_ns(0.5), None);
    }

    #[test]
    fn octaves_are_cumulative() {
        let histogram = Histogram::default();
        histogram.record(1500, 1);
        histogram.record(3000, 2);
        histogram.record(u64::MAX / 2, 1);
        let mut reading = HistogramReading::default();
        histogram.read_into(&mut reading);
        let octaves: Vec<_> = reading.octaves().collect();
        assert_eq!(octaves[..3], [(2048, 1), (4096, 3), (8192, 3)]);
        assert_eq!(octaves.last().map(|last| last.1), Some(4));
    }
}
