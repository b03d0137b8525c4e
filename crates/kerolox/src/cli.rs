//! The command line: which role, and with what.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::config::load::Given;
use crate::config::settings::Settings;
use crate::config::table::Role;
use crate::config::{docs, roles};
use crate::serve::{self, Standalone};
use crate::store_tool::{self, StoreCommand};
use crate::{admin, logging, migrate, protocol};

/// A message broker in the place of Apache RocketMQ.
#[derive(Debug, Parser)]
#[command(name = "kerolox", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    role: RoleCommand,
}

#[derive(Debug, Subcommand)]
enum RoleCommand {
    /// Run a name server, a broker and the console in one process, on loopback
    Standalone(StandaloneArgs),
    /// Run a name server (mqnamesrv)
    Namesrv(NodeArgs),
    /// Run a broker (mqbroker)
    Broker(BrokerArgs),
    /// Run the web console of a cluster, Kerolox's or RocketMQ's
    Console(NodeArgs),
    /// Run an administration command (mqadmin)
    #[command(disable_help_flag = true)]
    Admin {
        /// The command and its options; without one, the list of commands
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// End the brokers or name servers of this user and wait until they have ended (mqshutdown)
    Shutdown {
        /// broker, namesrv or standalone
        role: Option<String>,
        /// Longest time to wait, in seconds
        #[arg(long, default_value_t = 60)]
        timeout: u64,
    },
    /// Look at what RocketMQ left behind before it is taken over
    Migrate {
        #[command(subcommand)]
        what: MigrateCommand,
    },
    /// Check, repair or print the data directory of a broker that does not run
    Store {
        #[command(subcommand)]
        what: StoreCommand,
    },
    /// Print a script that lets a shell complete the words of kerolox and mqadmin, as in `source <(kerolox completion bash)`
    Completion {
        /// Which shell
        shell: Shell,
    },
    /// Print generated reference pages
    #[command(hide = true)]
    Docs {
        /// Which page
        page: Page,
    },
}

#[derive(Debug, Subcommand)]
enum MigrateCommand {
    /// Say what of a data directory and its settings would be honoured; nothing is changed
    Check {
        /// The store's root, with commitlog and consumequeue in it
        dir: PathBuf,
        /// The broker's settings file
        #[arg(short = 'c', long = "configFile", value_name = "FILE")]
        config_file: Option<PathBuf>,
    },
}

/// A generated page, `docs/reference/*.md`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Page {
    Config,
    Protocol,
    /// The manual, for `man`
    Man,
}

#[derive(Debug, Args)]
struct StandaloneArgs {
    /// Folder of messages and settings, made if missing
    #[arg(long, value_name = "DIR", default_value = "kerolox-data")]
    data: PathBuf,
    /// Settings file of the broker in place of DIR/broker.conf
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    listen: std::net::IpAddr,
    /// Port of the broker, which also answers on the port two below
    #[arg(long, default_value_t = 10_911, value_parser = clap::value_parser!(u16).range(3..))]
    port: u16,
    /// Port of the name server
    #[arg(long, default_value_t = 9_876, value_parser = clap::value_parser!(u16).range(1..))]
    namesrv_port: u16,
    #[command(flatten)]
    set: SetArgs,
}

/// Options of RocketMQ's start scripts.
#[derive(Debug, Args)]
struct NodeArgs {
    /// Settings file, Java properties
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Name servers, as host:port;host:port (without meaning for a name server)
    #[arg(short = 'n', long = "namesrvAddr", value_name = "ADDRS")]
    namesrv_addr: Option<String>,
    /// Print all settings and end
    #[arg(short = 'p', long = "printConfigItem")]
    print_all: bool,
    #[command(flatten)]
    set: SetArgs,
    /// Words that are no options: RocketMQ's scripts pass over them, and many guides have some
    #[arg(hide = true)]
    strays: Vec<String>,
}

#[derive(Debug, Args)]
struct BrokerArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Print the most important settings and end
    #[arg(short = 'm', long = "printImportantConfig")]
    print_important: bool,
}

#[derive(Debug, Args)]
struct SetArgs {
    /// Set one key, over the settings file; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    pairs: Vec<(String, String)>,
}

impl SetArgs {
    fn flags(&self) -> Vec<(String, String, String)> {
        self.pairs.iter().map(|(key, value)| (key.clone(), value.clone(), "--set".to_owned())).collect()
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is wanted")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// Runs what the command line asks for.
pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    // What scripts of RocketMQ get for a wrong option; elsewhere 2, as usual.
    let wrong = if words.get(1).is_some_and(|role| role == "broker" || role == "namesrv") { 1 } else { 2 };
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(wrong),
            };
        }
    };
    match cli.role {
        RoleCommand::Standalone(args) => standalone(args),
        RoleCommand::Namesrv(args) => namesrv(&args),
        RoleCommand::Broker(args) => broker(&args),
        RoleCommand::Console(args) => console(&args),
        RoleCommand::Admin { args } => admin::run(args),
        RoleCommand::Migrate { what: MigrateCommand::Check { dir, config_file } } => {
            migrate::check(&dir, config_file.as_deref())
        }
        RoleCommand::Store { what } => store_tool::run(what),
        RoleCommand::Shutdown { role, timeout } => serve::shutdown::run(role.as_deref(), Duration::from_secs(timeout)),
        RoleCommand::Completion { shell } => print(&completion(shell)),
        RoleCommand::Docs { page: Page::Config } => print(&docs::page()),
        RoleCommand::Docs { page: Page::Protocol } => print(&protocol::page()),
        RoleCommand::Docs { page: Page::Man } => print(&manual()),
    }
}

