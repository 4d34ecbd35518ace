//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures servers of RocketMQ's protocol.
#[derive(Parser)]
#[command(name = "ringmq-bench", version)]
pub struct Arguments {
    /// What to measure.
    #[command(subcommand)]
    pub command: Command,
}

/// The scenarios.
#[derive(Subcommand)]
pub enum Command {
    /// Sends messages and measures from each send to its acknowledgement.
    Produce(Produce),
    /// Pulls messages that are there already, as fast as they come.
    Consume(Consume),
    /// Serves as the null broker: splits real frames, writes durably, answers a constant.
    Null(Null),
    /// The engine without a server: appends in this process, from each to its acknowledgement, and the
    /// entries to the kernel that a commit takes.
    Engine(Engine),
    /// What this machine can do at best: durable writes, and the null broker under the wire driver.
    Limits(Limits),
}

/// Which code sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// Frames encoded once, sent from one thread through epoll: measures the server.
    Wire,
    /// The producer of `ringmq-client`: measures what an application gets.
    Client,
}

/// Options of `produce`.
#[derive(Args, Clone)]
pub struct Produce {
    /// The broker's address.
    #[arg(long, default_value = "127.0.0.1:10911")]
    pub target: String,
    /// The topic; it is created when the server allows it.
    #[arg(long, default_value = "bench")]
    pub topic: String,
    /// Queues of the topic.
    #[arg(long, default_value_t = 4)]
    pub queues: u32,
    /// Connections.
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Unanswered sends on each connection.
    #[arg(long, default_value_t = 1)]
    pub in_flight: usize,
    /// Bytes of each body.
    #[arg(long, default_value_t = 1024)]
    pub body_bytes: usize,
    /// Seconds measured, after a second that is not.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Sends a second over all connections, with latency counted from the time each was due; without
    /// it every connection sends as soon as it may.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Which code sends.
    #[arg(long, value_enum, default_value = "wire")]
    pub driver: Driver,
    /// Name servers of the client driver.
    #[arg(long)]
    pub name_server: Option<String>,
    /// One line of JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Options of `consume`.
#[derive(Args, Clone)]
pub struct Consume {
    /// The broker's address.
    #[arg(long, default_value = "127.0.0.1:10911")]
    pub target: String,
    /// The topic; messages are sent to it first when it holds too few.
    #[arg(long, default_value = "bench")]
    pub topic: String,
    /// Queues of the topic.
    #[arg(long, default_value_t = 4)]
    pub queues: u32,
    /// Connections; each pulls one queue after another.
    #[arg(long, default_value_t = 4)]
    pub connections: usize,
    /// Unanswered pulls on each connection.
    #[arg(long, default_value_t = 4)]
    pub in_flight: usize,
    /// Messages asked for in one pull.
    #[arg(long, default_value_t = 256)]
    pub batch: u32,
    /// Messages at the end of each queue that are pulled again and again.
    #[arg(long, default_value_t = 10_000)]
    pub window: u64,
    /// Bytes of each body that is sent when the topic holds too few.
    #[arg(long, default_value_t = 1024)]
    pub body_bytes: usize,
    /// Seconds measured, after a second that is not.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// One line of JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Options of `null`.
#[derive(Args, Clone)]
pub struct Null {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:20911")]
    pub listen: String,
    /// The file it writes to, made anew; on the disk that is to be compared.
    #[arg(long, default_value = "null-broker.log")]
    pub file: std::path::PathBuf,
    /// The CPU its thread is bound to.
    #[arg(long)]
    pub cpu: Option<usize>,
}

/// Options of `engine`.
#[derive(Args, Clone)]
pub struct Engine {
    /// A folder for the store; removed afterwards.
    #[arg(long, default_value = "ringmq-bench-engine")]
    pub folder: std::path::PathBuf,
    /// Appends not yet acknowledged.
    #[arg(long, default_value_t = 64)]
    pub in_flight: usize,
    /// Bytes of each body.
    #[arg(long, default_value_t = 1024)]
    pub body_bytes: usize,
    /// Seconds measured, after a second that is not.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Spin while a write is in flight, as the server does; without it the thread sleeps.
    #[arg(long)]
    pub spin: bool,
    /// One line of JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Options of `limits`.
#[derive(Args, Clone)]
pub struct Limits {
    /// The folder whose disk is measured.
    #[arg(long, default_value = ".")]
    pub folder: std::path::PathBuf,
    /// Seconds of each figure.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// One line of JSON for each figure.
    #[arg(long)]
    pub json: bool,
}
