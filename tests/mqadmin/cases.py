"""What each command is tried with, and how it is known to have worked: lines it must print, and what the servers say then.

The order matters: a case may use what earlier ones made. What a command changed is asked for over the protocol itself, never
with the tool that is tried.
"""
import json
import os
import re
import time

import mq

CASES = []
# Before the first of these the JSON of JSON is asked for.
TAKING_AWAY = "deleteSubGroup"
ALL_NAMES, GET_KV, TOPICS, GROUPS, BROKER_CONFIG, ACCOUNTS, NAMESRV_CONFIG, GROUP_OFFSET, ADD_WRITE_PERM = 206, 101, 21, 201, 26, 54, 319, 14, 327
LIVE, MEMBERS, SENDERS = "live", "members", "senders"


class Case:
    def __init__(self, command, args, expect, looked, effect=None, until=None, skip=None, needed=False):
        """`args` and `expect` are lists or functions of the pair; `effect(pair, text)` gives a truth or a function to wait for."""
        as_function = lambda x: x if callable(x) else lambda pair: x
        self.command, self.looked = command, looked
        self.args, self.expect = as_function(args), as_function(expect)
        self.effect, self.until, self.needed = effect, until, needed
        self.skip = skip or (lambda pair: False)


def case(command, args, expect, looked, **more):
    CASES.append(Case(command, args, expect, looked, **more))


def words(text):
    """Arguments, with {names} of the pair and of what it found out filled in; blanks within '' stay."""
    def of(pair):
        names = dict(vars(pair), **pair.values)
        parts = re.findall(r"'[^']*'|\S+", text)
        return [part.strip("'").format(**names) for part in parts]
    return of


def lines(*patterns):
    def of(pair):
        names = {k: re.escape(str(v)) for k, v in dict(vars(pair), **pair.values).items()}
        return [re.sub(r"<(\w+)>", lambda m: names[m.group(1)], pattern) for pattern in patterns]
    return of


def kv(pair, namespace, key):
    return pair.ns(GET_KV, {"namespace": namespace, "key": key})[0]["extFields"]["value"]


def no_kv(pair, namespace, key):
    try:
        return not kv(pair, namespace, key)
    except mq.Refused:
        return True


def settings(body):
    """A properties text as a dict."""
    pairs = (line.partition("=") for line in body.decode().splitlines() if not line.startswith("#"))
    return {key: value for key, _, value in pairs}


def offset(pair, group, topic, queue):
    return int(pair.br(GROUP_OFFSET, {"consumerGroup": group, "topic": topic, "queueId": queue})[0]["extFields"]["offset"])


def end(pair, topic, queue):
    conn = pair.conn()
    try:
        return conn.max_offset(topic, queue)
    finally:
        conn.close()


def has_route(pair, topic):
    """Out of the list of all: who asks for the route of a topic that is missing is a finding of `doctor`."""
    return topic in mq.lax(pair.ns(ALL_NAMES)[1])["topicList"]


# --- topics and groups -------------------------------------------------------------------------------------------------

case("updateTopic", words("-c {cluster} -t {topic} -r 4 -w 4"),
     lines(r"^create topic to <broker> success\.", r"^TopicConfig \[topicName=<topic>, readQueueNums=4, writeQueueNums=4, perm=RW-"),
     "the route has the queues", needed=True,
     effect=lambda pair, _: lambda: has_route(pair, pair.topic) and pair.route(pair.topic)["queueDatas"][0]["writeQueueNums"] == 4)
case("updateTopic", words("-b {broker} -t {ordered} -r 2 -w 2 -o true"),
     lines(r"set broker orderConf\. isOrder=true, orderConf=\[broker-a:2\]"), "the order configuration is at the name server",
     needed=True, effect=lambda pair, _: kv(pair, "ORDER_TOPIC_CONFIG", pair.ordered) == "broker-a:2")


def topic_perm(pair, _):
    def seen():
        config = pair.table(TOPICS, "topicConfigTable")[pair.ordered]
        return config["perm"] == 4 and config["readQueueNums"] == 2
    return seen


case("updateTopicPerm", lambda pair: route_is_there(pair) or words("-b {broker} -t {ordered} -p 4")(pair),
     lines(r"^update topic perm from 6 to 4 in <broker> success\."), "the broker has the permission, the queues stay", effect=topic_perm)


