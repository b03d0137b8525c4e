//! Access control at the wire: who is let in, what they may do, and how the accounts change.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::{Path, PathBuf};

use common::*;
use kerolox_net::signature::Credentials;
use kerolox_store::disk::Disk;
use kerolox_wire::body::{AclConfig, ConsumerData, HeartbeatData, Style, from_json, to_json};
use kerolox_wire::command::admin::{AccessKeyRef, AclVersionResult, GlobalWhiteAddrs, UpdateAccessConfig};
use kerolox_wire::command::pull::ViewMessage;
use kerolox_wire::command::send::{EndTransaction, SendMessage, SendResult};
use kerolox_wire::command::{COMMANDS, Call, NoFields, RequestCode, Served, call};
use kerolox_wire::frame::Frame;
use kerolox_wire::id::MessageId;
use kerolox_wire::response::ResponseCode;
use kerolox_wire::sys_flag::COMMIT;

const FILE: &str = "
globalWhiteRemoteAddresses:
accounts:
- accessKey: someuser
  secretKey: 12345678
  topicPerms: [open=PUB|SUB, readonly=SUB, closed=DENY]
  groupPerms: [reader=SUB, denied=DENY]
- accessKey: administrator
  secretKey: 87654321
  admin: true
unknown: kept
";
const PATH: &str = "/conf/plain_acl.yml";

fn account(name: &str, secret: &str) -> Credentials {
    Credentials { access_key: name.to_owned(), secret_key: secret.to_owned() }
}

fn user() -> Credentials {
    account("someuser", "12345678")
}

fn admin() -> Credentials {
    account("administrator", "87654321")
}

fn signed<C: Call>(by: &Credentials, header: &C::Request, body: impl Into<bytes::Bytes>) -> Frame {
    let mut frame = request::<C>(header, body);
    by.sign(&mut frame);
    frame
}

fn setup(text: &str) -> (Setup, impl Fn(&str)) {
    let (mut setup, disk) = Setup::simulated();
    disk.create_dir_all(Path::new("/conf")).unwrap();
    disk.write_file_atomic(Path::new(PATH), text.as_bytes()).unwrap();
    setup.accounts = Some(PathBuf::from(PATH));
    (setup, move |text: &str| disk.write_file_atomic(Path::new(PATH), text.as_bytes()).unwrap())
}

fn denied(answer: &Frame, why: &str) {
    refused(answer, ResponseCode::SYSTEM_ERROR, why);
    refused(answer, ResponseCode::SYSTEM_ERROR, "AclException");
}

const STRANGER: &str = "authentication failed";

#[tokio::test]
async fn who_cannot_prove_an_account_hears_one_text_for_every_command() {
    let (setup, _) = setup(FILE);
    let node = setup.start().await;
    let client = node.client();
    for spec in COMMANDS.iter().filter(|c| matches!(c.served, Served::Broker | Served::BrokerAndClient)) {
        let value = |kind: &str| if kind.starts_with('i') { "0" } else { "open" };
        let fields: Vec<_> = spec.request.fields.iter().map(|field| (field.name, value(field.kind))).collect();
        denied(&client.call(spec.code, &fields, "").await, STRANGER);
    }
    denied(&client.call(RequestCode(4711), &[], "").await, STRANGER);
    let send = message("open", 0);
    for stranger in [account("someuser", "12345679"), account("nobodyknows", "12345678"), account("", "")] {
        denied(&client.exchange(signed::<call::SendMessage>(&stranger, &send, "m")).await, STRANGER);
    }
    let mut changed = signed::<call::SendMessage>(&user(), &send, "m");
    changed.body = "n".into();
    denied(&client.exchange(changed).await, STRANGER);
    node.stop().await;
}

