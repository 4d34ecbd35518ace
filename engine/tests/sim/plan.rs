//! What one seed decides before anything runs: the store, the load, and what goes wrong.

use std::time::Duration;

use ringmq_engine::{Config, Durability, Policy};
use ringmq_ring::sim::{Fault, Faults, Latency, Rng};

use super::message::Messages;
use super::oracle::Rules;

/// What kind of trouble a seed is about. Crashes come with all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Only crashes.
    Crashes,
    /// Short transfers, slow and stalled operations.
    Slow,
    /// Writes and flushes of the log fail.
    LogErrors,
    /// Any operation of any file fails.
    AnyErrors,
    /// Reads fail.
    ReadErrors,
    /// The disk fills up and empties again.
    Full,
    /// Old parts of the log change at rest.
    Rot,
    /// Writes of the log are lost, torn or misdirected.
    Lies,
    /// Derived files are deleted or damaged between two lives.
    Derived,
    /// The wall clock jumps; old segments are removed.
    Time,
}

const THEMES: [Theme; 14] = [
    Theme::Crashes,
    Theme::Crashes,
    Theme::Crashes,
    Theme::Crashes,
    Theme::Slow,
    Theme::Slow,
    Theme::LogErrors,
    Theme::AnyErrors,
    Theme::ReadErrors,
    Theme::Full,
    Theme::Rot,
    Theme::Rot,
    Theme::Derived,
    Theme::Time,
];

/// The seed of the story that the sweep tells again and again.
const CANONICAL_SEED: u64 = 4;

/// All decisions of one seed.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub theme: Theme,
    pub shards: u8,
    pub config: Config,
    pub messages: Messages,
    pub topics: usize,
    pub queues_per_topic: u32,
    pub producers: usize,
    pub consumers: usize,
    /// Appends that one producer keeps in flight.
    pub pipeline: usize,
    pub batch_max: usize,
    /// Lives before the last, quiet one.
    pub lives: usize,
    /// Steps of the world in one life.
    pub steps: u64,
    pub rules: Rules,
    pub faults: Faults,
    /// One fault at one operation, and no other.
    pub sweep: Option<(u64, Fault)>,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let theme = THEMES[rng.index(THEMES.len())];
        let sync = rng.chance(650_000);
        let shards = [1, 1, 2, 3][rng.index(4)];
        let config = config(&mut rng, theme, shards, sync);
        let body_bytes = [64, 400, 2000, 6000][rng.index(4)];
        let rules = Rules {
            sync,
            read_errors: matches!(theme, Theme::ReadErrors | Theme::AnyErrors),
            slow: theme == Theme::Slow,
            retention: theme == Theme::Time,
        };
        Self {
            seed,
            theme,
            shards,
            messages: Messages {
                seed,
                body_bytes,
                body_bytes_max: 150_000,
            },
            topics: 1 + rng.index(2),
            queues_per_topic: 1 + rng.below(4) as u32,
            producers: 1 + rng.index(5),
            consumers: rng.index(4),
            pipeline: [1, 1, 4, 16][rng.index(4)],
            batch_max: [1, 1, 8][rng.index(3)],
            lives: 1 + rng.index(5),
            steps: rng.between(100, 2500),
            rules,
            faults: faults(&mut rng, theme),
            sweep: None,
            config,
        }
    }

    /// One busy life without chance faults, for one fault at one operation.
    pub fn canonical(sweep: Option<(u64, Fault)>) -> Self {
        let mut plan = Self::new(CANONICAL_SEED);
        let fault = sweep.map(|(_, fault)| fault);
        plan.theme = match fault {
            None | Some(Fault::PowerCut | Fault::Kill | Fault::Short) => Theme::Crashes,
            Some(Fault::Stall | Fault::Never) => Theme::Slow,
            Some(Fault::NoSpace) => Theme::Full,
            Some(Fault::Error | Fault::ErrorForGood) => Theme::AnyErrors,
            Some(_) => Theme::Lies,
        };
        plan.faults = Faults::default();
        plan.rules.read_errors = plan.theme == Theme::AnyErrors;
        plan.rules.slow = plan.theme == Theme::Slow;
        plan.rules.retention = false;
        plan.config.retention = Policy::default();
        plan.config.checkpoint_bytes = 300 << 10;
        plan.lives = 2;
        plan.steps = 1500;
        plan.sweep = sweep;
        plan
    }
}

fn config(rng: &mut Rng, theme: Theme, shards: u8, sync: bool) -> Config {
    let mut config = Config::new("/srv/ringmq/data");
    config.shards = Some(shards);
    config.segment_bytes = [512 << 10, 1 << 20][rng.index(2)];
    config.durability = if sync {
        Durability::Sync
    } else {
        Durability::Async
    };
    config.blocks_in_flight = [1, 1, 2, 4][rng.index(4)];
    config.block_bytes = [16 << 10, 32 << 10, 64 << 10][rng.index(3)];
    config.hot_tail_bytes = [0, 64 << 10, 1 << 20][rng.index(3)];
    config.checkpoint_bytes = [64 << 10, 300 << 10, 2 << 20][rng.index(3)];
    config.lock_wait = Duration::from_secs(120);
    config.pin_threads = false;
    if theme == Theme::Time {
        config.retention.age_ms = 24 * 3_600_000;
        config.retention.bytes = Some(rng.between(1, 4) << 20);
    }
    config
}

fn faults(rng: &mut Rng, theme: Theme) -> Faults {
    let log = vec!["/log/0000".to_owned()];
    let mut faults = Faults {
        tear_bytes: rng.chance(300_000),
        latency: latency(rng),
        ..Faults::default()
    };
    let rate = [1_000, 5_000, 20_000][rng.index(3)];
    match theme {
        Theme::Crashes | Theme::Full | Theme::Rot | Theme::Derived | Theme::Time => {}
        Theme::Slow => {
            faults.short_write = 200_000;
            faults.short_read = 200_000;
            faults.stall = rate;
        }
        Theme::LogErrors => {
            faults.write_error = rate;
            faults.flush_error = 2 * rate;
            faults.paths = log;
        }
        Theme::AnyErrors => {
            faults.read_error = rate / 4;
            faults.write_error = rate / 4;
            faults.flush_error = rate / 4;
            faults.no_space = rate / 4;
        }
        Theme::ReadErrors => {
            faults.read_error = 10 * rate;
            faults.error_for_good = 100_000;
            faults.paths = log;
        }
        Theme::Lies => {
            faults.lost_write = rate / 4;
            faults.torn_write = rate / 4;
            faults.misdirected_write = rate / 4;
            faults.paths = log;
        }
    }
    faults
}

fn latency(rng: &mut Rng) -> Latency {
    let usual = Latency::default();
    match rng.below(3) {
        0 => usual,
        // Flushes ten times as slow: group commit has much to gather.
        1 => Latency {
            flush_ns: (500_000, 3_000_000),
            ..usual
        },
        _ => Latency {
            tail_per_million: 100_000,
            tail_factor: 20,
            ..usual
        },
    }
}
