// What the walks share: a browser, visitors, checks, axe-core, screenshots.
import { readFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

export const [url, password, shots, ...others] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
mkdirSync(shots, { recursive: true });
const failures = [];
/** Answers of the server that the browser complains about and a walk expects. */
export const forgiven = new Set([401, 404, 409]);
let checks = 0;
export const seen = (more) => { checks += more; };
export const check = (what, good, more = '') => { checks += 1; if (!good) { failures.push(`${what} ${more}`); console.log(`FAILED ${what} ${more}`); } };

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });

const pages = [];
// What did not come is seldom as telling as what was there in its place.
process.on('uncaughtException', async (error) => {
  console.log(error.message);
  for (const page of pages) console.log(`${page.url()}\n${(await page.locator('main').innerText({ timeout: 1000 }).catch(() => '')).slice(0, 2000)}`);
  process.exit(1);
});

export async function visitor(options = {}) {
  const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30000);
  pages.push(page);
  page.on('pageerror', (error) => check(`no error in ${page.url()}`, false, error.message));
  page.on('console', (told) => { if (told.type() === 'error' && !forgiven.has(Number(/status of (\d+)/.exec(told.text())?.[1]))) check(`no complaint in ${page.url()}`, false, told.text()); });
  page.on('dialog', (dialog) => { check('nothing of a message is executed', false, dialog.message()); dialog.dismiss(); });
  await page.goto(url);
  return page;
}

export async function login(page, word = password) {
  await page.locator('input[type=password]').fill(word);
  await page.locator('button[type=submit]').click();
}

export async function audit(page, name) {
  const slips = (await page.locator('body').innerText()).match(/.*(NaN|undefined|\[object).*/);
  check(`${name} shows no slip of the program`, !slips, slips?.[0]);
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

export async function shot(page, name) {
  await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
}

/** Goes to a page, waits for what it shows, looks at it in every way. */
export async function see(page, path, wanted, name) {
  await page.goto(url + path);
  await page.getByText(wanted).first().waitFor();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth + 1);
  check(`${name} fits its width`, !wide);
  // A table that bursts its frame hides its last columns, which hold the buttons.
  const burst = await page.evaluate(() => [...document.querySelectorAll('.scroll:has(table)')].filter((box) => box.scrollWidth > box.clientWidth + 1).map((box) => `${box.ariaLabel} ${box.scrollWidth} > ${box.clientWidth}`));
  check(`tables of ${name} fit their frames`, !burst.length, burst.join(', '));
  await audit(page, name);
  await shot(page, name);
}

export async function end() {
  await browser.close();
  console.log(`console: ${checks} checks, ${failures.length} failed`);
  process.exit(failures.length ? 1 : 0);
}
