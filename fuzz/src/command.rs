//! Request and response headers of every command.

use std::fmt::Debug;
use std::sync::Once;

use kerolox_wire::command::{COMMANDS, Call, CommandSpec, FieldSpec, Header, Names, call};
use kerolox_wire::fields::Fields;

/// Chooses a command, a direction and fields: `command | direction | (field | value | line end)*`.
pub fn request(data: &[u8]) {
    static LISTED: Once = Once::new();
    LISTED.call_once(assert_listed);
    let [number, direction, rest @ ..] = data else { return };
    let command = &COMMANDS[usize::from(*number) % COMMANDS.len()];
    let answer = direction & 1 == 1;
    let specs = if answer { command.response.fields } else { command.request.fields };
    through(command, answer, &fields(specs, rest));
}

fn fields(specs: &[FieldSpec], text: &[u8]) -> Fields {
    let mut fields = Fields::new();
    for line in text.split(|byte| *byte == b'\n').take(64) {
        let Some((field, value)) = line.split_first() else { continue };
        let Some(spec) = specs.get(usize::from(*field & 0x7f)) else { continue };
        let name = if *field & 0x80 != 0 && !spec.short.is_empty() { spec.short } else { spec.name };
        fields.push(name, &String::from_utf8_lossy(value));
    }
    fields
}

/// A header that can be read is written so that it reads back the same.
fn written_and_read<H: Header + PartialEq + Debug>(fields: &Fields, names: Names) {
    let header = match H::decode(fields) {
        Ok(header) => header,
        Err(why) => return assert!(why.to_string().len() < 1024),
    };
    for names in [names, Names::Long, Names::Short] {
        let mut again = Fields::new();
        header.encode(&mut again, names);
        assert_eq!(H::decode(&again).as_ref(), Ok(&header));
    }
}

macro_rules! commands {
    ($($call:ident)*) => {
        fn through(command: &CommandSpec, answer: bool, fields: &Fields) {
            $(if command.code == call::$call::CODE {
                return match answer {
                    true => written_and_read::<<call::$call as Call>::Response>(fields, Names::Long),
                    false => written_and_read::<<call::$call as Call>::Request>(fields, call::$call::NAMES),
                };
            })*
        }

        fn assert_listed() {
            let listed = [$(call::$call::CODE),*];
            for command in COMMANDS {
                assert!(listed.contains(&command.code), "the list below lacks {}", command.name);
            }
        }
    };
}

commands! {
    SendMessage PullMessage QueryMessage QueryConsumerOffset UpdateConsumerOffset CreateTopic GetAllTopics UpdateBrokerConfig
    GetBrokerConfig GetRuntimeInfo SearchOffset GetMaxOffset GetMinOffset GetEarliestStoreTime ViewMessage Heartbeat
    UnregisterClient SendBack EndTransaction GetConsumerList CheckTransactionState NotifyConsumerIdsChanged LockBatch UnlockBatch
    GetAllConsumerOffsets GetAllDelayOffsets CheckClientConfig UpdateAccessConfig DeleteAccessConfig GetAclVersion
    UpdateGlobalWhiteAddrs GetAclConfig PutKv GetKv DeleteKv RegisterBroker UnregisterBroker GetRoute GetClusterInfo CreateGroup
    GetAllGroups GetTopicStats GetConsumerConnections GetProducerConnections WipeWritePerm GetAllTopicNames DeleteGroup
    GetConsumeStats DeleteTopic DeleteTopicRoutes GetKvList ResetClientOffset GetClientStatus ResetOffset GetConsumerStatus
    GetTopicsByCluster QueryConsumersOfTopic RegisterFilterServer QueryConsumeTimeSpan GetSystemTopicsFromNameServer
    GetSystemTopics CleanExpiredQueues GetConsumerRunningInfo QueryCorrectionOffset ConsumeDirectly SendMessageV2 GetUnitTopics
    GetUnitSubTopics GetUnitSubNonUnitTopics CloneGroupOffset ViewStats CleanUnusedTopics GetBrokerConsumeStats
    UpdateNamesrvConfig GetNamesrvConfig SendBatch QueryConsumeQueue QueryDataVersion ResumeCheckHalf SendReply SendReplyV2
    PushReply AddWritePerm GetAllProducers GetTopic GetGroup LitePullMessage
}
