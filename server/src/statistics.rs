//! Rates and sums over the last minute, hour and day, as RocketMQ's tools ask for them (`StatsItem`,
//! `StoreStatsService` and `BrokerStats` in Java): sampled from counters that only grow. Time comes in
//! as an argument.

mod store_rates;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use store_rates::{StoreCounts, StoreRates};
pub use window::{Counts, Item, WindowSums};

use crate::limits::STATISTICS_ITEMS_MAX;
use crate::metrics::{MeterName, MeterSum};

/// How often the windows of a minute are sampled, in milliseconds.
pub const SAMPLE_MS: i64 = 10_000;
/// How old the newest figures may be when they are asked for.
const FRESH_MS: i64 = 1000;
/// An item in which nothing has moved for so long is forgotten (`maxStatsIdleTimeInMinutes`).
const IDLE_MS: i64 = 25 * 3_600_000;

/// Figures that [`Statistics::view`] knows; the names are RocketMQ's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Messages,
    Bytes,
    SendBacks,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Statistics {
    items: BTreeMap<Arc<MeterName>, Item>,
    /// All user topics together, then all groups: `BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC` and its kin.
    users: Broker,
    /// With those of the system.
    all: Broker,
    refreshed_ms: Option<i64>,
    sampled_ms: Option<i64>,
}

/// What went into and out of a broker.
#[derive(Debug, Default)]
struct Broker {
    put: Item,
    got: Item,
}

impl Statistics {
    /// Whether [`Statistics::refresh`] should be called before anything is asked.
    pub fn is_stale(&self, now_ms: i64) -> bool {
        self.refreshed_ms
            .is_none_or(|at| !(0..FRESH_MS).contains(&(now_ms - at)))
    }

    /// Whether a sample is due.
    pub fn is_sample_due(&self, now_ms: i64) -> bool {
        self.sampled_ms
            .is_none_or(|at| !(0..SAMPLE_MS).contains(&(now_ms - at)))
    }

    /// Takes the counters as they are now; `is_system` tells topics that are not the users'.
    pub fn refresh(
        &mut self,
        meters: &BTreeMap<Arc<MeterName>, MeterSum>,
        is_system: impl Fn(&str) -> bool,
        now_ms: i64,
    ) {
        self.refreshed_ms = Some(now_ms);
        let (mut all, mut users) = ([Counts::default(); 2], [Counts::default(); 2]);
        for (name, sum) in meters {
            let counts = Counts::from(*sum);
            let side = usize::from(name.group.is_some());
            all[side].add(counts);
            if !is_system(&name.topic) {
                users[side].add(counts);
            }
            if counts == Counts::default() {
                continue;
            }
            if let Some(item) = self.items.get_mut(name) {
                item.refresh(counts, now_ms);
            } else if self.items.len() < STATISTICS_ITEMS_MAX {
                self.items
                    .insert(Arc::clone(name), Item::new(counts, now_ms));
            }
        }
        for (broker, counts) in [(&mut self.all, all), (&mut self.users, users)] {
            broker.put.refresh(counts[0], now_ms);
            broker.got.refresh(counts[1], now_ms);
        }
    }

    /// Keeps what [`Statistics::refresh`] took as a sample; every ten seconds.
    pub fn sample(&mut self, now_ms: i64) {
        self.sampled_ms = Some(now_ms);
        for item in self.items.values_mut() {
            item.sample(now_ms);
        }
        for broker in [&mut self.all, &mut self.users] {
            broker.put.sample(now_ms);
            broker.got.sample(now_ms);
        }
        self.items.retain(|_, item| !item.is_idle(now_ms, IDLE_MS));
    }

    /// One figure in its three windows (315); `None` where nothing of the kind was ever counted.
    pub fn view(&self, name: &str, key: &str) -> Option<[WindowSums; 3]> {
        let (item, figure) = match name {
            "TOPIC_PUT_NUMS" => (self.item(key, None)?, Figure::Messages),
            "TOPIC_PUT_SIZE" => (self.item(key, None)?, Figure::Bytes),
            "GROUP_GET_NUMS" => (self.group_item(key)?, Figure::Messages),
            "GROUP_GET_SIZE" => (self.group_item(key)?, Figure::Bytes),
            "SNDBCK_PUT_NUMS" => (self.group_item(key)?, Figure::SendBacks),
            "BROKER_PUT_NUMS" => (&self.all.put, Figure::Messages),
            "BROKER_GET_NUMS" => (&self.all.got, Figure::Messages),
            "BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC" => (&self.users.put, Figure::Messages),
            "BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC" => (&self.users.got, Figure::Messages),
            _ => return None,
        };
        item.view(figure)
    }

