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

// A link that copies: what it leads to goes to the clipboard; where that cannot be, it is a link.
for (const link of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  link.addEventListener("click", async (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const name = link.textContent;
    try {
      const answer = await fetch(link.href);
      if (!answer.ok) throw new Error(answer.statusText);
      await navigator.clipboard.writeText(await answer.text());
      link.textContent = `${name}: copied`;
      setTimeout(() => { link.textContent = name; }, 2000);
    } catch {
      location.href = link.href;
    }
  });
}

// Keys: / searches, j and k (or the arrows) go on and back, ? says which there are.
const KEYS = [
  ["/", "search", "#q"], ["j, →", "next feature, or next row of the list"],
  ["k, ←", "previous feature, or previous row"], ["Enter", "open the row"],
  ["r", "random feature", "a[href*='go=random']"], ["?", "these keys"],
];

function help() {
  const box = document.createElement("dialog");
  const list = document.createElement("dl");
  for (const [key, what, needed] of KEYS) {
    if (needed && !document.querySelector(needed)) continue;
    const [term, meaning] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = key;
    meaning.textContent = what;
    list.append(term, meaning);
  }
  const title = document.createElement("h2");
  title.textContent = "Keys";
  const form = document.createElement("form");
  form.method = "dialog";
  form.append(Object.assign(document.createElement("button"), { textContent: "Close" }));
  box.append(title, list, form);
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
}

function step(by) {
  const rows = [...document.querySelectorAll("table.list tbody tr")].filter((row) => row.querySelector("a"));
  if (rows.length) {
    const now = rows.indexOf(document.activeElement.closest("tr"));
    const row = rows[Math.max(0, Math.min(now + by, rows.length - 1))];
    row.querySelector("a").focus();
    return;
  }
  document.querySelector(`.title a[rel="${by > 0 ? "next" : "prev"}"]`)?.click();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest("input, textarea, select, dialog, .whole")) return;
  const search = document.querySelector("#q");
  if (event.key === "/" && search) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "?") help();
  else if (event.key === "j" || event.key === "ArrowRight") step(1);
  else if (event.key === "k" || event.key === "ArrowLeft") step(-1);
  else if (event.key === "r") document.querySelector("a[href*='go=random']")?.click();
});

// What is new comes by itself: progress in its place, the first snapshot at once; of a newer one
// the page says so, and the reader's place is kept.
const { run, snapshot } = document.body.dataset;
const waiting = document.querySelector("#waiting");
const progress = document.querySelector("#progress");
const jobs = document.querySelector("#jobs");

function follow(state) {
  if (waiting && Object.keys(state.snapshots).length) location.reload();
  if (progress) showProgress(state.progress);
  if (jobs && state.snapshots[jobs.dataset.follow]) location.assign(jobs.dataset.to);
  if (!run || !state.snapshots[run] || state.snapshots[run] === snapshot) return;
  if (document.querySelector(".fresh")) return;
  const note = document.createElement("p");
  const link = document.createElement("a");
  note.className = "fresh";
  note.setAttribute("role", "status");
  link.href = "";
  link.textContent = "Show it";
  note.append("There is a newer snapshot. ", link);
  document.body.append(note);
}

function duration(seconds) {
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

function showProgress(runs) {
  const count = (value) => (value === null ? "?" : value.toLocaleString("en"));
  const shown = (value, text) => (value === null ? "" : text(value));
  const rows = runs.flatMap((each) => each.sides.map((side, n) => [
    each.run, side.name, `${count(side.done)} of ${count(side.records)}`, count(side.lag),
    shown(side.watermark, (share) => `${(100 * share).toFixed(1)} %`), count(side.workers),
    shown(side.rate, (rate) => rate.toFixed(1)),
    n ? "" : shown(each.tokens_per_second, (rate) => Math.round(rate).toLocaleString("en")),
    shown(side.eta, duration), n ? "" : count(each.dead_letters),
    each.failed || (side.lag && side.workers === 0 ? "no worker" : ""),
  ]));
  progress.hidden = !rows.length;
  progress.querySelector("tbody").replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    cells.forEach((text, at) => {
      const cell = document.createElement(at ? "td" : "th");
      if (at > 1 && at < 10) cell.className = "num";
      cell.textContent = text;
      row.append(cell);
    });
    return row;
  }));
}

// A run that is being created or served: the page looks again, unless a form is being filled in.
if (jobs && jobs.dataset.running) {
  const creating = jobs.dataset.running === "running";
  setInterval(() => {
    if (creating || !document.activeElement.closest("form")) location.replace("/start/");
  }, creating ? 2000 : 10000);
}

if ((run || waiting || progress || jobs) && window.EventSource) {
  const events = new EventSource("/events");
  events.addEventListener("message", (event) => follow(JSON.parse(event.data)));
  addEventListener("pagehide", () => events.close());
}
