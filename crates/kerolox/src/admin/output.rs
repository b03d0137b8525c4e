//! Where commands print: lines and tables with the column widths that scripts cut by, or JSON for programs (`-o json`).

use std::cell::{Cell as Slot, RefCell};
use std::fmt::{Display, Write as _};
use std::io::Write;

use serde::Serialize;
use serde_json::Value;

/// How results are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// Lines and tables for people.
    #[default]
    Table,
    /// JSON for programs.
    Json,
}

/// Standard output, or a buffer in tests.
pub(super) struct Out {
    sink: RefCell<Box<dyn Write>>,
    closed: Slot<bool>,
    format: Format,
}

impl Out {
    /// Prints to `sink`.
    pub(super) fn new(sink: impl Write + 'static) -> Self {
        Self { sink: RefCell::new(Box::new(sink)), closed: Slot::new(false), format: Format::Table }
    }

    /// Prints in that format.
    pub(super) fn with_format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// Whether programs read the output.
    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints `text` for people and ends the line, unless it ends with one already. Programs do not see it.
    pub(super) fn line(&self, text: impl Display) {
        if self.format == Format::Table {
            self.put(text.to_string());
        }
    }

    /// Prints the one value that programs get of a command. People do not see it.
    pub(super) fn json(&self, value: impl Serialize) {
        if self.format == Format::Json {
            self.put(serde_json::to_string_pretty(&value).unwrap_or_default());
        }
    }

    /// Prints one of many values that programs get, in a line of its own. People do not see it.
    pub(super) fn json_line(&self, value: impl Serialize) {
        if self.format == Format::Json {
            self.put(serde_json::to_string(&value).unwrap_or_default());
        }
    }

    /// Begins a table with these columns: people see the titles at once, and each row as it comes.
    pub(super) fn table(&self, columns: &'static [Column]) -> Table<'_> {
        self.line(titles(columns));
        self.rows(columns)
    }

    /// The same without titles.
    pub(super) const fn rows(&self, columns: &'static [Column]) -> Table<'_> {
        Table { out: self, columns, rows: Vec::new() }
    }

    fn put(&self, mut text: String) {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let mut sink = self.sink.borrow_mut();
        if sink.write_all(text.as_bytes()).and_then(|()| sink.flush()).is_err() {
            self.closed.set(true);
        }
    }

    /// Whether the reader went away (`mqadmin … | head`): long commands stop then.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }
}

/// Rows under titles for people, a list of objects with the columns' keys for programs.
pub(super) struct Table<'a> {
    out: &'a Out,
    columns: &'static [Column],
    rows: Vec<Value>,
}

impl Table<'_> {
    /// Adds a row, as many cells as there are columns.
    pub(super) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        if let Some(object) = self.show(cells) {
            self.rows.push(object);
        }
    }

    /// Adds a row to a table without end: programs see it at once, as a line.
    pub(super) fn stream<const N: usize>(&self, cells: [Cell; N]) {
        if let Some(object) = self.show(cells) {
            self.out.json_line(object);
        }
    }

    fn show<const N: usize>(&self, cells: [Cell; N]) -> Option<Value> {
        if !self.out.is_json() {
            self.out.line(line_of(self.columns, &cells));
            return None;
        }
        let pairs = self.columns.iter().zip(cells).filter(|(column, _)| !column.key.is_empty());
        Some(Value::Object(pairs.map(|(column, cell)| (column.key.to_owned(), cell.value)).collect()))
    }

    /// Ends a table that is all of the output.
    pub(super) fn end(self) {
        self.out.json(self.rows);
    }

    /// Ends a table that is a part of the output: its rows for programs.
    pub(super) fn into_rows(self) -> Value {
        Value::Array(self.rows)
    }
}

/// One value of a row.
pub(super) struct Cell {
    text: String,
    value: Value,
}

/// A value that people and programs see alike.
pub(super) fn cell(value: impl Display + Serialize) -> Cell {
    shown(value.to_string(), value)
}

