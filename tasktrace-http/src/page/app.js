// Connects the parts of the page.

const TABS = ["tasks", "flame", "awaits"];

class App {
  constructor() {
    this.settings = loadSettings();
    this.selected = loadSelected();
    this.view = null;
    this.found = [];
    this.list = new TaskList(this);
    this.flame = new FlameView(this);
    this.awaits = new AwaitsView(this);
    this.detail = new Detail(this);
    this.feed = new Feed(this.settings, { onData: (doc) => this.receive(doc), onHealth: () => this.showHealth() });
    this.connect();
    this.showSettings();
    this.feed.start();
    setInterval(() => this.showHealth(), 1_000);
  }

  connect() {
    const on = (id, event, then) => byId(id).addEventListener(event, then);
    on("pause", "click", () => this.togglePause());
    on("rate", "change", (event) => this.set({ rate: Number(event.target.value) }));
    on("capture", "change", (event) => this.set({ capture: Number(event.target.value) }));
    on("copy", "click", () => this.copy());
    on("save-view", "click", () => this.saveView());
    on("theme", "click", () => this.nextTheme());
    on("help-open", "click", () => byId("help").showModal());
    on("sort", "change", (event) => this.set({ sort: event.target.value }));
    on("reverse", "click", () => this.set({ reversed: !this.settings.reversed }));
    on("grouped", "click", () => this.set({ grouped: !this.settings.grouped }));
    on("weight", "change", (event) => this.set({ weight: event.target.value }));
    on("search", "input", (event) => this.set({ query: event.target.value }));
    for (const tab of TABS) on(`tab-${tab}`, "click", () => this.setTab(tab));
    on("states", "click", (event) => {
      const chip = event.target.closest("[data-state]");
      if (chip) this.set({ state: this.settings.state === chip.dataset.state ? "all" : chip.dataset.state });
    });
    for (const id of ["wrong", "memory"]) {
      on(id, "click", (event) => {
        const item = event.target.closest("[data-open]");
        if (item) this.open(keyOf(item.dataset.open));
      });
    }
    // The menu closes after a click elsewhere.
    document.addEventListener("click", (event) => {
      if (!byId("save").contains(event.target) || event.target.closest(".menu-items")) byId("save").open = false;
    });
    listenToKeys(this);
  }

  // The data.

  receive(doc) {
    const before = this.view;
    this.view = new View(doc, Date.now());
    this.restarted = before !== null && before.process.pid !== this.view.process.pid;
    if (this.restarted) this.toast(`The program was restarted: process ${this.view.process.pid}.`);
    this.update();
  }

  /** Shows the data again, with the current selection. */
  update() {
    if (!this.view) return;
    this.found = filter(this.view, this.settings);
    let shown = 0;
    for (const pair of this.found) shown += sizeOf(pair);
    const all = shown === this.view.total;
    byId("shown").textContent = all
      ? `${plural(shown, "task")} in ${plural(this.found.length, "group")}`
      : `${thousands(shown)} of ${plural(this.view.total, "task")}`;
    this.current().update();
    this.detail.update();
    this.showStates();
    this.showProblems();
    const { name, pid } = this.view.process;
    const { untraced, untraced_text: note } = this.view.doc;
    byId("program").textContent = `${visible(name)} · ${pid}${untraced > 0 ? ` · ${plural(untraced, "task")} not traced` : ""}`;
    byId("untraced").textContent = note ?? "";
    byId("untraced").hidden = !note;
    this.showEnded(this.view.doc.ended ?? []);
    showMemory(this.view.memory);
    document.title = `${visible(name)} – tasktrace`;
    for (const link of document.querySelectorAll("[data-file]")) {
      link.href = `${BASE}${link.dataset.file}?capture=${this.settings.capture}`;
      link.download = `${name.replace(/[^\w.-]+/g, "-")}-${pid}.${link.dataset.file}`;
    }
  }

  /** Shows the last tasks that panicked or were dropped before they ended. */
  showEnded(lines) {
    const details = byId("ended");
    details.hidden = lines.length === 0;
    details.querySelector("summary").textContent = `${plural(lines.length, "task")} ended by panic or cancellation`;
    details.querySelector("ul").replaceChildren(...lines.map((line) => el("li", {}, visible(line))));
  }