#[tokio::test]
async fn permissions_on_topics_and_groups_count() {
    let (setup, _) = setup(FILE);
    let node = setup.start().await;
    let client = node.client();
    ok(&client.exchange(signed::<call::SendMessage>(&user(), &message("open", 0), "m")).await);
    ok(&client.exchange(signed::<call::SendMessageV2>(&user(), &message("open", 0), "m")).await);
    let batch = batch_body(&[("x", "")]);
    for name in ["readonly", "closed", "other"] {
        let why = format!("No default permission for topic:{name}");
        denied(&client.exchange(signed::<call::SendMessage>(&user(), &message(name, 0), "m")).await, &why);
        denied(&client.exchange(signed::<call::SendMessageV2>(&user(), &message(name, 0), "m")).await, &why);
        denied(&client.exchange(signed::<call::SendBatch>(&user(), &message(name, 0), batch.clone())).await, &why);
        denied(&client.exchange(signed::<call::SendReply>(&user(), &message(name, 0), "m")).await, &why);
        ok(&client.exchange(signed::<call::SendMessage>(&admin(), &message(name, 0), "m")).await);
    }
    let read = |group: &str, topic: &str| signed::<call::PullMessage>(&user(), &pull(group, topic, 0, 0), "");
    // Let in, whether or not the messages can be seen already.
    for name in ["open", "readonly"] {
        let answer = client.exchange(read("reader", name)).await;
        assert_ne!(code(&answer), ResponseCode::SYSTEM_ERROR, "{:?}", answer.remark);
    }
    denied(&client.exchange(read("reader", "closed")).await, "topic:closed");
    denied(&client.exchange(read("denied", "open")).await, "group:denied");
    denied(&client.exchange(read("another", "open")).await, "group:another");
    let beat = |group: &str, topic: &str| {
        let consumers: Vec<ConsumerData> = vec![consumer(group, &[(topic, "*", 1)])];
        let data = HeartbeatData {
            client_id: "c".to_owned(),
            consumer_data_set: consumers,
            producer_data_set: vec![],
            unreadable: Vec::new(),
        };
        signed::<call::Heartbeat>(&user(), &NoFields, to_json(&data, Style::Fastjson))
    };
    ok(&client.exchange(beat("reader", "open")).await);
    ok(&client.exchange(beat("reader", "%RETRY%reader")).await);
    denied(&client.exchange(beat("denied", "open")).await, "group:denied");
    denied(&client.exchange(beat("reader", "closed")).await, "topic:closed");
    node.stop().await;
}

#[tokio::test]
async fn a_log_offset_gives_no_way_to_other_topics() {
    let (setup, _) = setup(FILE);
    let node = setup.start().await;
    let client = node.client();
    let (mut offsets, mut last) = (Vec::new(), 0);
    for name in ["open", "closed"] {
        ok(&client.exchange(signed::<call::SendMessage>(&admin(), &message(name, 0), "m")).await);
        let at = signed::<call::PullMessage>(&admin(), &pull("reader", name, 0, 0), "");
        let found = until(|| async {
            let answer = client.exchange(at.clone()).await;
            (code(&answer) == ResponseCode::SUCCESS).then(|| messages_of(&answer))
        })
        .await;
        last = found[0].log_offset;
        offsets.push(last);
    }
    let view = |offset: i64| signed::<call::ViewMessage>(&user(), &ViewMessage { offset }, "");
    ok(&client.exchange(view(offsets[0])).await);
    denied(&client.exchange(view(offsets[1])).await, "topic:closed");
    let back = back("reader", last);
    denied(&client.exchange(signed::<call::SendBack>(&user(), &back, "")).await, "topic:closed");
    node.stop().await;
}

