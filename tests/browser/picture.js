// Makes the picture in the README: `node picture.js URL FILE`, of the service in `examples/service`.

import { openPage, row, startBrowser } from "./support/browser.js";

const [url, file] = process.argv.slice(2);
if (file === undefined) throw new Error("usage: node picture.js URL FILE");
const browser = await startBrowser();
const { page, close } = await openPage(browser, url, { viewport: { width: 1280, height: 760 }, deviceScaleFactor: 1.5 });
// Opens the convoy: the tasks that wait for the lock.
await page.waitForFunction(() => document.body.innerText.includes("tokio::sync::Mutex::lock"));
await row(page, "tokio::sync::Mutex::lock").click();
await page.locator("#waits").waitFor();
await page.screenshot({ path: file });
await close();
await browser.close();
