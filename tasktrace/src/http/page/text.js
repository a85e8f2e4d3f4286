"use strict";
// Text for people, and elements to hold it. What comes from the program is only ever put into text
// nodes and attributes that are shown, never read as markup.

/** An element. `attributes.class` and the like are set as attributes; children are nodes or text. */
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
 * Makes an element what another is, and leaves alone what is the same: so a click that has begun ends
 * where it began, what is selected stays so, and what has the focus keeps it.
 */
function patch(element, other) {
  for (const { name } of [...element.attributes]) if (!other.hasAttribute(name)) element.removeAttribute(name);
  for (const { name, value } of other.attributes) {
    if (element.getAttribute(name) === value) continue;
    // Styles may be set by a script that may run, but not as markup.
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

/** `12ms`, `1.5s`, `2m03s`, `3h05m`, `2d04h`: as in dumps. */
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

/** `1.5s`, or `1.5s to 2m03s`. */
function span(least, greatest) {
  const [from, to] = [duration(least), duration(greatest)];
  return from === to ? from : `${from} to ${to}`;
}

/** `12,345`. */
const thousands = (number) => String(number).replace(/\B(?=(\d{3})+(\.|$))/g, ",");

const plural = (count, word) => `${thousands(count)} ${word}${count === 1 ? "" : "s"}`;

/** Of what controls a terminal, or the direction of text, the number is shown. */
const visible = (text) =>
  text.replace(
    /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (char) => `\\u{${char.codePointAt(0).toString(16)}}`,
  );

/** A label. */
const quote = (label) => `"${visible(label)}"`;

/** `app::http::serve` as `app::http::` and `serve`; `app::serve<Vec<u8>>` at the right place. */
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

/** The path of a function, of which the last part counts. */
function pathOf(path) {
  if (path === "") return el("span", { class: "path" }, "(unknown function)");
  const [before, last] = splitPath(visible(path));
  return el("span", { class: "path" }, el("span", { class: "path-before" }, before), el("b", {}, last));
}

/** Whether a name is not the path of a type, nor a place. Types begin with a capital letter. */
function isFunction(name) {
  const [before, last] = splitPath(name);
  return !name.startsWith("(") && (before === "" || !/^\p{Lu}/u.test(last));
}

/** The name of a task with its label. Where the name is not a function, the label leads. */
function titleOf(name, quoted, others = null) {
  if (quoted === null) return [pathOf(name)];
  const label = el("span", { class: "label" }, quoted);
  return isFunction(name) ? [pathOf(name), " ", label, others] : [label, others, " ", pathOf(name)];
}

/** What is enough of a path where there is little room: `Mutex::lock`, `time::sleep`. */
function shortPath(path) {
  const [before, last] = splitPath(visible(path) || "(unknown function)");
  return before === "" ? last : `${splitPath(before.slice(0, -2))[1]}::${last}`;
}

/** Where in the source: `src/main.rs:10:5`, or of a line that is not one at which it waits `src/main.rs:10`. */
function placeOf(frame) {
  if (frame.file === null) return "";
  const column = frame.lineIs === "current" ? frame.column : null;
  return [frame.file, frame.line, column].filter((part) => part !== null).join(":");
}

/** The words before a line at which a frame does not wait. */
const LINE_WORDS = { definition: "fn at", creation: "made at" };

/** As a trace has it, with the place or a short form of it: `at src/main.rs:10:5`, `(fn at src/main.rs:8)`. */
const atPlace = (frame, place) => (frame.lineIs in LINE_WORDS ? `(${LINE_WORDS[frame.lineIs]} ${place})` : `at ${place}`);

/** The end of that, which is enough for who knows the program: `src/main.rs:10:5`. */
const shortPlace = (place) => place.split("/").slice(-2).join("/");

/** The time of day. */
const clock = (date) => date.toTimeString().slice(0, 8);
