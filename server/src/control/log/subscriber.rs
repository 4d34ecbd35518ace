//! What `tracing` hands its events to. There are no spans: an event says all by itself.

use std::str::FromStr as _;

use arc_swap::ArcSwap;
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::filter::Targets;

use super::LOG;
use super::event::Event;

/// See the module.
#[derive(Debug)]
pub(super) struct Subscriber;

/// Which events are wanted; changed while others read it.
#[derive(Debug)]
pub(super) struct Filter(ArcSwap<Targets>);

impl Filter {
    /// Levels as written; `info` where that cannot be understood.
    pub fn new(directives: &str) -> Self {
        let targets = Targets::from_str(directives);
        let targets = targets.unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
        Self(ArcSwap::from_pointee(targets))
    }

    /// Other levels from now on; `false` when they cannot be understood.
    pub fn set(&self, directives: &str) -> bool {
        let Ok(targets) = Targets::from_str(directives) else {
            return false;
        };
        self.0.store(targets.into());
        // Each place that makes events has kept whether they are wanted.
        tracing::callsite::rebuild_interest_cache();
        true
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        self.0
            .load()
            .would_enable(metadata.target(), metadata.level())
    }

    fn most(&self) -> LevelFilter {
        let targets = self.0.load();
        let named = targets.iter().map(|(_, level)| level);
        named
            .chain(targets.default_level())
            .max()
            .unwrap_or(LevelFilter::OFF)
    }
}

impl tracing::Subscriber for Subscriber {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && LOG.get().is_some_and(|log| log.filter.wants(metadata))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        LOG.get().map(|log| log.filter.most())
    }

    fn event(&self, event: &tracing::Event<'_>) {
        if let Some(log) = LOG.get() {
            log.queues.put(Event::of(event));
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_change_and_nonsense_changes_nothing() {
        let filter = Filter::new("warn,ringmq_engine=debug");
        assert_eq!(filter.most(), LevelFilter::DEBUG);
        assert!(filter.set("error") && filter.most() == LevelFilter::ERROR);
        assert!(!filter.set("ringmq=loud") && filter.most() == LevelFilter::ERROR);
        assert_eq!(Filter::new("a=b=c").most(), LevelFilter::INFO);
    }
}
