//! Typed requests and responses, one file per family of commands.
//!
//! The fields of a header decode as in Java: what is absent or does not parse is left at its
//! default, and the request as a whole is judged by whoever handles it (`first_missing` tells what
//! a broker of the reference would stumble over). JSON bodies accept what fastjson writes and what
//! the Go and C++ clients write.

#[macro_use]
mod fields;
mod by_queue;
mod fastjson;
mod lenient;

pub mod clients;
pub mod config;
pub mod ha;
pub mod heartbeat;
pub mod kv;
pub mod lock;
pub mod offset;
pub mod pull;
pub mod query;
pub mod queue;
pub mod registration;
pub mod route;
pub mod send;
pub mod send_receipt;
pub mod stats;
pub mod topic;

pub use fastjson::to_strict;
pub use fields::Field;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A queue as bodies name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageQueue {
    /// Broker name, not address.
    #[serde(deserialize_with = "lenient::text")]
    pub broker_name: String,
    /// Queue id in the topic.
    #[serde(deserialize_with = "lenient::number")]
    pub queue_id: i32,
    /// Topic.
    #[serde(deserialize_with = "lenient::text")]
    pub topic: String,
}

/// Why a body does not say what its code says it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Not JSON, or not of the expected shape.
    #[error("the body is no {what}: {reason}")]
    Json {
        /// What was expected.
        what: &'static str,
        /// What the parser met, and where.
        reason: String,
    },
    /// An item of a batch whose lengths do not add up.
    #[error("item {index} of the batch does not fit the body: send it again as encoded")]
    BatchItem {
        /// Number of the item, from 0.
        index: usize,
    },
    /// A compressed body that does not inflate, or to more than allowed.
    #[error("the compressed body is damaged or inflates to more than {limit} bytes")]
    Compressed {
        /// Most bytes allowed.
        limit: usize,
    },
    /// An inflated registration that ends in the middle or contains what is no field.
    #[error("the registration is malformed at its {part}")]
    Registration {
        /// Where.
        part: &'static str,
    },
}

/// Reads the JSON object of a body; falls back to fastjson's own forms where it is not strict JSON.
fn from_json<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, CommandError> {
    let json_error = |error: serde_json::Error| CommandError::Json {
        what,
        reason: error.to_string(),
    };
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(CommandError::Json {
            what,
            reason: "it is no object".to_owned(),
        });
    }
    match serde_json::from_slice(body) {
        Ok(value) => Ok(value),
        Err(error) if error.is_syntax() => match to_strict(body) {
            Some(strict) => serde_json::from_slice(&strict).map_err(json_error),
            None => Err(json_error(error)),
        },
        Err(error) => Err(json_error(error)),
    }
}

/// Appends `value` as JSON. Our bodies are plain structs, which always serialise.
fn put_json(out: &mut Vec<u8>, value: &impl Serialize) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(start);
    }
}

/// Gives a body type `parse` and `to_json`.
macro_rules! json_body {
    ($($name:ident => $what:literal),* $(,)?) => {
        $(impl $name {
            /// Reads the JSON body.
            pub fn parse(body: &[u8]) -> Result<Self, $crate::command::CommandError> {
                $crate::command::from_json($what, body)
            }

            /// The body as strictly valid JSON, members in alphabetical order as fastjson has them.
            pub fn to_json(&self) -> Vec<u8> {
                let mut out = Vec::new();
                $crate::command::put_json(&mut out, self);
                out
            }
        })*
    };
}
use json_body;