def route_is_there(pair):
    for _ in range(300):
        if has_route(pair, pair.ordered):
            return None
        time.sleep(0.1)
    raise AssertionError("no route of %s" % pair.ordered)


def is_route(pair, text):
    route = mq.lax(text.encode())
    return route["brokerDatas"][0]["brokerAddrs"]["0"] == pair.broker and route["queueDatas"][0]["readQueueNums"] == 4


case("topicRoute", words("-t {topic}"), [r"\"queueDatas\""], "address and queues", effect=is_route)
case("topicList", [], lines(r"^<topic>\s*$", r"^<ordered>\s*$"), "its topics are listed")
case("topicList", ["-c"], lines(r"^DefaultCluster +<topic> "), "with cluster and group",
     effect=lambda pair, text: re.search(r"^DefaultCluster +live +members", text, re.M) is not None)
case("topicClusterList", words("-t {topic}"), [r"^DefaultCluster\s*$"], "the cluster")
case("updateSubGroup", words("-c {cluster} -g {group} -r 5 -d true"),
     lines(r"^create subscription group to <broker> success\.", r"groupName=<group>, .*retryMaxTimes=5"),
     "the broker has the settings", needed=True,
     effect=lambda pair, _: pair.table(GROUPS, "subscriptionGroupTable")[pair.group]["retryMaxTimes"] == 5)

# --- messages ----------------------------------------------------------------------------------------------------------


def sent(pair, text):
    """Remembers the ids of the message; then adds eight more for the commands that read."""
    pair.values["unique_id"] = re.search(r"SEND_OK +(\w{32,})", text).group(1)
    conn = pair.conn()
    try:
        record = list(conn.drain(pair.topic, 1, 0, 1))[0]
        host, port = pair.broker.split(":")
        pair.values["offset_id"] = "%s%08X%016X" % ("".join("%02X" % int(x) for x in host.split(".")), int(port), record.log_offset)
        pair.values["log_offset"] = record.log_offset
        for i in range(8):
            conn.call(mq.SEND, mq.send_fields("tests", pair.topic, i % 2 + 2, mq.properties({"TAGS": "TagB", "KEYS": "more%d" % i})),
                      b"more %d" % i)
        return record.body == b"hello world" and record.property("KEYS") == "key-1" and record.property("TAGS") == "TagA"
    finally:
        conn.close()


case("sendMessage", words("-t {topic} -p 'hello world' -k key-1 -c TagA -b {broker_name} -i 1"),
     [r"^#Broker Name +#QID +#Send Result +#MsgId", r"^broker-a +1 +SEND_OK +\w{32}"], "body, key and tag are stored", effect=sent, needed=True)
case("topicStatus", words("-t {topic}"), [r"^#Broker Name +#QID +#Min Offset +#Max Offset +#Last Updated",
     r"^broker-a +0 +0 +0", r"^broker-a +1 +0 +1 +20\d\d-", r"^broker-a +2 +0 +4 +20\d\d-"], "offsets and times of all queues")
shown = [r"^Topic: +<topic>", r"^Tags: +\[TagA\]", r"^Keys: +\[key-1\]", r"^Queue ID: +1", r"^CommitLog Offset: +<log_offset>",
         r"^Message Body Path: +\S*/rocketmq/msgbodys/<unique_id>", r"^WARN: No Consumer"]


def body_file(pair, text):
    with open(re.search(r"^Message Body Path: +(\S+)", text, re.M).group(1)) as file:
        return file.read() == "hello world"


case("queryMsgById", words("-i {offset_id}"), lines(r"^OffsetID: +<offset_id>", *shown), "all fields, the body's file", effect=body_file)
case("queryMsgByUniqueKey", words("-t {topic} -i {unique_id}"), lines(*shown), "all fields, the body's file", effect=body_file)
case("queryMsgByOffset", words("-t {topic} -b {broker_name} -i 1 -o 0"), lines(*shown), "all fields, the body's file", effect=body_file)
case("queryMsgByKey", words("-t {topic} -k key-1"), lines(r"^#Message ID +#QID +#Offset", r"^<unique_id> +1 +0"), "the message's id and place")
case("printMsg", words("-t {topic} -d true"),
     lines(r"minOffset=0, maxOffset=1, MessageQueue \[topic=<topic>, brokerName=broker-a, queueId=1\]",
           r"MSGID: <unique_id> .*BODY: hello world", r"BODY: more 7"), "every message with its body",
     effect=lambda _, text: text.count("MSGID: ") == 9)
