import { get, path, put, remove } from '../api.js';
import { fill } from '../dom.js';
import { button, dialog, field, heading, note, sure, table } from '../parts.js';
import { t } from '../words.js';

export function accounts({ keep, session }) {
  const again = keep((signal) => get('/api/accounts', signal), (data, place) => {
    fill(place, heading(t('Accounts'), button(t('Create account'), () => edit(null), { class: 'primary' })), table(t('Accounts'), [
      { label: t('Name'), cell: (a) => a.name }, { label: t('Role'), cell: (a) => (a.role === 'admin' ? t('administrator') : t('read-only')) },
      { label: t('Change'), cell: (a) => [button(t('Edit'), () => edit(a), { 'aria-label': t('Edit {what}', { what: a.name }) }), ' ',
        a.name === session.user ? null : button(t('Delete'), () => sure(t('Delete {what}', { what: a.name }), t('The account can no longer log in.'), t('Delete'), async () => { await remove(path`/api/accounts/${a.name}`); again(); }), { class: 'danger', 'aria-label': t('Delete {what}', { what: a.name }) })] },
    ], data.items));
  }, 0);
  function edit(known) {
    const name = field(t('Name'), 'text', { value: known?.name ?? '', required: true, maxlength: 64 });
    const role = field(t('Role'), 'select', { value: known?.role ?? 'read-only' }, [['read-only', t('read-only')], ['admin', t('administrator')]]);
    const password = field(t('Password'), 'password', { autocomplete: 'new-password', minlength: 8, required: true, hint: t('At least 8 characters') });
    dialog(known ? t('Edit {what}', { what: known.name }) : t('Create account'), [known ? null : name.box, role.box, password.box], t('Save'), async () => {
      await put(path`/api/accounts/${known?.name ?? name.value.trim()}`, { role: role.value, password: password.value });
      note(t('Saved.'));
      again();
    });
  }
}