/// A value that people see as `text` and programs as `value`.
pub(super) fn shown(text: impl Into<String>, value: impl Serialize) -> Cell {
    Cell { text: text.into(), value: serde_json::to_value(value).unwrap_or(Value::Null) }
}

/// A number that people see with two digits after the point.
pub(super) fn two_digits(value: f64) -> Cell {
    shown(format!("{value:.2}"), value)
}

/// On which side the blanks stand.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// One column: title, key in JSON, least width, blanks before it.
#[derive(Clone, Copy)]
pub(super) struct Column {
    title: &'static str,
    key: &'static str,
    width: usize,
    gap: usize,
    side: Side,
    cut: bool,
}

/// Text to the left, at least `width` wide, two blanks before it.
pub(super) const fn left(title: &'static str, key: &'static str, width: usize) -> Column {
    Column { title, key, width, gap: 2, side: Side::Left, cut: false }
}

/// Text to the right, at least `width` wide, one blank before it.
pub(super) const fn right(title: &'static str, key: &'static str, width: usize) -> Column {
    Column { title, key, width, gap: 1, side: Side::Right, cut: false }
}

impl Column {
    /// With so many blanks before it.
    pub(super) const fn gap(self, gap: usize) -> Self {
        Self { gap, ..self }
    }

    /// Values longer than the width lose their end.
    pub(super) const fn cut(self) -> Self {
        Self { cut: true, ..self }
    }

    fn put(&self, line: &mut String, first: bool, text: &str) {
        if !first {
            let _ = write!(line, "{:gap$}", "", gap = self.gap);
        }
        let _ = match self.side {
            Side::Left => write!(line, "{text:<width$}", width = self.width),
            Side::Right => write!(line, "{text:>width$}", width = self.width),
        };
    }
}

/// The line of titles.
pub(super) fn titles(columns: &[Column]) -> String {
    let mut line = String::new();
    for (i, column) in columns.iter().enumerate() {
        column.put(&mut line, i == 0, column.title);
    }
    line
}

/// A row as people see it.
pub(super) fn line_of<const N: usize>(columns: &[Column], cells: &[Cell; N]) -> String {
    row(columns, &cells.each_ref().map(|cell| &cell.text as &dyn Display))
}

/// One line of values, as many as there are columns.
pub(super) fn row(columns: &[Column], values: &[&dyn Display]) -> String {
    debug_assert_eq!(columns.len(), values.len(), "a value for each column");
    let mut line = String::new();
    for (i, (column, value)) in columns.iter().zip(values).enumerate() {
        let text = value.to_string();
        if column.cut && text.chars().count() > column.width {
            let text: String = text.chars().take(column.width).collect();
            column.put(&mut line, i == 0, &text);
        } else {
            column.put(&mut line, i == 0, &text);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        left("#Broker Name", "brokerName", 14).cut(),
        left("#QID", "queueId", 4),
        right("#TPS", "tps", 8),
        left("#Time", "time", 0).gap(4),
    ];

    #[test]
    fn columns_keep_width_side_and_gap() {
        assert_eq!(titles(COLUMNS), "#Broker Name    #QID     #TPS    #Time");
        assert_eq!(row(COLUMNS, &[&"a", &3, &"1.50", &"now"]), "a               3        1.50    now");
        assert_eq!(row(COLUMNS, &[&"a-very-long-name", &12345, &"1", &""]), "a-very-long-na  12345        1    ");
    }

    #[test]
    fn programs_get_objects_with_the_keys_of_the_columns() {
        let out = Out::new(std::io::sink()).with_format(Format::Json);
        let mut table = out.table(COLUMNS);
        table.row([cell("a"), cell(3), two_digits(1.5), shown("now", 1_795_577_629_323_i64)]);
        let expected =
            serde_json::json!([{"brokerName": "a", "queueId": 3, "tps": 1.5, "time": 1_795_577_629_323_i64}]);
        assert_eq!(table.into_rows(), expected);
    }

    #[test]
    fn a_line_ends_once() {
        let out = Out::new(std::io::sink());
        out.line("x\n");
        assert!(!out.is_closed());
    }
}
