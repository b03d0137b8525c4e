//! Keys of RocketMQ 4.7.1 that are taken and have no effect here, each with the reason an operator is told.

use crate::config::key::{Class, Key, key};
use crate::config::rule::Rule;

const THREADS: &str = "requests need no pools of threads here; the node sizes itself by the processors";
const WAITING: &str = "requests do not wait in queues between threads here";
const SOCKETS: &str = "the operating system sizes socket buffers";
const BUFFERS: &str = "there are no pooled buffers to switch";
const HEAP: &str = "the log needs no locked or warmed memory here";
const PAGES: &str = "the log is made durable by time, not by counted pages";
const UNUSED: &str = "RocketMQ 4.7.1 does not read it either";
const BILLING: &str = "statistics for billing of a cloud service";
const REPLICAS: &str = "this version has no replicas";
const FILTER: &str = "filters judge by the properties of each record; bit maps beside the queues would only save reads";
const FILTER_SERVER: &str = "filter servers were removed from RocketMQ";
const TEST_CLUSTER: &str = "an old feature for test clusters";
const FIXED: &str = "the behaviour is always the default";
const NO_JAVA: &str = "it names Java classes";
const CLIENT_KEY: &str = "this node shows no certificate to those it calls";
const PASSWORD: &str = "an encrypted key is not read; store the key without a password, readable by this user only";

const fn no(class: Class, name: &'static str, initial: &'static str, reason: &'static str) -> Key {
    key(name, Rule::Text, initial).class(class).no_meaning(reason)
}

const fn broker(name: &'static str, initial: &'static str, reason: &'static str) -> Key {
    no(Class::Broker, name, initial, reason)
}

const fn store(name: &'static str, initial: &'static str, reason: &'static str) -> Key {
    no(Class::Store, name, initial, reason)
}

const fn server(name: &'static str, initial: &'static str, reason: &'static str) -> Key {
    no(Class::Server, name, initial, reason)
}

const fn client(name: &'static str, initial: &'static str, reason: &'static str) -> Key {
    no(Class::Client, name, initial, reason)
}

/// A number of threads that RocketMQ derives from the processors.
macro_rules! by_cores {
    ($name:literal, $how:literal, $make:expr) => {
        broker($name, "", THREADS).of($how, |host| {
            let cores = host.cores;
            let make: fn(usize) -> usize = $make;
            make(cores).to_string()
        })
    };
}

/// Keys of a broker.
pub(crate) static BROKER_IGNORED: &[Key] = &[
    broker("messageStorePlugIn", "", NO_JAVA),
    broker("sendMessageThreadPoolNums", "1", THREADS),
    by_cores!("pullMessageThreadPoolNums", "16 + 2 * processors", |cores| 16 + 2 * cores),
    by_cores!("processReplyMessageThreadPoolNums", "16 + 2 * processors", |cores| 16 + 2 * cores),
    by_cores!("queryMessageThreadPoolNums", "8 + processors", |cores| 8 + cores),
    broker("adminBrokerThreadPoolNums", "16", THREADS),
    broker("clientManageThreadPoolNums", "32", THREADS),
    broker("consumerManageThreadPoolNums", "32", THREADS),
    by_cores!("heartbeatThreadPoolNums", "processors, at most 32", |cores| cores.min(32)),
    by_cores!("endTransactionThreadPoolNums", "8 + 2 * processors", |cores| 8 + 2 * cores),
    broker("flushConsumerOffsetHistoryInterval", "60000", UNUSED).ms(),
    broker("sendThreadPoolQueueCapacity", "10000", WAITING),
    broker("pullThreadPoolQueueCapacity", "100000", WAITING),
    broker("replyThreadPoolQueueCapacity", "10000", WAITING),
    broker("queryThreadPoolQueueCapacity", "20000", WAITING),
    broker("clientManagerThreadPoolQueueCapacity", "1000000", WAITING),
    broker("consumerManagerThreadPoolQueueCapacity", "1000000", WAITING),
    broker("heartbeatThreadPoolQueueCapacity", "50000", WAITING),
    broker("endTransactionPoolQueueCapacity", "100000", WAITING),
    broker("filterServerNums", "0", FILTER_SERVER),
    broker("highSpeedMode", "false", UNUSED),
    broker("commercialEnable", "true", BILLING),
    broker("commercialTimerCount", "1", BILLING),
    broker("commercialTransCount", "1", BILLING),
    broker("commercialBigCount", "1", BILLING),
    broker("commercialBaseCount", "1", BILLING),
    broker("transferMsgByHeap", "true", FIXED),
    broker("maxDelayTime", "40", UNUSED),
    broker("slaveReadEnable", "false", REPLICAS),
    broker("disableConsumeIfConsumerReadSlowly", "false", FIXED),
    broker("consumerFallbehindThreshold", "17179869184", FIXED).bytes(),
    broker("brokerFastFailureEnable", "true", WAITING),
    broker("waitTimeMillsInSendQueue", "200", WAITING).ms(),
    broker("waitTimeMillsInPullQueue", "5000", WAITING).ms(),
    broker("waitTimeMillsInHeartbeatQueue", "31000", WAITING).ms(),
    broker("waitTimeMillsInTransactionQueue", "3000", WAITING).ms(),
    broker("enableCalcFilterBitMap", "false", FILTER),
    broker("expectConsumerNumUseFilter", "32", FILTER),
    broker("maxErrorRateOfBloomFilter", "20", FILTER),
    broker("forceRegister", "true", "a broker always registers every period here"),
    broker("autoDeleteUnusedStats", "false", "statistics of a deleted topic always go with it"),
    store("enableConsumeQueueExt", "false", FILTER),
    store("mappedFileSizeConsumeQueueExt", "50331648", FILTER).bytes(),
    store("bitMapLengthConsumeQueueExt", "64", FILTER),
    store("commitIntervalCommitLog", "200", HEAP).ms().important(),
    store("useReentrantLockWhenPutMessage", "false", "the lock of the log is not a choice"),
    store("flushCommitLogTimed", "false", PAGES).important(),
    store("deleteConsumeQueueFilesInterval", "100", "queue files are deleted together with their log files").ms(),
    store("destroyMapedFileIntervalForcibly", "120000", "a deleted file is never held back by readers here").ms(),
    store("redeleteHangedFileInterval", "120000", "a deleted file is never held back by readers here").ms(),
    store("putMsgIndexHightWater", "600000", UNUSED),
    store("flushCommitLogLeastPages", "4", PAGES),
    store("commitCommitLogLeastPages", "4", HEAP),
    store("flushLeastPagesWhenWarmMapedFile", "4096", HEAP),
    store("flushConsumeQueueLeastPages", "2", PAGES),
    store("flushCommitLogThoroughInterval", "10000", PAGES).ms(),
    store("commitCommitLogThoroughInterval", "200", HEAP).ms(),
    store("flushConsumeQueueThoroughInterval", "60000", PAGES).ms(),
    store("messageIndexSafe", "false", "recovery always makes sure of the index").important(),
    store("haListenPort", "10912", REPLICAS),
    store("haSendHeartbeatInterval", "5000", REPLICAS).ms(),
    store("haHousekeepingInterval", "20000", REPLICAS).ms(),
    store("haTransferBatchSize", "32768", REPLICAS).bytes(),
    store("haMasterAddress", "", REPLICAS).important(),
    store("haSlaveFallbehindMax", "268435456", REPLICAS).bytes(),
    store("warmMapedFileEnable", "false", HEAP),
    store("offsetCheckInSlave", "false", REPLICAS),
    store("debugLockEnable", "false", "there are no Java stacks to dump"),
    store("duplicationEnable", "false", REPLICAS),
    store("diskFallRecorded", "true", FIXED),
    store("osPageCacheBusyTimeOutMills", "1000", "sends are not refused for a busy page cache").ms(),
    store("defaultQueryMaxNum", "32", FIXED),
    store("transientStorePoolEnable", "false", HEAP).important(),
    store("transientStorePoolSize", "5", HEAP),
    store("fastFailIfNoBufferInStorePool", "false", HEAP),
    store("dLegerGroup", "", REPLICAS),
    store("dLegerPeers", "", REPLICAS),
    store("dLegerSelfId", "", REPLICAS),
];

