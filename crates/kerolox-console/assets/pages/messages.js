import { get, post, query } from '../api.js';
import { fill, h } from '../dom.js';
import { button, bytes, count, dialog, exact, facts, field, heading, link, note, save, table, tag, time } from '../parts.js';
import { t } from '../words.js';

const local = (ms) => time(ms).replace(' ', 'T');

export const messageLink = (m) => link(`/messages/${encodeURIComponent(m.offsetId)}?topic=${encodeURIComponent(m.topic)}`, m.id, { class: 'id' });

export const COLUMNS = () => [
  { label: t('Id'), cell: messageLink }, { label: t('Stored'), cell: (m) => time(m.storeMs) },
  { label: t('Tag'), cell: (m) => m.tags ?? '–' }, { label: t('Keys'), cell: (m) => m.keys ?? '–' },
  { label: t('Broker'), cell: (m) => m.broker ?? '–' }, { label: t('Queue'), num: true, cell: (m) => m.queue },
  { label: t('Place'), num: true, cell: (m) => count(m.queueOffset) }, { label: t('Size'), num: true, cell: (m) => bytes(m.size) },
];

export function messages({ root, query: given, go, signal }) {
  const by = field(t('Find by'), 'select', { value: given.get('by') ?? 'time' }, [['time', t('topic and time')], ['key', t('key')], ['id', t('id')]]);
  const topic = field(t('Topic'), 'text', { value: given.get('topic') ?? '' });
  const from = field(t('From'), 'datetime-local', { step: 1, value: local(Number(given.get('from')) || Date.now() - 3600000) });
  const to = field(t('To'), 'datetime-local', { step: 1, value: given.get('to') ? local(Number(given.get('to'))) : '', hint: t('Empty: now') });
  const key = field(t('Key'), 'text', { value: given.get('key') ?? '' });
  const id = field(t('Message id'), 'text', { value: given.get('id') ?? '' });
  const found = h('div');
  const told = h('p', { class: 'trouble', role: 'alert' });
  const shape = () => {
    from.box.hidden = to.box.hidden = by.value !== 'time';
    key.box.hidden = by.value !== 'key';
    id.box.hidden = by.value !== 'id';
  };
  by.control.addEventListener('change', shape);
  shape();

  const page = async (asked, rows) => {
    const data = await get(`/api/messages${query(asked)}`, signal);
    const all = [...rows, ...data.items];
    fill(found, h('p', { class: 'quiet', role: 'status' }, t('{n} shown, at most {left} in all', { n: count(all.length), left: count(rows.length + data.left) })),
      table(t('Messages'), COLUMNS(), all, t('No message was stored in that time.')),
      data.cursor ? button(t('Older messages'), () => page({ ...asked, cursor: data.cursor }, all).catch((error) => note(error.message, true)), { 'data-key': 'older', class: 'older' }) : null);
  };
  const search = async (event) => {
    event?.preventDefault();
    fill(told);
    try {
      const asked = { by: by.value, topic: topic.value.trim() };
      if (by.value === 'time') {
        asked.from = new Date(from.value).getTime() || '';
        asked.to = to.value ? new Date(to.value).getTime() : '';
        history.replaceState(null, '', `/messages${query(asked)}`);
        await page({ topic: asked.topic, fromMs: asked.from, toMs: asked.to }, []);
      } else if (by.value === 'key') {
        asked.key = key.value.trim();
        history.replaceState(null, '', `/messages${query(asked)}`);
        const data = await get(`/api/messages/by-key${query({ topic: asked.topic, key: asked.key })}`, signal);
        fill(found, table(t('Messages'), COLUMNS(), data.items, t('No message with that key.')));
      } else {
        go(`/messages/${encodeURIComponent(id.value.trim())}${query({ topic: asked.topic })}`);
      }
    } catch (error) {
      if (error.name !== 'AbortError') { fill(found); fill(told, error.message); }
    }
  };
  fill(root, heading(t('Messages')), h('form', { class: 'filters', role: 'search', onsubmit: search }, by.box, topic.box, from.box, to.box, key.box, id.box, h('button', { type: 'submit', class: 'primary' }, t('Search'))), told, found);
  if (topic.value && (by.value === 'time' || key.value)) search();
}

