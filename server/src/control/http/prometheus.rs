//! Prometheus' text format. Names and labels are those of Apache RocketMQ 5 where the meaning is the
//! same (`rocketmq_…`); what only this broker has begins with `ringmq_`.

use std::fmt::{Display, Write as _};

use super::glance::{Glance, GroupRow, TopicRow};
use super::health::State;
use crate::connection::CloseReason;
use crate::limits;
use crate::metrics::{CODES, HistogramReading, MeterSum};

/// What all rows beyond the bound are called together.
const OTHERS: &str = "_others";

/// All metrics, with at most `rows_max` topics and as many pairs of topic and group told apart.
pub(super) fn exposition(glance: &Glance, rows_max: usize) -> String {
    let mut out = Exposition::default();
    process(&mut out, glance);
    connections(&mut out, glance);
    if glance.facts.is_broker {
        topics(&mut out, glance, rows_max);
        groups(&mut out, glance, rows_max);
        times(&mut out, glance);
        storage(&mut out, glance);
        shards(&mut out, glance);
    }
    names(&mut out, glance);
    out.text
}

/// Text that grows by families: a name, its help and type once, then its samples.
#[derive(Default)]
struct Exposition {
    text: String,
    name: &'static str,
}

type Label<'a> = (&'a str, &'a str);

impl Exposition {
    fn gauge(&mut self, name: &'static str, help: &str) {
        self.family(name, "gauge", help);
    }

