// Shows the open group or task: first the lines where it waits, then its tree.

/** The number of lines of a tree, and of tasks of a group, that are shown at first. */
const FIRST_LINES = 300;
const FIRST_TASKS = 40;

class Detail {
  constructor(app) {
    this.app = app;
    this.element = byId("detail");
    this.wide = false;
    this.unfolded = false;
    this.element.addEventListener("click", (event) => {
      const target = event.target.closest("[data-task], [data-do]");
      if (!target) return;
      if (target.dataset.task) app.open(keyOf(target.dataset.task));
      else if (target.dataset.do === "close") app.close();
      else if (target.dataset.do === "copy") app.copy();
      else if (target.dataset.do === "more") {
        this.wide = true;
        this.update();
      } else if (target.dataset.do === "unfold") {
        this.unfolded = true;
        this.update();
      } else if (target.dataset.do === "list") app.find(target.dataset.query);
    });
  }

  update() {
    const { view, selected } = this.app;
    this.element.hidden = selected === null;
    document.body.classList.toggle("has-detail", selected !== null);
    if (selected === null || !view) return;
    const keep = this.shown === selected ? this.element.scrollTop : 0;
    if (this.shown !== selected) this.wide = this.unfolded = false;
    const found = this.find(view, selected);
    if (found === null) {
      // The last known state stays visible.
      if (this.shown === selected) {
        this.element.classList.add("is-over");
        const note = this.element.querySelector(".over");
        if (note) note.hidden = false;
        return;
      }
      patchChildren(this.element, [this.bar(typeof selected === "number" ? `task ${selected}` : "group"), el("p", { class: "over" }, "It no longer exists.")]);
      this.shown = selected;
      return;
    }
    this.shown = selected;
    this.element.classList.remove("is-over");
    const { group, task, inMemory } = found;
    const over = el("p", { class: "over", hidden: true }, task === null ? "No task waits here any more. This is the last data." : "The task has ended. This is the last data.");
    const [bar, ...rest] = inMemory ? [this.bar(memoryNoun(inMemory)), ...memoryDetail(view.memory, inMemory)] : task === null ? this.ofGroup(view, group) : this.ofTask(view, task);
    patchChildren(this.element, [bar, over, ...rest]);
    this.element.scrollTop = keep;
  }

  find(view, selected) {
    if (typeof selected === "number") {
      const task = view.task(selected);
      return task === undefined ? null : { group: view.group(task), task };
    }
    const inMemory = view.memory.byKey.get(selected);
    if (inMemory !== undefined) return { group: null, task: null, inMemory };
    const group = view.groups.find((group) => group.id === selected);
    if (group === undefined) return null;
    return { group, task: null };
  }

  bar(title) {
    return el(
      "div",
      { class: "detail-bar" },
      el("h2", {}, title),
      el("button", { type: "button", "data-do": "copy", title: "Copy as text (c)" }, "Copy"),
      el("button", { type: "button", "data-do": "close", class: "close", title: "Close (Esc)", "aria-label": "Close" }, "×"),
    );
  }

  ofTask(view, task) {
    const group = view.group(task);
    const id = view.id[task];
    const label = view.label(task);
    const urgency = view.urgency(task);
    const facts = [["State", [STATE_NAMES[group.state]]]];
    const thread = view.thread(task);
    if (thread !== null) facts[0][1].push(` on ${visible(thread)}`);
    if (!Number.isNaN(view.waited[task])) facts.push([group.state === "running" ? "Polling for" : "Waited", [duration(view.waited[task])]]);
    facts.push(["Age", [duration(view.age[task])]], ["Polls", [thousands(view.polls[task])]]);
    const [place, parent] = [view.spawnedAt(task), view.parent(task)];
    if (place !== null || parent !== null) {
      facts.push(["Spawned", [place === null ? "" : `at ${visible(place)} `, ...(parent === null ? [] : ["by ", this.link(view, parent)])]]);
    }
    const awaits = view.awaits(task);
    if (awaits.length > 0) facts.push(["Awaits", this.links(view, awaits)]);
    const awaitedBy = view.awaitedBy(id);
    if (awaitedBy.length > 0) facts.push(["Awaited by", this.links(view, awaitedBy.map((other) => view.id[other]))]);
    if (group.size > 1) facts.push(["At this place", [el("button", { type: "button", class: "link", "data-do": "list", "data-query": group.name }, `${plural(group.size - 1, "other task")}`)]]);
    return [
      this.bar(`Task ${id}`),
      this.title(group, label),
      this.complaint(view, urgency, id),
      ...this.waits(group, view.member(task)),
      ...(view.memory.byTaskId.has(id) ? heldWaits(view.memory, view.memory.byTaskId.get(id)) : []),
      this.facts(facts),
      ...this.tree(group, view.member(task)),
      this.source(group),
    ].filter(Boolean);
  }

