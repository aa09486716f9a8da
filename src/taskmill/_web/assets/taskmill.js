// What pages do by themselves. Each works without: it only gets livelier.
"use strict";

const byId = (id) => document.getElementById(id);
const root = document.documentElement;
const FIELDS = "input:not([type=checkbox]), select, textarea";

// --- live: the server says that something has changed, and the page is asked for again

const live = { source: null, isDue: false, isBusy: false, pause: 0, nextAt: 0 };
const WORDS = { on: "live", off: "not live", held: "held" };
// In milliseconds.
const SHORTEST_PAUSE = 250;
const AGAIN = 5000;

function show(state) {
  const place = byId("live");
  if (!place || place.dataset.state === state) return;
  place.dataset.state = state;
  place.querySelector(".word").textContent = WORDS[state];
}

// What somebody chose or wrote and has not sent yet.
function isChanged(field) {
  if (!(field instanceof HTMLSelectElement)) return field.value !== field.defaultValue;
  const initial = Math.max([...field.options].findLastIndex((option) => option.defaultSelected), 0);
  return field.selectedIndex !== initial;
}

function isHeld() {
  const page = byId("page");
  const active = document.activeElement;
  return page.hasAttribute("data-still")
    || page.querySelector("td.tick input:checked") !== null
    || [...page.querySelectorAll(FIELDS)].some(isChanged)
    || document.querySelector("dialog[open]") !== null
    || (page.contains(active) && active.matches(FIELDS))
    || (!getSelection().isCollapsed && page.contains(getSelection().anchorNode));
}

// Whether details are open is up to whoever reads them.
htmx.config.morphIgnore.push("open");

// Asked again, because somebody may have begun to use the page while it was asked for.
document.addEventListener("htmx:before:swap", (event) => {
  if (!isHeld()) return;
  event.preventDefault();
  live.isDue = true;
});

async function refresh() {
  if (live.isBusy || document.hidden) return;
  if (isHeld()) { show("held"); return; }
  const wait = live.nextAt - performance.now();
  live.isBusy = true;
  if (wait > 0) await new Promise((done) => setTimeout(done, wait));
  live.isDue = false;
  const began = performance.now();
  try {
    await htmx.ajax("GET", location.pathname + location.search, { target: "#page", select: "#page", swap: "outerMorph" });
    draw();
    showViews();
    show(live.isDue && isHeld() ? "held" : "on");
  } catch {
    show("off");
  }
  // A page that is slow to make is asked for less often.
  const took = performance.now() - began;
  live.nextAt = performance.now() + Math.max(SHORTEST_PAUSE, 4 * took);
  live.isBusy = false;
  if (live.isDue) refresh();
}

function listen() {
  if (live.source || document.hidden || !document.body.dataset.live) return;
  let isFirst = true;
  const source = live.source = new EventSource(document.body.dataset.live);
  source.addEventListener("changed", () => {
    show("on");
    // The first one says what the page was made from, or nearly so.
    live.isDue = true;
    if (isFirst && performance.now() < 1000) { isFirst = false; return; }
    refresh();
  });
  source.onerror = () => {
    show("off");
    if (source.readyState === EventSource.CLOSED) {
      live.source = null;
      setTimeout(listen, AGAIN);
    }
  };
}

function hush() {
  live.source?.close();
  live.source = null;
}

document.addEventListener("visibilitychange", () => (document.hidden ? hush() : listen()));
addEventListener("pagehide", hush);
addEventListener("pageshow", listen);
// What was held goes on when nothing holds it any more.
for (const event of ["change", "focusout", "close", "selectionchange"]) {
  document.addEventListener(event, () => setTimeout(() => { if (live.isDue) refresh(); }, 50), true);
}

// --- charts

const charts = new Map();

// What a variable comes to in this theme: only on an element is it a colour that a canvas understands.
function colour(name, alpha = 1) {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return alpha === 1 ? found : found.replace("rgb(", "rgba(").replace(")", `, ${alpha})`);
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

function told(value, unit) {
  if (unit !== "s") return value.toLocaleString("en");
  if (value === 0) return "0";
  return value < 0.001 ? `${Math.round(value * 1e6)} µs` : value < 1 ? `${+(value * 1000).toPrecision(2)} ms` : `${+value.toPrecision(3)} s`;
}

// Where nothing is pointed at, the legend says how it stands now.
function tellLatest(chart) {
  if (chart.cursor.idx == null) chart.setLegend({ idx: chart.data[0].length - 1 }, false);
}

function draw() {
  for (const [place, chart] of charts) {
    if (!place.isConnected) { chart.destroy(); charts.delete(place); }
  }
  for (const place of document.querySelectorAll("[data-chart]")) {
    const { series, data, unit } = JSON.parse(place.dataset.chart);
    const canvas = place.querySelector(".canvas");
    const known = charts.get(place);
    if (known) { known.setData(data); tellLatest(known); continue; }
    const axis = { stroke: () => colour("--muted"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false } };
    const chart = new uPlot({
      width: canvas.clientWidth, height: 180, padding: [8, 18, 0, 0], legend: { live: true },
      cursor: { drag: { x: false, y: false } },
      scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.1, unit === "s" ? 0.001 : 1)] } },
      axes: [{ ...axis, size: 26, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 52, values: (_, ticks) => ticks.map((tick) => told(tick, unit)) }],
      series: [{ label: "at", value: (_, at) => (at === null ? "–" : clock(at)) }, ...series.map(({ label, tone }) => ({
        label, value: (_, value) => (value === null ? "–" : told(value, unit)), stroke: () => colour(tone), fill: () => colour(tone, 0.12), width: 1.5, points: { show: false },
      }))],
      hooks: { setCursor: [tellLatest] },
    }, data, canvas);
    charts.set(place, chart);
    tellLatest(chart);
  }
}

