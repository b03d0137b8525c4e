import { get, path, post, put, query, remove } from '../api.js';
import { fill, h } from '../dom.js';
import { button, count, dialog, facts, field, heading, link, note, pager, rate, span, sure, table, tag, time } from '../parts.js';
import { t } from '../words.js';
import { listPage } from './topics.js';

export function groups(context) {
  let list; let built = false;
  listPage(context, '/groups', { search: '', system: '', page: 1 }, (values) => get(`/api/groups${query(values)}`, context.signal), (data, place, values, change) => {
    if (!built) {
      const search = field(t('Search'), 'search', { value: values.search, oninput: (event) => change({ search: event.target.value }) });
      const system = field(t('Groups of the system too'), 'checkbox', { checked: values.system === 'true', onchange: (event) => change({ system: event.target.checked ? 'true' : '' }) });
      list = h('div');
      fill(place, heading(t('Groups'), context.admin ? button(t('Create group'), () => edit(context, null), { class: 'primary' }) : null),
        h('div', { class: 'filters', role: 'search' }, search.box, system.box), list);
      built = true;
    }
    fill(list, table(t('Groups'), [
      { label: t('Group'), cell: (row) => link(`/groups/${encodeURIComponent(row.group)}`, row.group) },
      { label: t('Clients'), num: true, cell: (row) => (row.error ? tag(row.error, 'bad') : row.clients ? count(row.clients) : tag(t('nobody'), 'quiet')) },
      { label: t('Model'), cell: (row) => ({ CLUSTERING: t('shared'), BROADCASTING: t('broadcast') })[row.model] ?? '–' },
      { label: t('Topics'), num: true, cell: (row) => count(row.topics) },
      { label: t('Out/s'), num: true, cell: (row) => rate(row.tps) },
      { label: t('Lag'), num: true, cell: (row) => h('span', { class: row.lag ? 'lag' : '' }, count(row.lag)) },
      { label: t('Lag, time'), num: true, cell: (row) => span(row.delayMs) },
    ], data.items), pager(data, (page) => change({ page })));
  });
}

function edit(context, known, name) {
  const group = field(t('Name'), 'text', { required: true, pattern: '[%\\|a-zA-Z0-9_\\-]+', maxlength: 255, hint: t('Letters, digits, - _ % |') });
  const may = field(t('May consume'), 'checkbox', { checked: known?.consumeEnable ?? true });
  const broadcast = field(t('May broadcast'), 'checkbox', { checked: known?.consumeBroadcastEnable ?? true });
  const tries = field(t('Tries until a message is a dead letter'), 'number', { value: known?.retryMaxTimes ?? 16, min: 0, max: 1000, required: true });
  const queues = field(t('Queues of the retry topic'), 'number', { value: known?.retryQueueNums ?? 1, min: 1, max: 64, required: true });
  dialog(known ? t('Edit {what}', { what: name }) : t('Create group'), [known ? null : group.box, may.box, broadcast.box, tries.box, queues.box], t('Save'), async () => {
    const to = name ?? group.value.trim();
    await put(path`/api/groups/${to}`, { consumeEnable: may.value, consumeBroadcastEnable: broadcast.value, retryMaxTimes: Number(tries.value), retryQueueNums: Number(queues.value) });
    note(t('Saved.'));
    context.go(`/groups/${encodeURIComponent(to)}`);
  });
}

