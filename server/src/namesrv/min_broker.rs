//! What brokers of one name are told when the smallest id among them changes (905, 5.x): the
//! surviving slave with the smallest id acts for a master that is gone.

/// One change, and who must learn of it. It is sent one-way, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinBrokerChange {
    /// Whose ids.
    pub broker_name: String,
    /// The smallest id now.
    pub min_broker_id: i64,
    /// Its address.
    pub min_broker_address: String,
    /// The address that has gone, when one went.
    pub offline_address: Option<String>,
    /// The replication address of the new one, when one came.
    pub ha_address: Option<String>,
    /// Addresses to tell.
    pub told: Vec<String>,
}

impl MinBrokerChange {
    /// The request's header fields.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("minBrokerId", self.min_broker_id.to_string()),
            ("brokerName", self.broker_name.clone()),
            ("minBrokerAddr", self.min_broker_address.clone()),
        ];
        let offline = self.offline_address.clone();
        fields.extend(offline.map(|address| ("offlineBrokerAddr", address)));
        let ha = self.ha_address.clone();
        fields.extend(ha.map(|address| ("haBrokerAddr", address)));
        fields
    }
}
