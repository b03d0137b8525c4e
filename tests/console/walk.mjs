// Walks through the console in a real browser: every page, the main actions, light and dark, English and Chinese, a phone,
// and axe-core over each page. Usage: walk.mjs URL PASSWORD SCREENSHOTS TOPIC GROUP TRACED SERVER
import { audit, check, end, login, others, see, seen, shot, url, visitor } from './visit.mjs';

const [topic, group, traced, server] = others;
const page = await visitor();
await login(page, 'wrong password');
await page.getByText('name or password is wrong').waitFor();
await audit(page, 'login');
await shot(page, 'login');
await login(page);
await page.getByRole('heading', { name: 'Overview' }).waitFor();
await page.getByText('Messages per second').waitFor();
seen(3);

const encoded = encodeURIComponent;
const walk = [
  ['/', 'Messages per second', 'overview'], ['/brokers', 'broker', 'brokers'], ['/topics', topic, 'topics'], [`/topics/${encoded(topic)}`, 'Queues', 'topic'],
  ['/groups', group, 'groups'], [`/groups/${encoded(group)}`, 'Progress', 'group'], ['/producers', server === 'kerolox' ? 'Last heartbeat' : 'Producer group', 'producers'],
  [`/messages?topic=${encoded(topic)}&from=1`, 'shown, at most', 'messages'], ['/dead-letters', 'Dead letters', 'dead-letters'],
  [`/trace?id=${traced}`, 'Over time', 'trace'], ['/delays', 'Delay levels', 'delays'], ['/transactions', 'walk_tx', 'transactions'],
  ['/dead-letters/walk_failing', 'dead-11', 'dead-letters-of'], ['/findings', 'Topics that clients want', 'findings'], ['/acl', 'Accounts of the brokers', 'acl-off'],
  ['/accounts', 'Create account', 'accounts'], ['/audit', 'POST /api/login', 'audit'],
];
for (const [path, wanted, name] of walk) await see(page, path, wanted, name);

// A chart tells its values under the pointer.
await page.goto(url);
const rates = page.locator('.chart', { hasText: 'Messages per second' });
await rates.locator('svg').hover();
await rates.locator('.when', { hasText: /^\d\d:\d\d:\d\d/ }).waitFor();
seen(1);

// A transaction in doubt is told, a settled one is not. Before any topic is deleted: RocketMQ 4.7.1 then forgets the queues
// of half messages too, as long as it has not written down their topic.
if (server === 'reference') {
  await page.goto(`${url}/producers`);
  await page.getByText('broker-a does not list its producers').waitFor();
  await page.getByLabel('Producer group').fill('nobody');
  await page.getByLabel('A topic it sends to').fill(topic);
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByText('the producer group[nobody] not exist').waitFor();
}
await page.goto(`${url}/transactions`);
await page.getByRole('cell', { name: 'doubt' }).first().waitFor();
check('a settled transaction is in no doubt', (await page.getByRole('cell', { name: 'settled' }).count()) === 0);

// A broker: figures and a setting.
await page.goto(`${url}/brokers`);
await page.locator('td a').first().click();
await page.getByText('All figures').first().waitFor();
await audit(page, 'broker');
await shot(page, 'broker');
await page.getByLabel('Find a setting').fill('brokerPermission');
await page.getByRole('button', { name: 'Edit brokerPermission' }).click();
await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
await page.getByText('Saved.').waitFor();

