//! Commands about the name servers.

use serde_json::json;

use super::broker::SETTING_WIDTH;
use super::command::{Command, Target, must};
use super::failure::Failure;
use super::options::Given;
use super::session::Session;

pub(super) const UPDATE_KV_CONFIG: Command = Command {
    name: "updateKvConfig",
    about: "Set a key at the name servers",
    options: &[must('s', "namespace", "namespace"), must('k', "key", "key"), must('v', "value", "value")],
    target: Target::Free,
    shows: false,
    example: "-s ORDER_TOPIC_CONFIG -k orders -v broker-a:8",
    run: |s, g| Box::pin(update_kv_config(s, g)),
};

pub(super) const DELETE_KV_CONFIG: Command = Command {
    name: "deleteKvConfig",
    about: "Delete a key at the name servers",
    options: &[must('s', "namespace", "namespace"), must('k', "key", "key")],
    target: Target::Free,
    shows: false,
    example: "-s ORDER_TOPIC_CONFIG -k orders",
    run: |s, g| Box::pin(delete_kv_config(s, g)),
};

pub(super) const WIPE_WRITE_PERM: Command = Command {
    name: "wipeWritePerm",
    about: "Take the write permission off all topics of a broker, at the name servers",
    options: &[must('b', "brokerName", "broker name")],
    target: Target::Free,
    shows: true,
    example: "-b broker-a",
    run: |s, g| Box::pin(wipe_write_perm(s, g)),
};

pub(super) const ADD_WRITE_PERM: Command = Command {
    name: "addWritePerm",
    about: "Give all topics of a broker their write permission back, at the name servers",
    options: &[must('b', "brokerName", "broker name")],
    target: Target::Free,
    shows: true,
    example: "-b broker-a",
    run: |s, g| Box::pin(add_write_perm(s, g)),
};

pub(super) const GET_NAMESRV_CONFIG: Command = Command {
    name: "getNamesrvConfig",
    about: "Show all settings of the name servers",
    options: &[],
    target: Target::Free,
    shows: true,
    example: "",
    run: |s, g| Box::pin(get_namesrv_config(s, g)),
};

pub(super) const UPDATE_NAMESRV_CONFIG: Command = Command {
    name: "updateNamesrvConfig",
    about: "Change a setting of the running name servers",
    options: &[must('k', "key", "name of the setting"), must('v', "value", "new value")],
    target: Target::Free,
    shows: false,
    example: "-k orderMessageEnable -v true",
    run: |s, g| Box::pin(update_namesrv_config(s, g)),
};

async fn update_kv_config(s: &Session, given: &Given) -> Result<(), Failure> {
    s.client.put_kv(given.required('s')?, given.required('k')?, given.required('v')?).await?;
    s.out.line("create or update kv config to namespace success.");
    Ok(())
}

async fn delete_kv_config(s: &Session, given: &Given) -> Result<(), Failure> {
    s.client.delete_kv(given.required('s')?, given.required('k')?).await?;
    s.out.line("delete kv config from namespace success.");
    Ok(())
}

async fn wipe_write_perm(s: &Session, given: &Given) -> Result<(), Failure> {
    change_perm(s, given.required('b')?, false).await
}

async fn add_write_perm(s: &Session, given: &Given) -> Result<(), Failure> {
    change_perm(s, given.required('b')?, true).await
}

async fn change_perm(s: &Session, broker: &str, add: bool) -> Result<(), Failure> {
    let verb = if add { "add" } else { "wipe" };
    let mut last = Ok(());
    let mut all = Vec::new();
    for address in s.client.name_servers() {
        let done = match add {
            true => s.client.add_write_perm(address, broker).await,
            false => s.client.wipe_write_perm(address, broker).await,
        };
        match done {
            Ok(count) => {
                s.out.line(format_args!("{verb} write perm of broker[{broker}] in name server[{address}] OK, {count}"));
                all.push(json!({"namesrvAddr": address, "topics": count}));
            }
            Err(why) => {
                s.out.line(format_args!("{verb} write perm of broker[{broker}] in name server[{address}] Failed"));
                super::output::complain(&why);
                last = Err(why.into());
            }
        }
    }
    s.out.json(all);
    last
}

async fn get_namesrv_config(s: &Session, _: &Given) -> Result<(), Failure> {
    let mut all = Vec::new();
    for address in s.client.name_servers() {
        let settings = s.client.name_server_config(address).await?;
        s.out.line(format_args!("============{address}============"));
        for (name, value) in &settings {
            s.out.line(format_args!("{name:<SETTING_WIDTH$}=  {value}"));
        }
        all.push(json!({"namesrvAddr": address, "settings": settings}));
    }
    s.out.json(all);
    Ok(())
}

async fn update_namesrv_config(s: &Session, given: &Given) -> Result<(), Failure> {
    let (key, value) = (given.required('k')?, given.required('v')?);
    s.client.set_name_server_config(key, value).await?;
    // As in 4.7.1, those given with -n are named.
    let servers = if given.flag('n') { format!("[{}]", s.client.name_servers().join(", ")) } else { String::new() };
    s.out.line(format_args!("update name server config success!{servers}"));
    s.out.line(format_args!("{key} : {value}"));
    Ok(())
}
