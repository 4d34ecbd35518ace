//! Where the queues of a topic are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ringmq_protocol::code::{request, response};
use ringmq_protocol::command::route::{RouteRequest, TopicRouteData};

use crate::client::Client;
use crate::error::ClientError;
use crate::limits::{ROUTE_AGE_MAX, ROUTES_MAX};
use crate::queue::MessageQueue;

/// Topic whose settings automatic topics take.
pub const DEFAULT_TOPIC: &str = "TBW102";
/// Queues of an automatic topic that a producer asks for.
pub const DEFAULT_QUEUES: u32 = 4;
/// `PermName`: queues may be written.
const PERM_WRITE: i32 = 2;
/// `PermName`: queues may be read.
const PERM_READ: i32 = 4;

/// The queues of one topic, and the masters' addresses.
#[derive(Debug)]
pub struct Route {
    /// Queues that may be written.
    pub writable: Vec<MessageQueue>,
    /// Queues that may be read.
    pub readable: Vec<MessageQueue>,
    masters: HashMap<Arc<str>, Arc<str>>,
}

impl Route {
    /// The address of a queue's broker.
    pub fn address(&self, queue: &MessageQueue) -> Result<Arc<str>, ClientError> {
        self.masters
            .get(&queue.broker_name)
            .cloned()
            .ok_or_else(|| ClientError::NoRoute(queue.topic.to_string()))
    }

    fn of(topic: &str, data: &TopicRouteData, queues_max: u32) -> Self {
        let topic: Arc<str> = topic.into();
        let masters: HashMap<Arc<str>, Arc<str>> = data
            .broker_datas
            .iter()
            .filter_map(|broker| {
                Some((broker.broker_name.as_str().into(), broker.master()?.into()))
            })
            .collect();
        let (mut writable, mut readable) = (Vec::new(), Vec::new());
        for queues in &data.queue_datas {
            let Some((broker_name, _)) = masters.get_key_value(queues.broker_name.as_str()) else {
                continue;
            };
            let numbered = |count: i32| {
                (0..u32::try_from(count).unwrap_or(0).min(queues_max)).map(|queue_id| {
                    MessageQueue {
                        topic: Arc::clone(&topic),
                        broker_name: Arc::clone(broker_name),
                        queue_id,
                    }
                })
            };
            if queues.perm & PERM_WRITE != 0 {
                writable.extend(numbered(queues.write_queue_nums));
            }
            if queues.perm & PERM_READ != 0 {
                readable.extend(numbered(queues.read_queue_nums));
            }
        }
        writable.sort();
        readable.sort();
        Self {
            writable,
            readable,
            masters,
        }
    }
}

/// Routes by topic, each with the time it was learned.
#[derive(Default)]
pub struct Routes {
    known: Mutex<HashMap<String, (Instant, Arc<Route>)>>,
}

impl Routes {
    fn fresh(&self, topic: &str) -> Option<Arc<Route>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (learned, route) = known.get(topic)?;
        (learned.elapsed() < ROUTE_AGE_MAX).then(|| Arc::clone(route))
    }

    fn learn(&self, topic: &str, route: &Arc<Route>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ROUTES_MAX {
            known.clear();
        }
        known.insert(topic.to_owned(), (Instant::now(), Arc::clone(route)));
    }

    /// Forgets a route that has proved wrong.
    pub fn forget(&self, topic: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(topic);
    }
}

impl Client {
    /// The route of a topic that exists.
    pub(crate) async fn route(&self, topic: &str) -> Result<Arc<Route>, ClientError> {
        if let Some(route) = self.routes().fresh(topic) {
            return Ok(route);
        }
        let data = self.ask_for_route(topic).await?;
        let route = Arc::new(Route::of(topic, &data, u32::MAX));
        self.routes().learn(topic, &route);
        Ok(route)
    }

    /// The route to publish to: where the topic does not exist yet, that of the topic whose settings
    /// automatic topics take. The first send creates it.
    pub(crate) async fn publish_route(&self, topic: &str) -> Result<Arc<Route>, ClientError> {
        match self.route(topic).await {
            Err(ClientError::NoRoute(_)) => {
                let data =
                    self.ask_for_route(DEFAULT_TOPIC)
                        .await
                        .map_err(|error| match error {
                            ClientError::NoRoute(_) => ClientError::NoRoute(topic.to_owned()),
                            other => other,
                        })?;
                Ok(Arc::new(Route::of(topic, &data, DEFAULT_QUEUES)))
            }
            outcome => outcome,
        }
    }

    /// Asks one name server after another.
    pub(crate) async fn ask_for_route(&self, topic: &str) -> Result<TopicRouteData, ClientError> {
        let mut last = ClientError::NoRoute(topic.to_owned());
        for server in &self.config().name_servers {
            let request = RouteRequest {
                topic: topic.into(),
                standard_json_only: true,
            };
            let address: Arc<str> = server.as_str().into();
            let outcome = self
                .call(&address, request::GET_ROUTEINFO_BY_TOPIC, &[], |ext| {
                    request.put(ext)
                })
                .await;
            match outcome.and_then(|answer| read_route(topic, &answer)) {
                Ok(route) => return Ok(route),
                Err(error @ ClientError::NoRoute(_)) => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn read_route(topic: &str, answer: &crate::call::Answered) -> Result<TopicRouteData, ClientError> {
    if answer.header()?.code == response::TOPIC_NOT_EXIST {
        return Err(ClientError::NoRoute(topic.to_owned()));
    }
    answer.success()?;
    TopicRouteData::parse(&answer.body).map_err(|error| ClientError::Malformed(error.to_string()))
}
