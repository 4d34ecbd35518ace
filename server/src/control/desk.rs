//! Answers what the shards ask on behalf of clients ([`crate::desk`]), and samples the counters that
//! the answers need.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ringmq_protocol::code::response;
use ringmq_protocol::command::stats::{BrokerStatsData, BrokerStatsItem};

use super::live::LiveSettings;
use super::runtime_info::{Figures, MinuteTimes, runtime_info};
use crate::broker::Permission;
use crate::broker::names::is_system_topic;
use crate::broker::system_topics::system_topics;
use crate::config::BrokerConfig;
use crate::desk::{Ask, Question, Reply, WholeReply};
use crate::metrics::{Metrics, Totals};
use crate::statistics::{Rates, Statistics, StoreCounts, StoreRates, WindowSums};

/// See the module.
#[derive(Debug)]
pub(super) struct Desk {
    live: LiveSettings,
    metrics: Arc<Metrics>,
    statistics: Statistics,
    rates: StoreRates,
    times: MinuteTimes,
    booted_ms: i64,
    /// The data folder of a broker.
    folder: Option<PathBuf>,
    /// Topics that the broker has for itself, by names of its own.
    own_topics: Vec<String>,
    /// What the shards were told last.
    rates_told: Arc<Rates>,
}

impl Desk {
    /// A desk for this process.
    pub fn new(live: LiveSettings, metrics: Arc<Metrics>, broker: Option<&BrokerConfig>) -> Self {
        let own = broker.map(|broker| system_topics(&broker.system_topics()));
        Self {
            live,
            metrics,
            statistics: Statistics::default(),
            rates: StoreRates::default(),
            times: MinuteTimes::default(),
            booted_ms: now_ms(),
            folder: broker.map(|broker| broker.store.folder.clone()),
            own_topics: own
                .into_iter()
                .flatten()
                .map(|topic| topic.topic_name)
                .collect(),
            rates_told: Arc::default(),
        }
    }

    /// Samples what is due; to be called often. Returns rates that the shards do not know yet.
    pub fn tick(&mut self) -> Option<Arc<Rates>> {
        let now_ms = now_ms();
        if self.rates.is_due(now_ms) {
            let totals = self.metrics.totals();
            self.rates.sample(counts(&totals), now_ms);
            self.times.note(&totals.times.send, now_ms);
        }
        if self.statistics.is_sample_due(now_ms) {
            self.refresh(now_ms);
            self.statistics.sample(now_ms);
            self.rates
                .note_totals(self.statistics.user_totals(), now_ms);
            let rates = Arc::new(self.statistics.rates());
            if rates != self.rates_told {
                self.rates_told = Arc::clone(&rates);
                return Some(rates);
            }
        }
        None
    }

    /// Answers one question.
    pub fn answer(&mut self, question: Question) -> Reply {
        let now_ms = now_ms();
        let Question { to, ask } = question;
        let whole = match ask {
            Ask::ShowSettings(process) => self.live.show(process),
            Ask::ChangeSettings(process, lines) => {
                return self.live.change(to, process, &lines, now_ms);
            }
            Ask::RuntimeInfo(shards) => {
                self.refresh_if_stale(now_ms);
                let totals = self.metrics.totals();
                let table = runtime_info(&Figures {
                    now_ms,
                    booted_ms: self.booted_ms,
                    totals: &totals,
                    times: self.times.last_minute(&totals.times.send),
                    rates: &self.rates,
                    user_totals: self.statistics.user_totals(),
                    shards: &shards,
                    folder: self.folder.as_deref(),
                });
                WholeReply::body(serde_json::json!({ "table": table }).to_string())
            }
            Ask::Statistics { name, key } => {
                self.refresh_if_stale(now_ms);
                self.view(&name, &key)
            }
        };
        Reply::Whole(to, whole)
    }

    /// `brokerPermission` as it is now.
    pub fn broker_permission(&self) -> Permission {
        self.live.broker_permission()
    }

    /// The broker's name servers, if the list has changed since the last call.
    pub fn take_name_servers(&mut self) -> Option<Vec<String>> {
        self.live.take_name_servers()
    }

    fn view(&self, name: &str, key: &str) -> WholeReply {
        let Some(windows) = self.statistics.view(name, key) else {
            let remark = format!("The stats <{name}> <{key}> not exist");
            return WholeReply::refusal(response::SYSTEM_ERROR, remark);
        };
        let [stats_minute, stats_hour, stats_day] =
            windows.map(|sums: WindowSums| BrokerStatsItem {
                avgpt: sums.per_message,
                sum: i64::try_from(sums.sum).unwrap_or(i64::MAX),
                tps: sums.per_second,
            });
        let data = BrokerStatsData {
            stats_day,
            stats_hour,
            stats_minute,
        };
        WholeReply::body(data.to_json())
    }

    fn refresh_if_stale(&mut self, now_ms: i64) {
        if self.statistics.is_stale(now_ms) {
            self.refresh(now_ms);
        }
    }

    fn refresh(&mut self, now_ms: i64) {
        let meters = self.metrics.meters();
        let own = &self.own_topics;
        let is_system = |topic: &str| is_system_topic(topic) || own.iter().any(|own| own == topic);
        self.statistics.refresh(&meters, is_system, now_ms);
    }
}

fn counts(totals: &Totals) -> StoreCounts {
    StoreCounts {
        put: totals.messages_in,
        found: totals.pulls_found,
        missed: totals.pulls_missed,
        transferred: totals.messages_out,
    }
}

/// Wall time in milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
