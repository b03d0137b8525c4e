import { get, path, post, query } from '../api.js';
import { fill, h } from '../dom.js';
import { button, count, field, heading, link, note, span, sure, table, tag, time } from '../parts.js';
import { t } from '../words.js';

const columns = () => [
  { label: t('Due'), cell: (m) => [time(m.dueMs), m.dueMs ? h('small', {}, t('in {span}', { span: span(Math.max(0, m.dueMs - Date.now())) })) : null] },
  { label: t('Topic'), cell: (m) => (m.topic ? link(`/topics/${encodeURIComponent(m.topic)}`, m.topic) : '–') },
  { label: t('Message id'), cell: (m) => link(`/messages/${encodeURIComponent(m.offsetId)}`, m.id, { class: 'id' }) },
  { label: t('Keys'), cell: (m) => m.keys ?? '–' }, { label: t('Broker'), cell: (m) => m.broker }, { label: t('Stored'), cell: (m) => time(m.storeMs) },
];

export function delays({ admin, signal, keep, onLeave }) {
  const waiting = h('div');
  const levels = h('div');
  const one = h('div');
  const at = field(t('Due from'), 'datetime-local', { step: 1, hint: t('Empty: the earliest') });
  const later = button(t('Later messages'), () => load(next), { class: 'older', 'data-key': 'later' });
  let rows = [];
  let next = null;
  let gone = false;
  onLeave(() => { gone = true; });

  function draw() {
    const cancel = { label: t('Cancel'), cell: (m) => button(t('Cancel'), () => take(m), { 'aria-label': t('Cancel {what}', { what: m.id }), 'data-key': `cancel:${m.offsetId}` }) };
    fill(waiting, table(t('Waiting for a time'), [...columns(), ...(admin ? [cancel] : [])], rows, t('Nothing waits for a time of its own.')), next === null ? null : later);
  }
  async function load(from) {
    try {
      const fromMs = from ?? (at.value ? new Date(at.value).getTime() : undefined);
      const data = await get(`/api/delays/timers${query({ fromMs })}`, signal);
      const known = new Set(from ? rows.map((m) => m.offsetId) : []);
      rows = from ? [...rows, ...data.items.filter((m) => !known.has(m.offsetId))] : data.items;
      next = data.nextMs;
      draw();
    } catch (error) {
      if (error.name !== 'AbortError') fill(waiting, h('p', { class: 'trouble', role: 'alert' }, error.message));
    }
  }
  function take(m) {
    sure(t('Cancel {what}', { what: m.id }), t('The message is never delivered.'), t('Cancel the message'), async () => {
      await post('/api/delays/cancel', { broker: m.broker, topic: m.topic, id: m.id, dueMs: m.dueMs });
      note(t('Cancelled.'));
      rows = rows.filter((other) => other !== m);
      if (!gone) draw();
    });
  }
  async function show(broker, level) {
    const data = await get(path`/api/delays/levels/${broker}/${level.level}`, signal).catch((error) => { note(error.message, true); });
    if (!data) return;
    fill(one, h('h3', {}, `${broker} · ${t('Level')} ${level.level} · ${level.delay ?? ''}`),
      table(t('Level'), columns().slice(1), data.items, t('Nothing waits in this level.')));
    one.querySelector('h3').scrollIntoView({ block: 'nearest' });
  }
  const area = h('div');
  const head = h('p');
  keep((signalled) => get('/api/delays', signalled), (data, place) => {
    if (!area.isConnected) fill(place, area);
    const flat = data.items.flatMap((item) => (item.levels ?? []).map((level) => ({ ...level, broker: item.broker })));
    fill(levels, table(t('Delay levels'), [
      { label: t('Broker'), cell: (row) => row.broker }, { label: t('Level'), num: true, cell: (row) => row.level }, { label: t('Delay'), cell: (row) => row.delay ?? '–' },
      { label: t('Waiting'), num: true, cell: (row) => count(Math.max(0, row.end - row.next)) }, { label: t('Delivered'), num: true, cell: (row) => count(row.next) },
      { label: t('Details'), cell: (row) => (row.end > row.next ? button(t('Show'), () => show(row.broker, row), { 'aria-label': t('Show level {n} of {broker}', { n: row.level, broker: row.broker }), 'data-key': `level:${row.broker}:${row.level}` }) : '–') },
    ], flat, t('No level was used yet.')),
    data.items.filter((item) => item.error).map((item) => h('p', { class: 'trouble' }, `${item.broker}: ${item.error}`)));
    const timers = data.items.filter((item) => item.timers !== null && item.timers !== undefined);
    fill(head, timers.length ? timers.map((item) => tag(`${item.broker}: ${t('{n} waiting', { n: count(item.timers) })}`)) : h('p', { class: 'quiet' }, t('These brokers know no times of a message\'s own, only levels.')));
  });
  fill(area, heading(t('Delayed messages')), h('h2', {}, t('Waiting for a time')), head,
    h('form', { class: 'filters', onsubmit: (event) => { event.preventDefault(); load(null); } }, at.box, h('button', { type: 'submit' }, t('Search'))),
    waiting, h('h2', {}, t('Delay levels')), levels, one);
  load(null);
}
