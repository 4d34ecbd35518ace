//! The name server's key-value configuration: 100, 101, 102, 219.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{json_body, lenient};

fields! {
    /// 100: put a value.
    pub struct PutKvConfig<'a> {
        /// Namespace.
        required "namespace" => namespace: Option<Cow<'a, str>>,
        /// Key.
        required "key" => key: Option<Cow<'a, str>>,
        /// Value.
        required "value" => value: Cow<'a, str>,
    }
}

fields! {
    /// 101 and 102: get or delete a value.
    pub struct KvKey<'a> {
        /// Namespace.
        required "namespace" => namespace: Cow<'a, str>,
        /// Key.
        required "key" => key: Cow<'a, str>,
    }
}

fields! {
    /// Answer to 101.
    pub struct GetKvConfigResponse<'a> {
        /// The value; absent where there is none.
        "value" => value: Option<Cow<'a, str>>,
    }
}

fields! {
    /// 219: all values of a namespace.
    pub struct KvNamespace<'a> {
        /// Namespace.
        required "namespace" => namespace: Cow<'a, str>,
    }
}

/// Names and values: answer to 219, and of 103 with the layouts of ordered topics.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KvTable {
    /// The pairs.
    #[serde(deserialize_with = "lenient::or_default")]
    pub table: BTreeMap<String, String>,
}

json_body!(KvTable => "table of values");
