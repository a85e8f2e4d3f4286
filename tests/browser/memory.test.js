// Tests what the page shows of tasks that were read from memory. The program has none, so the answer gets some, in the
// form of `render/serial/inspected.rs`.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startBoth } from "./support/both.js";
import { eventually, newData, openPage } from "./support/browser.js";

let browser, server, stop;
before(async () => {
  ({ browser, server, stop } = await startBoth());
});
after(() => stop?.());

const held = { kind: "mutex", function: "shop::restock", file: "src/stock.rs", line: 31, variable: "stock", address: "0x10", is_polled: true };
const frame = (parent, name, more) => ({ parent, name, file: null, line: null, note: null, wait: null, ...more });
const base = { id: null, tokio_runtime: 1, state: "suspended", problem: null, holds: [] };

/** Returns the data of three tasks: an untraced one holds the lock that another and a traced task wait for. */
function inspected(traced) {
  const holders = [{ id: null, tokio_id: 12, held, waits_for: "tokio::time::sleep" }];
  const wait = { kind: "permits", text: "locked", address: "0x10", tokio_id: null, holders };
  const waits = [frame(null, "shop::sell", { file: "src/sell.rs", line: 20 }), frame(0, "tokio::sync::Mutex::lock", { wait })];
  const sleep = { kind: "sleep", text: "59m 0s left", address: null, tokio_id: null, holders: [] };
  return {
    problem: null,
    deadlocks: [],
    missing: [],
    more: 0,
    tasks: [
      { ...base, tokio_id: 12, name: "shop::restock", address: "0x1000", holds: [held], frames: [frame(null, "shop::restock", { file: "src/stock.rs", line: 31 }), frame(0, "tokio::time::sleep", { wait: sleep })] },
      { ...base, tokio_id: 13, name: "shop::sell", address: "0x2000", frames: waits },
      { ...base, id: traced, tokio_id: 14, name: "shop::sell", address: "0x3000", frames: waits },
    ],
  };
}

test("the holder of a lock is a link to its task", async () => {
  const { page, close } = await openPage(browser, server.url);
  let traced;
  await page.route(/view\.json/, async (route) => {
    const answer = await route.fetch();
    const doc = await answer.json();
    traced ??= [doc.groups[0].tasks.id].flat()[0];
    await route.fulfill({ response: answer, json: { ...doc, inspected: inspected(traced) } });
  });
  await newData(page);
  const memory = page.locator("#memory");
  await eventually(async () => assert.equal(await memory.locator("summary").innerText(), "2 tasks not traced, read from memory"));
  await memory.locator("summary").click();
  await memory.getByText("tokio task 13 shop::sell").click();

  const detail = page.locator("#detail");
  await eventually(async () => assert.equal(await detail.locator("h2").first().innerText(), "tokio task 13"));
  const sentence = "held by tokio task 12 in shop::restock at src/stock.rs:31, which waits for tokio::time::sleep";
  assert.equal(await detail.locator("#holders .wait-where").innerText(), sentence);
  assert.match((await detail.locator("#tree li").allInnerTexts())[1], /tokio::sync::Mutex::lock locked$/);

  // The link leads to the holder.
  await detail.locator("#holders .link").click();
  await eventually(async () => {
    assert.equal(await detail.locator("h2").first().innerText(), "tokio task 12");
    assert.match(await detail.innerText(), /stock in shop::restock src\/stock\.rs:31/);
  });

  // A traced task has the link as well.
  await page.evaluate((id) => (location.hash = `open=${id}`), traced);
  await page.reload();
  await eventually(async () => assert.equal(await detail.locator("#holders .wait-where").innerText(), sentence));
  await detail.locator("#holders .link").click();
  await eventually(async () => assert.equal(await detail.locator("h2").first().innerText(), "tokio task 12"));
  await close();
});
