// Starts the program that the page shows.

import { spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { createInterface } from "node:readline";

const PROGRAM = process.env.PAGE_SERVER ?? new URL("../../../target/release/page_server", import.meta.url).pathname;

/** Starts the program with tasks of one kind, or with a number of tasks, and waits until they exist. */
export async function startServer(kind = "varied", ...more) {
  const child = spawn(PROGRAM, [String(kind), ...more], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  const [url] = await Promise.race([
    once(lines, "line"),
    once(child, "error").then(([error]) => Promise.reject(error)),
    once(child, "exit").then(([code]) => Promise.reject(new Error(`it ended with ${code}`))),
  ]);
  return {
    url,
    pid: child.pid,
    /** Lets one task end, and another begin. */
    next: () => child.stdin.write("next\n"),
    /** Kills the program, as a crash would. */
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const over = once(child, "exit");
      child.kill("SIGKILL");
      await over;
    },
  };
}

/**
 * Starts a proxy that mounts the program below a path and can delay it: after `hold()`, no answer about tasks
 * passes until `release()`.
 */
export async function mount(url, prefix) {
  let held = null;
  let waiting = [];
  const server = http.createServer(async (request, response) => {
    const { pathname, search } = new URL(request.url, "http://localhost");
    if (pathname !== prefix && !pathname.startsWith(`${prefix}/`)) {
      response.writeHead(404).end();
      return;
    }
    if (held && pathname.endsWith("view.json")) await new Promise((release) => waiting.push(release));
    const target = new URL((pathname.slice(prefix.length) || "/") + search, url);
    const { accept } = request.headers;
    const passed = http.get(target, { headers: { accept, host: target.host } }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", () => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}${prefix}`,
    hold() {
      held = true;
    },
    release() {
      held = null;
      for (const release of waiting) release();
      waiting = [];
    },
    async stop() {
      this.release();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
