import { get, path, post, put, query, remove } from '../api.js';
import { fill, h } from '../dom.js';
import { button, count, dialog, facts, field, heading, link, note, pager, perm, rate, span, sure, table, tag, time } from '../parts.js';
import { t } from '../words.js';
import { askReset } from './groups.js';

const KINDS = () => [['normal', t('Normal')], ['retry', t('Retry')], ['dead', t('Dead letters')], ['system', t('System')], ['all', t('All')]];

/** Brings the search, the kind and the page into the address, so that they can be bookmarked. */
export function asked(query, defaults) {
  const values = { ...defaults };
  for (const key of Object.keys(defaults)) if (query.has(key)) values[key] = query.get(key);
  return values;
}

export function listPage({ keep, query: given }, base, defaults, load, draw) {
  const values = asked(given, defaults);
  const again = keep(() => load(values), (data, place) => draw(data, place, values, change));
  let timer = 0;
  function change(more) {
    Object.assign(values, { page: 1 }, more);
    history.replaceState(null, '', base + query(values));
    clearTimeout(timer);
    timer = setTimeout(again, 150);
  }
}

export function topics(context) {
  let search; let kind; let list; let built = false;
  listPage(context, '/topics', { search: '', kind: 'normal', page: 1 }, (values) => get(`/api/topics${query(values)}`, context.signal), (data, place, values, change) => {
    if (!built) {
      search = field(t('Search'), 'search', { value: values.search, oninput: (event) => change({ search: event.target.value }) });
      kind = field(t('Kind'), 'select', { value: values.kind, onchange: (event) => change({ kind: event.target.value }) }, KINDS());
      list = h('div');
      fill(place, heading(t('Topics'), context.admin ? button(t('Create topic'), () => edit(context, null), { class: 'primary' }) : null),
        h('div', { class: 'filters', role: 'search' }, search.box, kind.box), list);
      built = true;
    }
    fill(list, table(t('Topics'), [
      { label: t('Topic'), cell: (row) => link(`/topics/${encodeURIComponent(row.topic)}`, row.topic) },
      { label: t('Queues'), num: true, cell: (row) => (row.error ? tag(row.error, 'bad') : row.readQueues === row.writeQueues ? count(row.readQueues) : `${row.readQueues} / ${row.writeQueues}`) },
      { label: t('May'), cell: (row) => perm(row.perm) },
      { label: t('Brokers'), num: true, cell: (row) => count(row.brokers) },
      { label: t('In/s'), num: true, cell: (row) => rate(row.tps) },
    ], data.items), pager(data, (page) => change({ page })));
  });
}

export async function edit(context, known, wanted = '') {
  const all = (await get('/api/brokers').catch((error) => { note(error.message, true); return { items: [] }; })).items.filter((b) => b.id === 0);
  const name = field(t('Name'), 'text', { value: wanted, required: true, pattern: '[%\\|a-zA-Z0-9_\\-]+', maxlength: 127, hint: t('Letters, digits, - _ % |') });
  const read = field(t('Queues to read'), 'number', { value: known?.read ?? 8, min: 1, max: 1024, required: true });
  const write = field(t('Queues to write'), 'number', { value: known?.write ?? 8, min: 1, max: 1024, required: true });
  const may = field(t('May'), 'select', { value: String(known?.perm ?? 6) }, [['6', t('read and write')], ['4', t('read')], ['2', t('write')]]);
  const order = field(t('Keep the order while brokers are away'), 'checkbox', { checked: known?.order });
  const boxes = all.map((b) => [b.name, field(b.name, 'checkbox', { checked: known ? known.brokers.includes(b.name) : true })]);
  dialog(known ? t('Edit {what}', { what: known.topic }) : t('Create topic'), [
    known ? null : name.box, read.box, write.box, may.box, order.box,
    h('fieldset', {}, h('legend', {}, t('Brokers')), boxes.map(([, box]) => box.box)),
  ], t('Save'), async () => {
    const topic = known?.topic ?? name.value.trim();
    const brokers = boxes.filter(([, box]) => box.value).map(([broker]) => broker);
    if (!brokers.length) throw new Error(t('Choose a broker.'));
    await put(path`/api/topics/${topic}`, {
      readQueues: Number(read.value), writeQueues: Number(write.value), perm: Number(may.value), order: order.value, brokers, replace: Boolean(known),
    });
    note(t('Saved.'));
    context.go(`/topics/${encodeURIComponent(topic)}`);
  });
}

