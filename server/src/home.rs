//! What the home shard owns for the whole broker, and how it changes.
//!
//! ```text
//! request needs a topic or group ─> change planned ─> engine: durable ─> tables of all shards ─> request goes on
//!        (parked meanwhile)                              Stored            (a fence: all acknowledged)
//! ```
//! A change is shown to nobody before it is durable, and a request that caused one is answered, or
//! handled again from the start, only when every shard has it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use ringmq_engine::{Refused, TopicId};
use ringmq_ring::Io;
use slab::Slab;

use crate::broker::{
    Effect, GroupConfig, GroupTable, GroupView, LockTable, Registry, SharedMap, TopicConfig,
    TopicTable,
};
use crate::connection::ConnectionId;
use crate::context::{Context, Request};
use crate::front::HOME;
use crate::handlers;
use crate::limits;
use crate::mux::{Letter, Origin};
use crate::reply::{Refusal, ReplyTo};
use crate::shard::{Settings, Waiter};
use crate::tables::Tables;

/// See the module.
#[derive(Debug)]
pub struct Home {
    /// All topics.
    pub topics: TopicTable,
    /// All consumer groups' settings.
    pub groups: GroupTable,
    /// Who is connected.
    pub registry: Registry,
    /// Queue locks.
    pub locks: LockTable,
    views: SharedMap<GroupView>,
    changes: Slab<Change>,
    busy: BTreeMap<Subject, usize>,
    parked: Slab<Parked>,
    runnable: VecDeque<(Origin, Bytes)>,
    fences: VecDeque<Fence>,
    expire_due_ns: u64,
    is_published: bool,
    is_ready: bool,
    are_topics_changed: bool,
    /// The settings, once they have changed since the start.
    settings: Option<Arc<Settings>>,
}

/// What a change is about. Two changes of one subject follow each other, never overlap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A topic.
    Topic(String),
    /// A group.
    Group(String),
}

/// A change on its way to the disk.
#[derive(Debug)]
pub enum Action {
    /// A topic is created or gets other settings.
    PutTopic(TopicId, TopicConfig),
    /// A topic is deleted.
    DropTopic(TopicId, String),
    /// A group is created or gets other settings.
    PutGroup(GroupConfig),
    /// A group is deleted.
    DropGroup(String),
}

impl Action {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::PutTopic(_, config) => Subject::Topic(config.topic_name.clone()),
            Self::DropTopic(_, name) => Subject::Topic(name.clone()),
            Self::PutGroup(config) => Subject::Group(config.group_name.clone()),
            Self::DropGroup(name) => Subject::Group(name.clone()),
        }
    }
}

/// What follows once all shards have a change.
#[derive(Debug)]
pub enum Then {
    /// A parked request lacks one change less.
    Unpark(usize),
    /// The request is answered with success.
    Answer(ReplyTo),
    /// The offsets of a group that was deleted are dropped on all shards, then the request is answered.
    Forget(ReplyTo, String),
    /// A heartbeat is answered; the flag says whether the subscriptions changed.
    Heartbeat(ReplyTo, bool),
    /// Members of a group are told that it has changed.
    Notify(Vec<(String, ConnectionId)>),
    /// The tables are complete: connections may be accepted.
    Ready,
}

#[derive(Debug)]
struct Change {
    action: Action,
    then: Vec<Then>,
}

#[derive(Debug)]
struct Parked {
    origin: Origin,
    frame: Bytes,
    missing: usize,
    /// Its connection has ended: it is not handled again.
    is_gone: bool,
}

#[derive(Debug)]
struct Fence {
    /// For each shard the number of letters it must have acknowledged.
    letters: Vec<u64>,
    then: Vec<Then>,
}

impl Home {
    /// The tables as recovered, nobody connected. `seed` places names in the shared tables.
    pub fn new(topics: TopicTable, groups: GroupTable, seed: u64) -> Self {
        let registry = Registry::new();
        let mut views = SharedMap::new(seed);
        for config in groups.iter() {
            let view = registry.view(&config.group_name, config);
            views.insert(config.group_name.as_str().into(), Arc::new(view));
        }
        Self {
            topics,
            groups,
            registry,
            locks: LockTable::new(),
            views,
            changes: Slab::new(),
            busy: BTreeMap::new(),
            parked: Slab::new(),
            runnable: VecDeque::new(),
            fences: VecDeque::new(),
            expire_due_ns: 0,
            is_published: false,
            is_ready: false,
            are_topics_changed: true,
            settings: None,
        }
    }

