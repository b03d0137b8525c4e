// What pages are made of: tables, forms, dialogs, notes.

import { fill, h } from './dom.js';
import { t } from './words.js';

const number = new Intl.NumberFormat('en-US');

export const count = (value) => (value === null || value === undefined ? '–' : number.format(value));
export const rate = (value) => (value >= 100 ? number.format(Math.round(value)) : (value ?? 0).toFixed(value ? 1 : 0));

export function bytes(value) {
  if (value === null || value === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) { value /= 1024; at += 1; }
  return `${at ? value.toFixed(1) : value} ${units[at]}`;
}

export function time(ms) {
  if (!ms || ms < 0) return '–';
  const d = new Date(ms);
  const two = (n) => String(n).padStart(2, '0');
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** With the milliseconds: for what is compared with other clocks and logs. */
export const exact = (ms) => (!ms || ms < 0 ? '–' : `${time(ms)}.${String(ms % 1000).padStart(3, '0')}`);

export function span(ms) {
  if (ms === null || ms === undefined) return '–';
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

/** A link within the console. */
export const link = (to, text, props = {}) => h('a', { href: to, 'data-key': `link:${to}`, ...props }, text);

export const button = (text, onclick, props = {}) => h('button', { type: 'button', onclick, ...props }, text);

// On a phone a cell is a label and one thing beside it.
const one = (content) => (Array.isArray(content) ? h('div', {}, content) : content);

/** columns: { label, cell(row), num } */
export function table(caption, columns, rows, empty = t('Nothing here.')) {
  if (!rows.length) return h('p', { class: 'empty' }, empty);
  const head = h('tr', {}, columns.map((c) => h('th', { scope: 'col', class: c.num && 'num' }, c.label)));
  const body = rows.map((row) => h('tr', {}, columns.map((c) => h('td', { class: [c.num && 'num', c.wrap && 'wrap'].filter(Boolean).join(' ') || null, 'data-label': typeof c.label === 'string' ? c.label : '' }, one(c.cell(row))))));
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption },
    h('table', {}, h('caption', { class: 'hidden' }, caption), h('thead', {}, head), h('tbody', {}, body)));
}

export function pager(page, go) {
  const last = Math.max(1, Math.ceil(page.total / page.pageSize));
  return h('nav', { class: 'pager', 'aria-label': t('Pages') },
    button(t('Previous'), () => go(page.page - 1), { disabled: page.page <= 1, 'data-key': 'previous' }),
    h('span', {}, t('{page} of {last}, {total} in all', { page: page.page, last, total: count(page.total) })),
    button(t('Next'), () => go(page.page + 1), { disabled: page.page >= last, 'data-key': 'next' }));
}

let fields = 0;

/** A labelled control. kind: text, number, password, checkbox, select, textarea, datetime-local */
export function field(label, kind, props = {}, options = []) {
  const id = `f${fields += 1}`;
  const { hint, ...rest } = props;
  const described = hint ? { 'aria-describedby': `${id}h` } : {};
  let control;
  if (kind === 'select') {
    const { value, ...others } = rest;
    control = h('select', { id, ...described, ...others }, options.map(([v, text]) => h('option', { value: v }, text)));
    if (value !== undefined) control.value = value;
  } else if (kind === 'textarea') {
    control = h('textarea', { id, rows: 5, ...described, ...rest });
  } else {
    control = h('input', { id, type: kind, autocomplete: 'off', ...described, ...rest });
  }
  const name = h('label', { for: id }, label);
  const note = hint ? h('small', { id: `${id}h` }, hint) : null;
  const box = kind === 'checkbox' ? h('div', { class: 'field check' }, control, name, note) : h('div', { class: 'field' }, name, control, note);
  return { box, control, get value() { return kind === 'checkbox' ? control.checked : control.value; } };
}

/** A note that goes away. */
export function note(text, bad = false) {
  const one = h('div', { class: bad ? 'note bad' : 'note' }, text);
  document.getElementById('notes').append(one);
  setTimeout(() => one.remove(), bad ? 12000 : 6000);
}

/** A dialog with a form; `act` gets called on confirmation and may throw. */
export function dialog(title, content, action, act, { danger = false } = {}) {
  const trouble = h('p', { class: 'trouble', role: 'alert' });
  const confirm = h('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, action);
  const box = h('dialog', { 'aria-label': title },
    h('form', {
      method: 'dialog',
      onsubmit: async (event) => {
        event.preventDefault();
        confirm.disabled = true;
        fill(trouble);
        try {
          if ((await act()) !== false) box.close();
        } catch (error) {
          fill(trouble, error.message);
        }
        confirm.disabled = false;
      },
    }, h('h2', {}, title), h('div', { class: 'content' }, content), trouble,
    h('div', { class: 'actions' }, button(t('Cancel'), () => box.close()), confirm)));
  box.addEventListener('close', () => box.remove());
  document.body.append(box);
  box.showModal();
  return box;
}

export const sure = (title, text, action, act) => dialog(title, h('p', {}, text), action, act, { danger: true });

/** A heading with actions beside it. */
export const heading = (text, ...actions) => h('div', { class: 'heading' }, h('h1', { tabindex: -1 }, text), h('div', { class: 'actions' }, actions));

export const facts = (pairs) => h('dl', { class: 'facts' }, pairs.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value ?? '–'))));

export const tag = (text, kind = '') => h('span', { class: `tag ${kind}` }, text);

export const perm = (bits) => ({ 2: t('write'), 4: t('read'), 6: t('read and write') })[bits & 6] ?? t('none');

/** Saves text or bytes as a file. */
export function save(href) {
  const a = h('a', { href, download: '' });
  document.body.append(a);
  a.click();
  a.remove();
}
