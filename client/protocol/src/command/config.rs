//! Configuration as text: bodies of 25, 26, 318 and 319 are lines `key=value`, as Java's
//! `Properties` reads and writes them. Brokers of 5.x answer cold-data requests in it too.

/// The keys and values of a text, in its order. Lines without `=` or `:`, blank ones and comments
/// (`#`, `!`) mean nothing; white space around a key and before a value is not part of it.
pub fn parse_lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', '!']) {
            return None;
        }
        let (key, value) = line.split_once(['=', ':'])?;
        Some((key.trim_end(), value.trim_start()))
    })
}

/// The text of some keys and values.
pub fn to_lines<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        text.push_str(key);
        text.push('=');
        text.push_str(value);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_java_reads_them() {
        let text = "# c\n! d\n\na=1\n b = x=y \nc:2\nnothing\nempty=\n";
        let pairs: Vec<_> = parse_lines(text).collect();
        assert_eq!(
            pairs,
            [("a", "1"), ("b", "x=y "), ("c", "2"), ("empty", "")]
        );
        assert_eq!(to_lines([("a", "1"), ("b", "")]), "a=1\nb=\n");
    }
}
