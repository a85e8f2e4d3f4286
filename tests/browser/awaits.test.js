// Tests the view of tasks that await each other.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startBoth } from "./support/both.js";
import { eventually, openPage, row, rows } from "./support/browser.js";

let browser, server, stop;
before(async () => {
  ({ browser, server, stop } = await startBoth());
});
after(() => stop?.());

test("a cycle comes first, and is called a deadlock", async () => {
  const { page, close } = await openPage(browser, server.url, { hash: "#tab=awaits" });
  await eventually(async () => {
    const all = await rows(page, "#forest");
    assert.match(all[0], /^▾ #(\d+) page_server::varied::debit "account 17" deadlock suspended/);
    assert.match(all[1], /^▾ awaits #\d+ page_server::varied::credit "account 42" deadlock/);
    assert.match(all[2], /^awaits #\d+ page_server::varied::debit "account 17" ↻ deadlock: shown above$/);
    assert.equal(all[0].match(/#\d+/)[0], all[2].match(/#\d+/)[0]);
  });
  // The summary at the top opens the whole cycle.
  await page.locator("#wrong button", { hasText: "deadlock task" }).click();
  await eventually(async () => assert.match(await page.locator("#detail .cycle").innerText(), /^task (\d+) → task \d+ → task \1$/));
  await close();
});

test("a chain shows the resource of its last task, and folds", async () => {
  const { page, close } = await openPage(browser, server.url, { hash: "#tab=awaits" });
  await eventually(async () => {
    const all = await rows(page, "#forest");
    assert.match(all[3], /^▾ #1 page_server::varied::program/);
    assert.match(all[4], /^▾ awaits #\d+ page_server::varied::supervise/);
    assert.match(all[5], /^awaits #\d+ page_server::varied::consume Receiver::recv suspended/);
    assert.deepEqual(
      await page.locator("#forest .row").evaluateAll((rows) => rows.map((row) => row.getAttribute("aria-level"))),
      ["1", "2", "3", "1", "2", "3"],
    );
  });
  await row(page, "varied::program", "#forest").locator("[data-part=fold]").click();
  await eventually(async () => assert.equal((await rows(page, "#forest")).length, 4));
  await close();
});

test("a search also shows the tasks that await a match", async () => {
  const { page, close } = await openPage(browser, server.url, { hash: "#tab=awaits" });
  const number = (await row(page, "varied::consume", "#forest").locator(".count").innerText()).trim();
  await page.locator("#search").fill(number);
  await eventually(async () => {
    const all = await rows(page, "#forest");
    assert.equal(all.length, 3);
    assert.match(all[0], /varied::program/);
    assert.equal(await page.locator("#forest .is-no-match").count(), 2);
  });
  await close();
});
