//! The web console over HTTP, against a standalone node: who gets in, what is refused, and what pages are told.

#![allow(clippy::unwrap_used, reason = "this file is a test, helpers and all")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use common::{free_port, kerolox};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse";

/// A process with a console; killed when the test ends.
struct Node {
    child: Child,
    port: u16,
    said: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    /// Starts it; the first start of a folder without a password in the settings prints one.
    fn start(home: &Path, words: &[&str], first: bool) -> Self {
        let port = free_port();
        let setting = format!("consolePort={port}");
        let mut command = kerolox(home);
        command.args(words).args(["--set", &setting]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("The console is at") {
            assert!(lines.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        if first {
            for _ in 0..2 {
                lines.read_line(&mut said).unwrap();
            }
        }
        Self { child, port, said }
    }

    /// A standalone node whose administrator has [`PASSWORD`].
    fn standalone(home: &Path) -> Self {
        let (port, name_server) = (free_port().to_string(), free_port().to_string());
        let password = format!("consolePassword={PASSWORD}");
        let words = ["standalone", "--port", &port, "--namesrv-port", &name_server, "--set", &password];
        Self::start(home, &words, false)
    }

    fn raw(&self, request: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // A server that refuses early may close before all is written.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Reply { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", self.port);
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        self.raw((request + "\r\n" + body).as_bytes())
    }

    fn try_login(&self, user: &str, password: &str) -> Reply {
        self.ask("POST", "/api/login", &[], &json!({ "user": user, "password": password }).to_string())
    }

    fn login(&self, user: &str, password: &str) -> Visitor<'_> {
        let reply = self.try_login(user, password);
        assert_eq!(reply.status, 200, "{}", reply.body);
        let cookie = reply.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().to_owned();
        assert!(cookie.contains("httponly") && cookie.contains("samesite=strict") && cookie.contains("path=/"));
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Visitor { node: self, cookie, csrf: reply.json()["csrf"].as_str().unwrap().to_owned() }
    }
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {}", self.body))
    }

    fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

struct Visitor<'a> {
    node: &'a Node,
    cookie: String,
    csrf: String,
}

impl Visitor<'_> {
    fn get(&self, path: &str) -> Reply {
        self.node.ask("GET", path, &[("Cookie", &self.cookie)], "")
    }

    fn change(&self, method: &str, path: &str, body: &Value) -> Reply {
        let headers = [("Cookie", self.cookie.as_str()), ("X-CSRF-Token", self.csrf.as_str())];
        self.node.ask(method, path, &headers, &body.to_string())
    }

