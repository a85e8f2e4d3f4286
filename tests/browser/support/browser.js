// Starts the browser, and reads the page as a user sees it.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

/** The longest wait for a step on a busy machine, in milliseconds. */
const PATIENCE = 30_000;

export async function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** The browser's own message when a server does not answer, which is no error of the page. */
const NO_ANSWER = /Failed to load resource: (net::ERR_|the server responded)/;

/** Opens the page in a context of its own, and waits for its first data. */
export async function openPage(browser, url, { hash = "", ...options } = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    colorScheme: "light",
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const origin = new URL(url).origin;
  const complaints = [];
  const foreign = [];
  page.on("console", (message) => {
    if (message.type() !== "log" && !NO_ANSWER.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.stack));
  page.on("dialog", (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    const { protocol, origin: to } = new URL(request.url());
    if (!["data:", "blob:"].includes(protocol) && to !== origin) foreign.push(request.url());
  });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
  });
  await page.goto(url + hash);
  await health(page, "live");
  return {
    page,
    context,
    /** Asserts that the browser reported no error, no foreign request, and no text run as a script. */
    async close() {
      const [violations, pwned] = await page.evaluate(() => [window.violations, window.pwned]);
      await context.close();
      assert.deepEqual(complaints, []);
      assert.deepEqual(foreign, []);
      assert.deepEqual(violations, []);
      assert.equal(pwned, undefined);
    },
  };
}

/** Waits until the page says that its data is live, paused, stale or gone. */
export function health(page, expected) {
  return page.waitForFunction((expected) => document.body.dataset.health === expected, expected);
}

/**
 * Retries until `holds` passes: on a busy machine some data shows tasks that were being polled, or that did not
 * answer in time. Throws the last failure.
 */
export async function eventually(holds) {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    try {
      return await holds();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await sleep(50);
  }
}

/** Waits until the page has got newer data. */
export async function newData(page) {
  const before = await page.locator("#status-text").textContent();
  await page.waitForFunction(
    (before) => document.body.dataset.health === "live" && document.getElementById("status-text").textContent !== before,
    before,
  );
}

/** Pauses the page at data for which `holds` passes, so that no further data arrives. */
export async function pauseWhen(page, holds) {
  await eventually(async () => {
    await page.locator("#pause").click();
    await health(page, "paused");
    try {
      await holds();
    } catch (error) {
      await page.locator("#pause").click();
      await newData(page);
      throw error;
    }
  });
}

/** Returns the drawn rows of a list, from the top. */
export async function rows(page, list = "#list") {
  const all = await page.locator(`${list} .row`).evaluateAll((rows) =>
    rows.map((row) => ({ at: Number(row.dataset.at), text: row.innerText.replace(/\s+/g, " ").trim() })),
  );
  return all.sort((one, other) => one.at - other.at).map((row) => row.text);
}

/** Returns the row with the given text. */
export const row = (page, text, list = "#list") => page.locator(`${list} .row`, { hasText: text }).first();

/** Returns the row of the group with the given number of tasks, which it reaches when all of them have answered. */
export const group = (page, text, count) =>
  page.locator("#list .row", { hasText: text, has: page.locator(".count", { hasText: new RegExp(`^${count}$`) }) });

/** Waits until the page says that it shows the given number of tasks. */
export const shown = (page, text) => page.locator("#shown", { hasText: text }).waitFor();
