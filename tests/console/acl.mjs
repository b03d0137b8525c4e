// The console against a broker that checks accounts: what it shows it has signed for; accounts are made, changed, deleted.
// Usage: acl.mjs URL PASSWORD SCREENSHOTS
import { audit, check, end, login, see, shot, url, visitor } from './visit.mjs';

const page = await visitor();
await login(page);
await page.getByText('Messages per second').waitFor();
for (const [path, wanted, name] of [['/brokers', 'broker', 'acl-brokers'], ['/topics', 'Create topic', 'acl-topics'], ['/acl', 'walk-orders', 'acl']]) await see(page, path, wanted, name);
check('no secret is shown', !(await page.content()).includes('walk-orders-secret'));

await page.getByRole('button', { name: 'Create account' }).click();
await page.getByLabel('Access key').fill('walk-fresh');
await page.getByLabel('Secret key').fill('walk-fresh-secret');
await page.getByLabel('Topics', { exact: true }).fill('orders=PUB|SUB\naudit=SUB');
await audit(page, 'account dialog');
await shot(page, 'acl-dialog');
await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
await page.getByText('Saved.').waitFor();
const row = page.getByRole('row').filter({ hasText: 'walk-fresh' });
await row.getByText('audit=SUB').waitFor();
await row.getByRole('button', { name: 'Edit' }).click();
await page.getByLabel('Groups not listed').selectOption('SUB');
await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
await row.getByText('others: SUB').waitFor();
await row.getByRole('button', { name: 'Delete' }).click();
await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
await page.getByText('Deleted.').waitFor();
await row.waitFor({ state: 'detached' });

// What changes the broker is signed too.
await page.goto(`${url}/topics`);
await page.getByRole('button', { name: 'Create topic' }).click();
await page.getByLabel('Name').fill('signed');
await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
await page.getByRole('heading', { name: 'signed' }).waitFor();
await end();
