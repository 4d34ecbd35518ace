//! The command line. Flags are mqadmin's where it has them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Administers RingMQ and Apache RocketMQ, and looks into RingMQ's data folders.
#[derive(Parser)]
#[command(name = "ringmq-admin", version)]
pub struct Arguments {
    /// Where the cluster is.
    #[command(flatten)]
    pub cluster: Cluster,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Where the cluster is.
#[derive(Args)]
pub struct Cluster {
    /// Name servers, `host:port`, several separated by `;`.
    #[arg(
        short = 'n',
        long = "namesrvAddr",
        env = "NAMESRV_ADDR",
        default_value = "127.0.0.1:9876",
        global = true
    )]
    pub name_servers: String,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Sends messages and prints where each of them stands.
    Send(Send),
    /// Prints messages of a topic from its queues.
    Consume(Consume),
    /// Lists the topics.
    Topics,
    /// Shows clusters and brokers, and with a topic its queues.
    Status(Status),
    /// Shows what a data folder holds. The broker must not be running on it.
    Inspect(Folder),
    /// Reads a whole data folder and checks every checksum. The broker must not be running on it.
    Verify(Folder),
}

/// Options of `send`.
#[derive(Args)]
pub struct Send {
    /// The topic; it is created where brokers allow it.
    #[arg(short = 't', long)]
    pub topic: String,
    /// The body.
    #[arg(short = 'p', long = "body", default_value = "hello")]
    pub body: String,
    /// The tag.
    #[arg(short = 'c', long)]
    pub tags: Option<String>,
    /// The keys, separated by spaces.
    #[arg(short = 'k', long)]
    pub keys: Option<String>,
    /// How many; from the second on the body gets a number.
    #[arg(long, default_value_t = 1)]
    pub count: u32,
}

/// Options of `consume`.
#[derive(Args)]
pub struct Consume {
    /// The topic.
    #[arg(short = 't', long)]
    pub topic: String,
    /// The group; with it, consuming starts at the committed offsets and commits.
    #[arg(short = 'g', long)]
    pub group: Option<String>,
    /// Tags, joined by `||`.
    #[arg(short = 'c', long, default_value = "*")]
    pub tags: String,
    /// The most messages to print.
    #[arg(long, default_value_t = 32)]
    pub count: usize,
}

/// Options of `status`.
#[derive(Args)]
pub struct Status {
    /// Shows the queues of this topic.
    #[arg(short = 't', long)]
    pub topic: Option<String>,
}

/// A data folder.
#[derive(Args)]
pub struct Folder {
    /// The folder that was given to the broker (`--data`, `storePathRootDir`).
    pub folder: PathBuf,
    /// Shows every record.
    #[arg(long)]
    pub records: bool,
}
