// Prepares the data of the program for the page. `render/serial/view.rs` defines the format.

/** The states, in the order of their buttons. */
const STATES = [
  ["suspended", "suspended"],
  ["running", "running"],
  ["woken", "woken"],
  ["never_polled", "new"],
  ["finished", "finished"],
];
const STATE_NAMES = Object.fromEntries(STATES);

/** The title and the meaning of each problem, the most urgent first. The program sends them. */
const PROBLEMS = {};

/** Returns a value of a column. A column is a list, or one value for all. */
const valueAt = (column, at) => (Array.isArray(column) ? column[at] : column);

class View {
  constructor(doc, received) {
    this.doc = doc;
    this.received = received;
    this.process = doc.process;
    this.asked = doc.asked === 1;
    this.total = doc.total;
    this.memory = new Memory(doc.inspected);
    for (const { urgency, title, meaning } of doc.wrong) PROBLEMS[urgency] = [title, meaning];
    this.groups = doc.groups.map((group, at) => new Group(group, at, doc.places));
    // All tasks, in the order of their groups.
    this.id = new Float64Array(this.total);
    this.groupOf = new Uint32Array(this.total);
    this.waited = new Float64Array(this.total);
    this.age = new Float64Array(this.total);
    this.polls = new Float64Array(this.total);
    let at = 0;
    for (const group of this.groups) {
      group.first = at;
      const tasks = group.tasks;
      for (let member = 0; member < group.size; member++, at++) {
        this.id[at] = valueAt(tasks.id, member);
        this.groupOf[at] = group.at;
        this.waited[at] = valueAt(tasks.waited_ms, member) ?? NaN;
        this.age[at] = valueAt(tasks.age_ms, member);
        this.polls[at] = valueAt(tasks.polls, member);
      }
      group.measure(this);
    }
  }

  group(task) {
    return this.groups[this.groupOf[task]];
  }

  member(task) {
    return task - this.group(task).first;
  }

  label(task) {
    return this.group(task).label(this.member(task));
  }

  state(task) {
    return this.group(task).state;
  }

  urgency(task) {
    return valueAt(this.group(task).tasks.urgency, this.member(task));
  }

  spawnedAt(task) {
    return this.group(task).spawnedAt(this.member(task));
  }

  parent(task) {
    return valueAt(this.group(task).tasks.parent, this.member(task));
  }

  thread(task) {
    return valueAt(this.group(task).tasks.thread, this.member(task));
  }

  /** Returns the position of the task with this id, or undefined. */
  task(id) {
    if (!this.byId) {
      this.byId = new Map();
      for (let task = 0; task < this.total; task++) this.byId.set(this.id[task], task);
    }
    return this.byId.get(id);
  }

  /** Returns the ids of the tasks that a task awaits. */
  awaits(task) {
    return this.edges().awaits.get(task) ?? [];
  }

  /** Returns the positions of the tasks that await the task with this id. */
  awaitedBy(id) {
    return this.edges().awaitedBy.get(id) ?? [];
  }

  edges() {
    if (!this.edgeMaps) {
      const [awaits, awaitedBy] = [new Map(), new Map()];
      for (const group of this.groups) {
        for (const [member, ...awaited] of group.tasks.awaits) {
          awaits.set(group.first + member, awaited);
          for (const id of awaited) {
            if (!awaitedBy.has(id)) awaitedBy.set(id, []);
            awaitedBy.get(id).push(group.first + member);
          }
        }
      }
      this.edgeMaps = { awaits, awaitedBy };
    }
    return this.edgeMaps;
  }

  /** Returns the ids of the cycle that contains a task, or undefined. */
  cycle(id) {
    return this.doc.cycles.find((cycle) => cycle.includes(id));
  }

