//! Log lines on standard output.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Variable that says what is logged, as `debug` or `kerolox_broker=debug,info`.
pub(crate) const FILTER_VARIABLE: &str = "KEROLOX_LOG";

/// Begins to log; what is logged without the variable is `default`.
pub(crate) fn start(default: &str) {
    let text = std::env::var(FILTER_VARIABLE).ok().filter(|text| !text.trim().is_empty());
    let (filter, bad) = match text.as_deref().map(EnvFilter::try_new) {
        None => (EnvFilter::new(default), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(default), Some(error)),
    };
    // Colours would be escaped with everything else.
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Lines(io::stdout)).init();
    if let Some(error) = bad {
        tracing::warn!("{FILTER_VARIABLE} is not understood and {default} is used: {error}");
    }
}

/// Writes each event as exactly one line: whatever names a peer sends, it forges no line and moves no cursor.
struct Lines<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Lines<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self.0.make_writer())
    }
}

/// One event; the formatter hands it over in one piece.
struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let (body, end) = match event.strip_suffix(b"\n") {
            Some(body) => (body, "\n"),
            None => (event, ""),
        };
        let text = String::from_utf8_lossy(body);
        if text.chars().any(char::is_control) {
            self.0.write_all((escaped(&text) + end).as_bytes())?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The same text with control characters as `\n`, `\u{1b}` and so on.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_it_holds() {
        let mut out = Vec::new();
        Line(&mut out).write_all(b"INFO topic=a\nERROR forged\x1b[2J\n").unwrap();
        Line(&mut out).write_all("INFO ü\n".as_bytes()).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "INFO topic=a\\nERROR forged\\u{1b}[2J\nINFO ü\n");
    }
}
