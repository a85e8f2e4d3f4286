"use strict";
(async () => {
  const base = location.pathname.replace(/\/?$/, "/");
  const view = await (await fetch(base + "view.json")).json();
  document.getElementById("groups").textContent = view.groups.map((group) => group.name).join("\n");
})();
