//! The client driver: `ringmq-client`'s producer as an application uses it, one client for each
//! connection and one task for each unanswered send.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ringmq_client::{Client, ClientConfig, Message, Producer};

use super::arguments::Produce;
use super::error::{BenchError, Result};
use super::schedule::Schedule;
use super::wire::Outcome;

/// What is driven before the clock starts.
const WARM_UP: Duration = Duration::from_secs(1);

/// Sends with the client until the time is over.
pub fn measure(options: &Produce) -> Result<Outcome> {
    let servers = options.name_server.as_deref().ok_or_else(|| {
        BenchError::Usage("the client driver finds brokers by itself: give --name-server".into())
    })?;
    let failed = |error: ringmq_client::ClientError| BenchError::Usage(error.to_string());
    let producers = (0..options.connections)
        .map(|_| {
            let config = ClientConfig::new(servers).send_attempts(1);
            Ok(Rc::new(Producer::new(
                &Client::new(config).map_err(failed)?,
                "bench",
            )))
        })
        .collect::<Result<Vec<_>>>()?;
    let shared = Rc::new(RefCell::new(Measured::new(options)?));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let sending: Vec<_> = producers
            .iter()
            .flat_map(|producer| (0..options.in_flight).map(|_| Rc::clone(producer)))
            .map(|producer| tokio::task::spawn_local(send(producer, Rc::clone(&shared))))
            .collect();
        for task in sending {
            // A task ends with the measurement; what it measured is in `shared`.
            let _ended = task.await;
        }
    });
    let measured = Rc::into_inner(shared).map(RefCell::into_inner);
    measured
        .map(Measured::finish)
        .ok_or_else(|| BenchError::Usage("a task of the driver did not end".into()))
}

async fn send(producer: Rc<Producer>, shared: Rc<RefCell<Measured>>) {
    let message = shared.borrow().message.clone();
    loop {
        let due = shared.borrow_mut().next_due();
        let begun = match due {
            Some(due) => {
                tokio::time::sleep_until(due.into()).await;
                due
            }
            None => Instant::now(),
        };
        let outcome = producer.send_async(&message).await;
        let ended = Instant::now();
        let mut shared = shared.borrow_mut();
        shared.count(begun, ended, outcome.err().map(|error| error.to_string()));
        if ended >= shared.end {
            return;
        }
    }
}

/// What all tasks share.
struct Measured {
    message: Message,
    started: Instant,
    counted_from: Instant,
    end: Instant,
    schedule: Option<Schedule>,
    outcome: Outcome,
}

impl Measured {
    fn new(options: &Produce) -> Result<Self> {
        let started = Instant::now();
        let counted_from = started + WARM_UP;
        Ok(Self {
            message: Message::new(&options.topic, vec![b'x'; options.body_bytes]),
            started,
            counted_from,
            end: counted_from + Duration::from_secs_f64(options.seconds),
            schedule: options.rate.map(|rate| Schedule::new(0, rate)),
            outcome: Outcome {
                messages: 0,
                errors: 0,
                first_error: None,
                seconds: options.seconds,
                latency_ns: Histogram::new_with_bounds(1, 3_600_000_000_000, 3)
                    .map_err(|error| BenchError::Usage(error.to_string()))?,
            },
        })
    }

    /// The time of the next send in an open loop; it is taken even when it lies ahead.
    fn next_due(&mut self) -> Option<Instant> {
        let due_ns = self.schedule.as_mut()?.take(u64::MAX)?;
        Some(self.started + Duration::from_nanos(due_ns))
    }

    fn count(&mut self, begun: Instant, ended: Instant, error: Option<String>) {
        if ended < self.counted_from || ended > self.end {
            return;
        }
        match error {
            None => self.outcome.messages += 1,
            Some(text) => {
                self.outcome.errors += 1;
                self.outcome.first_error.get_or_insert(text);
            }
        }
        let latency_ns = ended.saturating_duration_since(begun).as_nanos() as u64;
        self.outcome.latency_ns.saturating_record(latency_ns.max(1));
    }

    fn finish(self) -> Outcome {
        self.outcome
    }
}