/** Asks where a group is to go on, for a group or a topic. */
export function askReset(name, topics, again, names = []) {
  const group = field(t('Group'), name || !names.length ? 'text' : 'select', { value: name ?? names[0] ?? '', required: true }, names.map((g) => [g, g]));
  const topic = field(t('Topic'), 'select', {}, topics.map((one) => [one, one]));
  const to = field(t('Go on at'), 'select', { value: 'Time' }, [['Time', t('a time')], ['Begin', t('the oldest message')], ['End', t('the end: skip the backlog')]]);
  const at = field(t('Time'), 'datetime-local', { step: 1, value: time(Date.now() - 3600000).replace(' ', 'T') });
  to.control.addEventListener('change', () => { at.box.hidden = to.value !== 'Time'; });
  dialog(t('Reset a group'), [name ? null : group.box, topic.box, to.box, at.box, h('p', { class: 'quiet' }, t('Messages may be consumed a second time, or never.'))], t('Reset'), async () => {
    const wish = { topic: topic.value, to: to.value };
    if (to.value === 'Time') {
      wish.timeMs = new Date(at.value).getTime();
      if (Number.isNaN(wish.timeMs)) throw new Error(t('Give a time.'));
    }
    wish.to = wish.to.charAt(0).toLowerCase() + wish.to.slice(1);
    const done = await post(path`/api/groups/${name ?? group.value}/reset`, wish);
    note(done.through === 'clients' ? t('The clients were told; {n} queues.', { n: done.queues.length }) : t('{n} queues are set.', { n: done.queues.length }));
    again();
  });
}

async function showClient(group, id) {
  const info = await get(path`/api/groups/${group}/client` + query({ id, stack: 'true' })).catch((error) => { note(error.message, true); });
  if (!info) return;
  const rates = Object.entries(info.rates);
  dialog(id, [
    table(t('Rates'), [{ label: t('Topic'), cell: ([name]) => name }, { label: t('ok/s'), num: true, cell: ([, r]) => rate(r.consumeOKTPS) }, { label: t('failed/s'), num: true, cell: ([, r]) => rate(r.consumeFailedTPS) }, { label: t('ms each'), num: true, cell: ([, r]) => rate(r.consumeRT) }], rates),
    table(t('Queues'), [{ label: t('Queue'), cell: (q) => `${q.of.topic} ${q.of.brokerName} ${q.of.queueId}` }, { label: t('Held'), num: true, cell: (q) => count(q.state.cachedMsgCount) }, { label: t('Last pull'), cell: (q) => time(q.state.lastPullTimestamp) }], info.queues),
    h('details', {}, h('summary', {}, t('Settings')), table(t('Settings'), [{ label: t('Key'), cell: ([k]) => k }, { label: t('Value'), wrap: true, cell: ([, v]) => v }], Object.entries(info.properties))),
    info.stack ? h('details', {}, h('summary', {}, t('Stacks')), h('pre', { tabindex: 0 }, info.stack)) : null,
  ], t('Close'), async () => {});
}

const BEGINS = () => ({ CONSUME_FROM_FIRST_OFFSET: t('the oldest message'), CONSUME_FROM_LAST_OFFSET: t('the newest message'), CONSUME_FROM_TIMESTAMP: t('a time') });

/** Who has a queue and since when: clients do not say, so it is what this console has seen. */
const owner = (one) => (one ? [one.client, h('small', {}, one.seen ? t('since {time}', { time: time(one.sinceMs) }) : t('since {time} or longer', { time: time(one.sinceMs) }))] : '–');

