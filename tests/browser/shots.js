// Makes pictures of the page for visual checks: `node shots.js DIRECTORY`.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { health, openPage, row, startBrowser } from "./support/browser.js";
import { startServer } from "./support/server.js";

const directory = process.argv[2];
if (directory === undefined) throw new Error("where to?");
await mkdir(directory, { recursive: true });
const browser = await startBrowser();
const phone = { viewport: { width: 375, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
const wide = { viewport: { width: 1360, height: 850 } };

async function shot(name, server, options, prepare) {
  const { page, close } = await openPage(browser, server.url, options);
  await prepare?.(page);
  await page.screenshot({ path: join(directory, `${name}.png`) });
  await close();
}

const open = (text) => async (page) => {
  await row(page, text).click();
  await page.locator("#waits").waitFor();
};

const server = await startServer();
await shot("light", server, wide);
await shot("dark", server, { ...wide, colorScheme: "dark" });
await shot("tree", server, wide, open("varied::session"));
await shot("tree-dark", server, { ...wide, colorScheme: "dark" }, open("varied::fan_out"));
await shot("unfolded", server, { ...wide, hash: "#query=greet" }, (page) => row(page, "varied::greet").locator("[data-part=fold]").click());
await shot("deadlock", server, wide, open("varied::debit"));
await shot("flamegraph", server, { ...wide, hash: "#tab=flame" });
await shot("flamegraph-dark", server, { ...wide, colorScheme: "dark", hash: "#tab=flame&weight=waited" });
await shot("awaited-by", server, { ...wide, hash: "#tab=awaits" });
await shot("phone", server, phone);
await shot("phone-dark", server, { ...phone, colorScheme: "dark" });
await shot("phone-open", server, phone, open("varied::write"));
await shot("phone-flamegraph", server, { ...phone, hash: "#tab=flame" });
await shot("phone-awaited-by", server, { ...phone, hash: "#tab=awaits" });
await shot("help", server, wide, (page) => page.keyboard.press("?"));
await shot("paused", server, wide, async (page) => {
  await page.locator("#pause").click();
  await health(page, "paused");
});
await shot("gone", server, { ...wide, hash: "#rate=1000" }, async (page) => {
  await server.kill();
  await health(page, "gone");
});
const many = await startServer(100_000);
await shot("many", many, { ...wide, hash: "#capture=0" }, (page) => row(page, "many::connection").locator("[data-part=fold]").click());
await many.kill();
await browser.close();
