//! The engine by itself: one shard, appends made on its own thread, no socket and no protocol.

use std::collections::VecDeque;
use std::sync::mpsc::{Sender, channel};

use hdrhistogram::Histogram;
use ringmq_engine::{Config, Engine, Event, QueueNumber, Shard, ShardContext, TopicId};
use ringmq_protocol::RecordParts;
use ringmq_ring::turn::{Pace, Service};
use ringmq_ring::uring::{Uring, UringCompletion, UringConfig};
use ringmq_ring::{Io, Moment};

use super::arguments::Engine as Options;
use super::counters::Counters;
use super::environment::Environment;
use super::error::{BenchError, Result};
use super::report::{Latency, Report};

const WARM_UP_NS: u64 = 1_000_000_000;
const TOPIC: TopicId = TopicId(1);

/// Measures and prints.
pub fn run(options: &Options) -> Result<()> {
    let mut config = Config::new(&options.folder);
    config.shards = Some(1);
    let engine = Engine::open(&config)?.with_ring(UringConfig {
        // No sockets: the receive buffers are never used.
        receive_buffers: 1,
        ..UringConfig::default()
    });
    let engine = if options.spin {
        engine
    } else {
        engine.sleeping()
    };
    let (told, outcomes) = channel();
    let running = engine.start(|_| {
        let (told, options) = (told.clone(), options.clone());
        move |context: ShardContext<'_>| Appender::new(context.shard, &options, told)
    })?;
    let joined = running.join();
    let outcome = outcomes.try_recv();
    std::fs::remove_dir_all(&options.folder)?;
    joined?;
    let outcome = outcome.map_err(|_| BenchError::Usage("the engine refused appends".into()))?;
    report(options, &outcome).print(options.json);
    Ok(())
}

fn report(options: &Options, outcome: &Outcome) -> Report {
    Report {
        scenario: "engine".into(),
        target: "this process".into(),
        connections: 1,
        in_flight: options.in_flight,
        body_bytes: options.body_bytes,
        seconds: outcome.seconds,
        messages_per_s: outcome.latency_ns.len() as f64 / outcome.seconds,
        errors: 0,
        latency_us: Some(Latency::of(&outcome.latency_ns)),
        turns_per_commit: outcome.after.turns_per_commit(outcome.before),
        environment: Environment::read(),
    }
}

struct Outcome {
    seconds: f64,
    before: Counters,
    after: Counters,
    latency_ns: Histogram<u64>,
}

/// Keeps so many appends in flight until its time is over.
struct Appender {
    shard: Shard<Uring>,
    queue: Option<QueueNumber>,
    body: Vec<u8>,
    in_flight: usize,
    measured_ns: u64,
    /// When each unacknowledged append was made; acknowledgements come in this order.
    since_ns: VecDeque<u64>,
    /// When counting began, with the counters of that moment.
    counting: Option<(u64, Counters)>,
    began_ns: Option<u64>,
    latency_ns: Histogram<u64>,
    /// Where the outcome goes; taken when it has gone.
    told: Option<Sender<Outcome>>,
}

impl Appender {
    fn new(shard: Shard<Uring>, options: &Options, told: Sender<Outcome>) -> Self {
        Self {
            shard,
            queue: None,
            body: vec![b'x'; options.body_bytes],
            in_flight: options.in_flight,
            measured_ns: (options.seconds * 1e9) as u64,
            since_ns: VecDeque::new(),
            counting: None,
            began_ns: None,
            latency_ns: Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits")),
            told: Some(told),
        }
    }

    /// What the ring itself counted, and the blocks written.
    fn counters(&self, io: &Uring) -> Counters {
        Counters {
            turns: io.enters(),
            commits: self.shard.status().blocks,
        }
    }

    fn take_events(&mut self, now_ns: u64) {
        while let Some(event) = self.shard.next_event() {
            if let Event::Stored { .. } = event
                && let Some(since_ns) = self.since_ns.pop_front()
                && self.counting.is_some()
            {
                self.latency_ns
                    .saturating_record(now_ns.saturating_sub(since_ns).max(1));
            }
        }
    }

    fn keep_time(&mut self, io: &Uring, now_ns: u64) {
        let began_ns = *self.began_ns.get_or_insert(now_ns);
        let counters = self.counters(io);
        match self.counting {
            None if now_ns >= began_ns + WARM_UP_NS => self.counting = Some((now_ns, counters)),
            Some((from_ns, before)) if now_ns >= from_ns + self.measured_ns => {
                if let Some(told) = self.told.take() {
                    let empty = Histogram::new_from(&self.latency_ns);
                    // Whoever started the measurement waits for it.
                    let _ = told.send(Outcome {
                        seconds: (now_ns - from_ns) as f64 / 1e9,
                        before,
                        after: counters,
                        latency_ns: std::mem::replace(&mut self.latency_ns, empty),
                    });
                }
                self.shard.stop();
            }
            _ => {}
        }
    }

    fn append(&mut self, now_ns: u64) {
        let nowhere = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
        let parts = RecordParts {
            topic: "bench",
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_timestamp: 0,
            born_host: nowhere,
            store_host: nowhere,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: &self.body,
            properties: &[],
        };
        let Some(queue) = self.queue else {
            self.queue = self.shard.bind_queue(TOPIC, 0).ok();
            return;
        };
        while self.since_ns.len() < self.in_flight {
            // A busy log is asked again in the next turn.
            if self.shard.append(queue, &parts, 0).is_err() {
                return;
            }
            self.since_ns.push_back(now_ns);
        }
    }
}

impl Service<Uring> for Appender {
    fn completion(&mut self, io: &mut Uring, completion: UringCompletion) {
        self.shard.observe(io.now());
        self.shard.completion(io, completion);
    }

    fn turn(&mut self, io: &mut Uring, now: Moment) -> Pace {
        let now_ns = now.monotonic_ns;
        self.shard.observe(now);
        self.take_events(now_ns);
        if self.shard.is_ready() {
            self.keep_time(io, now_ns);
            if self.told.is_some() {
                self.append(now_ns);
            }
        }
        let pace = self.shard.turn(io, now);
        let waits = self.shard.is_ready() && self.since_ns.is_empty() && self.told.is_some();
        Pace {
            in_flight: pace.in_flight,
            deadline_ns: if waits {
                Some(now_ns)
            } else {
                pace.deadline_ns
            },
            stop: pace.stopped || pace.failed,
        }
    }
}
