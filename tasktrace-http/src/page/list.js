// Shows the list of tasks: groups that unfold, or each task in its own row.

/** Matches on narrow screens, where rows have two lines. */
const narrow = matchMedia("(max-width: 760px)");

class TaskList {
  constructor(app) {
    this.app = app;
    this.unfolded = new Set();
    this.rows = new Rows(byId("list"), { open: (at, part) => this.open(at, part) });
    narrow.addEventListener("change", () => this.update());
  }

  update() {
    const { view, settings, found } = this.app;
    if (!view) return;
    // An entry is the position of a task, or the bitwise complement of the position of a group.
    let entries;
    if (settings.grouped) {
      const shown = [];
      for (const pair of sortGroups(found, settings)) {
        const [group, members] = pair;
        shown.push(~group.at);
        if (sizeOf(pair) > 1 && this.unfolded.has(group.id)) {
          for (const task of sortTasks(view, [[group, members]], settings)) shown.push(task);
        }
      }
      entries = Int32Array.from(shown);
    } else {
      entries = Int32Array.from(sortTasks(view, found, settings));
    }
    this.membersOf = new Map(found);
    this.entries = entries;
    const places = new Map();
    for (let at = 0; at < entries.length; at++) places.set(this.keyOf(entries[at]), at);
    const [two, one] = narrow.matches ? [64, 48] : [48, settings.grouped ? 30 : 48];
    this.rows.show({
      count: entries.length,
      height: (at) => (entries[at] < 0 ? two : one),
      key: (at) => this.keyOf(entries[at]),
      indexOf: (key) => places.get(key) ?? -1,
      draw: (at) => this.draw(entries[at]),
    });
    const isEmpty = entries.length === 0;
    byId("empty").hidden = !isEmpty;
    byId("empty").textContent =
      view.total === 0 ? "There are no traced tasks." : "No task matches.";
  }

  /** Returns the key of an entry, which stays the same in later views. */
  keyOf(entry) {
    const { view } = this.app;
    return entry < 0 ? view.groups[~entry].id : view.id[entry];
  }

  draw(entry) {
    return entry < 0 ? this.drawGroup(this.app.view.groups[~entry]) : this.drawTask(entry);
  }

  drawGroup(group) {
    const { view, selected } = this.app;
    const members = this.membersOf.get(group) ?? null;
    const count = members === null ? group.size : members.length;
    const only = count === 1 ? (members?.[0] ?? 0) : null;
    const isUnfolded = this.unfolded.has(group.id);
    const task = only === null ? null : group.first + only;
    const label = group.label(only ?? 0);
    const others = label !== null && only === null && Array.isArray(group.tasks.label) ? el("span", { class: "dim" }, " and others") : null;
    const name = el("span", { class: "name" }, ...titleOf(group.name, label === null ? null : cut(quote(label)), others));
    const isSelected = selected !== null && (selected === group.id || (task !== null && selected === view.id[task]));
    return {
      attributes: {
        class: `group ${group.urgency in PROBLEMS ? "is-wrong" : ""}`,
        "aria-level": 1,
        "aria-selected": String(isSelected),
        "aria-expanded": only === null ? String(isUnfolded) : null,
      },
      nodes: [
        only === null
          ? el("span", { class: "fold", "data-part": "fold", "aria-hidden": "true" }, isUnfolded ? "▾" : "▸")
          : el("span", { class: "fold" }),
        el("span", { class: "number count", title: only === null ? plural(count, "task") : null }, only === null ? thousands(count) : `#${view.id[task]}`),
        el("span", { class: "what" }, name, this.waiting(group, only)),
        this.state(group.state, task === null ? group.urgency : view.urgency(task)),
        el("span", { class: "number waited" }, only === null ? short(group.shortest, group.longest) : duration(view.waited[task])),
        el("span", { class: "number age" }, only === null ? short(group.youngest, group.oldest) : duration(view.age[task])),
        el("span", { class: "number polls" }, only === null ? range(group.fewestPolls, group.mostPolls) : thousands(view.polls[task])),
      ],
    };
  }

