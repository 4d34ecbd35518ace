//! Topics that sends went to lately: what a shard finds out about a topic's name and queues holds until
//! its tables change, and is found out once.

use std::sync::Arc;

use ringmq_engine::QueueNumber;

use crate::broker::Topic;
use crate::limits::{ROUTE_QUEUES_MAX, ROUTES};
use crate::metrics::MeterId;

/// See the module. Two names may share a place; then the newer one has it.
#[derive(Debug, Default)]
pub struct Routes {
    places: Vec<Option<Route>>,
}

/// A topic of the present tables whose name is allowed, is no retry topic's and may be sent to.
#[derive(Debug)]
pub struct Route {
    topic: Arc<Topic>,
    meter: MeterId,
    /// By queue id: queues of this shard that are bound.
    queues: Vec<Option<QueueNumber>>,
}

impl Routes {
    /// The topic of this name, if it is remembered.
    pub fn get(&mut self, name: &str) -> Option<&mut Route> {
        let route = self.places.get_mut(place(name))?.as_mut()?;
        (route.topic.config.topic_name == name).then_some(route)
    }

    /// Remembers a topic.
    pub fn insert(&mut self, route: Route) {
        if self.places.is_empty() {
            self.places.resize_with(ROUTES, || None);
        }
        let place = place(&route.topic.config.topic_name);
        self.places[place] = Some(route);
    }

    /// The tables have changed.
    pub fn clear(&mut self) {
        self.places.clear();
    }
}

impl Route {
    /// A topic of which no queue is known yet.
    pub fn new(topic: Arc<Topic>, meter: MeterId) -> Self {
        Self {
            topic,
            meter,
            queues: Vec::new(),
        }
    }

    /// The topic.
    pub fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    /// What is stored into it is counted there.
    pub fn meter(&self) -> MeterId {
        self.meter
    }

    /// The queue of that id, if it is known to be this shard's and bound.
    pub fn queue(&self, queue_id: i32) -> Option<(u32, QueueNumber)> {
        let queue_id = u32::try_from(queue_id).ok()?;
        let number = *self.queues.get(queue_id as usize)?;
        Some((queue_id, number?))
    }

    /// Remembers a queue of this shard.
    pub fn bound(&mut self, queue_id: u32, number: QueueNumber) {
        let at = queue_id as usize;
        if at >= ROUTE_QUEUES_MAX {
            return;
        }
        if self.queues.len() <= at {
            self.queues.resize(at + 1, None);
        }
        self.queues[at] = Some(number);
    }
}

/// Names that differ in length or at their end, as the names of one application do, have places of their
/// own.
fn place(name: &str) -> usize {
    let end = name.bytes().rev().take(4);
    let mixed = end.fold(name.len(), |mixed, byte| mixed * 31 + usize::from(byte));
    mixed % ROUTES
}

#[cfg(test)]
mod tests {
    use ringmq_engine::TopicId;

    use super::*;
    use crate::broker::topic_config::{Permission, TopicConfig};

    fn route(name: &str) -> Route {
        let config = TopicConfig::new(name, 4, Permission::READ_WRITE);
        let topic = Topic {
            id: TopicId(1),
            config,
        };
        Route::new(Arc::new(topic), MeterId::NONE)
    }

    #[test]
    fn what_is_remembered_is_found_by_its_whole_name_until_the_tables_change() {
        let mut routes = Routes::default();
        assert!(routes.get("orders").is_none());
        let mut orders = route("orders");
        orders.bound(2, QueueNumber(7));
        routes.insert(orders);
        let route = routes.get("orders").expect("remembered");
        assert_eq!(route.queue(2), Some((2, QueueNumber(7))));
        for unknown in [-1, 0, 3, i32::MAX] {
            assert_eq!(route.queue(unknown), None, "{unknown}");
        }
        assert!(routes.get("0rders").is_none(), "the same place");
        assert_eq!(place("0rders"), place("orders"));
        routes.clear();
        assert!(routes.get("orders").is_none());
    }

    #[test]
    fn queues_with_large_ids_are_not_remembered() {
        let mut route = route("wide");
        route.bound(ROUTE_QUEUES_MAX as u32, QueueNumber(7));
        assert!(route.queues.is_empty());
        assert_eq!(route.queue(ROUTE_QUEUES_MAX as i32), None);
    }
}