/// Keys of connections, which both roles have.
pub(crate) static NET_IGNORED: &[Key] = &[
    server("serverWorkerThreads", "8", THREADS),
    server("serverCallbackExecutorThreads", "0", THREADS),
    server("serverSelectorThreads", "3", THREADS),
    server("serverOnewaySemaphoreValue", "256", WAITING),
    server("serverAsyncSemaphoreValue", "64", WAITING),
    server("serverSocketSndBufSize", "65535", SOCKETS).bytes(),
    server("serverSocketRcvBufSize", "65535", SOCKETS).bytes(),
    server("serverPooledByteBufAllocatorEnable", "true", BUFFERS),
    server("useEpollNativeSelector", "false", "epoll is always used"),
    no(Class::Tls, "tls.server.keyPassword", "", PASSWORD),
    no(Class::Tls, "tls.client.keyPath", "", CLIENT_KEY),
    no(Class::Tls, "tls.client.keyPassword", "", CLIENT_KEY),
    no(Class::Tls, "tls.client.certPath", "", CLIENT_KEY),
];

/// Keys of outgoing connections, which a name server does not have.
pub(crate) static CLIENT_IGNORED: &[Key] = &[
    client("clientWorkerThreads", "4", THREADS),
    client("clientCallbackExecutorThreads", "", THREADS).of("processors", |host| host.cores.to_string()),
    client("clientOnewaySemaphoreValue", "65535", WAITING),
    client("clientAsyncSemaphoreValue", "65535", WAITING),
    client("channelNotActiveInterval", "60000", UNUSED).ms(),
    client("clientSocketSndBufSize", "65535", SOCKETS).bytes(),
    client("clientSocketRcvBufSize", "65535", SOCKETS).bytes(),
    client("clientPooledByteBufAllocatorEnable", "false", BUFFERS),
    client("clientCloseSocketIfTimeout", "false", FIXED),
];

/// Keys of a name server.
pub(crate) static NAMESRV_IGNORED: &[Key] = &[
    no(
        Class::Namesrv,
        "configStorePath",
        "",
        "changes are kept in the `-c` file; RocketMQ writes this one and never reads it",
    )
    .of("$HOME/namesrv/namesrv.properties", |host| host.below_home("namesrv/namesrv.properties")),
    no(Class::Namesrv, "productEnvName", "center", TEST_CLUSTER),
    no(Class::Namesrv, "clusterTest", "false", TEST_CLUSTER),
];
