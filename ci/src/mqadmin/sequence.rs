//! The steps of the sequence, as far as the comparison needs them (`sequence.txt` explains all).

use std::path::Path;

use regex_lite::Regex;

use crate::failure::Failure;

/// One step.
pub struct Step {
    /// What differences are listed under.
    pub name: String,
    /// The command, or what is prepared.
    pub command: String,
    /// The order of the lines is not part of the answer.
    pub sorted: bool,
    /// Only lines like this are compared.
    pub show: Option<Regex>,
    /// The only version of the tool that has it.
    only: Option<String>,
}

/// All steps in order.
pub struct Sequence(Vec<Step>);

impl Sequence {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)?;
        let mut steps: Vec<Step> = Vec::new();
        for line in text.lines() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let step = parse(line)?;
            if steps.iter().any(|known| known.name == step.name) {
                return Err(Failure::new(format!("two steps are called {}", step.name)));
            }
            steps.push(step);
        }
        Ok(Self(steps))
    }

    /// The step of this name.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.0.iter().find(|step| step.name == name)
    }

    /// The steps that a version of the tool runs.
    pub fn steps<'a>(&'a self, version: &'a str) -> impl Iterator<Item = &'a Step> {
        self.0
            .iter()
            .filter(move |step| step.only.as_deref().is_none_or(|only| only == version))
    }
}

fn parse(line: &str) -> Result<Step, Failure> {
    let fault = || Failure::new(format!("not a step: {line}"));
    let end = line.find([' ', ':']).ok_or_else(fault)?;
    let (name, rest) = line.split_at(end);
    let (attributes, command) = match rest.strip_prefix(" [") {
        Some(rest) => rest.split_once("]: ").ok_or_else(fault)?,
        None => ("", rest.strip_prefix(": ").ok_or_else(fault)?),
    };
    let value = |key: &str| {
        attributes
            .split(", ")
            .find_map(|attribute| attribute.strip_prefix(key)?.strip_prefix('='))
    };
    let show = value("show")
        .map(Regex::new)
        .transpose()
        .map_err(|error| Failure::new(format!("{name}: {error}")))?;
    Ok(Step {
        name: name.to_owned(),
        command: command.to_owned(),
        sorted: attributes
            .split(", ")
            .any(|attribute| attribute == "sorted"),
        show,
        only: value("only").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_with_and_without_attributes() {
        let plain = parse("topicList: topicList -c").unwrap();
        assert_eq!(
            (plain.name.as_str(), plain.command.as_str(), plain.sorted),
            ("topicList", "topicList -c", false)
        );
        let rich = parse("a-b [only=5.5.0, sorted, show=^x: y]: get -b ${broker}").unwrap();
        assert_eq!(rich.command, "get -b ${broker}");
        assert!(rich.sorted && rich.show.unwrap().is_match("x: y"));
        assert_eq!(rich.only.as_deref(), Some("5.5.0"));
        assert!(parse("no step at all").is_err());
    }
}