  /** Returns the number of tasks in each state, and the number of tasks with a problem. */
  counts() {
    const counts = { all: this.total, wrong: 0 };
    for (const [state] of STATES) counts[state] = 0;
    for (const group of this.groups) {
      counts[group.state] += group.size;
      counts.wrong += group.problemCount;
    }
    return counts;
  }
}

/** Tasks with the same name in the same state at the same place. */
class Group {
  constructor(doc, at, places) {
    this.at = at;
    this.id = doc.id;
    this.name = doc.name;
    this.state = doc.state;
    this.urgency = doc.urgency;
    this.leaves = doc.leaves;
    this.waiting = doc.waiting;
    this.operations = doc.operations;
    this.source = doc.source;
    this.tasks = doc.tasks;
    this.size = doc.tasks.len;
    this.places = places;
    this.notes = [];
    if (doc.leaves_not_recorded) {
      this.notes.push(`${plural(doc.leaves_not_recorded, "more leaf").replace("leafs", "leaves")} not recorded: the trace is too large`);
    }
    if (doc.wakers_of_other_threads) {
      this.notes.push(`${plural(doc.wakers_of_other_threads, "waker")} registered by other threads, and their stacks are not known`);
    }
    const { len, ...columns } = doc.frames;
    this.frames = Array.from({ length: len }, (_, frame) => ({
      at: frame,
      parent: valueAt(columns.parent, frame),
      name: valueAt(columns.name, frame),
      file: valueAt(columns.file, frame),
      line: valueAt(columns.line, frame),
      column: valueAt(columns.column, frame),
      lineIs: valueAt(columns.line_is, frame),
      wait: valueAt(columns.wait, frame),
      note: valueAt(columns.note, frame),
      count: valueAt(columns.count, frame),
      isFolded: valueAt(columns.folded, frame) === 1,
      children: [],
    }));
    this.roots = [];
    for (const frame of this.frames) {
      if (frame.parent === null) this.roots.push(frame);
      else this.frames[frame.parent].children.push(frame);
    }
    this.live = new Map(doc.live.map((live) => [live.frame, live]));
  }

  /** Computes the smallest and the greatest values of the tasks. */
  measure(view) {
    this.longest = -Infinity;
    this.shortest = Infinity;
    this.oldest = -Infinity;
    this.youngest = Infinity;
    this.fewestPolls = Infinity;
    this.mostPolls = -Infinity;
    this.problemCount = 0;
    const urgency = this.tasks.urgency;
    for (let member = 0; member < this.size; member++) {
      const task = this.first + member;
      // An unknown time is NaN, and comparisons with it are false.
      if (view.waited[task] > this.longest) this.longest = view.waited[task];
      if (view.waited[task] < this.shortest) this.shortest = view.waited[task];
      if (view.age[task] > this.oldest) this.oldest = view.age[task];
      if (view.age[task] < this.youngest) this.youngest = view.age[task];
      if (view.polls[task] > this.mostPolls) this.mostPolls = view.polls[task];
      if (view.polls[task] < this.fewestPolls) this.fewestPolls = view.polls[task];
      if (valueAt(urgency, member) in PROBLEMS) this.problemCount++;
    }
  }

  label(member) {
    return valueAt(this.tasks.label, member);
  }

  spawnedAt(member) {
    const place = valueAt(this.tasks.spawned_at, member);
    return place === null ? null : this.places[place];
  }

  /** Returns the label of a frame in the tree of one task. */
  frameLabel(frame, member) {
    const live = this.live.get(frame.at);
    if (!live) return null;
    return live.label_is_task ? this.label(member) : valueAt(live.label, member);
  }

  /** Returns true if the tasks have different labels for a frame. */
  labelsDiffer(frame) {
    const live = this.live.get(frame.at);
    return Boolean(live) && Array.isArray(live.label_is_task ? this.tasks.label : live.label);
  }

  /** Returns the times of a frame as [least, greatest], in one task or in all tasks. */
  frameAge(frame, member) {
    return this.times(this.live.get(frame.at)?.age_ms, member);
  }

