// The frame around the pages: who is logged in, where one is, how it looks.

import { get, keepToken, post } from './api.js';
import { fill, h } from './dom.js';
import { button, dialog, field, link, note } from './parts.js';
import { language, setLanguage, t } from './words.js';
import { acl } from './pages/acl.js';
import { accounts } from './pages/accounts.js';
import { audit } from './pages/audit.js';
import { broker, brokers } from './pages/brokers.js';
import { deadLetters, deadLettersOf } from './pages/dead_letters.js';
import { delays } from './pages/delays.js';
import { findings } from './pages/findings.js';
import { group, groups } from './pages/groups.js';
import { login } from './pages/login.js';
import { message, messages } from './pages/messages.js';
import { overview } from './pages/overview.js';
import { producers } from './pages/producers.js';
import { topic, topics } from './pages/topics.js';
import { trace } from './pages/trace.js';
import { transactions } from './pages/transactions.js';

const PAGES = [
  { at: '/', title: 'Overview', show: overview, menu: true },
  { at: '/findings', title: 'Findings', show: findings, menu: true },
  { at: '/brokers', title: 'Brokers', show: brokers, menu: true },
  { at: '/brokers/:name/:id', title: 'Broker', show: broker },
  { at: '/topics', title: 'Topics', show: topics, menu: true },
  { at: '/topics/:topic', title: 'Topic', show: topic },
  { at: '/groups', title: 'Groups', show: groups, menu: true },
  { at: '/groups/:group', title: 'Group', show: group },
  { at: '/producers', title: 'Producers', show: producers, menu: true },
  { at: '/messages', title: 'Messages', show: messages, menu: true },
  { at: '/messages/:id', title: 'Message', show: message },
  { at: '/trace', title: 'Trace', show: trace, menu: true },
  { at: '/delays', title: 'Delayed messages', show: delays, menu: true },
  { at: '/transactions', title: 'Transactions in doubt', show: transactions, menu: true },
  { at: '/dead-letters', title: 'Dead letters', show: deadLetters, menu: true },
  { at: '/dead-letters/:group', title: 'Dead letters', show: deadLettersOf },
  { at: '/acl', title: 'Broker accounts', show: acl, menu: true },
  { at: '/accounts', title: 'Accounts', show: accounts, menu: true, admin: true },
  { at: '/audit', title: 'Audit log', show: audit, menu: true, admin: true },
];

const app = document.getElementById('app');
let session = null;
let leave = [];
let main = null;

function theme(wanted) {
  if (wanted) localStorage.setItem('theme', wanted);
  const kept = localStorage.getItem('theme');
  if (kept) document.documentElement.dataset.theme = kept;
  const dark = kept ? kept === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  return dark ? 'dark' : 'light';
}

function match(pathname) {
  const given = pathname.split('/').filter(Boolean);
  for (const page of PAGES) {
    const wanted = page.at.split('/').filter(Boolean);
    if (wanted.length !== given.length) continue;
    const params = {};
    const fits = wanted.every((part, i) => {
      if (!part.startsWith(':')) return part === given[i];
      try {
        params[part.slice(1)] = decodeURIComponent(given[i]);
      } catch {
        return false;
      }
      return true;
    });
    if (fits) return { page, params };
  }
  return null;
}

export function go(to) {
  history.pushState(null, '', to);
  route(true);
}

function route(focus) {
  leave.forEach((end) => end());
  leave = [];
  if (!session) return showLogin();
  frame();
  const found = match(location.pathname);
  const aborting = new AbortController();
  leave.push(() => aborting.abort());
  if (!found) {
    document.title = `Kerolox · ${t('Not found')}`;
    fill(main, h('h1', { tabindex: -1 }, t('There is no such page.')), link('/', t('Overview')));
    return undefined;
  }
  document.title = `Kerolox · ${[t(found.page.title), ...Object.values(found.params)].join(' · ')}`;
  const root = h('div');
  fill(main, root);
  const context = {
    root, params: found.params, query: new URLSearchParams(location.search), signal: aborting.signal, go,
    admin: session.role === 'admin', session,
    onLeave: (end) => leave.push(end),
    /** Loads now and every few seconds while the page can be seen; a failure is told, and what was shown stays. */
    keep(load, draw, every = 5000) { // 0: once, and again only until it has worked
      const trouble = h('p', { class: 'trouble', role: 'alert' });
      const place = h('div');
      fill(root, trouble, place);
      let timer = 0;
      let ended = false;
      let missed = false;
      const again = async () => {
        clearTimeout(timer);
        if (document.visibilityState === 'visible') {
          try {
            const data = await load(aborting.signal);
            if (ended) return;
            missed = false;
            fill(trouble);
            draw(data, place);
          } catch (error) {
            if (ended || error.name === 'AbortError') return;
            missed = error.status === 0 || error.status >= 500;
            fill(trouble, every || missed ? `${error.message} · ${t('Trying again…')}` : error.message);
          }
        }
        if ((every || missed) && !ended) timer = setTimeout(again, every || 5000);
      };
      leave.push(() => { ended = true; clearTimeout(timer); });
      again();
      return again;
    },
  };
  found.page.show(context);
  if (focus) (root.querySelector('h1') ?? main).focus();
  scrollTo(0, 0);
  return undefined;
}

