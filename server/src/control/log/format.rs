//! An event as one line: for people, or as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use super::clock::Utc;
use super::event::{Event, Value};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `2026-02-28T23:59:59.123Z  WARN ringmq_server::front: connection closed peer=192.0.2.1:5 others=3`
    Text,
    /// `{"time": …, "level": …, "target": …, "message": …, "fields": {…}}`
    Json,
}

impl Format {
    /// Appends the line of an event, its end included.
    pub fn line(self, event: &Event, out: &mut String) {
        // Writing into a string does not fail.
        let _ = match self {
            Self::Text => text(event, out),
            Self::Json => writeln!(out, "{}", to_json(event)),
        };
    }
}

fn text(event: &Event, out: &mut String) -> std::fmt::Result {
    let Event { level, target, .. } = event;
    write!(out, "{} {level:>5} {target}: ", Utc(event.time))?;
    escape(&event.message, out);
    for (name, value) in &event.fields {
        write!(out, " {name}=")?;
        match value {
            Value::Text(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
                out.push('"');
                escape(&text.replace('\\', "\\\\").replace('"', "\\\""), out);
                out.push('"');
            }
            Value::Text(text) => escape(text, out),
            number => write!(out, "{number}")?,
        }
    }
    out.push('\n');
    Ok(())
}

/// What peers choose may not begin a line of its own, nor speak to a terminal.
fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
}

fn to_json(event: &Event) -> Json {
    let field = |(name, value): &(&str, Value)| {
        let value = match value {
            Value::Text(text) => json!(text),
            Value::Signed(number) => json!(number),
            Value::Unsigned(number) => json!(number),
            Value::Float(number) => json!(number),
            Value::Bool(value) => json!(value),
        };
        ((*name).to_owned(), value)
    };
    let fields: Map<String, Json> = event.fields.iter().map(field).collect();
    json!({
        "time": Utc(event.time).to_string(),
        "level": event.level.as_str(),
        "target": event.target,
        "message": event.message,
        "fields": fields,
    })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use tracing::Level;

    use super::*;

    fn event() -> Event {
        Event {
            time: UNIX_EPOCH,
            level: Level::WARN,
            target: "here",
            message: "connection\nclosed".to_owned(),
            fields: vec![
                ("peer", Value::Text("192.0.2.1:5".to_owned())),
                ("reason", Value::Text("a \"b\"\u{1b}[31m".to_owned())),
                ("others", Value::Unsigned(3)),
            ],
        }
    }

    #[test]
    fn an_event_is_one_line_of_text_whatever_it_holds() {
        let mut out = String::new();
        Format::Text.line(&event(), &mut out);
        assert_eq!(
            out,
            "1970-01-01T00:00:00.000Z  WARN here: connection\\nclosed peer=192.0.2.1:5 reason=\"a \\\"b\\\"\\u{1b}[31m\" others=3\n"
        );
    }

    #[test]
    fn an_event_is_one_line_of_json() {
        let mut out = String::new();
        Format::Json.line(&event(), &mut out);
        assert_eq!(out.matches('\n').count(), 1);
        let json: Json = serde_json::from_str(&out).unwrap();
        assert_eq!(json["level"], "WARN");
        assert_eq!(json["message"], "connection\nclosed");
        assert_eq!(json["fields"]["others"], 3);
    }
}
