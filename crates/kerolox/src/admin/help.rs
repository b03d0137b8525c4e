//! The list of commands and the page of one command, both from the command table.

use std::fmt::Write as _;

use super::command::{COMMANDS, Command, Kind, NO_LETTER, Opt, Target};

/// Where the usage line is broken.
const USAGE_WIDTH: usize = 100;

/// What plain `mqadmin` prints.
pub(super) fn list() -> String {
    let mut page = "The most commonly used mqadmin commands are:\n".to_owned();
    for command in COMMANDS {
        let _ = writeln!(page, "   {:<20} {}", command.name, command.about);
    }
    page.push_str("\nSee 'mqadmin help <command>' for more information on a specific command.\n");
    page
}

/// What `mqadmin help CMD` and `mqadmin CMD -h` print.
pub(super) fn page(command: &Command) -> String {
    let usage = wrapped(&format!("usage: mqadmin {}{}", command.name, synopsis(command)));
    let mut page = format!("{usage}\n\n{}\n\noptions:\n", command.about);
    let width = command.all_options().map(|o| left_side(o).len()).max().unwrap_or(0);
    for option in command.all_options() {
        let note = if option.kind == Kind::Required { " (required)" } else { "" };
        let _ = writeln!(page, "  {:<width$}  {}{note}", left_side(option), option.about);
    }
    let gap = if command.example.is_empty() { "" } else { " " };
    let _ = writeln!(page, "\nexample:\n  mqadmin {} -n 127.0.0.1:9876{gap}{}", command.name, command.example);
    page
}

/// Broken before an option where it would be too wide, and indented there.
fn wrapped(usage: &str) -> String {
    let mut text = String::new();
    let mut width = 0;
    for (i, part) in usage.split_inclusive("> ").flat_map(|p| p.split_inclusive("] ")).enumerate() {
        if i > 0 && width + part.trim_end().len() > USAGE_WIDTH {
            text.truncate(text.trim_end().len());
            text.push_str("\n         ");
            width = 9;
        }
        text.push_str(part);
        width += part.len();
    }
    text
}

fn left_side(option: &Opt) -> String {
    let value = if option.kind == Kind::Flag { "" } else { " <value>" };
    if option.letter == NO_LETTER {
        return format!("    --{}{value}", option.long);
    }
    format!("-{}, --{}{value}", option.letter, option.long)
}

fn synopsis(command: &Command) -> String {
    let mut line = match command.target {
        Target::OneOf | Target::Either => " (-b <brokerAddr> | -c <clusterName>)".to_owned(),
        Target::Free => String::new(),
    };
    for option in command.options {
        if command.target != Target::Free && matches!(option.letter, 'b' | 'c') {
            continue;
        }
        let _ = match option.kind {
            Kind::Required => write!(line, " -{} <{}>", option.letter, option.long),
            Kind::Optional => write!(line, " [-{} <{}>]", option.letter, option.long),
            Kind::Flag => write!(line, " [-{}]", option.letter),
        };
    }
    line.push_str(" [-n <namesrvAddr>]");
    match command.output_option().map(|option| option.letter) {
        None => {}
        Some(NO_LETTER) => line.push_str(" [--output <json>]"),
        Some(letter) => {
            let _ = write!(line, " [-{letter} <json>]");
        }
    }
    line
}

/// The table of commands in `docs/mqadmin.md`, which a test compares.
#[cfg(test)]
pub(super) fn table() -> String {
    let mut table = "| command | what it does | options | JSON |\n| --- | --- | --- | --- |\n".to_owned();
    for command in COMMANDS {
        let options = synopsis(command);
        // What all commands have is said before the table.
        let options = options.split("[-n <namesrvAddr>]").next().unwrap_or_default().trim();
        let options = if options.is_empty() { String::new() } else { format!("`{}`", options.replace('|', "\\|")) };
        let json = match command.output_option().map(|option| option.letter) {
            None => "",
            Some(NO_LETTER) => "`--output`",
            Some(_) => "`-o`",
        };
        let _ = writeln!(table, "| `{}` | {} | {options} | {json} |", command.name, command.about);
    }
    table
}

/// The words of an example, with single quotes around those that hold blanks.
#[cfg(test)]
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        if i % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_the_lines_that_scripts_look_for() {
        let list = list();
        assert!(list.starts_with("The most commonly used mqadmin commands are:\n   updateTopic          "), "{list}");
        assert!(list.ends_with("\n\nSee 'mqadmin help <command>' for more information on a specific command.\n"));
        assert_eq!(list.lines().count(), COMMANDS.len() + 3);
    }

    #[test]
    fn a_page_names_every_option_and_gives_an_example() {
        for command in COMMANDS {
            let page = page(command);
            for option in command.all_options() {
                assert!(page.contains(&format!("  {}", left_side(option))), "{page}");
            }
            assert!(page.contains(&format!("\nexample:\n  mqadmin {} -n ", command.name)), "{page}");
            assert!(page.lines().all(|line| line.len() <= 120), "{page}");
        }
    }
}
