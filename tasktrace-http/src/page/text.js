"use strict";
// Formats text, and makes elements that contain it. Text of the program is only put into text nodes and visible
// attributes, and is never parsed as markup.

/** Returns an element. `attributes` are set as attributes, and the children are nodes or text. */
function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * Makes an element equal to another one, and does not touch the parts that are equal already. So a click is not
 * interrupted, and the selection and the focus stay.
 */
function patch(element, other) {
  for (const { name } of [...element.attributes]) if (!other.hasAttribute(name)) element.removeAttribute(name);
  for (const { name, value } of other.attributes) {
    if (element.getAttribute(name) === value) continue;
    // The content security policy allows styles that a script sets, but not style attributes.
    if (name === "style") element.style.cssText = value;
    else element.setAttribute(name, value);
  }
  patchChildren(element, [...other.childNodes]);
}

function patchChildren(element, others) {
  const nodes = [...element.childNodes];
  others.forEach((other, at) => {
    const node = nodes[at];
    if (node === undefined) element.append(other);
    else if (node.nodeType === Node.TEXT_NODE && other.nodeType === Node.TEXT_NODE) {
      if (node.data !== other.data) node.data = other.data;
    } else if (node.nodeName === other.nodeName && node.id === other.id) patch(node, other);
    else node.replaceWith(other);
  });
  for (const node of nodes.slice(others.length)) node.remove();
}

const byId = (id) => document.getElementById(id);

/** Formats a duration as in a dump: `12ms`, `1.5s`, `2m03s`, `3h05m`, `2d04h`. */
function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "";
  if (ms < 1000) return `${Math.floor(ms)}ms`;
  const seconds = Math.floor(ms / 1000);
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
  const two = (number) => String(number).padStart(2, "0");
  if (minutes === 0) return `${seconds}.${Math.floor((ms % 1000) / 100)}s`;
  if (hours === 0) return `${minutes}m${two(seconds % 60)}s`;
  if (days === 0) return `${hours}h${two(minutes % 60)}m`;
  return `${days}d${two(hours % 24)}h`;
}

/** Formats a range of durations: `1.5s`, or `1.5s to 2m03s`. */
function span(least, greatest) {
  const [from, to] = [duration(least), duration(greatest)];
  return from === to ? from : `${from} to ${to}`;
}

/** Formats a number with separators: `12,345`. */
const thousands = (number) => String(number).replace(/\B(?=(\d{3})+(\.|$))/g, ",");

const plural = (count, word) => `${thousands(count)} ${word}${count === 1 ? "" : "s"}`;

/** Replaces the characters that control a terminal or the direction of text by their code points. */
const visible = (text) =>
  text.replace(
    /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (char) => `\\u{${char.codePointAt(0).toString(16)}}`,
  );

/** Returns a label in quotation marks. */
const quote = (label) => `"${visible(label)}"`;

/** Splits a path before its last part: `app::http::serve` into `app::http::` and `serve`. Ignores `::` inside `<…>`. */
function splitPath(path) {
  let depth = 0;
  for (let at = path.length - 1; at > 0; at--) {
    if (path[at] === ">") depth++;
    else if (path[at] === "<") depth--;
    else if (depth === 0 && path[at] === ":" && path[at - 1] === ":") {
      return [path.slice(0, at + 1), path.slice(at + 1)];
    }
  }
  return ["", path];
}

/** Returns a path as an element, with emphasis on its last part. */
function pathOf(path) {
  if (path === "") return el("span", { class: "path" }, "(unknown function)");
  const [before, last] = splitPath(visible(path));
  return el("span", { class: "path" }, el("span", { class: "path-before" }, before), el("b", {}, last));
}

/** Splits an operation: `sqlx::Query::fetch_one (sqlx::Pool::acquire)` into the two paths, and another into one. */
function splitOperation(operation) {
  const at = operation.indexOf(" (");
  return at > 0 && operation.endsWith(")") ? [operation.slice(0, at), operation.slice(at + 2, -1)] : [operation];
}

/** Returns an operation as an element, with emphasis on the last parts of its paths. */
function operationOf(operation) {
  const [outer, inner] = splitOperation(operation);
  const node = pathOf(outer);
  if (inner !== undefined) node.append(" (", ...pathOf(inner).childNodes, ")");
  return node;
}

/** Returns true if a name is that of a function: neither the path of a type, which begins with a capital letter, nor a place. */
function isFunction(name) {
  const [before, last] = splitPath(name);
  return !name.startsWith("(") && (before === "" || !/^\p{Lu}/u.test(last));
}

/** Returns the name of a task with its label. The label comes first if the name is not a function. */
function titleOf(name, quoted, others = null) {
  if (quoted === null) return [pathOf(name)];
  const label = el("span", { class: "label" }, quoted);
  return isFunction(name) ? [pathOf(name), " ", label, others] : [label, others, " ", pathOf(name)];
}

/** Returns the last two parts of a path, for narrow places: `Mutex::lock`, `time::sleep`. */
function shortPath(path) {
  const [before, last] = splitPath(visible(path) || "(unknown function)");
  return before === "" ? last : `${splitPath(before.slice(0, -2))[1]}::${last}`;
}

/** Returns an operation with short paths: `Query::fetch_one (Pool::acquire)`. */
function shortOperation(operation) {
  const [outer, inner] = splitOperation(operation);
  return inner === undefined ? shortPath(outer) : `${shortPath(outer)} (${shortPath(inner)})`;
}

/** Returns true if a name contains this place: `(spawned at src/main.rs:10)`, the name of a future without a type. */
const hasPlace = (name, place) => name.startsWith("(") && place.startsWith(`${name.slice(0, -1).split(" at ")[1]}:`);

/** Returns the location of a frame, unless its name contains that: `src/main.rs:10:5`, or `src/main.rs:10` for a line where it does not wait. */
function placeOf(frame) {
  if (frame.file === null || hasPlace(frame.name, `${frame.file}:${frame.line}:`)) return "";
  const column = frame.lineIs === "current" ? frame.column : null;
  return [frame.file, frame.line, column].filter((part) => part !== null).join(":");
}

/** The words before a line at which a frame does not wait. */
const LINE_WORDS = { definition: "fn at", creation: "made at" };

/** Returns a location as in a trace: `at src/main.rs:10:5`, or `(fn at src/main.rs:8)`. */
const atPlace = (frame, place) => (frame.lineIs in LINE_WORDS ? `(${LINE_WORDS[frame.lineIs]} ${place})` : `at ${place}`);

/** Returns the end of a location, for readers who know the program: `src/main.rs:10:5`. */
const shortPlace = (place) => place.split("/").slice(-2).join("/");

/** Returns the time of day. */
const clock = (date) => date.toTimeString().slice(0, 8);
