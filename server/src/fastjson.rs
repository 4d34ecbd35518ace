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
        return;
    }
    let start = out.len();
    if inner.starts_with(b"{") && unescape_quotes(inner, out) && is_queue(&out[start..]) {
        return;
    }
    out.truncate(start);
    out.extend_from_slice(text);
}

/// Appends the text of a string in which quotes and nothing else are escaped; `false` for any other.
fn unescape_quotes(inner: &[u8], out: &mut Vec<u8>) -> bool {
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        if byte == b'\\' && bytes.next() != Some(&b'"') {
            return false;
        }
        out.push(if byte == b'\\' { b'"' } else { byte });
    }
    true
}

/// Whether this is a queue as bodies name it, with nothing in it that is escaped: a client may have
/// an id that begins as one does.
fn is_queue(object: &[u8]) -> bool {
    let queue = || {
        let rest = object.strip_prefix(b"{\"brokerName\":\"")?;
        let rest = after_name(rest)?.strip_prefix(b",\"queueId\":")?;
        let digits = rest.strip_prefix(b"-").unwrap_or(rest);
        let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
        let rest = digits.get(end..).filter(|_| end > 0)?;
        after_name(rest.strip_prefix(b",\"topic\":\"")?)
    };
    queue() == Some(b"}")
}

/// What follows a name and its closing quote.
fn after_name(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|&byte| byte == b'"')?;
    text.get(end + 1..)
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

    const QUEUE: &str = r#"{\"brokerName\":\"b\",\"queueId\":3,\"topic\":\"T\"}"#;

    #[test]
    fn keys_that_hold_queues_stand_bare() {
        let strict = format!(r#"{{"t":{{"{QUEUE}":{{"n":1}},"x,{{":[{{"{QUEUE}":2}}]}}}}"#);
        let bare = QUEUE.replace('\\', "");
        let relaxed = format!(r#"{{"t":{{{bare}:{{"n":1}},"x,{{":[{{{bare}:2}}]}}}}"#);
        assert_eq!(text(&strict, Bare::Objects), relaxed);
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
    fn a_key_that_only_looks_like_a_queue_stays_a_string() {
        let escaped = QUEUE.replace('T', r#"T\\\""#);
        let backslash = QUEUE.replace('T', r"T\\\\");
        for key in [
            "{",
            "",
            "{}",
            r#"{\"a\":1}"#,
            &QUEUE[..QUEUE.len() - 1],
            &QUEUE.replace('3', ""),
            &format!("{QUEUE}x"),
            &escaped,
            &backslash,
        ] {
            let strict = format!(r#"{{"{key}":"{QUEUE}"}}"#);
            assert_eq!(text(&strict, Bare::Objects), strict);
        }
    }
}
