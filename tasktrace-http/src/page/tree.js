// Formats the tree of a task as lines and as text.

/** The number of equal siblings that are shown one by one. More of them are shown as one. */
const FEW_SIBLINGS = 5;

/** The number of labels that are shown for siblings that are shown as one. */
const FEW_LABELS = 3;

/** Returns a number for each frame. Frames with equal subtrees have equal numbers. */
function shapes(group) {
  if (!group.shapes) {
    const known = new Map();
    group.shapes = new Uint32Array(group.frames.length);
    // Children follow their parent, so they are numbered before it here.
    for (let at = group.frames.length - 1; at >= 0; at--) {
      const { name, file, line, column, wait, count, children } = group.frames[at];
      const key = JSON.stringify([name, file, line, column, wait, count, children.map((child) => group.shapes[child.at])]);
      if (!known.has(key)) known.set(key, known.size);
      group.shapes[at] = known.get(key);
    }
  }
  return group.shapes;
}

/** Returns the siblings, with many equal ones as one. */
function fold(group, siblings) {
  if (siblings.length <= FEW_SIBLINGS) return siblings.map((frame) => ({ frame, all: [frame] }));
  const classes = new Map();
  const shape = shapes(group);
  for (const frame of siblings) {
    if (!classes.has(shape[frame.at])) classes.set(shape[frame.at], []);
    classes.get(shape[frame.at]).push(frame);
  }
  const folded = [];
  for (const all of classes.values()) {
    if (all.length > FEW_SIBLINGS) folded.push({ frame: all[0], all });
    else folded.push(...all.map((frame) => ({ frame, all: [frame] })));
  }
  return folded.sort((one, other) => one.frame.at - other.frame.at);
}

/** Returns the hidden frames of libraries below a frame: their number, their crates, and the last of them. */
function hiddenBelow(frame) {
  const hidden = { count: 0, crates: new Set(), last: frame };
  while (hidden.last.children.length === 1 && hidden.last.children[0].isFolded) {
    hidden.last = hidden.last.children[0];
    hidden.count++;
    const crate = hidden.last.name.match(/^(\w+)::/)?.[1];
    if (crate !== undefined && !["alloc", "core", "std"].includes(crate)) hidden.crates.add(crate);
  }
  return hidden;
}

/** Describes hidden frames, such as `… 9 frames in reqwest, tower, hyper_util`. */
function hiddenText({ count, crates }) {
  if (count === 0) return "";
  const few = 5;
  const named = [...crates].slice(0, few).join(", ") + (crates.size > few ? ` and ${crates.size - few} more` : "");
  return `… ${count} frames${named === "" ? "" : ` in ${visible(named)}`}`;
}

/** Returns up to `most` lines of a tree, each before its children. If it is unfolded, no frames are hidden. */
function treeLines(group, most, isUnfolded = false) {
  const lines = [];
  const extend = (frames, depth, guides) => {
    const folded = fold(group, frames);
    for (let at = folded.length - 1; at >= 0; at--) {
      pending.push({ ...folded[at], depth, guides, isLast: at === folded.length - 1 });
    }
  };
  const pending = [];
  extend(group.roots, 0, "");
  while (pending.length > 0 && lines.length < most) {
    const line = pending.pop();
    line.hidden = hiddenBelow(isUnfolded || line.frame.isFolded ? { children: [] } : line.frame);
    if (line.hidden.count === 0) line.hidden.last = line.frame;
    lines.push(line);
    const deepest = 24;
    const guides = line.depth === 0 ? "" : line.depth > deepest ? line.guides : line.guides + (line.isLast ? "   " : "│  ");
    extend(line.hidden.last.children, line.depth + 1, guides);
  }
  return lines;
}

/** Returns the labels of the frames of a line, in one task, or in the first task of a group. */
function labelsOf(group, { frame, all }, member) {
  if (all.length > 1) {
    const labels = all.map((one) => group.frameLabel(one, member ?? 0)).filter((label) => label !== null);
    const named = labels.slice(0, FEW_LABELS).map(quote).join(", ");
    return named + (all.length > FEW_LABELS && named !== "" ? ` and ${thousands(all.length - FEW_LABELS)} more` : "");
  }
  const label = group.frameLabel(frame, member ?? 0);
  if (label === null) return "";
  return quote(label) + (member === null && group.labelsDiffer(frame) ? " and others" : "");
}

