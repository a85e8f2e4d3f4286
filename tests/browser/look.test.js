// Tests the appearance of the page: light, dark, and on a phone.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startBoth } from "./support/both.js";
import { eventually, health, openPage, row } from "./support/browser.js";

let browser, server, stop;
before(async () => {
  ({ browser, server, stop } = await startBoth());
});
after(() => stop?.());

/** Returns the brightness of the page, from 0 to 255. */
const brightness = (page) => page.evaluate(() => Number(getComputedStyle(document.body).backgroundColor.match(/\d+/)[0]));

/** Returns the smallest contrast between a visible text and its background. */
const leastContrast = (page) =>
  page.evaluate(() => {
    const parse = (color) => {
      const numbers = color.match(/[\d.]+/g).map(Number);
      return color.startsWith("color(srgb") ? [...numbers.slice(0, 3).map((part) => part * 255), numbers[3] ?? 1] : [...numbers.slice(0, 3), numbers[3] ?? 1];
    };
    const luminance = (color) => {
      const [red, green, blue] = color.slice(0, 3).map((part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const behind = (element) => {
      for (let at = element; at !== null; at = at.parentElement) {
        const color = parse(getComputedStyle(at).backgroundColor);
        if (color[3] > 0.9) return color;
      }
      return [255, 255, 255];
    };
    let least = [Infinity, ""];
    for (const element of document.querySelectorAll("body *")) {
      const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "");
      if (!hasText || element.matches("option, [aria-hidden] *, [aria-hidden]") || !element.checkVisibility()) continue;
      const [one, other] = [parse(getComputedStyle(element).color), behind(element)].map(luminance).sort((one, other) => other - one);
      const contrast = (one + 0.05) / (other + 0.05);
      if (contrast < least[0]) least = [contrast, `${element.className} ${element.textContent}`];
    }
    return least;
  });

test("the theme follows the system or the reader's choice, which is remembered", async () => {
  const { page, close } = await openPage(browser, server.url, { colorScheme: "dark" });
  const isDark = () => eventually(async () => assert.ok((await brightness(page)) < 60));
  const isLight = () => eventually(async () => assert.ok((await brightness(page)) > 200));
  await isDark();
  await page.emulateMedia({ colorScheme: "light" });
  await isLight();
  // Chooses light, then dark.
  await page.locator("#theme").click();
  await isLight();
  await page.locator("#theme").click();
  await isDark();
  await page.reload();
  await health(page, "live");
  await isDark();
  await close();
});

test("all text has enough contrast", async () => {
  for (const colorScheme of ["light", "dark"]) {
    const { page, close } = await openPage(browser, server.url, { colorScheme });
    await row(page, "varied::forgets").click();
    for (const tab of ["flame", "awaits", "tasks"]) {
      await page.locator(`#tab-${tab}`).click();
      await eventually(async () => {
        const [contrast, where] = await leastContrast(page);
        assert.ok(contrast >= 4.5, `${contrast} of ${where} (${colorScheme}, ${tab})`);
      });
    }
    await close();
  }
});

test("on a phone nothing is wider than the screen, and the details cover the rest", async () => {
  const { page, close } = await openPage(browser, server.url, { viewport: { width: 375, height: 740 }, hasTouch: true, isMobile: true });
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  const outside = () =>
    page.evaluate(() =>
      [...document.querySelectorAll(".bar *, .tools > *, .row > *, .detail > *")]
        .filter((element) => element.checkVisibility() && element.getBoundingClientRect().right > innerWidth + 1)
        .map((element) => element.outerHTML.slice(0, 80)),
    );
  for (const tab of ["flame", "awaits", "tasks"]) {
    await page.locator(`#tab-${tab}`).tap();
    await eventually(async () => {
      assert.equal(await overflow(), 0, tab);
      assert.deepEqual(await outside(), [], tab);
    });
  }
  // The list takes more than half of the screen.
  await eventually(async () => {
    const list = await page.locator("#list").boundingBox();
    assert.ok(list.height > 370, `${list.height}`);
  });
  await row(page, "varied::write").tap();
  const detail = page.locator("#detail");
  await eventually(async () => {
    assert.equal(await overflow(), 0);
    assert.deepEqual(await outside(), []);
    const box = await detail.boundingBox();
    assert.deepEqual([box.x, box.y, box.width, box.height], [0, 0, 375, 740]);
  });
  await detail.locator(".close").tap();
  await detail.waitFor({ state: "hidden" });
  await close();
});
