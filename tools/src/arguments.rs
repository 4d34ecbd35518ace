//! The command line. Verbs, flags and their meaning are mqadmin's where it has them.

use clap::{Args, Parser};

use crate::verbs::Command;

/// Administers RingMQ and Apache RocketMQ, and looks into RingMQ's data folders.
#[derive(Parser)]
#[command(
    name = "ringmq-admin",
    version,
    after_help = "Exit codes: 0 done, 1 a server refused, 2 usage, 3 a folder cannot be read, 4 a folder is damaged, 5 a server cannot be reached or did not answer."
)]
pub struct Arguments {
    /// Options of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every verb.
#[derive(Args)]
pub struct Global {
    /// Name servers, `host:port`, several separated by `;`.
    #[arg(
        short = 'n',
        long = "namesrvAddr",
        env = "NAMESRV_ADDR",
        default_value = "127.0.0.1:9876",
        value_name = "ADDRESSES",
        global = true,
        help_heading = "Global options"
    )]
    pub name_servers: String,
    /// Answer with one JSON object, for programs. Times in it are milliseconds since 1970.
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Answer again every so many seconds (2 unless given), until interrupted.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        global = true,
        help_heading = "Global options"
    )]
    pub watch: Option<u64>,
    /// How many seconds an answer of a server may take.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(1..=3600),
        global = true,
        help_heading = "Global options"
    )]
    pub timeout: u64,
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;

    /// What mqadmin calls the daily verbs.
    #[rustfmt::skip]
    const DAILY: &[&str] = &[
        "updateTopic", "updateTopicList", "deleteTopic", "topicList", "topicRoute", "topicStatus",
        "topicClusterList", "updateTopicPerm", "updateOrderConf", "allocateMQ", "updateSubGroup",
        "deleteSubGroup", "getConsumerConfig", "consumerProgress", "consumerStatus",
        "consumerConnection", "producerConnection", "producer", "setConsumeMode", "resetOffsetByTime",
        "skipAccumulatedMessage", "cloneGroupOffset", "queryMsgById", "queryMsgByOffset", "printMsg",
        "printMsgByQueue", "sendMessage", "consumeMessage", "checkMsgSendRT", "sendMsgStatus",
        "clusterList", "brokerStatus", "brokerConsumeStats", "statsAll", "getBrokerConfig",
        "updateBrokerConfig", "haStatus", "cleanExpiredCQ", "cleanUnusedTopic",
        "deleteExpiredCommitLog", "queryCq", "getNamesrvConfig", "updateNamesrvConfig",
        "updateKvConfig", "deleteKvConfig", "wipeWritePerm", "addWritePerm", "exportMetadata",
        "exportConfigs", "exportMetrics",
    ];

    /// Names of values that say what they count or how they are written. TIME explains itself in the
    /// help of its flag.
    #[rustfmt::skip]
    const VALUES: &[&str] = &[
        "ADDRESSES", "BROKER", "BYTES", "CHANGES", "CHARSET", "CLIENT", "CLUSTER", "CONSUMERS",
        "COUNT", "FILE", "FOLDER", "GROUP", "ID", "JSON", "KEY", "KEYS", "LAYOUT", "MESSAGES",
        "METHOD", "MODE", "NAMESPACE", "OFFSET", "QUEUE", "SECONDS", "SHELL", "TAG", "TAGS", "TEXT",
        "TIME", "TOPIC", "VALUE", "true|false", "2|4|6",
    ];

    fn verbs() -> Vec<Command> {
        let mut command = Arguments::command();
        command.build();
        let verbs = command
            .get_subcommands()
            .filter(|verb| verb.get_name() != "help");
        verbs.cloned().collect()
    }

    #[test]
    fn every_daily_verb_of_mqadmin_is_there() {
        let verbs = verbs();
        for name in DAILY {
            assert!(verbs.iter().any(|verb| verb.get_name() == *name), "{name}");
        }
    }

    #[test]
    fn every_verb_says_what_it_does_and_every_flag_what_its_value_is() {
        for verb in verbs() {
            let name = verb.get_name().to_owned();
            assert!(
                verb.get_about()
                    .is_some_and(|about| about.to_string().len() > 15),
                "{name}"
            );
            for flag in verb
                .get_arguments()
                .filter(|flag| !["help", "version"].contains(&flag.get_id().as_str()))
            {
                let id = flag.get_id();
                let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.len() > 5, "{name} {id} has no help");
                if !flag.get_action().takes_values() {
                    continue;
                }
                for value in flag.get_value_names().unwrap_or_default() {
                    assert!(
                        VALUES.contains(&value.as_str()),
                        "{name} {id}: {value} says nothing"
                    );
                    let says_how = help.contains("yyyy-MM-dd") || help.contains("same forms");
                    assert!(value != "TIME" || says_how, "{name} {id}: {help}");
                }
            }
        }
    }

    #[test]
    fn every_example_is_a_command_line_that_is_understood() {
        for verb in verbs() {
            let name = verb.get_name().to_owned();
            let help = verb
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let examples: Vec<_> = help
                .lines()
                .filter(|line| line.trim_start().starts_with("ringmq-admin "))
                .collect();
            assert!(!examples.is_empty(), "{name} has no example");
            for example in examples {
                let words = example.split_whitespace().take_while(|word| *word != ">");
                let parsed = Arguments::try_parse_from(words);
                assert!(
                    parsed.is_ok(),
                    "{example}: {}",
                    parsed
                        .err()
                        .map(|error| error.to_string())
                        .unwrap_or_default()
                );
            }
        }
    }

    #[test]
    fn friendly_names_are_the_verbs_themselves() {
        for (friendly, verb) in [
            ("topics", "topicList"),
            ("send", "sendMessage"),
            ("consume", "consumeMessage"),
        ] {
            let verbs = verbs();
            let named = verbs
                .iter()
                .find(|known| known.get_all_aliases().any(|alias| alias == friendly));
            assert_eq!(named.map(Command::get_name), Some(verb));
        }
    }
}
