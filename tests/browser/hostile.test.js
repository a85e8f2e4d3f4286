// Tests hostile labels, which clients of the program may choose: the page shows them as text.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startBoth } from "./support/both.js";
import { group, openPage, row } from "./support/browser.js";

let browser, server, stop;
before(async () => {
  ({ browser, server, stop } = await startBoth());
});
after(() => stop?.());

const LABELS = [
  `"<img src=x onerror="window.pwned=1">"`,
  `"</script><script>window.pwned=1</script>"`,
  `""'><svg onload=window.pwned=1>"`,
  `"javascript:window.pwned=1"`,
  String.raw`"\u{202e}gnp.exe \u{1b}[31mred\u{1b}[0m\u{a}second line\u{0}"`,
  "\"{{constructor.constructor('window.pwned=1')()}} ${window.pwned=1}\"",
];

test("hostile labels are shown as text in the list, in the details and in each view", async () => {
  const { page, close } = await openPage(browser, server.url);
  await page.locator("#search").fill("greet");
  await group(page, "varied::greet", LABELS.length + 1).locator("[data-part=fold]").click();
  for (const label of LABELS) {
    const shown = page.locator(".row.member .label", { hasText: label });
    await shown.waitFor();
    await shown.click();
    await page.locator("#detail .title .label", { hasText: label }).waitFor();
  }
  assert.equal(await page.locator("#list img, #list script, #list svg, #detail img, #detail script, #detail svg").count(), 0);
  await page.locator("#tab-flame").click();
  await page.locator("#tab-awaits").click();
  await close();
});

test("a label of 5,000 letters does not widen the page", async () => {
  const { page, close } = await openPage(browser, server.url);
  await page.locator("#search").fill("xxxxxxxx");
  await row(page, "varied::greet").click();
  await page.locator("#detail .title .label").waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
  assert.ok(await page.locator("#detail").evaluate((detail) => detail.scrollWidth <= detail.clientWidth));
  await close();
});

test("the server allows the browser to run only the page's script", async () => {
  const { page, close } = await openPage(browser, server.url);
  const response = await page.request.get(server.url, { headers: { accept: "text/html" } });
  const policy = response.headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /script-src 'sha256-[^']+'(;|$)/);
  assert.doesNotMatch(policy, /unsafe/);
  // Adds the kind of script that a hole in the page would let through.
  const ran = await page.evaluate(async () => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
    script.remove();
    const seen = window.violations.length;
    window.violations = [];
    return [window.ran, seen];
  });
  assert.equal(ran[0], undefined);
  // The browser reports the violation, which is expected.
  await close().catch((error) => assert.match(error.message, /Content Security Policy/));
});