#[tokio::test]
async fn transactions_and_waiting_messages_of_other_topics_are_out_of_reach() {
    let (setup, _) = setup(FILE);
    let node = setup.start().await;
    let client = node.client();
    let half = |topic: &str| {
        let own = [("TRAN_MSG", "true"), ("PGROUP", "payers"), ("UNIQ_KEY", "K")];
        SendMessage { producer_group: "payers".to_owned(), ..message_with(topic, 0, &own) }
    };
    for (topic, sender, allowed) in [("open", user(), true), ("closed", admin(), false)] {
        let answer = client.exchange(signed::<call::SendMessage>(&sender, &half(topic), "m")).await;
        ok(&answer);
        let sent: SendResult = header(&answer);
        let end = EndTransaction {
            producer_group: "payers".to_owned(),
            tran_state_table_offset: sent.queue_offset,
            commit_log_offset: MessageId::parse(&sent.msg_id).unwrap().offset.to_wire(),
            commit_or_rollback: COMMIT,
            from_transaction_check: false,
            msg_id: "K".to_owned(),
            transaction_id: None,
        };
        let answer = client.exchange(signed::<call::EndTransaction>(&user(), &end, "")).await;
        if allowed { ok(&answer) } else { denied(&answer, "topic:closed") }
    }
    let cancel = |topic: &str| {
        message_with(topic, 0, &[("TIMER_DELAY_SEC", "60"), ("TIMER_DEL_UNIQKEY", "closed+K"), ("UNIQ_KEY", "K")])
    };
    denied(&client.exchange(signed::<call::SendMessage>(&user(), &cancel("closed"), "")).await, "topic:closed");
    let answer = client.exchange(signed::<call::SendMessage>(&user(), &cancel("open"), "")).await;
    refused(&answer, ResponseCode::MESSAGE_ILLEGAL, "a message of another topic than open");
    node.stop().await;
}

#[tokio::test]
async fn administration_needs_an_administrator() {
    let (setup, _) = setup(FILE);
    let node = setup.start().await;
    let client = node.client();
    for code in [
        17, 25, 26, 28, 43, 45, 50, 51, 52, 53, 54, 200, 201, 207, 215, 222, 223, 301, 306, 307, 309, 314, 316, 317,
        321, 323, 328,
    ] {
        let spec = COMMANDS.iter().find(|c| c.code.0 == code).unwrap();
        let value = |kind: &str| if kind.starts_with('i') { "0" } else { "open" };
        let fields = spec.request.fields.iter().map(|field| (field.name, value(field.kind))).collect();
        let mut frame = Frame::request(spec.code, fields, bytes::Bytes::new());
        user().sign(&mut frame);
        denied(&client.exchange(frame).await, "only an administrator");
    }
    ok(&client.exchange(signed::<call::GetRuntimeInfo>(&admin(), &NoFields, "")).await);
    node.stop().await;
}

#[tokio::test]
async fn internal_topics_are_an_administrators() {
    let (setup, _) = setup(&FILE.replace("  topicPerms: [open", "  defaultTopicPerm: PUB|SUB\n  topicPerms: [open"));
    let node = setup.start().await;
    let client = node.client();
    for topic in [
        "SCHEDULE_TOPIC_XXXX",
        "RMQ_SYS_TRANS_HALF_TOPIC",
        "RMQ_SYS_TRANS_OP_HALF_TOPIC",
        "TRANS_CHECK_MAX_TIME_TOPIC",
        "RMQ_SYS_TRACE_TOPIC",
        "rmq_sys_wheel_timer",
    ] {
        for code in [11, 12, 14, 15, 29, 30, 31, 202, 303] {
            let spec = COMMANDS.iter().find(|c| c.code.0 == code).unwrap();
            let value = |kind: &str| match kind {
                "TopicName" => topic,
                "GroupName" => "reader",
                _ if kind.starts_with('i') => "0",
                _ => "true",
            };
            let fields = spec.request.fields.iter().map(|field| (field.name, value(field.kind))).collect();
            let mut frame = Frame::request(spec.code, fields, bytes::Bytes::new());
            user().sign(&mut frame);
            let answer = client.exchange(frame).await;
            if spec.request.fields.iter().any(|field| field.kind == "TopicName") {
                denied(&answer, "only an administrator");
            }
        }
    }
    let trace = signed::<call::SendMessage>(&user(), &message("RMQ_SYS_TRACE_TOPIC", 0), "m");
    ok(&client.exchange(trace).await);
    node.stop().await;
}