    /// Asks until the answer is as wanted: registration and dispatch take a moment.
    fn until(&self, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..100 {
            let reply = self.get(path);
            if reply.status == 200 && fits(&reply.json()) {
                return reply.json();
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
        let reply = self.get(path);
        panic!("{path}: {} {}", reply.status, reply.body);
    }
}

#[test]
fn the_first_password_is_printed_once_and_opens_the_console() {
    let home = tempfile::tempdir().unwrap();
    let start = |first| {
        let (port, name_server) = (free_port().to_string(), free_port().to_string());
        Node::start(home.path(), &["standalone", "--port", &port, "--namesrv-port", &name_server], first)
    };
    let node = start(true);
    let password = node.said.lines().find_map(|line| line.trim().strip_prefix("password ")).unwrap().trim().to_owned();
    assert!(password.len() >= 20, "{}", node.said);
    // Waits for the hash to be kept.
    let admin = node.login("admin", &password);
    assert_eq!(admin.get("/api/session").json()["role"], "admin");
    drop(node);
    let kept = std::fs::read_to_string(home.path().join("kerolox-data/console/accounts.json")).unwrap();
    assert!(kept.contains("$argon2id$") && !kept.contains(&password));
    let again = start(false);
    assert!(!again.said.contains("password  "), "{}", again.said);
    again.login("admin", &password);
}

#[test]
fn nobody_gets_in_without_the_password_and_guessing_is_slow() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::standalone(home.path());
    for path in ["/api/session", "/api/topics", "/api/brokers", "/api/live", "/api/audit", "/api/messages/body?id=x"] {
        let reply = node.ask("GET", path, &[], "");
        assert_eq!(reply.status, 401, "{path}");
        let reply =
            node.ask("GET", path, &[("Cookie", &format!("kerolox-session-{}={}", node.port, "0".repeat(64)))], "");
        assert_eq!(reply.status, 401, "{path}");
    }
    assert_eq!(node.ask("POST", "/api/topics/a/send", &[], "{}").status, 401);
    assert_eq!(node.ask("GET", "/healthz", &[], "").status, 200);
    assert_eq!(node.ask("GET", "/readyz", &[], "").status, 200);
    let (wrong, unknown) = (node.try_login("admin", "wrong"), node.try_login("nobody", "wrong"));
    assert_eq!((wrong.status, unknown.status), (401, 401));
    assert_eq!(wrong.body, unknown.body, "it must not tell which part was wrong");
    for _ in 0..4 {
        assert_eq!(node.try_login("admin", "wrong").status, 401);
    }
    let refused = node.try_login("admin", PASSWORD);
    assert_eq!(refused.status, 429, "the sixth try waits, right or not");
    assert_eq!(node.try_login("nobody", "wrong").status, 401, "the failures of an account keep no other out");
    assert!(refused.head.contains("retry-after: ") && refused.error().contains("try again in"));
}

#[test]
fn changes_need_the_token_the_origin_and_the_role() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::standalone(home.path());
    let admin = node.login("admin", PASSWORD);
    let body = json!({ "readQueues": 4, "writeQueues": 4, "perm": 6 }).to_string();
    let cookie = ("Cookie", admin.cookie.as_str());
    let forged = "0".repeat(64);
    let token = ("X-CSRF-Token", admin.csrf.as_str());
    for headers in [
        vec![cookie],
        vec![cookie, ("X-CSRF-Token", &forged)],
        vec![cookie, token, ("Origin", "http://evil.example")],
        vec![cookie, token, ("Sec-Fetch-Site", "cross-site")],
    ] {
        let reply = node.ask("PUT", "/api/topics/forged", &headers, &body);
        assert_eq!(reply.status, 403, "{headers:?} {}", reply.body);
    }
    let cross_login = json!({ "user": "admin", "password": PASSWORD }).to_string();
    let reply = node.ask("POST", "/api/login", &[("Origin", "http://evil.example")], &cross_login);
    assert_eq!(reply.status, 403);
    assert!(!reply.head.contains("access-control-allow"));
    let reply = node.ask("OPTIONS", "/api/topics/x", &[("Origin", "http://evil.example")], "");
    assert!(!reply.head.contains("access-control-allow"));
    assert_eq!(
        admin.change("PUT", "/api/accounts/eve", &json!({ "role": "read-only", "password": "long enough" })).status,
        200
    );
    let eve = node.login("eve", "long enough");
    assert_eq!(eve.get("/api/topics").status, 200);
    for (method, path) in [
        ("PUT", "/api/topics/x"),
        ("DELETE", "/api/topics/x"),
        ("POST", "/api/groups/g/reset"),
        ("PUT", "/api/accounts/eve"),
    ] {
        assert_eq!(
            eve.change(method, path, &json!({ "role": "admin", "password": "long enough" })).status,
            403,
            "{path}"
        );
    }
    assert_eq!(eve.get("/api/audit").status, 403);
    assert_eq!(eve.get("/api/accounts").status, 403);
    assert_eq!(admin.change("DELETE", "/api/accounts/admin", &json!({})).status, 409);
    let other = node.login("eve", "long enough");
    assert_eq!(eve.change("POST", "/api/password", &json!({ "old": "nope", "new": "even longer" })).status, 403);
    assert_eq!(eve.change("POST", "/api/password", &json!({ "old": "long enough", "new": "even longer" })).status, 200);
    assert_eq!((eve.get("/api/topics").status, other.get("/api/topics").status), (200, 401));
    assert_eq!(eve.change("POST", "/api/logout", &json!({})).status, 200);
    assert_eq!(eve.get("/api/topics").status, 401);
    let log = admin.get("/api/audit?search=eve").json();
    let actions: Vec<&str> = log["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert!(actions.contains(&"PUT /api/accounts/eve") && actions.contains(&"POST /api/password"), "{actions:?}");
    assert!(!log.to_string().contains("long enough"), "secrets stay out of the log");
}

#[test]
fn what_is_too_large_or_makes_no_sense_is_refused_in_words() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::standalone(home.path());
    let admin = node.login("admin", PASSWORD);
    let large = json!({ "readQueues": 4, "writeQueues": 4, "perm": 6, "brokers": ["x".repeat(100_000)] });
    assert_eq!(admin.change("PUT", "/api/topics/x", &large).status, 413);
    assert_eq!(node.ask("POST", "/api/login", &[], &"x".repeat(100_000)).status, 413);
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(200_000));
    assert_eq!(node.raw(head.as_bytes()).status, 431);
    assert_eq!(node.raw(b"\x16\x03\x01 no http at all\r\n\r\n").status, 400);
    for (path, status) in [
        ("/api/topics/no%20such%20name", 404),
        ("/api/topics/no%5Csuch", 400),
        ("/api/topics/..%2f..%2fetc", 400),
        ("/api/topics/absent", 404),
        ("/api/groups/absent", 404),
        ("/api/brokers/absent/0", 404),
        ("/api/nothing", 404),
        ("/api/messages?topic=absent", 404),
        ("/api/messages?topic=TBW102&cursor=junk", 400),
        ("/api/messages?topic=TBW102&fromMs=2&toMs=1", 400),
        ("/api/messages/by-id?id=nonsense", 400),
        ("/..%2f..%2fCargo.toml", 404),
        ("/%2e%2e/accounts.json", 404),
    ] {
        let reply = admin.get(path);
        assert_eq!(reply.status, status, "{path}: {}", reply.body);
        assert!(reply.head.contains("content-security-policy: default-src 'none'"), "{path}");
        assert!(reply.head.contains("x-content-type-options: nosniff"), "{path}");
    }
    // An id names an address: only those of the cluster are asked.
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    let id = format!("7F000001{:08X}{:016X}", stranger.local_addr().unwrap().port(), 0);
    assert_eq!(admin.get(&format!("/api/messages/by-id?id={id}")).status, 400);
    assert!(stranger.accept().is_err(), "the console connected to an address from an id");
    for body in [
        json!({ "readQueues": 0, "writeQueues": 4, "perm": 6 }),
        json!({ "readQueues": 4, "writeQueues": 99_999, "perm": 6 }),
        json!({ "readQueues": 4, "writeQueues": 4, "perm": 7 }),
    ] {
        let reply = admin.change("PUT", "/api/topics/x", &body);
        assert_eq!(reply.status, 400);
        assert!(reply.error().contains("allowed: "), "{}", reply.body);
    }
    let config =
        admin.change("PUT", "/api/brokers/broker-a/0/config", &json!({ "key": "storePathRootDir", "value": "/x" }));
    assert_eq!(config.status, 400);
    assert_eq!(admin.change("DELETE", "/api/topics/TBW102", &json!({})).status, 409);
}