  /** Shows the current settings. */
  showSettings() {
    const { settings } = this;
    for (const tab of TABS) {
      const isOpen = settings.tab === tab;
      byId(`panel-${tab}`).hidden = !isOpen;
      byId(`tab-${tab}`).setAttribute("aria-selected", String(isOpen));
      byId(`tab-${tab}`).tabIndex = isOpen ? 0 : -1;
    }
    document.body.dataset.tab = settings.tab;
    for (const id of ["rate", "capture", "sort", "weight"]) byId(id).value = String(settings[id]);
    if (byId("search").value !== settings.query) byId("search").value = settings.query;
    byId("reverse").setAttribute("aria-pressed", String(settings.reversed));
    byId("reverse").textContent = settings.reversed ? "↑" : "↓";
    byId("grouped").setAttribute("aria-pressed", String(settings.grouped));
    applyTheme(settings.theme);
    saveSettings(settings, this.selected);
    this.update();
    this.showHealth();
  }

  set(changes) {
    Object.assign(this.settings, changes);
    this.showSettings();
    if ("capture" in changes || "rate" in changes) this.feed.start();
  }

  // The views and the selection.

  current() {
    return { tasks: this.list, flame: this.flame, awaits: this.awaits }[this.settings.tab];
  }

  rows() {
    return this.current().rows ?? null;
  }

  focusView() {
    byId({ tasks: "list", flame: "flame", awaits: "forest" }[this.settings.tab]).focus({ preventScroll: true });
  }

  setTab(tab) {
    const wasTab = document.activeElement?.matches("[role=tab]");
    this.set({ tab });
    if (wasTab) byId(`tab-${tab}`).focus();
    else this.focusView();
  }

  nextTab(by) {
    this.setTab(TABS[(TABS.indexOf(this.settings.tab) + by + TABS.length) % TABS.length]);
  }

  open(selected) {
    this.selected = selected;
    saveSettings(this.settings, selected);
    this.detail.update();
    this.current().update();
    // On a narrow screen, the detail covers the list, so it takes the focus.
    if (narrow.matches) byId("detail").focus();
  }

  close() {
    this.selected = null;
    saveSettings(this.settings, null);
    this.detail.update();
    this.current().update();
    this.focusView();
  }

  /** Shows the tasks that contain a function. */
  find(name) {
    this.set({ tab: "tasks", query: name, state: "all" });
    if (narrow.matches && this.selected !== null) this.close();
    this.focusView();
  }

  escape(isTyping) {
    if (byId("save").open) byId("save").open = false;
    else if (isTyping && this.settings.query !== "" && document.activeElement === byId("search")) this.set({ query: "" });
    else if (isTyping) this.focusView();
    else if (this.selected !== null) this.close();
    else if (this.settings.tab === "flame" && this.flame.zoomOut()) return;
    else if (this.settings.query !== "" || this.settings.state !== "all") this.set({ query: "", state: "all" });
  }

  nextWrong() {
    const wrong = this.view?.groups.filter((group) => group.urgency in PROBLEMS) ?? [];
    if (wrong.length === 0) return this.toast("Nothing looks wrong.");
    const shown = this.detail.find(this.view, this.selected)?.group;
    const next = wrong[(wrong.indexOf(shown) + 1) % wrong.length];
    this.open(next.size === 1 ? valueAt(next.tasks.id, 0) : next.id);
  }

  // The summaries and the status.

  showStates() {
    const counts = this.view.counts();
    const names = { all: "all", wrong: "looks wrong", ...STATE_NAMES };
    const chips = Object.entries(names)
      .filter(([state]) => counts[state] > 0 || state === "all" || state === this.settings.state)
      .map(([state, name]) =>
        el(
          "button",
          { type: "button", class: `chip ${state === "wrong" ? "chip-wrong" : ""}`, "data-state": state, "aria-pressed": String(this.settings.state === state) },
          name,
          el("span", { class: "chip-count" }, thousands(counts[state])),
        ),
      );
    patchChildren(byId("states"), chips);
  }

