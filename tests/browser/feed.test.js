// Tests the page with data that arrives, that is late, and that no longer arrives.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startBoth } from "./support/both.js";
import { eventually, health, openPage, row } from "./support/browser.js";
import { mount, startServer } from "./support/server.js";

let browser, server, stop;
before(async () => {
  ({ browser, server, stop } = await startBoth());
});
after(() => stop?.());

/** Resolves when the page has sent the given number of further requests. */
function asked(page, times) {
  return new Promise((resolve) => {
    page.on("request", (request) => request.url().includes("view.json") && --times === 0 && resolve());
  });
}

test("pause stops requests, and shows the age of the data", async () => {
  const { page, close } = await openPage(browser, server.url);
  await page.locator("#rate").selectOption("1000");
  await page.locator("#pause").click();
  await health(page, "paused");
  let requests = 0;
  page.on("request", () => requests++);
  // Advances the page's clock by more than twice the pause between two requests.
  await page.locator("#status-text", { hasText: /paused · data of \d\d:\d\d:\d\d, [3-9] s old/ }).waitFor();
  assert.equal(requests, 0);
  assert.equal(await page.locator("#pause").innerText(), "Resume");
  // The existing data can still be viewed.
  await page.locator("#search").fill("order 1003");
  await row(page, '"order 1003"').click();
  await page.locator("#waits li").waitFor();
  await page.locator("#pause").click();
  await health(page, "live");
  await close();
});

test("tasks are captured, or only read as a snapshot", async () => {
  const { page, close } = await openPage(browser, server.url);
  await eventually(async () => {
    await row(page, "varied::write").click();
    assert.match(await page.locator("#waits").innerText(), /tokio::sync::Mutex::lock/);
  });
  const request = page.waitForRequest(/view\.json\?capture=0/);
  await page.locator("#capture").selectOption("0");
  await request;
  await eventually(async () => {
    await row(page, "varied::write").click();
    assert.match(await page.locator("#detail .note").innerText(), /A snapshot: no task was polled/);
    assert.doesNotMatch(await page.locator("#waits").innerText(), /Mutex/);
  });
  await close();
});

test("the page works below any path, with and without a slash at its end", async () => {
  const mounted = await mount(server.url, "/debug/tasks");
  for (const end of ["", "/"]) {
    const { page, close } = await openPage(browser, mounted.url + end);
    await row(page, "varied::write").waitFor();
    assert.match(await page.locator("[data-file='dump.json']").getAttribute("href"), /^\/debug\/tasks\/dump\.json\?/);
    await close();
  }
  await mounted.stop();
});

test("late data is marked as stale, with its age", async () => {
  const mounted = await mount(server.url, "/tasks");
  const { page, close } = await openPage(browser, mounted.url);
  await page.locator("#rate").selectOption("1000");
  mounted.hold();
  await health(page, "stale");
  await page.locator("#banner", { hasText: /The program is slow to answer\. This is how it was at \d\d:\d\d:\d\d, \d+ s ago\./ }).waitFor();
  await page.locator("#status-text", { hasText: /stale · \d+ s old/ }).waitFor();
  mounted.release();
  await health(page, "live");
  await page.locator("#banner").waitFor({ state: "hidden" });
  await close();
  await mounted.stop();
});

test("a refusal of the server is distinguished from a missing server", async () => {
  const { page, close } = await openPage(browser, server.url);
  await page.locator("#rate").selectOption("1000");
  await page.route(/view\.json/, (route) => route.fulfill({ status: 503, body: "busy" }));
  await page.locator("#banner", { hasText: "it answered with status 503" }).waitFor();
  await page.unroute(/view\.json/);
  await health(page, "live");
  await close();
});

test("when the program has ended, the last data stays, and the page tries again", async () => {
  const other = await startServer();
  const { page, context, close } = await openPage(browser, other.url);
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: new URL(other.url).origin });
  await page.locator("#rate").selectOption("1000");
  await row(page, "varied::write").click();
  await other.kill();
  await health(page, "gone");
  const banner = page.locator("#banner");
  await banner.filter({ hasText: /does not answer any more: it cannot be reached\. .*This is how it was at .* s ago/ }).waitFor();
  assert.equal(await banner.getAttribute("role"), "alert");
  // The data can still be viewed and saved.
  await page.locator("#search").fill("session");
  await row(page, "varied::session").click();
  assert.match(await page.locator("#waits").innerText(), /Semaphore::acquire|time::sleep/);
  await page.locator("#copy").click();
  await eventually(async () => assert.match(await page.evaluate(() => navigator.clipboard.readText()), /tasks page_server::varied::session, suspended/));
  await asked(page, 2);
  await close();
});