#[test]
fn a_topic_lives_through_the_console() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::standalone(home.path());
    let admin = node.login("admin", PASSWORD);
    let put = json!({ "readQueues": 4, "writeQueues": 4, "perm": 6 });
    assert_eq!(admin.change("PUT", "/api/topics/orders", &put).status, 200);
    admin.until("/api/topics?search=ORD", |page| page["total"] == 1);
    assert_eq!(admin.change("PUT", "/api/topics/orders", &put).status, 409, "creating is not replacing");
    let page = node.ask("GET", "/topics/orders", &[], "");
    assert!(page.status == 200 && page.body.contains("<script type=\"module\" src=\"/app.js\">"));
    let evil = "<img src=x onerror=alert(1)>";
    for i in 0..5 {
        let sent = admin.change(
            "POST",
            "/api/topics/orders/send",
            &json!({
                "body": format!("{evil}{i}"), "tags": "A", "keys": format!("k{i}"), "properties": { "colour": "red" },
            }),
        );
        assert_eq!(sent.json()["status"], "SEND_OK", "{}", sent.body);
    }
    let list = admin.until("/api/messages?topic=orders&size=2", |list| list["left"] == 5);
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let mut seen: Vec<String> = Vec::new();
    let mut path = "/api/messages?topic=orders&size=2".to_owned();
    loop {
        let page = admin.get(&path).json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|m| m["keys"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["cursor"].as_str() else { break };
        let cursor: String = cursor.bytes().map(|byte| format!("%{byte:02X}")).collect();
        path = format!("/api/messages?topic=orders&size=2&cursor={cursor}");
    }
    seen.sort();
    assert_eq!(seen, ["k0", "k1", "k2", "k3", "k4"], "pages cover all and overlap nowhere");
    let found =
        admin.until("/api/messages/by-key?topic=orders&key=k3", |list| list["items"].as_array().unwrap().len() == 1);
    let id = found["items"][0]["offsetId"].as_str().unwrap();
    let whole = admin.get(&format!("/api/messages/by-id?id={id}"));
    assert!(whole.head.contains("content-type: application/json"));
    assert_eq!(whole.json()["text"], format!("{evil}3"));
    let unique = found["items"][0]["id"].as_str().unwrap();
    assert_eq!(admin.get(&format!("/api/messages/by-id?topic=orders&id={unique}")).json()["offsetId"], id);
    let body = admin.get(&format!("/api/messages/body?id={id}"));
    assert!(body.head.contains("application/octet-stream") && body.head.contains("attachment"));
    let group =
        json!({ "consumeEnable": true, "consumeBroadcastEnable": false, "retryMaxTimes": 3, "retryQueueNums": 1 });
    assert_eq!(admin.change("PUT", "/api/groups/billing", &group).status, 200);
    let reset = admin.change("POST", "/api/groups/billing/reset", &json!({ "topic": "orders", "to": "begin" }));
    assert_eq!(reset.json()["queues"].as_array().map(Vec::len), Some(4), "{}", reset.body);
    let told = admin.until("/api/groups/billing", |told| told["queues"].as_array().is_some_and(|q| q.len() == 4));
    let lag: i64 = told["queues"].as_array().unwrap().iter().map(|queue| queue["lag"].as_i64().unwrap()).sum();
    assert_eq!(lag, 5);
    assert!(told["queues"].as_array().unwrap().iter().all(|q| q["delayMs"].is_i64()), "{told}");
    assert_eq!(told["settings"]["broker-a"]["retryMaxTimes"], 3);
    assert_eq!(admin.get("/api/groups").json()["items"][0]["lag"], 5);
    let skip = admin.change("POST", "/api/groups/billing/reset", &json!({ "topic": "orders", "to": "end" }));
    assert_eq!(skip.status, 200, "{}", skip.body);
    admin.until("/api/groups", |list| list["items"][0]["lag"] == 0);
    let set = admin.change("PUT", "/api/brokers/broker-a/0/config", &json!({ "key": "traceOn", "value": "false" }));
    assert_eq!(set.status, 200, "{}", set.body);
    let broker = admin.get("/api/brokers/broker-a/0").json();
    assert_eq!(
        (&broker["config"]["traceOn"], &broker["config"]["consolePassword"]),
        (&json!("false"), &json!("******"))
    );
    assert_eq!(admin.change("DELETE", "/api/groups/billing", &json!({})).status, 200);
    assert_eq!(admin.change("DELETE", "/api/topics/orders", &json!({})).status, 200);
    admin.until("/api/topics?search=orders", |page| page["total"] == 0);
}