  showProblems() {
    const { view } = this;
    const most = 4;
    const items = [];
    for (const cycle of view.doc.cycles.slice(0, most)) {
      const named = cycle.slice(0, 6).map((id) => `task ${id}`);
      if (cycle.length > 6) named.push("…");
      items.push([cycle[0], "deadlock", [...named, `task ${cycle[0]}`].join(" → ")]);
    }
    const deadlocks = view.memory.doc?.deadlocks ?? [];
    for (const { text, tasks } of deadlocks.slice(0, most)) {
      const first = view.memory.byKey.get(IN_MEMORY + tasks[0]);
      items.push([first === undefined ? "" : view.memory.key(first), "likely deadlock", visible(text)]);
    }
    const groups = view.groups.filter((group) => group.urgency in PROBLEMS && group.urgency !== "in_cycle");
    for (const group of groups.slice(0, most)) {
      const wait = group.waits()[0];
      const name = splitPath(visible(group.name))[1];
      const in_ = wait ? ` in ${shortOperation(wait.operation)}` : "";
      const text = group.urgency === "blocking" ? `${name}${in_}` : name;
      const count = group.problemCount > 1 ? `${thousands(group.problemCount)} × ` : "";
      items.push([group.size === 1 ? valueAt(group.tasks.id, 0) : group.id, PROBLEMS[group.urgency][0], `${count}${text}, ${duration(group.longest)}`]);
    }
    const left = view.doc.cycles_total + deadlocks.length + groups.length - items.length;
    const nodes = items.map(([open, what, text]) =>
      el("li", {}, el("button", { type: "button", "data-open": open }, el("b", {}, what), " ", el("span", {}, text))),
    );
    if (left > 0) nodes.push(el("li", { class: "more" }, `and ${thousands(left)} more`));
    const missing = {
      debug_info: "Built without debug information, so inlined functions and lines are missing: set debug = \"line-tables-only\" in the profile.",
      symbols: "Built without symbols, so only traced functions have names: set debug = \"line-tables-only\" and strip = \"none\" in the profile.",
      program_file: "Names and lines are missing, because the program's file could not be opened, or was removed or replaced since the program was started.",
    }[view.doc.missing];
    if (missing) nodes.push(el("li", { class: "remark" }, missing));
    byId("wrong").hidden = nodes.length === 0;
    patchChildren(byId("wrong"), nodes);
  }

  /** Shows the state and the age of the data. */
  showHealth() {
    const { feed } = this;
    const health = feed.health();
    const age = feed.age();
    const old = age === null ? "" : `${Math.floor(age / 1000)} s`;
    const at = feed.received === null ? "" : clock(new Date(feed.received));
    document.body.dataset.health = health;
    byId("pause").textContent = feed.paused ? "Resume" : "Pause";
    byId("pause").setAttribute("aria-pressed", String(feed.paused));
    byId("status-text").textContent = {
      waiting: "waiting for the first answer…",
      live: `live · ${at}`,
      paused: feed.received === null ? "paused" : `paused · data of ${at}, ${old} old`,
      stale: `stale · ${old} old`,
      gone: feed.received === null ? "no answer" : `no answer · data is ${old} old`,
    }[health];
    const banner = byId("banner");
    const text = {
      stale: "The program is slow to answer.",
      gone:
        feed.received === null
          ? `The program does not answer: ${feed.error}. Trying again…`
          : `The program does not answer any more: ${feed.error}. Trying again…`,
    }[health];
    banner.hidden = text === undefined;
    banner.dataset.kind = health;
    if (text === undefined) return;
    // The age changes each second, so it is hidden from screen readers.
    const when = feed.received === null ? "" : ` This is how it was at ${at}, ${old} ago.`;
    patchChildren(banner, [el("span", {}, text), el("span", { "aria-hidden": "true" }, when)]);
  }

  toast(text) {
    const toast = byId("toast");
    toast.textContent = text;
    toast.hidden = false;
    clearTimeout(this.toasted);
    this.toasted = setTimeout(() => (toast.hidden = true), 4_000);
  }

  // The actions.

  togglePause() {
    this.feed.setPaused(!this.feed.paused);
  }

  nextTheme() {
    const themes = ["auto", "light", "dark"];
    this.set({ theme: themes[(themes.indexOf(this.settings.theme) + 1) % themes.length] });
  }

  /** Returns the open task or group as text, or all tasks that match. */
  text() {
    const { view } = this;
    const open = this.selected === null ? null : this.detail.find(view, this.selected);
    if (open?.inMemory) return memoryText(open.inMemory);
    if (open !== null) return open.task === null ? groupText(view, open.group, null) : taskText(view, open.task);
    const head = `${visible(view.process.name)}, process ${view.process.pid}, ${new Date(view.doc.taken_ms).toISOString()}: ${byId("shown").textContent}`;
    return [head, ...this.found.map(([group, members]) => groupText(view, group, members))].join("\n\n");
  }

  async copy() {
    if (!this.view) return;
    const text = `${this.text()}\n`;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // The clipboard requires a page from this machine or over HTTPS.
      const area = el("textarea", { class: "off-screen", "aria-hidden": "true" });
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      this.focusView();
      if (!done) return this.toast("The browser does not let the page copy.");
    }
    this.toast(`Copied ${plural(text.split("\n").length - 1, "line")}.`);
  }

  /** Saves the data of the page, which works even if the program has ended. */
  saveView() {
    if (!this.view) return;
    const { name, pid } = this.view.process;
    const blob = new Blob([JSON.stringify(this.view.doc)], { type: "application/json" });
    const url = URL.createObjectURL(blob);
    el("a", { href: url, download: `${name.replace(/[^\w.-]+/g, "-")}-${pid}.view.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
}

new App();
