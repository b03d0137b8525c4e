//! Where each request runs: on the thread of its connection, or aside because it takes long.

use kerolox_store::Store;
use kerolox_wire::command::Request;
use kerolox_wire::command::pull::PullMessage;
use kerolox_wire::names::{LogOffset, QueueId, QueueOffset};

use crate::aside::Kind;

/// Where a request runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the thread of its connection: short work on memory, and appends.
    Lane,
    /// On a thread that owns no connection.
    Aside(Kind),
}

/// The table of all requests.
pub(crate) fn place_of(request: &Request, store: &Store) -> Place {
    match request {
        Request::PullMessage(pull) | Request::LitePullMessage(pull) => cold_if(pull_is_cold(pull, store)),
        Request::SendBack(header) => cold_if(is_cold(header.offset, store)),
        Request::EndTransaction(header) => cold_if(is_cold(header.commit_log_offset, store)),
        // They find records by key, time or log offset, wherever these lie.
        Request::QueryMessage(_)
        | Request::ViewMessage(_)
        | Request::SearchOffset(_)
        | Request::GetEarliestStoreTime(_)
        | Request::QueryConsumeQueue(_)
        | Request::ConsumeDirectly(_) => Place::Aside(Kind::ColdRead),
        Request::SendMessage(_)
        | Request::SendMessageV2(_)
        | Request::SendBatch(_)
        | Request::SendReply(_)
        | Request::SendReplyV2(_)
        | Request::QueryConsumerOffset(_)
        | Request::UpdateConsumerOffset(_)
        | Request::GetMaxOffset(_)
        | Request::GetMinOffset(_)
        | Request::Heartbeat(_)
        | Request::UnregisterClient(_)
        | Request::CheckClientConfig(_)
        | Request::GetConsumerList(_)
        | Request::LockBatch(_)
        | Request::UnlockBatch(_) => Place::Lane,
        Request::CreateTopic(_)
        | Request::GetConsumerRunningInfo(_)
        | Request::GetConsumerStatus(_)
        | Request::GetAllTopics(_)
        | Request::GetTopic(_)
        | Request::DeleteTopic(_)
        | Request::GetTopicStats(_)
        | Request::GetSystemTopics(_)
        | Request::QueryConsumersOfTopic(_)
        | Request::CreateGroup(_)
        | Request::GetAllGroups(_)
        | Request::GetGroup(_)
        | Request::DeleteGroup(_)
        | Request::GetConsumerConnections(_)
        | Request::GetProducerConnections(_)
        | Request::GetAllProducers(_)
        | Request::GetConsumeStats(_)
        | Request::GetBrokerConsumeStats(_)
        | Request::QueryConsumeTimeSpan(_)
        | Request::QueryCorrectionOffset(_)
        | Request::CloneGroupOffset(_)
        | Request::ResetOffset(_)
        | Request::GetAllConsumerOffsets(_)
        | Request::GetAllDelayOffsets(_)
        | Request::ViewStats(_)
        | Request::GetRuntimeInfo(_)
        | Request::GetBrokerConfig(_)
        | Request::UpdateBrokerConfig(_)
        | Request::CleanExpiredQueues(_)
        | Request::CleanUnusedTopics(_)
        | Request::ResumeCheckHalf(_)
        | Request::UpdateAccessConfig(_)
        | Request::DeleteAccessConfig(_)
        | Request::UpdateGlobalWhiteAddrs(_)
        | Request::GetAclVersion(_)
        | Request::GetAclConfig(_) => Place::Aside(Kind::Admin),
        // Refused, which takes no time.
        Request::RegisterFilterServer(_)
        | Request::CheckTransactionState(_)
        | Request::NotifyConsumerIdsChanged(_)
        | Request::ResetClientOffset(_)
        | Request::GetClientStatus(_)
        | Request::PushReply(_)
        | Request::PutKv(_)
        | Request::GetKv(_)
        | Request::DeleteKv(_)
        | Request::RegisterBroker(_)
        | Request::UnregisterBroker(_)
        | Request::GetRoute(_)
        | Request::GetClusterInfo(_)
        | Request::WipeWritePerm(_)
        | Request::GetAllTopicNames(_)
        | Request::DeleteTopicRoutes(_)
        | Request::GetKvList(_)
        | Request::GetTopicsByCluster(_)
        | Request::GetSystemTopicsFromNameServer(_)
        | Request::GetUnitTopics(_)
        | Request::GetUnitSubTopics(_)
        | Request::GetUnitSubNonUnitTopics(_)
        | Request::UpdateNamesrvConfig(_)
        | Request::GetNamesrvConfig(_)
        | Request::QueryDataVersion(_)
        | Request::AddWritePerm(_)
        | Request::Other(_) => Place::Lane,
    }
}

fn cold_if(cold: bool) -> Place {
    if cold { Place::Aside(Kind::ColdRead) } else { Place::Lane }
}

/// Whether a pull begins before the part of the log supposed to be in memory; later messages lie further on.
fn pull_is_cold(pull: &PullMessage, store: &Store) -> bool {
    let (Some(queue), Some(offset)) = (QueueId::from_wire(pull.queue_id), QueueOffset::from_wire(pull.queue_offset))
    else {
        return false;
    };
    match store.unit_at(&pull.topic, queue, offset) {
        Ok(unit) => unit.is_some_and(|unit| !store.is_in_memory(LogOffset::new(unit.log_offset))),
        // A disk that does not deliver may be slow to say so.
        Err(_) => true,
    }
}

fn is_cold(log_offset: i64, store: &Store) -> bool {
    LogOffset::from_wire(log_offset).is_some_and(|offset| !store.is_in_memory(offset))
}
