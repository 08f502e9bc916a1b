// Maps: points and cells, drawn by uPlot. What they show comes from the page's own JSON form.
"use strict";

const LEVELS = 16;
const style = getComputedStyle(document.documentElement);
const colourOf = (name) => style.getPropertyValue(name).trim();

// The colours of levels 0 (nothing known) to 16, from faint to the hue of activity.
function ramp() {
  const [hot, faint, paper] = ["--ramp-high", "--ramp-low", "--line"].map(colourOf);
  const steps = Array.from({ length: LEVELS }, (_, n) => `color-mix(in oklab, ${hot} ${(100 * n) / (LEVELS - 1)}%, ${faint})`);
  return [paper, ...steps];
}

// A chart whose drawing is ours: uPlot has the axes, the selection and the scales.
function chart(place, { xs, ys, spanX, spanY, paint, nearest, text, open, axis, moved }) {
  const height = () => (place.classList.contains("square")
    ? Math.min(place.clientWidth, Math.max(320, innerHeight * 0.8))
    : Math.max(320, Math.min(innerHeight * 0.75, 640)));
  const tip = document.createElement("div");
  tip.className = "map-tip";
  tip.setAttribute("role", "status");
  let at = -1;
  const ink = colourOf("--soft"), line = colourOf("--line");
  const axes = [0, 1].map((n) => ({ stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, ...axis(n) }));
  const range = (span) => (u, low, high) => (low === null || low === high ? span : [low, high]);
  const plot = new uPlot({
    width: place.clientWidth,
    height: height(),
    legend: { show: false },
    cursor: { drag: { x: true, y: true, uni: 20 }, points: { show: false } },
    scales: { x: { time: false, range: range(spanX) }, y: { range: range(spanY) } },
    axes,
    series: [{}, { paths: () => null, points: { show: false } }],
    hooks: {
      draw: [(u) => { u.ctx.save(); u.ctx.beginPath(); u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height); u.ctx.clip(); paint(u); u.ctx.restore(); }],
      setCursor: [(u) => {
        const { left, top } = u.cursor;
        at = left < 0 ? -1 : nearest(u, left, top);
        tip.textContent = at < 0 ? "" : text(at);
        tip.hidden = at < 0;
        if (at < 0) return;
        tip.style.left = `${Math.max(0, Math.min(left, u.over.clientWidth - tip.offsetWidth - 4))}px`;
        tip.style.top = `${top > u.over.clientHeight / 2 ? top - tip.offsetHeight - 12 : top + 14}px`;
      }],
      setScale: [(u) => moved && moved(u)],
    },
  }, [xs, ys], place);
  plot.over.append(tip);
  tip.hidden = true;
  zoomable(plot, place, spanX, spanY, open, () => at);
  plot.batch(() => {
    plot.setScale("x", { min: spanX[0], max: spanX[1] });
    plot.setScale("y", { min: spanY[0], max: spanY[1] });
  });
  addEventListener("resize", () => plot.setSize({ width: place.clientWidth, height: height() }));
  return plot;
}

function zoomable(plot, place, spanX, spanY, open, at) {
  const scales = () => ["x", "y"].map((key) => [plot.scales[key].min, plot.scales[key].max]);
  const set = ([x, y]) => plot.batch(() => {
    plot.setScale("x", { min: x[0], max: x[1] });
    plot.setScale("y", { min: y[0], max: y[1] });
  });
  const around = (factor, shares) => set(scales().map(([low, high], n) => {
    const middle = low + (high - low) * shares[n];
    return [middle - (middle - low) * factor, middle + (high - middle) * factor];
  }));
  const shift = (x, y) => set(scales().map(([low, high], n) => {
    const by = (high - low) * 0.2 * [x, y][n];
    return [low + by, high + by];
  }));
  plot.over.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { width, height } = plot.over.getBoundingClientRect();
    around(event.deltaY > 0 ? 1.25 : 0.8, [event.offsetX / width, 1 - event.offsetY / height]);
  }, { passive: false });
  let pressed = null;
  plot.over.addEventListener("mousedown", (event) => { pressed = [event.clientX, event.clientY]; });
  plot.over.addEventListener("click", (event) => {
    const still = pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) < 4;
    if (still && at() >= 0) open(at());
  });
  plot.over.addEventListener("dblclick", () => set([spanX, spanY]));
  place.tabIndex = 0;
  place.setAttribute("role", "application");
  place.addEventListener("keydown", (event) => {
    const act = {
      "+": () => around(0.8, [0.5, 0.5]), "=": () => around(0.8, [0.5, 0.5]), "-": () => around(1.25, [0.5, 0.5]),
      "0": () => set([spanX, spanY]), ArrowLeft: () => shift(-1, 0), ArrowRight: () => shift(1, 0),
      ArrowUp: () => shift(0, 1), ArrowDown: () => shift(0, -1),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  });
}