  ofGroup(view, group) {
    const facts = [["State", [STATE_NAMES[group.state]]]];
    if (Number.isFinite(group.longest)) facts.push([group.state === "running" ? "Polling for" : "Waited", [span(group.shortest, group.longest)]]);
    facts.push(["Age", [span(group.youngest, group.oldest)]], ["Polls", [group.fewestPolls === group.mostPolls ? thousands(group.mostPolls) : `${thousands(group.fewestPolls)} to ${thousands(group.mostPolls)}`]]);
    if (!Array.isArray(group.tasks.spawned_at) && group.spawnedAt(0) !== null) facts.push(["Spawned", [`at ${visible(group.spawnedAt(0))}`]]);
    return [
      this.bar(plural(group.size, "task")),
      this.title(group, null),
      this.complaint(view, group.urgency, valueAt(group.tasks.id, 0)),
      ...this.waits(group, null),
      this.facts(facts),
      ...this.tree(group, null),
      this.source(group),
      ...this.members(view, group),
    ].filter(Boolean);
  }

  title(group, label) {
    return el("p", { class: "title" }, ...titleOf(group.name, label === null ? null : quote(label)));
  }

  complaint(view, urgency, id) {
    if (!(urgency in PROBLEMS)) return null;
    const [name, meaning] = PROBLEMS[urgency];
    const cycle = urgency === "in_cycle" ? view.cycle(id) : undefined;
    return el("p", { class: "complaint" }, el("b", {}, name), " ", meaning, cycle ? el("span", { class: "cycle" }, ...this.cycle(view, cycle)) : null);
  }

  cycle(view, cycle) {
    const most = 8;
    const nodes = cycle.slice(0, most).flatMap((id) => [this.link(view, id), " → "]);
    if (cycle.length > most) nodes.push(`${cycle.length - most} more → `);
    return [...nodes, this.link(view, cycle[0])];
  }

  /** Returns the list of lines where the tasks wait. */
  waits(group, member) {
    const waits = group.waits();
    if (waits.length === 0) return [];
    // Waits at the same place are one line.
    const lines = new Map();
    for (const { frame, operation, function_, count } of waits) {
      const key = JSON.stringify([operation, placeOf(frame), frame.wait, function_?.name, function_ && placeOf(function_)]);
      const line = lines.get(key);
      if (line) line.count += count;
      else lines.set(key, { frame, operation, function_, count });
    }
    const most = 12;
    const items = [...lines.values()].slice(0, most).map(({ frame, operation, function_, count }) => {
      const isWrong = frame.wait === "not_polled" || frame.wait === "no_waker";
      const item = el("li", { class: isWrong ? "alarm" : null }, el("span", { class: "wait-what" }, visible(operation) || "(unknown function)"));
      const label = group.frameLabel(frame, member ?? 0);
      if (label !== null && count === 1) item.append(" ", el("span", { class: "label" }, quote(label)));
      if (count > 1) item.append(" ", el("span", { class: "more" }, `×${thousands(count)}`));
      const where = function_ ?? frame;
      const place = el("span", { class: "wait-where" });
      if (function_ !== null) place.append("in ", visible(splitPath(function_.name)[1]), " ");
      const at = placeOf(where);
      if (at !== "") place.append(el("b", {}, visible(atPlace(where, at))));
      item.append(place);
      const remark = remarkOf(group, frame, member);
      if (remark !== "") item.append(el("span", { class: "remark" }, remark));
      return item;
    });
    if (lines.size > most) items.push(el("li", { class: "dim" }, `and ${plural(lines.size - most, "other place")}`));
    const isRunning = waits.every(({ frame }) => frame.wait === "running");
    return [el("h3", {}, isRunning ? "Busy in" : "Waits for"), el("ul", { class: "waits", id: "waits" }, ...items)];
  }

  facts(facts) {
    return el("dl", { class: "facts" }, ...facts.map(([name, nodes]) => el("div", { class: name === "Spawned" ? "wide" : null }, el("dt", {}, name), el("dd", {}, ...nodes))));
  }