#[test]
fn dead_letters_are_replayed_to_the_group() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::standalone(home.path());
    let admin = node.login("admin", PASSWORD);
    let put = json!({ "readQueues": 1, "writeQueues": 1, "perm": 6 });
    for topic in ["orders", "%25DLQ%25billing", "%25RETRY%25billing"] {
        assert_eq!(admin.change("PUT", &format!("/api/topics/{topic}"), &put).status, 200);
    }
    admin.until("/api/dead-letters", |page| page["total"] == 1);
    let sent = admin.change("POST", "/api/topics/%25DLQ%25billing/send", &json!({ "body": "lost", "keys": "k" }));
    let id = sent.json()["offsetId"].as_str().unwrap().to_owned();
    let stranger = admin.change("POST", "/api/topics/orders/send", &json!({ "body": "no dead letter" }));
    let stranger = stranger.json()["offsetId"].as_str().unwrap().to_owned();
    admin.until("/api/messages?topic=%25DLQ%25billing", |list| list["left"] == 1);
    let replay =
        admin.change("POST", "/api/dead-letters/billing/replay", &json!({ "ids": [id, stranger], "to": "group" }));
    let told = replay.json();
    assert_eq!(told["sent"], 1, "{told}");
    assert!(told["items"][1]["error"].as_str().unwrap().contains("is no dead letter of [billing]"));
    let list = admin.until("/api/messages?topic=%25RETRY%25billing", |list| list["left"] == 1);
    assert_eq!(list["items"][0]["keys"], "k");
    let file = admin.get("/api/dead-letters/billing/export");
    assert!(file.head.contains("attachment") && file.body.contains("\"bodyBase64\":\"bG9zdA==\""), "{}", file.body);
    assert_eq!(
        admin.change("POST", "/api/dead-letters/billing/replay", &json!({ "ids": [], "to": "group" })).status,
        400
    );
}