addEventListener("resize", () => {
  for (const [place, chart] of charts) chart.setSize({ width: place.querySelector(".canvas").clientWidth, height: 180 });
});

// --- theme

const THEMES = ["system", "light", "dark"];

function turnTheme() {
  const now = root.dataset.theme ?? "system";
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  if (next === "system") delete root.dataset.theme; else root.dataset.theme = next;
  try { localStorage.setItem("taskmill-theme", next); } catch { /* for this page only, then */ }
  byId("theme").setAttribute("aria-label", `Theme: ${next}`);
  for (const chart of charts.values()) chart.redraw();
}

// --- views: addresses of the list of jobs, by names that people gave them, kept in this browser

const VIEWS = `taskmill-views ${document.body.dataset.root}`;

function views() {
  try { return JSON.parse(localStorage.getItem(VIEWS)) ?? {}; } catch { return {}; }
}

function keepViews(kept) {
  try { localStorage.setItem(VIEWS, JSON.stringify(kept)); } catch { /* for this page only, then */ }
  showViews(kept);
}

// What the address asks for, wherever in the list one stands.
function query() {
  const asked = new URLSearchParams(location.search);
  asked.delete("after");
  for (const [name, value] of [...asked]) if (!value) asked.delete(name);
  asked.sort();
  return asked.toString();
}

function showViews(kept = views()) {
  const place = byId("views");
  if (!place) return;
  const here = query();
  const names = Object.keys(kept).sort((one, other) => one.localeCompare(other));
  const current = names.find((name) => kept[name] === here);
  place.querySelector("ul").replaceChildren(...names.map((name) => {
    const link = document.createElement("a");
    link.href = `${document.body.dataset.root}/jobs?${kept[name]}`;
    link.textContent = name;
    if (name === current) link.setAttribute("aria-current", "true");
    const entry = document.createElement("li");
    entry.append(link);
    return entry;
  }));
  place.querySelector("[data-view=keep]").hidden = !here || Boolean(current);
  place.querySelector("[data-view=forget]").hidden = !current;
  place.querySelector("[data-view=forget]").value = current ?? "";
  place.hidden = !names.length && !here;
}

document.addEventListener("click", (event) => {
  const deed = event.target.dataset?.view;
  if (deed === "keep") byId("name-view").showModal();
  if (deed === "forget") {
    const { [event.target.value]: _, ...others } = views();
    keepViews(others);
  }
});

byId("name-view")?.addEventListener("close", (event) => {
  const name = byId("view-name").value.trim();
  if (event.target.returnValue === "keep" && name) keepViews({ ...views(), [name]: query() });
  event.target.returnValue = "";
});

// --- ticks

function ticks() {
  return [...document.querySelectorAll("td.tick input")];
}

function count() {
  const ticked = ticks().filter((box) => box.checked).length;
  const place = byId("ticked");
  if (place) place.textContent = ticked ? `${ticked} ticked` : "";
  const all = byId("tick-all");
  if (all) {
    all.checked = ticked > 0 && ticked === ticks().length;
    all.indeterminate = ticked > 0 && !all.checked;
  }
}

document.addEventListener("change", (event) => {
  if (event.target.id === "tick-all") for (const box of ticks()) box.checked = event.target.checked;
  if (event.target.type === "checkbox") count();
});

// --- keys

let isGoing = false;

function move(by) {
  const links = [...document.querySelectorAll("#page table.jobs td.what a")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1)].focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches(FIELDS)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  if (isGoing) {
    isGoing = false;
    const link = document.querySelector(`nav.side a[data-key="${CSS.escape(event.key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
    return;
  }
  switch (event.key) {
    case "g": isGoing = true; setTimeout(() => { isGoing = false; }, 1500); break;
    case "/": event.preventDefault(); byId("find")?.focus(); break;
    case "?": byId("keys")?.showModal(); break;
    case "n": move(1); break;
    case "p": move(-1); break;
    case "x": {
      const box = document.activeElement.closest("tr")?.querySelector("td.tick input");
      if (box) { box.checked = !box.checked; count(); }
      break;
    }
  }
});

// --- begin

byId("theme")?.addEventListener("click", turnTheme);
byId("help")?.addEventListener("click", () => byId("keys").showModal());
const login = document.querySelector("form[data-send]");
if (login) {
  // The token does not stay in the address.
  history.replaceState(null, "", location.pathname);
  login.submit();
}
count();
draw();
showViews();
listen();
