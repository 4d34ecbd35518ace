//! What one run printed, step by step, and where two runs differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::differences::{Place, Table};
use super::normal::Rules;
use super::sequence::Sequence;
use crate::apache::Version;
use crate::failure::{Failure, Outcome};

/// Normalised lines of every step.
pub struct Report {
    steps: BTreeMap<String, Vec<String>>,
}

impl Report {
    /// Reads the driver's report: `=== NAME MILLISECONDS`, then what was printed.
    pub fn parse(text: &str, sequence: &Sequence, rules: &Rules) -> Result<Self, Failure> {
        let mut steps = BTreeMap::new();
        for block in text.split("\n=== ") {
            let block = block.strip_prefix("=== ").unwrap_or(block);
            let (head, output) = block.split_once('\n').unwrap_or((block, ""));
            let name = head.split(' ').next().unwrap_or_default();
            let step = sequence
                .step(name)
                .ok_or_else(|| Failure::new(format!("the driver ran an unknown step: {head}")))?;
            steps.insert(name.to_owned(), rules.lines(step, output));
        }
        Ok(Self { steps })
    }
}

/// Lines that only one of two runs has.
struct Difference {
    place: Place,
    command: String,
    lines: Vec<Line>,
}

/// One line of a difference.
pub enum Line {
    /// Apache alone prints it.
    Apache(String),
    /// RingMQ alone prints it.
    Ringmq(String),
}

/// All differences between the runs of each version.
#[derive(Default)]
pub struct Comparison {
    differences: Vec<Difference>,
    compared: usize,
}

impl Comparison {
    /// Compares the two runs of one version.
    pub fn add(
        &mut self,
        version: Version,
        sequence: &Sequence,
        expected: &Report,
        found: &Report,
    ) -> Result<(), Failure> {
        for step in sequence.steps(version.text()) {
            let lines = |report: &Report| {
                report.steps.get(&step.name).cloned().ok_or_else(|| {
                    Failure::new(format!(
                        "{}: step {} was not run",
                        version.text(),
                        step.name
                    ))
                })
            };
            let lines = differing(&lines(expected)?, &lines(found)?);
            self.compared += 1;
            if !lines.is_empty() {
                self.differences.push(Difference {
                    place: Place {
                        step: step.name.clone(),
                        tool: version.text().to_owned(),
                    },
                    command: step.command.clone(),
                    lines,
                });
            }
        }
        Ok(())
    }

    /// Every difference must be in the table, and every entry of the table must still occur.
    pub fn verdict(self, table: &Table, versions: &[Version]) -> Outcome {
        let mut text = String::new();
        let mut new = 0;
        for difference in &self.differences {
            let unlisted: Vec<&Line> = difference
                .lines
                .iter()
                .filter(|line| !table.covers(&difference.place, line))
                .collect();
            if !unlisted.is_empty() {
                new += unlisted.len();
                describe(&mut text, difference, &unlisted);
            }
        }
        let tools: Vec<&str> = versions.iter().map(|version| version.text()).collect();
        for entry in table.unused(&tools) {
            new += 1;
            // A String takes everything.
            let _ = writeln!(text, "no longer occurs, take it out of the table: {entry}");
        }
        if new > 0 {
            return Err(Failure::new(format!(
                "{text}{new} lines differ beyond ci/compat/mqadmin/differences.md"
            )));
        }
        Ok(format!(
            "{} commands compared, {} differ as the table says",
            self.compared,
            self.differences.len()
        ))
    }

    /// No difference at all is right: both runs were on the same servers.
    pub fn verdict_without_table(self) -> Outcome {
        let mut text = String::new();
        for difference in &self.differences {
            describe(
                &mut text,
                difference,
                &difference.lines.iter().collect::<Vec<_>>(),
            );
        }
        if self.differences.is_empty() {
            Ok(format!("{} commands, twice the same", self.compared))
        } else {
            Err(Failure::new(text))
        }
    }
}

fn describe(text: &mut String, difference: &Difference, lines: &[&Line]) {
    let Difference { place, command, .. } = difference;
    // A String takes everything.
    let _ = writeln!(text, "{} {}: mqadmin {command}", place.tool, place.step);
    for line in lines {
        let _ = match line {
            Line::Apache(line) => writeln!(text, "  - {line}"),
            Line::Ringmq(line) => writeln!(text, "  + {line}"),
        };
    }
}

/// Lines of the one and of the other beside their longest common subsequence.
fn differing(left: &[String], right: &[String]) -> Vec<Line> {
    let mut common = vec![vec![0_usize; right.len() + 1]; left.len() + 1];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            common[i][j] = if left[i] == right[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < left.len() || j < right.len() {
        if i < left.len() && j < right.len() && left[i] == right[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == right.len() || (i < left.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(Line::Apache(left[i].clone()));
            i += 1;
        } else {
            lines.push(Line::Ringmq(right[j].clone()));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(left: &[&str], right: &[&str]) -> String {
        let own = |lines: &[&str]| {
            lines
                .iter()
                .map(|&line| line.to_owned())
                .collect::<Vec<_>>()
        };
        differing(&own(left), &own(right))
            .iter()
            .map(|line| match line {
                Line::Apache(line) => format!("-{line}"),
                Line::Ringmq(line) => format!("+{line}"),
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn only_lines_outside_the_common_part_differ() {
        assert_eq!(shown(&["a", "b", "c"], &["a", "b", "c"]), "");
        assert_eq!(shown(&["a", "b", "c"], &["a", "x", "c"]), "-b +x");
        assert_eq!(shown(&["a"], &["a", "b"]), "+b");
        assert_eq!(shown(&["a", "b"], &[]), "-a -b");
    }
}
