//! Name server and broker in one process, for one machine.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::reach::from_here;
use super::{Ending, Refused, broker, console, leave_word, namesrv, on_runtime, say, warn};
use crate::config::load::Given;
use crate::config::roles;
use crate::config::table::Role;

const WHAT: &str = "standalone node";
/// Port of the metrics where none is set: that of RocketMQ's exporter.
const METRICS_PORT: u16 = 5557;
/// First line of the settings file that a data folder gets.
const SETTINGS_HEAD: &str = "# Settings of this node, one KEY=VALUE a line; keys as in RocketMQ's broker.conf\n";

/// How to run both roles.
#[derive(Clone, Debug)]
pub(crate) struct Standalone {
    /// Folder of everything that is kept.
    pub(crate) data: PathBuf,
    /// Settings file in place of the one in that folder.
    pub(crate) file: Option<PathBuf>,
    /// Address to listen on.
    pub(crate) listen: String,
    /// Port of the broker.
    pub(crate) port: u16,
    /// Port of the name server.
    pub(crate) namesrv_port: u16,
    /// Values of the command line: key, value, flag.
    pub(crate) flags: Vec<(String, String, String)>,
}

/// Runs both until the process is asked to end.
pub(crate) fn run(how: &Standalone) -> ExitCode {
    on_runtime(WHAT, async {
        let mut ending = Ending::listen()?;
        let data = prepare(&how.data).map_err(|error| {
            Refused::start(format!("the data folder {} cannot be used: {error}", how.data.display()))
        })?;
        let given = how.namesrv(&data);
        let ready = roles::namesrv(&given)?;
        let file = how.settings_file(&data).map_err(Refused::start)?;
        // A broker whose settings are wrong must not leave a name server for a moment.
        roles::broker(&how.broker(&data, file.clone(), "127.0.0.1:1".to_owned()))?;
        let _word = leave_word("standalone");
        warn(&ready.warnings);
        let name_server = namesrv::start(&ready, &given)?;
        let at = SocketAddr::new(from_here(name_server.local_addr().ip()), name_server.local_addr().port());
        let ready = roles::broker(&how.broker(&data, file, at.to_string()))?;
        warn(&ready.warnings);
        let running = ending.unless_asked(broker::start(&ready, Some(name_server.watch()))).await?;
        let console = console::beside(&ready.typed, at).await?;
        running.boast();
        say(next_steps(at, &data, &program()));
        if let Some(console) = &console {
            say(console::invitation(console));
        }
        ending.asked().await;
        ending
            .during(async {
                if let Some(console) = console {
                    console.shutdown().await;
                }
                running.shutdown().await;
                name_server.shutdown().await;
            })
            .await;
        Ok(())
    })
}

impl Standalone {
    fn namesrv(&self, data: &Path) -> Given {
        let mut given = Given::here(Role::Namesrv);
        given.presets = vec![
            ("listenPort", self.namesrv_port.to_string()),
            ("bindAddress", self.listen.clone()),
            ("kvConfigPath", text(&data.join("namesrv/kvConfig.json"))),
        ];
        // The file and the flags are the broker's, whose port is another.
        given.variables.retain(|(name, _)| !name.starts_with("KEROLOX_LISTEN_PORT"));
        given
    }

    fn broker(&self, data: &Path, file: PathBuf, name_server: String) -> Given {
        let mut given = Given::here(Role::Broker);
        given.presets = vec![
            ("listenPort", self.port.to_string()),
            ("bindAddress", self.listen.clone()),
            ("brokerName", "broker-a".to_owned()),
            ("metricsPort", METRICS_PORT.to_string()),
            ("consoleDataDir", text(&data.join("console"))),
            ("storePathRootDir", text(&data.join("store"))),
            ("storePathCommitLog", text(&data.join("store/commitlog"))),
        ];
        given.file = Some(file);
        given.flags.clone_from(&self.flags);
        given.flags.push(("namesrvAddr".to_owned(), name_server, "standalone".to_owned()));
        given
    }

    /// The settings file, made when it is the folder's own: changes by an administrator are kept there.
    fn settings_file(&self, data: &Path) -> Result<PathBuf, String> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let path = data.join("broker.conf");
        match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => io::Write::write_all(&mut file, SETTINGS_HEAD.as_bytes()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
        .map_err(|error| format!("the settings file {} cannot be made: {error}", path.display()))?;
        Ok(path)
    }
}

/// Makes the folder, and its path absolute.
fn prepare(data: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(data)?;
    fs::canonicalize(data)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// How the operator can call the admin tool from where this process was started.
fn program() -> String {
    if Path::new("bin/mqadmin").is_file() {
        return "bin/mqadmin".to_owned();
    }
    let own = std::env::args_os().next().map_or_else(|| "kerolox".to_owned(), |own| own.to_string_lossy().into_owned());
    format!("{own} admin")
}

/// What to do with a node that has just begun.
fn next_steps(name_server: SocketAddr, data: &Path, admin: &str) -> String {
    format!(
        "\nKerolox is ready, with its data in {data}. In another terminal:\n\n  \
         export NAMESRV_ADDR={name_server}\n  \
         {admin} updateTopic -c DefaultCluster -t TopicTest\n  \
         {admin} sendMessage -t TopicTest -p \"Hello Kerolox\" -k order-1\n  \
         {admin} consumeMessage -t TopicTest\n\n\
         RocketMQ 4.x clients take the name-server address {name_server}. Ctrl-C ends this node in good order.",
        data = data.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(data: &Path) -> Standalone {
        Standalone {
            data: data.to_owned(),
            file: None,
            listen: "127.0.0.1".to_owned(),
            port: 40_911,
            namesrv_port: 49_876,
            flags: vec![],
        }
    }

    #[test]
    fn everything_lies_below_the_data_folder_and_on_loopback() {
        let dir = tempfile::tempdir().unwrap();
        let data = prepare(&dir.path().join("new/data")).unwrap();
        let how = how(&data);
        let file = how.settings_file(&data).unwrap();
        assert_eq!(how.settings_file(&data).unwrap(), file, "made once");
        let broker = roles::broker(&how.broker(&data, file, "127.0.0.1:49876".to_owned())).unwrap().typed;
        assert!(broker.store.store_path_root_dir.starts_with(&data));
        assert!(broker.store.store_path_commit_log.starts_with(&data));
        assert_eq!((broker.server.listen_port, broker.server.bind_address.as_str()), (40_911, "127.0.0.1"));
        assert_eq!(broker.broker.broker_ip1, "127.0.0.1");
        assert_eq!(broker.broker.namesrv_addr, "127.0.0.1:49876");
        let namesrv = roles::namesrv(&how.namesrv(&data)).unwrap().typed;
        assert_eq!((namesrv.server.listen_port, namesrv.server.bind_address.as_str()), (49_876, "127.0.0.1"));
        assert!(namesrv.namesrv.kv_config_path.starts_with(&data));
    }

    #[test]
    fn a_settings_file_in_the_folder_counts() {
        let dir = tempfile::tempdir().unwrap();
        let how = how(dir.path());
        fs::write(dir.path().join("broker.conf"), "fileReservedTime=48\n").unwrap();
        let file = how.settings_file(dir.path()).unwrap();
        let broker = roles::broker(&how.broker(dir.path(), file, "127.0.0.1:1".to_owned())).unwrap().typed;
        assert_eq!(broker.store.file_reserved_time, 48);
    }
}
