// Starts the browser and the program together.

import { startBrowser } from "./browser.js";
import { startServer } from "./server.js";

/** Starts both, and stops one if the other does not start, because the tests would never end otherwise. */
export async function startBoth(kind) {
  const [browser, server] = await Promise.allSettled([startBrowser(), startServer(kind)]);
  const stop = () => Promise.all([browser.value?.close(), server.value?.kill()]);
  const failed = [browser, server].find(({ status }) => status === "rejected");
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  return { browser: browser.value, server: server.value, stop };
}
