import { post } from '../api.js';
import { fill, h } from '../dom.js';
import { field } from '../parts.js';
import { t } from '../words.js';

export function login(done) {
  const user = field(t('User'), 'text', { autocomplete: 'username', value: 'admin', required: true });
  const password = field(t('Password'), 'password', { autocomplete: 'current-password', required: true, autofocus: true });
  const trouble = h('p', { class: 'trouble', role: 'alert' });
  const enter = h('button', { type: 'submit', class: 'primary' }, t('Log in'));
  const form = h('form', {
    class: 'card',
    onsubmit: async (event) => {
      event.preventDefault();
      enter.disabled = true;
      fill(trouble);
      try {
        done(await post('/api/login', { user: user.value, password: password.value }));
      } catch (error) {
        fill(trouble, error.message);
        password.control.value = '';
        password.control.focus();
      }
      enter.disabled = false;
    },
  }, h('h1', {}, 'Kerolox'), user.box, password.box, trouble, enter,
  h('p', { class: 'hint' }, t('The first password of admin was printed when this node was started first.')));
  queueMicrotask(() => password.control.focus());
  return h('main', { class: 'login' }, form);
}
