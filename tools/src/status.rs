//! `ringmq-admin status`.

use ringmq_client::{Admin, Client, ClientConfig, PullConsumer};

use crate::arguments::{Cluster, Status};
use crate::error::Result;

/// Prints the brokers of each cluster, and the bounds of a topic's queues.
pub fn run(cluster: &Cluster, options: &Status) -> Result<()> {
    let client = Client::new(ClientConfig::new(&cluster.name_servers))?;
    let info = Admin::new(&client).cluster()?;
    for (cluster, names) in &info.cluster_addr_table {
        println!("cluster {cluster}");
        for name in names {
            let addresses = info.broker_addr_table.get(name);
            for (id, address) in addresses.iter().flat_map(|broker| &broker.broker_addrs) {
                println!("  broker {name}  id {id}  {address}");
            }
        }
    }
    if let Some(topic) = &options.topic {
        let consumer = PullConsumer::new(&client, "TOOLS_CONSUMER");
        for queue in consumer.queues(topic)? {
            let (min, max) = consumer.bounds(&queue)?;
            println!(
                "queue {queue}  min {min}  max {max}  messages {}",
                max - min
            );
        }
    }
    Ok(())
}
