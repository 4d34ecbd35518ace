//! One event on its way from the thread it happened on to the writer.

use std::fmt::{self, Debug};
use std::time::SystemTime;

use tracing::Level;
use tracing::field::{Field, Visit};

/// See the module.
#[derive(Debug)]
pub(super) struct Event {
    pub time: SystemTime,
    pub level: Level,
    /// The module it happened in.
    pub target: &'static str,
    pub message: String,
    pub fields: Vec<(&'static str, Value)>,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Bool(bool),
}

impl Event {
    pub fn of(event: &tracing::Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut taken = Self {
            time: SystemTime::now(),
            level: *metadata.level(),
            target: metadata.target(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut taken);
        taken
    }

    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text)) => self.message = text,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

/// What the writer says itself about events that found their ring full.
pub(super) fn dropped(count: u64) -> Event {
    Event {
        time: SystemTime::now(),
        level: Level::WARN,
        target: module_path!(),
        message: "events were dropped: they came faster than they are written".to_owned(),
        fields: vec![("count", Value::Unsigned(count))],
    }
}

impl Visit for Event {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::Text(value.to_owned()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, Value::Text(value.to_string()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bool(value));
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Signed(value) => write!(out, "{value}"),
            Self::Unsigned(value) => write!(out, "{value}"),
            Self::Float(value) => write!(out, "{value}"),
            Self::Bool(value) => write!(out, "{value}"),
        }
    }
}
