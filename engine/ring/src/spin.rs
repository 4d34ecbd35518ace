//! When a turn may spin instead of sleeping: an adaptive policy without a clock of its own.
//!
//! An *episode* is the wait for the next completion while work is in flight. It is spun for at most
//! a budget, then slept. Two things make spinning rarer:
//!
//! * *Preemption*: two looks much further apart than a look takes mean that another thread wanted
//!   the core. Spinning pauses, twice as long each time; every run of clean spins halves the pause.
//! * *Misses*: when spinning was in vain several times in a row (a slow device), most of the next
//!   episodes are slept at once, and one now and then tries again.

use crate::limits::{
    SPIN_BUDGET_NS, SPIN_CLEAN, SPIN_GAP_NS, SPIN_MISSES, SPIN_REST_MAX_NS, SPIN_REST_MIN_NS,
    SPIN_SKIP_MAX,
};

/// The policy of one thread. Times are nanoseconds on any one monotonic clock.
#[derive(Debug)]
pub struct Spin {
    budget_ns: u64,
    started_ns: Option<u64>,
    last_look_ns: u64,
    rest_ns: u64,
    resting_until_ns: u64,
    clean: u32,
    misses: u32,
    skip: u32,
}

/// What a look without result means for the episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Look again.
    Again,
    /// The budget is used up: sleep.
    Missed,
    /// Another thread had the core meanwhile: sleep, and do not spin for a while.
    Preempted,
}

impl Default for Spin {
    fn default() -> Self {
        Self::with_budget(SPIN_BUDGET_NS)
    }
}

impl Spin {
    /// Spins at most `budget_ns` per episode; zero never spins.
    pub fn with_budget(budget_ns: u64) -> Self {
        Self {
            budget_ns,
            started_ns: None,
            last_look_ns: 0,
            rest_ns: 0,
            resting_until_ns: 0,
            clean: 0,
            misses: 0,
            skip: 0,
        }
    }

    /// Sleeps always: for tests and for measuring what spinning gains.
    pub fn never() -> Self {
        Self::with_budget(0)
    }

    /// Whether the episode going on, or a new one beginning now, may be spun.
    pub fn may_spin(&mut self, now_ns: u64) -> bool {
        if self.budget_ns == 0 || now_ns < self.resting_until_ns {
            return false;
        }
        if self.started_ns.is_none() {
            if self.skip > 0 {
                self.skip -= 1;
                return false;
            }
            self.started_ns = Some(now_ns);
        }
        self.last_look_ns = now_ns;
        true
    }

    /// A look that found nothing.
    pub fn look(&mut self, now_ns: u64) -> Verdict {
        let gap = now_ns.saturating_sub(self.last_look_ns);
        self.last_look_ns = now_ns;
        if gap >= SPIN_GAP_NS {
            return self.preempted(now_ns);
        }
        let started = self.started_ns.unwrap_or(now_ns);
        if now_ns.saturating_sub(started) >= self.budget_ns {
            return self.missed();
        }
        Verdict::Again
    }

    /// The episode ended with a completion while it was being spun.
    pub fn hit(&mut self) {
        self.started_ns = None;
        self.misses = 0;
        self.skip = 0;
        self.clean += 1;
        if self.clean >= SPIN_CLEAN {
            self.clean = 0;
            self.rest_ns /= 2;
        }
    }

    /// The episode ended without having been spun.
    pub fn end(&mut self) {
        self.started_ns = None;
    }

    fn preempted(&mut self, now_ns: u64) -> Verdict {
        self.started_ns = None;
        self.clean = 0;
        self.rest_ns = (self.rest_ns * 2).clamp(SPIN_REST_MIN_NS, SPIN_REST_MAX_NS);
        self.resting_until_ns = now_ns.saturating_add(self.rest_ns);
        Verdict::Preempted
    }

