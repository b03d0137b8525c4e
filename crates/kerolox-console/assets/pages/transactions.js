import { get } from '../api.js';
import { fill, h } from '../dom.js';
import { count, facts, heading, link, span, table, tag, time } from '../parts.js';
import { t } from '../words.js';

export function transactions({ keep }) {
  keep((signal) => get('/api/transactions', signal), (data, place) => {
    const brokers = data.items.map((item) => {
      const figures = item.figures ?? {};
      const figure = (key) => (figures[key] === undefined ? '–' : count(Number(figures[key])));
      return [
        h('h2', {}, item.broker),
        item.error ? h('p', { class: 'trouble' }, item.error) : [
          figures.transactionHalfOpen === undefined ? null : facts([
            [t('Open'), figure('transactionHalfOpen')], [t('Stuck'), figure('transactionHalfStuck')], [t('Oldest'), span(Number(figures.transactionHalfOldestAgeMills))],
            [t('Committed'), figure('transactionCommitTotal')], [t('Rolled back'), figure('transactionRollbackTotal')], [t('Given up'), figure('transactionGivenUpTotal')],
            [t('Questions'), figure('transactionCheckTotal')], [t('Nobody to ask'), figure('transactionCheckUnsentTotal')]]),
          table(`${t('In doubt')} · ${item.broker}`, [
            { label: t('Made'), cell: (m) => time(m.bornMs) }, { label: t('Age'), cell: (m) => span(Math.max(0, Date.now() - m.bornMs)) },
            { label: t('Producer group'), cell: (m) => m.group ?? '–' }, { label: t('Topic'), cell: (m) => (m.topic ? link(`/topics/${encodeURIComponent(m.topic)}`, m.topic) : '–') },
            { label: t('Message id'), cell: (m) => link(`/messages/${encodeURIComponent(m.offsetId)}`, m.id, { class: 'id' }) },
            { label: t('Keys'), cell: (m) => m.keys ?? '–' }, { label: t('Questions'), num: true, cell: (m) => (m.checks >= 3 ? tag(count(m.checks), 'bad') : count(m.checks)) },
          ], item.items, t('No transaction is in doubt.')),
          item.left > item.lookedAt ? h('p', { class: 'quiet' }, t('Only the first {n} of {left} were looked at.', { n: item.lookedAt, left: count(item.left) })) : null,
        ],
      ];
    });
    fill(place, heading(t('Transactions in doubt'), link('/messages?topic=TRANS_CHECK_MAX_TIME_TOPIC&from=1', t('Given up'), { class: 'button' })),
      h('p', { class: 'quiet' }, t('Half messages whose producers have not said yet whether they are to be delivered. A producer of the same group is asked again and again.')), brokers);
  });
}
