// Tests the flamegraph.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startBoth } from "./support/both.js";
import { eventually, newData, openPage, pauseWhen, shown } from "./support/browser.js";

let browser, server, stop;
before(async () => {
  ({ browser, server, stop } = await startBoth());
});
after(() => stop?.());

const box = (page, name) => page.locator(`#flame .box[aria-label^="${name},"]`);

/** Pauses when each task has been captured. */
const pauseComplete = (page) =>
  pauseWhen(page, async () => {
    const complete = ["varied::write, 24", "Mutex::lock, 24", "varied::session, 9", "varied::query, 2", "Semaphore::acquire, 7"];
    for (const box of complete) assert.equal(await page.locator(`#flame .box[aria-label$="${box} tasks"]`).count(), 1, box);
  });

/** Returns the width of a box as a share of the whole. */
async function part(page, name) {
  const [one, all] = await Promise.all([box(page, name).first().boundingBox(), box(page, "all tasks").boundingBox()]);
  return one.width / all.width;
}

test("boxes are as wide as their number of tasks", async () => {
  const { page, close } = await openPage(browser, server.url, { hash: "#tab=flame" });
  await pauseComplete(page);
  const total = Number((await page.locator("#shown").innerText()).match(/^\d+/)[0]);
  assert.match(await box(page, "all tasks").getAttribute("aria-label"), new RegExp(`, ${total} tasks$`));
  assert.ok(Math.abs((await part(page, "page_server::varied::write")) - 24 / total) < 0.01);
  // The resource is below the function.
  const [write, lock] = await Promise.all([box(page, "page_server::varied::write").boundingBox(), page.locator('#flame .box.leaf[aria-label="tokio::sync::Mutex::lock, 24 tasks"]').boundingBox()]);
  assert.ok(lock.y > write.y && Math.abs(lock.width - write.width) < 2);
  await close();
});

test("boxes are as wide as their waiting time", async () => {
  const { page, close } = await openPage(browser, server.url, { hash: "#tab=flame" });
  await page.locator("#weight").selectOption("waited");
  await eventually(async () => {
    assert.match(await box(page, "page_server::varied::write").getAttribute("aria-label"), /, ([\d.]+s|\d+m\d+s)$/);
    // This task wakes all the time, so it has almost none of the waiting time.
    assert.equal(await box(page, "page_server::varied::tick").count(), 0);
    assert.match(await page.locator("#flame-note").innerText(), /too narrow to draw/);
  });
  await close();
});

test("the flamegraph zooms in and out by mouse and by keys", async () => {
  const { page, close } = await openPage(browser, server.url, { hash: "#tab=flame" });
  await pauseComplete(page);
  await box(page, "page_server::varied::session").click();
  assert.ok((await part(page, "page_server::varied::session")) > 0.99);
  assert.equal(await box(page, "page_server::varied::write").count(), 0);
  assert.match(await page.locator("#flame-path").innerText(), /all tasks › session/);
  await box(page, "page_server::varied::query").click();
  assert.ok((await part(page, "tokio::time::sleep")) > 0.99);
  await page.keyboard.press("Escape");
  assert.match(await page.locator("#flame-path").innerText(), /› session$/);
  await page.locator("#flame-path button", { hasText: "all tasks" }).click();
  assert.equal(await box(page, "page_server::varied::write").count(), 1);

  await page.locator("#flame").focus();
  await page.keyboard.press("j");
  await page.keyboard.press("l");
  await page.keyboard.press("Enter");
  assert.equal(await page.locator("#flame-path b").innerText(), "session");
  await close();
});

test("a box leads to its tasks, and a search filters the flamegraph", async () => {
  const { page, close } = await openPage(browser, server.url, { hash: "#tab=flame" });
  await pauseComplete(page);
  await page.locator("#search").fill("order");
  await shown(page, "24 of ");
  assert.match(await box(page, "all tasks").getAttribute("aria-label"), /, 24 tasks$/);
  await page.locator("#search").fill("");
  await page.locator('#flame .box[aria-label^="tokio::sync::Semaphore::acquire,"]').click();
  await page.locator("#flame-note button").click();
  await shown(page, "7 of ");
  assert.equal(await page.locator("#tab-tasks").getAttribute("aria-selected"), "true");
  await close();
});

test("new data keeps the zoom", async () => {
  const { page, close } = await openPage(browser, server.url, { hash: "#tab=flame" });
  await page.locator("#rate").selectOption("1000");
  await box(page, "page_server::varied::session").click();
  server.next();
  await newData(page);
  await eventually(async () => assert.ok((await part(page, "page_server::varied::session")) > 0.99));
  await close();
});
