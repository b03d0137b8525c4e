//! From frames to the code that serves them: one exhaustive match.

use std::sync::Arc;

use bytes::BytesMut;
use kerolox_net::{Peer, Service};
use kerolox_wire::command::Request;
use kerolox_wire::frame::Frame;
use kerolox_wire::reply::{Reply, ReplyTo};

use crate::acl::Edit;
use crate::aside::Kind;
use crate::node::Node;
use crate::place::{Place, place_of};
use crate::refusal::Refusal;
use crate::send::SendGroup;

/// The broker as its listeners see it.
pub(crate) struct Serving(pub(crate) Arc<Node>);

impl Service for Serving {
    fn serve(&self, peer: &Arc<Peer>, frames: &mut Vec<Frame>, out: &mut BytesMut) {
        let node = &self.0;
        let mut sends = node.lend_group();
        for frame in frames.iter() {
            if frame.replaced {
                node.refusals.replaced(peer.remote(), node.clock.wall_ms());
            }
            let request = match Request::decode(frame) {
                Ok(request) => request,
                Err(error) => {
                    let refusal = Refusal::from(error);
                    node.refused("request", peer, &refusal);
                    Reply::from(refusal).encode(ReplyTo::from(frame), out);
                    continue;
                }
            };
            match place_of(&request, &node.store) {
                Place::Lane => serve_here(node, peer, frame, request, &mut sends, out),
                Place::Aside(kind) => {
                    // What follows a send on a connection sees its effect.
                    node.finish_sends(peer, &mut sends, out);
                    serve_aside(node, peer, frame, request, kind, out);
                }
            }
        }
        node.finish_sends(peer, &mut sends, out);
        node.take_back(sends);
        frames.clear();
    }

    fn disconnected(&self, peer: &Arc<Peer>) {
        self.0.left(peer);
    }
}

/// Serves a request on the thread of its connection.
fn serve_here(
    node: &Arc<Node>,
    peer: &Arc<Peer>,
    frame: &Frame,
    request: Request,
    sends: &mut SendGroup,
    out: &mut BytesMut,
) {
    if let Err(refusal) = may(node, peer, &request, frame) {
        return Reply::from(refusal).encode(ReplyTo::from(frame), out);
    }
    match request {
        Request::SendMessage(header) | Request::SendMessageV2(header) | Request::SendBatch(header) => {
            node.plan_send(peer, frame, &header, sends, out);
        }
        other => {
            // What follows a send on a connection sees its effect.
            node.finish_sends(peer, sends, out);
            serve_one(node, peer, frame, other, out);
        }
    }
}

/// Serves a request on a thread that owns no connection. Access is checked there too, since that can read the log.
fn serve_aside(node: &Arc<Node>, peer: &Arc<Peer>, frame: &Frame, request: Request, kind: Kind, out: &mut BytesMut) {
    let (node_aside, peer_aside, frame_aside) = (Arc::clone(node), Arc::clone(peer), frame.clone());
    let work = move |out: &mut BytesMut| {
        let (node, peer, frame) = (&node_aside, &peer_aside, &frame_aside);
        match may(node, peer, &request, frame) {
            Ok(()) => serve_one(node, peer, frame, request, out),
            Err(refusal) => Reply::from(refusal).encode(ReplyTo::from(frame), out),
        }
    };
    node.run_aside(kind, peer, (ReplyTo::from(frame), frame.body.len()), work, out);
}

/// Whether the sender of a request may make it.
fn may(node: &Node, peer: &Peer, request: &Request, frame: &Frame) -> Result<(), Refusal> {
    let Some(acl) = &node.acl else { return Ok(()) };
    acl.check(peer, request, frame, &node.store).inspect_err(|refusal| node.refused("access", peer, refusal))
}

