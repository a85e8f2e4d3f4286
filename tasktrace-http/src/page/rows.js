// Shows a list of very many rows. Only the rows in sight are elements.
//
// The element of the list has the focus, and `aria-activedescendant` names the current row. Rows have one of a few
// heights.

class Rows {
  /** `handlers.open(at, part)` is called for a click on a row. */
  constructor(element, handlers) {
    this.element = element;
    this.handlers = handlers;
    this.space = el("div", { class: "rows", role: "presentation" });
    element.append(this.space);
    this.current = null;
    this.source = null;
    this.offsets = new Float64Array(1);
    // While a mouse button is held down on a row, the rows are not replaced.
    this.isHeld = false;
    element.addEventListener("mousedown", (event) => (this.isHeld = event.target.closest("[data-at]") !== null));
    addEventListener("mouseup", () => {
      if (!this.isHeld) return;
      // The click event follows this event.
      setTimeout(() => {
        this.isHeld = false;
        if (this.next) this.show(this.next);
      });
    });
    element.addEventListener("scroll", () => this.drawSoon(), { passive: true });
    new ResizeObserver(() => this.drawSoon()).observe(element);
    element.addEventListener("click", (event) => {
      const row = event.target.closest("[data-at]");
      if (!row) return;
      const at = Number(row.dataset.at);
      const part = event.target.closest("[data-part]")?.dataset.part;
      this.isHeld = false;
      this.moveTo(at);
      handlers.open(at, part);
    });
  }

  /**
   * Shows other rows. The rows in sight stay at their places if possible. `source` has `count`, `height(at)`,
   * `key(at)`, `indexOf(key)`, and `draw(at)`, which returns the content of a row as { nodes, attributes }.
   */
  show(source) {
    if (this.isHeld && this.source !== null) {
      this.next = source;
      return;
    }
    this.next = null;
    const anchor = this.anchor();
    this.source = source;
    this.offsets = new Float64Array(source.count + 1);
    for (let at = 0; at < source.count; at++) this.offsets[at + 1] = this.offsets[at] + source.height(at);
    this.space.style.height = `${this.offsets[source.count]}px`;
    if (this.current !== null && source.indexOf(this.current) === -1) this.current = null;
    if (anchor !== null) {
      const at = source.indexOf(anchor.key);
      if (at !== -1) this.element.scrollTop = this.offsets[at] - anchor.below;
    }
    this.draw();
  }

  /** Returns the row that stays at its place: the current row if it is in sight, and otherwise the first row in sight.
   * At the top there is none, so that new first rows are seen. */
  anchor() {
    if (this.source === null || this.source.count === 0 || this.element.scrollTop === 0) return null;
    const top = this.element.scrollTop;
    let at = this.current === null ? -1 : this.source.indexOf(this.current);
    const isInSight = at !== -1 && this.offsets[at] >= top && this.offsets[at] < top + this.element.clientHeight;
    if (!isInSight) at = this.rowAt(top);
    return { key: this.source.key(at), below: this.offsets[at] - top };
  }

  /** Returns the position of the row at a height. */
  rowAt(y) {
    let [low, high] = [0, this.source.count - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.offsets[middle] <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  drawSoon() {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      this.draw();
    });
  }

  draw() {
    const { source, element } = this;
    if (source === null) return;
    const [top, height] = [element.scrollTop, element.clientHeight];
    const rows = [];
    const current = this.current === null ? -1 : source.indexOf(this.current);
    if (source.count > 0 && height > 0) {
      const first = Math.max(0, this.rowAt(top) - 4);
      const last = Math.min(source.count - 1, this.rowAt(top + height) + 4);
      for (let at = first; at <= last; at++) rows.push(this.row(at, at === current));
    }
    this.patchRows(rows);
    const active = [...this.space.children].find((row) => row.classList.contains("current"));
    element.classList.toggle("has-current", Boolean(active));
    if (active) element.setAttribute("aria-activedescendant", active.id);
    else element.removeAttribute("aria-activedescendant");
  }

  /** Replaces the rows. A row with the same key keeps its element. */
  patchRows(rows) {
    const before = new Map([...this.space.children].map((row) => [row.dataset.key, row]));
    const kept = rows.map((row) => {
      const old = before.get(row.dataset.key);
      if (old === undefined) return row;
      before.delete(row.dataset.key);
      patch(old, row);
      return old;
    });
    for (const row of before.values()) row.remove();
    kept.forEach((row, at) => {
      if (this.space.children[at] !== row) this.space.insertBefore(row, this.space.children[at] ?? null);
    });
  }

  row(at, isCurrent) {
    const { nodes, attributes } = this.source.draw(at);
    const row = el("div", { role: "treeitem", id: `${this.element.id}-${at}`, "data-at": at, "data-key": this.source.key(at), ...attributes }, ...nodes);
    row.classList.add("row");
    row.classList.toggle("current", isCurrent);
    row.style.height = `${this.offsets[at + 1] - this.offsets[at]}px`;
    row.style.transform = `translateY(${this.offsets[at]}px)`;
    return row;
  }

  currentAt() {
    return this.current === null || this.source === null ? -1 : this.source.indexOf(this.current);
  }

  /** Makes a row the current one, and scrolls to it. */
  moveTo(at) {
    if (this.source === null || this.source.count === 0) return;
    at = Math.min(Math.max(at, 0), this.source.count - 1);
    this.current = this.source.key(at);
    const { element } = this;
    if (this.offsets[at] < element.scrollTop) element.scrollTop = this.offsets[at];
    const bottom = this.offsets[at + 1] - element.clientHeight;
    if (bottom > element.scrollTop) element.scrollTop = bottom;
    this.draw();
  }

  moveBy(rows) {
    const at = this.currentAt();
    this.moveTo(at === -1 ? (rows > 0 ? 0 : this.source.count - 1) : at + rows);
  }

  page() {
    return Math.max(1, Math.floor(this.element.clientHeight / 48));
  }
}
