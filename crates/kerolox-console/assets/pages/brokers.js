import { get, path, put } from '../api.js';
import { fill, h } from '../dom.js';
import { button, bytes, count, dialog, facts, field, heading, link, note, rate, table, tag, time } from '../parts.js';
import { t } from '../words.js';

export function brokers({ keep }) {
  keep((signal) => get('/api/brokers', signal), (data, place) => {
    fill(place, heading(t('Brokers')), table(t('Brokers'), [
      { label: t('Cluster'), cell: (b) => b.cluster },
      { label: t('Broker'), cell: (b) => link(`/brokers/${encodeURIComponent(b.name)}/${b.id}`, b.name) },
      { label: t('Role'), cell: (b) => (b.error ? tag(t('does not answer'), 'bad') : tag(b.id === 0 ? t('primary') : t('replica'), 'good')) },
      { label: t('Address'), cell: (b) => b.address },
      { label: t('Release'), cell: (b) => b.version },
      { label: t('In/s'), num: true, cell: (b) => rate(b.putTps) },
      { label: t('Out/s'), num: true, cell: (b) => rate(b.getTps) },
      { label: t('Disk'), num: true, cell: (b) => `${Math.round(b.diskRatio * 100)} %` },
      { label: t('Not flushed'), num: true, cell: (b) => b.unflushed || '–' },
      { label: t('Running since'), cell: (b) => time(b.bootMs) },
    ], data.items, t('No broker is registered at the name server.')),
    h('p', { class: 'quiet' }, `${t('Name servers')}: ${data.nameServers.join(', ')}`));
  });
}

/** What one broker says of itself: figures that go on by themselves, and settings. */
export function broker({ keep, params, admin }) {
  const at = path`/api/brokers/${params.name}/${params.id}`;
  const search = field(t('Find a setting'), 'search', { oninput: () => drawSettings() });
  const figures = h('div'); const all = h('div'); const settings = h('h2'); const list = h('div');
  let data = null;
  const again = keep((signal) => get(at, signal), (told, place) => {
    data = told;
    if (!figures.isConnected) {
      fill(place, heading(`${data.node.name} · ${data.node.id === 0 ? t('primary') : t('replica')}`), figures,
        h('details', {}, h('summary', {}, t('All figures')), all), settings, h('div', { class: 'filters', role: 'search' }, search.box), list);
    }
    drawFigures();
    drawSettings();
  });

  function drawFigures() {
    const r = data.runtime;
    const first = (key) => (r[key] ?? '').split(' ')[0];
    fill(figures, facts([
      [t('Address'), data.node.address], [t('Cluster'), data.node.cluster], [t('Release'), r.brokerVersionDesc],
      [t('Running since'), time(Number(r.bootTimestamp))], [t('In, messages/s'), rate(Number(first('putTps')))],
      [t('Out, messages/s'), rate(Number(first('getTransferedTps')))], [t('Stored in all'), count(Number(r.msgPutTotalTodayNow ?? 0))],
      [t('Disk used'), `${Math.round(Number(r.commitLogDiskRatio ?? 0) * 100)} %`], [t('Log'), bytes(Number(r.commitLogMaxOffset ?? 0) - Number(r.commitLogMinOffset ?? 0))],
      [t('Oldest message'), time(Number(r.earliestMessageTimeStamp))], [t('Not flushed'), r.remainHowManyDataToFlush ?? '–'],
      [t('Not dispatched'), bytes(Number(r.dispatchBehindBytes ?? 0))],
    ]));
    fill(all, table(t('All figures'), [
      { label: t('Name'), cell: ([key]) => key }, { label: t('Value'), wrap: true, cell: ([, value]) => value }], Object.entries(r)));
  }
  function drawSettings() {
    const word = search.value.toLowerCase();
    const found = Object.entries(data.config).filter(([key, value]) => `${key} ${value}`.toLowerCase().includes(word));
    fill(settings, `${t('Settings')} (${found.length})`);
    fill(list, table(t('Settings'), [
      { label: t('Key'), cell: ([key]) => key },
      { label: t('Value'), wrap: true, cell: ([, value]) => value || '–' },
      { label: t('Change'), cell: ([key, value]) => (admin && data.editable.includes(key) ? button(t('Edit'), () => edit(key, value), { 'aria-label': t('Edit {what}', { what: key }), 'data-key': `edit:${key}` }) : '–') },
    ], found));
  }
  function edit(key, value) {
    const asked = field(key, 'text', { value, required: true });
    dialog(t('Edit {what}', { what: key }), [asked.box], t('Save'), async () => {
      await put(`${at}/config`, { key, value: asked.value });
      note(t('Saved.'));
      again();
    });
  }
}
