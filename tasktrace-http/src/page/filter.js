// Filters and sorts the tasks.

/** Returns the words of the query. A task matches if each word is in its texts or in the common texts of its group. */
function wordsOf(query) {
  return query.toLowerCase().split(/\s+/).filter((word) => word !== "");
}

/**
 * Returns the groups with matching tasks as pairs [group, members]. `members` is null if all tasks of the group
 * match, and otherwise the list of their positions.
 */
function filter(view, { query, state }) {
  const words = wordsOf(query);
  const found = [];
  for (const group of view.groups) {
    if (state === "wrong" ? group.problemCount === 0 : state !== "all" && group.state !== state) continue;
    const rest = words.filter((word) => !group.haystack().includes(word));
    const isPartial = state === "wrong" && group.problemCount < group.size;
    if (rest.length === 0 && !isPartial) {
      found.push([group, null]);
      continue;
    }
    const marks = rest.map((word) => {
      const marks = new Uint8Array(group.size);
      group.search(word, marks);
      return marks;
    });
    const members = [];
    for (let member = 0; member < group.size; member++) {
      if (isPartial && !(valueAt(group.tasks.urgency, member) in PROBLEMS)) continue;
      if (marks.every((marks) => marks[member] === 1)) members.push(member);
    }
    if (members.length > 0) found.push([group, members.length === group.size ? null : members]);
  }
  return found;
}

const sizeOf = ([group, members]) => (members === null ? group.size : members.length);

/** The orders of groups. They are descending, except for names and numbers. Equal groups keep their order. */
const GROUP_ORDER = {
  urgency: null,
  count: (one, other) => sizeOf(other) - sizeOf(one),
  waited: (one, other) => other[0].longest - one[0].longest,
  age: (one, other) => other[0].oldest - one[0].oldest,
  polls: (one, other) => other[0].mostPolls - one[0].mostPolls,
  name: (one, other) => (one[0].name < other[0].name ? -1 : Number(one[0].name > other[0].name)),
  number: (one, other) => leastNumber(one[0]) - leastNumber(other[0]),
};

function leastNumber(group) {
  if (group.least === undefined) {
    group.least = Infinity;
    for (let member = 0; member < group.size; member++) {
      group.least = Math.min(group.least, valueAt(group.tasks.id, member));
    }
  }
  return group.least;
}

function sortGroups(found, { sort, reversed }) {
  const order = GROUP_ORDER[sort];
  // The groups are in the order of urgency already.
  const sorted = order === null ? [...found] : [...found].sort(order);
  return reversed ? sorted.reverse() : sorted;
}

/** Returns the sorted positions of the tasks in the view. `found` is in the order of urgency. */
function sortTasks(view, found, { sort, reversed }) {
  let count = 0;
  for (const pair of found) count += sizeOf(pair);
  const tasks = new Uint32Array(count);
  let at = 0;
  const groups = sort === "name" ? [...found].sort(GROUP_ORDER.name) : found;
  for (const [group, members] of groups) {
    if (members === null) for (let member = 0; member < group.size; member++) tasks[at++] = group.first + member;
    else for (const member of members) tasks[at++] = group.first + member;
  }
  const key = { waited: view.waited, age: view.age, polls: view.polls, number: view.id }[sort];
  if (key !== undefined) {
    const sign = sort === "number" ? 1 : -1;
    const known = (task) => (Number.isNaN(key[task]) ? -1 : key[task]);
    tasks.sort((one, other) => sign * (known(one) - known(other)) || one - other);
  }
  return reversed ? tasks.reverse() : tasks;
}
