// Tests the details of a task: its waiting lines come first, and then its tree.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startBoth } from "./support/both.js";
import { eventually, newData, openPage, row } from "./support/browser.js";

let browser, server, stop;
before(async () => {
  ({ browser, server, stop } = await startBoth());
});
after(() => stop?.());

/** Opens the task or group of a row, and retries if it could not be captured again. */
const opened = (page, text, holds) =>
  eventually(async () => {
    await row(page, text).click();
    await holds();
  });

const lines = (page, list) => page.locator(`#${list} li`).allInnerTexts().then((all) => all.map((text) => text.replace(/\s+/g, " ").trim()));

test("the waiting line comes before the tree", async () => {
  const { page, close } = await openPage(browser, server.url);
  const detail = page.locator("#detail");
  await opened(page, "time::sleep in query", async () => {
    const [wait] = await lines(page, "waits");
    assert.match(wait, /^tokio::time::sleep in query at tests\/src\/bin\/page_server\/varied\.rs:\d+:\d+$/);
    const tree = await lines(page, "tree");
    assert.match(tree[0], /^╼ page_server::varied::session "user \d" and others tests/);
    assert.match(tree[1], /^└╼ page_server::varied::query "SELECT stock FROM items WHERE id = \$1 \[\d\]" and others/);
    assert.match(tree[2], /^└╼ tokio::time::sleep tokio-/);
    assert.equal(await page.locator("#tree li.leaf").count(), 1);
    const tops = await page.evaluate(() => ["waits", "tree"].map((id) => document.getElementById(id).getBoundingClientRect().top));
    assert.ok(tops[0] < tops[1]);
  });

  // Opens a task from its group.
  await detail.locator(".members [data-task]").first().click();
  await eventually(async () => {
    assert.match(await detail.locator("h2").innerText(), /^Task \d+$/);
    assert.match((await lines(page, "tree"))[1], /query "SELECT stock FROM items WHERE id = \$1 \[\d\]" tests/);
  });
  await close();
});

test("equal tasks are shown as one", async () => {
  const { page, close } = await openPage(browser, server.url);
  await opened(page, "varied::fan_out", async () => {
    const waits = await lines(page, "waits");
    assert.deepEqual(waits.map((text) => text.match(/^(\S+) ?(×\d+)/).slice(1)), [
      ["tokio::sync::Notify::notified", "×40"],
      ["tokio::time::sleep", "×40"],
    ]);
    const tree = await lines(page, "tree");
    assert.equal(tree.length, 4);
    assert.match(tree[1], /request ?×40 "GET \/item\/\d+", "GET \/item\/\d+", "GET \/item\/\d+" and 37 more/);
  });
  await close();
});

test("futures that are held but not polled, or that nothing can wake, are marked", async () => {
  const { page, close } = await openPage(browser, server.url);
  await opened(page, "varied::forgets", async () => {
    const [held, lock] = await lines(page, "waits");
    assert.match(held, /varied::hold .*held, but not polled for .*: its task polls something else$/);
    assert.match(lock, /^tokio::sync::Mutex::lock in forgets/);
    assert.equal(await page.locator("#tree li.alarm").count(), 1);
  });
  await opened(page, "varied::lost", async () => {
    assert.match((await lines(page, "waits"))[0], /no waker registered in this poll: nothing can wake it, unless it kept the waker of an earlier poll$/);
  });
  await close();
});

test("functions of libraries are folded to one line, which unfolds", async () => {
  // The list contains only the visible rows.
  const { page, close } = await openPage(browser, server.url, { hash: "#query=gateway" });
  await opened(page, "varied::gateway", async () => {
    const tree = await lines(page, "tree");
    assert.equal(tree.length, 3, tree.join("\n"));
    assert.match(tree[0], /^╼ page_server::varied::gateway tests/);
    assert.match(tree[1], /^└╼ hyper::server::conn::http1::Connection::poll hyper-.* … \d+ frames in hyper$/);
    assert.match(tree[2], /^└╼ hyper connection \(idle\) hyper-/);
  });
  const hidden = Number((await lines(page, "tree"))[1].match(/… (\d+) frames/)[1]);
  const unfold = page.locator("#tree button[data-do=unfold]");
  await unfold.click();
  await eventually(async () => {
    const tree = await lines(page, "tree");
    assert.equal(tree.length, 3 + hidden, tree.join("\n"));
    assert.ok(tree.some((line) => line.includes("hyper::proto::h1::dispatch::Dispatcher::")), tree.join("\n"));
    assert.match(tree.at(-1), /hyper connection \(idle\)/);
  });
  assert.equal(await unfold.count(), 0);
  await close();
});

test("a blocked thread is shown with the line that blocks it", async () => {
  const { page, close } = await openPage(browser, server.url);
  const detail = page.locator("#detail");
  await opened(page, "varied::checksum", async () => {
    assert.match((await lines(page, "waits"))[0], /^std::thread::sleep in checksum at /);
    assert.match(await detail.locator(".facts").innerText(), /running on tokio-rt-worker \(thread \d+\)/);
    assert.equal(await detail.locator("h3").first().innerText(), "Busy in");
  });
  await close();
});

test("a task links to the one that spawned it and to those that it awaits, and back", async () => {
  const { page, close } = await openPage(browser, server.url);
  await row(page, "varied::program").click();
  const facts = page.locator("#detail .facts");
  await facts.locator("[data-task]").first().click();
  await page.locator("#detail .title", { hasText: "supervise" }).waitFor();
  await eventually(async () => assert.match(await facts.innerText(), /Awaits\s+task \d+ consume\s+Awaited by\s+task 1 program/));
  await close();
});

test("new data keeps the selection, and the element under a pressed mouse button", async () => {
  const { page, close } = await openPage(browser, server.url);
  await page.locator("#rate").selectOption("1000");
  await opened(page, "varied::write", async () => assert.match((await lines(page, "waits"))[0], /^tokio::sync::Mutex::lock/));
  const what = page.locator("#waits .wait-what");
  await what.selectText();
  // The tasks above it do not change.
  const line = await row(page, "varied::lost").boundingBox();
  await page.mouse.move(line.x + 200, line.y + 10);
  await newData(page);
  assert.equal(await page.evaluate(() => String(getSelection())), "tokio::sync::Mutex::lock");
  await page.mouse.down();
  await newData(page);
  await page.mouse.up();
  await page.locator("#detail .title", { hasText: "lost" }).waitFor();
  await close();
});

test("a task that has ended stays open with a note", async () => {
  const { page, close } = await openPage(browser, server.url);
  await page.locator("#rate").selectOption("1000");
  await row(page, '"guest ').click();
  await page.locator("#detail .title", { hasText: '"guest ' }).waitFor();
  server.next();
  await page.locator("#detail .over", { hasText: "The task has ended." }).waitFor();
  await eventually(async () => assert.equal(await page.locator("#waits li").count(), 1));
  await close();
});