function send(topic, again) {
  const body = field(t('Body'), 'textarea', { value: '' });
  const tags = field(t('Tag'), 'text');
  const keys = field(t('Keys'), 'text', { hint: t('Several with blanks between') });
  const delay = field(t('Delay level'), 'number', { value: 0, min: 0, max: 18 });
  const more = field(t('Properties'), 'textarea', { rows: 2, hint: t('One name=value a line') });
  dialog(t('Send a test message'), [body.box, tags.box, keys.box, delay.box, more.box], t('Send'), async () => {
    const properties = {};
    for (const line of more.value.split('\n').filter((l) => l.trim())) {
      const at = line.indexOf('=');
      if (at < 1) throw new Error(t('{line} is no name=value', { line }));
      properties[line.slice(0, at).trim()] = line.slice(at + 1);
    }
    const sent = await post(path`/api/topics/${topic}/send`, { body: body.value, tags: tags.value, keys: keys.value, delayLevel: Number(delay.value), properties });
    note(`${sent.status} · ${sent.broker} · ${t('queue')} ${sent.queue} · ${sent.id}`);
    again();
  });
}

export function topic(context) {
  const { keep, params, admin, go } = context;
  const again = keep((signal) => get(path`/api/topics/${params.topic}`, signal), (data, place) => {
    const route = data.route;
    const of = (pick) => route.queueDatas.reduce((sum, q) => sum + q[pick], 0);
    const known = {
      topic: data.topic, read: route.queueDatas[0]?.readQueueNums, write: route.queueDatas[0]?.writeQueueNums,
      perm: route.queueDatas.reduce((all, q) => all | q.perm, 0) & 6, order: Boolean(route.orderTopicConf), brokers: route.queueDatas.map((q) => q.brokerName),
    };
    const total = data.queues.reduce((sum, q) => sum + (q.max - q.min), 0);
    fill(place, heading(data.topic,
      link(`/messages?topic=${encodeURIComponent(data.topic)}`, t('Messages'), { class: 'button' }),
      admin ? [
        button(t('Send a test message'), () => send(data.topic, again), { 'data-key': 'send' }),
        button(t('Edit'), () => edit(context, known), { 'data-key': 'edit' }),
        button(t('Reset a group'), () => askReset(null, [data.topic], again, data.groups.map((row) => row.group)), { 'data-key': 'reset' }),
        data.kind === 'system' ? null : button(t('Delete'), () => sure(t('Delete {what}', { what: data.topic }), t('The topic goes away at every broker, with all of its messages.'), t('Delete'), async () => {
          await remove(path`/api/topics/${data.topic}`);
          note(t('Deleted.'));
          go('/topics');
        }), { class: 'danger', 'data-key': 'delete' }),
      ] : null),
    facts([[t('Messages'), count(total)], [t('Queues to read'), count(of('readQueueNums'))], [t('Queues to write'), count(of('writeQueueNums'))],
      [t('May'), perm(known.perm)], [t('Order'), route.orderTopicConf ?? '–']]),
    h('h2', {}, t('Consumer groups')),
    table(t('Consumer groups'), [
      { label: t('Group'), cell: (row) => link(`/groups/${encodeURIComponent(row.group)}`, row.group) },
      { label: t('Clients'), num: true, cell: (row) => (row.error ? tag(row.error, 'bad') : row.clients ? count(row.clients) : tag(t('nobody'), 'quiet')) },
      { label: t('Out/s'), num: true, cell: (row) => rate(row.tps) },
      { label: t('Lag'), num: true, cell: (row) => h('span', { class: row.lag ? 'lag' : '' }, count(row.lag)) },
      { label: t('Lag, time'), num: true, cell: (row) => span(row.delayMs) },
    ], data.groups, t('No group consumes this topic.')),
    h('h2', {}, t('Queues')),
    table(t('Queues'), [
      { label: t('Broker'), cell: (q) => q.broker }, { label: t('Queue'), num: true, cell: (q) => q.queue },
      { label: t('First'), num: true, cell: (q) => count(q.min) }, { label: t('End'), num: true, cell: (q) => count(q.max) },
      { label: t('Messages'), num: true, cell: (q) => count(q.max - q.min) }, { label: t('Last message'), cell: (q) => time(q.lastMs) },
    ], data.queues),
    h('h2', {}, t('Route')),
    table(t('Route'), [
      { label: t('Broker'), cell: (b) => link(`/brokers/${encodeURIComponent(b.brokerName)}/0`, b.brokerName) }, { label: t('Cluster'), cell: (b) => b.cluster },
      { label: t('Addresses'), cell: (b) => Object.entries(b.brokerAddrs).map(([id, address]) => `${id}: ${address}`).join(', ') },
      { label: t('Queues'), cell: (b) => { const q = route.queueDatas.find((one) => one.brokerName === b.brokerName); return q ? `${q.readQueueNums} / ${q.writeQueueNums}` : '–'; } },
      { label: t('May'), cell: (b) => perm(route.queueDatas.find((one) => one.brokerName === b.brokerName)?.perm ?? 0) },
    ], route.brokerDatas));
  });
}