fn serve_one(node: &Arc<Node>, peer: &Arc<Peer>, frame: &Frame, request: Request, out: &mut BytesMut) {
    let to = ReplyTo::from(frame);
    let answer = match request {
        Request::PullMessage(pull) | Request::LitePullMessage(pull) => return node.pull(peer, frame, pull, out),
        Request::SendBack(header) => return node.send_back(peer, frame, &header, out),
        Request::SendReply(header) | Request::SendReplyV2(header) => {
            return node.send_reply(peer, frame, header, out);
        }
        Request::EndTransaction(header) => return node.end_transaction(peer, frame, &header, out),
        Request::CreateTopic(header) => return node.create_topic(peer, to, header, out),
        Request::GetConsumerRunningInfo(header) => return node.relay_running_info(peer, to, &header, out),
        Request::ConsumeDirectly(header) => return node.relay_consume_directly(peer, to, header, out),
        Request::GetConsumerStatus(header) => return node.collect_consumer_status(peer, to, header),
        Request::SendMessage(_) | Request::SendMessageV2(_) | Request::SendBatch(_) => return,
        Request::QueryMessage(header) => node.query_message(&header),
        Request::ViewMessage(header) => node.view_message(&header),
        Request::QueryConsumerOffset(header) => node.query_offset(&header),
        Request::UpdateConsumerOffset(header) => node.update_offset(&header),
        Request::SearchOffset(header) => node.search_offset(&header),
        Request::GetMaxOffset(header) => Ok(node.max_offset(&header)),
        Request::GetMinOffset(header) => Ok(node.min_offset(&header)),
        Request::GetEarliestStoreTime(header) => node.earliest_store_time(&header),
        Request::Heartbeat(_) => node.heartbeat(peer, frame),
        Request::UnregisterClient(header) => Ok(node.unregister_client(peer, &header)),
        Request::CheckClientConfig(_) => node.check_client(frame),
        Request::GetConsumerList(header) => node.consumer_list(&header),
        Request::LockBatch(_) => node.lock_queues(peer, frame),
        Request::UnlockBatch(_) => node.unlock_queues(frame),
        Request::GetAllTopics(_) => Ok(node.all_topics()),
        Request::GetTopic(header) => node.one_topic(&header),
        Request::DeleteTopic(header) => node.delete_topic(&header),
        Request::GetTopicStats(header) => node.topic_stats(&header),
        Request::GetSystemTopics(_) => Ok(node.system_topics()),
        Request::QueryConsumersOfTopic(header) => Ok(node.consumers_of_topic(&header)),
        Request::CreateGroup(_) => node.create_group(frame),
        Request::GetAllGroups(_) => Ok(node.all_groups()),
        Request::GetGroup(header) => node.one_group(&header),
        Request::DeleteGroup(header) => Ok(node.delete_group(&header)),
        Request::GetConsumerConnections(header) => node.consumer_connections(&header),
        Request::GetProducerConnections(header) => node.producer_connections(&header),
        Request::GetAllProducers(_) => Ok(node.all_producers()),
        Request::GetConsumeStats(header) => node.consume_stats(&header),
        Request::GetBrokerConsumeStats(header) => Ok(node.broker_consume_stats(&header)),
        Request::QueryConsumeTimeSpan(header) => node.consume_time_span(&header),
        Request::QueryCorrectionOffset(header) => Ok(node.correction_offsets(&header)),
        Request::CloneGroupOffset(header) => node.clone_group_offset(&header),
        Request::ResetOffset(header) => node.reset_offset(frame, &header),
        Request::GetAllConsumerOffsets(_) => node.all_consumer_offsets(),
        Request::GetAllDelayOffsets(_) => Ok(node.all_delay_offsets()),
        Request::QueryConsumeQueue(header) => node.query_consume_queue(&header),
        Request::ViewStats(header) => node.view_stats(&header),
        Request::GetRuntimeInfo(_) => Ok(node.runtime_info()),
        Request::GetBrokerConfig(_) => Ok(node.broker_config()),
        Request::UpdateBrokerConfig(_) => node.update_broker_config(peer, frame),
        Request::CleanExpiredQueues(_) => node.clean_expired_queues(),
        Request::CleanUnusedTopics(_) => node.clean_unused_topics(),
        Request::ResumeCheckHalf(header) => node.resume_check_half(&header),
        Request::UpdateAccessConfig(header) => node.change_accounts(peer, &Edit::Put(Box::new(header))),
        Request::DeleteAccessConfig(header) => node.change_accounts(peer, &Edit::Delete(header.access_key)),
        Request::UpdateGlobalWhiteAddrs(header) => node.change_accounts(peer, &Edit::White(header.global_white_addrs)),
        Request::GetAclVersion(_) => node.accounts_version(),
        Request::GetAclConfig(_) => node.show_accounts(),
        Request::RegisterFilterServer(_) => Err(Refusal::not_supported(frame.code)),
        Request::CheckTransactionState(_)
        | Request::NotifyConsumerIdsChanged(_)
        | Request::ResetClientOffset(_)
        | Request::GetClientStatus(_)
        | Request::PushReply(_) => Err(Refusal::not_supported(frame.code)),
        Request::PutKv(_)
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
        | Request::Other(_) => Err(Refusal::not_supported(frame.code)),
    };
    let reply = answer.unwrap_or_else(|refusal| {
        node.refused("request", peer, &refusal);
        Reply::from(refusal)
    });
    reply.encode(to, out);
}
