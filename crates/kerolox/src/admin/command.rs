//! The one table of admin commands: parser, list and help pages read it, nothing is said twice.

use std::future::Future;
use std::pin::Pin;

use super::failure::Failure;
use super::options::Given;
use super::session::Session;
use super::{
    acl, broker, cluster, connection, doctor, group, message, monitor, namesrv, print, progress, queue, send, stats,
    status, topic,
};

/// What running a command gives back.
pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// One admin command.
pub(super) struct Command {
    /// Name as users type it; matched without regard to case.
    pub(super) name: &'static str,
    /// One line for the list of commands.
    pub(super) about: &'static str,
    /// Its options, without `-h` and `-n`, which all commands have.
    pub(super) options: &'static [Opt],
    /// Whether `-b` and `-c` together have a rule.
    pub(super) target: Target,
    /// Whether it shows something, so that programs may ask for it with `-o json`.
    pub(super) shows: bool,
    /// Options of one example call, without `mqadmin NAME -n ADDR`.
    pub(super) example: &'static str,
    /// What it does.
    pub(super) run: for<'a> fn(&'a Session, &'a Given) -> Running<'a>,
}

/// What a command asks of `-b` (one broker) and `-c` (a whole cluster).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Nothing.
    Free,
    /// At least one; `-b` wins.
    Either,
    /// Exactly one.
    OneOf,
}

/// Whether an option must be given, and whether it has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Must be given, with a value.
    Required,
    /// May be given, with a value.
    Optional,
    /// May be given, has no value.
    Flag,
}

/// One option of a command.
#[derive(Debug)]
pub(super) struct Opt {
    /// `-t`, or [`NO_LETTER`].
    pub(super) letter: char,
    /// `--topic`.
    pub(super) long: &'static str,
    /// Whether it must be there and has a value.
    pub(super) kind: Kind,
    /// One line for the help page.
    pub(super) about: &'static str,
}

/// An option that must be given.
pub(super) const fn must(letter: char, long: &'static str, about: &'static str) -> Opt {
    Opt { letter, long, kind: Kind::Required, about }
}

/// An option that may be given.
pub(super) const fn may(letter: char, long: &'static str, about: &'static str) -> Opt {
    Opt { letter, long, kind: Kind::Optional, about }
}

/// A switch.
pub(super) const fn flag(letter: char, long: &'static str, about: &'static str) -> Opt {
    Opt { letter, long, kind: Kind::Flag, about }
}

/// Options that every command has.
pub(super) const COMMON: &[Opt] = &[
    flag('h', "help", "print this page"),
    may('n', "namesrvAddr", "name servers, as host:port;host:port (or set NAMESRV_ADDR)"),
];

/// Of options that have a long name only.
pub(super) const NO_LETTER: char = '\0';
const OUTPUT_ABOUT: &str = "table (if not given), or json for programs";
/// Of commands that show something.
const OUTPUT: Opt = may('o', "output", OUTPUT_ABOUT);
/// The same where RocketMQ gave the letter another meaning.
const OUTPUT_LONG: Opt = may(NO_LETTER, "output", OUTPUT_ABOUT);

