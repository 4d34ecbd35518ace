//! What name servers say, compared: Apache's and ours must tell clients the same.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::wire::Wire;

/// GET_ROUTEINFO_BY_TOPIC.
const ROUTE: i32 = 105;
/// GET_BROKER_CLUSTER_INFO.
const CLUSTER: i32 = 106;
/// A broker registers at least so often, and a name server is found again after seconds.
const LIMIT: Duration = Duration::from_secs(40);

/// Waits until all name servers give this topic the same route over so many brokers, and show the
/// same cluster.
pub fn await_same(name_servers: &[String], topic: &str, brokers: usize) -> Result<(), Failure> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let seen: Vec<Option<Seen>> = name_servers
            .iter()
            .map(|address| look(address, topic))
            .collect();
        let is_whole =
            |seen: &Option<Seen>| seen.as_ref().is_some_and(|seen| seen.brokers() == brokers);
        if seen.iter().all(is_whole) && seen.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(format!(
                "after {} s the name servers {name_servers:?} say of {topic}: {seen:#?}",
                LIMIT.as_secs()
            )));
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

#[derive(Debug, PartialEq)]
struct Seen {
    route: Value,
    cluster: Value,
}

impl Seen {
    fn brokers(&self) -> usize {
        let brokers = self.route["brokerDatas"].as_array();
        brokers.map_or(0, Vec::len)
    }
}

fn look(address: &str, topic: &str) -> Option<Seen> {
    let mut wire = Wire::connect(address).ok()?;
    let mut ask = |code, fields| {
        let answer = wire.call(code, fields, b"").ok()?;
        (answer.code == 0)
            .then(|| comparable(&answer.body))
            .flatten()
    };
    Some(Seen {
        route: ask(
            ROUTE,
            json!({"topic": topic, "acceptStandardJsonOnly": "true"}),
        )?,
        cluster: ask(CLUSTER, json!({}))?,
    })
}

/// Lists sorted, numeric keys quoted, and without the member that name servers of 4.9 do not write.
fn comparable(body: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?;
    let mut value: Value = serde_json::from_str(&quoted(text)).ok()?;
    sort(&mut value);
    Some(value)
}

fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(sort);
            items.sort_by_key(Value::to_string);
        }
        Value::Object(members) => {
            members.remove("enableActingMaster");
            members.values_mut().for_each(sort);
        }
        _ => {}
    }
}

/// `{0:` and `,1:` as Java writes them, with the quotes that JSON wants.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(['{', ',']) {
        let (head, tail) = rest.split_at(at + 1);
        out.push_str(head);
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && tail[digits..].starts_with(':') {
            out.push('"');
            out.push_str(&tail[..digits]);
            out.push('"');
            rest = &tail[digits..];
        } else {
            rest = tail;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_numeric_keys_become_json() {
        assert_eq!(
            quoted(r#"{"a":{0:"x:1",10:"y"},"b":[1,2]}"#),
            r#"{"a":{"0":"x:1","10":"y"},"b":[1,2]}"#
        );
    }

    #[test]
    fn the_order_of_lists_is_no_difference() {
        let one = comparable(br#"{"b":[{"x":1},{"x":2}],"enableActingMaster":false}"#);
        assert_eq!(one, comparable(br#"{"b":[{"x":2},{"x":1}]}"#));
        assert_ne!(one, comparable(br#"{"b":[{"x":3},{"x":1}]}"#));
    }
}
