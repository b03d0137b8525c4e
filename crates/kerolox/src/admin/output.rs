//! Where commands print, and tables with the column widths that scripts cut by.

use std::cell::{Cell, RefCell};
use std::fmt::{Display, Write as _};
use std::io::Write;

/// Standard output, or a buffer in tests.
pub(super) struct Out {
    sink: RefCell<Box<dyn Write>>,
    closed: Cell<bool>,
}

impl Out {
    /// Prints to `sink`.
    pub(super) fn new(sink: impl Write + 'static) -> Self {
        Self { sink: RefCell::new(Box::new(sink)), closed: Cell::new(false) }
    }

    /// Prints `text` and ends the line, unless it ends with one already.
    pub(super) fn line(&self, text: impl Display) {
        let mut text = text.to_string();
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

/// On which side the blanks stand.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// One column: title, least width, blanks before it.
#[derive(Clone, Copy)]
pub(super) struct Column {
    title: &'static str,
    width: usize,
    gap: usize,
    side: Side,
    cut: bool,
}

/// Text to the left, at least `width` wide, two blanks before it.
pub(super) const fn left(title: &'static str, width: usize) -> Column {
    Column { title, width, gap: 2, side: Side::Left, cut: false }
}

/// Text to the right, at least `width` wide, one blank before it.
pub(super) const fn right(title: &'static str, width: usize) -> Column {
    Column { title, width, gap: 1, side: Side::Right, cut: false }
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

    const COLUMNS: &[Column] =
        &[left("#Broker Name", 14).cut(), left("#QID", 4), right("#TPS", 8), left("#Time", 0).gap(4)];

    #[test]
    fn columns_keep_width_side_and_gap() {
        assert_eq!(titles(COLUMNS), "#Broker Name    #QID     #TPS    #Time");
        assert_eq!(row(COLUMNS, &[&"a", &3, &"1.50", &"now"]), "a               3        1.50    now");
        assert_eq!(row(COLUMNS, &[&"a-very-long-name", &12345, &"1", &""]), "a-very-long-na  12345        1    ");
    }

    #[test]
    fn a_line_ends_once() {
        let out = Out::new(std::io::sink());
        out.line("x\n");
        assert!(!out.is_closed());
    }
}
