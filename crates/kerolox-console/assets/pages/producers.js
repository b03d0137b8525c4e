import { get, query } from '../api.js';
import { fill, h } from '../dom.js';
import { button, field, heading, pager, table, time } from '../parts.js';
import { t } from '../words.js';
import { listPage } from './topics.js';

const client = () => [
  { label: t('Client'), wrap: true, cell: (c) => c.clientId }, { label: t('Address'), cell: (c) => c.clientAddr },
  { label: t('Language'), cell: (c) => c.language }, { label: t('Protocol'), num: true, cell: (c) => c.version },
];

/** RocketMQ 4.x tells producers of a group that one knows, and nothing else. */
function byGroup(signal, names) {
  const group = field(t('Producer group'), 'text', { required: true });
  const topic = field(t('A topic it sends to'), 'text', { required: true });
  const found = h('div', { role: 'status' });
  const search = async (event) => {
    event.preventDefault();
    try {
      const data = await get(`/api/producers${query({ group: group.value.trim(), topic: topic.value.trim() })}`, signal);
      fill(found, table(t('Producers of the group'), client(), data.items));
    } catch (error) {
      if (error.name !== 'AbortError') fill(found, h('p', { class: 'trouble' }, error.message));
    }
  };
  return [h('p', { class: 'quiet' }, t('{brokers} does not list its producers: RocketMQ does from 5.0 on. Ask for one group.', { brokers: names.join(', ') })),
    h('form', { class: 'filters', onsubmit: search }, group.box, topic.box, button(t('Search'), undefined, { type: 'submit', class: 'primary' })), found];
}

export function producers(context) {
  let list; let ask; let built = false;
  listPage(context, '/producers', { search: '', page: 1 }, (values) => get(`/api/producers${query(values)}`, context.signal), (data, place, values, change) => {
    const old = data.silent.filter((one) => one.old).map((one) => one.broker);
    if (!built) {
      const search = field(t('Search'), 'search', { value: values.search, oninput: (event) => change({ search: event.target.value }) });
      list = h('div');
      ask = h('div');
      const tells = !old.length || data.items.length;
      fill(place, heading(t('Producers')), tells ? [h('div', { class: 'filters', role: 'search' }, search.box), list] : null, ask);
      if (old.length) fill(ask, byGroup(context.signal, old));
      built = true;
    }
    fill(list, data.silent.filter((one) => one.error).map((one) => h('p', { class: 'trouble' }, `${one.broker}: ${one.error}`)),
      table(t('Producers'), [{ label: t('Producer group'), wrap: true, cell: (c) => c.group }, ...client(), { label: t('Last heartbeat'), cell: (c) => time(c.lastMs) }], data.items, t('No producer is connected.')),
      pager(data, (page) => change({ page })));
  });
}
