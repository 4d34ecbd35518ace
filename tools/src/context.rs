//! What every verb needs: the cluster, and who in it is meant.

use std::future::Future;
use std::time::Duration;

use clap::Args;
use ringmq_client::protocol::command::route::TopicRouteData;
use ringmq_client::protocol::types::RETRY_PREFIX;
use ringmq_client::{Admin, Client, ClientConfig, ClientError, in_parallel, wait};

use crate::arguments::Global;
use crate::error::{Result, ToolError};
use crate::nearest::nearest;
use crate::report::{Report, Table};

/// Servers asked at a time.
pub const AT_A_TIME: usize = 64;

/// A verb's view of the world.
pub struct Context<'a> {
    /// The global options.
    pub global: &'a Global,
    /// The client.
    pub client: Client,
    /// The administrator.
    pub admin: Admin,
}

/// One broker, or all masters of a cluster.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Target {
    /// This broker: `host:port`, or its name.
    #[arg(short = 'b', long = "brokerAddr", value_name = "BROKER")]
    pub broker_addr: Option<String>,
    /// Every master of this cluster.
    #[arg(short = 'c', long = "clusterName", value_name = "CLUSTER")]
    pub cluster_name: Option<String>,
}

/// A broker of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Cluster.
    pub cluster: String,
    /// Broker name.
    pub name: String,
    /// 0 is the master.
    pub id: i64,
    /// `host:port`.
    pub address: String,
}

impl<'a> Context<'a> {
    /// Connects to nothing yet.
    pub fn new(global: &'a Global) -> Result<Self> {
        let config =
            ClientConfig::new(&global.name_servers).timeout(Duration::from_secs(global.timeout));
        let client = Client::new(config)?;
        let admin = Admin::new(&client);
        Ok(Self {
            global,
            client,
            admin,
        })
    }

    /// Every broker, by cluster, name and id.
    pub fn brokers(&self) -> Result<Vec<Place>> {
        let info = wait(self.admin.brokers().clusters())?;
        let mut places = Vec::new();
        for (cluster, names) in &info.cluster_addr_table {
            for name in names {
                let addresses = info.broker_addr_table.get(name);
                for (id, address) in addresses.iter().flat_map(|broker| &broker.broker_addrs) {
                    places.push(Place {
                        cluster: cluster.clone(),
                        name: name.clone(),
                        id: *id,
                        address: address.clone(),
                    });
                }
            }
        }
        places.sort_by(|one, other| {
            (&one.cluster, &one.name, one.id).cmp(&(&other.cluster, &other.name, other.id))
        });
        Ok(places)
    }

    /// Every master.
    pub fn masters(&self) -> Result<Vec<Place>> {
        let mut places = self.brokers()?;
        places.retain(|place| place.id == 0);
        Ok(places)
    }

    /// The masters of a cluster.
    pub fn masters_of(&self, cluster: &str) -> Result<Vec<Place>> {
        let all = self.masters()?;
        let clusters = all.iter().map(|place| place.cluster.as_str());
        let no_such = no_such("cluster", cluster, clusters);
        let masters: Vec<_> = all
            .into_iter()
            .filter(|place| place.cluster == cluster)
            .collect();
        if masters.is_empty() {
            Err(no_such)
        } else {
            Ok(masters)
        }
    }

    /// The address of a broker that is named by address or by name.
    pub fn broker_address(&self, broker: &str) -> Result<String> {
        if broker.contains(':') {
            return Ok(broker.to_owned());
        }
        let masters = self.masters()?;
        match masters.iter().find(|place| place.name == broker) {
            Some(place) => Ok(place.address.clone()),
            None => Err(no_such(
                "broker",
                broker,
                masters.iter().map(|place| place.name.as_str()),
            )),
        }
    }

    /// The addresses that are meant.
    pub fn targets(&self, target: &Target) -> Result<Vec<String>> {
        match (&target.broker_addr, &target.cluster_name) {
            (Some(broker), _) => Ok(vec![self.broker_address(broker)?]),
            (None, Some(cluster)) => Ok(addresses(self.masters_of(cluster)?)),
            (None, None) => Err(ToolError::Usage(
                "name a broker (-b) or a cluster (-c)".into(),
            )),
        }
    }

    /// The brokers that may know a group: those of its retry topic, all masters where it has none.
    pub fn brokers_of_group(&self, group: &str) -> Result<Vec<String>> {
        match wait(
            self.admin
                .topics()
                .masters(&format!("{RETRY_PREFIX}{group}")),
        ) {
            Ok(masters) => Ok(masters),
            Err(ClientError::NoRoute(_)) => Ok(addresses(self.masters()?)),
            Err(error) => Err(error.into()),
        }
    }

    /// A topic's route; an unknown topic is refused with the nearest name.
    pub fn route(&self, topic: &str) -> Result<TopicRouteData> {
        match wait(self.admin.topics().route(topic)) {
            Err(ClientError::NoRoute(_)) => Err(self.no_such_topic(topic)),
            outcome => Ok(outcome?),
        }
    }

    /// The masters that have a topic, with their names.
    pub fn masters_with(&self, topic: &str) -> Result<Vec<Place>> {
        let route = self.route(topic)?;
        let master = |broker: &ringmq_client::protocol::command::route::BrokerData| {
            Some(Place {
                cluster: broker.cluster.clone(),
                name: broker.broker_name.clone(),
                id: 0,
                address: broker.master()?.to_owned(),
            })
        };
        let mut masters: Vec<_> = route.broker_datas.iter().filter_map(master).collect();
        masters.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(masters)
    }

    /// The error for an unknown topic.
    pub fn no_such_topic(&self, topic: &str) -> ToolError {
        let known = wait(self.admin.topics().list()).unwrap_or_default();
        no_such("topic", topic, known.iter().map(String::as_str))
    }

    /// Does something at several servers at once and tells how it went at each. The first failure is
    /// that of the whole.
    pub fn at_each<F, Fut>(&self, done: &str, servers: &[String], act: F) -> Report
    where
        F: Fn(String) -> Fut,
        Fut: Future<Output = std::result::Result<(), ClientError>>,
    {
        let outcomes = wait(in_parallel(servers.iter().cloned().map(&act), AT_A_TIME));
        let mut table = Table::new("servers", &["server", "done", "error"]);
        let mut failure = None;
        for (server, outcome) in servers.iter().zip(outcomes) {
            let error = outcome.err();
            table.row([
                server.into(),
                error.is_none().into(),
                error.as_ref().map(ToString::to_string).into(),
            ]);
            failure = failure.or(error.map(|error| ToolError::at(server, error)));
        }
        let line = match failure {
            None => format!("{done}: done"),
            Some(_) => format!("{done}: not done everywhere"),
        };
        let mut report = Report::new().line(line).table(table);
        report.failure = failure;
        report
    }
}

/// The addresses of some places.
pub fn addresses(places: Vec<Place>) -> Vec<String> {
    places.into_iter().map(|place| place.address).collect()
}

/// The error for an unknown name.
pub fn no_such<'k>(
    what: &'static str,
    name: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> ToolError {
    ToolError::NoSuch {
        what,
        name: name.to_owned(),
        nearest: nearest(name, known).map(str::to_owned),
    }
}