case("printMsgByQueue", words("-t {topic} -a {broker_name} -i 2 -p true -d true -f true"),
     [r"^MSGID: .*BODY: more 0", r"^Tag: TagB +Count: 4"], "the messages of one queue, counted by tag")
case("consumeMessage", words("-t {topic} -b {broker_name} -i 2 -o 1 -c 2"), [r"^Consume ok", r"BODY: more 2"],
     "as many messages as asked for, from the offset on", effect=lambda _, text: "BODY: more 0" not in text)
case("queryCq", words("-t {topic} -q 1 -i 0 -b {broker}"), lines(r"^max: 1, min: 0", r"physicOffset=<log_offset>, .*tagsCode=2598919"),
     "the unit of the message")
case("sendMsgStatus", words("-b {broker_name} -s 64 -c 3"), [r"^rt:\d+ms, SendResult=SendResult \[sendStatus=SEND_OK, msgId=\w{32}"],
     "one line a message", effect=lambda _, text: text.count("sendStatus=SEND_OK") == 3)
case("checkMsgSendRT", words("-t {topic} -a 4 -s 64"), [r"^#Broker Name +#QID +#Send Result +#RT", r"^broker-a +\d +true +\d+", r"Avg RT: \d"],
     "the topic has the messages", effect=lambda pair, _: sum(end(pair, pair.topic, q) for q in range(4)) >= 13)
case("clusterRT", ["-s", "64", "-a", "3", "-i", "1"], [r"^#Cluster Name +#Broker Name +#RT +#successCount +#failCount",
     r"^DefaultCluster +broker-a +[\d.]+ +3 +0"], "a line a round", until=lambda _, text: text.count("\nDefaultCluster") >= 2)
case("allocateMQ", words("-t {topic} -i 10.0.0.1,10.0.0.2"), [r"\"10\.0\.0\.1\""], "every queue is someone's, half each",
     effect=lambda _, text: [len(json.loads(text)["result"][ip]) for ip in ("10.0.0.1", "10.0.0.2")] == [2, 2])

# --- clients -----------------------------------------------------------------------------------------------------------


def settled(pair):
    """Arguments for the first command about the group: the Java client stores its offsets for the first time after 10 s."""
    for _ in range(300):
        # A queue without a stored offset counts as read up to 0.
        if all(offset(pair, MEMBERS, LIVE, queue) == end(pair, LIVE, queue) for queue in range(4)):
            return ["-g", MEMBERS]
        time.sleep(0.1)
    raise AssertionError("the group members has not stored its offsets within 30 s")


def remember_client(pair, text):
    pair.values["client_id"] = re.search(r"^001 +(\S+)", text, re.M).group(1)
    return "@members-" in pair.values["client_id"]


case("consumerConnection", settled, [r"^001 +\S+@members-\S+ +127\.0\.0\.1:\d+ +JAVA +V4_7_1", r"001  Topic: %RETRY%members +SubExpression: \*", r"^002  Topic: live +SubExpression: TagA \|\| TagB",
     r"^ConsumeType: CONSUME_PASSIVELY", r"^MessageModel: CLUSTERING", r"^ConsumeFromWhere: CONSUME_FROM_FIRST_OFFSET"],
     "the consumer, its subscriptions and settings", effect=remember_client, needed=True)
case("producerConnection", ["-g", SENDERS, "-t", LIVE], [r"^0001 +\S+@senders-\S+ +127\.0\.0\.1:\d+ +JAVA +V4_7_1"], "the producer")
case("consumerStatus", ["-g", MEMBERS], lines(r"^001  <client_id> +V4_7_1 +\d+/<client_id>", r"^Same subscription in the same group of consumer",
     r"^Rebalance OK"), "all members answered; the file has their queues",
     effect=lambda pair, text: "#Consumer MQ Detail#" in open(os.path.join(os.environ["RMQ_CLIENT_HOME"], re.search(r"V4_7_1 +(\S+)", text).group(1))).read())