  drawTask(task) {
    const { view, settings, selected } = this.app;
    const group = view.group(task);
    const label = view.label(task);
    const spawnedAt = view.spawnedAt(task);
    const place = spawnedAt !== null && hasPlace(group.name, spawnedAt) ? null : spawnedAt;
    const what = el("span", { class: "what" });
    if (settings.grouped) {
      const labelled = label === null ? el("span", { class: "dim" }, visible(splitPath(group.name)[1])) : el("span", { class: "label" }, cut(quote(label)));
      what.append(el("span", { class: "name" }, labelled, place === null ? null : " ", place === null ? null : el("span", { class: "dim", title: visible(place) }, "spawned at ", visible(shortPlace(place)))));
    } else {
      const name = el("span", { class: "name" }, ...titleOf(group.name, label === null ? null : cut(quote(label))));
      what.append(name, this.waiting(group, view.member(task)));
    }
    const urgency = view.urgency(task);
    return {
      attributes: {
        class: `task ${settings.grouped ? "member" : ""} ${urgency in PROBLEMS ? "is-wrong" : ""}`,
        "aria-level": settings.grouped ? 2 : 1,
        "aria-selected": String(selected === view.id[task]),
      },
      nodes: [
        el("span", { class: "fold" }),
        el("span", { class: "number count" }, `#${view.id[task]}`),
        what,
        this.state(group.state, urgency),
        el("span", { class: "number waited" }, duration(view.waited[task])),
        el("span", { class: "number age" }, duration(view.age[task])),
        el("span", { class: "number polls" }, thousands(view.polls[task])),
      ],
    };
  }

  /** Returns the line that shows where the tasks wait. */
  waiting(group, member) {
    const waits = group.waits();
    const line = el("span", { class: "waiting" });
    if (waits.length === 0) {
      line.append(el("span", { class: "dim" }, group.state === "never_polled" ? "never polled" : "no frames are known"));
      return line;
    }
    const { frame, operation, function_, count } = waits[0];
    const isHeld = frame.wait === "not_polled" || frame.wait === "no_waker";
    const what = operationOf(operation);
    what.classList.add(isHeld ? "alarm" : "resource");
    line.append(what);
    // The label distinguishes several resources, such as awaited tasks.
    const label = member === null || count > 1 ? null : group.frameLabel(frame, member);
    if (label !== null && label !== group.label(member)) line.append(" ", el("span", { class: "label" }, cut(quote(label))));
    if (frame.wait === "not_polled") line.append(" ", el("span", { class: "alarm" }, "held, but not polled"));
    if (frame.wait === "no_waker") line.append(" ", el("span", { class: "alarm" }, "no waker"));
    const at = placeOf(function_ ?? frame);
    const atShort = atPlace(function_ ?? frame, shortPlace(at));
    const where = function_ === null ? "" : `in ${splitPath(visible(function_.name))[1]} `;
    if (at !== "") line.append(" ", el("span", { class: "dim where", title: visible(at) }, `${where}${visible(atShort)}`));
    let more = -waits[0].count;
    for (const wait of waits) more += wait.count;
    if (more > 0) line.append(" ", el("span", { class: "more" }, `+${thousands(more)}`));
    return line;
  }

  state(state, urgency) {
    if (urgency in PROBLEMS) {
      const [name, meaning] = PROBLEMS[urgency];
      return el("span", { class: "state wrong-state", title: meaning }, name);
    }
    return el("span", { class: `state state-${state}` }, STATE_NAMES[state]);
  }

  open(at, part) {
    const entry = this.entries[at];
    if (part === "fold") this.toggle(at);
    else if (entry < 0) {
      const group = this.app.view.groups[~entry];
      const members = this.membersOf.get(group) ?? null;
      const only = members === null ? (group.size === 1 ? 0 : null) : members.length === 1 ? members[0] : null;
      this.app.open(only === null ? group.id : this.app.view.id[group.first + only]);
    } else this.app.open(this.app.view.id[entry]);
  }

  toggle(at, to) {
    const entry = this.entries[at];
    if (entry === undefined) return;
    if (entry >= 0) {
      // The key folds the group of the task, which becomes the current row.
      if (to === true || !this.app.settings.grouped) return;
      const group = this.app.view.group(entry);
      this.unfolded.delete(group.id);
      this.rows.current = group.id;
      this.update();
      this.rows.moveTo(this.rows.currentAt());
      return;
    }
    const { id } = this.app.view.groups[~entry];
    const isUnfolded = this.unfolded.has(id);
    if (to === isUnfolded) return;
    if (isUnfolded) this.unfolded.delete(id);
    else this.unfolded.add(id);
    this.update();
  }
}

/** Truncates a label for a row. */
const cut = (text) => (text.length > 300 ? `${text.slice(0, 300)}…` : text);

/** Returns the greatest of several times, with a sign if there are smaller ones. */
function short(least, greatest) {
  if (!Number.isFinite(greatest)) return "";
  const [from, to] = [duration(least), duration(greatest)];
  return from === to ? to : `≤ ${to}`;
}

const range = (least, greatest) => (least === greatest ? thousands(greatest) : `≤ ${thousands(greatest)}`);
