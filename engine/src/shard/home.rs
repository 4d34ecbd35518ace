//! The home shard's control state: which topics and groups exist. Their payloads are the server's.

use std::collections::BTreeMap;

use ringmq_ring::Io;

use crate::control_record::ControlRecord;
use crate::error::Refused;
use crate::limits::{GROUPS_MAX, NAME_BYTES_MAX, PAYLOAD_BYTES_MAX, TOPICS_MAX};
use crate::pull::Ticket;
use crate::types::{QueueNumber, TopicId};

use super::Shard;

/// Topics by id, groups by name; empty on every other shard.
#[derive(Debug)]
pub(super) struct Home {
    topics: BTreeMap<TopicId, (Box<str>, Box<[u8]>)>,
    groups: BTreeMap<Box<str>, Box<[u8]>>,
    next_topic: TopicId,
}

impl Home {
    pub(super) fn new(next_topic: TopicId) -> Self {
        Self {
            topics: BTreeMap::new(),
            groups: BTreeMap::new(),
            next_topic: next_topic.max(TopicId(1)),
        }
    }

    pub(super) fn restore_topic(&mut self, topic: TopicId, name: String, payload: Vec<u8>) {
        self.next_topic = self.next_topic.max(TopicId(topic.0 + 1));
        self.topics.insert(topic, (name.into(), payload.into()));
    }

    pub(super) fn restore_group(&mut self, name: String, payload: Vec<u8>) {
        self.groups.insert(name.into(), payload.into());
    }

    /// Topics from an id on.
    pub(super) fn topics_from(
        &self,
        from: TopicId,
    ) -> impl Iterator<Item = (TopicId, &str, &[u8])> {
        let topics = self.topics.range(from..);
        topics.map(|(&topic, (name, payload))| (topic, &**name, &**payload))
    }

    /// Groups after a name.
    pub(super) fn groups_after(&self, after: Option<&str>) -> impl Iterator<Item = (&str, &[u8])> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let groups = self.groups.range::<str, _>((from, Unbounded));
        groups.map(|(name, payload)| (&**name, &**payload))
    }

    /// The id that the next topic gets.
    pub(super) fn next_topic(&self) -> TopicId {
        self.next_topic
    }
}

impl<I: Io> Shard<I> {
    /// Home shard: stores or replaces a topic. Durable when [`crate::Event::Stored`] comes.
    pub fn put_topic(
        &mut self,
        topic: TopicId,
        name: &str,
        payload: &[u8],
        ticket: Ticket,
    ) -> Result<(), Refused> {
        let known = self.home.topics.contains_key(&topic);
        if !known && self.home.topics.len() >= TOPICS_MAX {
            return Err(Refused::TableFull("topics"));
        }
        let record = ControlRecord::TopicPut {
            topic,
            name,
            payload,
        };
        self.change(&record, name, payload, ticket)?;
        let row = (name.into(), payload.into());
        self.home.topics.insert(topic, row);
        self.home.next_topic = self.home.next_topic.max(TopicId(topic.0 + 1));
        Ok(())
    }

    /// Home shard: deletes a topic; its queues follow with [`Shard::drop_topic_queues`] on each shard.
    pub fn delete_topic(&mut self, topic: TopicId, ticket: Ticket) -> Result<(), Refused> {
        let record = ControlRecord::TopicDelete { topic };
        self.change(&record, "", &[], ticket)?;
        self.home.topics.remove(&topic);
        Ok(())
    }

    /// Home shard: stores or replaces a group. Durable when [`crate::Event::Stored`] comes.
    pub fn put_group(&mut self, name: &str, payload: &[u8], ticket: Ticket) -> Result<(), Refused> {
        let known = self.home.groups.contains_key(name);
        if !known && self.home.groups.len() >= GROUPS_MAX {
            return Err(Refused::TableFull("groups"));
        }
        let record = ControlRecord::GroupPut { name, payload };
        self.change(&record, name, payload, ticket)?;
        self.home.groups.insert(name.into(), payload.into());
        Ok(())
    }

    /// Home shard: deletes a group; its offsets follow with [`Shard::forget_group_offsets`] on each shard.
    pub fn delete_group(&mut self, name: &str, ticket: Ticket) -> Result<(), Refused> {
        let record = ControlRecord::GroupDelete { name };
        self.change(&record, name, &[], ticket)?;
        self.home.groups.remove(name);
        Ok(())
    }

    /// Home shard: all topics, by id.
    pub fn topics(&self) -> impl Iterator<Item = (TopicId, &str, &[u8])> {
        self.home.topics_from(TopicId(0))
    }

    /// Home shard: all groups, by name.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.home.groups_after(None)
    }

    /// Home shard: issues a topic id that was never used before. It counts as used once a topic with it is
    /// stored; one that is not may be issued again after a restart.
    pub fn next_topic_id(&mut self) -> TopicId {
        let topic = self.home.next_topic;
        self.home.next_topic = TopicId(topic.0 + 1);
        topic
    }

    /// Any shard: forgets the queues of a deleted topic; says which.
    pub fn drop_topic_queues(&mut self, topic: TopicId) -> Vec<QueueNumber> {
        // Nothing may come before the record that the run begins with.
        if self.may_append().is_err() {
            return Vec::new();
        }
        let mut dropped = self.queues.select(|queue| queue.topic == topic);
        for (at, &queue) in dropped.iter().enumerate() {
            // Without room for the record the queue stays until the next start reconciles it.
            if self.control(&ControlRecord::QueueDelete { queue }).is_err() {
                dropped.truncate(at);
                break;
            }
            self.queues.remove(queue);
            self.offsets.forget_queue(queue);
            self.woken.push(queue);
        }
        dropped
    }

    fn change(
        &mut self,
        record: &ControlRecord<'_>,
        name: &str,
        payload: &[u8],
        ticket: Ticket,
    ) -> Result<(), Refused> {
        self.may_append()?;
        if name.len() > NAME_BYTES_MAX || payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Refused::Malformed);
        }
        self.control(record)?;
        self.log.ack_durable(ticket);
        Ok(())
    }
}
