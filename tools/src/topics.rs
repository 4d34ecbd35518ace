//! `ringmq-admin topics`.

use ringmq_client::{Admin, Client, ClientConfig};

use crate::arguments::Cluster;
use crate::error::Result;

/// Prints every topic that the name servers know, one a line.
pub fn run(cluster: &Cluster) -> Result<()> {
    let client = Client::new(ClientConfig::new(&cluster.name_servers))?;
    for topic in Admin::new(&client).topics()? {
        println!("{topic}");
    }
    Ok(())
}
