// What servers say in English, in Chinese: findings and their remedies, by their form. What stands in braces is taken over.

export const ZH_TOLD = {
  // subjects
  'name server {a}': 'Name Server {a}', 'broker {a}': 'Broker {a}', 'topic {a}': '主题 {a}', 'group {a}': '消费组 {a}', 'cluster {a}': '集群 {a}', 'this machine': '本机', brokers: 'Broker', topics: '主题',
  // name servers
  'does not answer: {why}': '无响应：{why}',
  'start it (`mqnamesrv`) or correct its address in -n and NAMESRV_ADDR; `nc -vz {place}` shows whether it can be reached': '启动它（`mqnamesrv`），或更正 -n 与 NAMESRV_ADDR 中的地址；用 `nc -vz {place}` 检查是否可达',
  'is the only one: while it is away, no client can start': '是唯一的 Name Server：它不可用时客户端无法启动',
  'start a second one on another machine and name both: {conf}': '在另一台机器上再启动一个，并同时配置两者：{conf}',
  '{n} brokers are registered at others but not here: {some}': '{n} 个 Broker 已在其他 Name Server 注册，但未在此注册：{some}',
  'restart these brokers with namesrvAddr={addresses}': '以 namesrvAddr={addresses} 重启这些 Broker',
  'knows {topics} topics, another one knows {most}': '知道 {topics} 个主题，而另一个知道 {most} 个',
  'wait for half a minute, brokers tell their topics again by then; then look whether all brokers name this server in namesrvAddr': '等待半分钟，Broker 会重新上报主题；之后检查所有 Broker 的 namesrvAddr 是否包含此地址',
  // brokers
  'none is registered': '没有任何 Broker 注册', 'start one: {command}': '启动一个：{command}',
  'has no master: its queues can be read but not written': '没有主节点：其队列可读不可写', 'start its master again (brokerId=0)': '重新启动其主节点（brokerId=0）',
  'has brokers of several versions: {list}': '存在多个版本的 Broker：{list}', 'finish the upgrade; `mqadmin clusterList` shows which broker has which': '完成升级；`mqadmin clusterList` 可查看各 Broker 的版本',
  'registered itself as {address}, which is no place to connect to': '注册的地址 {address} 无法连接',
  'registered itself as {address}, which only its own machine reaches': '注册的地址 {address} 只有本机可达',
  'registered itself as {address} and does not answer there: {why}': '注册的地址 {address} 无响应：{why}',
  'nothing to do while all clients run there; otherwise set brokerIP1 and restart it': '若所有客户端都在同一台机器上则无需处理；否则请设置 brokerIP1 并重启',
  "set brokerIP1 in the broker's configuration to the address that clients reach, and restart it": '在 Broker 配置中把 brokerIP1 设为客户端可达的地址，然后重启',
  'look whether it runs (`mqadmin clusterList`), whether a firewall is between, and set brokerIP1 to an address that clients reach': '检查它是否在运行（`mqadmin clusterList`）、中间是否有防火墙，并把 brokerIP1 设为客户端可达的地址',
  'may only be read: brokerPermission is {permission}': '只读：brokerPermission 为 {permission}', 'may only be written: brokerPermission is {permission}': '只写：brokerPermission 为 {permission}',
  'refuses messages for {wait} s more: startAcceptSendRequestTimeStamp is {from}': '还将拒绝消息 {wait} 秒：startAcceptSendRequestTimeStamp 为 {from}',
  'refuses transactional messages: rejectTransactionMessage is true': '拒绝事务消息：rejectTransactionMessage 为 true',
  'set it to false in the configuration and restart, if transactions are wanted': '如需事务消息，请在配置中设为 false 并重启',
  "its clock is {n} s behind this machine's: delays and retention go by it": '其时钟比本机慢 {n} 秒：延时与保留时间均以它为准', "its clock is {n} s ahead of this machine's: delays and retention go by it": '其时钟比本机快 {n} 秒：延时与保留时间均以它为准',
  'on both machines: {command}': '在两台机器上执行：{command}',
  'its disk is {n} % full: messages are refused above {limit} %': '磁盘已用 {n} %：超过 {limit} % 将拒绝消息', 'its disk is {n} % full: from {limit} % on, old messages go early': '磁盘已用 {n} %：达到 {limit} % 后会提前删除旧消息',
  'keep messages for less than the {hours} hours of now: {command} -v HOURS; or enlarge the disk of storePathRootDir': '缩短消息保留时间（现为 {hours} 小时）：{command} -v 小时数；或扩大 storePathRootDir 所在磁盘',
  'look at its disk and processor; {command} shows the figures': '检查其磁盘与处理器；{command} 可查看指标',
  '{n} MiB of messages are stored but not seen by consumers yet': '{n} MiB 消息已存储，但消费者尚不可见',
  'sends wait for {wait} ms: they are refused from {limit} ms on': '发送已等待 {wait} 毫秒：达到 {limit} 毫秒将被拒绝', 'a write of the log takes {locked} ms: sends are refused from {limit} ms on': '写日志耗时 {locked} 毫秒：达到 {limit} 毫秒将拒绝发送',
  '{n} transactions have no end, however often their producers are asked; the oldest is open for {minutes} minutes': '{n} 个事务多次回查仍无结果；最早的已等待 {minutes} 分钟',
  'its log names the groups that have nobody to ask: start their producers ({command}); those that are connected must answer checkLocalTransaction with commit or rollback': '日志中列出了无可回查的生产组：请启动其生产者（{command}）；已连接的生产者须在 checkLocalTransaction 中返回提交或回滚',
  '{n} rounds over open transactions have failed since its start': '启动以来有 {n} 轮事务回查失败', 'its log says why; report it with that text': '原因见日志；请附上日志反馈',
  // topics
  'is listed but has no route: {why}': '已列出但没有路由：{why}', 'has queues at {broker}, whose address nobody knows': '在 {broker} 上有队列，但无人知道其地址', 'start the broker {name} again': '重新启动 Broker {name}',
  'has no queue that may be read': '没有可读的队列', 'has no queue that may be written: the permission is off or no master is there': '没有可写的队列：权限关闭或没有主节点', 'has an order configuration that names no queue': '顺序配置中没有任何队列',
  'has {write} queues to write but {read} to read at {broker}: some are not read': '在 {broker} 上有 {write} 个写队列但只有 {read} 个读队列：部分队列不会被读取',
  '{n} topics more than are looked at here': '还有 {n} 个主题未检查', '{command} shows one': '用 {command} 查看单个',
  // clients
  'is wanted and not there: asked for once, last by {client}': '被请求但不存在：请求 1 次，最近来自 {client}', 'is wanted and not there: asked for {n} times, last by {client}': '被请求但不存在：请求 {n} 次，最近来自 {client}',
  'its members subscribe differently: {how}': '成员的订阅关系不一致：{how}', 'give all members of the group the same topics and expressions; until then some messages reach nobody': '让组内所有成员使用相同的主题和表达式；在此之前部分消息无人消费',
  'has {clients} clients and consumes nothing: {lag} messages wait, the oldest for {age} s': '有 {clients} 个客户端但没有消费：{lag} 条消息在等待，最早的已等 {age} 秒', '{command} shows what its threads wait for': '用 {command} 查看其线程在等待什么',
  // why something cannot be shown
  'no broker: no primary is registered at the name server': '没有 Broker：Name Server 上没有注册任何主节点', 'there is no topic [{topic}]': '没有主题 [{topic}]', 'no broker knows the group [{group}]': '没有 Broker 知道消费组 [{group}]',
  '{address} refused: aclEnable is false: this broker has no accounts (code {code})': '{address} 拒绝：aclEnable 为 false，此 Broker 没有账号（代码 {code}）',
  'name or password is wrong': '用户名或密码错误', 'the old password is wrong': '旧密码错误', 'too many logins were tried; try again in {n} s': '登录尝试过多，请 {n} 秒后再试', 'the console does not answer': '控制台无响应',
};