/** Returns a remark about the wait of a frame, or an empty text. */
function remarkOf(group, frame, member) {
  if (frame.note !== null) return frame.note;
  switch (frame.wait) {
    case "no_waker":
      return "no waker registered in this poll: nothing can wake it, unless it kept the waker of an earlier poll";
    case "out_of_budget":
      return "coop budget exhausted: polled again after other tasks";
    case "yielded":
      return "woken again at once";
    case "not_polled": {
      const time = group.notPolledFor(frame, member);
      return `held, but not polled${time === null ? "" : ` for ${span(...time)}`}: its task polls something else`;
    }
    default:
      return "";
  }
}

function ageOf(group, frame, member) {
  const age = group.frameAge(frame, member);
  return age === null ? "" : span(...age);
}

/** Returns the tree as text, as in a dump. */
function treeText(group, member, indent) {
  const most = 2_000;
  const lines = treeLines(group, most).map((line) => {
    const { frame, depth, guides, isLast, all } = line;
    const lead = depth === 0 ? "╼ " : ` ${guides}${isLast ? "└╼ " : "├╼ "}`;
    let text = indent + lead + (visible(frame.name) || "(unknown function)");
    const labels = labelsOf(group, line, member);
    if (labels !== "") text += ` ${labels}`;
    const place = placeOf(frame);
    if (place !== "") text += ` ${visible(atPlace(frame, place))}`;
    const age = all.length > 1 ? "" : ageOf(group, frame, member);
    if (age !== "") text += ` (${age})`;
    const remark = remarkOf(group, frame, member);
    if (remark !== "") text += `: ${remark}`;
    if (line.hidden.count > 0) text += ` (${hiddenText(line.hidden)})`;
    const count = Math.max(1, frame.count) * all.length;
    if (count > 1) text += ` (×${count})`;
    return text;
  });
  if (lines.length >= most) lines.push(`${indent}…`);
  return lines.join("\n");
}

/** Returns the state with its time, such as `suspended 2.0s`. */
function stateText(state, least, greatest) {
  const name = state === "woken" ? "woken, but not polled for" : state === "never_polled" ? "never polled for" : STATE_NAMES[state];
  return Number.isFinite(least) ? `${name} ${span(least, greatest)}` : STATE_NAMES[state];
}

function taskTitle(view, task) {
  const label = view.label(task);
  return `task ${view.id[task]} ${visible(view.group(task).name)}${label === null ? "" : ` ${quote(label)}`}`;
}

function taskText(view, task) {
  const group = view.group(task);
  const mark = view.urgency(task) in PROBLEMS ? "! " : "";
  let text = `${mark}${taskTitle(view, task)}, ${stateText(group.state, view.waited[task], view.waited[task])}`;
  const thread = view.thread(task);
  if (thread !== null) text += ` on ${visible(thread)}`;
  text += `, ${plural(view.polls[task], "poll")}, age ${duration(view.age[task])}`;
  const [spawnedAt, parent] = [view.spawnedAt(task), view.parent(task)];
  const place = spawnedAt !== null && hasPlace(group.name, spawnedAt) ? null : spawnedAt;
  if (place !== null) text += `, spawned at ${visible(place)}`;
  if (parent !== null) text += `${place === null ? ", spawned" : ""} by task ${parent}`;
  text += `\n${treeText(group, view.member(task), "  ")}`;
  for (const id of view.awaits(task)) text += `\n  awaits task ${id}`;
  return text;
}

function groupText(view, group, members) {
  const count = members === null ? group.size : members.length;
  if (count === 1) return taskText(view, group.first + (members?.[0] ?? 0));
  const mark = group.urgency in PROBLEMS ? "! " : "";
  let text = `${mark}${thousands(count)} tasks ${visible(group.name)}, ${stateText(group.state, group.shortest, group.longest)}`;
  text += `, age ${span(group.youngest, group.oldest)}`;
  const few = (members ?? Array.from({ length: Math.min(6, group.size) }, (_, at) => at)).slice(0, 5);
  const named = few.map((member) => {
    const label = group.label(member);
    return `task ${valueAt(group.tasks.id, member)}${label === null ? "" : ` ${quote(label)}`}`;
  });
  text += `\n  ${named.join(", ")}${count > few.length ? ` and ${thousands(count - few.length)} more` : ""}`;
  return `${text}\n${treeText(group, null, "  ")}`;
}