case("consumerStatus", words("-g members -i {client_id} -s"), [r"^#Consumer Properties#", r"^live +broker-a +\d", r"^#Consumer jstack#"],
     "one member, with stack traces")
case("consumerProgress", ["-g", MEMBERS], [r"^#Topic +#Broker Name +#QID +#Broker Offset +#Consumer Offset +#Client IP +#Diff +#LastTime",
     r"^live +broker-a +\d +[1-9]\d* +\d+", r"^Consume TPS: ", r"^Diff Total: \d"], "every queue of the group",
     effect=lambda pair, text: len(re.findall(r"^live ", text, re.M)) == 4)
case("consumerProgress", ["-g", MEMBERS, "-s", "true"], [r"^live +broker-a +\d +\d+ +\d+ +\d+\.\d+\.\d+\.\d+ "], "who has each queue")
case("consumerProgress", [], [r"^#Group +#Count +#Version +#Type +#Model +#TPS +#Diff Total", r"^members +1 +V4_7_1 +PUSH +CLUSTERING +\d+ +\d+"],
     "a line a group")
case("brokerConsumeStats", words("-b {broker}"), [r"^#Topic +#Group +#Broker Name +#QID +#Broker Offset +#Consumer Offset +#Diff +#LastTime",
     r"^live +members +broker-a +\d +\d+ +\d+ +\d+ +20\d\d-", r"^Diff Total: \d"], "the lag of the group")
case("queryMsgById", lambda pair: words("-i {live_id} -g members -d {client_id}")(live(pair)),
     [r"ConsumeMessageDirectlyResult \[order=false, autoCommit=true, consumeResult=CR_SUCCESS"], "handed to a consumer")
case("queryMsgByUniqueKey", lambda pair: words("-t live -i {live_unique} -g members -d {client_id}")(live(pair)),
     [r"ConsumeMessageDirectlyResult \[order=false, autoCommit=true, consumeResult=CR_SUCCESS"], "handed to a consumer")


def live(pair):
    """The pair, knowing the first message of the live topic."""
    conn = pair.conn()
    try:
        queue = next(q for q in range(4) if conn.max_offset(LIVE, q) > 0)
        record = list(conn.drain(LIVE, queue, 0, 1))[0]
    finally:
        conn.close()
    host, port = pair.broker.split(":")
    pair.values["live_queue"] = queue
    pair.values["live_unique"] = record.property("UNIQ_KEY")
    pair.values["live_id"] = "%s%08X%016X" % ("".join("%02X" % int(x) for x in host.split(".")), int(port), record.log_offset)
    return pair


def cloned(pair, _):
    """4.7.1 sets the group to the end, ours to where the other group stands; its consumers have read to the end by now."""
    queue = live(pair).values["live_queue"]
    return lambda: offset(pair, pair.group, LIVE, queue) == offset(pair, MEMBERS, LIVE, queue)


case("cloneGroupOffset", words("-s members -d {group} -t live"),
     lines(r"^clone group offset success\. srcGroup\[members\], destGroup=\[<group>\], topic\[live\]"), "the other group stands there", effect=cloned)


def told(pair, text):
    """RocketMQ's brokers go back to the last message, which is consumed again; see docs/differences.md."""
    back = 1 if pair.kind == "reference" else 0
    ends = {q: end(pair, LIVE, q) for q in range(4)}
    rows = {int(q): int(at) for q, at in re.findall(r"^broker-a +(\d) +(\d+)", text, re.M)}
    return rows == {q: max(last - back, 0) for q, last in ends.items()}


case("resetOffsetByTime", ["-g", MEMBERS, "-t", LIVE, "-s", "now"],
     [r"rollback consumer offset by specified group\[members\], topic\[live\], force\[true\]", r"^#brokerName +#queueId +#offset"],
     "connected consumers were told the end of each queue, by RocketMQ its last message", effect=told)


def stored(pair, _):
    queue = live(pair).values["live_queue"]
    return lambda: offset(pair, pair.group, LIVE, queue) == 0


case("resetOffsetByTime", words("-g {group} -t live -s 1000000000000"),
     lines(r"rollback consumer offset by specified consumerGroup\[<group>\]", r"^#brokerName +#queueId +#brokerOffset +#consumerOffset +#timestampOffset +#rollbackOffset"),
     "nobody connected: the stored offset is 0", effect=stored)
