//! Where commands print: lines and tables with the column widths that scripts cut by, or JSON for programs (`-o json`).
//!
//! Nothing else in `admin` writes to the terminal, so this is the one place where texts of peers are made harmless: a
//! group's or client's name could otherwise move the cursor, forge a line or turn the direction of writing.

use std::cell::{Cell as Slot, RefCell};
use std::fmt::{Display, Write as _};
use std::io::Write;

use kerolox_wire::text::{escaped, escaped_unless};
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

    /// Prints `text` as one line for people, also where it has line ends in it. Programs do not see it.
    pub(super) fn line(&self, text: impl Display) {
        if self.format == Format::Table {
            let text = text.to_string();
            let line = text.strip_suffix('\n').unwrap_or(&text);
            self.put(escaped_unless(line, |c| c == '\t').into_owned());
        }
    }

    /// Prints a text of this program's own, which may have many lines, for people.
    pub(super) fn lines(&self, text: &str) {
        text.lines().for_each(|line| self.line(line));
    }

    /// Prints the one value that programs get of a command. People do not see it.
    pub(super) fn json(&self, value: impl Serialize) {
        if self.format == Format::Json {
            self.put(harmless_json(&serde_json::to_string_pretty(&value).unwrap_or_default()));
        }
    }

    /// Prints one of many values that programs get, in a line of its own. People do not see it.
    pub(super) fn json_line(&self, value: impl Serialize) {
        if self.format == Format::Json {
            self.put(harmless_json(&serde_json::to_string(&value).unwrap_or_default()));
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

/// Tells people on standard error what went wrong; further lines of it are indented.
pub(super) fn complain(why: impl Display) {
    // Where nobody reads standard error there is nothing left to tell.
    let _ = writeln!(std::io::stderr(), "{}", complaint(&why.to_string()));
}

fn complaint(why: &str) -> String {
    escaped_unless(why.trim_end_matches('\n'), |c| matches!(c, '\n' | '\t')).replace('\n', "\n  ")
}

/// The same JSON, where characters that a terminal obeys are escaped too: strings are the only place for them.
fn harmless_json(text: &str) -> String {
    escaped_unless(text, |c| c == '\n').into_owned()
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
        let text = escaped(&text);
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

    /// What a peer may put into any of its texts.
    const EVIL: &str = "\u{1b}]0;x\u{7}\r\nFAKE\u{9b}31m\u{202e}\u{7f}";

    #[derive(Clone, Default)]
    struct Printed(std::rc::Rc<RefCell<Vec<u8>>>);

    impl Write for Printed {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn texts_of_peers_are_printed_harmless() {
        for format in [Format::Table, Format::Json] {
            let printed = Printed::default();
            let out = Out::new(printed.clone()).with_format(format);
            out.line(format_args!("a {EVIL}"));
            out.line(EVIL);
            let mut table = out.table(COLUMNS);
            table.row([cell(EVIL), cell(EVIL), cell(EVIL), shown(EVIL, EVIL)]);
            table.end();
            out.json_line(EVIL);
            let bytes = printed.0.borrow().clone();
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.chars().all(|c| c == '\n' || !kerolox_wire::text::is_unsafe(c)), "{text:?}");
            assert!(text.lines().all(|line| !line.starts_with("FAKE")), "{text}");
            if format == Format::Json {
                assert_eq!(serde_json::from_str::<String>(text.lines().last().unwrap()).unwrap(), EVIL);
            }
        }
        assert_eq!(complaint("why\u{1b}\nFAKE\n"), "why\\u001b\n  FAKE");
    }

    #[test]
    fn nothing_else_in_the_tool_prints() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            if name != "output.rs" {
                assert!(!text.contains("println!") && !text.contains("eprint!"), "{name}");
                assert!(!text.contains("io::stderr()"), "{name}");
            }
        }
    }

    #[test]
    fn a_line_ends_once() {
        let out = Out::new(std::io::sink());
        out.line("x\n");
        assert!(!out.is_closed());
    }
}
