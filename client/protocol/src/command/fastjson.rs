//! What fastjson writes and no other parser reads: numbers and whole objects as keys of objects.
//!
//! ```text
//! {0:"127.0.0.1:10911"}                            becomes  {"0":"127.0.0.1:10911"}
//! {{"brokerName":"b","queueId":3,"topic":"T"}:5}   becomes  {"{\"brokerName\":\"b\",...}":5}
//! ```
//!
//! Readers of the reference accept the strict forms too, so that is what we send; only old route
//! answers keep bare numbers ([`to_legacy`]).

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter};

use crate::limits::JSON_DEPTH_MAX;

/// Rewrites fastjson's keys into strict JSON: numbers into strings, objects into strings that hold
/// their JSON. Nothing where brackets do not match, nest too deeply, or a key is neither. What
/// stands between keys is left for a real parser to judge.
pub fn to_strict(json: &[u8]) -> Option<Vec<u8>> {
    let mut rewriter = Rewriter {
        json,
        at: 0,
        out: Vec::with_capacity(json.len() + 64),
    };
    let mut open = Vec::new();
    let mut key_follows = false;
    while let Some(byte) = rewriter.peek() {
        if key_follows && byte != b'}' {
            rewriter.key()?;
            key_follows = false;
            continue;
        }
        match byte {
            b'"' => {
                rewriter.string()?;
                continue;
            }
            b'{' | b'[' if open.len() == JSON_DEPTH_MAX => return None,
            b'{' | b'[' => open.push(byte),
            b'}' if open.pop() != Some(b'{') => return None,
            b']' if open.pop() != Some(b'[') => return None,
            _ => {}
        }
        key_follows = byte == b'{' || byte == b',' && open.last() == Some(&b'{');
        rewriter.copy(1);
    }
    open.is_empty().then_some(rewriter.out)
}

struct Rewriter<'a> {
    json: &'a [u8],
    at: usize,
    out: Vec<u8>,
}

impl Rewriter<'_> {
    /// The next byte that is not white space; white space between tokens is dropped.
    fn peek(&mut self) -> Option<u8> {
        while self.json.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.json.get(self.at).copied()
    }

    fn copy(&mut self, len: usize) {
        self.out
            .extend_from_slice(&self.json[self.at..self.at + len]);
        self.at += len;
    }

    /// A key of any kind, as a string.
    fn key(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' => self.object_key(),
            b'-' | b'0'..=b'9' => {
                self.out.push(b'"');
                while matches!(self.json.get(self.at)?, b'-' | b'0'..=b'9') {
                    self.copy(1);
                }
                self.out.push(b'"');
                Some(())
            }
            _ => None,
        }
    }

    fn string(&mut self) -> Option<()> {
        self.copy(string_len(&self.json[self.at..])?);
        Some(())
    }

    /// An object that is a key: one flat object, whose text becomes the string.
    fn object_key(&mut self) -> Option<()> {
        let start = self.at;
        loop {
            match self.json.get(self.at)? {
                b'"' => self.at += string_len(&self.json[self.at..])?,
                b'}' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.out.push(b'"');
        for byte in &self.json[start..self.at] {
            match byte {
                b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', *byte]),
                0..0x20 => {}
                _ => self.out.push(*byte),
            }
        }
        self.out.push(b'"');
        Some(())
    }
}

/// Length of the string at the front of `json`, both quotes included.
fn string_len(json: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// JSON with fastjson's bare numbers as keys: what old clients get as routes.
pub(super) fn to_legacy(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    let formatter = BareNumbers {
        quote: Quote::Written,
    };
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    if value.serialize(&mut serializer).is_err() {
        out.clear();
    }
    out
}

/// Holds a string's opening quote back until it is known whether a number follows: the serializer
/// puts quotes around numbers only where they are keys.
struct BareNumbers {
    quote: Quote,
}

#[derive(Clone, Copy, PartialEq)]
enum Quote {
    Written,
    HeldBack,
    /// A number took the place of the string.
    Dropped,
}

impl BareNumbers {
    fn flush<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        if std::mem::replace(&mut self.quote, Quote::Written) == Quote::HeldBack {
            writer.write_all(b"\"")?;
        }
        Ok(())
    }
}

impl Formatter for BareNumbers {
    fn begin_string<W: io::Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.quote = Quote::HeldBack;
        Ok(())
    }

    fn write_i64<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        if self.quote == Quote::HeldBack {
            self.quote = Quote::Dropped;
        }
        write!(writer, "{value}")
    }

    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        self.flush(writer)?;
        writer.write_all(fragment.as_bytes())
    }

    fn write_char_escape<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.flush(writer)?;
        serde_json::ser::CompactFormatter.write_char_escape(writer, escape)
    }

    fn end_string<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        match std::mem::replace(&mut self.quote, Quote::Written) {
            Quote::Written => writer.write_all(b"\""),
            Quote::HeldBack => writer.write_all(b"\"\""),
            Quote::Dropped => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(json: &str) -> Option<String> {
        to_strict(json.as_bytes()).map(|strict| String::from_utf8(strict).unwrap())
    }

    #[test]
    fn bare_keys_become_strings() {
        assert_eq!(
            strict(r#"{0:"a", -1 : [1,{2:3}],"x":"{0:1}"}"#).unwrap(),
            r#"{"0":"a","-1":[1,{"2":3}],"x":"{0:1}"}"#
        );
        assert_eq!(
            strict(r#"{"o":{{"b":"x}","q":3}:{"n":1},{"b":"y"}:2}}"#).unwrap(),
            r#"{"o":{"{\"b\":\"x}\",\"q\":3}":{"n":1},"{\"b\":\"y\"}":2}}"#
        );
        assert_eq!(strict("{}\n").unwrap(), "{}");
    }

    #[test]
    fn only_numbers_lose_their_quotes_as_keys() {
        let value = std::collections::BTreeMap::from([(0i64, ["", "a\"\n"]), (-1, ["1", "{"])]);
        let legacy = String::from_utf8(to_legacy(&value)).unwrap();
        assert_eq!(legacy, r#"{-1:["1","{"],0:["","a\"\n"]}"#);
    }

    #[test]
    fn what_does_not_match_is_left_alone() {
        for bad in [
            "{",
            "{]",
            "{\"a\":1,}}",
            "{a:1}",
            "{\"a",
            "{{\"a\"",
            "[}",
            "{\"a\\",
        ] {
            assert_eq!(strict(bad), None, "{bad}");
        }
        assert_eq!(strict(&"[".repeat(100_000)), None);
    }
}
