// Draws the flamegraph: the number or the waiting time of the tasks below each function. The root is at the top, and
// the resources that are waited for are at the bottom.

/** A box of the flamegraph, with the sum of its tasks. */
class Flame {
  constructor(name, place, parent, isLeaf) {
    this.name = name;
    this.place = place;
    this.parent = parent;
    this.isLeaf = isLeaf;
    this.depth = parent === null ? 0 : parent.depth + 1;
    this.value = 0;
    this.children = new Map();
  }

  /** Returns the names from the root, which identify the box in later flamegraphs. */
  path() {
    const path = [];
    for (let flame = this; flame.parent !== null; flame = flame.parent) path.push(flame.name);
    return path.reverse();
  }
}

/** Builds the flamegraph of the matching tasks. */
function flameOf(view, found, weight) {
  const root = new Flame("all tasks", "", null, false);
  for (const [group, members] of found) {
    let each = 0;
    if (weight === "tasks") each = members === null ? group.size : members.length;
    else {
      const add = (task) => {
        if (!Number.isNaN(view.waited[task])) each += view.waited[task];
      };
      if (members === null) for (let task = group.first; task < group.first + group.size; task++) add(task);
      else for (const member of members) add(group.first + member);
    }
    if (each === 0) continue;
    // A task is divided evenly between its waits, so that each frame above them counts it once.
    let leaves = 0;
    for (const { children, count } of group.frames) if (children.length === 0) leaves += Math.max(1, count);
    const values = group.frames.map(({ children, count }) => (children.length === 0 ? (each * Math.max(1, count)) / leaves : 0));
    for (let at = values.length - 1; at >= 0; at--) {
      const { parent } = group.frames[at];
      if (parent !== null) values[parent] += values[at];
    }
    if (group.frames.length === 0) {
      grow(root, group.name, "", false, each);
      root.value += each;
      continue;
    }
    const flames = [];
    for (const frame of group.frames) {
      const parent = frame.parent === null ? root : flames[frame.parent];
      const line = frame.file === null ? "" : `${frame.file}:${frame.line ?? ""}`;
      const place = line === "" || !(frame.lineIs in LINE_WORDS) ? line : `${LINE_WORDS[frame.lineIs]} ${line}`;
      flames.push(grow(parent, frame.name || "(unknown function)", place, frame.wait !== null, values[frame.at]));
      if (frame.parent === null) root.value += values[frame.at];
    }
  }
  return root;
}

function grow(parent, name, place, isLeaf, value) {
  let flame = parent.children.get(name);
  if (flame === undefined) {
    flame = new Flame(name, place, parent, isLeaf);
    parent.children.set(name, flame);
  }
  // The frames of one function are one box, even if they are at different lines.
  if (flame.place !== place) flame.place = "several lines";
  flame.isLeaf ||= isLeaf;
  flame.value += value;
  return flame;
}

/** Returns the children, the widest first, and equal ones by name. */
const wideFirst = (flame) =>
  [...flame.children.values()].sort((one, other) => other.value - one.value || (one.name < other.name ? -1 : 1));

const FLAME_HEIGHT = 22;

/** The smallest width of a box in pixels. */
const NARROWEST = 1.5;

/** The largest number of boxes. */
const MOST_BOXES = 3_000;

