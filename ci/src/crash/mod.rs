//! `kill -9` again and again, under load, at random instants: the real broker, the real disk.
//!
//! Clients write down every send; after each kill the broker is started again and must serve within
//! the limit; at the end all queues are read and the checker decides.

mod load;
mod message;
mod reader;

use std::time::{Duration, Instant};

use clap::Args;
use ringmq_checker::{History, check};

use crate::broker::{self, Broker, Settings};
use crate::failure::{Failure, Outcome};
use crate::root;
use crate::wire::{Wire, code};
use load::Load;

/// How often, and in which mode.
#[derive(Args)]
pub struct Options {
    /// Kills, shared by the modes.
    #[arg(long, default_value_t = 50)]
    pub kills: u32,
    /// Only this mode: SYNC_FLUSH or ASYNC_FLUSH.
    #[arg(long)]
    pub flush: Option<String>,
    /// The seed of the instants; a random one is taken and printed when it is left out.
    #[arg(long)]
    pub seed: Option<u64>,
}

impl Options {
    /// What every change must pass.
    pub fn pipeline() -> Self {
        Self {
            kills: 50,
            flush: None,
            seed: None,
        }
    }

    /// What runs at night.
    pub fn nightly() -> Self {
        Self {
            kills: 2000,
            ..Self::pipeline()
        }
    }
}

/// One store that is killed many times.
struct Campaign {
    flush: &'static str,
    shards: u32,
}

const CAMPAIGNS: &[Campaign] = &[
    Campaign {
        flush: "SYNC_FLUSH",
        shards: 1,
    },
    Campaign {
        flush: "ASYNC_FLUSH",
        shards: 2,
    },
];

/// From the start of the process to its first acknowledgement after a kill.
const SERVING_LIMIT: Duration = Duration::from_secs(1);
/// The load runs this long before it is cut, at least and at most.
const LIFE_MS: (u64, u64) = (20, 700);
/// Small segments: every kill uses one up, and rolls come under the knife too.
const SEGMENT_MIB: u32 = 16;
const TOPIC: &str = "crash";
const QUEUES: u32 = 4;

/// Runs the campaigns.
pub fn run(options: &Options) -> Outcome {
    broker::build()?;
    let seed = options.seed.unwrap_or_else(seed_of_now);
    let chosen: Vec<&Campaign> = CAMPAIGNS
        .iter()
        .filter(|campaign| {
            options
                .flush
                .as_deref()
                .is_none_or(|flush| flush == campaign.flush)
        })
        .collect();
    if chosen.is_empty() {
        return Err(Failure::new("--flush is SYNC_FLUSH or ASYNC_FLUSH"));
    }
    let kills = options.kills / chosen.len() as u32;
    let mut reports = Vec::new();
    for campaign in chosen {
        let report = run_campaign(campaign, kills, seed).map_err(|failure| {
            Failure::new(format!("{}, seed {seed}: {failure}", campaign.flush))
        })?;
        reports.push(format!("{}: {report}", campaign.flush));
    }
    Ok(format!("seed {seed}; {}", reports.join("; ")))
}

fn run_campaign(campaign: &Campaign, kills: u32, seed: u64) -> Outcome {
    let folder = root::scratch(&format!("crash-{}", campaign.flush))?;
    let settings = Settings {
        segment_mib: SEGMENT_MIB,
        ..Settings::new(folder, campaign.shards, campaign.flush)?
    };
    let mut instants = Instants(seed);
    let mut history = History::default();
    let started = Instant::now();
    let mut load = Load::new(settings.address(), TOPIC, QUEUES, started);
    let mut slowest = Duration::ZERO;
    let mut broker = Broker::start(&settings)?;
    create_topic(&settings.address())?;
    for _ in 0..kills {
        let running = load.begin()?;
        running.run_for(Duration::from_millis(instants.between(LIFE_MS)));
        if !broker.alive() {
            return Err(Failure::new("the broker ended by itself under load"));
        }
        broker.kill()?;
        history.sends.extend(running.end()?);
        let begun = Instant::now();
        broker = Broker::start(&settings)?;
        history.sends.push(load.first_after_restart()?);
        slowest = slowest.max(begun.elapsed());
        reader::read_tails(&settings.address(), TOPIC, QUEUES, started, &mut history)?;
    }
    reader::read_all(&settings.address(), TOPIC, QUEUES, started, &mut history)?;
    broker.stop()?;
    let verdict = check(&history);
    if !verdict.holds() {
        let shown: Vec<String> = verdict
            .violations
            .iter()
            .take(20)
            .map(ToString::to_string)
            .collect();
        return Err(Failure::new(format!("{verdict}\n{}", shown.join("\n"))));
    }
    if slowest > SERVING_LIMIT {
        return Err(Failure::new(format!(
            "serving again took {} ms once",
            slowest.as_millis()
        )));
    }
    Ok(format!(
        "{kills} kills, serving again within {} ms, {verdict}",
        slowest.as_millis()
    ))
}

fn create_topic(address: &str) -> Result<(), Failure> {
    let queues = QUEUES.to_string();
    let fields = serde_json::json!({
        "topic": TOPIC, "defaultTopic": "TBW102", "readQueueNums": queues, "writeQueueNums": queues,
        "perm": "6", "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false",
    });
    let answer = Wire::connect(address)?.call(code::CREATE_TOPIC, fields, &[])?;
    if answer.code == 0 {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the topic was refused with {}: {}",
        answer.code, answer.remark
    )))
}

/// A seeded sequence of instants (splitmix64).
struct Instants(u64);

impl Instants {
    fn between(&mut self, (least, most): (u64, u64)) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        least + (mixed ^ (mixed >> 31)) % (most - least)
    }
}

fn seed_of_now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |since| since.as_millis() as u64)
}
