//! The table of differences that are right, each with its reason (`differences.md`).

use std::cell::Cell;
use std::path::Path;

use super::normal::glob;
use super::report::Line;
use crate::failure::Failure;

/// Where a difference was seen.
pub struct Place {
    /// Name of the step.
    pub step: String,
    /// Version of the tool.
    pub tool: String,
}

/// One row: steps, tool, what Apache prints, what RingMQ prints, why.
struct Entry {
    row: String,
    steps: Vec<String>,
    tool: Option<String>,
    apache: Vec<Pattern>,
    ringmq: Vec<Pattern>,
}

/// A line with `*` for anything, and whether one like it occurred.
struct Pattern {
    text: String,
    occurred: Cell<bool>,
}

/// All rows.
pub struct Table(Vec<Entry>);

impl Table {
    /// Reads the rows of every table whose first column is `step`.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        text.lines()
            .filter(|line| line.starts_with("| `"))
            .map(parse_row)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a row allows this line at this place.
    pub fn covers(&self, place: &Place, line: &Line) -> bool {
        let mut covered = false;
        for entry in self.0.iter().filter(|entry| entry.is_for(place)) {
            let (patterns, line) = match line {
                Line::Apache(line) => (&entry.apache, line),
                Line::Ringmq(line) => (&entry.ringmq, line),
            };
            for pattern in patterns.iter().filter(|pattern| glob(&pattern.text, line)) {
                pattern.occurred.set(true);
                covered = true;
            }
        }
        covered
    }

    /// Rows, of these versions of the tool, of which a line did not occur.
    pub fn unused(&self, tools: &[&str]) -> Vec<String> {
        let mut unused = Vec::new();
        for entry in &self.0 {
            let asked = match &entry.tool {
                Some(tool) => tools.contains(&tool.as_str()),
                // Whether a row for both occurs shows only where both ran.
                None => tools.len() > 1,
            };
            let patterns = entry.apache.iter().chain(&entry.ringmq);
            for pattern in patterns.filter(|pattern| asked && !pattern.occurred.get()) {
                unused.push(format!("`{}` of {}", pattern.text, entry.row));
            }
        }
        unused
    }
}

impl Entry {
    fn is_for(&self, place: &Place) -> bool {
        self.tool.as_ref().is_none_or(|tool| *tool == place.tool)
            && self.steps.iter().any(|steps| glob(steps, &place.step))
    }
}

fn parse_row(row: &str) -> Result<Entry, Failure> {
    let fault = |what: &str| Failure::new(format!("differences.md: {what}: {row}"));
    let cells = cells(row);
    let [steps, tool, apache, ringmq, reason] = cells.as_slice() else {
        return Err(fault("a row has five cells"));
    };
    if reason.len() < 10 {
        return Err(fault("a difference needs its reason"));
    }
    let patterns = |cell: &str| -> Vec<Pattern> {
        quoted(cell)
            .into_iter()
            .map(|text| Pattern {
                text,
                occurred: Cell::new(false),
            })
            .collect()
    };
    let (apache, ringmq) = (patterns(apache), patterns(ringmq));
    if apache.is_empty() && ringmq.is_empty() {
        return Err(fault("a row names a line of Apache's or of ours"));
    }
    Ok(Entry {
        row: row.to_owned(),
        steps: quoted(steps),
        tool: match tool.as_str() {
            "both" => None,
            "4.9.7" | "5.5.0" => Some(tool.clone()),
            _ => return Err(fault("the tool is 4.9.7, 5.5.0 or both")),
        },
        apache,
        ringmq,
    })
}

/// The cells of a row; `\|` is no border.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').trim_end_matches('|');
    row.replace("\\|", "\u{0}")
        .split('|')
        .map(|cell| cell.replace('\u{0}', "|").trim().to_owned())
        .collect()
}

/// The texts between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
| step | tool | Apache prints | RingMQ prints | reason |
|---|---|---|---|---|
| `a`, `b*` | both | `x = *` | `x = 2`, `y \\| z` | because it is so |
| `c` | 5.5.0 | `gone` | | because it is so |
";

    fn place(step: &str, tool: &str) -> Place {
        Place {
            step: step.to_owned(),
            tool: tool.to_owned(),
        }
    }

    #[test]
    fn a_row_covers_its_lines_at_its_steps() {
        let table = Table::parse(TABLE).unwrap();
        let apache = |text: &str| Line::Apache(text.to_owned());
        let ringmq = |text: &str| Line::Ringmq(text.to_owned());
        assert!(table.covers(&place("a", "4.9.7"), &apache("x = 1")));
        assert!(table.covers(&place("b-more", "5.5.0"), &ringmq("y | z")));
        assert!(!table.covers(&place("a", "4.9.7"), &ringmq("x = 1")));
        assert!(!table.covers(&place("c", "4.9.7"), &apache("gone")));
        assert!(!table.covers(&place("d", "5.5.0"), &apache("x = 1")));
    }

    #[test]
    fn a_row_whose_line_no_longer_occurs_is_named() {
        let table = Table::parse(TABLE).unwrap();
        assert!(table.covers(&place("a", "5.5.0"), &Line::Apache("x = 1".into())));
        assert!(table.covers(&place("a", "5.5.0"), &Line::Ringmq("x = 2".into())));
        let unused = table.unused(&["4.9.7", "5.5.0"]);
        assert_eq!(unused.len(), 2, "{unused:?}");
        assert!(unused[0].starts_with("`y | z`") && unused[1].starts_with("`gone`"));
        assert_eq!(table.unused(&["4.9.7"]).len(), 0);
    }

    #[test]
    fn a_row_without_a_reason_is_refused() {
        assert!(Table::parse("| `a` | both | `x` | | |").is_err());
        assert!(Table::parse("| `a` | 5 | `x` | | because it is so |").is_err());
        assert!(Table::parse("| `a` | both | | | because it is so |").is_err());
    }
}