#[tokio::test]
async fn a_client_id_belongs_to_the_account_that_brought_it() {
    let (setup, _) = setup(FILE);
    let node = setup.start().await;
    let beat = |by: &Credentials, id: &str| {
        let data = HeartbeatData {
            client_id: id.to_owned(),
            consumer_data_set: vec![],
            producer_data_set: vec![],
            ..HeartbeatData::default()
        };
        signed::<call::Heartbeat>(by, &NoFields, to_json(&data, Style::Fastjson))
    };
    let (victim, other) = (node.client(), node.client());
    ok(&victim.exchange(beat(&admin(), "victim")).await);
    denied(&other.exchange(beat(&user(), "victim")).await, "belongs to a client of another account");
    ok(&other.exchange(beat(&user(), "other")).await);
    drop(victim);
    until(|| async { (code(&other.exchange(beat(&user(), "victim")).await) == ResponseCode::SUCCESS).then_some(()) })
        .await;
    node.stop().await;
}

#[tokio::test]
async fn an_address_makes_no_administrator() {
    let (setup, _) =
        setup(&FILE.replace("  topicPerms: [open", "  whiteRemoteAddress: 127.0.0.1\n  topicPerms: [open"));
    let node = setup.start().await;
    let client = node.client();
    let unsigned = |mut frame: Frame| {
        frame.fields.set("AccessKey", "someuser");
        frame
    };
    ok(&client.exchange(unsigned(request::<call::SendMessage>(&message("closed", 0), "m"))).await);
    denied(&client.exchange(unsigned(request::<call::GetRuntimeInfo>(&NoFields, ""))).await, "only an administrator");
    node.stop().await;
}

#[tokio::test]
async fn accounts_change_by_request_and_their_secrets_are_not_shown() {
    let (setup, _) = setup(FILE);
    let node = setup.start().await;
    let client = node.client();
    let put = UpdateAccessConfig {
        access_key: "newcomer".to_owned(),
        secret_key: Some("00099999".to_owned()),
        white_remote_address: None,
        admin: false,
        default_topic_perm: Some("PUB".to_owned()),
        default_group_perm: None,
        topic_perms: Some("closed=DENY,open=SUB".to_owned()),
        group_perms: None,
    };
    ok(&client.exchange(signed::<call::UpdateAccessConfig>(&admin(), &put, "")).await);
    let newcomer = account("newcomer", "00099999");
    ok(&client.exchange(signed::<call::SendMessage>(&newcomer, &message("fresh", 0), "m")).await);
    denied(&client.exchange(signed::<call::SendMessage>(&newcomer, &message("closed", 0), "m")).await, "closed");
    let version: AclVersionResult =
        header(&client.exchange(signed::<call::GetAclVersion>(&admin(), &NoFields, "")).await);
    assert!(version.version.contains("\"counter\":1"), "{}", version.version);
    assert_eq!((version.broker_name.as_str(), version.cluster_name.as_str()), (BROKER, CLUSTER));
    let answer = client.exchange(signed::<call::GetAclConfig>(&admin(), &NoFields, "")).await;
    let shown: AclConfig = from_json(&answer.body).unwrap();
    assert_eq!(shown.plain_access_configs.len(), 3);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(!text.contains("12345678") && !text.contains("00099999") && !text.contains("secret"), "{text}");
    let file = String::from_utf8(setup.disk.read_file(Path::new(PATH)).unwrap()).unwrap();
    assert!(file.contains("unknown: kept") && file.contains("secretKey: 12345678"), "{file}");
    // What would make the file unusable changes nothing.
    let short = UpdateAccessConfig { secret_key: Some("short".to_owned()), ..put.clone() };
    let answer = client.exchange(signed::<call::UpdateAccessConfig>(&admin(), &short, "")).await;
    refused(&answer, ResponseCode::UPDATE_AND_CREATE_ACL_CONFIG_FAILED, "more than 6 characters");
    let white = GlobalWhiteAddrs { global_white_addrs: "1.2.3".to_owned() };
    let answer = client.exchange(signed::<call::UpdateGlobalWhiteAddrs>(&admin(), &white, "")).await;
    refused(&answer, ResponseCode::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED, "is not an address");
    let name = AccessKeyRef { access_key: "newcomer".to_owned() };
    ok(&client.exchange(signed::<call::DeleteAccessConfig>(&admin(), &name, "")).await);
    denied(&client.exchange(signed::<call::SendMessage>(&newcomer, &message("fresh", 0), "m")).await, STRANGER);
    let answer = client.exchange(signed::<call::DeleteAccessConfig>(&admin(), &name, "")).await;
    refused(&answer, ResponseCode::DELETE_ACL_CONFIG_FAILED, "no account \"newcomer\"");
    let white = GlobalWhiteAddrs { global_white_addrs: "10.0.0.1,127.0.0.*".to_owned() };
    ok(&client.exchange(signed::<call::UpdateGlobalWhiteAddrs>(&admin(), &white, "")).await);
    ok(&client.ask::<call::SendMessage>(&message("closed", 0), "m").await);
    node.stop().await;
    // The changes outlive the broker.
    let node = setup.start().await;
    ok(&node.client().ask::<call::SendMessage>(&message("closed", 0), "m").await);
    node.stop().await;
}