    /// Whether every shard has the tables, system topics included.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whether topics changed since the last call: name servers must learn of it.
    pub fn take_topics_changed(&mut self) -> bool {
        std::mem::take(&mut self.are_topics_changed)
    }

    /// The change of a subject that is on its way, if any.
    pub fn pending(&self, subject: &Subject) -> Option<usize> {
        self.busy.get(subject).copied()
    }

    /// The next request that no longer waits for a change.
    pub fn next_runnable(&mut self) -> Option<(Origin, Bytes)> {
        self.runnable.pop_front()
    }

    /// Whether parked requests may run.
    pub fn has_runnable(&self) -> bool {
        !self.runnable.is_empty()
    }

    /// When expired clients and locks are looked for next.
    pub fn expire_due_ns(&self) -> u64 {
        self.expire_due_ns
    }

    fn tables(&self) -> Tables {
        Tables {
            topics: self.topics.shared(),
            groups: self.views.clone(),
            dropped_topics: Vec::new(),
            settings: self.settings.clone(),
        }
    }

    fn update_view(&mut self, group: &str) {
        match self.groups.get(group) {
            Some(config) => {
                let view = Arc::new(self.registry.view(group, config));
                self.views.insert(group.into(), view);
            }
            None => {
                self.views.remove(group);
            }
        }
    }

    fn release(&mut self, parked: usize) {
        let Some(entry) = self.parked.get_mut(parked) else {
            return;
        };
        entry.missing -= 1;
        if entry.missing == 0 {
            let entry = self.parked.remove(parked);
            if !entry.is_gone {
                self.runnable.push_back((entry.origin, entry.frame));
            }
        }
    }

    fn forget_parked(&mut self, connection: ConnectionId) {
        self.runnable
            .retain(|(origin, _)| origin.connection != connection);
        for (_, entry) in &mut self.parked {
            entry.is_gone |= entry.origin.connection == connection;
        }
    }
}

