//! The reference page of the protocol, made from the table of commands.

use std::collections::BTreeMap;
use std::fmt::Write;

use kerolox_wire::command::{COMMANDS, CommandSpec, FieldSpec, HeaderSpec, Names, Served};
use kerolox_wire::response::ResponseCode;

const HEAD: &str = "\
<!-- Made by `kerolox docs protocol`; change the tables in kerolox-wire instead. -->
# Protocol

Requests of RocketMQ's remoting protocol that Kerolox knows, with the fields of their headers (`extFields`). A number
outside this table is answered with code 3. How frames and headers are laid out stands in [the design pages](../design/remoting.md).

A field marked *needed* must be there, or the request is refused with its name. Where a field has two names, the short
one is read as well; *short* behind the name of a header says that clients of this request write it.

## Requests

| code | name | answered by | what it does | request header | response header |
| --- | --- | --- | --- | --- | --- |
";

/// The page, in Markdown.
pub(crate) fn page() -> String {
    let mut out = HEAD.to_owned();
    for command in COMMANDS {
        out.push_str(&row(command));
    }
    out.push_str("\n## Headers\n");
    for header in headers().values() {
        let _ = write!(
            out,
            "\n### {}\n\n{}\n\n| field | short | type | needed | what it says |\n| --- | --- | --- | --- | --- |\n",
            header.name,
            header.doc.trim()
        );
        for field in header.fields {
            out.push_str(&field_row(field));
        }
    }
    out.push_str("\n## Response codes\n\n| code | name | meaning |\n| --- | --- | --- |\n");
    for (code, name, doc) in ResponseCode::ALL {
        let _ = writeln!(out, "| {} | `{name}` | {} |", code.0, doc.trim());
    }
    out
}

/// Every header of the table once, by its name.
fn headers() -> BTreeMap<&'static str, &'static HeaderSpec> {
    let all = COMMANDS.iter().flat_map(|command| [command.request, command.response]);
    all.filter(|header| !header.name.is_empty()).map(|header| (header.name, header)).collect()
}

fn row(command: &CommandSpec) -> String {
    let by = match command.served {
        Served::Broker => "broker",
        Served::NameServer => "name server",
        Served::Client => "client",
        Served::BrokerAndClient => "broker, and client",
    };
    let short = if command.names == Names::Short { ", short" } else { "" };
    format!(
        "| {} | `{}` | {by} | {} | {}{short} | {} |\n",
        command.code.0,
        command.name,
        command.doc.trim(),
        link(command.request),
        link(command.response)
    )
}

fn link(header: &HeaderSpec) -> String {
    match header.name {
        "" => String::new(),
        name => format!("[{name}](#{})", name.to_lowercase()),
    }
}

fn field_row(field: &FieldSpec) -> String {
    let short = if field.short.is_empty() { String::new() } else { format!("`{}`", field.short) };
    let kind = match field.kind {
        "i32" => "32-bit number",
        "i64" => "64-bit number",
        "bool" => "`true` or `false`",
        "String" => "text",
        "TopicName" => "topic",
        "GroupName" => "group",
        other => other,
    };
    let needed = if field.required { "needed" } else { "" };
    format!("| `{}` | {short} | {kind} | {needed} | {} |\n", field.name, field.doc.trim().replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_repository_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/protocol.md");
        let there = std::fs::read_to_string(path).unwrap_or_default();
        assert!(there == page(), "run `kerolox docs protocol > docs/reference/protocol.md`");
    }

    #[test]
    fn two_headers_of_one_name_are_one() {
        for command in COMMANDS {
            for header in [command.request, command.response] {
                assert!(header.name.is_empty() || headers()[header.name] == header, "{}", header.name);
            }
        }
    }
}