#[test]
fn large_dead_letters_are_all_listed_and_replayed() {
    const LETTERS: usize = 12;
    let home = tempfile::tempdir().unwrap();
    let node = Node::standalone(home.path());
    let admin = node.login("admin", PASSWORD);
    let put = json!({ "readQueues": 1, "writeQueues": 1, "perm": 6 });
    for topic in ["%25DLQ%25billing", "%25RETRY%25billing"] {
        assert_eq!(admin.change("PUT", &format!("/api/topics/{topic}"), &put).status, 200);
    }
    admin.until("/api/dead-letters", |page| page["total"] == 1);
    // An answer to a pull has room for one of them.
    let letter = json!({ "body": "x".repeat(300_000) });
    for _ in 0..LETTERS {
        let sent = admin.change("POST", "/api/topics/%25DLQ%25billing/send", &letter);
        assert_eq!(sent.json()["status"], "SEND_OK", "{}", sent.body);
    }
    let mut path = "/api/messages?topic=%25DLQ%25billing&size=64".to_owned();
    admin.until(&path, |list| list["left"] == LETTERS);
    let mut listed = 0;
    loop {
        let page = admin.get(&path).json();
        listed += page["items"].as_array().unwrap().len();
        let Some(cursor) = page["cursor"].as_str() else { break };
        let cursor: String = cursor.bytes().map(|byte| format!("%{byte:02X}")).collect();
        path = format!("/api/messages?topic=%25DLQ%25billing&size=64&cursor={cursor}");
    }
    assert_eq!(listed, LETTERS);
    let begun = json!({ "to": "group", "perSecond": 1_000 });
    assert_eq!(admin.change("POST", "/api/dead-letters/billing/run", &begun).status, 200);
    let told = admin.until("/api/dead-letters/billing/run", |told| told["run"]["state"] == "done");
    assert_eq!(told["run"]["sent"], LETTERS, "{told}");
    admin.until("/api/messages?topic=%25RETRY%25billing", |list| list["left"] == LETTERS);
}

#[test]
fn without_a_cluster_pages_say_what_is_wrong() {
    let home = tempfile::tempdir().unwrap();
    let away = format!("127.0.0.1:{}", free_port());
    let password = format!("consolePassword={PASSWORD}");
    let node = Node::start(home.path(), &["console", "-n", &away, "--set", &password], false);
    assert_eq!(node.ask("GET", "/healthz", &[], "").status, 200);
    assert_eq!(node.ask("GET", "/readyz", &[], "").status, 503);
    let admin = node.login("admin", PASSWORD);
    let reply = admin.get("/api/topics");
    assert_eq!(reply.status, 502);
    assert!(reply.error().contains(&away), "{}", reply.body);
}
