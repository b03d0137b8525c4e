import { get, path, put, remove } from '../api.js';
import { fill, h } from '../dom.js';
import { button, dialog, field, heading, note, sure, table, tag } from '../parts.js';
import { t } from '../words.js';

const PERMISSIONS = () => [['DENY', t('nothing')], ['PUB', t('send')], ['SUB', t('consume')], ['PUB|SUB', t('send and consume')]];
const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean);

/** What is listed, a line each, and what holds for the rest. */
const listed = (perms, others) => [(perms ?? []).map((one) => h('div', {}, one)), h('small', {}, t('others: {perm}', { perm: others ?? 'DENY' }))];

function edit(account, again) {
  const key = field(t('Access key'), 'text', { required: true, minlength: 7, pattern: '[^,=\\s]+', hint: t('More than 6 characters') });
  const secret = field(t('Secret key'), 'password', { required: !account, minlength: 7, autocomplete: 'new-password', hint: account ? t('Empty: as it was') : t('More than 6 characters') });
  const white = field(t('Addresses that need no signature'), 'text', { value: account?.white ?? '', hint: '192.168.1.*' });
  const admin = field(t('May administer'), 'checkbox', { checked: account?.admin ?? false });
  const topic = field(t('Topics not listed'), 'select', { value: account?.topicPerm ?? 'DENY' }, PERMISSIONS());
  const group = field(t('Groups not listed'), 'select', { value: account?.groupPerm ?? 'DENY' }, PERMISSIONS());
  const topics = field(t('Topics'), 'textarea', { value: (account?.topicPerms ?? []).join('\n'), rows: 3, placeholder: 'orders=PUB|SUB', hint: t('One name=permission a line: DENY, PUB, SUB or PUB|SUB') });
  const groups = field(t('Groups'), 'textarea', { value: (account?.groupPerms ?? []).join('\n'), rows: 3, placeholder: 'audit=SUB', hint: t('One name=permission a line: DENY, PUB, SUB or PUB|SUB') });
  dialog(account ? t('Edit {what}', { what: account.accessKey }) : t('Create account'), [account ? null : key.box, secret.box, white.box, admin.box, topic.box, group.box, topics.box, groups.box], t('Save'), async () => {
    await put(path`/api/acl/accounts/${account?.accessKey ?? key.value.trim()}`, {
      secretKey: secret.value, white: white.value, admin: admin.value, topicPerm: topic.value, groupPerm: group.value,
      topicPerms: lines(topics.value), groupPerms: lines(groups.value),
    });
    note(t('Saved.'));
    again();
  });
}

function editWhite(known, again) {
  const addresses = field(t('Addresses that need no account'), 'textarea', { value: known.join('\n'), rows: 4, hint: t('One a line; all of their requests are let in') });
  dialog(t('Addresses that need no account'), [addresses.box], t('Save'), async () => {
    await put('/api/acl/white', { addresses: lines(addresses.value).join(',') });
    note(t('Saved.'));
    again();
  });
}

export function acl({ keep, admin }) {
  const again = keep((signal) => get('/api/acl', signal), (data, place) => {
    const on = data.items.some((item) => item.accounts);
    fill(place, heading(t('Accounts of the brokers'), admin && on ? button(t('Create account'), () => edit(null, again), { class: 'primary', 'data-key': 'create' }) : null),
      h('p', { class: 'quiet' }, t('What clients sign their requests with where aclEnable is true. The accounts of this console are another page.')),
      data.items.map((item) => [h('h2', {}, item.broker), item.error ? h('p', { class: 'trouble' }, item.error) : [
        h('p', {}, `${t('Addresses that need no account')}: ${item.white.filter(Boolean).join(', ') || t('none')} `, admin ? button(t('Edit'), () => editWhite(item.white, again), { 'aria-label': t('Edit {what}', { what: t('Addresses that need no account') }), 'data-key': `white:${item.broker}` }) : null),
        table(t('Accounts'), [
          { label: t('Access key'), cell: (row) => row.accessKey }, { label: t('Role'), cell: (row) => (row.admin ? tag(t('administrator'), 'good') : '–') },
          { label: t('Topics'), wrap: true, cell: (row) => listed(row.topicPerms, row.topicPerm) }, { label: t('Groups'), wrap: true, cell: (row) => listed(row.groupPerms, row.groupPerm) },
          { label: t('Addresses'), cell: (row) => row.white || '–' },
          ...(admin ? [{ label: t('Change'), cell: (row) => [
            button(t('Edit'), () => edit(row, again), { 'aria-label': t('Edit {what}', { what: row.accessKey }), 'data-key': `edit:${item.broker}:${row.accessKey}` }), ' ',
            button(t('Delete'), () => sure(t('Delete {what}', { what: row.accessKey }), t('Clients that sign with it are refused from now on.'), t('Delete'), async () => { await remove(path`/api/acl/accounts/${row.accessKey}`); note(t('Deleted.')); again(); }), { class: 'danger', 'aria-label': t('Delete {what}', { what: row.accessKey }), 'data-key': `delete:${item.broker}:${row.accessKey}` })] }] : []),
        ], item.accounts)]]));
  }, 15000);
}
