import { get, path, post, query } from '../api.js';
import { fill, h } from '../dom.js';
import { button, count, dialog, field, heading, link, note, pager, save, table, tag, time } from '../parts.js';
import { t } from '../words.js';
import { COLUMNS } from './messages.js';
import { listPage } from './topics.js';

export function deadLetters(context) {
  let list; let built = false;
  listPage(context, '/dead-letters', { search: '', page: 1 }, (values) => get(`/api/dead-letters${query(values)}`, context.signal), (data, place, values, change) => {
    if (!built) {
      const search = field(t('Search'), 'search', { value: values.search, oninput: (event) => change({ search: event.target.value }) });
      list = h('div');
      fill(place, heading(t('Dead letters')), h('div', { class: 'filters', role: 'search' }, search.box), list);
      built = true;
    }
    fill(list, table(t('Dead letters'), [
      { label: t('Group'), cell: (row) => link(`/dead-letters/${encodeURIComponent(row.group)}`, row.group) },
      { label: t('Messages'), num: true, cell: (row) => (row.error ? tag(row.error, 'bad') : count(row.count)) },
      { label: t('Last'), cell: (row) => time(row.lastMs) },
    ], data.items, t('No group has dead letters.')), pager(data, (page) => change({ page })));
  });
}

export function deadLettersOf({ root, params, admin, signal }) {
  const name = params.group;
  const chosen = new Set();
  const list = h('div');
  const word = field(t('Find in what is shown'), 'search', { oninput: () => draw() });
  let rows = [];
  let cursor = null;
  const label = () => t('Replay {n}', { n: chosen.size });
  const replay = button(label(), () => ask(), { disabled: true, class: 'primary' });
  const fits = (m) => [m.id, m.keys, m.tags].some((text) => (text ?? '').toLowerCase().includes(word.value.toLowerCase()));

  function draw() {
    const shown = rows.filter(fits);
    replay.textContent = label();
    replay.disabled = !chosen.size;
    const all = h('input', { type: 'checkbox', 'aria-label': t('Choose all that are shown'), 'data-key': 'all', checked: shown.length > 0 && shown.every((m) => chosen.has(m.offsetId)), onchange: (event) => { shown.forEach((m) => (event.target.checked ? chosen.add(m.offsetId) : chosen.delete(m.offsetId))); draw(); } });
    const pick = { label: all, cell: (m) => h('input', { type: 'checkbox', 'aria-label': t('Choose {what}', { what: m.id }), 'data-key': `pick:${m.offsetId}`, checked: chosen.has(m.offsetId), onchange: (event) => { if (event.target.checked) chosen.add(m.offsetId); else chosen.delete(m.offsetId); draw(); } }) };
    fill(list, table(t('Dead letters'), [...(admin ? [pick] : []), ...COLUMNS()], shown, t('No dead letters.')),
      cursor ? button(t('Older messages'), () => load(cursor), { 'data-key': 'older', class: 'older' }) : null);
  }
  async function load(from) {
    try {
      const data = await get(`/api/messages${query({ topic: `%DLQ%${name}`, size: 64, cursor: from })}`, signal);
      rows = from ? [...rows, ...data.items] : data.items;
      cursor = data.cursor;
      draw();
    } catch (error) {
      if (error.name === 'AbortError') return;
      fill(list, h('p', { class: error.status === 404 ? 'empty' : 'trouble' }, error.status === 404 ? t('No dead letters.') : error.message));
    }
  }
  function ask() {
    const to = field(t('Send to'), 'select', {}, [['group', t('this group only')], ['topic', t('the topic they came from, for every group')]]);
    dialog(label(), [to.box, h('p', { class: 'quiet' }, t('The dead letters stay where they are until they are too old.'))], t('Replay'), async () => {
      const ids = [...chosen];
      let failed = [];
      for (let at = 0; at < ids.length; at += 100) {
        const done = await post(path`/api/dead-letters/${name}/replay`, { ids: ids.slice(at, at + 100), to: to.value });
        // What was sent is taken out at once, so that going on after a failure sends nothing twice.
        done.items.filter((item) => item.sent).forEach((item) => chosen.delete(item.id));
        failed = [...failed, ...done.items.filter((item) => item.error)];
      }
      note(t('{n} sent.', { n: ids.length - failed.length }));
      draw();
      if (failed.length) throw new Error(`${t('{n} failed:', { n: failed.length })} ${failed[0].error}`);
    });
  }
  fill(root, heading(`${t('Dead letters')} · ${name}`, link(`/groups/${encodeURIComponent(name)}`, t('Group'), { class: 'button' }),
    button(t('Export'), () => save(path`/api/dead-letters/${name}/export`)), admin ? replay : null), h('div', { class: 'filters', role: 'search' }, word.box), list);
  load(null);
}
