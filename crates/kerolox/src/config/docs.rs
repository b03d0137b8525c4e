//! The reference page of all keys, made from the table.

use std::fmt::Write;

use super::key::{Class, Initial, Key, Status};
use super::table::{LATER, LATER_REASON, Role};

const HEAD: &str = "\
<!-- Made by `kerolox docs config`; change the table of keys instead. -->
# Configuration

A `-c FILE` is a Java `.properties` file with the keys of RocketMQ 4.7.1. The same keys can be set with
`--set KEY=VALUE` and with environment variables: `brokerName` is `KEROLOX_BROKER_NAME`, `tls.server.mode` is
`KEROLOX_TLS_SERVER_MODE`. What RocketMQ takes from system properties (`-Drocketmq.namesrv.addr=...`) is also read from
`JAVA_OPT`, `JAVA_OPT_EXT` and the variables of the Java machine itself (`JAVA_TOOL_OPTIONS`, `JDK_JAVA_OPTIONS`,
`_JAVA_OPTIONS`); so is `-Duser.home=...`, below which default folders lie. Other options of a Java machine there are
named in a warning and have no meaning. A path that is not absolute begins in the folder where the process was started.

The later wins: default, variables that others define (`NAMESRV_ADDR`, `ROCKETMQ_HOME`, `OTEL_...`), `-D` options,
`KEROLOX_` variables, the file of TLS keys (`tls.config.file`), the `-c` file, the command line.

Blanks around a value are no part of it. A value that is not allowed stops the start, and all of them are listed at
once. Unknown keys, and keys that have no meaning here, are named in a warning. A key marked *live* can be changed while
the node runs (`mqadmin updateBrokerConfig`, `updateNamesrvConfig`); the change is written to the `-c` file, whose
comments stay, and the text before is kept in `FILE.bak`. All other keys are refused there. An empty default means: not
set.
";

/// The page, in Markdown.
pub(crate) fn page() -> String {
    let mut out = HEAD.to_owned();
    let classes = [
        (Role::Broker, Class::Broker),
        (Role::Broker, Class::Store),
        (Role::Namesrv, Class::Namesrv),
        (Role::Broker, Class::Server),
        (Role::Broker, Class::Client),
        (Role::Broker, Class::Tls),
        (Role::Broker, Class::Metrics),
        (Role::Console, Class::Console),
    ];
    let head = "\n| key | type | default | unit | live | allowed | what it does |\n\
                | --- | --- | --- | --- | --- | --- | --- |\n";
    for (role, class) in classes {
        let _ = write!(out, "\n## {}\n{head}", class.name());
        for key in role.keys().filter(|key| key.class == class && key.status == Status::Honoured) {
            out.push_str(&row(key));
        }
    }
    out.push_str(
        "\n## Keys that have no meaning here\n\n| key | of | default in RocketMQ | why |\n| --- | --- | --- | --- |\n",
    );
    for (role, class) in classes {
        for key in role.keys().filter(|key| key.class == class) {
            let Status::NoMeaning(reason) = key.status else { continue };
            let _ = writeln!(out, "| `{}` | {} | {} | {reason} |", key.name, class.name(), initial(key));
        }
    }
    let _ = write!(out, "\n## Keys of RocketMQ 5.x\n\nTaken with a warning: {LATER_REASON}.\n");
    for (class, names) in LATER {
        let _ = write!(out, "\n{}:\n", class.name());
        let mut width = usize::MAX;
        for (at, name) in names.iter().enumerate() {
            let end = if at + 1 == names.len() { "." } else { "," };
            let word = format!("`{name}`{end}");
            let fits = width.saturating_add(word.len() + 1) <= 118;
            if at > 0 {
                out.push(if fits { ' ' } else { '\n' });
            }
            width = if fits { width + 1 + word.len() } else { word.len() };
            out.push_str(&word);
        }
        out.push('\n');
    }
    out
}

fn row(key: &Key) -> String {
    let mut about = key.sentence().to_owned();
    if let Some(property) = key.property {
        let _ = write!(about, " System property `{property}`.");
    }
    if let Some(env) = key.env {
        let _ = write!(about, " Environment `{env}`.");
    }
    if key.later {
        about.push_str(" RocketMQ 4.7.1 has no such key.");
    }
    format!(
        "| `{}` | {} | {} | {} | {} | {} | {about} |\n",
        key.name,
        key.rule.type_name(),
        initial(key),
        key.unit.name(),
        if key.live.is_some() { "live" } else { "" },
        key.rule.allowed().replace('|', "\\|"),
    )
}

fn initial(key: &Key) -> String {
    match key.initial {
        Initial::Is("") => String::new(),
        Initial::Is(text) => format!("`{text}`"),
        Initial::Of(how, _) => how.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_repository_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
        let there = std::fs::read_to_string(path).unwrap_or_default();
        assert!(there == page(), "run `kerolox docs config > docs/reference/configuration.md`");
    }

    #[test]
    fn the_page_names_every_key() {
        let page = page();
        for key in Role::ALL.iter().flat_map(|role| role.keys()) {
            assert!(page.contains(&format!("| `{}` |", key.name)), "{}", key.name);
        }
    }
}
