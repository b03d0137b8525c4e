// Walks through the console in a real browser: every page, the main actions, light and dark, English and Chinese, a phone,
// and axe-core over each page. Usage: walk.mjs URL PASSWORD SCREENSHOTS TOPIC GROUP
import { readFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const [url, password, shots, topic, group] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
mkdirSync(shots, { recursive: true });
const failures = [];
let checks = 0;
const check = (what, good, more = '') => { checks += 1; if (!good) { failures.push(`${what} ${more}`); console.log(`FAILED ${what} ${more}`); } };

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });

async function visitor(options = {}) {
  const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15000);
  page.on('pageerror', (error) => check(`no error in ${page.url()}`, false, error.message));
  page.on('console', (told) => { if (told.type() === 'error' && !/status of (401|404|409)/.test(told.text())) check(`no complaint in ${page.url()}`, false, told.text()); });
  page.on('dialog', (dialog) => { check('nothing of a message is executed', false, dialog.message()); dialog.dismiss(); });
  await page.goto(url);
  return page;
}

async function login(page, word = password) {
  await page.locator('input[type=password]').fill(word);
  await page.locator('button[type=submit]').click();
}

async function audit(page, name) {
  // Through the debugger, since the page's policy allows no script of others.
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: axe });
  const { result } = await session.send('Runtime.evaluate', { expression: 'axe.run().then((r) => JSON.stringify(r.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.html.slice(0, 160)).slice(0, 3)])))', awaitPromise: true, returnByValue: true });
  for (const [impact, id, nodes] of JSON.parse(result.value)) {
    if (impact === 'serious' || impact === 'critical') check(`axe on ${name}`, false, `${id}: ${nodes.join(' | ')}`);
    else console.log(`axe on ${name}: ${impact} ${id}`);
  }
  checks += 1;
}

async function shot(page, name) {
  await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
}

/** Goes to a page, waits for what it shows, looks at it in every way. */
async function see(page, path, wanted, name) {
  await page.goto(url + path);
  await page.getByText(wanted).first().waitFor();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth + 1);
  check(`${name} fits its width`, !wide);
  await audit(page, name);
  await shot(page, name);
}

const page = await visitor();
await login(page, 'wrong password');
await page.getByText('name or password is wrong').waitFor();
await audit(page, 'login');
await shot(page, 'login');
await login(page);
await page.getByRole('heading', { name: 'Overview' }).waitFor();
await page.getByText('Messages per second').waitFor();
checks += 3;

const encoded = encodeURIComponent;
const walk = [
  ['/', 'Messages per second', 'overview'], ['/brokers', 'broker', 'brokers'], ['/topics', topic, 'topics'], [`/topics/${encoded(topic)}`, 'Queues', 'topic'],
  ['/groups', group, 'groups'], [`/groups/${encoded(group)}`, 'Progress', 'group'], ['/producers', 'Producer group', 'producers'],
  [`/messages?topic=${encoded(topic)}&from=1`, 'shown, at most', 'messages'], ['/dead-letters', 'Dead letters', 'dead-letters'],
  ['/accounts', 'Create account', 'accounts'], ['/audit', 'POST /api/login', 'audit'],
];
for (const [path, wanted, name] of walk) await see(page, path, wanted, name);

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
for (const [path, wanted, name] of [['/', '每秒消息数', 'overview-zh'], [`/groups/${encoded(group)}`, '消费进度', 'group-zh']]) await see(page, path, wanted, name);

const phone = await visitor({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
await login(phone);
await phone.getByText('Messages per second').waitFor();
for (const [path, wanted, name] of [['/', 'Messages per second', 'phone-overview'], ['/topics', topic, 'phone-topics'], [`/groups/${encoded(group)}`, 'Progress', 'phone-group']]) await see(phone, path, wanted, name);
await phone.getByRole('button', { name: 'Menu' }).click();
await phone.getByRole('link', { name: 'Brokers' }).first().waitFor();

// A read-only visitor sees no buttons that change.
await page.getByRole('button', { name: 'English' }).click();
await page.goto(`${url}/`);
await page.getByRole('button', { name: 'Account admin' }).click();
await page.getByRole('button', { name: 'Log out' }).click();
await page.getByRole('button', { name: 'Log in' }).waitFor();

await browser.close();
console.log(`console: ${checks} checks, ${failures.length} failed`);
process.exit(failures.length ? 1 : 0);
