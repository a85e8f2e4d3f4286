// Tests copies of the data as text and as files.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { startBoth } from "./support/both.js";
import { eventually, openPage, row } from "./support/browser.js";

let browser, server, stop;
before(async () => {
  ({ browser, server, stop } = await startBoth());
});
after(() => stop?.());

async function download(page, selector) {
  if (!(await page.locator("#save").evaluate((menu) => menu.open))) await page.locator("#save summary").click();
  const [file] = await Promise.all([page.waitForEvent("download"), page.locator(selector).click()]);
  return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) };
}

test("the open task is copied as text, or the whole dump if none is open", async () => {
  const { page, context, close } = await openPage(browser, server.url);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const copied = () => page.evaluate(() => navigator.clipboard.readText());
  await page.locator("#copy").click();
  await page.locator("#toast", { hasText: /^Copied \d+ lines\.$/ }).waitFor();
  const all = await copied();
  assert.match(all, /^page_server, process \d+, .*Z: \d+ tasks in \d+ groups\n/);
  assert.match(all, /\n! task \d+ page_server::varied::debit "account 17", suspended /);

  await eventually(async () => {
    await row(page, "varied::write").click();
    await page.locator("#detail [data-do=copy]").click();
    assert.match(
      await copied(),
      /^! 24 tasks page_server::varied::write, suspended .*\n {2}task \d+ "order \d+", .* and 19 more\n {2}╼ page_server::varied::write "order \d+" and others at tests\/src\/bin\/page_server\/varied\.rs:\d+:\d+ .*\n {3}└╼ tokio::sync::Mutex::lock at tokio-.*\n$/,
    );
  });
  await close();
});

test("dumps are saved in each format, as captures or snapshots", async () => {
  const { page, close } = await openPage(browser, server.url);
  const text = await download(page, "[data-file='dump.txt']");
  assert.match(text.name, /^page_server-\d+\.dump\.txt$/);
  assert.match(text.bytes.toString(), /^\d+ tasks: /);
  const json = await download(page, "[data-file='dump.json']");
  assert.equal(JSON.parse(json.bytes).schema, "tasktrace.dump/1");
  const pprof = await download(page, "[data-file='dump.pb.gz']");
  assert.deepEqual([...pprof.bytes.subarray(0, 2)], [0x1f, 0x8b]);
  await eventually(async () => {
    const folded = await download(page, "[data-file='dump.folded']");
    assert.match(folded.bytes.toString(), /page_server::varied::write;tokio::sync::Mutex::lock 24\n/);
  });
  const svg = await download(page, "[data-file='dump.svg']");
  assert.match(svg.bytes.toString(), /<svg/);
  const view = await download(page, "#save-view");
  assert.equal(JSON.parse(view.bytes).schema, "tasktrace.view/1");

  await page.locator("#capture").selectOption("0");
  assert.match(await page.locator("[data-file='dump.txt']").getAttribute("href"), /capture=0$/);
  await close();
});
