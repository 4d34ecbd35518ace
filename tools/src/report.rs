//! What a command found: a table for people and the same as JSON for programs, from one value.

use serde_json::{Map, Value};

use crate::clock;
use crate::error::ToolError;

/// Facts and tables in the order they are shown. Names are those of the JSON members; headings for
/// people are made from them.
#[derive(Default)]
pub struct Report {
    blocks: Vec<Block>,
    /// Why not all of it was done; the report is shown first.
    pub failure: Option<ToolError>,
}

enum Block {
    Line(String),
    Fact(&'static str, Cell),
    Pairs(String, Vec<(String, Cell)>),
    Table(Table),
    Json(&'static str, Value),
}

/// One value of a report.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing is known.
    None,
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A number a second, or another fraction.
    Rate(f64),
    /// Milliseconds since 1970; 0 and below are nothing.
    Time(i64),
    /// Yes or no.
    Flag(bool),
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Self::None => "-".to_owned(),
            Self::Text(text) if text.is_empty() => "-".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Rate(rate) => format!("{rate:.2}"),
            Self::Time(time_ms) => clock::show(*time_ms),
            Self::Flag(flag) => flag.to_string(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Text(text) => text.as_str().into(),
            Self::Number(number) => (*number).into(),
            Self::Rate(rate) => (*rate).into(),
            Self::Time(time_ms) if *time_ms <= 0 => Value::Null,
            Self::Time(time_ms) => (*time_ms).into(),
            Self::Flag(flag) => (*flag).into(),
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Number(_) | Self::Rate(_))
    }
}

