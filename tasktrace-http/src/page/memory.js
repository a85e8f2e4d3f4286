// Shows the tasks that were read from memory: those that are not traced, and who holds a lock.

/** The start of the key of a task that is not traced. The address of the task follows. */
const IN_MEMORY = "memory:";

/** The words before the holder, for each kind of guard. */
const HELD_WORDS = { read: "held for reading by", permit: "permits held by", granted: "granted to" };

class Memory {
  constructor(doc) {
    this.doc = doc ?? null;
    this.tasks = doc?.tasks ?? [];
    this.byKey = new Map();
    this.byTokioId = new Map();
    this.byTaskId = new Map();
    for (const task of this.tasks) {
      this.byKey.set(IN_MEMORY + task.address, task);
      if (task.tokio_id !== null) this.byTokioId.set(task.tokio_id, task);
      if (task.id !== null) this.byTaskId.set(task.id, task);
    }
  }

  /** Returns the tasks that are not traced. */
  untraced() {
    return this.tasks.filter((task) => task.id === null);
  }

  /** Returns the deadlock that a task is in, or undefined. */
  deadlock(task) {
    return this.doc?.deadlocks.find(({ tasks }) => tasks.includes(task.address));
  }

  /** Returns the key under which the page opens a task: the id of a traced task, or the address of another one. */
  key(task) {
    return task.id ?? IN_MEMORY + task.address;
  }

  /** Returns the task that holds something, or undefined if the page does not have it. */
  holder({ id, tokio_id: tokioId }) {
    return this.byTaskId.get(id) ?? this.byTokioId.get(tokioId);
  }
}

/** Returns a task in a sentence: `task 7`, `tokio task 12`, `a thread`. */
const memoryNoun = ({ id, tokio_id: tokioId }) => (id !== null ? `task ${id}` : tokioId !== null ? `tokio task ${tokioId}` : "a thread");

const memoryPlace = ({ file, line }) => (file === null ? "" : line === null ? visible(file) : `${visible(file)}:${line}`);

/** Returns the depth of each frame in its tree. */
function depthsOf(frames) {
  const depths = [];
  for (const { parent } of frames) depths.push(parent === null ? 0 : depths[parent] + 1);
  return depths;
}

/** Returns text and links that name a holder: `held by task 7 in shop::restock at src/stock.rs:31`. */
function holderOf(memory, holder) {
  const { held } = holder;
  const words = HELD_WORDS[held.kind] ?? "held by";
  const task = memory.holder(holder);
  const key = holder.id ?? (task === undefined ? null : memory.key(task));
  const noun = memoryNoun(holder);
  const link = key === null ? noun : el("button", { type: "button", class: "link", "data-task": key }, noun);
  const at = memoryPlace(held);
  const place = `${visible(held.function)}${at === "" ? "" : ` at ${at}`}`;
  if (!held.is_polled) return [`${words} ${place}, which `, link, " does not poll any more"];
  return [`${words} `, link, ` in ${place}`, holder.waits_for === null ? "" : `, which waits for ${visible(holder.waits_for)}`];
}

/** Returns the waits for something that a task holds, with links to the holders. */
function heldWaits(memory, task) {
  const waits = task.frames.filter((frame) => frame.wait !== null && frame.wait.holders.length > 0);
  if (waits.length === 0) return [];
  const items = waits.map((frame) =>
    el(
      "li",
      {},
      el("span", { class: "wait-what" }, visible(frame.name)),
      ...frame.wait.holders.map((holder) => el("span", { class: "wait-where" }, ...holderOf(memory, holder))),
    ),
  );
  return [el("h3", {}, "Who holds it"), el("ul", { class: "waits", id: "holders" }, ...items)];
}

/** Returns the nodes of a task that is not traced. */
function memoryDetail(memory, task) {
  const facts = [["State", [task.state.replaceAll("_", " ")]], ["Source", ["read from memory"]]];
  for (const held of task.holds) facts.push(["Holds", [`${visible(held.variable)} in ${visible(held.function)} ${memoryPlace(held)}`]]);
  const deadlock = memory.deadlock(task);
  const depths = depthsOf(task.frames);
  const lines = task.frames.map((frame, at) => {
    const lead = depths[at] === 0 ? "╼ " : `${"  ".repeat(depths[at])}└╼ `;
    const item = el("li", { class: frame.wait === null ? null : "leaf" }, el("span", { class: "lead", "aria-hidden": "true" }, lead), pathOf(frame.name));
    const place = memoryPlace(frame);
    if (place !== "") item.append(" ", el("span", { class: "place" }, place));
    const remark = frame.note ?? frame.wait?.text ?? "";
    if (remark !== "") item.append(" ", el("span", { class: "remark" }, visible(remark)));
    return item;
  });
  return [
    el("p", { class: "title" }, pathOf(task.name)),
    deadlock && el("p", { class: "complaint" }, el("b", {}, "likely deadlock"), ` ${visible(deadlock.text)}`),
    ...heldWaits(memory, task),
    el("dl", { class: "facts" }, ...facts.map(([name, nodes]) => el("div", { class: name === "Holds" ? "wide" : null }, el("dt", {}, name), el("dd", {}, ...nodes)))),
    lines.length > 0 && el("h3", {}, "Tree"),
    lines.length > 0 && el("ol", { class: "tree", id: "tree" }, ...lines),
    task.problem !== null && el("p", { class: "note" }, visible(task.problem)),
  ].filter(Boolean);
}

/** Returns the text of a task that is not traced. */
function memoryText(task) {
  const depths = depthsOf(task.frames);
  const lines = task.frames.map((frame, at) => {
    const place = memoryPlace(frame);
    const wait = frame.wait === null ? "" : ` (${visible(frame.wait.text)})`;
    return `  ${"  ".repeat(depths[at])}╼ ${visible(frame.name)}${place === "" ? "" : ` at ${place}`}${wait}`;
  });
  return [`${memoryNoun(task)} ${visible(task.name)}, ${task.state.replaceAll("_", " ")}`, ...lines].join("\n");
}

/** Shows the number of tasks that are not traced, with a link to each. */
function showMemory(memory) {
  const details = byId("memory");
  const untraced = memory.untraced();
  const problem = memory.doc?.problem ?? null;
  details.hidden = untraced.length === 0 && problem === null;
  if (details.hidden) return;
  details.querySelector("summary").textContent =
    problem === null ? `${plural(untraced.length + memory.doc.more, "task")} not traced, read from memory` : `memory was not read: ${visible(problem)}`;
  const items = untraced.map((task) => {
    const leaf = task.frames.find((frame) => frame.wait !== null);
    const waits = leaf === undefined ? "" : ` waits for ${visible(leaf.name)}`;
    return el("li", {}, el("button", { type: "button", class: "link", "data-open": memory.key(task) }, `${memoryNoun(task)} ${visible(task.name)}`), waits);
  });
  for (const { count, reason } of memory.doc.missing) items.push(el("li", {}, `missing ${count}: ${visible(reason)}`));
  if (memory.doc.more > 0) items.push(el("li", {}, `and ${plural(memory.doc.more, "more task")}`));
  patchChildren(details.querySelector("ul"), items);
}
