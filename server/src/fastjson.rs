//! Bodies as fastjson writes them: where a map has numbers or queues as keys, they stand there bare.
//!
//! ```text
//! {"0":5}                                              becomes  {0:5}
//! {"{\"brokerName\":\"b\",\"queueId\":0,...}":5}       becomes  {{"brokerName":"b","queueId":0,...}:5}
//! ```
//! This is no JSON, but what Apache's brokers send and what every client was made to read: Go takes a
//! body of 220 that is valid JSON for something else (broker page 9).

/// Which keys stand bare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// Objects.
    Objects,
    /// Objects and numbers.
    ObjectsAndNumbers,
}

/// Rewrites strict JSON, which must be well formed, as it comes from a serialiser.
pub fn relaxed(strict: &[u8], bare: Bare) -> Vec<u8> {
    let mut out = Vec::with_capacity(strict.len());
    let mut open = Vec::new();
    let mut key_follows = false;
    let mut at = 0;
    while let Some(&byte) = strict.get(at) {
        if byte == b'"' {
            let len = string_len(&strict[at..]);
            let text = &strict[at..at + len];
            if std::mem::take(&mut key_follows) {
                put_key(&mut out, text, bare);
            } else {
                out.extend_from_slice(text);
            }
            at += len;
            continue;
        }
        match byte {
            b'{' | b'[' => open.push(byte),
            b'}' | b']' => drop(open.pop()),
            _ => {}
        }
        key_follows = byte == b'{' || byte == b',' && open.last() == Some(&b'{');
        out.push(byte);
        at += 1;
    }
    out
}

/// `text` is a key with its quotes.
fn put_key(out: &mut Vec<u8>, text: &[u8], bare: Bare) {
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or(&[]);
    let is_number = !inner.is_empty() && inner.iter().all(u8::is_ascii_digit);
    if bare == Bare::ObjectsAndNumbers && is_number {
        out.extend_from_slice(inner);
    } else if let Some(object) = object_key(text) {
        out.extend_from_slice(object.as_bytes());
    } else {
        out.extend_from_slice(text);
    }
}

/// The object that a key holds, if it holds one.
fn object_key(text: &[u8]) -> Option<String> {
    if !text.starts_with(b"\"{") {
        return None;
    }
    let object: String = serde_json::from_slice(text).ok()?;
    // A client id may begin with a brace too.
    serde_json::from_str::<serde_json::Map<_, _>>(&object).ok()?;
    Some(object)
}

/// Length of the string at the front, both quotes included.
fn string_len(json: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(strict: &str, bare: Bare) -> String {
        String::from_utf8(relaxed(strict.as_bytes(), bare)).unwrap()
    }

    #[test]
    fn keys_that_hold_queues_stand_bare() {
        let strict =
            r#"{"t":{"{\"brokerName\":\"b\",\"queueId\":3}":{"n":1},"x,{":[{"{\"q\":1}":2}]}}"#;
        let relaxed = r#"{"t":{{"brokerName":"b","queueId":3}:{"n":1},"x,{":[{{"q":1}:2}]}}"#;
        assert_eq!(text(strict, Bare::Objects), relaxed);
        let back = ringmq_protocol::command::to_strict(relaxed.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(back).unwrap(), strict);
    }

    #[test]
    fn numbers_stand_bare_where_that_is_wanted() {
        let strict = r#"{"0":{"1":"2","a":3}}"#;
        assert_eq!(text(strict, Bare::Objects), strict);
        assert_eq!(
            text(strict, Bare::ObjectsAndNumbers),
            r#"{0:{1:"2","a":3}}"#
        );
    }

    #[test]
    fn a_key_that_only_looks_like_an_object_stays_a_string() {
        for strict in [r#"{"{":1}"#, r#"{"{}}\"":1}"#, r#"{"":1}"#, r#"{"a":"{}"}"#] {
            assert_eq!(text(strict, Bare::Objects), strict);
        }
    }
}
