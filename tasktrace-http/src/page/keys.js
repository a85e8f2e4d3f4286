// Handles the keys.

function listenToKeys(app) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (byId("help").open) return;
    const { target } = event;
    const isTyping = target.matches("input, select, textarea");
    if (event.key === "Escape") {
      app.escape(isTyping);
      event.preventDefault();
      return;
    }
    if (isTyping) {
      // These keys move from the search to the results.
      if (target.id === "search" && (event.key === "Enter" || event.key === "ArrowDown")) {
        app.focusView();
        if (app.rows()?.currentAt() === -1) app.rows().moveBy(1);
        event.preventDefault();
      }
      return;
    }
    const isControl = target.matches("button, a, summary");
    // Controls handle these keys themselves.
    if (isControl && (event.key === "Enter" || event.key === " ")) return;
    if (target.matches("[role=tab]") && ["ArrowLeft", "ArrowRight"].includes(event.key)) {
      app.nextTab(event.key === "ArrowRight" ? 1 : -1);
      event.preventDefault();
      return;
    }
    const isInDetail = byId("detail").contains(target);
    if (isInDetail && /^(Arrow|Page|Home|End)/.test(event.key)) return;
    const action = KEYS[event.key];
    if (action === undefined) return;
    action(app, event);
    event.preventDefault();
  });
}

function move(app, rows, flame) {
  app.focusView();
  if (app.settings.tab === "flame") app.flame.move(flame);
  else app.rows().moveBy(rows);
}

function unfold(app, to) {
  if (app.settings.tab === "flame") app.flame.move(to ? "right" : "left");
  else app.current().toggle(app.rows().currentAt(), to);
}

const KEYS = {
  "/": () => {
    byId("search").focus();
    byId("search").select();
  },
  j: (app) => move(app, 1, "down"),
  ArrowDown: (app) => move(app, 1, "down"),
  k: (app) => move(app, -1, "up"),
  ArrowUp: (app) => move(app, -1, "up"),
  l: (app) => unfold(app, true),
  ArrowRight: (app) => unfold(app, true),
  h: (app) => unfold(app, false),
  ArrowLeft: (app) => unfold(app, false),
  PageDown: (app) => app.rows() && app.rows().moveBy(app.rows().page()),
  PageUp: (app) => app.rows() && app.rows().moveBy(-app.rows().page()),
  Home: (app) => app.rows()?.moveTo(0),
  End: (app) => app.rows()?.moveTo(Infinity),
  Enter: (app) => {
    if (app.settings.tab === "flame") app.flame.zoom(app.flame.current ?? app.flame.root);
    else if (app.rows().currentAt() !== -1) app.current().open(app.rows().currentAt());
  },
  1: (app) => app.setTab("tasks"),
  2: (app) => app.setTab("flame"),
  3: (app) => app.setTab("awaits"),
  w: (app) => app.nextWrong(),
  p: (app) => app.togglePause(),
  s: (app) => app.set({ capture: app.settings.capture === 1 ? 0 : 1 }),
  g: (app) => app.set({ grouped: !app.settings.grouped }),
  r: (app) => app.set({ reversed: !app.settings.reversed }),
  c: (app) => app.copy(),
  t: (app) => app.nextTheme(),
  "?": () => byId("help").showModal(),
};
