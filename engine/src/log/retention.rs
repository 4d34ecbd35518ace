//! Which log segments may go, and how full the disk is: a pure decision over what is known, taken
//! every few seconds.
//!
//! Segments go oldest first, never the active one, and never one that a checkpoint still needs. By
//! default only expired ones go; what is not expired goes when the operator has set a byte budget,
//! and never because the disk is full. A wall clock that jumps forward holds expiry for a grace
//! period, so that a wrong clock does not delete everything at once.

use ringmq_ring::Moment;

use crate::types::SegmentNumber;

/// What the operator has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A segment expires this long after its newest record was stored (`fileReservedTime`).
    pub age_ms: i64,
    /// The oldest segments go, expired or not, while the log has more bytes than this.
    pub bytes: Option<u64>,
    /// The hours of the day in which expired segments go (`deleteWhen`).
    pub delete_when: Hours,
    /// What local time is ahead of UTC, for `delete_when`.
    pub utc_offset_ms: i64,
}

/// A set of hours of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours(u32);

/// One closed segment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentAge {
    /// Its number.
    pub number: SegmentNumber,
    /// Bytes of its file.
    pub bytes: u64,
    /// When its newest record was stored; `None` for a segment without records.
    pub last_store_ms: Option<i64>,
    /// Whether it may go at all: both state generations start after it, its index segment is
    /// written, and no read refers to it.
    pub free_to_go: bool,
}

/// Space of the file system, as far as it concerns one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes of the store's own files.
    pub own_bytes: u64,
    /// Bytes that are free for us.
    pub free_bytes: u64,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Segments that are prepared and not in use.
    pub prepared: usize,
}

/// How full the disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fullness {
    /// Nothing to do.
    #[default]
    Normal,
    /// Expired segments go at once, whatever the hour; worth an alarm.
    High,
    /// Sends are refused (14); pulls and commits go on.
    Full,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Segments that go now, oldest first. More may follow at the next decision.
    pub retire: Vec<SegmentNumber>,
    /// How full the disk is.
    pub fullness: Fullness,
    /// Expiry is held until this many monotonic nanoseconds, because the wall clock has jumped.
    pub held_until_ns: Option<u64>,
}

/// Decides, and remembers the clocks and the fullness from one decision to the next.
#[derive(Clone, Debug)]
pub struct Retention {
    policy: Policy,
    last: Option<Moment>,
    held_until_ns: u64,
    fullness: Fullness,
    /// Since when there has been enough room to accept sends again.
    relieved_since_ns: Option<u64>,
    /// Decisions for which the hour of the day does not count.
    at_any_hour: u32,
}

/// A forward jump of the wall clock against the monotonic one that holds expiry.
pub const JUMP_MS: i64 = 60_000;
/// How long it is held.
pub const GRACE_NS: u64 = 600_000_000_000;
/// Segments that go at one decision.
pub const RETIRE_STEP: usize = 4;
/// Percent of the space in use from which the disk is [`Fullness::High`].
pub const HIGH_PERCENT: u64 = 75;
/// Percent of the space in use from which it is [`Fullness::Full`].
pub const FULL_PERCENT: u64 = 90;
/// Percent of the space in use below which it is no longer full, if it stays there.
pub const RELIEF_PERCENT: u64 = 85;
/// Decisions that let expired segments go at any hour after an operator has asked for it: as many as
/// Apache's (`manualDeleteFileSeveralTimes`).
pub const AT_ANY_HOUR: u32 = 20;
/// How long it must stay there.
pub const RELIEF_NS: u64 = 10_000_000_000;
/// Segments that must be prepared or have room.
pub const FREE_SEGMENTS_MIN: u64 = 2;

const HOUR_MS: i64 = 3_600_000;

impl Default for Policy {
    fn default() -> Self {
        Self {
            age_ms: 72 * HOUR_MS,
            bytes: None,
            delete_when: Hours::at(4),
            utc_offset_ms: 0,
        }
    }
}

impl Hours {
    /// Every hour.
    pub const ALL: Self = Self((1 << 24) - 1);

    /// One hour of the day; 24 and above are taken modulo 24.
    pub fn at(hour: u32) -> Self {
        Self(1 << (hour % 24))
    }

    /// RocketMQ's notation: `04`, or several hours as `04;16`. `None` when it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        let mut hours = 0;
        for hour in text
            .split(';')
            .map(str::trim)
            .filter(|hour| !hour.is_empty())
        {
            let hour: u32 = hour.parse().ok().filter(|&hour| hour < 24)?;
            hours |= 1 << hour;
        }
        (hours != 0).then_some(Self(hours))
    }

    /// Whether this local time, in milliseconds since the epoch, is in one of the hours.
    pub fn contains(self, local_ms: i64) -> bool {
        let hour = local_ms.div_euclid(HOUR_MS).rem_euclid(24);
        self.0 >> hour & 1 == 1
    }
}

