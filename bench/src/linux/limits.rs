//! What the machine can do: the null broker under the wire driver.

use super::arguments::{Driver as Kind, Limits, Null, Produce};
use super::error::Result;
use super::{null_broker, produce};

/// The shapes of load that the comparisons use.
const SHAPES: &[(usize, usize)] = &[(1, 1), (64, 1), (64, 16)];

/// Starts a null broker in this process, measures it, prints.
pub fn run(options: &Limits) -> Result<()> {
    let file = options.folder.join("ringmq-bench-null.log");
    let server = null_broker::start(&Null {
        listen: "127.0.0.1:0".into(),
        file: file.clone(),
        cpu: None,
    })?;
    for &(connections, in_flight) in SHAPES {
        let sends = Produce {
            target: server.address.to_string(),
            topic: "bench".into(),
            queues: 4,
            connections,
            in_flight,
            body_bytes: 1024,
            seconds: options.seconds,
            rate: None,
            driver: Kind::Wire,
            name_server: None,
            json: options.json,
        };
        let outcome = produce::measure(&sends)?;
        produce::report("null broker", &sends, &outcome).print(options.json);
    }
    // The server's thread ends with the process; its file is of no further use.
    std::fs::remove_file(&file)?;
    Ok(())
}