case("statsAll", ["-t", LIVE], [r"^#Topic +#Consumer Group +#Accumulation +#InTPS +#OutTPS +#InMsg24Hour +#OutMsg24Hour",
     r"^live +members +\d+ +\d+\.\d\d +\d+\.\d\d +\d+ +\d+"], "the line of topic and group")


def monitored(pair, text):
    log = os.path.join(os.environ["RMQ_CLIENT_HOME"], "logs", "rocketmqlogs", "rocketmq_client.log")
    if pair.stock:
        text = open(log).read() if os.path.exists(log) else ""
    return "UndoneMsgs [consumerGroup=members, topic=live, undoneMsgsTotal=" in text and "endRound" in text


case("startMonitoring", [], [], "the lag of the connected group is told", until=monitored)


def moved(pair, text):
    """After the first round somebody asks for an offset that is not there; a later round tells."""
    if "endRound" in text and not pair.values.get("asked"):
        pair.values["asked"] = True
        conn = pair.conn()
        try:
            assert conn.pull(LIVE, 0, 100_000)[0] == mq.MOVED
        finally:
            conn.close()
    return re.search(r"reportDeleteMsgsEvent: .*consumerGroup=tests, .*offsetRequest=100000", text)


# Kerolox writes no such events, and the stock tool tells them to its log only.
case("startMonitoring", ["-i", "1"], [r"endRound"], "an offset that is not there is told", until=moved,
     skip=lambda pair: pair.stock or pair.kind == "kerolox")

# --- brokers and name servers ------------------------------------------------------------------------------------------

RUNTIME = ["bootTimestamp", "brokerVersion", "brokerVersionDesc", "commitLogDirCapacity", "commitLogDiskRatio", "commitLogMaxOffset",
           "commitLogMinOffset", "consumeQueueDiskRatio", "dispatchBehindBytes", "dispatchMaxBuffer", "earliestMessageTimeStamp",
           "EndTransactionQueueSize", "EndTransactionThreadPoolQueueCapacity", "getFoundTps", "getMessageEntireTimeMax", "getMissTps",
           "getTotalTps", "getTransferedTps", "msgGetTotalTodayMorning", "msgGetTotalTodayNow", "msgGetTotalYesterdayMorning",
           "msgPutTotalTodayMorning", "msgPutTotalTodayNow", "msgPutTotalYesterdayMorning", "pageCacheLockTimeMills",
           "pullThreadPoolQueueCapacity", "pullThreadPoolQueueHeadWaitTimeMills", "pullThreadPoolQueueSize", "putMessageAverageSize",
           "putMessageDistributeTime", "putMessageEntireTimeMax", "putMessageSizeTotal", "putMessageTimesTotal", "putTps",
           "queryThreadPoolQueueCapacity", "queryThreadPoolQueueHeadWaitTimeMills", "queryThreadPoolQueueSize", "remainHowManyDataToFlush",
           "remainTransientStoreBufferNumbs", "runtime", "sendThreadPoolQueueCapacity", "sendThreadPoolQueueHeadWaitTimeMills",
           "sendThreadPoolQueueSize", "startAcceptSendRequestTimeStamp"]
case("brokerStatus", words("-b {broker}"), [r"^%s *: \S" % key for key in RUNTIME], "every key that 4.7.1 has")
case("brokerStatus", words("-c {cluster}"), lines(r"^<broker> +putTps +: \S"), "by cluster")
case("clusterList", [], lines(r"^#Cluster Name +#Broker Name +#BID +#Addr +#Version +#InTPS\(LOAD\) +#OutTPS\(LOAD\) +#PCWait\(ms\) +#Hour +#SPACE",
     r"^DefaultCluster +broker-a +0 +<broker> +V4_7_1 +[\d.]+\(0,0ms\) +[\d.]+\(0,0ms\) +\d+ +[\d.]+ +0\.\d+"), "the broker's load")
case("clusterList", ["-m"], [r"^#Cluster Name +#Broker Name +#InTotalYest +#OutTotalYest +#InTotalToday +#OutTotalToday",
     r"^DefaultCluster +broker-a +0 +0 +[1-9]\d* +\d+"], "messages of today")
