// Tests the page with the keyboard only.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startBoth } from "./support/both.js";
import { eventually, health, openPage, rows, shown } from "./support/browser.js";

let browser, server, stop;
before(async () => {
  ({ browser, server, stop } = await startBoth());
});
after(() => stop?.());

const focused = (page) => page.evaluate(() => document.activeElement.id);
const current = (page, list = "list") =>
  page.evaluate((list) => {
    const id = document.getElementById(list).getAttribute("aria-activedescendant");
    return id === null ? null : document.getElementById(id).innerText.replace(/\s+/g, " ").trim();
  }, list);

test("keys lead from a search to a task and back", async () => {
  const { page, close } = await openPage(browser, server.url);
  await page.keyboard.press("/");
  assert.equal(await focused(page), "search");
  await page.keyboard.type("write");
  await shown(page, "24 of ");
  await page.keyboard.press("Enter");
  assert.equal(await focused(page), "list");
  await eventually(async () => assert.match(await current(page), /^▸ 24 .*varied::write/));
  await page.keyboard.press("l");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await eventually(async () => assert.match(await current(page), /^#\d+ "order \d+"/));
  await page.keyboard.press("Enter");
  await page.locator("#detail h2", { hasText: /^Task \d+$/ }).waitFor();
  // The left arrow leads to the group.
  await page.keyboard.press("h");
  await eventually(async () => assert.match(await current(page), /^▸ 24 .*varied::write/));
  await page.keyboard.press("Escape");
  await page.locator("#detail").waitFor({ state: "hidden" });
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#search").inputValue(), "");
  await close();
});

test("keys move down and up, to the end and back", async () => {
  const { page, close } = await openPage(browser, server.url);
  await page.keyboard.press("p");
  await health(page, "paused");
  const all = await rows(page);
  await page.keyboard.press("j");
  assert.equal(await current(page), all[0]);
  await page.keyboard.press("ArrowDown");
  assert.equal(await current(page), all[1]);
  await page.keyboard.press("k");
  assert.equal(await current(page), all[0]);
  await page.keyboard.press("End");
  const last = await current(page);
  assert.ok((await page.locator(".row.current").boundingBox()).y < 800);
  assert.notEqual(last, all[0]);
  await page.keyboard.press("Home");
  assert.equal(await current(page), all[0]);
  await page.keyboard.press("p");
  await health(page, "live");
  await close();
});

test("keys open the views, the help, the order and the findings", async () => {
  const { page, close } = await openPage(browser, server.url);
  const selected = () => page.locator("[role=tab][aria-selected=true]").innerText();
  await page.keyboard.press("2");
  assert.equal(await selected(), "Flamegraph");
  await page.keyboard.press("3");
  assert.equal(await selected(), "Awaited by");
  await page.keyboard.press("j");
  await eventually(async () => assert.match(await current(page, "forest"), /varied::debit/));
  await page.keyboard.press("1");
  await page.keyboard.press("?");
  assert.equal(await page.locator("#help").evaluate((help) => help.open), true);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#help").evaluate((help) => help.open), false);
  await page.keyboard.press("w");
  await page.locator("#detail .title", { hasText: "debit" }).waitFor();
  await page.keyboard.press("w");
  await page.locator("#detail .title", { hasText: "credit" }).waitFor();
  await page.keyboard.press("g");
  assert.equal(await page.locator("#grouped").getAttribute("aria-pressed"), "false");
  await page.keyboard.press("r");
  assert.equal(await page.locator("#reverse").getAttribute("aria-pressed"), "true");
  await page.keyboard.press("s");
  assert.equal(await page.locator("#capture").inputValue(), "0");
  await close();
});

test("each control is reached by tab, has a name, and shows that it has the focus", async () => {
  const { page, close } = await openPage(browser, server.url);
  await page.keyboard.press("p");
  const reached = [];
  for (;;) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      const name = element.getAttribute("aria-label") ?? element.labels?.[0]?.innerText ?? (element.innerText || element.title);
      // A list shows its focus at its current row.
      const isSeen = style.outlineStyle !== "none" || element.matches(".flame, .has-current");
      return { id: element.id, tag: element.tagName, name, isSeen };
    });
    if (at.tag === "BODY" || reached.length > 60) break;
    reached.push(at);
  }
  const ids = reached.map((at) => at.id);
  for (const id of ["pause", "rate", "capture", "copy", "theme", "help-open", "tab-tasks", "search", "sort", "reverse", "grouped", "list"]) {
    assert.ok(ids.includes(id), `${id} is not among ${ids}`);
  }
  for (const at of reached) {
    assert.ok(at.name, `${at.tag} ${at.id} has no name`);
    assert.ok(at.isSeen, `${at.tag} ${at.id} does not show its focus`);
  }
  await close();
});

test("rows announce their place in the tree", async () => {
  const { page, close } = await openPage(browser, server.url);
  assert.equal(await page.locator("#list").getAttribute("role"), "tree");
  await page.keyboard.press("/");
  await page.keyboard.type("write");
  await page.keyboard.press("Enter");
  await eventually(async () => assert.match(await current(page), /^▸ 24 .*varied::write/));
  await page.keyboard.press("ArrowRight");
  await eventually(async () => {
    const levels = await page.locator(".row").evaluateAll((rows) => rows.slice(0, 3).map((row) => [row.getAttribute("role"), row.getAttribute("aria-level")]));
    assert.deepEqual(levels, [["treeitem", "1"], ["treeitem", "2"], ["treeitem", "2"]]);
  });
  await close();
});