// A topic is made, gets a hostile message, shows it harmlessly, and goes.
const fresh = `walk-${Date.now()}`;
await page.goto(`${url}/topics`);
await page.getByRole('button', { name: 'Create topic' }).click();
await page.getByLabel('Name').fill(fresh);
await page.getByLabel('Queues to read').fill('2');
await page.getByLabel('Queues to write').fill('2');
await audit(page, 'topic dialog');
await shot(page, 'topic-dialog');
await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
await page.getByRole('heading', { name: fresh }).waitFor();
const evil = '{"html":"<img src=x onerror=alert(1)><script>alert(2)</script>"}';
for (let tries = 0; ; tries += 1) {
  await page.reload();
  await page.getByRole('button', { name: 'Send a test message' }).click();
  await page.getByLabel('Body').fill(evil);
  await page.getByLabel('Keys').fill('<b>key</b>');
  await page.getByRole('dialog').getByRole('button', { name: 'Send', exact: true }).click();
  const sent = await page.getByText('SEND_OK').waitFor().then(() => true, () => false);
  if (sent) break;
  check('a test message is sent', tries < 3);
}
await page.goto(`${url}/messages?topic=${fresh}&from=1`);
for (let tries = 0; tries < 10 && !(await page.locator('td a.id').count()); tries += 1) { await page.waitForTimeout(500); await page.getByRole('button', { name: 'Search' }).click(); }
await page.locator('td a.id').first().click();
await page.getByText('onerror=alert(1)').first().waitFor();
check('a body is text', (await page.locator('main img, main script').count()) === 0);
await page.getByRole('button', { name: 'Hex' }).click();
await page.getByText('00000000  7b 22').waitFor();
await audit(page, 'message');
await shot(page, 'message');
await page.goto(`${url}/topics/${fresh}`);
await page.getByRole('button', { name: 'Delete' }).click();
await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
await page.getByText('Deleted.').waitFor();

// A trace: the producer, the broker, both groups, and the try that failed.
await page.goto(`${url}/trace?id=${traced}`);
for (const wanted of ['walk_producer', 'walk_quick', 'walk_second', 'failed']) await page.getByRole('cell', { name: wanted }).first().waitFor();
check('the trace is drawn', (await page.locator('svg.timeline rect').count()) >= 4, `${await page.locator('svg.timeline rect').count()} bars`);
await page.goto(`${url}/trace?id=walk-key`);
await page.getByRole('cell', { name: 'walk_quick' }).first().waitFor();

// Delayed messages: those of a level, and those with a time of their own, one of which is taken back.
await page.goto(`${url}/delays`);
await page.getByRole('button', { name: 'Show level 18 of broker-a' }).click();
await page.getByRole('cell', { name: 'level', exact: true }).waitFor();
await shot(page, 'delays-level');
if (server === 'kerolox') {
  await page.getByRole('cell', { name: 'timer-0' }).waitFor();
  const due = page.getByRole('row').filter({ hasText: 'timer-1' });
  await due.getByRole('button').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel the message' }).click();
  await page.getByText('Cancelled.').waitFor();
  // The cancellation is stored first and looked at then.
  for (let tries = 0; tries < 20; tries += 1) { await page.waitForTimeout(250); await page.getByRole('button', { name: 'Search' }).click(); await page.getByRole('cell', { name: 'timer-2' }).waitFor(); if (!(await page.getByRole('cell', { name: 'timer-1' }).count())) break; }
  check('a cancelled message is gone', (await page.getByRole('cell', { name: 'timer-1' }).count()) === 0);
}

// Dead letters are replayed at a rate, pause, go on, and are counted.
await page.goto(`${url}/dead-letters/walk_failing`);
await page.getByRole('button', { name: 'Replay many' }).click();
await page.getByLabel('Messages per second').fill('2');
await page.getByLabel('Found in body, keys or id').fill('order');
await audit(page, 'replay dialog');
await shot(page, 'replay-dialog');
await page.getByRole('dialog').getByRole('button', { name: 'Replay', exact: true }).click();
await page.getByText('Replay: running').waitFor();
await page.getByRole('button', { name: 'Pause' }).click();
await page.getByText('Replay: paused').waitFor();
await audit(page, 'replay');
await shot(page, 'replay');
await page.getByRole('button', { name: 'Go on' }).click();
await page.getByText('Replay: done').waitFor();
const run = await page.getByText('passed over').textContent();
check('all dead letters were replayed', /^12 sent, 0 passed over, 0 failed, 0 left/.test(run), run);
await page.getByRole('button', { name: 'Forget' }).click();
await page.getByText('Replay: done').waitFor({ state: 'detached' });