    fn counter(&mut self, name: &'static str, help: &str) {
        self.family(name, "counter", help);
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        // Writing into a string does not fail, here and below.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the family begun last.
    fn sample(&mut self, labels: &[Label<'_>], value: impl Display) {
        self.suffixed("", labels, value);
    }

    fn suffixed(&mut self, suffix: &str, labels: &[Label<'_>], value: impl Display) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (index, (name, value)) in labels.iter().enumerate() {
            let begin = if index == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{begin}{name}=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }

    /// One histogram of the family begun last, in seconds.
    fn histogram(&mut self, labels: &[Label<'_>], reading: &HistogramReading) {
        let count = reading.count();
        for (upper_ns, below) in reading.octaves() {
            let le = seconds(upper_ns).to_string();
            let labels = [labels, &[("le", &le)]].concat();
            self.suffixed("_bucket", &labels, below);
        }
        let endless = [labels, &[("le", "+Inf")]].concat();
        self.suffixed("_bucket", &endless, count);
        self.suffixed("_sum", labels, seconds(reading.sum_ns));
        self.suffixed("_count", labels, count);
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// The labels that Apache's brokers put on everything.
fn node<'a>(glance: &'a Glance, more: &[Label<'a>]) -> Vec<Label<'a>> {
    let kind = if glance.facts.is_broker {
        "broker"
    } else {
        "nameserver"
    };
    let mut labels = vec![
        ("cluster", glance.facts.cluster.as_str()),
        ("node_type", kind),
        ("node_id", glance.facts.node.as_str()),
    ];
    labels.extend_from_slice(more);
    labels
}

fn process(out: &mut Exposition, glance: &Glance) {
    out.gauge("ringmq_build_info", "The release; always 1.");
    let version = env!("CARGO_PKG_VERSION");
    out.sample(&node(glance, &[("version", version)]), 1);
    out.gauge("ringmq_uptime_seconds", "Time since the process began.");
    out.sample(&node(glance, &[]), glance.uptime.as_secs());
    out.gauge(
        "ringmq_ready",
        "1 while it serves and takes sends, as /health/ready says.",
    );
    out.sample(&node(glance, &[]), u8::from(glance.readiness.is_ok()));
    out.gauge("ringmq_state", "1 for the state that the process is in.");
    for (state, name) in [
        (State::Recovering, "recovering"),
        (State::Registering, "registering"),
        (State::Serving, "serving"),
        (State::Stopping, "stopping"),
        (State::Failed, "failed"),
    ] {
        let is_it = u8::from(glance.state == state);
        out.sample(&node(glance, &[("state", name)]), is_it);
    }
}

fn connections(out: &mut Exposition, glance: &Glance) {
    let shards = || glance.shards.iter().enumerate();
    out.gauge("ringmq_connections", "Connections open.");
    for (index, shard) in shards() {
        out.sample(&[("shard", &index.to_string())], shard.connections);
    }
    out.gauge(
        "ringmq_connections_limit",
        "Connections that one shard takes.",
    );
    out.sample(&[], limits::CONNECTIONS_MAX);
    out.gauge(
        "ringmq_connections_paused",
        "Connections not read because too much of theirs is in flight.",
    );
    for (index, shard) in shards() {
        out.sample(&[("shard", &index.to_string())], shard.paused);
    }
    out.counter("ringmq_connections_opened_total", "Connections taken over.");
    out.sample(&[], glance.totals.connections_opened);
    out.counter(
        "ringmq_connections_closed_total",
        "Connections ended, and why.",
    );
    for reason in CloseReason::ALL {
        let count = glance.totals.connections_closed[reason.index()];
        out.sample(&[("reason", reason.word())], count);
    }
    out.gauge(
        "ringmq_in_flight_bytes",
        "Requests not answered and answers not sent.",
    );
    for (index, shard) in shards() {
        out.sample(&[("shard", &index.to_string())], shard.in_flight_bytes);
    }
    out.gauge(
        "ringmq_in_flight_limit_bytes",
        "Beyond this a shard's connections get less room each.",
    );
    out.sample(&[], limits::SHARD_IN_FLIGHT_BYTES_MAX);
    out.gauge("ringmq_started_frames_bytes", "Frames received in part.");
    for (index, shard) in shards() {
        out.sample(&[("shard", &index.to_string())], shard.held_bytes);
    }
    out.gauge(
        "ringmq_started_frames_limit_bytes",
        "Beyond this a shard closes whoever adds much.",
    );
    out.sample(&[], limits::SHARD_HELD_BYTES_MAX);
    codes(out, glance);
}

fn codes(out: &mut Exposition, glance: &Glance) {
    let name = |code: usize| match code + 1 {
        CODES => "other".to_owned(),
        _ => code.to_string(),
    };
    out.counter("ringmq_requests_total", "Requests by code.");
    for (code, count) in &glance.totals.requests {
        out.sample(&[("request_code", &name(*code))], count);
    }
    out.counter(
        "ringmq_refusals_total",
        "Requests refused, by response code.",
    );
    for (code, count) in &glance.totals.refusals {
        out.sample(&[("response_code", &name(*code))], count);
    }
}

/// The rows that are told apart, those with the most traffic first chosen, and the sum of the others.
fn bounded<R>(rows: &[R], max: usize, sum: impl Fn(&R) -> MeterSum) -> (Vec<&R>, MeterSum) {
    let mut kept: Vec<&R> = rows.iter().collect();
    kept.sort_by_key(|row| std::cmp::Reverse(sum(row).messages));
    let mut others = MeterSum::default();
    for row in kept.drain(max.min(kept.len())..) {
        let more = sum(row);
        others.messages += more.messages;
        others.bytes += more.bytes;
        others.send_backs += more.send_backs;
    }
    (kept, others)
}

fn topics(out: &mut Exposition, glance: &Glance, max: usize) {
    let (rows, others) = bounded(&glance.topics, max, |row| row.sum);
    let is_more = glance.topics.len() > max;
    let of = |row: &TopicRow| (row.name.to_string(), row.is_system.to_string());
    out.gauge("rocketmq_topic_number", "Topics.");
    out.sample(&node(glance, &[]), glance.topics.len());
    type Figure = fn(&MeterSum) -> u64;
    let figures: [(&'static str, &str, Figure); 2] = [
        ("rocketmq_messages_in_total", "Messages stored.", |sum| {
            sum.messages
        }),
        (
            "rocketmq_throughput_in_total",
            "Bytes of messages stored.",
            |sum| sum.bytes,
        ),
    ];
    for (name, help, figure) in figures {
        out.counter(name, help);
        for row in &rows {
            let (topic, is_system) = of(row);
            let labels = [("topic", topic.as_str()), ("is_system", is_system.as_str())];
            out.sample(&node(glance, &labels), figure(&row.sum));
        }
        if is_more {
            let labels = [("topic", OTHERS), ("is_system", "false")];
            out.sample(&node(glance, &labels), figure(&others));
        }
    }
    out.gauge("ringmq_topic_messages", "Messages kept.");
    for row in &rows {
        out.sample(&node(glance, &[("topic", &row.name)]), row.messages);
    }
}

fn groups(out: &mut Exposition, glance: &Glance, max: usize) {
    let (rows, others) = bounded(&glance.groups, max, |row| row.sum);
    let is_more = glance.groups.len() > max;
    out.gauge("rocketmq_consumer_group_number", "Consumer groups.");
    out.sample(&node(glance, &[]), glance.group_count);
    type Figure = fn(&MeterSum) -> u64;
    let figures: [(&'static str, &str, Figure); 3] = [
        (
            "rocketmq_messages_out_total",
            "Messages delivered.",
            |sum| sum.messages,
        ),
        (
            "rocketmq_throughput_out_total",
            "Bytes of messages delivered.",
            |sum| sum.bytes,
        ),
        (
            "ringmq_send_backs_total",
            "Messages sent back to be retried.",
            |sum| sum.send_backs,
        ),
    ];
    for (name, help, figure) in figures {
        out.counter(name, help);
        for row in &rows {
            let labels = row.labels();
            out.sample(&node(glance, &labels), figure(&row.sum));
        }
        if is_more {
            let labels = [("topic", OTHERS), ("consumer_group", OTHERS)];
            out.sample(&node(glance, &labels), figure(&others));
        }
    }
    out.gauge(
        "rocketmq_consumer_lag_messages",
        "Messages stored and not committed by the group.",
    );
    for row in rows {
        if let Some(backlog) = row.backlog {
            out.sample(&node(glance, &row.labels()), backlog.lag);
        }
    }
}

impl GroupRow {
    fn labels(&self) -> [Label<'_>; 4] {
        let word = |is_so: bool| if is_so { "true" } else { "false" };
        [
            ("topic", &self.topic),
            ("consumer_group", &self.group),
            ("is_retry", word(self.is_retry)),
            ("is_system", word(self.is_system)),
        ]
    }
}

fn times(out: &mut Exposition, glance: &Glance) {
    let times = &glance.totals.times;
    let help = "Time of the stages of a send: append (received to appended), store (to stored: written, and durable with SYNC_FLUSH), reply (to the answer in the kernel's hands); total is received to stored.";
    out.family("ringmq_send_duration_seconds", "histogram", help);
    for (stage, reading) in [
        ("append", &times.append),
        ("store", &times.store),
        ("reply", &times.reply),
        ("total", &times.send),
    ] {
        out.histogram(&[("stage", stage)], reading);
    }
    let help =
        "Time of pulls: answered at once from memory, or after a wait for the disk or a message.";
    out.family("ringmq_pull_duration_seconds", "histogram", help);
    for (kind, reading) in [
        ("at_once", &times.pull_at_once),
        ("waited", &times.pull_waited),
    ] {
        out.histogram(&[("kind", kind)], reading);
    }
    out.counter(
        "ringmq_pulls_total",
        "Pulls answered, with messages or without.",
    );
    out.sample(&[("result", "found")], glance.totals.pulls_found);
    out.sample(&[("result", "missed")], glance.totals.pulls_missed);
}

fn storage(out: &mut Exposition, glance: &Glance) {
    let engines = || glance.shards.iter().filter_map(|shard| shard.engine);
    let local = [("storage_type", "local"), ("storage_medium", "disk")];
    out.gauge("rocketmq_storage_size", "Bytes of log kept.");
    out.sample(&node(glance, &local), glance.log_bytes());
    out.gauge(
        "rocketmq_storage_flush_behind_bytes",
        "Bytes appended and not durable yet.",
    );
    let behind: u64 = engines()
        .map(|engine| engine.appended.saturating_sub(engine.durable))
        .sum();
    out.sample(&node(glance, &local), behind);
    if let Some(disk) = glance.disk {
        out.gauge(
            "ringmq_disk_size_bytes",
            "Size of the file system of the store.",
        );
        out.sample(&[], disk.bytes);
        out.gauge("ringmq_disk_free_bytes", "What is free of it.");
        out.sample(&[], disk.free);
    }
    out.gauge(
        "ringmq_log_position_bytes",
        "Watermarks of each shard's log, and where it begins.",
    );
    for (index, shard) in glance.shards.iter().enumerate() {
        let Some(engine) = shard.engine else {
            continue;
        };
        for (mark, position) in [
            ("oldest", engine.oldest),
            ("visible", engine.visible),
            ("durable", engine.durable),
            ("written", engine.written),
            ("appended", engine.appended),
        ] {
            out.sample(&[("shard", &index.to_string()), ("mark", mark)], position);
        }
    }
}

fn shards(out: &mut Exposition, glance: &Glance) {
    type Figure = fn(&ringmq_engine::ShardStatus) -> u64;
    let gauges: [(&'static str, &str, Figure); 8] = [
        ("ringmq_log_segments", "Log segments kept.", |s| {
            s.segments.into()
        }),
        (
            "ringmq_log_segments_ahead",
            "Log segments prepared ahead.",
            |s| s.segments_ahead.into(),
        ),
        (
            "ringmq_log_indexes_waiting",
            "Full segments whose index is not on the disk yet.",
            |s| s.indexes_waiting.into(),
        ),
        ("ringmq_queues", "Queues that were ever written to.", |s| {
            s.queues.into()
        }),
        (
            "ringmq_sends_waiting",
            "Sends that wait to be stored.",
            |s| s.acks_waiting.into(),
        ),
        (
            "ringmq_cold_reads_in_flight",
            "Reads from the disk in flight.",
            |s| s.cold_reads.into(),
        ),
        (
            "ringmq_block_memory_bytes",
            "Memory of commit blocks, the newest messages' included.",
            |s| s.block_memory,
        ),
        (
            "ringmq_sends_refused_now",
            "1 while the shard takes no sends.",
            |s| s.refusing.is_some().into(),
        ),
    ];
    for (name, help, figure) in gauges {
        out.gauge(name, help);
        per_shard(out, glance, figure);
    }
    let counters: [(&'static str, &str, Figure); 6] = [
        ("ringmq_records_appended_total", "Records appended.", |s| {
            s.records
        }),
        (
            "ringmq_shard_commits_total",
            "Commit blocks written.",
            |s| s.blocks,
        ),
        ("ringmq_checkpoints_total", "Checkpoints published.", |s| {
            s.checkpoints
        }),
        (
            "ringmq_appends_refused_busy_total",
            "Appends refused because a bound was reached.",
            |s| s.refused_busy,
        ),
        (
            "ringmq_appends_refused_full_total",
            "Appends refused for want of space.",
            |s| s.refused_full,
        ),
        (
            "ringmq_records_damaged_total",
            "Records whose checksum failed when they were read.",
            |s| s.damaged,
        ),
    ];
    for (name, help, figure) in counters {
        out.counter(name, help);
        per_shard(out, glance, figure);
    }
}

fn per_shard(
    out: &mut Exposition,
    glance: &Glance,
    figure: fn(&ringmq_engine::ShardStatus) -> u64,
) {
    for (index, shard) in glance.shards.iter().enumerate() {
        if let Some(engine) = &shard.engine {
            out.sample(&[("shard", &index.to_string())], figure(engine));
        }
    }
}

fn names(out: &mut Exposition, glance: &Glance) {
    let Some(names) = glance.shards.iter().find_map(|shard| shard.names) else {
        return;
    };
    for (name, help, value) in [
        (
            "ringmq_nameserver_brokers",
            "Broker names registered.",
            names.brokers,
        ),
        (
            "ringmq_nameserver_clusters",
            "Clusters registered.",
            names.clusters,
        ),
        (
            "ringmq_nameserver_topics",
            "Topics registered.",
            names.topics,
        ),
    ] {
        out.gauge(name, help);
        out.sample(&[], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_families_announced() {
        let mut out = Exposition::default();
        out.gauge("ringmq_ready", "Whether.");
        out.sample(&[("topic", "a\"b\\c\nd"), ("x", "y")], 1.5);
        assert_eq!(
            out.text,
            "# HELP ringmq_ready Whether.\n# TYPE ringmq_ready gauge\nringmq_ready{topic=\"a\\\"b\\\\c\\nd\",x=\"y\"} 1.5\n"
        );
    }

    #[test]
    fn the_rows_with_the_most_traffic_are_told_apart_and_the_others_summed() {
        let row = |messages| MeterSum {
            messages,
            bytes: messages * 10,
            send_backs: 0,
        };
        let rows = [row(1), row(100), row(2), row(50)];
        let (kept, others) = bounded(&rows, 2, |row| *row);
        assert_eq!((kept, others), (vec![&row(100), &row(50)], row(3)));
        let (kept, others) = bounded(&rows, 9, |row| *row);
        assert_eq!((kept.len(), others), (4, MeterSum::default()));
    }

    #[test]
    fn a_histogram_ends_with_everything() {
        let histogram = crate::metrics::Histogram::default();
        histogram.record(3_000_000, 2);
        let mut reading = HistogramReading::default();
        histogram.read_into(&mut reading);
        let mut out = Exposition::default();
        out.family("h", "histogram", "Times.");
        out.histogram(&[("stage", "store")], &reading);
        assert!(
            out.text
                .contains("h_bucket{stage=\"store\",le=\"0.004194304\"} 2\n")
        );
        assert!(
            out.text
                .contains("h_bucket{stage=\"store\",le=\"0.002097152\"} 0\n")
        );
        assert!(out.text.ends_with("h_bucket{stage=\"store\",le=\"+Inf\"} 2\nh_sum{stage=\"store\"} 0.006\nh_count{stage=\"store\"} 2\n"));
    }
}
