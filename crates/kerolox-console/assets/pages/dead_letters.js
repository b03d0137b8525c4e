import { get, path, post, put, query, remove } from '../api.js';
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

const RUN_STATES = () => ({ running: t('running'), paused: t('paused'), done: t('done') });

/** Asks which dead letters are to be sent again, and how fast. */
function askRun(name, again) {
  const to = field(t('Send to'), 'select', {}, [['group', t('this group only')], ['topic', t('the topic they came from, for every group')]]);
  const rate = field(t('Messages per second'), 'number', { value: 10, min: 1, max: 10000, required: true });
  const from = field(t('Stored from'), 'datetime-local', { step: 1 });
  const until = field(t('Stored until'), 'datetime-local', { step: 1 });
  const tags = field(t('Tag'), 'text');
  const text = field(t('Found in body, keys or id'), 'text');
  const at = (box) => (box.value ? new Date(box.value).getTime() : null);
  dialog(t('Replay many'), [to.box, rate.box, from.box, until.box, tags.box, text.box, h('p', { class: 'quiet' }, t('Empty fields fit all. It goes on when this page is closed, and can be paused.'))], t('Replay'), async () => {
    await post(path`/api/dead-letters/${name}/run`, { to: to.value, perSecond: Number(rate.value), wanted: { fromMs: at(from), toMs: at(until), tag: tags.value.trim(), text: text.value.trim() } });
    again();
  });
}

/** How a run goes, and what can be done with it. */
function drawRun(name, run, admin, again) {
  if (!run) return null;
  const looked = run.sent + run.passedOver + run.failed;
  const bar = h('span', { class: 'bar whole', 'aria-hidden': 'true' }, h('span'));
  bar.firstChild.style.width = `${(looked / Math.max(1, looked + run.left)) * 100}%`;
  const change = (wish) => async () => { try { await put(path`/api/dead-letters/${name}/run`, wish); } catch (error) { note(error.message, true); } again(); };
  const forget = async () => { try { await remove(path`/api/dead-letters/${name}/run`); } catch (error) { note(error.message, true); } again(); };
  return h('section', { class: 'card', 'aria-label': t('Replay') },
    h('h2', {}, `${t('Replay')}: ${RUN_STATES()[run.state]}`), bar,
    h('p', { role: 'status' }, t('{sent} sent, {passed} passed over, {failed} failed, {left} left, {rate}/s', { sent: count(run.sent), passed: count(run.passedOver), failed: count(run.failed), left: count(run.left), rate: count(run.perSecond) })),
    run.trouble ? h('p', { class: 'trouble' }, run.trouble) : null,
    run.errors.length ? h('details', {}, h('summary', {}, t('Failures')), h('ul', { class: 'plain' }, run.errors.map((error) => h('li', {}, error)))) : null,
    admin ? h('div', { class: 'actions' },
      run.state === 'running' ? button(t('Pause'), change({ run: false }), { 'data-key': 'pause' }) : null,
      run.state === 'paused' ? button(t('Go on'), change({ run: true }), { 'data-key': 'go-on', class: 'primary' }) : null,
      run.state === 'running' ? null : button(t('Forget'), forget, { 'data-key': 'forget' })) : null);
}

export function deadLettersOf({ root, params, admin, signal, onLeave }) {
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
  const place = h('div');
  let timer = 0;
  async function follow() {
    clearTimeout(timer);
    const told = await get(path`/api/dead-letters/${name}/run`, signal).catch(() => null);
    if (signal.aborted) return;
    if (told) fill(place, drawRun(name, told.run, admin, follow));
    timer = setTimeout(follow, told?.run?.state === 'running' ? 1000 : 10000);
  }
  onLeave(() => clearTimeout(timer));
  follow();
  fill(root, heading(`${t('Dead letters')} · ${name}`, link(`/groups/${encodeURIComponent(name)}`, t('Group'), { class: 'button' }),
    button(t('Export'), () => save(path`/api/dead-letters/${name}/export`)), admin ? [button(t('Replay many'), () => askRun(name, follow)), replay] : null), place, h('div', { class: 'filters', role: 'search' }, word.box), list);
  load(null);
}