  tree(group, member) {
    if (group.frames.length === 0) return [];
    const most = this.wide ? 20_000 : FIRST_LINES;
    const all = treeLines(group, most + 1, this.unfolded);
    const lines = all.slice(0, most).map((line) => {
      const { frame, depth, guides, isLast, all } = line;
      const lead = depth === 0 ? "╼ " : ` ${guides}${isLast ? "└╼ " : "├╼ "}`;
      const isWrong = frame.wait === "not_polled" || frame.wait === "no_waker";
      const kind = isWrong ? "alarm" : frame.wait !== null ? "leaf" : null;
      const item = el("li", { class: kind }, el("span", { class: "lead", "aria-hidden": "true" }, lead), pathOf(frame.name));
      const count = Math.max(1, frame.count) * all.length;
      if (count > 1) item.append(" ", el("span", { class: "more" }, `×${thousands(count)}`));
      const labels = labelsOf(group, line, member);
      if (labels !== "") item.append(" ", el("span", { class: "label" }, labels));
      const place = placeOf(frame);
      if (place !== "") item.append(" ", el("span", { class: "place" }, visible(frame.lineIs in LINE_WORDS ? atPlace(frame, place) : place)));
      const age = all.length > 1 ? "" : ageOf(group, frame, member);
      if (age !== "") item.append(" ", el("span", { class: "frame-age" }, age));
      const remark = remarkOf(group, frame, member);
      if (remark !== "") item.append(" ", el("span", { class: "remark" }, remark));
      const hidden = hiddenText(line.hidden);
      if (hidden !== "") item.append(" ", el("button", { type: "button", class: "link", "data-do": "unfold", title: "Show all frames of libraries" }, hidden));
      return item;
    });
    const nodes = [el("h3", {}, "Tree"), el("ol", { class: "tree", id: "tree" }, ...lines)];
    if (all.length > most) nodes.push(el("button", { type: "button", "data-do": "more" }, "Show the rest of the tree"));
    for (const note of group.notes) nodes.push(el("p", { class: "note" }, note));
    return nodes;
  }

  /** Describes the source of the tree, if the tree is not a full capture. */
  source({ source, state }) {
    if (source.kind === "snapshot") {
      const why = source.error ? `Only a snapshot: ${visible(source.error.message)}` : "A snapshot: no task was polled, so only tasks and traced functions are shown.";
      return el("p", { class: "note" }, why);
    }
    if (source.kind === "sample") return el("p", { class: "note" }, "The task was in a poll, so its thread was interrupted to read its stack.");
    return null;
  }

  members(view, group) {
    if (group.size === 1) return [];
    const most = this.wide ? 2_000 : FIRST_TASKS;
    const rows = [];
    for (let member = 0; member < Math.min(group.size, most); member++) {
      const task = group.first + member;
      const label = group.label(member);
      rows.push(
        el(
          "li",
          {},
          el("button", { type: "button", class: "link number", "data-task": view.id[task] }, `#${view.id[task]}`),
          el("span", { class: "label" }, label === null ? "" : cut(quote(label))),
          el("span", { class: "number" }, duration(view.waited[task])),
        ),
      );
    }
    const more = group.size - rows.length;
    return [
      el("h3", {}, "Tasks, the longest first"),
      el("ul", { class: "members" }, ...rows),
      more > 0 ? el("p", { class: "note" }, `and ${thousands(more)} more `, el("button", { type: "button", class: "link", "data-do": "list", "data-query": group.name }, "in the list")) : null,
    ].filter(Boolean);
  }

  link(view, id) {
    const task = view.task(id);
    const title = task === undefined ? "The task is not in this dump" : visible(view.group(task).name);
    return el("button", { type: "button", class: "link", "data-task": id, title }, `task ${id}`);
  }

  links(view, ids) {
    const most = 10;
    const nodes = ids.slice(0, most).flatMap((id, at) => [at > 0 ? ", " : "", this.link(view, id), this.nameOf(view, id)]);
    if (ids.length > most) nodes.push(` and ${thousands(ids.length - most)} more`);
    return nodes;
  }

  nameOf(view, id) {
    const task = view.task(id);
    return task === undefined ? " (not in this dump)" : el("span", { class: "dim" }, ` ${visible(splitPath(view.group(task).name)[1])}`);
  }
}