/// The manual page of the binary: what it is, its roles, and the options of each.
fn manual() -> String {
    let command = Cli::command();
    let mut page = Vec::new();
    let mut all = clap_mangen::Man::new(command.clone()).render(&mut page);
    for role in command.get_subcommands().filter(|role| !role.is_hide_set()) {
        let title = format!(".SH \"KEROLOX {}\"\n", role.get_name().to_uppercase());
        let named = role.clone().bin_name(format!("kerolox {}", role.get_name()));
        page.extend(title.as_bytes());
        let mut part = Vec::new();
        let man = clap_mangen::Man::new(named);
        all = all
            .and_then(|()| man.render_synopsis_section(&mut part))
            .and_then(|()| man.render_description_section(&mut part))
            .and_then(|()| man.render_options_section(&mut part));
        // Sections of their own would stand on one level with the role.
        page.extend(String::from_utf8_lossy(&part).replace(".SH ", ".SS ").as_bytes());
    }
    page.extend(
        b".SH \"SEE ALSO\"\nmqnamesrv, mqbroker, mqadmin and mqshutdown take the options of RocketMQ's. \
          mqadmin alone lists its commands.\n",
    );
    // Writing into memory cannot fail.
    all.map_or_else(|why| why.to_string(), |()| String::from_utf8_lossy(&page).into_owned())
}

fn standalone(args: StandaloneArgs) -> ExitCode {
    logging::start("warn");
    serve::standalone(&Standalone {
        data: args.data,
        file: args.config_file,
        listen: args.listen.to_string(),
        port: args.port,
        namesrv_port: args.namesrv_port,
        flags: args.set.flags(),
    })
}

fn namesrv(args: &NodeArgs) -> ExitCode {
    let given = args.given(Role::Namesrv);
    if args.print_all {
        return match roles::namesrv(&given) {
            Ok(ready) => print(&ready.settings.as_properties()),
            Err(problems) => serve::tell("name server", &problems.into()),
        };
    }
    logging::start("info");
    args.tell_strays();
    serve::namesrv(&given)
}

fn console(args: &NodeArgs) -> ExitCode {
    let mut given = args.given(Role::Console);
    if let Some(addresses) = &args.namesrv_addr {
        given.flags.push(("namesrvAddr".to_owned(), addresses.clone(), "-n".to_owned()));
    }
    if args.print_all {
        return match roles::console(&given) {
            Ok(ready) => print(&ready.settings.all_as_properties()),
            Err(problems) => serve::tell("console", &problems.into()),
        };
    }
    logging::start("warn");
    args.tell_strays();
    serve::console(&given)
}

fn broker(args: &BrokerArgs) -> ExitCode {
    let mut given = args.node.given(Role::Broker);
    if let Some(addresses) = &args.node.namesrv_addr {
        given.flags.push(("namesrvAddr".to_owned(), addresses.clone(), "-n".to_owned()));
    }
    let text = match (args.node.print_all, args.print_important) {
        (true, _) => Settings::as_properties,
        (false, true) => Settings::important_properties,
        (false, false) => {
            logging::start("info");
            args.node.tell_strays();
            return serve::broker(&given);
        }
    };
    match roles::broker(&given) {
        Ok(ready) => print(&text(&ready.settings)),
        Err(problems) => serve::tell("broker", &problems.into()),
    }
}

impl NodeArgs {
    fn tell_strays(&self) {
        for word in &self.strays {
            tracing::warn!("{word} is no option and has no effect, as in RocketMQ: a key is set with --set {word}");
        }
    }

    fn given(&self, role: Role) -> Given {
        Given { file: self.config_file.clone(), flags: self.set.flags(), ..Given::here(role) }
    }
}

fn completion(shell: Shell) -> String {
    let mut script = Vec::new();
    let mut kerolox = Cli::command().mut_subcommand("admin", |_| admin::definition("admin"));
    clap_complete::generate(shell, &mut kerolox, "kerolox", &mut script);
    clap_complete::generate(shell, &mut admin::definition("mqadmin"), "mqadmin", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_manual_has_every_role_and_its_options() {
        let page = manual();
        for part in [".TH kerolox 1", ".SH \"KEROLOX BROKER\"", "\\-\\-configFile", ".SH \"KEROLOX MIGRATE\""] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("KEROLOX DOCS"));
    }

    #[test]
    fn long_and_short_names_of_rocketmq_are_taken() {
        for words in [
            "kerolox broker -c a.conf -n h:1 -p -m",
            "kerolox broker --configFile a.conf --namesrvAddr h:1 --printConfigItem --printImportantConfig",
        ] {
            let cli = Cli::try_parse_from(words.split(' ')).unwrap();
            let RoleCommand::Broker(args) = cli.role else { panic!("{words}") };
            assert!(args.node.print_all && args.print_important && args.node.config_file.is_some());
            assert_eq!(args.node.namesrv_addr.as_deref(), Some("h:1"));
        }
    }

    #[test]
    fn words_for_the_admin_tool_pass_unread() {
        let cli = Cli::try_parse_from(["kerolox", "admin", "updateTopic", "-h", "-n", "x", "--help"]).unwrap();
        let RoleCommand::Admin { args } = cli.role else { panic!("no admin") };
        assert_eq!(args, ["updateTopic", "-h", "-n", "x", "--help"]);
        let RoleCommand::Admin { args } = Cli::try_parse_from(["kerolox", "admin", "-h"]).unwrap().role else {
            panic!()
        };
        assert_eq!(args, ["-h"]);
    }
}
