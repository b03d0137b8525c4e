// Who may only look, what is refused, names that nobody knows, and a broker that dies while pages are open: they say so and
// come back by themselves. Usage: away.mjs URL PASSWORD SCREENSHOTS TOPIC GROUP KILL START, the last two being commands.
import { execFileSync } from 'node:child_process';
import { audit, check, end, forgiven, login, others, shot, url, visitor } from './visit.mjs';

const [topic, group, kill, start] = others;
for (const status of [400, 403, 502, 503, 504]) forgiven.add(status);
const run = (command) => execFileSync('bash', ['-c', command], { stdio: ['ignore', 'inherit', 'inherit'] });
const encoded = encodeURIComponent;

const page = await visitor();
await login(page);
await page.getByText('Messages per second').waitFor();
await page.goto(`${url}/accounts`);
await page.getByRole('button', { name: 'Create account' }).click();
await page.getByLabel('Name').fill('watcher');
await page.getByLabel('Password').fill('only-looks-at-it');
await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
await page.getByRole('cell', { name: 'watcher', exact: true }).waitFor();

// Every page shows the same to who may only look, without a button that changes anything; and the server refuses too.
const watcher = await visitor();
await watcher.locator('input[autocomplete=username]').fill('watcher');
await login(watcher, 'only-looks-at-it');
await watcher.getByText('Messages per second').waitFor();
for (const [path, wanted] of [['/findings', 'Topics that clients want'], ['/brokers/broker-a/0', 'All figures'], ['/topics', topic], [`/topics/${encoded(topic)}`, 'Queues'], ['/groups', group], [`/groups/${encoded(group)}`, 'Progress'], ['/dead-letters/walk_failing', 'dead-1'], ['/delays', 'Delay levels'], ['/transactions', 'In doubt'], ['/acl', 'Accounts of the brokers']]) {
  await watcher.goto(url + path);
  await watcher.getByText(wanted).first().waitFor();
  const buttons = await watcher.locator('main button').allInnerTexts();
  const changing = buttons.filter((text) => /create|edit|delete|send|reset|skip|replay|cancel|pause|forget/i.test(text));
  check(`${path} has no button that changes`, !changing.length, changing.join(', '));
}
check('the menu hides what is for administrators', (await watcher.locator('nav a').allInnerTexts()).every((text) => !/^Accounts|^Audit/.test(text)));
const status = (page, token, path) => page.evaluate(async ([token, path]) => {
  const headers = { 'content-type': 'application/json', 'x-csrf-token': token ?? (await (await fetch('/api/session')).json()).csrf };
  return (await fetch(path, { method: 'DELETE', headers })).status;
}, [token, path]);
check('the server refuses who may only look', (await status(watcher, null, `/api/topics/${encoded(topic)}`)) === 403);
check('the server refuses a forged token', (await status(page, 'forged', `/api/topics/${encoded(topic)}`)) === 403);
check('accounts are no business of who may only look', (await watcher.evaluate(async () => (await fetch('/api/accounts')).status)) === 403);

// Names that nobody knows, and some that are none.
for (const path of ['/topics/nobody-made-it', '/topics/%3Cb%3E', '/groups/nobody-made-it', '/brokers/nobody/0', '/brokers/broker-a/77', '/messages/0000', '/messages/%00', '/dead-letters/a%20b']) {
  await page.goto(url + path);
  await page.locator('main .trouble:not(:empty), main .empty').first().waitFor();
}
await page.goto(`${url}/no/such/page`);
await page.getByText('There is no such page.').waitFor();
await page.goto(`${url}/topics/%E0%A4%A`).catch(() => {});
await page.goto(`${url}/topics?page=99999999`);
await page.getByText('in all').waitFor();

// A session that is over leads to the login, and back to where one was.
const stale = await visitor();
await login(stale);
await stale.getByText('Messages per second').waitFor();
await stale.goto(`${url}/topics/${encoded(topic)}`);
await stale.getByText('Queues').first().waitFor();
await stale.context().clearCookies();
await stale.getByRole('button', { name: 'Log in' }).waitFor();
await login(stale);
await stale.getByRole('heading', { name: topic }).waitFor();

// A broker dies while pages are open.
const open = [['overview', '/', 'Messages per second'], ['topic', `/topics/${encoded(topic)}`, 'Queues'], ['group', `/groups/${encoded(group)}`, 'Progress'], ['broker', '/brokers/broker-a/0', 'All figures'], ['topics', '/topics', topic], ['delays', '/delays', 'Delay levels']];
const pages = [];
for (const [name, path, wanted] of open) {
  const one = await page.context().newPage();
  one.setDefaultTimeout(30000);
  await one.goto(url + path);
  await one.getByText(wanted).first().waitFor();
  pages.push([name, one, wanted]);
}
run(kill);
for (const [name, one] of pages) {
  await one.bringToFront();
  const told = await one.locator('main .trouble:not(:empty), main .warning, main .tag.bad').first().waitFor().then(() => true, () => false);
  check(`${name} tells that the broker is away`, told, await one.locator('main').innerText());
  if (name === 'overview' || name === 'group') { await audit(one, `${name} without a broker`); await shot(one, `away-${name}`); }
}
// A page that is opened while it is away says why it is empty.
await page.goto(`${url}/groups/${encoded(group)}`);
await page.locator('main .trouble:not(:empty)').first().waitFor();
run(start);
for (const [name, one, wanted] of [...pages, ['a page opened meanwhile', page, 'Progress']]) {
  await one.bringToFront();
  const back = await one.waitForFunction((wanted) => document.querySelector('main').innerText.includes(wanted) && !/none is registered|does not answer/.test(document.querySelector('main').innerText) && !document.querySelector('main .trouble:not(:empty), main .warning'), wanted).then(() => true, () => false);
  check(`${name} comes back by itself`, back, await one.locator('main').innerText());
}
await end();