    fn missed(&mut self) -> Verdict {
        self.started_ns = None;
        self.misses = self.misses.saturating_add(1);
        if let Some(over) = self.misses.checked_sub(SPIN_MISSES) {
            self.skip = 1u32
                .checked_shl(over)
                .unwrap_or(SPIN_SKIP_MAX)
                .min(SPIN_SKIP_MAX);
        }
        Verdict::Missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every 100 ns from `now` until the verdict is not `Again`.
    fn spin_out(spin: &mut Spin, now: &mut u64) -> Verdict {
        loop {
            *now += 100;
            match spin.look(*now) {
                Verdict::Again => {}
                verdict => return verdict,
            }
        }
    }

    #[test]
    fn an_episode_is_spun_for_its_budget_and_then_slept() {
        let mut spin = Spin::default();
        let mut now = 1_000;
        assert!(spin.may_spin(now));
        assert_eq!(spin_out(&mut spin, &mut now), Verdict::Missed);
        assert!((SPIN_BUDGET_NS..SPIN_BUDGET_NS + 200).contains(&(now - 1_000)));
    }

    #[test]
    fn the_budget_spans_the_turns_of_one_episode() {
        let mut spin = Spin::default();
        assert!(spin.may_spin(0));
        let mut now = 0;
        while now < SPIN_BUDGET_NS - 1_000 {
            now += 1_000;
            assert_eq!(spin.look(now), Verdict::Again);
            assert!(spin.may_spin(now));
        }
        assert_eq!(spin.look(now + 1_000), Verdict::Missed);
    }

    #[test]
    fn a_hit_begins_a_new_budget() {
        let mut spin = Spin::default();
        let mut now = 0;
        for _ in 0..100 {
            assert!(spin.may_spin(now));
            for _ in 0..9 {
                now += SPIN_BUDGET_NS / 10;
                assert_eq!(spin.look(now), Verdict::Again);
            }
            spin.hit();
        }
    }

    #[test]
    fn a_preempted_spin_pauses_spinning_twice_as_long_each_time() {
        let mut spin = Spin::default();
        let mut now = 0;
        let mut pause = SPIN_REST_MIN_NS;
        for _ in 0..16 {
            assert!(spin.may_spin(now));
            now += SPIN_GAP_NS;
            assert_eq!(spin.look(now), Verdict::Preempted);
            assert!(!spin.may_spin(now));
            assert!(!spin.may_spin(now + pause - 1));
            now += pause;
            pause = (pause * 2).min(SPIN_REST_MAX_NS);
        }
        assert_eq!(pause, SPIN_REST_MAX_NS);
    }

    #[test]
    fn clean_spins_shorten_the_pause_again() {
        let mut spin = Spin::default();
        let mut now = 0;
        for _ in 0..12 {
            assert!(spin.may_spin(now));
            now += SPIN_GAP_NS;
            assert_eq!(spin.look(now), Verdict::Preempted);
            now += SPIN_REST_MAX_NS;
        }
        for _ in 0..SPIN_CLEAN * 12 {
            assert!(spin.may_spin(now));
            now += 100;
            assert_eq!(spin.look(now), Verdict::Again);
            spin.hit();
        }
        assert!(spin.may_spin(now));
        now += SPIN_GAP_NS;
        assert_eq!(spin.look(now), Verdict::Preempted);
        assert!(!spin.may_spin(now + SPIN_REST_MIN_NS - 1));
        assert!(spin.may_spin(now + SPIN_REST_MIN_NS));
    }

    #[test]
    fn work_between_two_turns_is_not_taken_for_preemption() {
        let mut spin = Spin::default();
        assert!(spin.may_spin(0));
        assert_eq!(spin.look(1_000), Verdict::Again);
        assert!(spin.may_spin(1_000 + SPIN_GAP_NS));
        assert_eq!(spin.look(1_200 + SPIN_GAP_NS), Verdict::Again);
    }

    #[test]
    fn spinning_in_vain_gets_rare_and_one_hit_brings_it_back() {
        let mut spin = Spin::default();
        let mut now = 0;
        let mut spun = 0;
        for _ in 0..1_000 {
            now += 1_000_000;
            if spin.may_spin(now) {
                spun += 1;
                assert_eq!(spin_out(&mut spin, &mut now), Verdict::Missed);
            }
            spin.end();
        }
        assert!(spun < 40, "{spun} of 1000 episodes were spun in vain");
        while !spin.may_spin(now) {}
        spin.hit();
        for _ in 0..10 {
            assert!(spin.may_spin(now));
            spin.hit();
        }
    }

    #[test]
    fn a_policy_without_budget_never_spins() {
        assert!(!Spin::never().may_spin(1));
    }
}