function frame() {
  const here = `/${location.pathname.split('/')[1] ?? ''}`;
  const items = PAGES.filter((page) => page.menu && (!page.admin || session.role === 'admin'));
  const dark = theme() === 'dark';
  main = h('main', { id: 'main', tabindex: -1 });
  const menu = h('nav', { 'aria-label': t('Main'), id: 'menu' },
    h('ul', {}, items.map((page) => h('li', {}, link(page.at, t(page.title), here === page.at ? { 'aria-current': 'page' } : {})))));
  fill(app,
    h('a', { class: 'skip', href: '#main' }, t('Skip to content')),
    h('header', {},
      button('☰', (event) => {
        const open = menu.classList.toggle('open');
        event.currentTarget.setAttribute('aria-expanded', String(open));
      }, { class: 'burger', 'aria-label': t('Menu'), 'aria-expanded': 'false', 'aria-controls': 'menu' }),
      h('a', { class: 'brand', href: '/' }, h('img', { src: '/icon.svg', alt: '', width: 24, height: 24 }), 'Kerolox'),
      h('div', { class: 'tools' },
        button(language() === 'zh' ? 'English' : '中文', () => { setLanguage(language() === 'zh' ? 'en' : 'zh'); route(false); }, { lang: language() === 'zh' ? 'en' : 'zh' }),
        button(dark ? '☀' : '☾', () => { theme(dark ? 'light' : 'dark'); route(false); }, { 'aria-label': dark ? t('Light colours') : t('Dark colours') }),
        button(session.user, account, { 'aria-label': t('Account {user}', { user: session.user }) }))),
    h('div', { class: 'columns' }, menu, main));
}

function account() {
  const old = field(t('Old password'), 'password', { autocomplete: 'current-password', required: true });
  const fresh = field(t('New password'), 'password', { autocomplete: 'new-password', minlength: 8, required: true, hint: t('At least 8 characters') });
  const box = dialog(`${session.user} (${session.role === 'admin' ? t('administrator') : t('read-only')})`,
    [h('p', {}, button(t('Log out'), async () => { await post('/api/logout').catch(() => {}); box.close(); session = null; go('/'); })), h('h3', {}, t('Change password')), old.box, fresh.box],
    t('Change password'), async () => {
      await post('/api/password', { old: old.value, new: fresh.value });
      note(t('The password is changed.'));
    });
}

function showLogin() {
  document.title = `Kerolox · ${t('Log in')}`;
  fill(app, login((told) => { session = keepToken(told); load(); }));
}

async function load() {
  try {
    session = keepToken(await get('/api/session'));
  } catch (error) {
    session = null;
    if (error.status !== 401) {
      fill(app, h('main', { class: 'login' }, h('p', { class: 'trouble', role: 'alert' }, error.message), button(t('Try again'), load)));
      return;
    }
  }
  route(false);
}

document.addEventListener('click', (event) => {
  const a = event.target.closest('a[href^="/"]');
  if (!a || a.hasAttribute('download') || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  go(a.getAttribute('href'));
});
// One key for the search of a page, as elsewhere.
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.target.matches('input, textarea, select') || document.querySelector('dialog')) return;
  const search = document.querySelector('input[type="search"]');
  if (search) { event.preventDefault(); search.focus(); }
});
window.addEventListener('popstate', () => route(true));
window.addEventListener('logged-out', () => { if (session) { session = null; route(false); } });

document.documentElement.lang = language();
theme();
load();
