import { get, query } from '../api.js';
import { fill, h } from '../dom.js';
import { field, heading, table, tag, time } from '../parts.js';
import { t } from '../words.js';
import { listPage } from './topics.js';

export function audit(context) {
  let list; let built = false;
  listPage(context, '/audit', { search: '' }, (values) => get(`/api/audit${query(values)}`, context.signal), (data, place, values, change) => {
    if (!built) {
      const search = field(t('Search'), 'search', { value: values.search, oninput: (event) => change({ search: event.target.value }) });
      list = h('div');
      fill(place, heading(t('Audit log')), h('div', { class: 'filters', role: 'search' }, search.box), list);
      built = true;
    }
    fill(list, table(t('Audit log'), [
      { label: t('Time'), cell: (e) => time(e.atMs) }, { label: t('User'), cell: (e) => e.user }, { label: t('From'), cell: (e) => e.from },
      { label: t('What'), wrap: true, cell: (e) => e.action }, { label: t('Details'), wrap: true, cell: (e) => e.detail || '–' },
      { label: t('Outcome'), cell: (e) => tag(e.status < 400 ? t('done') : String(e.status), e.status < 400 ? 'good' : 'bad') },
    ], data.items));
  });
}
