//! Filters, accounts and the broker's saved tables.

use kerolox_broker::fuzzing::{self, Table};

/// An SQL92 expression and a message: `expression | 0 | properties`.
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (expression, properties) = text.split_once('\0').unwrap_or((text, ""));
    let judged = fuzzing::filter(expression, properties);
    assert_eq!(judged, fuzzing::filter(expression, properties));
    if let Err(why) = judged {
        assert!(why.len() < 4096, "{why}");
    }
}

/// A file of accounts.
pub fn accounts(data: &[u8]) {
    fuzzing::accounts(data);
}

/// A table of the `config` folder: `which | text`. What was read is written so that it reads back the same.
pub fn tables(data: &[u8]) {
    let Some((which, text)) = data.split_first() else { return };
    let table = match which % 5 {
        0 => Table::Topics,
        1 => Table::Groups,
        2 => Table::Offsets,
        3 => Table::Delays,
        _ => Table::Filters,
    };
    let Ok(written) = fuzzing::read_and_write(table, text) else { return };
    assert_eq!(fuzzing::read_and_write(table, written.as_bytes()).as_ref(), Ok(&written));
}
