//! The admin tool: `kerolox admin COMMAND …`, which RocketMQ users know as `mqadmin`.
//!
//! Names, options, columns and success texts are those that scripts rely on. Exit codes: 0 done, 1 failed, 2 wrong usage.

mod acl;
mod bar;
mod broker;
mod cluster;
mod command;
mod completion;
mod connection;
mod doctor;
mod failure;
mod group;
mod help;
mod message;
mod monitor;
mod namesrv;
mod options;
mod output;
mod print;
mod progress;
mod queue;
mod send;
mod session;
mod stats;
mod status;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod topic;

use std::process::ExitCode;
use std::sync::Arc;

use kerolox_client::{Client, split_addresses};
use kerolox_net::{Outbound, OutboundConfig};
use kerolox_wire::names::NameError;

pub(crate) use self::completion::definition;

use self::command::Command;
use self::failure::Failure;
use self::options::Given;
use self::output::Out;
use self::session::Session;
use crate::clock::{LocalTime, SystemClock};

/// Runs the admin tool with the words after `admin`.
pub(crate) fn run(args: Vec<String>) -> ExitCode {
    let out = Out::new(std::io::stdout());
    let mut words = args.into_iter();
    let Some(first) = words.next() else {
        out.lines(&help::list());
        return ExitCode::SUCCESS;
    };
    let rest: Vec<String> = words.collect();
    let asks_help = matches!(first.as_str(), "help" | "-h" | "--help");
    if asks_help && rest.is_empty() {
        out.lines(&help::list());
        return ExitCode::SUCCESS;
    }
    let name = if asks_help { &rest[0] } else { &first };
    if matches!(name.as_str(), "--version" | "-v" | "-V") {
        out.line(format_args!("mqadmin of kerolox {}", env!("CARGO_PKG_VERSION")));
        return ExitCode::SUCCESS;
    }
    let Some(command) = command::find(name) else {
        let meant = command::near(name).map_or_else(String::new, |near| format!(" Did you mean {}?", near.name));
        out.line(format_args!("The sub command {name} not exist.{meant}"));
        return ExitCode::from(2);
    };
    if asks_help {
        out.lines(&help::page(command));
        return ExitCode::SUCCESS;
    }
    match run_command(command, &rest, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            output::complain(format_args!("mqadmin {}: {}", command.name, without_link(&why.to_string())));
            if matches!(why, Failure::Usage(_)) {
                output::complain(format_args!("See 'mqadmin help {}'.", command.name));
            }
            why.exit_code()
        }
    }
}

/// A remark without the sentence of RocketMQ that points to a page about another program.
fn without_link(text: &str) -> String {
    const LINK: &str = "\nSee http://rocketmq.apache.org/docs/faq/ for further details.";
    text.replace(LINK, "")
}

fn run_command(command: &Command, args: &[String], out: Out) -> Result<(), Failure> {
    let given = Given::parse(command, args)?;
    if given.flag('h') {
        out.lines(&help::page(command));
        return Ok(());
    }
    let environment = std::env::var("NAMESRV_ADDR").ok();
    let servers = split_addresses(given.get('n').or(environment.as_deref()).unwrap_or_default());
    if servers.is_empty() {
        let why = "no name server: give -n host:port, or set NAMESRV_ADDR";
        return Err(Failure::Usage(why.to_owned()));
    }
    let account = account().map_err(Failure::failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| Failure::failed(format!("cannot start: {why}")))?;
    runtime.block_on(async {
        let clock = Arc::new(SystemClock::new());
        let local = LocalTime::of_system();
        let utc_offset = Arc::new(move |wall_ms| local.offset_seconds(wall_ms));
        let client = Client::new(servers, Outbound::new(OutboundConfig::default()), clock.clone(), utc_offset);
        let client = account.into_iter().fold(client, Client::with_credentials);
        let session = Session { client, out: out.with_format(given.format()), clock };
        (command.run)(&session, &given).await
    })
}

/// The account that administration signs with: that of `conf/tools.yml` in `ROCKETMQ_HOME`, where there is one.
///
/// # Errors
/// A sentence when the file cannot be used.
pub(crate) fn account() -> Result<Option<kerolox_client::Credentials>, String> {
    acl::account(std::env::var_os("ROCKETMQ_HOME").map(std::path::PathBuf::from))
}

/// The name that an option holds, checked.
fn name<T>(given: &Given, letter: char, parse: impl Fn(&str) -> Result<T, NameError>) -> Result<T, Failure> {
    parse(given.required(letter)?).map_err(|why| Failure::Usage(format!("Option -{letter}: {why}")))
}