/// Changes, from the plan to the answer. All of them run on the home shard only.
impl<I: Io> Context<'_, I> {
    /// One step towards complete tables: creates the system topics that are missing, then publishes.
    /// Returns whether every shard has them. Called every turn until then.
    pub fn make_ready(&mut self) -> bool {
        let Some(home) = &self.broker.home else {
            return true;
        };
        if home.is_ready || home.is_published || !self.broker.engine.is_ready() {
            return home.is_ready;
        }
        let missing = home.topics.missing_system_topics().into_iter();
        let missing: Vec<_> = missing
            .filter(|config| {
                !home
                    .busy
                    .contains_key(&Subject::Topic(config.topic_name.clone()))
            })
            .collect();
        for config in missing {
            let id = self.topic_id(&config.topic_name);
            if self.change(Action::PutTopic(id, config)).is_err() {
                return false;
            }
        }
        if let Some(home) = &mut self.broker.home
            && home.busy.is_empty()
        {
            home.is_published = true;
            self.publish_tables(Vec::new(), vec![Then::Ready]);
        }
        self.broker.home.as_ref().is_some_and(|home| home.is_ready)
    }

    /// Starts making a change durable; returns its number, for [`Context::park`] and
    /// [`Context::follow`]. The subject must not be busy.
    pub fn change(&mut self, action: Action) -> Result<usize, Refused> {
        let Some(home) = &mut self.broker.home else {
            return Err(Refused::Unknown);
        };
        if home.changes.len() >= limits::CHANGES_IN_FLIGHT_MAX {
            return Err(Refused::TableFull("changes of topics and groups"));
        }
        let subject = action.subject();
        let entry = home.changes.vacant_entry();
        let number = entry.key();
        let ticket = self.broker.waiters.insert(Waiter::Change(number));
        let engine = &mut self.broker.engine;
        let put = match &action {
            Action::PutTopic(id, config) => {
                engine.put_topic(*id, &config.topic_name, &config.to_payload(), ticket)
            }
            Action::DropTopic(id, _) => engine.delete_topic(*id, ticket),
            Action::PutGroup(config) => {
                engine.put_group(&config.group_name, &config.to_payload(), ticket)
            }
            Action::DropGroup(name) => engine.delete_group(name, ticket),
        };
        if let Err(refused) = put {
            self.broker.waiters.take(ticket);
            return Err(refused);
        }
        let then = Vec::new();
        entry.insert(Change { action, then });
        home.busy.insert(subject, number);
        Ok(number)
    }

    /// The id under which a topic's settings are stored: its own, or a new one.
    pub fn topic_id(&mut self, name: &str) -> TopicId {
        let known = self.broker.home.as_ref().and_then(|h| h.topics.get(name));
        match known {
            Some(topic) => topic.id,
            None => self.broker.engine.next_topic_id(),
        }
    }

    /// Adds what follows to a change on its way.
    pub fn follow(&mut self, change: usize, then: Then) {
        let home = self.broker.home.as_mut();
        if let Some(change) = home.and_then(|home| home.changes.get_mut(change)) {
            change.then.push(then);
        }
    }

    /// Handles a request again, from the start, once all these changes are in effect.
    pub fn park(&mut self, request: &Request<'_>, changes: &[usize]) -> Result<(), Refusal> {
        let Some(home) = &mut self.broker.home else {
            return Err(Refusal::engine(Refused::Unknown));
        };
        if home.parked.len() >= limits::PARKED_REQUESTS_MAX {
            return Err(Refusal::engine(Refused::TableFull("parked requests")));
        }
        let parked = home.parked.insert(Parked {
            origin: request.to.origin,
            frame: Bytes::copy_from_slice(request.frame),
            missing: changes.len(),
            is_gone: false,
        });
        self.front.is_known_to(request.to.origin.connection, HOME);
        for &change in changes {
            self.follow(change, Then::Unpark(parked));
        }
        Ok(())
    }

    /// A change is durable: it takes effect here, then on every shard.
    pub fn change_stored(&mut self, number: usize) {
        let now_ms = self.front.now.wall_ms;
        let Some(home) = &mut self.broker.home else {
            return;
        };
        let Some(change) = home.changes.try_remove(number) else {
            return;
        };
        home.busy.remove(&change.action.subject());
        let mut dropped = Vec::new();
        home.are_topics_changed |=
            !matches!(change.action, Action::PutGroup(_) | Action::DropGroup(_));
        match change.action {
            Action::PutTopic(id, config) => {
                home.topics.put(id, config, now_ms);
            }
            Action::DropTopic(id, name) => {
                home.topics.remove(&name, now_ms);
                dropped.push(id);
            }
            Action::PutGroup(config) => {
                let config = home.groups.put(config, now_ms);
                home.update_view(&config.group_name);
            }
            Action::DropGroup(name) => {
                home.groups.remove(&name, now_ms);
                home.update_view(&name);
            }
        }
        self.publish_tables(dropped, change.then);
    }

    /// A change failed with the log: whoever waits for it learns that the outcome is unknown.
    pub fn change_failed(&mut self, number: usize) {
        let Some(home) = &mut self.broker.home else {
            return;
        };
        let Some(change) = home.changes.try_remove(number) else {
            return;
        };
        home.busy.remove(&change.action.subject());
        for then in change.then {
            self.fail(then);
        }
    }

    /// Gives the tables to all shards; `then` follows when they have them.
    pub fn publish_tables(&mut self, dropped_topics: Vec<TopicId>, then: Vec<Then>) {
        let Some(home) = &self.broker.home else {
            return;
        };
        let tables = Tables {
            dropped_topics,
            ..home.tables()
        };
        let shards = self.front.mux.shards();
        for shard in (0..shards).filter(|&shard| shard != HOME) {
            self.front.mux.write(shard, Letter::Tables(tables.clone()));
        }
        self.broker.take_tables(tables);
        let letters = (0..shards).map(|s| self.front.mux.written(s)).collect();
        if let Some(home) = &mut self.broker.home {
            home.fences.push_back(Fence { letters, then });
        }
        self.pass_fences();
    }

    /// Other settings, already in the configuration file: every shard takes them, then the client is
    /// answered.
    pub fn take_settings(&mut self, to: ReplyTo, settings: Arc<Settings>) {
        let now_ms = self.front.now.wall_ms;
        let before = Arc::clone(&self.broker.settings);
        let Some(home) = &mut self.broker.home else {
            return;
        };
        home.groups.set_auto_create(settings.auto_create_groups);
        let is_template_changed = home
            .topics
            .set_auto_create(settings.auto_create_topics, now_ms);
        let permission = |settings: &Settings| (settings.is_readable, settings.is_writable);
        if permission(&before) != permission(&settings) {
            home.topics.touch(now_ms);
            home.are_topics_changed = true;
        }
        home.are_topics_changed |= is_template_changed;
        home.settings = Some(settings);
        let missing = home.topics.missing_system_topics();
        let mut last = None;
        for config in missing {
            let subject = Subject::Topic(config.topic_name.clone());
            let busy = self.broker.home.as_ref().and_then(|h| h.pending(&subject));
            let id = self.topic_id(&config.topic_name);
            // A log that takes nothing now takes it at the next start.
            last = busy.or_else(|| self.change(Action::PutTopic(id, config)).ok());
        }
        match last {
            // What is published with the topic are the settings too.
            Some(change) => self.follow(change, Then::Answer(to)),
            None => self.publish_tables(Vec::new(), vec![Then::Answer(to)]),
        }
    }

    /// Runs what waited for all shards to have what was published.
    pub fn pass_fences(&mut self) {
        while let Some(home) = &mut self.broker.home
            && let Some(fence) = home.fences.front()
            && is_passed(fence, |shard| self.front.mux.acknowledged(shard))
            && let Some(fence) = home.fences.pop_front()
        {
            for then in fence.then {
                self.then(then);
            }
        }
    }

    /// Tells every shard what has changed in the registry, then the members.
    pub fn take_effect(&mut self, effect: Effect, then: Option<Then>) {
        let Some(home) = &mut self.broker.home else {
            return;
        };
        for group in &effect.changed {
            home.update_view(group);
        }
        let mut all: Vec<Then> = then.into_iter().collect();
        if !effect.notify.is_empty() {
            let notify = effect.notify.into_iter();
            let notify = notify.map(|(group, id)| (group, ConnectionId::from_u64(id.0)));
            all.push(Then::Notify(notify.collect()));
        }
        if effect.changed.is_empty() {
            all.into_iter().for_each(|then| self.then(then));
        } else {
            self.publish_tables(Vec::new(), all);
        }
    }

    /// Forgets silent clients and expired locks, every ten seconds.
    pub fn expire_home(&mut self) -> Vec<ConnectionId> {
        let now_ns = self.front.now.monotonic_ns;
        let Some(home) = &mut self.broker.home else {
            return Vec::new();
        };
        if now_ns < home.expire_due_ns {
            return Vec::new();
        }
        home.expire_due_ns = now_ns + limits::EXPIRE_INTERVAL_NS;
        let now_ms = now_ns / 1_000_000;
        home.locks.expire(now_ms);
        let Home {
            registry, groups, ..
        } = &mut **home;
        let effect = registry.expire(now_ms, |group| groups.get(group));
        let close = effect.close.iter().map(|id| ConnectionId::from_u64(id.0));
        let close = close.collect();
        self.take_effect(effect, None);
        close
    }

    /// A connection that had sent heartbeats is gone. Its parked requests go with it: a heartbeat
    /// among them would bring back a member that is not there.
    pub fn client_gone(&mut self, connection: ConnectionId) {
        let Some(home) = &mut self.broker.home else {
            return;
        };
        home.forget_parked(connection);
        let Home {
            registry, groups, ..
        } = &mut **home;
        let id = crate::broker::ConnectionId(connection.to_u64());
        let effect = registry.connection_closed(id, |group| groups.get(group));
        self.take_effect(effect, None);
    }

    fn then(&mut self, then: Then) {
        match then {
            Then::Unpark(parked) => {
                if let Some(home) = &mut self.broker.home {
                    home.release(parked);
                }
            }
            Then::Answer(to) => self.answer_code(&to, 0, None),
            Then::Forget(to, group) => {
                if let Err(refusal) = handlers::group::forget_offsets(self, &to, &group) {
                    self.refuse(&to, &refusal);
                }
            }
            Then::Heartbeat(to, is_changed) => {
                handlers::client::answer_heartbeat(self, &to, is_changed)
            }
            Then::Notify(members) => handlers::client::notify(self, &members),
            Then::Ready => {
                if let Some(home) = &mut self.broker.home {
                    home.is_ready = true;
                }
            }
        }
    }

    fn fail(&mut self, then: Then) {
        match then {
            Then::Answer(to) | Then::Forget(to, _) | Then::Heartbeat(to, _) => {
                self.refuse(&to, &Refusal::unknown_outcome());
            }
            Then::Unpark(parked) => {
                // Handled again it meets the failed engine, which says so.
                if let Some(home) = &mut self.broker.home {
                    home.release(parked);
                }
            }
            Then::Notify(_) | Then::Ready => {}
        }
    }
}

fn is_passed(fence: &Fence, acknowledged: impl Fn(u8) -> u64) -> bool {
    let letters = fence.letters.iter().enumerate();
    letters
        .filter(|&(shard, _)| shard != usize::from(HOME))
        .all(|(shard, &letters)| acknowledged(shard as u8) >= letters)
}