    /// Messages that users stored and got since the start.
    pub fn user_totals(&self) -> (u64, u64) {
        (self.users.put.messages(), self.users.got.messages())
    }

    /// Messages a second in the last minute, of every topic and group in which anything moved.
    pub fn rates(&self) -> Rates {
        let items = self.items.iter();
        let rates = items.filter_map(|(name, item)| {
            let rate = item.view(Figure::Messages)?[0].per_second;
            (rate > 0.0).then(|| (Arc::clone(name), rate))
        });
        Rates(rates.collect())
    }

    /// `topic@group`.
    fn group_item(&self, key: &str) -> Option<&Item> {
        let (topic, group) = key.split_once('@')?;
        self.item(topic, Some(group))
    }

    fn item(&self, topic: &str, group: Option<&str>) -> Option<&Item> {
        self.items.get(&MeterName {
            topic: topic.into(),
            group: group.map(Into::into),
        })
    }
}

/// Messages a second in the last minute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates(BTreeMap<Arc<MeterName>, f64>);

impl Rates {
    /// What is stored into a topic a second, or delivered out of it to a group.
    pub fn per_second(&self, topic: &str, group: Option<&str>) -> f64 {
        let name = MeterName {
            topic: topic.into(),
            group: group.map(Into::into),
        };
        self.0.get(&name).copied().unwrap_or(0.0)
    }

    /// Whether nothing moves.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meters(rows: &[(&str, Option<&str>, u64)]) -> BTreeMap<Arc<MeterName>, MeterSum> {
        let row = |&(topic, group, messages): &(&str, Option<&str>, u64)| {
            let name = MeterName {
                topic: topic.into(),
                group: group.map(Into::into),
            };
            let sum = MeterSum {
                messages,
                bytes: messages * 100,
                send_backs: messages / 10,
            };
            (Arc::new(name), sum)
        };
        rows.iter().map(row).collect()
    }

    fn is_system(topic: &str) -> bool {
        topic.starts_with("SYS")
    }

    #[test]
    fn each_figure_is_found_by_its_name_and_key() {
        let mut statistics = Statistics::default();
        let rows = [("T", None, 60), ("T", Some("G"), 30), ("SYS", None, 7)];
        assert!(statistics.is_stale(0) && statistics.is_sample_due(0));
        statistics.refresh(&meters(&[]), is_system, 0);
        statistics.sample(0);
        statistics.refresh(&meters(&rows), is_system, 500);
        assert!(!statistics.is_stale(1400) && statistics.is_stale(1500));
        let sum = |name, key| statistics.view(name, key).map(|windows| windows[0].sum);
        assert_eq!(sum("TOPIC_PUT_NUMS", "T"), Some(60));
        assert_eq!(sum("TOPIC_PUT_SIZE", "T"), Some(6000));
        assert_eq!(sum("GROUP_GET_NUMS", "T@G"), Some(30));
        assert_eq!(sum("GROUP_GET_SIZE", "T@G"), Some(3000));
        assert_eq!(sum("SNDBCK_PUT_NUMS", "T@G"), Some(3));
        assert_eq!(sum("BROKER_PUT_NUMS", "any"), Some(67));
        assert_eq!(sum("BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC", "any"), Some(60));
        assert_eq!(sum("BROKER_GET_NUMS", "any"), Some(30));
        assert_eq!(sum("TOPIC_PUT_NUMS", "other"), None);
        assert_eq!(sum("GROUP_GET_NUMS", "T"), None);
        assert_eq!(sum("NO_SUCH_THING", "T"), None);
        assert_eq!(statistics.user_totals(), (60, 30));
    }

    #[test]
    fn what_stands_still_for_a_day_is_forgotten_with_its_windows() {
        let mut statistics = Statistics::default();
        let rows = meters(&[("T", None, 60)]);
        statistics.refresh(&rows, is_system, 0);
        statistics.sample(0);
        assert!((statistics.rates().per_second("T", None) - 6.0).abs() < 0.001);
        statistics.refresh(&rows, is_system, IDLE_MS + 1);
        statistics.sample(IDLE_MS + 1);
        assert!(statistics.view("TOPIC_PUT_NUMS", "T").is_none());
    }
}
