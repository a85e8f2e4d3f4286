// Tests that browsers, which refuse some ports, open the port in the documentation.

import { test } from "node:test";
import { openPage, startBrowser } from "./support/browser.js";
import { startServer } from "./support/server.js";

test("a browser opens the default port", async (t) => {
  const server = await startServer("varied", "default-port");
  try {
    if (server.url === "taken") {
      t.skip("another program listens at the default port");
      return;
    }
    const browser = await startBrowser();
    try {
      const { close } = await openPage(browser, server.url);
      await close();
    } finally {
      await browser.close();
    }
  } finally {
    await server.kill();
  }
});
