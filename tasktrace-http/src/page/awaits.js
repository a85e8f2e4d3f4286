// Shows which tasks await which: each task is below the tasks that await it by their handles.

class AwaitsView {
  constructor(app) {
    this.app = app;
    this.folded = new Set();
    this.rows = new Rows(byId("forest"), { open: (at, part) => this.open(at, part) });
  }

  update() {
    const { view } = this.app;
    if (!view) return;
    this.lines = this.linesOf(view);
    const places = new Map();
    // A task may be in several lines.
    this.lines.forEach((line, at) => {
      if (!places.has(line.key)) places.set(line.key, at);
    });
    this.rows.show({
      count: this.lines.length,
      height: () => 34,
      key: (at) => this.lines[at].key,
      indexOf: (key) => places.get(key) ?? -1,
      draw: (at) => this.draw(this.lines[at]),
    });
    const empty = byId("forest-empty");
    empty.hidden = this.lines.length > 0;
    empty.textContent =
      view.doc.roots.length > 0
        ? "No task matches."
        : "No task awaits another task by its handle. (Only handles of tasktrace::spawn and tasktrace's JoinSet are known.)";
  }

  /** Returns the lines of the roots whose trees contain a matching task. */
  linesOf(view) {
    const { found } = this.app;
    const all = found.length === view.groups.length && found.every(([, members]) => members === null);
    const matches = new Set();
    if (!all) {
      for (const [group, members] of found) {
        if (members === null) for (let task = group.first; task < group.first + group.size; task++) matches.add(view.id[task]);
        else for (const member of members) matches.add(view.id[group.first + member]);
      }
    }
    const inCycle = new Set(view.doc.cycles.flat());
    const roots = [...view.doc.roots].sort((one, other) => inCycle.has(other) - inCycle.has(one) || one - other);
    const lines = [];
    const shown = new Set();
    for (const root of roots) {
      const from = lines.length;
      this.extend(view, root, shown, lines);
      if (!all && !lines.slice(from).some((line) => matches.has(line.id))) lines.length = from;
    }
    for (const line of lines) {
      line.isMatch = all || matches.has(line.id);
      line.isInCycle = inCycle.has(line.id);
    }
    return lines;
  }

  extend(view, root, shown, lines) {
    const pending = [{ id: root, depth: 0, above: null }];
    while (pending.length > 0) {
      const { id, depth, above } = pending.pop();
      const task = view.task(id);
      const isAgain = shown.has(id);
      let closes = false;
      if (isAgain) for (let line = above; line !== null && !closes; line = line.above) closes = line.id === id;
      const line = { id, task, depth, above, isAgain, closes, key: isAgain ? `${id} in ${above?.id}` : id, children: 0, isFolded: false };
      lines.push(line);
      if (isAgain || task === undefined) continue;
      shown.add(id);
      const awaited = view.awaits(task);
      line.children = awaited.length;
      line.isFolded = this.folded.has(id);
      if (line.isFolded) continue;
      for (let at = awaited.length - 1; at >= 0; at--) pending.push({ id: awaited[at], depth: depth + 1, above: line });
    }
  }

  draw(line) {
    const { view, selected } = this.app;
    const { id, task } = line;
    const indent = el("span", { class: "indent" });
    indent.style.width = `${Math.min(line.depth, narrow.matches ? 6 : 16) * 18}px`;
    const nodes = [indent];
    nodes.push(el("span", { class: "fold", "data-part": "fold", "aria-hidden": "true" }, line.children > 0 ? (line.isFolded ? "▸" : "▾") : ""));
    if (line.depth > 0) nodes.push(el("span", { class: "dim" }, line.depth > 16 ? `awaits (depth ${line.depth})` : "awaits"));
    nodes.push(el("span", { class: "number count" }, `#${id}`));
    if (task === undefined) nodes.push(el("span", { class: "dim" }, "not in this dump"));
    else {
      const group = view.group(task);
      const label = view.label(task);
      nodes.push(el("span", { class: "name" }, ...titleOf(group.name, label === null ? null : cut(quote(label)))));
      if (line.closes) nodes.push(el("span", { class: "wrong-state" }, "↻ deadlock: shown above"));
      else if (line.isAgain) nodes.push(el("span", { class: "dim" }, "shown above"));
      else {
        if (line.isInCycle) nodes.push(el("span", { class: "wrong-state" }, "deadlock"));
        const wait = group.waits()[0];
        if (wait && line.children === 0) nodes.push(el("span", { class: "resource waiting-short" }, shortOperation(wait.operation)));
        nodes.push(el("span", { class: `state state-${group.state}` }, STATE_NAMES[group.state]), el("span", { class: "number waited" }, duration(view.waited[task])));
      }
    }
    return {
      attributes: {
        class: `edge ${line.isInCycle ? "is-wrong" : ""} ${line.isMatch ? "" : "is-no-match"}`,
        "aria-level": line.depth + 1,
        "aria-selected": String(selected === id),
        "aria-expanded": line.children > 0 ? String(!line.isFolded) : null,
      },
      nodes,
    };
  }

  open(at, part) {
    if (part === "fold" && this.lines[at].children > 0) this.toggle(at);
    else if (this.lines[at].task !== undefined) this.app.open(this.lines[at].id);
  }

  toggle(at, to) {
    const line = this.lines[at];
    if (line === undefined) return;
    if (line.children === 0 || to === !line.isFolded) {
      // The key moves to the task that awaits this one.
      if (to === false && line.above) this.rows.moveTo(this.lines.indexOf(line.above));
      return;
    }
    if (line.isFolded) this.folded.delete(line.id);
    else this.folded.add(line.id);
    this.update();
  }
}
