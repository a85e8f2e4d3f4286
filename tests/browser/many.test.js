// Tests the page with 100,000 tasks.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startBoth } from "./support/both.js";
import { eventually, health, newData, openPage, row, shown } from "./support/browser.js";

const TASKS = 100_000;

/** A generous limit, in milliseconds: on an idle machine each step takes a fiftieth of it. */
const LIMIT = 3_000;

let browser, server, stop;
before(async () => {
  ({ browser, server, stop } = await startBoth(TASKS));
});
after(() => stop?.());

/** Returns the time from an action to the drawn page, in milliseconds. */
const timed = (page, action, argument) =>
  page.evaluate(
    async ([action, argument]) => {
      const began = performance.now();
      switch (action) {
        case "search": {
          const search = document.getElementById("search");
          search.value = argument;
          search.dispatchEvent(new Event("input"));
          break;
        }
        case "choose": {
          const [id, value] = argument;
          document.getElementById(id).value = value;
          document.getElementById(id).dispatchEvent(new Event("change"));
          break;
        }
        case "click":
          document.querySelector(argument).click();
          break;
        case "scroll":
          document.getElementById("list").scrollTop = argument;
          break;
      }
      await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
      return performance.now() - began;
    },
    [action, argument],
  );

test("each action is fast", async (t) => {
  const { page, close } = await openPage(browser, server.url, { hash: "#capture=0" });
  await page.locator("#pause").click();
  await health(page, "paused");
  await shown(page, "100,000 tasks in ");
  const measure = async (name, action, argument) => {
    const took = await timed(page, action, argument);
    t.diagnostic(`${name}: ${took.toFixed(0)} ms`);
    assert.ok(took < LIMIT, `${name} took ${took} ms`);
  };
  await measure("search", "search", "10.0.77");
  await shown(page, " of 100,000 tasks");
  await measure("search for more of it", "search", "10.0.77.11");
  await measure("search for nothing", "search", "");
  await measure("ungroup", "click", "#grouped");
  await measure("sort by number", "choose", ["sort", "number"]);
  await measure("sort by age", "choose", ["sort", "age"]);
  await measure("scroll to the end", "scroll", 1e9);
  assert.ok((await page.locator("#list .row").count()) < 100);
  await measure("flamegraph", "click", "#tab-flame");
  await measure("awaited by", "click", "#tab-awaits");
  await measure("list", "click", "#tab-tasks");
  await measure("group", "click", "#grouped");
  await row(page, "many::connection").locator("[data-part=fold]").click();
  await measure("open a group", "click", ".row.group");
  await close();
});

test("a search finds a task, and new data keeps arriving", async (t) => {
  const { page, close } = await openPage(browser, server.url, { hash: "#capture=0" });
  await page.locator("#rate").selectOption("1000");
  await page.locator("#search").fill("upload 99980");
  await shown(page, "1 of 100,000 tasks");
  await row(page, '"upload 99980"').click();
  await eventually(async () => assert.match(await page.locator("#waits").innerText(), /varied|many/));
  // Measures the page's own time for new data.
  await page.evaluate(() => {
    window.longest = 0;
    const observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration);
    });
    observer.observe({ entryTypes: ["longtask"] });
  });
  await newData(page);
  // The observer reports a drawing only when it is over.
  await page.evaluate(() => new Promise((idle) => requestIdleCallback(() => setTimeout(idle, 100), { timeout: 30_000 })));
  const busy = await page.evaluate(() => window.longest);
  t.diagnostic(`longest task of the page with new data: ${busy} ms`);
  assert.ok(busy < LIMIT, `the page was busy for ${busy} ms`);
  await close();
});
