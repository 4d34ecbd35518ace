//! Takes out of a command's output what differs from run to run.

use std::path::Path;

use regex_lite::Regex;

use super::sequence::Step;
use crate::failure::Failure;

/// `normalise.txt`: for which steps, what, by what.
pub struct Rules(Vec<Rule>);

struct Rule {
    steps: String,
    found: Regex,
    replacement: String,
}

impl Rules {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        std::fs::read_to_string(path)?
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The lines of an output that are compared.
    pub fn lines(&self, step: &Step, output: &str) -> Vec<String> {
        let mut lines: Vec<String> = output
            .lines()
            .flat_map(|line| self.line(&step.name, line))
            .filter(|line| !line.is_empty())
            .filter(|line| step.show.as_ref().is_none_or(|show| show.is_match(line)))
            .collect();
        if step.sorted {
            lines.sort();
        }
        lines
    }

    /// What one line becomes: a replacement may cut it.
    fn line(&self, step: &str, line: &str) -> Vec<String> {
        let mut line = line.to_owned();
        for rule in &self.0 {
            if glob(&rule.steps, step) {
                let replaced = rule.found.replace_all(&line, rule.replacement.as_str());
                line = replaced.into_owned();
            }
        }
        line.lines()
            .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }
}

fn parse(line: &str) -> Result<Rule, Failure> {
    let fault = |what: &str| Failure::new(format!("normalise.txt: {what}: {line}"));
    let (steps, rest) = line
        .split_once(": ")
        .ok_or_else(|| fault("no step before `: `"))?;
    let (found, replacement) = rest
        .split_once(" => ")
        .or_else(|| rest.strip_suffix(" =>").map(|found| (found, "")))
        .ok_or_else(|| fault("no ` => `"))?;
    Ok(Rule {
        steps: steps.to_owned(),
        found: Regex::new(found).map_err(|error| fault(&error.to_string()))?,
        replacement: replacement.replace("\\n", "\n"),
    })
}

/// Whether a text is like a pattern in which `*` stands for anything.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(glob("a*c", "abc") && glob("*", "") && glob("a*b*c", "axxbyc"));
        assert!(glob("abc", "abc") && !glob("abc", "abcd") && !glob("a*c", "ab"));
        assert!(!glob("a*aa", "aa"));
    }

    #[test]
    fn a_rule_replaces_in_its_steps_only() {
        let rules = Rules(vec![
            parse(r"stats*: \d+ => N").unwrap(),
            parse("*: ^drop.* =>").unwrap(),
            parse(r"cut: ; => \n").unwrap(),
        ]);
        assert_eq!(rules.line("stats-a", "x  12"), ["x N"]);
        assert_eq!(rules.line("other", "x 12"), ["x 12"]);
        assert!(rules.line("other", "dropped").is_empty());
        assert_eq!(rules.line("cut", "a;b"), ["a", "b"]);
    }
}
