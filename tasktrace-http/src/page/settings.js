// Stores the settings of the user. The selection and the filters are in the address, which can be shared. The
// preferences stay in this browser.

const DEFAULTS = {
  tab: "tasks",
  query: "",
  state: "all",
  sort: "urgency",
  reversed: false,
  grouped: true,
  weight: "tasks",
  capture: 1,
  rate: 2_000,
  theme: "auto",
};

const PREFERENCES = ["theme", "rate"];

function loadSettings() {
  const settings = { ...DEFAULTS };
  const read = (pairs) => {
    for (const [name, text] of pairs) {
      if (!(name in DEFAULTS)) continue;
      const type = typeof DEFAULTS[name];
      settings[name] = type === "number" ? Number(text) || DEFAULTS[name] * (text === "0" ? 0 : 1) : type === "boolean" ? text === "true" : text;
    }
  };
  try {
    read(PREFERENCES.map((name) => [name, localStorage.getItem(`tasktrace.${name}`)]).filter(([, text]) => text !== null));
  } catch {
    // The browser may forbid local storage.
  }
  read(new URLSearchParams(location.hash.slice(1)));
  // Invalid values are replaced by the defaults: the address may be of another version, or mistyped.
  const choices = { tab: ["tasks", "flame", "awaits"], state: ["all", "wrong", ...STATES.map(([state]) => state)], theme: ["auto", "light", "dark"] };
  for (const id of ["sort", "weight", "capture", "rate"]) choices[id] = [...byId(id).options].map((option) => option.value);
  for (const [name, values] of Object.entries(choices)) {
    if (!values.includes(String(settings[name]))) settings[name] = DEFAULTS[name];
  }
  return settings;
}

function saveSettings(settings, selected) {
  const address = new URLSearchParams();
  for (const [name, value] of Object.entries(settings)) {
    if (!PREFERENCES.includes(name) && value !== DEFAULTS[name]) address.set(name, String(value));
  }
  if (selected !== null) address.set("open", String(selected));
  const hash = address.toString();
  history.replaceState(null, "", hash === "" ? location.pathname + location.search : `#${hash}`);
  try {
    for (const name of PREFERENCES) localStorage.setItem(`tasktrace.${name}`, String(settings[name]));
  } catch {
    // The browser may forbid local storage.
  }
}

/** Returns the id of a task as a number, or the key of a group or of a task in memory. */
const keyOf = (text) => (/^\d{1,15}$/.test(text) ? Number(text) : text);

/** Returns the id of the open task, or the key of the open group. */
function loadSelected() {
  const open = new URLSearchParams(location.hash.slice(1)).get("open");
  return open === null ? null : keyOf(open);
}

function applyTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = { auto: "◐", light: "☀", dark: "☾" }[theme];
  byId("theme").setAttribute("aria-label", { auto: "Light or dark, as the system is set", light: "Light", dark: "Dark" }[theme]);
}
