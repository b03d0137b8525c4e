// The screens that the README and the book show, under traffic that lasts. Usage: screens.mjs URL PASSWORD FOLDER TRACED
import { check, end, login, others, shot, url, visitor } from './visit.mjs';

const [traced] = others;
const page = await visitor();
await login(page);
await page.getByText('Messages per second').waitFor();
await page.waitForTimeout(100000); // for lines in the charts
check('there is traffic', (await page.locator('.bars li').count()) > 2);
await shot(page, 'console-overview');
await page.goto(`${url}/trace?id=${traced}`);
await page.getByText('Over time').first().waitFor();
await shot(page, 'console-trace');
await end();