  notPolledFor(frame, member) {
    return this.times(this.live.get(frame.at)?.not_polled_for_ms, member);
  }

  times(column, member) {
    if (column === undefined || column === null) return null;
    if (!Array.isArray(column)) return [column, column];
    if (member !== null) return column[member] === null ? null : [column[member], column[member]];
    let [least, greatest] = [Infinity, -Infinity];
    for (const time of column) {
      if (time !== null && time < least) least = time;
      if (time !== null && time > greatest) greatest = time;
    }
    return greatest === -Infinity ? null : [least, greatest];
  }

  /**
   * Returns the waits of the tasks: the leaf, its operation, and the function of the program that waits for it. The
   * likeliest cause comes first.
   */
  waits() {
    if (!this.waitList) {
      const all = this.leaves.map((at, order) => {
        const frame = this.frames[at];
        const function_ = this.frames[valueAt(this.waiting, order)] ?? null;
        const operation = valueAt(this.operations, order) ?? frame.name;
        return { frame, operation, function_, count: Math.max(1, frame.count) };
      });
      this.waitList = all.filter(({ frame }) => frame.wait !== null);
      // A future that is held may have children.
      const held = this.frames.filter((frame) => frame.wait !== null && frame.children.length > 0);
      this.waitList.push(...held.map((frame) => ({ frame, operation: frame.name, function_: null, count: Math.max(1, frame.count) })));
    }
    return this.waitList;
  }

  /** Returns the common texts of the tasks, for the search. */
  haystack() {
    if (this.hay === undefined) {
      const texts = [this.name];
      for (const frame of this.frames) texts.push(frame.name, placeOf(frame));
      if (!Array.isArray(this.tasks.spawned_at)) texts.push(this.spawnedAt(0) ?? "");
      this.hay = texts.join("\n").toLowerCase();
    }
    return this.hay;
  }

  /** Marks the tasks that contain a word in `found`. */
  search(word, found) {
    if (/^#?\d+$/.test(word)) {
      for (let member = 0; member < this.size; member++) {
        if (`#${valueAt(this.tasks.id, member)}`.includes(word)) found[member] = 1;
      }
    }
    for (const column of this.searched()) {
      if (Array.isArray(column)) column.forEach((text, member) => text?.toLowerCase().includes(word) && (found[member] = 1));
      else if (typeof column === "string") {
        if (column.toLowerCase().includes(word)) found.fill(1);
      } else column.mark(word, found);
    }
  }

  /** Returns the texts that differ between the tasks, for the search. */
  searched() {
    if (!this.columns) {
      const labels = [...this.live.values()].map((live) => live.label);
      const columns = [this.tasks.label, ...labels].filter((column) => column !== null);
      if (Array.isArray(this.tasks.spawned_at)) columns.push(this.tasks.spawned_at.map((place) => (place === null ? null : this.places[place])));
      this.columns = columns.map((column) => (Array.isArray(column) ? Searched.of(column) : column));
    }
    return this.columns;
  }
}

/** A column of texts as one text, in which a search takes a hundredth of the time. */
class Searched {
  static of(column) {
    const all = column.map((text) => text ?? "").join("\n");
    const searched = new Searched(column, all.toLowerCase());
    // The lower case of some letters has another length, which makes the positions wrong.
    return searched.all.length === all.length ? searched : column;
  }

  constructor(column, all) {
    this.all = all;
    this.ends = new Uint32Array(column.length);
    let end = 0;
    column.forEach((text, at) => {
      end += (text?.length ?? 0) + 1;
      this.ends[at] = end;
    });
  }

  mark(word, found) {
    let at = 0;
    for (let start = this.all.indexOf(word); start !== -1; start = this.all.indexOf(word, this.ends[at] ?? Infinity)) {
      while (this.ends[at] <= start) at++;
      found[at] = 1;
      if (at === this.ends.length - 1) return;
    }
  }
}
