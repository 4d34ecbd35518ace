//! What `ringmq-admin` can do, one noun a file.

mod broker;
mod client;
mod cluster;
mod completion;
mod config;
mod consume;
mod export;
mod folder;
mod group;
mod message;
mod name_server;
mod offset;
mod progress;
mod queue;
mod send;
mod statistics;
mod status;
mod topic;
mod topic_view;

pub use folder::Folder;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Result;
use crate::report::Report;

/// One thing that can be done.
pub trait Verb {
    /// Does it.
    fn run(&self, context: &Context<'_>) -> Result<Report>;

    /// Whether doing it again and again only looks.
    fn is_watchable(&self) -> bool {
        false
    }

    /// Seconds between two looks, where the verb has mqadmin's own flag for it.
    fn interval(&self) -> Option<u64> {
        None
    }

    /// Whether a program should get the report: a verb that prints as it goes gives lines of its own.
    fn has_json_report(&self) -> bool {
        true
    }
}

macro_rules! commands {
    ($($(#[$attribute:meta])* $name:ident($options:ty),)*) => {
        /// The verbs.
        #[derive(Subcommand)]
        #[command(rename_all = "camelCase")]
        pub enum Command {
            $($(#[$attribute])* $name($options),)*
        }

        impl Command {
            /// The verb with its options.
            pub fn verb(&self) -> &dyn Verb {
                match self {
                    $(Self::$name(verb) => verb,)*
                }
            }
        }
    };
}

commands! {
    Status(status::Status),
    #[command(visible_alias = "topics")]
    TopicList(topic_view::TopicList),
    TopicRoute(topic_view::TopicRoute),
    TopicStatus(topic_view::TopicStatus),
    TopicClusterList(topic_view::TopicClusterList),
    #[command(name = "allocateMQ")]
    AllocateMq(topic_view::AllocateMq),
    UpdateTopic(topic::UpdateTopic),
    UpdateTopicList(topic::UpdateTopicList),
    DeleteTopic(topic::DeleteTopic),
    UpdateTopicPerm(topic::UpdateTopicPerm),
    UpdateOrderConf(topic::UpdateOrderConf),
    UpdateSubGroup(group::UpdateSubGroup),
    UpdateSubGroupList(group::UpdateSubGroupList),
    DeleteSubGroup(group::DeleteSubGroup),
    GetConsumerConfig(group::GetConsumerConfig),
    SetConsumeMode(group::SetConsumeMode),
    ConsumerProgress(progress::ConsumerProgress),
    BrokerConsumeStats(progress::BrokerConsumeStats),
    ConsumerConnection(client::ConsumerConnection),
    ProducerConnection(client::ProducerConnection),
    Producer(client::Producer),
    ConsumerStatus(client::ConsumerStatus),
    ResetOffsetByTime(offset::ResetOffsetByTime),
    SkipAccumulatedMessage(offset::SkipAccumulatedMessage),
    CloneGroupOffset(offset::CloneGroupOffset),
    QueryMsgById(message::QueryMsgById),
    QueryMsgByUniqueKey(message::QueryMsgByUniqueKey),
    QueryMsgByKey(message::QueryMsgByKey),
    QueryMsgByOffset(message::QueryMsgByOffset),
    QueryCq(queue::QueryCq),
    PrintMsg(consume::PrintMsg),
    PrintMsgByQueue(consume::PrintMsgByQueue),
    #[command(visible_alias = "consume")]
    ConsumeMessage(consume::ConsumeMessage),
    #[command(visible_alias = "send")]
    SendMessage(send::SendMessage),
    SendMsgStatus(send::SendMsgStatus),
    #[command(name = "checkMsgSendRT")]
    CheckMsgSendRt(send::CheckMsgSendRt),
    ClusterList(cluster::ClusterList),
    StatsAll(statistics::StatsAll),
    BrokerStatus(broker::BrokerStatus),
    HaStatus(broker::HaStatus),
    #[command(name = "cleanExpiredCQ")]
    CleanExpiredCq(broker::CleanExpiredCq),
    CleanUnusedTopic(broker::CleanUnusedTopic),
    DeleteExpiredCommitLog(broker::DeleteExpiredCommitLog),
    GetBrokerConfig(config::GetBrokerConfig),
    UpdateBrokerConfig(config::UpdateBrokerConfig),
    GetNamesrvConfig(config::GetNamesrvConfig),
    UpdateNamesrvConfig(config::UpdateNamesrvConfig),
    UpdateKvConfig(name_server::UpdateKvConfig),
    DeleteKvConfig(name_server::DeleteKvConfig),
    WipeWritePerm(name_server::WipeWritePerm),
    AddWritePerm(name_server::AddWritePerm),
    ExportMetadata(export::ExportMetadata),
    ExportConfigs(export::ExportConfigs),
    ExportMetrics(export::ExportMetrics),
    Inspect(folder::Inspect),
    Verify(folder::Verify),
    Completion(completion::Completion),
}