function decode(base64) {
  const text = atob(base64);
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

function hex(all) {
  const lines = [];
  for (let at = 0; at < Math.min(all.length, 16384); at += 16) {
    const part = [...all.subarray(at, at + 16)];
    const shown = part.map((b) => b.toString(16).padStart(2, '0')).join(' ').padEnd(47);
    lines.push(`${at.toString(16).padStart(8, '0')}  ${shown}  ${part.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : '.')).join('')}`);
  }
  return lines.join('\n');
}

/** The body as text, as JSON with line breaks, or in hex. */
function bodyOf(m) {
  const views = [];
  if (m.text !== null) {
    try {
      views.push(['JSON', JSON.stringify(JSON.parse(m.text), null, 2)]);
    } catch { /* it is no JSON */ }
    views.push([t('Text'), m.text]);
  }
  views.push([t('Hex'), hex(decode(m.base64))]);
  const shown = h('pre', { tabindex: 0, 'aria-label': t('Body') }, views[0][1]);
  const choose = views.map(([name, text], at) => button(name, (event) => {
    fill(shown, text);
    for (const one of event.currentTarget.parentNode.children) one.setAttribute('aria-pressed', String(one === event.currentTarget));
  }, { 'aria-pressed': String(at === 0) }));
  return [h('div', { class: 'choice', role: 'group', 'aria-label': t('Show the body as') }, choose), shown, m.cut ? h('p', { class: 'quiet' }, t('Cut; save the body to see all of it.')) : null];
}

export function message({ keep, params, query: given, admin }) {
  const topic = given.get('topic') ?? '';
  keep((signal) => get(`/api/messages/by-id${query({ id: params.id, topic })}`, signal), (m, place) => {
    const tracks = h('div', { role: 'status' }, h('p', { class: 'empty' }, t('Looking…')));
    get(`/api/messages/track${query({ id: m.offsetId, topic: m.topic })}`).then((data) => fill(tracks, table(t('Consumers'), [
      { label: t('Group'), cell: (row) => link(`/groups/${encodeURIComponent(row.group)}`, row.group) },
      { label: t('State'), cell: (row) => tag(STATES()[row.state] ?? row.state, row.state === 'CONSUMED' ? 'good' : '') }, { label: t('Reason'), wrap: true, cell: (row) => row.why ?? '–' },
      { label: t('Change'), cell: (row) => (admin ? button(t('Resend'), () => resend(m, row.group), { 'aria-label': t('Resend to {group}', { group: row.group }) }) : '') },
    ], data.items, t('No group consumes this topic.'))), (error) => fill(tracks, h('p', { class: 'trouble' }, error.message)));
    fill(place, heading(t('Message'), link(`/trace${query({ id: m.id })}`, t('Trace'), { class: 'button' }), button(t('Save the body'), () => save(`/api/messages/body${query({ id: m.offsetId, topic: m.topic })}`))),
      facts([[t('Id'), m.id], [t('Place id'), m.offsetId], [t('Topic'), link(`/topics/${encodeURIComponent(m.topic)}`, m.topic)], [t('Broker'), m.broker], [t('Queue'), m.queue], [t('Place'), count(m.queueOffset)],
        [t('Stored'), exact(m.storeMs)], [t('Made'), exact(m.bornMs)], [t('From'), m.bornHost], [t('Size'), bytes(m.size)], [t('Tries'), count(m.reconsumeTimes)], [t('Tag'), m.tags], [t('Keys'), m.keys]]),
      h('h2', {}, t('Body')), bodyOf(m),
      h('h2', {}, t('Properties')), table(t('Properties'), [{ label: t('Name'), cell: ([name]) => name }, { label: t('Value'), wrap: true, cell: ([, value]) => value }], m.properties),
      h('h2', {}, t('Consumers')), tracks);
  }, 0);
}

// What mqadmin's messageTrackDetail calls them.
const STATES = () => ({
  CONSUMED: t('consumed'), CONSUMED_BUT_FILTERED: t('filtered out'), PULL: t('pulled by the client'), NOT_CONSUME_YET: t('not consumed yet'), NOT_ONLINE: t('nobody is connected'),
  CONSUME_BROADCASTING: t('broadcast'), UNKNOWN: t('unknown'),
});

function resend(m, group) {
  const client = field(t('Client'), 'text', { hint: t('Empty: the first of the group') });
  dialog(t('Resend to {group}', { group }), [client.box, h('p', {}, t('The client consumes the message at once, beside its queues.'))], t('Resend'), async () => {
    const done = await post('/api/messages/resend', { id: m.offsetId, group, client: client.value.trim() || undefined });
    note(`${done.client}: ${done.result ?? '–'} (${done.tookMs} ms) ${done.remark ?? ''}`);
  });
}
