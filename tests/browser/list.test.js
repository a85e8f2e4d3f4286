// Tests the list: its groups, and the ways to find a task in it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startBoth } from "./support/both.js";
import { eventually, group, health, openPage, row, rows, shown } from "./support/browser.js";

let browser, server, stop;
before(async () => {
  ({ browser, server, stop } = await startBoth());
});
after(() => stop?.());

test("findings come first, and the other tasks in groups", async () => {
  const { page, close } = await openPage(browser, server.url);
  await eventually(async () => {
    const all = await rows(page);
    const states = ["deadlock", "deadlock", "blocks thread", "held, not polled", "write", "session", "no waker"];
    states.forEach((state, at) => assert.match(all[at], new RegExp(state)));
    assert.match(all[2], /checksum std::thread::sleep in checksum/);
    assert.match(all[4], /^▸ 24 page_server::varied::write "order \d+" and others tokio::sync::Mutex::lock in write at page_server\/varied\.rs:\d+:\d+/);

    const wrong = await page.locator("#wrong li").allInnerTexts();
    assert.match(wrong[0], /^deadlock task \d+ → task \d+ → task \d+$/);
    assert.match(wrong[1], /^blocks thread checksum in thread::sleep, /);
    assert.match(wrong[3], /^deadlock\? 24 × write, /);
  });
  await close();
});

test("a group unfolds to its tasks, with state, times, label and where they were spawned", async () => {
  const { page, close } = await openPage(browser, server.url, { hash: "#query=order" });
  const orders = group(page, "varied::write", 24);
  assert.equal(await orders.getAttribute("aria-expanded"), "false");
  await orders.locator("[data-part=fold]").click();
  const member = row(page, '"order 1007"');
  await member.waitFor();
  await eventually(async () => {
    const text = (await member.innerText()).replace(/\s+/g, " ");
    assert.match(text, /^#\d+ "order 1007" spawned at page_server\/varied\.rs:\d+:\d+ deadlock\? (?:\d+m)?[\d.]+s (?:\d+m)?[\d.]+s \d+$/);
  });
  assert.equal(await orders.getAttribute("aria-expanded"), "true");
  await orders.locator("[data-part=fold]").click();
  await member.waitFor({ state: "detached" });
  await close();
});

test("search finds by name, label, resource, file and number", async () => {
  const { page, close } = await openPage(browser, server.url);
  const total = Number((await page.locator("#shown").innerText()).match(/^\d+/)[0]);
  const search = page.locator("#search");
  const find = async (query, count) => {
    await search.fill(query);
    await shown(page, `${count} of ${total} tasks`);
  };
  await find("order 1007", 1);
  await find("varied::write", 24);
  await find("MUTEX::LOCK", 25);
  await find("semaphore user", 7);
  // This label belongs to a function inside the task.
  await find("select stock [1]", 1);
  await find("thread/functions.rs", 1);
  const number = (await row(page, "varied::checksum").locator(".count").innerText()).trim();
  await find(number, 1);
  await find("there is no such thing", 0);
  assert.equal(await page.locator("#empty").innerText(), "No task matches.");
  await search.press("Escape");
  await shown(page, `${total} tasks in `);
  await close();
});

test("chips count the tasks of each state, and filter by it", async () => {
  const { page, close } = await openPage(browser, server.url);
  const chip = (name) => page.locator("#states button", { hasText: name });
  await eventually(async () => assert.equal(await chip("running").locator(".chip-count").innerText(), "1"));
  await chip("running").click();
  await eventually(async () => assert.equal((await rows(page)).length, 1));
  assert.equal(await chip("running").getAttribute("aria-pressed"), "true");
  await chip("looks wrong").click();
  await eventually(async () => assert.equal((await rows(page)).length, 7));
  assert.match(await page.evaluate(() => location.hash), /state=wrong/);
  await chip("looks wrong").click();
  assert.equal(await chip("all").getAttribute("aria-pressed"), "true");
  await close();
});

test("the list can be sorted in both directions, and ungrouped", async () => {
  const { page, close } = await openPage(browser, server.url);
  const firstIs = (text) => eventually(async () => assert.match((await rows(page))[0], text));
  await page.locator("#sort").selectOption("count");
  await firstIs(/^▸ 24 .*write/);
  await page.locator("#sort").selectOption("polls");
  await firstIs(/varied::tick/);
  await page.locator("#sort").selectOption("name");
  await firstIs(/varied::checksum/);
  await page.locator("#reverse").click();
  await firstIs(/varied::write/);
  await page.locator("#reverse").click();
  await page.locator("#grouped").click();
  await page.locator("#sort").selectOption("number");
  await eventually(async () => {
    const numbers = (await rows(page)).map((text) => Number(text.match(/^#(\d+)/)[1]));
    assert.ok(numbers.length > 10);
    assert.deepEqual(numbers, numbers.toSorted((one, other) => one - other));
  });
  await close();
});

test("the list follows tasks that end and begin", async () => {
  const { page, close } = await openPage(browser, server.url, { hash: "#query=guest" });
  await page.locator("#rate").selectOption("1000");
  await row(page, '"guest 1"').waitFor();
  server.next();
  await row(page, '"guest 2"').waitFor();
  await eventually(async () => assert.equal(await page.locator(".row", { hasText: '"guest 1"' }).count(), 0));
  await close();
});

test("the address keeps the state of the page", async () => {
  const { page, close } = await openPage(browser, server.url, { hash: "#query=order&tab=tasks&sort=age&state=suspended" });
  assert.equal(await page.locator("#search").inputValue(), "order");
  assert.equal(await page.locator("#sort").inputValue(), "age");
  await shown(page, "24 of ");
  // Unknown values in the address are ignored.
  await page.goto(`${server.url}#sort=nonsense&state=%3Cb%3E&tab=..&open=%00`);
  await page.reload();
  await health(page, "live");
  assert.equal(await page.locator("#sort").inputValue(), "urgency");
  await close();
});