impl Space {
    /// Percent of what we could have that is in use. Space that other programs take counts as used
    /// by making what we could have smaller.
    pub fn used_percent(&self) -> u64 {
        let all = u128::from(self.own_bytes) + u128::from(self.free_bytes);
        // The quotient is at most 100.
        (u128::from(self.own_bytes) * 100 / all.max(1)) as u64
    }

    fn segments_left(&self) -> u64 {
        self.free_bytes / self.segment_bytes.max(1) + self.prepared as u64
    }
}

impl Retention {
    /// Decisions by this policy.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            last: None,
            held_until_ns: 0,
            fullness: Fullness::Normal,
            relieved_since_ns: None,
            at_any_hour: 0,
        }
    }

    /// For the next decisions the hour of the day does not count.
    pub fn expire_now(&mut self) {
        self.at_any_hour = AT_ANY_HOUR;
    }

    /// Follows a new policy from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Decides about the closed segments of one shard, which come oldest first.
    pub fn decide(
        &mut self,
        segments: impl IntoIterator<Item = SegmentAge>,
        space: Space,
        now: Moment,
    ) -> Decision {
        self.watch_clock(now);
        self.watch_space(&space, now);
        let segments: Vec<SegmentAge> = segments.into_iter().collect();
        let mut bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let expiring = self.expiring(now);
        let mut retire = Vec::new();
        for segment in segments.iter().take(RETIRE_STEP) {
            let over_budget = self.policy.bytes.is_some_and(|budget| bytes > budget);
            let expired = expiring && self.is_expired(segment, now);
            if !segment.free_to_go || !(over_budget || expired) {
                break;
            }
            bytes -= segment.bytes;
            retire.push(segment.number);
        }
        let held = now.monotonic_ns < self.held_until_ns;
        if !held {
            self.at_any_hour = self.at_any_hour.saturating_sub(1);
        }
        Decision {
            retire,
            fullness: self.fullness,
            held_until_ns: held.then_some(self.held_until_ns),
        }
    }

    /// Whether expired segments may go now.
    fn expiring(&self, now: Moment) -> bool {
        let local_ms = now.wall_ms.saturating_add(self.policy.utc_offset_ms);
        let at_once = self.fullness >= Fullness::High || self.at_any_hour > 0;
        now.monotonic_ns >= self.held_until_ns
            && (at_once || self.policy.delete_when.contains(local_ms))
    }

    /// A segment without records has nothing to keep.
    fn is_expired(&self, segment: &SegmentAge, now: Moment) -> bool {
        segment.last_store_ms.is_none_or(|last| {
            let age_ms = now.wall_ms.saturating_sub(last);
            age_ms > self.policy.age_ms
        })
    }

    /// Holds expiry when the wall clock has run ahead of the monotonic one since the last decision.
    fn watch_clock(&mut self, now: Moment) {
        if let Some(last) = self.last.replace(now) {
            let elapsed_ns = now.monotonic_ns.saturating_sub(last.monotonic_ns);
            let elapsed_ms = i64::try_from(elapsed_ns / 1_000_000).unwrap_or(i64::MAX);
            let ahead_ms = now
                .wall_ms
                .saturating_sub(last.wall_ms)
                .saturating_sub(elapsed_ms);
            if ahead_ms > JUMP_MS {
                self.held_until_ns = now.monotonic_ns.saturating_add(GRACE_NS);
            }
        }
    }

    /// Follows the fullness; full ends only after some time with enough room.
    fn watch_space(&mut self, space: &Space, now: Moment) {
        let used = space.used_percent();
        let left = space.segments_left();
        if used >= FULL_PERCENT || left < FREE_SEGMENTS_MIN {
            self.fullness = Fullness::Full;
            self.relieved_since_ns = None;
            return;
        }
        if self.fullness == Fullness::Full {
            if used >= RELIEF_PERCENT {
                self.relieved_since_ns = None;
                return;
            }
            let since = *self.relieved_since_ns.get_or_insert(now.monotonic_ns);
            if now.monotonic_ns.saturating_sub(since) < RELIEF_NS {
                return;
            }
            self.relieved_since_ns = None;
        }
        self.fullness = if used >= HIGH_PERCENT {
            Fullness::High
        } else {
            Fullness::Normal
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;
    const SECOND_NS: u64 = 1_000_000_000;
    /// 04:30 UTC on some day.
    const HALF_PAST_FOUR: i64 = 1_000 * 24 * HOUR_MS + 4 * HOUR_MS + HOUR_MS / 2;

    fn moment(seconds: u64, wall_ms: i64) -> Moment {
        Moment {
            monotonic_ns: seconds * SECOND_NS,
            wall_ms,
        }
    }

    fn roomy() -> Space {
        used(10)
    }

    /// A disk of 100 GB with this much of it in use by us.
    fn used(percent: u64) -> Space {
        Space {
            own_bytes: percent * GB,
            free_bytes: (100 - percent) * GB,
            segment_bytes: GB / 4,
            prepared: 2,
        }
    }

    /// Segments whose newest records are this many hours old.
    fn aged(hours: &[i64]) -> Vec<SegmentAge> {
        (0..)
            .zip(hours)
            .map(|(number, hours)| SegmentAge {
                number: SegmentNumber(number),
                bytes: 100,
                last_store_ms: Some(HALF_PAST_FOUR - hours * HOUR_MS),
                free_to_go: true,
            })
            .collect()
    }

    fn retired(policy: Policy, segments: Vec<SegmentAge>, space: Space, wall_ms: i64) -> Vec<u64> {
        let decision = Retention::new(policy).decide(segments, space, moment(1, wall_ms));
        decision.retire.iter().map(|number| number.0).collect()
    }

    #[test]
    fn only_expired_segments_go_oldest_first_at_the_hour_a_few_at_a_time() {
        let policy = Policy::default();
        let cases: &[(&[i64], &[u64])] = &[
            (&[], &[]),
            (&[10, 5], &[]),
            (&[72], &[]),
            (&[73, 72, 1], &[0]),
            (&[100, 90, 80, 1], &[0, 1, 2]),
            (&[100; 9], &[0, 1, 2, 3]),
            // An old clock in the middle does not let younger ones in front of it go.
            (&[10, 100], &[]),
        ];
        for (hours, expected) in cases {
            let got = retired(policy, aged(hours), roomy(), HALF_PAST_FOUR);
            assert_eq!(&got, expected, "{hours:?}");
        }
        let later = HALF_PAST_FOUR + HOUR_MS;
        assert!(retired(policy, aged(&[100]), roomy(), later).is_empty());
        let any_hour = Policy {
            delete_when: Hours::ALL,
            ..policy
        };
        assert_eq!(retired(any_hour, aged(&[100]), roomy(), later), [0]);
        let zone = Policy {
            utc_offset_ms: -HOUR_MS,
            ..policy
        };
        assert_eq!(retired(zone, aged(&[100]), roomy(), later), [0]);
    }

    #[test]
    fn asked_for_it_expired_segments_go_at_any_hour_for_some_decisions() {
        let later = moment(1, HALF_PAST_FOUR + HOUR_MS);
        let mut retention = Retention::new(Policy::default());
        let retired = |retention: &mut Retention| {
            let decision = retention.decide(aged(&[100, 1]), roomy(), later);
            decision.retire.len()
        };
        assert_eq!(retired(&mut retention), 0);
        retention.expire_now();
        for _ in 0..AT_ANY_HOUR {
            assert_eq!(retired(&mut retention), 1);
        }
        assert_eq!(retired(&mut retention), 0);
    }

    #[test]
    fn a_segment_that_something_needs_holds_all_behind_it() {
        let mut segments = aged(&[100, 100, 100]);
        segments[1].free_to_go = false;
        assert_eq!(
            retired(Policy::default(), segments, roomy(), HALF_PAST_FOUR),
            [0]
        );
    }

    #[test]
    fn a_segment_without_records_goes_with_the_expired_ones() {
        let mut segments = aged(&[100, 1, 1]);
        segments[1].last_store_ms = None;
        assert_eq!(
            retired(Policy::default(), segments, roomy(), HALF_PAST_FOUR),
            [0, 1]
        );
    }

    #[test]
    fn a_byte_budget_lets_unexpired_segments_go_at_any_hour() {
        let policy = Policy {
            bytes: Some(250),
            ..Policy::default()
        };
        let noon = HALF_PAST_FOUR + 8 * HOUR_MS;
        assert_eq!(retired(policy, aged(&[3, 2, 1, 0]), roomy(), noon), [0, 1]);
        assert!(retired(policy, aged(&[3, 2]), roomy(), noon).is_empty());
    }

    #[test]
    fn a_full_disk_hurries_expired_segments_and_never_takes_others() {
        let noon = HALF_PAST_FOUR + 8 * HOUR_MS;
        let segments = || aged(&[100, 100, 3]);
        assert!(retired(Policy::default(), segments(), used(74), noon).is_empty());
        assert_eq!(
            retired(Policy::default(), segments(), used(75), noon),
            [0, 1]
        );
        assert_eq!(
            retired(Policy::default(), segments(), used(99), noon),
            [0, 1]
        );
        assert!(retired(Policy::default(), aged(&[3]), used(100), noon).is_empty());
    }

    #[test]
    fn fullness_follows_the_watermarks_and_eases_only_after_ten_seconds() {
        let mut retention = Retention::new(Policy::default());
        let mut at = |seconds, space| retention.decide([], space, moment(seconds, 0)).fullness;
        assert_eq!(at(0, used(74)), Fullness::Normal);
        assert_eq!(at(1, used(75)), Fullness::High);
        assert_eq!(at(2, used(90)), Fullness::Full);
        assert_eq!(at(3, used(86)), Fullness::Full);
        assert_eq!(at(4, used(84)), Fullness::Full);
        assert_eq!(at(13, used(84)), Fullness::Full);
        assert_eq!(
            at(13, used(87)),
            Fullness::Full,
            "the ten seconds begin anew"
        );
        assert_eq!(at(14, used(84)), Fullness::Full);
        assert_eq!(at(24, used(84)), Fullness::High);
        assert_eq!(at(25, used(10)), Fullness::Normal);
        let tight = Space {
            own_bytes: 10,
            free_bytes: GB / 2 - 1,
            segment_bytes: GB / 4,
            prepared: 0,
        };
        assert_eq!(at(26, tight), Fullness::Full, "one segment has room");
        assert_eq!(
            at(
                27,
                Space {
                    prepared: 1,
                    ..tight
                }
            ),
            Fullness::Full
        );
        assert_eq!(
            at(
                37,
                Space {
                    prepared: 1,
                    ..tight
                }
            ),
            Fullness::Normal
        );
    }

    #[test]
    fn a_clock_that_jumps_forward_holds_expiry_for_ten_minutes() {
        let mut retention = Retention::new(Policy {
            delete_when: Hours::ALL,
            ..Policy::default()
        });
        let ten_years = 10 * 365 * 24 * HOUR_MS;
        let mut at = |seconds: u64, wall_ms| {
            retention
                .decide(aged(&[1, 1]), roomy(), moment(seconds, wall_ms))
                .retire
                .len()
        };
        assert_eq!(at(0, HALF_PAST_FOUR), 0);
        assert_eq!(at(10, HALF_PAST_FOUR + 10_000 + ten_years), 0);
        assert_eq!(at(600, HALF_PAST_FOUR + 600_000 + ten_years), 0);
        // The operator has let the grace pass: the clock is believed.
        assert_eq!(at(610, HALF_PAST_FOUR + 610_000 + ten_years), 2);
    }

    #[test]
    fn a_byte_budget_does_not_depend_on_the_clock() {
        let policy = Policy {
            bytes: Some(100),
            ..Policy::default()
        };
        let mut retention = Retention::new(policy);
        retention.decide([], roomy(), moment(0, 0));
        let decision = retention.decide(aged(&[1, 1]), roomy(), moment(1, i64::MAX));
        assert_eq!(decision.retire, [SegmentNumber(0)]);
        assert!(decision.held_until_ns.is_some());
    }

    #[test]
    fn small_steps_backward_jumps_and_strange_clocks_delete_nothing_early() {
        let mut retention = Retention::new(Policy {
            delete_when: Hours::ALL,
            ..Policy::default()
        });
        let mut at = |seconds: u64, wall_ms| {
            retention
                .decide(aged(&[71, 1]), roomy(), moment(seconds, wall_ms))
                .retire
                .len()
        };
        assert_eq!(at(0, HALF_PAST_FOUR), 0);
        assert_eq!(at(10, HALF_PAST_FOUR - 10 * HOUR_MS), 0);
        assert_eq!(at(20, i64::MIN), 0);
        assert_eq!(at(30, i64::MAX), 0);
        assert_eq!(at(40, HALF_PAST_FOUR), 0);
        // Strobing by an hour: every way up holds anew.
        for seconds in (50..5_000).step_by(20) {
            assert_eq!(at(seconds, HALF_PAST_FOUR + 2 * HOUR_MS), 0);
            assert_eq!(at(seconds + 10, HALF_PAST_FOUR), 0);
        }
    }

    #[test]
    fn hours_are_read_as_rocketmq_writes_them() {
        assert_eq!(Hours::parse("04"), Some(Hours::at(4)));
        assert_eq!(Hours::parse("4;16;"), Some(Hours(1 << 4 | 1 << 16)));
        for wrong in ["", ";", "24", "-1", "four", "04:30"] {
            assert_eq!(Hours::parse(wrong), None, "{wrong}");
        }
        assert!(Hours::at(23).contains(-1), "the hour before the epoch");
    }
}