// As the server writes addresses: what browsers would fold away has a sign before it.
const addressPart = (text) => encodeURIComponent(/^(~.*|\.{0,2})$/.test(text) ? `~${text}` : text);
const short = (value) => Number(value).toPrecision(3);

function drawPoints(data) {
  const section = document.querySelector("#points");
  const place = section.querySelector(".map");
  const order = data.x.map((_, n) => n).sort((a, b) => data.x[a] - data.x[b]);
  const of = (list, span) => {
    const wide = (span[1] - span[0]) / 16384;
    return order.map((n) => span[0] + list[n] * wide);
  };
  const xs = of(data.x, data.span_x), ys = of(data.y, data.span_y);
  const byLevel = Array.from({ length: LEVELS + 1 }, () => []);
  order.forEach((n, at) => byLevel[data.level[n]].push(at));
  const padded = ([low, high]) => { const room = (high - low || 1) * 0.03; return [low - room, high + room]; };
  const [spanX, spanY] = [padded(data.span_x), padded(data.span_y)];
  const colours = ramp();
  const label = (n) => (data.labels ? data.labels[n] : String(data.number[n]));
  const called = (n) => data.names[n] || (data.token[n] < 0 ? "" : data.texts[data.token[n]]);
  section.hidden = false;
  place.setAttribute("aria-label", `${xs.length} features by the direction of their decoder`);
  chart(place, {
    xs, ys, spanX, spanY,
    axis: () => ({ size: 44, font: "11px sans-serif" }),
    paint(u) {
      const { min, max } = u.scales.x;
      const share = (spanX[1] - spanX[0]) / (max - min);
      const size = Math.max(2, Math.min(9, (1.8 + 60 / Math.sqrt(xs.length)) * Math.sqrt(share))) * devicePixelRatio;
      byLevel.forEach((list, level) => {
        u.ctx.fillStyle = colours[level];
        for (const at of list) {
          u.ctx.fillRect(u.valToPos(xs[at], "x", true) - size / 2, u.valToPos(ys[at], "y", true) - size / 2, size, size);
        }
      });
    },
    nearest(u, left, top) {
      const [x, y] = [u.posToVal(left, "x"), u.posToVal(top, "y")];
      const [perX, perY] = [u.over.clientWidth / (u.scales.x.max - u.scales.x.min), u.over.clientHeight / (u.scales.y.max - u.scales.y.min)];
      let best = -1, least = 144;
      for (let at = 0; at < xs.length; at += 1) {
        const far = ((xs[at] - x) * perX) ** 2 + ((ys[at] - y) * perY) ** 2;
        if (far < least) [best, least] = [at, far];
      }
      return best;
    },
    text: (at) => `${label(order[at])} ${called(order[at])}`.trim(),
    open: (at) => { location.href = `${place.dataset.list}${addressPart(label(order[at]))}${place.dataset.iteration ? `?iteration=${place.dataset.iteration}` : ""}`; },
    moved(u) {
      const bounds = new URLSearchParams(place.dataset.iteration ? { iteration: place.dataset.iteration } : {});
      for (const key of ["x", "y"]) {
        const { min, max } = u.scales[key];
        if (min === null || min === undefined) return;
        bounds.set(`map.${key}_from`, min.toPrecision(5));
        bounds.set(`map.${key}_to`, max.toPrecision(5));
      }
      document.querySelector("#in-view").href = `${place.dataset.list}?${bounds}`;
    },
  });
  const said = data.colour === "written" ? "dark: labelled or starred" : `${short(data.low)} to ${short(data.high)}${data.logarithmic ? ", logarithmic" : ""}`;
  document.querySelector("#points-legend").textContent = `${said}; ${xs.length.toLocaleString("en")} features`;
}

