// Fetches the data from the program periodically, while the page is visible.

/** The longest time to wait for an answer, in milliseconds. */
const ANSWER_TIMEOUT = 20_000;

/** The directory of the page, which may be mounted at `/debug/tasks` or at `/debug/tasks/`. */
const BASE = location.pathname.replace(/\/*$/, "/");

class Feed {
  /** Calls `onData(doc)` with each answer, and `onHealth()` whenever `health` may have changed. */
  constructor(settings, { onData, onHealth }) {
    this.settings = settings;
    this.onData = onData;
    this.onHealth = onHealth;
    this.paused = false;
    this.error = null;
    /** The time of the last data, and the time of the first failed request after it. */
    this.received = null;
    this.failedSince = null;
    this.lastTook = 0;
    this.timer = 0;
    this.request = null;
    document.addEventListener("visibilitychange", () => {
      // A hidden page does not disturb the program.
      if (document.hidden) this.stop();
      else this.start();
    });
  }

  start() {
    this.stop();
    if (!this.paused && !document.hidden) this.ask();
  }

  stop() {
    clearTimeout(this.timer);
    this.request?.abort();
    this.request = null;
  }

  setPaused(paused) {
    this.paused = paused;
    if (paused) this.stop();
    else this.start();
    this.onHealth();
  }

  async ask() {
    const request = new AbortController();
    this.request = request;
    const timeout = setTimeout(() => request.abort(new Error("no answer in time")), ANSWER_TIMEOUT);
    const began = performance.now();
    try {
      const response = await fetch(`${BASE}view.json?capture=${this.settings.capture}`, {
        signal: request.signal,
        cache: "no-store",
        headers: { accept: "application/json" },
      });
      if (!response.ok) throw new Error(`it answered with status ${response.status}`);
      const doc = await response.json();
      if (doc.schema !== "tasktrace.view/1") throw new Error("the program has another version than this page: reload the page");
      if (this.request !== request) return;
      this.received = Date.now();
      this.error = null;
      this.failedSince = null;
      this.lastTook = performance.now() - began;
      this.onData(doc);
    } catch (error) {
      // The request was stopped.
      if (this.request !== request) return;
      this.error = error instanceof TypeError ? "it cannot be reached" : error.message;
      this.failedSince ??= Date.now();
    } finally {
      clearTimeout(timeout);
    }
    this.onHealth();
    // The pause is at least as long as the last answer took, so the program is busy for at most half of the time.
    const pause = Math.max(this.settings.rate, this.lastTook);
    this.timer = setTimeout(() => this.ask(), this.error === null ? pause : Math.max(1_000, Math.min(pause, 5_000)));
  }

  /** Returns the age of the data in milliseconds, or null if there is none. */
  age() {
    return this.received === null ? null : Date.now() - this.received;
  }

  /** Returns the state of the feed: live, paused, stale, gone, or waiting for the first answer. */
  health() {
    if (this.paused) return "paused";
    if (this.error !== null) return "gone";
    if (this.received === null) return "waiting";
    const due = Math.max(this.settings.rate, this.lastTook) + this.lastTook;
    return this.age() > due + 3_000 ? "stale" : "live";
  }
}
