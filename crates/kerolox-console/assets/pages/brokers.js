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
      { label: t('Not flushed'), num: true, cell: (b) => bytes(b.unflushed) },
      { label: t('Running since'), cell: (b) => time(b.bootMs) },
    ], data.items, t('No broker is registered at the name server.')),
    h('p', { class: 'quiet' }, `${t('Name servers')}: ${data.nameServers.join(', ')}`));
  });
}

export function broker({ keep, params, admin }) {
  const at = path`/api/brokers/${params.name}/${params.id}`;
  let filter = '';
  const again = keep((signal) => get(at, signal), (data, place) => {
    const r = data.runtime;
    const first = (key) => (r[key] ?? '').split(' ')[0];
    const rows = Object.entries(data.config).filter(([key, value]) => `${key} ${value}`.toLowerCase().includes(filter));
    const list = h('div');
    const search = field(t('Find a setting'), 'search', { value: filter, 'data-key': 'search', oninput: (event) => { filter = event.target.value.toLowerCase(); drawList(); } });
    const drawList = () => {
      const found = Object.entries(data.config).filter(([key, value]) => `${key} ${value}`.toLowerCase().includes(filter));
      fill(list, table(t('Settings'), [
        { label: t('Key'), cell: ([key]) => key },
        { label: t('Value'), wrap: true, cell: ([, value]) => value || '–' },
        { label: '', cell: ([key, value]) => (admin && data.editable.includes(key) ? button(t('Edit'), () => edit(key, value), { 'aria-label': t('Edit {what}', { what: key }), 'data-key': `edit:${key}` }) : '') },
      ], found));
    };
    const edit = (key, value) => {
      const asked = field(key, 'text', { value, required: true });
      dialog(t('Edit {what}', { what: key }), [asked.box], t('Save'), async () => {
        await put(`${at}/config`, { key, value: asked.value });
        note(t('Saved.'));
        again();
      });
    };
    fill(place, heading(`${data.node.name} · ${data.node.id === 0 ? t('primary') : t('replica')}`),
      facts([
        [t('Address'), data.node.address], [t('Cluster'), data.node.cluster], [t('Release'), r.brokerVersionDesc],
        [t('Running since'), time(Number(r.bootTimestamp))], [t('In, messages/s'), rate(Number(first('putTps')))],
        [t('Out, messages/s'), rate(Number(first('getTransferedTps')))], [t('Stored in all'), count(Number(r.msgPutTotalTodayNow ?? 0))],
        [t('Disk used'), `${Math.round(Number(r.commitLogDiskRatio ?? 0) * 100)} %`], [t('Log'), bytes(Number(r.commitLogMaxOffset ?? 0) - Number(r.commitLogMinOffset ?? 0))],
        [t('Oldest message'), time(Number(r.earliestMessageTimeStamp))], [t('Not flushed'), bytes(Number(r.remainHowManyDataToFlush ?? 0))],
        [t('Not dispatched'), bytes(Number(r.dispatchBehindBytes ?? 0))],
      ]),
      h('details', {}, h('summary', {}, t('All figures')), table(t('All figures'), [
        { label: t('Name'), cell: ([key]) => key }, { label: t('Value'), wrap: true, cell: ([, value]) => value }], Object.entries(r))),
      h('h2', {}, `${t('Settings')} (${rows.length})`), search.box, list);
    drawList();
  }, 0);
}
