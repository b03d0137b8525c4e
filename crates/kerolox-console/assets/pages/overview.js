import { get } from '../api.js';
import { bars, chart } from '../chart.js';
import { fill, h } from '../dom.js';
import { count, heading, link, rate, tag } from '../parts.js';
import { t } from '../words.js';
import { listOf } from './findings.js';

const LOOKS_MAX = 720;

export function overview({ root, onLeave, signal }) {
  const trouble = h('p', { class: 'trouble', role: 'alert' });
  const place = h('div');
  const found = h('div');
  fill(root, heading(t('Overview')), trouble, found, place);
  fill(place, h('p', { class: 'empty' }, t('Looking…')));
  let looks = [];
  let source = null;
  let timer = 0;
  let asked = 0;
  let nodes = '';
  // Judging asks every node, so it is done once a minute, and when a node has come or gone.
  const judge = async (look) => {
    const now = look.brokers.map((broker) => `${broker.name}/${broker.id} ${Boolean(broker.error)}`).join() + look.errors.length;
    if (now === nodes && Date.now() - asked < 60000) return;
    nodes = now;
    asked = Date.now();
    const told = await get('/api/findings', signal).catch(() => ({ items: [] }));
    fill(found, told.items.length ? h('section', { class: 'card findings' }, h('h2', {}, link('/findings', t('Findings'))), listOf(told.items)) : null);
  };

  const open = () => {
    source = new EventSource('/api/live');
    source.addEventListener('history', (event) => { looks = JSON.parse(event.data); fill(trouble); if (looks.length) draw(looks, place); });
    source.addEventListener('look', (event) => {
      looks.push(JSON.parse(event.data));
      if (looks.length > LOOKS_MAX) looks.shift();
      fill(trouble);
      draw(looks, place);
      judge(looks.at(-1));
    });
    source.onerror = () => {
      source.close();
      fill(trouble, t('The connection is lost. Trying again…'));
      // Tells a session that is over from a console that is away.
      timer = setTimeout(() => get('/api/session').then(open, (error) => { if (error.status !== 401) source.onerror(); }), 3000);
    };
  };
  // Nothing is asked of the brokers while the page cannot be seen.
  const seen = () => {
    if (document.visibilityState === 'visible') { if (!source) open(); } else { source?.close(); source = null; clearTimeout(timer); }
  };
  document.addEventListener('visibilitychange', seen);
  onLeave(() => { document.removeEventListener('visibilitychange', seen); clearTimeout(timer); source?.close(); });
  seen();
}

function draw(looks, place) {
  const now = looks.at(-1);
  const times = looks.map((look) => look.atMs);
  const figure = (name, value, to) => h('div', { class: 'card figure' }, h('span', {}, name), h('strong', {}, to ? link(to, value) : value));
  fill(place,
    now.errors.length ? h('section', { class: 'card warning', 'aria-label': t('Trouble') }, now.errors.map((error) => h('p', {}, error))) : null,
    h('div', { class: 'figures' },
      figure(t('In, messages/s'), rate(now.putTps)), figure(t('Out, messages/s'), rate(now.getTps)),
      figure(t('Lag, messages'), count(now.lag), '/groups'), figure(t('Topics'), count(now.topics), '/topics'),
      figure(t('Groups'), count(now.groups), '/groups'), figure(t('Brokers'), count(now.brokers.length), '/brokers')),
    h('div', { class: 'grid2' },
      chart(t('Messages per second'), times, [
        { name: t('in'), values: looks.map((look) => look.putTps) }, { name: t('out'), values: looks.map((look) => look.getTps) }]),
      chart(t('Lag, messages'), times, [{ name: t('lag'), values: looks.map((look) => look.lag) }]),
      bars(t('Busiest topics, messages/s'), now.topTopics, rate, t('No topic got messages in the last minute.'), (row) => link(`/topics/${encodeURIComponent(row.name)}`, row.name)),
      bars(t('Groups that lag most, messages'), now.topGroups, count, t('No group lags.'), (row) => link(`/groups/${encodeURIComponent(row.name)}`, row.name))),
    h('section', { class: 'card' }, h('h2', {}, t('Brokers')), now.brokers.length ? null : h('p', { class: 'empty' }, t('No broker is registered at the name server.')), h('ul', { class: 'plain' }, now.brokers.map((broker) => h('li', {},
      link(`/brokers/${encodeURIComponent(broker.name)}/${broker.id}`, broker.name), ' ',
      broker.error ? tag(t('does not answer'), 'bad') : tag(broker.id === 0 ? t('primary') : t('replica'), 'good'), ' ',
      h('span', { class: 'quiet' }, `${broker.address} · ${broker.version} · ${t('disk')} ${Math.round(broker.diskRatio * 100)} %`))))));
}
