import { get } from '../api.js';
import { fill, h } from '../dom.js';
import { button, count, heading, link, table, tag, time } from '../parts.js';
import { t, told } from '../words.js';
import { edit } from './topics.js';

const severity = (word) => ({ error: t('error'), warning: t('warning'), note: t('note') })[word] ?? word;
const colour = (word) => ({ error: 'bad', warning: 'warn' })[word] ?? '';

/** What is wrong, each with what mends it. */
export const listOf = (items) => h('ul', { class: 'plain' }, items.map((one) => h('li', {},
  tag(severity(one.severity), colour(one.severity)), ' ', h('strong', {}, told(one.subject)), ` ${told(one.what)}`, h('div', { class: 'quiet' }, `${t('Remedy')}: ${told(one.remedy)}`))));

/** Topics that clients want and that are not there. */
function missing(context, items) {
  return table(t('Topics that clients want'), [
    { label: t('Topic'), cell: (row) => row.topic }, { label: t('Asked for'), num: true, cell: (row) => count(row.count) }, { label: t('Last'), cell: (row) => time(row.lastMs) },
    { label: t('Client'), cell: (row) => row.client }, { label: t('Producer group'), cell: (row) => row.group ?? '–' }, { label: t('Told by'), cell: (row) => row.toldBy },
    ...(context.admin ? [{ label: t('Change'), cell: (row) => button(t('Create'), () => edit(context, null, row.topic), { 'aria-label': t('Create {what}', { what: row.topic }), 'data-key': `create:${row.topic}:${row.toldBy}` }) }] : []),
  ], items, t('Every topic that clients asked for is there.'));
}

export function findings(context) {
  context.keep(async (signal) => {
    const [found, wanted] = await Promise.all([get('/api/findings', signal), get('/api/missing-topics', signal)]);
    return { found: found.items, wanted: wanted.items };
  }, (data, place) => {
    fill(place, heading(t('Findings'), link('/brokers', t('Brokers'), { class: 'button' })),
      h('section', { class: 'card' }, data.found.length ? listOf(data.found) : h('p', { class: 'empty' }, t('Nothing is wrong.'))),
      h('h2', {}, t('Topics that clients want')),
      h('p', { class: 'quiet' }, t('Sent to or asked for, and not there: the sender gets an error until the topic is created.')),
      missing(context, data.wanted));
  }, 20000);
}