export function group(context) {
  const { keep, params, admin, go } = context;
  const name = params.group;
  let owners = new Map();
  let asked = 0;
  const again = keep(async (signal) => {
    const data = await get(path`/api/groups/${name}`, signal);
    // Clients are asked seldom: each answer costs them something.
    if (data.clients.length && Date.now() - asked > 15000) {
      asked = Date.now();
      const told = await get(path`/api/groups/${name}/owners`, signal).catch(() => ({ owners: [] }));
      owners = new Map(told.owners.map((o) => [`${o.topic} ${o.broker} ${o.queue}`, o]));
    }
    return data;
  }, (data, place) => {
    const settings = Object.values(data.settings)[0];
    const topics = [...new Set([...data.queues.map((q) => q.topic), ...Object.keys(data.subscriptions)])].filter((topic) => !topic.startsWith('%')).sort();
    const lag = data.queues.reduce((sum, q) => sum + q.lag, 0);
    const oldest = data.queues.reduce((most, q) => Math.max(most, q.delayMs ?? 0), 0);
    const subscriptions = Object.values(data.subscriptions);
    fill(place, heading(name,
      link(`/dead-letters/${encodeURIComponent(name)}`, t('Dead letters'), { class: 'button' }),
      admin ? [
        topics.length ? button(t('Reset'), () => askReset(name, topics, again), { 'data-key': 'reset' }) : null,
        topics.length ? button(t('Skip the backlog'), () => skip(name, topics, again), { 'data-key': 'skip' }) : null,
        button(t('Edit'), () => edit(context, settings, name), { 'data-key': 'edit' }),
        button(t('Delete'), () => sure(t('Delete {what}', { what: name }), t('The group goes away at every broker, with its offsets.'), t('Delete'), async () => {
          await remove(path`/api/groups/${name}`);
          note(t('Deleted.'));
          go('/groups');
        }), { class: 'danger', 'data-key': 'delete' }),
      ] : null),
    facts([[t('Lag, messages'), count(lag)], [t('Lag, time'), span(oldest)], [t('Out, messages/s'), rate(data.tps)], [t('Clients'), count(data.clients.length)],
      [t('Model'), ({ CLUSTERING: t('shared'), BROADCASTING: t('broadcast') })[data.model]], [t('Begins at'), BEGINS()[data.from] ?? data.from],
      [t('May consume'), settings ? (settings.consumeEnable ? t('yes') : t('no')) : '–'], [t('Tries'), settings ? count(settings.retryMaxTimes) : '–']]),
    h('h2', {}, t('Progress')),
    table(t('Progress'), [
      { label: t('Topic'), wrap: true, cell: (q) => link(`/topics/${encodeURIComponent(q.topic)}`, q.topic) },
      { label: t('Queue'), cell: (q) => `${q.broker} ${q.queue}` },
      { label: t('Consumed up to'), num: true, cell: (q) => count(q.at) }, { label: t('End'), num: true, cell: (q) => count(q.end) },
      { label: t('Lag'), num: true, cell: (q) => h('span', { class: q.lag ? 'lag' : '' }, count(q.lag)) },
      { label: t('Lag, time'), num: true, cell: (q) => span(q.delayMs) },
      { label: t('Last consumed'), cell: (q) => time(q.lastMs) },
      { label: t('Owner'), wrap: true, cell: (q) => owner(owners.get(`${q.topic} ${q.broker} ${q.queue}`)) },
    ], data.queues, t('The group has not consumed anything yet.')),
    h('h2', {}, t('Clients')),
    table(t('Clients'), [
      { label: t('Client'), cell: (c) => button(c.clientId, () => showClient(name, c.clientId), { class: 'linkish', 'data-key': `client:${c.clientId}` }) },
      { label: t('Address'), cell: (c) => c.clientAddr }, { label: t('Language'), cell: (c) => c.language }, { label: t('Protocol'), num: true, cell: (c) => c.version },
    ], data.clients, t('Nobody is connected.')),
    h('h2', {}, t('Subscriptions')),
    table(t('Subscriptions'), [
      { label: t('Topic'), cell: (one) => one.topic }, { label: t('Expression'), cell: (one) => one.subString || '*' }, { label: t('Kind'), cell: (one) => one.expressionType },
    ], subscriptions));
  });
}

function skip(name, topics, again) {
  const topic = field(t('Topic'), 'select', {}, topics.map((one) => [one, one]));
  dialog(t('Skip the backlog'), [topic.box, h('p', {}, t('What the group has not consumed by now it will never consume.'))], t('Skip'), async () => {
    const done = await post(path`/api/groups/${name}/reset`, { topic: topic.value, to: 'end' });
    note(t('{n} queues are set.', { n: done.queues.length }));
    again();
  }, { danger: true });
}