case("getBrokerConfig", words("-b {broker}"), lines(r"^=+<broker>=+", r"^brokerName +=  broker-a", r"^listenPort +=  \d+"), "its settings")
case("getBrokerConfig", words("-c {cluster}"), lines(r"^=+Master: <broker>=+"), "by cluster")
case("updateBrokerConfig", words("-b {broker} -k fileReservedTime -v 36"), lines(r"^update broker config success, <broker>"),
     "the broker has the value", effect=lambda pair, _: settings(pair.br(BROKER_CONFIG)[1])["fileReservedTime"] == "36")
case("updateBrokerConfig", words("-c {cluster} -k fileReservedTime -v 48"), lines(r"^update broker config success, <broker>"),
     "the broker has the value", effect=lambda pair, _: settings(pair.br(BROKER_CONFIG)[1])["fileReservedTime"] == "48")
case("getNamesrvConfig", [], lines(r"^=+<namesrv>=+", r"^listenPort +=  \d+"), "its settings")
case("updateNamesrvConfig", ["-k", "orderMessageEnable", "-v", "true"], lines(r"^update name server config success!", r"^orderMessageEnable : true"),
     "the name server has the value", effect=lambda pair, _: settings(pair.ns(NAMESRV_CONFIG)[1])["orderMessageEnable"] == "true")
case("updateKvConfig", words("-s TRIED -k {topic} -v 'a value'"), [r"^create or update kv config to namespace success\."],
     "the name server has the value", effect=lambda pair, _: kv(pair, "TRIED", pair.topic) == "a value")
case("deleteKvConfig", words("-s TRIED -k {topic}"), [r"^delete kv config from namespace success\."], "it is gone",
     effect=lambda pair, _: no_kv(pair, "TRIED", pair.topic))
case("updateOrderConf", words("-t {topic} -m put -v broker-a:4"), lines(r"^update orderConf success\. topic=\[<topic>\], orderConf=\[broker-a:4\]"),
     "put, got and deleted", effect=lambda pair, _: kv(pair, "ORDER_TOPIC_CONFIG", pair.topic) == "broker-a:4")
case("updateOrderConf", words("-t {topic} -m get"), lines(r"^get orderConf success\. topic=\[<topic>\], orderConf=\[broker-a:4\]"), "put, got and deleted")
case("updateOrderConf", words("-t {topic} -m delete"), lines(r"^delete orderConf success\. topic=\[<topic>\]"), "put, got and deleted",
     effect=lambda pair, _: no_kv(pair, "ORDER_TOPIC_CONFIG", pair.topic))

# --- accounts ----------------------------------------------------------------------------------------------------------


def account(pair, key):
    accounts = json.loads(pair.br(ACCOUNTS)[1])["plainAccessConfigs"]
    return next((a for a in accounts if a["accessKey"] == key), None)


case("updateAclConfig", words("-b {broker} -a account-{tool} -s 12345678 -i DENY -u SUB -t {topic}=PUB"),
     lines(r"^create or update plain access config to <broker> success\."), "the broker has the account",
     effect=lambda pair, _: lambda: account(pair, "account-" + pair.tool)["topicPerms"] == [pair.topic + "=PUB"])
case("getAccessConfigSubCommand", words("-b {broker}"), lines(r"globalWhiteRemoteAddresses: \[127\.0\.0\.1\b", r"accessKey +: account-<tool>",
     r"defaultGroupPerm +: SUB"), "accounts and white list")
case("clusterAclConfigVersion", words("-c {cluster}"), lines(r"^#Cluster Name +#Broker Name +#Broker Addr +#AclConfigVersionNum +#AclLastUpdateTime",
     r"^DefaultCluster +broker-a +<broker> +\d+ +20\d\d-"), "the version after the changes")
case("updateGlobalWhiteAddr", words("-b {broker} -g 127.0.0.1,10.10.103.*"), lines(r"^update global white remote addresses to <broker> success\."),
     "the broker has the list", effect=lambda pair, _: lambda: "10.10.103.*" in str(json.loads(pair.br(ACCOUNTS)[1])["globalWhiteAddrs"]))
case("deleteAccessConfig", words("-b {broker} -a account-{tool}"), lines(r"^delete plain access config account to <broker> success\."),
     "it is gone", effect=lambda pair, _: lambda: account(pair, "account-" + pair.tool) is None)

