//! What metrics, health and the page are made from.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::health::Health;
use crate::metrics::{MeterName, MeterSum, Metrics, Totals};
use std::collections::BTreeMap;

/// What stays as it is while the process runs.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Cluster of the broker; empty for a name server alone.
    pub cluster: String,
    /// Name of the broker, or address of the name server.
    pub node: String,
    /// What clients connect to.
    pub address: String,
    /// Whether there is a broker in the process.
    pub is_broker: bool,
    /// `SYNC_FLUSH` or `ASYNC_FLUSH`.
    pub flush_mode: &'static str,
    /// The store.
    pub folder: Option<PathBuf>,
    /// Topics, and pairs of topic and group, with metrics of their own.
    pub rows_max: usize,
}

/// See the module. Shared by the threads of the control plane.
#[derive(Debug)]
pub struct Source {
    facts: Facts,
    health: Health,
    metrics: OnceLock<Arc<Metrics>>,
    started: Instant,
    /// The newest sample and the one before it: rates go back to the older.
    samples: Mutex<[Option<Arc<Sample>>; 2]>,
}

/// Counters at a time.
#[derive(Debug)]
pub(super) struct Sample {
    pub at: Instant,
    pub totals: Totals,
    pub meters: BTreeMap<Arc<MeterName>, MeterSum>,
}

impl Source {
    /// Of a process that begins.
    pub fn new(facts: Facts) -> Self {
        Self {
            facts,
            health: Health::default(),
            metrics: OnceLock::new(),
            started: Instant::now(),
            samples: Mutex::new([None, None]),
        }
    }

    /// The counters, as soon as there are shards to count.
    pub fn count(&self, metrics: &Arc<Metrics>) {
        // It is told once.
        let _ = self.metrics.set(Arc::clone(metrics));
    }

    /// What does not change.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether it works.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Since when the process runs.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether it serves and takes sends; else why not.
    pub fn is_ready(&self) -> Result<(), String> {
        self.health.is_live()?;
        if let Some(obstacle) = self.health.state().obstacle() {
            return Err(obstacle.to_owned());
        }
        for (index, shard) in self.metrics().shards().iter().enumerate() {
            let state = shard.state.load();
            if let Some(reason) = state.engine.and_then(|engine| engine.refusing) {
                return Err(format!("sends are refused: shard {index}: {reason}"));
            }
        }
        Ok(())
    }

    /// The counters; none before the store is open.
    pub(super) fn metrics(&self) -> Arc<Metrics> {
        let metrics = self.metrics.get().cloned();
        metrics.unwrap_or_else(|| Arc::new(Metrics::new(0)))
    }

    /// Keeps the counters as they are for rates.
    pub(super) fn sample(&self) {
        let sample = Arc::new(self.read());
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.swap(0, 1);
        samples[0] = Some(sample);
    }

    /// The counters now.
    pub(super) fn read(&self) -> Sample {
        let metrics = self.metrics();
        Sample {
            at: Instant::now(),
            totals: metrics.totals(),
            meters: metrics.meters(),
        }
    }

    /// The sample that rates begin at: ten to twenty seconds old, once there is one.
    pub(super) fn earlier(&self) -> Option<Arc<Sample>> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples[1].clone().or_else(|| samples[0].clone())
    }
}