// A topic that somebody wants in vain is created with one click.
if (server === 'kerolox') {
  await page.goto(`${url}/findings`);
  await page.getByRole('button', { name: 'Create walk-wanted', exact: true }).first().click();
  check('the name is filled in', (await page.getByLabel('Name').inputValue()) === 'walk-wanted');
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: 'walk-wanted' }).waitFor();
  for (let tries = 0; tries < 20; tries += 1) { await page.goto(`${url}/findings`); await page.getByText('Topics that clients want').first().waitFor(); if (!(await page.getByRole('button', { name: 'Create walk-wanted', exact: true }).count())) break; await page.waitForTimeout(250); }
  check('nobody wants it any more', (await page.getByRole('button', { name: 'Create walk-wanted', exact: true }).count()) === 0);
}

// A group skips its backlog.
await page.goto(`${url}/groups/${encoded(group)}`);
await page.getByRole('button', { name: 'Skip the backlog' }).click();
await page.getByRole('dialog').getByRole('button', { name: 'Skip', exact: true }).click();
await page.getByText('queues are set.').waitFor();

// A group is made and goes.
const crowd = `walk-group-${Date.now()}`;
await page.goto(`${url}/groups`);
await page.getByRole('button', { name: 'Create group' }).click();
await page.getByLabel('Name').fill(crowd);
await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
await page.getByRole('heading', { name: crowd }).waitFor();
await page.getByRole('button', { name: 'Delete' }).click();
await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
await page.getByText('Deleted.').waitFor();

// By keyboard alone: a slash reaches the search, a tab leaves it, the skip link is first.
await page.goto(`${url}/topics`);
await page.getByText(topic).first().waitFor();
await page.keyboard.press('/');
check('a slash reaches the search', await page.evaluate(() => document.activeElement.type === 'search'));
await page.keyboard.type(topic);
await page.getByText('1 of 1').waitFor();
await page.getByRole('button', { name: 'Dark colours' }).click();
await see(page, '/', 'Messages per second', 'overview-dark');
await page.getByRole('button', { name: '中文' }).click();
await page.getByText('每秒消息数').waitFor();
for (const [path, wanted, name] of [['/', '每秒消息数', 'overview-zh'], [`/groups/${encoded(group)}`, '消费进度', 'group-zh'], [`/trace?id=${traced}`, '时间线', 'trace-zh'], ['/delays', '延时级别', 'delays-zh'], ['/findings', '客户端需要的主题', 'findings-zh'], ['/transactions', '悬而未决', 'transactions-zh']]) await see(page, path, wanted, name);
await page.goto(`${url}/findings`);
await page.locator('main .card li').first().waitFor();
const english = (await page.locator('main .card li').allInnerTexts()).filter((text) => !/[\u4e00-\u9fff]{4}[^]*\n[^]*[\u4e00-\u9fff]{2}/.test(text));
check('findings are told in Chinese', !english.length, english.join(' | '));

const phone = await visitor({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
await login(phone);
await phone.getByText('Messages per second').waitFor();
for (const [path, wanted, name] of [['/', 'Messages per second', 'phone-overview'], ['/topics', topic, 'phone-topics'], [`/groups/${encoded(group)}`, 'Progress', 'phone-group'], [`/trace?id=${traced}`, 'Over time', 'phone-trace'], ['/delays', 'Delay levels', 'phone-delays'], ['/findings', 'Topics that clients want', 'phone-findings']]) await see(phone, path, wanted, name);
await phone.getByRole('button', { name: 'Menu' }).click();
await phone.getByRole('link', { name: 'Brokers' }).first().waitFor();

// A read-only visitor sees no buttons that change.
await page.getByRole('button', { name: 'English' }).click();
await page.goto(`${url}/`);
await page.getByRole('button', { name: 'Account admin' }).click();
await page.getByRole('button', { name: 'Log out' }).click();
await page.getByRole('button', { name: 'Log in' }).waitFor();

await end();
