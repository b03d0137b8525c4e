//! The commands as the command line library sees them, for the completion scripts of shells.

use clap::Arg;
use clap::builder::PossibleValuesParser;

use super::command::{COMMANDS, Command, Kind, NO_LETTER, Opt};

/// The tool under that name, with all its commands and options.
pub(crate) fn definition(name: &'static str) -> clap::Command {
    let about = "Ask and change name servers and brokers";
    clap::Command::new(name).about(about).subcommands(COMMANDS.iter().map(|command| subcommand(command)))
}

fn subcommand(command: &Command) -> clap::Command {
    let options = command.all_options().map(arg);
    clap::Command::new(command.name).about(command.about).disable_help_flag(true).args(options)
}

fn arg(option: &'static Opt) -> Arg {
    let arg = Arg::new(option.long).help(option.about);
    let arg = if option.letter == NO_LETTER { arg } else { arg.short(option.letter) };
    // Some of RocketMQ's long names have blanks, which no shell would complete.
    let arg = if option.long.contains(' ') { arg } else { arg.long(option.long) };
    match (option.kind, option.long) {
        (Kind::Flag, _) => arg.action(clap::ArgAction::SetTrue),
        (_, "output") => arg.value_parser(PossibleValuesParser::new(["table", "json"])),
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_sound_definition() {
        definition("mqadmin").debug_assert();
        assert_eq!(definition("mqadmin").get_subcommands().count(), COMMANDS.len());
    }
}