# --- for programs ------------------------------------------------------------------------------------------------------

# What each command that shows something is asked for as JSON, on Kerolox; in streams a line is a value.
JSON, STREAMS = {}, {"printMsg", "printMsgByQueue", "consumeMessage", "clusterRT", "startMonitoring"}
for line in """
topicRoute -t {topic}
topicStatus -t {topic}
topicClusterList -t {topic}
topicList -c
brokerStatus -b {broker}
queryMsgById -i {live_id}
queryMsgByKey -t {topic} -k key-1
queryMsgByUniqueKey -t live -i {live_unique}
queryMsgByOffset -t live -b {broker_name} -i {live_queue} -o 0
printMsg -t {topic}
printMsgByQueue -t {topic} -a {broker_name} -i 2 -p true -d true -f true
sendMsgStatus -b {broker_name} -c 2
brokerConsumeStats -b {broker}
producerConnection -g senders -t live
consumerConnection -g members
consumerProgress -g members -s true
consumerProgress
consumerStatus -g members
clusterList
clusterList -m
wipeWritePerm -b {broker_name}
addWritePerm -b {broker_name}
resetOffsetByTime -g members -t live -s now
resetOffsetByTime -g {group} -t live -s 1000000000000
updateOrderConf -t {ordered} -m get
startMonitoring -c 1
statsAll -t live
allocateMQ -t {topic} -i 10.0.0.1,10.0.0.2
checkMsgSendRT -t {topic} -a 2 -s 64
clusterRT -s 64 -a 2
getNamesrvConfig
getBrokerConfig -b {broker}
queryCq -t {topic} -q 1 -i 0 -b {broker}
sendMessage -t {topic} -p 'for programs'
consumeMessage -t {topic} -b {broker_name} -i 2 -o 1 -c 2
clusterAclConfigVersion -c {cluster}
getAccessConfigSubCommand -b {broker}
doctor
""".strip().splitlines():
    command, _, rest = line.partition(" ")
    JSON.setdefault(command, []).append(words(rest))

# --- taking away -------------------------------------------------------------------------------------------------------

case("deleteSubGroup", words("-b {broker} -g {group}"), lines(r"^delete subscription group \[<group>\] from broker \[<broker>\] success\."),
     "the broker has it no more", needed=True, effect=lambda pair, _: pair.group not in pair.table(GROUPS, "subscriptionGroupTable"))
case("deleteTopic", words("-c {cluster} -t {topic}"), lines(r"^delete topic \[<topic>\] from cluster \[DefaultCluster\] success\.",
     r"^delete topic \[<topic>\] from NameServer success\."), "neither broker nor name server has it", needed=True,
     effect=lambda pair, _: pair.topic not in pair.table(TOPICS, "topicConfigTable") and not has_route(pair, pair.topic))
case("cleanExpiredCQ", words("-b {broker}"), [r"^success"], "nothing that is needed goes",
     effect=lambda pair, _: os.path.isdir(os.path.join(pair.store, "consumequeue", LIVE)))
case("cleanUnusedTopic", words("-b {broker}"), [r"^success"], "the queue files of the deleted topic are gone",
     effect=lambda pair, _: lambda: not any(files for _, _, files in os.walk(os.path.join(pair.store, "consumequeue", pair.topic))))


case("doctor", ["-r"], [r"looked at 1 name servers, 1 brokers, \d+ topics: 0 errors"], "finds no error")


def perms(pair):
    return {queues["perm"] for queues in pair.route(LIVE)["queueDatas"]}


def wiped(pair, _):
    done = perms(pair) == {4}
    if pair.kind == "kerolox":
        # For the tools that come after; RocketMQ's name server knows no such request.
        pair.ns(ADD_WRITE_PERM, {"brokerName": pair.broker_name})
    return done


case("wipeWritePerm", words("-b {broker_name}"), lines(r"^wipe write perm of broker\[broker-a\] in name server\[<namesrv>\] OK, \d+"),
     "routes are read-only", effect=wiped)
case("addWritePerm", words("-b {broker_name}"), lines(r"^add write perm of broker\[broker-a\] in name server\[<namesrv>\] OK, \d+"),
     "routes may be written to", effect=lambda pair, _: perms(pair) == {6}, skip=lambda pair: pair.kind == "reference")