#[tokio::test]
async fn a_changed_file_counts_and_a_broken_one_does_not() {
    let (setup, write) = setup(FILE);
    let node = setup.start().await;
    let client = node.client();
    let send = || signed::<call::SendMessage>(&user(), &message("closed", 0), "m");
    denied(&client.exchange(send()).await, "closed");
    write(&FILE.replace("closed=DENY", "closed=PUB"));
    until(|| async { (code(&client.exchange(send()).await) == ResponseCode::SUCCESS).then_some(()) }).await;
    for unusable in ["accounts: [{accessKey: x", "", "accounts:\n", "globalWhiteRemoteAddresses:\naccounts: []\n"] {
        write(unusable);
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        ok(&client.exchange(send()).await);
    }
    write(FILE);
    until(|| async { (code(&client.exchange(send()).await) == ResponseCode::SYSTEM_ERROR).then_some(()) }).await;
    node.stop().await;
}

#[tokio::test]
async fn a_missing_or_broken_file_stops_the_start_with_one_sentence() {
    let (mut setup, write) = setup("accounts: [{accessKey: someuser, secretKey: hush}]");
    let why = setup.try_start().await.err().unwrap().to_string();
    let expected = "aclEnable is true, but /conf/plain_acl.yml cannot be used: account \"someuser\": secretKey must have \
                    more than 6 characters";
    assert_eq!(why, expected);
    write(FILE);
    setup.accounts = Some(PathBuf::from("/conf/none.yml"));
    let why = setup.try_start().await.err().unwrap().to_string();
    assert_eq!(why, "aclEnable is true, but /conf/none.yml cannot be used: there is no such file");
}

#[tokio::test]
async fn without_access_control_there_are_no_accounts() {
    let node = Setup::new().start().await;
    let client = node.client();
    let name = AccessKeyRef { access_key: "x".to_owned() };
    let answer = client.ask::<call::DeleteAccessConfig>(&name, "").await;
    refused(&answer, ResponseCode::DELETE_ACL_CONFIG_FAILED, "aclEnable is false");
    refused(&client.ask::<call::GetAclConfig>(&NoFields, "").await, ResponseCode::SYSTEM_ERROR, "aclEnable is false");
    refused(&client.ask::<call::GetAclVersion>(&NoFields, "").await, ResponseCode::SYSTEM_ERROR, "aclEnable is false");
    node.stop().await;
}