macro_rules! cell_from {
    ($($from:ty => $make:expr;)*) => {
        $(impl From<$from> for Cell {
            fn from(value: $from) -> Self {
                let make: fn($from) -> Self = $make;
                make(value)
            }
        })*
    };
}
cell_from! {
    &str => |text| Self::Text(text.to_owned());
    &String => |text| Self::Text(text.clone());
    String => Self::Text;
    i32 => |number| Self::Number(number.into());
    u32 => |number| Self::Number(number.into());
    i64 => Self::Number;
    usize => |number| Self::Number(number as i64);
    f64 => Self::Rate;
    bool => Self::Flag;
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

/// Rows under named columns.
pub struct Table {
    name: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub fn new(name: &'static str, columns: &'static [&'static str]) -> Self {
        Self {
            name,
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row: one cell for each column.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.rows.push(cells.into());
    }

    fn json(&self) -> Value {
        let object = |row: &Vec<Cell>| {
            let members = self.columns.iter().zip(row);
            Value::Object(
                members
                    .map(|(name, cell)| ((*name).to_owned(), cell.json()))
                    .collect(),
            )
        };
        self.rows.iter().map(object).collect()
    }

    fn print(&self, out: &mut String) {
        let headings: Vec<String> = self
            .columns
            .iter()
            .map(|name| format!("#{}", heading(name)))
            .collect();
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(Cell::text).collect())
            .collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells
                .chain([headings[column].chars().count()])
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        print_row(out, &headings, &widths, |_| false);
        for (row, cells) in rows.iter().zip(&self.rows) {
            print_row(out, row, &widths, |column| cells[column].is_number());
        }
    }
}

fn print_row(out: &mut String, row: &[String], widths: &[usize], right: impl Fn(usize) -> bool) {
    let mut line = String::new();
    for (column, text) in row.iter().enumerate() {
        if column > 0 {
            line.push_str("  ");
        }
        let gap = " ".repeat(widths[column].saturating_sub(text.chars().count()));
        match right(column) {
            true => line.extend([gap.as_str(), text]),
            false => line.extend([text, gap.as_str()]),
        }
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// `brokerOffset` becomes `Broker Offset`; short names in capitals stay so (`qid` is `QID`).
fn heading(name: &str) -> String {
    match name {
        "qid" => return "QID".to_owned(),
        "bid" => return "BID".to_owned(),
        _ => {}
    }
    let mut heading = String::new();
    let mut last_was_lower = false;
    for (place, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && last_was_lower {
            heading.push(' ');
        }
        last_was_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        match place {
            0 => heading.push(letter.to_ascii_uppercase()),
            _ => heading.push(letter),
        }
    }
    heading
}

impl Report {
    /// An empty report.
    pub fn new() -> Self {
        Self::default()
    }

    /// A line for people only.
    pub fn line(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Line(text.into()));
        self
    }

    /// One value.
    pub fn fact(mut self, name: &'static str, value: impl Into<Cell>) -> Self {
        self.blocks.push(Block::Fact(name, value.into()));
        self
    }

    /// Names and values that belong together under a title.
    pub fn pairs(mut self, title: &str, pairs: impl IntoIterator<Item = (String, Cell)>) -> Self {
        let pairs = pairs.into_iter().collect();
        self.blocks.push(Block::Pairs(title.to_owned(), pairs));
        self
    }

    /// A table.
    pub fn table(mut self, table: Table) -> Self {
        self.blocks.push(Block::Table(table));
        self
    }

    /// JSON as the servers speak it, for both.
    pub fn json_value(mut self, name: &'static str, value: Value) -> Self {
        self.blocks.push(Block::Json(name, value));
        self
    }

    /// What another report holds, behind this one.
    pub fn then(mut self, other: Self) -> Self {
        self.blocks.extend(other.blocks);
        self.failure = self.failure.or(other.failure);
        self
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for block in &self.blocks {
            match block {
                Block::Line(line) => out.extend([line.as_str(), "\n"]),
                Block::Fact(name, value) => {
                    out.push_str(&format!("{}: {}\n", heading(name), value.text()));
                }
                Block::Pairs(title, pairs) => print_pairs(&mut out, title, pairs),
                Block::Table(table) => table.print(&mut out),
                Block::Json(_, value) => out.push_str(&format!("{value:#}\n")),
            }
        }
        out
    }

    /// For programs: one object.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        for block in &self.blocks {
            match block {
                Block::Line(_) => {}
                Block::Fact(name, value) => {
                    object.insert((*name).to_owned(), value.json());
                }
                Block::Pairs(title, pairs) => {
                    let pairs = pairs
                        .iter()
                        .map(|(name, value)| (name.clone(), value.json()));
                    object.insert(title.clone(), Value::Object(pairs.collect()));
                }
                Block::Table(table) => {
                    object.insert(table.name.to_owned(), table.json());
                }
                Block::Json(name, value) => {
                    object.insert((*name).to_owned(), value.clone());
                }
            }
        }
        Value::Object(object)
    }
}

fn print_pairs(out: &mut String, title: &str, pairs: &[(String, Cell)]) {
    out.push_str(&format!("== {title}\n"));
    let width = pairs
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or_default();
    for (name, value) in pairs {
        out.push_str(&format!("{name:width$}  {}\n", value.text()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Report {
        let mut table = Table::new("queues", &["topic", "qid", "brokerOffset", "lastTime"]);
        table.row(["a".into(), 1.into(), 100.into(), Cell::Time(0)]);
        table.row(["longer".into(), 12.into(), 7.into(), Cell::None]);
        Report::new()
            .line("two queues")
            .table(table)
            .fact("diffTotal", 3)
            .fact("consumeTps", 0.5)
    }

    #[test]
    fn people_get_columns_in_line_with_numbers_to_the_right() {
        let expected = "two queues\n\
            #Topic  #QID  #Broker Offset  #Last Time\n\
            a          1             100  -\n\
            longer    12               7  -\n\
            Diff Total: 3\n\
            Consume Tps: 0.50\n";
        assert_eq!(sample().to_text(), expected);
    }

    #[test]
    fn programs_get_the_same_under_the_same_names() {
        let expected = r#"{"consumeTps":0.5,"diffTotal":3,"queues":[{"brokerOffset":100,"lastTime":null,"qid":1,"topic":"a"},{"brokerOffset":7,"lastTime":null,"qid":12,"topic":"longer"}]}"#;
        assert_eq!(sample().to_json().to_string(), expected);
    }
}