/// All commands, in the order in which RocketMQ lists them, then what later versions added, then our own.
pub(super) const COMMANDS: &[&Command] = &[
    &topic::UPDATE_TOPIC,
    &topic::DELETE_TOPIC,
    &group::UPDATE_SUB_GROUP,
    &group::DELETE_SUB_GROUP,
    &broker::UPDATE_BROKER_CONFIG,
    &topic::UPDATE_TOPIC_PERM,
    &topic::TOPIC_ROUTE,
    &topic::TOPIC_STATUS,
    &topic::TOPIC_CLUSTER_LIST,
    &broker::BROKER_STATUS,
    &message::QUERY_MSG_BY_ID,
    &message::QUERY_MSG_BY_KEY,
    &message::QUERY_MSG_BY_UNIQUE_KEY,
    &message::QUERY_MSG_BY_OFFSET,
    &print::PRINT_MSG,
    &print::PRINT_MSG_BY_QUEUE,
    &send::SEND_MSG_STATUS,
    &stats::BROKER_CONSUME_STATS,
    &connection::PRODUCER_CONNECTION,
    &connection::CONSUMER_CONNECTION,
    &progress::CONSUMER_PROGRESS,
    &status::CONSUMER_STATUS,
    &group::CLONE_GROUP_OFFSET,
    &cluster::CLUSTER_LIST,
    &topic::TOPIC_LIST,
    &namesrv::UPDATE_KV_CONFIG,
    &namesrv::DELETE_KV_CONFIG,
    &namesrv::WIPE_WRITE_PERM,
    &group::RESET_OFFSET_BY_TIME,
    &topic::UPDATE_ORDER_CONF,
    &broker::CLEAN_EXPIRED_CQ,
    &broker::CLEAN_UNUSED_TOPIC,
    &monitor::START_MONITORING,
    &stats::STATS_ALL,
    &queue::ALLOCATE_MQ,
    &send::CHECK_MSG_SEND_RT,
    &cluster::CLUSTER_RT,
    &namesrv::GET_NAMESRV_CONFIG,
    &namesrv::UPDATE_NAMESRV_CONFIG,
    &broker::GET_BROKER_CONFIG,
    &queue::QUERY_CQ,
    &send::SEND_MESSAGE,
    &print::CONSUME_MESSAGE,
    &acl::UPDATE_ACL_CONFIG,
    &acl::DELETE_ACCESS_CONFIG,
    &acl::CLUSTER_ACL_CONFIG_VERSION,
    &acl::UPDATE_GLOBAL_WHITE_ADDR,
    &acl::GET_ACCESS_CONFIG,
    &namesrv::ADD_WRITE_PERM,
    &doctor::DOCTOR,
];

/// The command of that name, in any case.
pub(super) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name.eq_ignore_ascii_case(name)).copied()
}

/// The command whose name is closest to one that does not exist.
pub(super) fn near(name: &str) -> Option<&'static Command> {
    let name = name.to_ascii_lowercase();
    let far = |command: &&&Command| crate::config::table::distance(&name, &command.name.to_ascii_lowercase());
    COMMANDS.iter().min_by_key(far).filter(|command| far(command) <= 1 + name.len() / 4).copied()
}

impl Command {
    /// Its own options and the common ones.
    pub(super) fn all_options(&self) -> impl Iterator<Item = &'static Opt> + use<> {
        self.options.iter().chain(COMMON).chain(self.output_option())
    }

    /// The option that asks for JSON.
    pub(super) fn output_option(&self) -> Option<&'static Opt> {
        let taken = self.options.iter().any(|option| option.letter == OUTPUT.letter);
        self.shows.then_some(if taken { &OUTPUT_LONG } else { &OUTPUT })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_long_names_are_unique_within_a_command() {
        for command in COMMANDS {
            let mut letters: Vec<char> = command.all_options().map(|o| o.letter).collect();
            let mut longs: Vec<&str> = command.all_options().map(|o| o.long).collect();
            letters.sort_unstable();
            longs.sort_unstable();
            let (l, n) = (letters.len(), longs.len());
            letters.dedup();
            longs.dedup();
            assert_eq!((letters.len(), longs.len()), (l, n), "{}", command.name);
        }
    }

    #[test]
    fn names_are_found_in_any_case_and_only_once() {
        for command in COMMANDS {
            assert_eq!(find(&command.name.to_uppercase()).map(|c| c.name), Some(command.name));
            assert_eq!(COMMANDS.iter().filter(|c| c.name.eq_ignore_ascii_case(command.name)).count(), 1);
        }
        assert!(find("nothing").is_none());
    }

    #[test]
    fn a_mistyped_name_finds_its_command() {
        for (typed, meant) in
            [("topicLst", "topicList"), ("updatetopics", "updateTopic"), ("sedMessage", "sendMessage")]
        {
            assert_eq!(near(typed).map(|command| command.name), Some(meant), "{typed}");
        }
        assert!(near("frobnicate").is_none());
    }

    #[test]
    fn a_rule_about_targets_comes_with_both_options() {
        for command in COMMANDS.iter().filter(|c| c.target != Target::Free) {
            for letter in ['b', 'c'] {
                assert!(command.options.iter().any(|o| o.letter == letter), "{} -{letter}", command.name);
            }
        }
    }

    #[test]
    fn every_example_parses() {
        for command in COMMANDS {
            let args: Vec<String> = super::super::help::words(command.example);
            let given = Given::parse(command, &args);
            assert!(given.is_ok(), "{}: {given:?}", command.name);
        }
    }
}
