import { get, query } from '../api.js';
import { fill, h, s } from '../dom.js';
import { bytes, button, count, exact, facts, field, heading, link, table, tag } from '../parts.js';
import { t } from '../words.js';

const WIDTH = 720;
const LEFT = 190;
const ROW = 26;

/** What happened when, as bars from the begin of the first to the end of the last. */
function timeline(steps, stored) {
  const rows = steps.map((step) => ({
    name: step.kind === 'sent' ? `${t('Producer')} ${step.group}` : step.kind === 'ended' ? `${t('Outcome')} ${step.group}` : step.group,
    from: step.atMs, to: step.atMs + (step.tookMs ?? 0), ok: step.ok, kind: step.kind,
  }));
  if (stored) rows.splice(1, 0, { name: stored.broker ?? t('Broker'), from: stored.atMs, to: stored.atMs, ok: true, kind: 'stored' });
  const begin = Math.min(...rows.map((row) => row.from));
  const end = Math.max(begin + 1, ...rows.map((row) => row.to));
  const x = (ms) => LEFT + ((ms - begin) / (end - begin)) * (WIDTH - LEFT - 60);
  const bars = rows.map((row, at) => {
    const y = 6 + at * ROW;
    const name = row.name.length > 26 ? `${row.name.slice(0, 25)}…` : row.name;
    const took = row.kind === 'stored' ? t('stored') : row.to === row.from && row.ok === null ? t('no end told') : `${row.to - row.from} ms`;
    return [
      s('text', { x: LEFT - 8, y: y + 14, 'text-anchor': 'end' }, name),
      s('line', { class: 'grid', x1: LEFT, x2: WIDTH - 60, y1: y + ROW - 3, y2: y + ROW - 3 }),
      s('rect', { class: `span ${row.kind} ${row.ok === false ? 'bad' : ''}`, x: x(row.from), y: y + 3, width: Math.max(4, x(row.to) - x(row.from)), height: ROW - 12, rx: 3 }, s('title', {}, `${exact(row.from)} · ${took}`)),
      s('text', x(row.to) > WIDTH - 150 ? { x: x(row.from) - 8, y: y + 14, 'text-anchor': 'end' } : { x: Math.max(x(row.to), x(row.from) + 4) + 8, y: y + 14 }, `+${row.from - begin} ms · ${took}`),
    ];
  });
  const height = rows.length * ROW + 12;
  const said = rows.map((row) => `${row.name} +${row.from - begin} ms`).join(', ');
  return h('figure', { class: 'card chart wide' }, h('figcaption', {}, h('strong', {}, t('Over time')), h('span', {}, `${exact(begin)} – ${exact(end)}, ${end - begin} ms`)),
    h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': t('Over time') },
      s('svg', { viewBox: `0 0 ${WIDTH} ${height}`, role: 'img', 'aria-label': said, class: 'timeline' }, bars)));
}

export function trace(context) {
  const { root, query: asked, go, signal } = context;
  const id = field(t('Message id or key'), 'search', { class: 'long', value: asked.get('id') ?? '', required: true });
  const topic = field(t('Trace topic'), 'text', { value: asked.get('traceTopic') ?? '', placeholder: 'RMQ_SYS_TRACE_TOPIC' });
  const list = h('div');
  const form = h('form', { class: 'filters', role: 'search', onsubmit: (event) => { event.preventDefault(); go(`/trace${query({ id: id.value.trim(), traceTopic: topic.value.trim() })}`); } },
    id.box, topic.box, h('button', { type: 'submit', class: 'primary' }, t('Search')));
  fill(root, heading(t('Trace')), form, list);
  if (!id.value) return;
  (async () => {
    fill(list, h('p', { class: 'quiet' }, t('Looking…')));
    try {
      const data = await get(`/api/trace${query({ id: id.value.trim(), traceTopic: topic.value.trim() })}`, signal);
      if (!data.steps.length) {
        fill(list, h('p', { class: 'empty' }, t('No client has told anything of it. Clients trace when they are told to, into a trace topic that the broker has (traceTopicEnable).')));
        return;
      }
      const sent = data.steps.find((step) => step.kind === 'sent');
      fill(list,
        sent ? facts([[t('Topic'), link(`/topics/${encodeURIComponent(sent.topic)}`, sent.topic)], [t('Keys'), sent.keys], [t('Tag'), sent.tags], [t('Size'), bytes(sent.size)], [t('Kind'), t(sent.messageType)], [t('Stored'), data.stored ? exact(data.stored.atMs) : '–'],
          [t('Message'), data.stored ? link(`/messages/${encodeURIComponent(data.stored.offsetId)}`, t('Details')) : '–']]) : null,
        timeline(data.steps, data.stored),
        table(t('What clients told'), [
          { label: t('Time'), cell: (step) => exact(step.atMs) },
          { label: t('What'), cell: (step) => ({ sent: t('sent'), consumed: t('consumed'), ended: `${t('transaction')}: ${step.state}` })[step.kind] },
          { label: t('Group'), cell: (step) => step.group }, { label: t('Client'), cell: (step) => step.client },
          { label: t('Tries'), num: true, cell: (step) => (step.kind === 'consumed' ? count(step.retries) : '–') },
          { label: t('ms'), num: true, cell: (step) => (step.tookMs === null || step.tookMs === undefined ? '–' : count(step.tookMs)) },
          { label: t('Outcome'), cell: (step) => (step.ok === null || step.ok === undefined ? tag(t('no end told'), 'quiet') : step.ok ? tag(t('done'), 'good') : tag(t('failed'), 'bad')) },
        ], data.steps));
    } catch (error) {
      if (error.name !== 'AbortError') fill(list, h('p', { class: 'trouble', role: 'alert' }, error.message, ' ', button(t('Try again'), () => trace(context))));
    }
  })();
}