class FlameView {
  constructor(app) {
    this.app = app;
    this.element = byId("flame");
    this.zoomed = null;
    this.current = null;
    this.element.addEventListener("click", (event) => {
      const box = event.target.closest("[data-box]");
      if (!box) return;
      this.current = this.drawn[Number(box.dataset.box)].flame;
      this.zoom(this.current);
    });
    byId("flame-path").addEventListener("click", (event) => {
      const step = event.target.closest("[data-step]");
      if (step) this.zoom(this.steps[Number(step.dataset.step)]);
    });
    byId("flame-note").addEventListener("click", (event) => {
      if (event.target.closest("button") && this.current) app.find(this.current.name);
    });
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  update() {
    const { view, found, settings } = this.app;
    if (!view) return;
    const [zoomed, current] = [this.zoomed?.path(), this.current?.path()];
    this.root = flameOf(view, found, settings.weight);
    this.zoomed = this.search(zoomed) ?? this.root;
    this.current = this.search(current) ?? this.zoomed;
    this.draw();
  }

  search(path) {
    if (path === undefined) return null;
    let flame = this.root;
    for (const name of path) flame = flame?.children.get(name);
    return flame ?? null;
  }

  zoom(flame) {
    this.zoomed = flame;
    this.current = flame;
    this.draw();
  }

  /** Zooms out by one level. Returns false if the root is shown already. */
  zoomOut() {
    if (!this.zoomed || this.zoomed.parent === null) return false;
    this.zoom(this.zoomed.parent);
    return true;
  }

  text(value) {
    if (this.app.settings.weight === "waited") return duration(value);
    const rounded = value < 10 ? Math.round(value * 10) / 10 : Math.round(value);
    return rounded === 0 ? "less than 0.1 tasks" : plural(rounded, "task");
  }

  draw() {
    if (!this.root) return;
    const width = this.element.clientWidth;
    if (width === 0) return;
    this.drawn = [];
    const boxes = [];
    const above = [];
    for (let flame = this.zoomed; flame.parent !== null; flame = flame.parent) above.unshift(flame.parent);
    this.steps = [...above, this.zoomed];
    // Each box with its left edge and its width, as parts of the zoomed box.
    const pending = above.map((flame) => ({ flame, left: 0, wide: 1, isAbove: true })).reverse();
    pending.unshift({ flame: this.zoomed, left: 0, wide: 1, isAbove: false });
    let deepest = 0;
    let hidden = 0;
    while (pending.length > 0) {
      const { flame, left, wide, isAbove } = pending.pop();
      deepest = Math.max(deepest, flame.depth);
      boxes.push(this.box(flame, left, wide, width, isAbove));
      if (isAbove || flame.value === 0) continue;
      let next = left;
      const children = [];
      for (const child of wideFirst(flame)) {
        const part = (wide * child.value) / flame.value;
        if (part * width < NARROWEST || boxes.length + pending.length + children.length >= MOST_BOXES) hidden++;
        else children.push({ flame: child, left: next, wide: part, isAbove: false });
        next += part;
      }
      pending.push(...children.reverse());
    }
    const space = el("div", { class: "flame-space", role: "presentation" }, ...boxes);
    space.style.height = `${(deepest + 1) * FLAME_HEIGHT}px`;
    patchChildren(this.element, [space]);
    const active = boxes.find((box) => box.classList.contains("current"));
    if (active) this.element.setAttribute("aria-activedescendant", active.id);
    patchChildren(byId("flame-path"), [
      ...this.steps.flatMap((flame, at) => [
        ...(at > 0 ? [el("span", { class: "dim" }, " › ")] : []),
        at < this.steps.length - 1
          ? el("button", { type: "button", class: "link", "data-step": at }, visible(splitPath(flame.name)[1]))
          : el("b", {}, visible(splitPath(flame.name)[1])),
      ]),
    ]);
    this.describe(hidden);
  }

  describe(hidden) {
    const flame = this.current ?? this.zoomed;
    const note = byId("flame-note");
    const part = this.root.value === 0 ? 0 : (100 * flame.value) / this.root.value;
    patchChildren(note, [
      el("b", { class: flame.isLeaf ? "resource" : null }, visible(flame.name)),
      flame.place === "" ? null : el("span", { class: "dim" }, ` at ${visible(flame.place)}`),
      ` · ${this.text(flame.value)} · ${part.toFixed(part < 10 ? 1 : 0)} %`,
      flame.parent === null ? null : el("span", {}, " · ", el("button", { type: "button", class: "link" }, "these tasks")),
      hidden > 0 ? el("span", { class: "dim" }, ` · ${plural(hidden, "frame")} too narrow to draw`) : null,
    ].filter((node) => node !== null).map((node) => (typeof node === "string" ? document.createTextNode(node) : node)));
  }

  box(flame, left, wide, width, isAbove) {
    const at = this.drawn.length;
    const pixels = wide * width;
    this.drawn.push({ flame, left, wide });
    const name = flame.isLeaf ? shortPath(flame.name) : visible(splitPath(flame.name)[1]);
    const box = el("div", {
      class: `box ${flame.isLeaf ? "leaf" : ""} ${isAbove ? "above" : ""} ${flame === this.current ? "current" : ""}`,
      role: "treeitem",
      id: `flame-${at}`,
      "data-box": at,
      "aria-level": flame.depth + 1,
      "aria-selected": String(flame === this.zoomed),
      "aria-label": `${visible(flame.name)}, ${this.text(flame.value)}`,
      title: `${visible(flame.name)}\n${visible(flame.place)}\n${this.text(flame.value)}`,
    });
    if (pixels > 28) box.append(el("span", {}, name), pixels > name.length * 7 + 110 ? el("span", { class: "box-value" }, this.text(flame.value)) : "");
    box.style.left = `${left * 100}%`;
    box.style.width = `max(1px, calc(${wide * 100}% - 1px))`;
    box.style.top = `${flame.depth * FLAME_HEIGHT}px`;
    if (!flame.isLeaf) box.style.setProperty("--shade", `${shade(flame)}%`);
    return box;
  }

  /** Moves the current box by a key: `to` is up, down, left or right. */
  move(to) {
    if (!this.root) return;
    const flame = this.current ?? this.zoomed;
    const at = this.drawn.findIndex((drawn) => drawn.flame === flame);
    if (to === "up") this.current = flame.parent ?? flame;
    else if (to === "down") this.current = this.drawn.find((drawn) => drawn.flame.parent === flame)?.flame ?? flame;
    else {
      const level = this.drawn.filter((drawn) => drawn.flame.depth === flame.depth).sort((one, other) => one.left - other.left);
      const here = level.findIndex((drawn) => drawn === this.drawn[at]);
      this.current = level[here + (to === "left" ? -1 : 1)]?.flame ?? flame;
    }
    this.draw();
    document.getElementById(`flame-${this.drawn.findIndex((drawn) => drawn.flame === this.current)}`)?.scrollIntoView({ block: "nearest" });
  }

  isOpen() {
    return !byId("panel-flame").hidden;
  }
}

/** Returns a shade that depends only on the name, so that neighbours can be distinguished. */
function shade(flame) {
  let hash = 7;
  for (let at = 0; at < flame.name.length; at++) hash = (hash * 31 + flame.name.charCodeAt(at)) | 0;
  return Math.abs(hash) % 9;
}
