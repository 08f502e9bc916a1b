// Comforts only: every page works without this.
"use strict";

const tip = document.createElement("div");
tip.className = "tip";
tip.setAttribute("role", "status");
tip.hidden = true;
document.body.append(tip);
let shownFor = null;

function show(token) {
  if (shownFor === token) return;
  hide();
  if (!token) return;
  if (token.title) {
    token.dataset.tip = token.title;
    token.removeAttribute("title");
  }
  const row = token.closest(".row");
  if (!token.dataset.tip && row) {
    const at = [...row.querySelectorAll(".t")].indexOf(token);
    token.dataset.tip = `silent at position ${at + Number(row.dataset.first)}`;
  }
  if (!token.dataset.tip) return;
  shownFor = token;
  token.classList.add("on");
  tip.textContent = token.dataset.tip;
  tip.hidden = false;
  const box = token.getClientRects()[0];
  if (!box) return;
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  const above = box.top > tip.offsetHeight + 10;
  tip.style.left = `${Math.max(8, Math.min(box.left, room)) + scrollX}px`;
  tip.style.top = `${(above ? box.top - tip.offsetHeight - 5 : box.bottom + 5) + scrollY}px`;
}

function hide() {
  if (shownFor) shownFor.classList.remove("on");
  shownFor = null;
  tip.hidden = true;
}

document.addEventListener("pointerover", (event) => show(event.target.closest(".t")));
document.addEventListener("scroll", hide, { passive: true, capture: true });

// A whole context can be walked with the arrow keys, from one active token to the next.
for (const whole of document.querySelectorAll(".whole")) {
  whole.tabIndex = 0;
  whole.setAttribute("role", "group");
  whole.setAttribute("aria-label", "Context; arrow keys go through the active tokens");
  whole.addEventListener("blur", hide);
  whole.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (!step) return;
    event.preventDefault();
    const active = [...whole.querySelectorAll("[class*=' a'], [class*=' n']")].filter((each) => each.matches(".t"));
    if (!active.length) return;
    const now = active.indexOf(shownFor);
    const next = now < 0 ? active.findIndex((each) => each.matches("mark")) : now + step;
    const token = active[Math.max(0, Math.min(next, active.length - 1))];
    token.scrollIntoView({ block: "nearest" });
    requestAnimationFrame(() => requestAnimationFrame(() => show(token)));
  });
}

// The peak of an open context is in sight, also where the context scrolls.
function reveal(details) {
  const whole = details.querySelector(".whole");
  const peak = whole && whole.querySelector("mark");
  if (!details.open || !peak) return;
  whole.scrollTop = Math.max(0, peak.offsetTop + peak.offsetHeight - whole.clientHeight * 0.6);
}

const hits = document.querySelector(".hits");
if (hits) {
  const all = document.createElement("button");
  const closed = () => [...hits.querySelectorAll("details:not([open])")];
  const name = () => { all.textContent = closed().length ? "Open all" : "Close all"; };
  all.type = "button";
  all.addEventListener("click", () => {
    const open = closed().length > 0;
    for (const each of hits.querySelectorAll("details")) each.open = open;
  });
  hits.addEventListener("toggle", (event) => { name(); reveal(event.target); }, true);
  hits.querySelectorAll("details").forEach(reveal);
  name();
  document.querySelector(".contexts .toolbar").append(all);
}

document.addEventListener("keydown", (event) => {
  const search = document.querySelector("#q");
  if (event.key !== "/" || !search || event.target.closest("input")) return;
  event.preventDefault();
  search.focus();
});

// Say so when a newer snapshot of this run has been opened.
const { run, snapshot } = document.body.dataset;
if (run) {
  const timer = setInterval(async () => {
    try {
      const state = await (await fetch("/state")).json();
      if (!state[run] || state[run] === snapshot) return;
      clearInterval(timer);
      const note = document.createElement("p");
      const link = document.createElement("a");
      note.className = "fresh";
      note.setAttribute("role", "status");
      link.href = "";
      link.textContent = "Show it";
      note.append("There is a newer snapshot. ", link);
      document.body.append(note);
    } catch {
      return; // The service is away for now; the page stays as it is.
    }
  }, 10000);
}