function drawPairs(data) {
  const section = document.querySelector("#pairs");
  const place = section.querySelector(".map");
  const count = data.labels.length;
  const order = data.a.map((_, n) => n).sort((one, other) => data.a[one] - data.a[other]);
  const xs = order.map((n) => data.a[n]), ys = order.map((n) => count - 1 - data.b[n]);
  const scores = new Map(data.a.map((a, n) => [a * count + data.b[n], data.score[n]]));
  const high = data.score.reduce((most, one) => Math.max(most, one), 0) || 1;
  const span = [-0.5, count - 0.5];
  const colours = ramp();
  const name = (n) => `${data.labels[n] || "(no label)"}${data.tokens[n] ? ` (${data.tokens[n]})` : ""}`;
  const named = (turned) => (u, list) => list.map((value) => (data.labels[turned ? count - 1 - value : value] || "").slice(0, 8));
  section.hidden = false;
  document.querySelector("#pairs-kind").textContent = data.sampled ? "shared rows" : "exact";
  place.setAttribute("aria-label", `Co-activation of ${count} clusters`);
  let under = [-1, -1];
  chart(place, {
    xs, ys, spanX: span, spanY: span,
    axis: (n) => ({ size: n ? 66 : 34, grid: { show: false }, font: "11px sans-serif", incrs: [1, 2, 5, 10, 20, 50, 100, 200], values: named(n === 1) }),
    paint(u) {
      const wide = Math.abs(u.valToPos(1, "x", true) - u.valToPos(0, "x", true));
      const tall = Math.abs(u.valToPos(1, "y", true) - u.valToPos(0, "y", true));
      order.forEach((n, at) => {
        u.ctx.fillStyle = colours[Math.max(1, Math.ceil(LEVELS * Math.sqrt(data.score[n] / high)))];
        u.ctx.fillRect(u.valToPos(xs[at] - 0.5, "x", true), u.valToPos(ys[at] + 0.5, "y", true), Math.max(wide, 1), Math.max(tall, 1));
      });
    },
    nearest(u, left, top) {
      under = [Math.round(u.posToVal(left, "x")), count - 1 - Math.round(u.posToVal(top, "y"))];
      return under.every((n) => n >= 0 && n < count) ? under[0] : -1;
    },
    text() {
      const [a, b] = under;
      if (a === b) return name(a);
      return `${name(a)} and ${name(b)}: ${(scores.get(a * count + b) || 0).toFixed(3)}`;
    },
    open: () => { location.href = data.links[under[0]]; },
  });
  document.querySelector("#pairs-legend").textContent = `Jaccard index of active tokens, up to ${short(high)}, by its square root; ${count.toLocaleString("en")} of ${data.of.toLocaleString("en")} that fire, those that fire most, ordered so that those that are active together stand together. A click opens the column’s.`;
}

const asked = new URLSearchParams(location.search);
asked.set("format", "json");
const told = document.querySelector("#map-state");
fetch(`?${asked}`)
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(answer.statusText))))
  .then(({ points, pairs }) => {
    told.hidden = true;
    if (points) drawPoints(points);
    else if (document.querySelector("#points")) document.querySelector("#no-points").hidden = false;
    if (pairs) drawPairs(pairs);
    else document.querySelector("#no-pairs").hidden = false;
  })
  .catch((error) => { told.textContent = `The map could not be drawn: ${error.message}`; });
