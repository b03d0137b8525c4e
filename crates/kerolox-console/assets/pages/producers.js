import { get, query } from '../api.js';
import { fill, h } from '../dom.js';
import { field, heading, table } from '../parts.js';
import { t } from '../words.js';

export function producers({ root, query: given, signal }) {
  const group = field(t('Producer group'), 'text', { value: given.get('group') ?? '', required: true });
  const topic = field(t('Topic'), 'text', { value: given.get('topic') ?? '', required: true });
  const found = h('div', { role: 'status' });
  const search = async (event) => {
    event?.preventDefault();
    const asked = { group: group.value.trim(), topic: topic.value.trim() };
    history.replaceState(null, '', `/producers${query(asked)}`);
    try {
      const data = await get(`/api/producers${query(asked)}`, signal);
      fill(found, table(t('Producers'), [
        { label: t('Client'), cell: (c) => c.clientId }, { label: t('Address'), cell: (c) => c.clientAddr },
        { label: t('Language'), cell: (c) => c.language }, { label: t('Protocol'), num: true, cell: (c) => c.version }], data.items));
    } catch (error) {
      if (error.name !== 'AbortError') fill(found, h('p', { class: 'trouble' }, error.message));
    }
  };
  fill(root, heading(t('Producers')), h('form', { class: 'filters', role: 'search', onsubmit: search }, group.box, topic.box, h('button', { type: 'submit', class: 'primary' }, t('Search'))), found);
  if (group.value && topic.value) search();
}
