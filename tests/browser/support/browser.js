// The browser, and the page in it as a reader sees it.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

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

/** What the browser itself says when a server does not answer, which is no mistake of the page. */
const NO_ANSWER = /Failed to load resource: (net::ERR_|the server responded)/;

/** Opens the page in a context of its own, and waits for its first data. */
export async function openPage(browser, url, { hash = "", ...options } = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    colorScheme: "light",
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
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
    /** Nothing was reported, nothing was asked of others, and nothing that is text was run. */
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

/** The rows of a list that are drawn, from the top. */
export async function rows(page, list = "#list") {
  const all = await page.locator(`${list} .row`).evaluateAll((rows) =>
    rows.map((row) => ({ at: Number(row.dataset.at), text: row.innerText.replace(/\s+/g, " ").trim() })),
  );
  return all.sort((one, other) => one.at - other.at).map((row) => row.text);
}

/** The row in which there is this text. */
export const row = (page, text, list = "#list") => page.locator(`${list} .row`, { hasText: text }).first();

/** Waits until there are so many tasks shown as it says. */
export const shown = (page, text) => page.locator("#shown", { hasText: text }).waitFor();
