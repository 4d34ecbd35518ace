//! The first look at a cluster.

use clap::Args;

use super::Verb;
use super::cluster::ClusterList;
use super::topic_view::TopicStatus;
use crate::context::Context;
use crate::error::Result;
use crate::report::Report;

/// Shows the brokers (as clusterList), and the queues of a topic (as topicStatus).
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin status -n 127.0.0.1:9876 -t TopicTest"
)]
pub struct Status {
    /// Shows the queues of this topic too.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: Option<String>,
}

impl Verb for Status {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let report = ClusterList::all().run(context)?;
        let Some(topic) = self.topic.clone() else {
            return Ok(report);
        };
        let queues = TopicStatus {
            topic,
            cluster: None,
        };
        Ok(report.line("").then(queues.run(context)?))
    }

    fn is_watchable(&self) -> bool {
        true
    }
}
