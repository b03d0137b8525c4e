//! What an operator sees of the binary: lines, sentences and exit codes.

#![allow(clippy::unwrap_used, reason = "this file is a test, helpers and all")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use common::{free_port, kerolox};

/// Longest time for a node to say or do something.
const PATIENCE: Duration = Duration::from_secs(30);

fn run(home: &Path, words: &[&str]) -> Output {
    kerolox(home).args(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn conf(home: &Path, text: &str) -> PathBuf {
    let path = home.join("node.conf");
    fs::write(&path, text).unwrap();
    path
}

/// What bash offers for the last of the words, by the script that `kerolox completion bash` prints.
fn offered(home: &Path, words: &[&str]) -> Vec<String> {
    let script = home.join("completion.bash");
    fs::write(&script, run(home, &["completion", "bash"]).stdout).unwrap();
    let (command, before, last) = (words[0], words[words.len() - 2], words[words.len() - 1]);
    let asked = format!(
        "source {}; COMP_WORDS=({}); COMP_CWORD={}; _{command} {command} '{last}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words.iter().map(|word| format!("'{word}' ")).collect::<String>(),
        words.len() - 1
    );
    let answer = Command::new("bash").arg("-c").arg(asked).output().unwrap();
    text(&answer.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn a_shell_completes_commands_and_options() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    assert_eq!(offered(home, &["mqadmin", "updateTopic"]), ["updateTopic", "updateTopicPerm"]);
    assert_eq!(offered(home, &["mqadmin", "topicStatus", "--to"]), ["--topic"]);
    assert_eq!(offered(home, &["mqadmin", "topicStatus", "-o", ""]), ["table", "json"]);
    assert_eq!(offered(home, &["kerolox", "admin", "consumeMessage", "--out"]), ["--output"]);
    for shell in ["zsh", "fish"] {
        let script = text(&run(home, &["completion", shell]).stdout);
        assert!(script.contains("updateTopicPerm") && script.contains("mqadmin"), "{shell}: {script}");
    }
}

/// A node whose output is read line by line; it is killed when the test ends.
struct Node {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Node {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (said, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).all(|line| said.send(line).is_ok()));
        Self { child, lines }
    }

    /// Reads on until a line begins like that, and returns it with all before it.
    fn wait_for(&self, beginning: &str) -> (Vec<String>, String) {
        let mut before = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.starts_with(beginning) => return (before, line),
                Ok(line) => before.push(line),
                Err(error) => panic!("no {beginning:?} ({error}) after {before:#?}"),
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn all_that_is_wrong_with_a_settings_file_is_told_at_once() {
    let home = tempfile::tempdir().unwrap();
    let file = conf(home.path(), "listenPort=99999\nflushDiskType=SYNC\nbrokerName=my broker\n");
    let output = run(home.path(), &["broker", "-c", file.to_str().unwrap()]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(255), "{told}");
    assert!(told.starts_with("The broker cannot start, 3 things are in the way:\n"), "{told}");
    for expected in [
        "  listenPort = \"99999\" is not allowed (",
        "node.conf, line 1); allowed: a whole number from 1 to 65535\n",
        "line 2); allowed: ASYNC_FLUSH, SYNC_FLUSH\n",
        "  brokerName = \"my broker\" is not allowed (",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn a_missing_file_and_a_bad_name_server_are_one_sentence_each() {
    let home = tempfile::tempdir().unwrap();
    for (role, what) in [("broker", "broker"), ("namesrv", "name server")] {
        let output = run(home.path(), &[role, "-c", "/nonexistent/x.conf"]);
        assert_eq!(output.status.code(), Some(255));
        let expected = format!("The {what} cannot start: cannot read the configuration file /nonexistent/x.conf: ");
        assert!(text(&output.stderr).starts_with(&expected), "{}", text(&output.stderr));
    }
    let output = run(home.path(), &["broker", "-n", "localhost"]);
    assert_eq!(output.status.code(), Some(253));
    assert_eq!(
        text(&output.stderr),
        "The broker cannot start: namesrvAddr = \"localhost\" is not allowed (option -n); allowed: host:port, several \
         joined by ;\n"
    );
}

#[test]
fn wrong_options_and_help_have_the_exit_codes_of_the_scripts() {
    let home = tempfile::tempdir().unwrap();
    let code = |words: &[&str]| run(home.path(), words).status.code();
    assert_eq!(code(&["broker", "--nonsense"]), Some(1));
    assert_eq!(code(&["namesrv", "-z"]), Some(1));
    assert_eq!(code(&["broker", "-p", "autoCreateTopicEnable=true"]), Some(0), "many guides have such a word");
    assert_eq!(code(&["broker", "-h"]), Some(0));
    assert_eq!(code(&["namesrv", "--help"]), Some(0));
    assert_eq!(code(&["--version"]), Some(0));
    assert_eq!(code(&["nonsense"]), Some(2));
    assert_eq!(code(&["standalone", "--port", "1"]), Some(2));
}

#[test]
fn settings_are_printed_with_the_last_source_winning_and_secrets_masked() {
    let home = tempfile::tempdir().unwrap();
    let file = conf(home.path(), "brokerName=of-file\nlistenPort=20911\ntls.server.keyPassword=hush\n");
    let mut command = kerolox(home.path());
    command.args(["broker", "-p", "-n", "a:1", "--set", "listenPort=30911", "-c", file.to_str().unwrap()]);
    let output = command.env("KEROLOX_BROKER_NAME", "of-env").env("NAMESRV_ADDR", "b:2").output().unwrap();
    let all = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for line in ["brokerName=of-file", "listenPort=30911", "namesrvAddr=a:1", "tls.server.keyPassword=******"] {
        assert!(all.lines().any(|found| found == line), "{line}: {all}");
    }
    assert!(all.lines().any(|line| line == format!("storePathRootDir={}/store", home.path().display())), "{all}");
    let short = text(&run(home.path(), &["broker", "-m"]).stdout);
    assert!(short.contains("brokerName=") && !short.contains("listenPort="), "{short}");
    assert!(text(&run(home.path(), &["namesrv", "-p"]).stdout).contains("listenPort=9876\n"));
}

#[test]
fn nothing_to_end_has_the_words_and_codes_of_the_script() {
    let home = tempfile::tempdir().unwrap();
    for (words, code, said) in [
        (&["shutdown", "broker"][..], 255, "No mqbroker running.\n"),
        (&["shutdown", "namesrv"], 255, "No mqnamesrv running.\n"),
        (&["shutdown"], 0, "Useage: mqshutdown broker | namesrv | standalone | console\n"),
    ] {
        let output = run(home.path(), words);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(code), said));
    }
}

#[test]
fn a_name_server_starts_warns_and_ends_when_mqshutdown_says_so() {
    let home = tempfile::tempdir().unwrap();
    let file = conf(home.path(), &format!("listenPort={}\nserverWorkerThreads=8\n", free_port()));
    let mut command = kerolox(home.path());
    command.args(["namesrv", "-c", file.to_str().unwrap()]).env("JAVA_OPT_EXT", "-Xmx1g");
    let mut node = Node::start(&mut command);
    let (before, _) = node.wait_for("The Name Server boot success. serializeType=JSON");
    let before = before.join("\n");
    for expected in ["serverWorkerThreads has no effect", "JAVA_OPT_EXT holds -Xmx1g", "checks no accounts"] {
        assert!(before.contains(expected), "{expected}: {before}");
    }
    let output = run(home.path(), &["shutdown", "namesrv"]);
    let (said, pid) = (text(&output.stdout), node.child.id());
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(
        said,
        format!(
            "The mqnamesrv({pid}) is running...\nSend shutdown request to mqnamesrv({pid}) OK\nThe mqnamesrv({pid}) has \
             ended.\n"
        )
    );
    assert_eq!(node.child.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_dir(home.path().join(".kerolox/run")).unwrap().count(), 0);
}

#[test]
fn a_standalone_node_is_ready_keeps_to_its_folder_and_ends_in_order() {
    let home = tempfile::tempdir().unwrap();
    let (port, namesrv_port) = (free_port().to_string(), free_port().to_string());
    let mut command = kerolox(home.path());
    command.args(["standalone", "--data", "data", "--port", &port, "--namesrv-port", &namesrv_port]);
    // Small files, so that the test needs no gigabyte of disk.
    let small = ["mappedFileSizeCommitLog=1048576", "maxMessageSize=65536", "maxHashSlotNum=1000", "maxIndexNum=4000"];
    command.args(small.iter().flat_map(|pair| ["--set", pair]));
    let mut node = Node::start(&mut command);
    let (before, line) = node.wait_for("The broker[");
    let expected = format!(
        "The broker[broker-a, 127.0.0.1:{port}] boot success. serializeType=JSON and name server is \
         127.0.0.1:{namesrv_port}"
    );
    assert_eq!(line, expected);
    assert_eq!(before, Vec::<String>::new(), "there is nothing to warn of");
    node.wait_for("Kerolox is ready");
    let hint = run(home.path(), &["shutdown", "broker"]);
    assert!(text(&hint.stdout).contains("mqshutdown standalone ends both"), "{}", text(&hint.stdout));
    assert_eq!(run(home.path(), &["shutdown", "standalone"]).status.code(), Some(0));
    assert_eq!(node.child.wait().unwrap().code(), Some(0));
    let data = home.path().join("data");
    assert!(data.join("broker.conf").is_file() && data.join("store/commitlog").is_dir());
    assert!(!data.join("store/abort").exists(), "it was shut down in order");
    assert!(!home.path().join("store").exists(), "nothing lies outside of the folder");
}

#[test]
fn a_taken_port_is_named() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let port = format!("listenPort={}", addr.port());
    let mut child = kerolox(home.path())
        .args(["namesrv", "--set", "bindAddress=127.0.0.1", "--set", &port])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(253), "{told}");
    assert!(told.starts_with(&format!("The name server cannot start: cannot listen on {addr}: ")), "{told}");
}

#[test]
fn the_example_settings_are_free_of_warnings() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf");
    let home = tempfile::tempdir().unwrap();
    let files = ["broker.conf", "2m-noslave/broker-a.properties", "2m-noslave/broker-b.properties"];
    for (role, file) in files.iter().map(|file| ("broker", *file)).chain([("namesrv", "namesrv.conf")]) {
        let path = conf.join(file);
        let output = run(home.path(), &[role, "-p", "-c", path.to_str().unwrap()]);
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{file}");
        assert!(fs::read_to_string(&path).unwrap().is_ascii(), "{file}: Java reads another encoding");
    }
}
