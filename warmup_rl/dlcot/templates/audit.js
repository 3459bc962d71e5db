"use strict";
let rows = [];
const settings = JSON.parse(document.getElementById("settings").textContent);
const $ = (id) => document.getElementById(id);
const filters = {
  outcome: { all: "any outcome", of: (row) => [row.outcome] },
  reason: { all: "any reason", of: (row) => [...new Set([...row.cuts.map((cut) => cut.reason), row.why, row.dropped])].filter(Boolean) },
  label: { all: "any label", of: (row) => [...new Set(row.approaches.map((approach) => approach.label))] },
  domain: { all: "any domain", of: (row) => [row.domain] },
};
let shown = [], current = null;

/* Text from traces enters the page as text nodes only. */
function make(tag, classes, ...children) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}
/* Control characters get their pictures; marks of direction and without width get their numbers, so that none acts. */
const hidden = /[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g;
const visible = (text) => text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
  .replace(hidden, (c) => `\u27e8U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`);
const signs = { times: "×", cdot: "·", div: "÷", pm: "±", leq: "≤", le: "≤", geq: "≥", ge: "≥", neq: "≠", ne: "≠", approx: "≈", equiv: "≡",
  infty: "∞", pi: "π", theta: "θ", alpha: "α", beta: "β", gamma: "γ", lambda: "λ", mu: "μ", sigma: "σ", phi: "φ", omega: "ω", circ: "°", in: "∈",
  sum: "∑", int: "∫", to: "→", rightarrow: "→", implies: "⇒", Rightarrow: "⇒", cdots: "⋯", ldots: "…", dots: "…", quad: " ", angle: "∠" };
/* LaTeX as plain text, for display only: offsets and the file are those of the text as written. */
const legible = (text) => {
  if (!text.includes("\\") || $("trace").classList.contains("as-written")) return text;
  let before, now = text.replace(/\\[()\[\]]|\\(?:left|right|displaystyle|,|;|!)(?![a-zA-Z])/g, "");
  do {
    before = now;
    now = now.replace(/\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}/g, "($1)/($2)").replace(/\\sqrt\s*\{([^{}]*)\}/g, "√($1)")
      .replace(/\\(?:text|textbf|mathrm|mathbf|boxed|operatorname)\s*\{([^{}]*)\}/g, "$1").replace(/([\^_])\{(\w)\}/g, "$1$2");
  } while (now !== before);
  return now.replace(/\\([a-zA-Z]+)/g, (whole, name) => signs[name] ?? whole);
};
const words = (text, classes = "words") => make("div", classes, legible(visible(text)));
const number = (value) => value.toLocaleString("en");
const className = (reason) => "why-" + reason.replace(/ /g, "-");
const letter = (cluster) => cluster < 26 ? String.fromCharCode(65 + cluster) : String(cluster + 1);
const saved = (row) => row.tokens_before ? Math.round(100 * (1 - row.tokens_after / row.tokens_before)) : 0;

/* Offsets count characters as Python does; JavaScript counts those beyond the first plane twice. */
function slicer(text) {
  if (!/[\ud800-\udfff]/.test(text)) return { length: text.length, slice: (start, end) => text.slice(start, end) };
  const characters = Array.from(text);
  return { length: characters.length, slice: (start, end) => characters.slice(start, end).join("") };
}

function setUpFilters() {
  for (const [id, filter] of Object.entries(filters)) {
    const counts = new Map();
    for (const row of rows) for (const value of filter.of(row)) counts.set(value, (counts.get(value) || 0) + 1);
    const select = $(id);
    select.append(new Option(filter.all, ""));
    for (const [value, count] of [...counts].sort((a, b) => b[1] - a[1])) select.append(new Option(`${value} (${number(count)})`, value));
    select.hidden = id === "domain" && counts.size < 2;
    select.addEventListener("change", () => list());
  }
  let waiting;
  $("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(list, 120); });
}

function matches(row, wanted) {
  if (wanted) {
    row.haystack ??= `${row.question}\n${row.thinking}\n${row.answer}\n${row.problem_id}`.toLowerCase();
    if (!row.haystack.includes(wanted)) return false;
  }
  return Object.entries(filters).every(([id, filter]) => !$(id).value || filter.of(row).includes($(id).value));
}

function list() {
  const wanted = $("search").value.trim().toLowerCase();
  shown = rows.filter((row) => matches(row, wanted));
  $("count").textContent = shown.length === rows.length ? `${number(rows.length)} traces` : `${number(shown.length)} of ${number(rows.length)} traces`;
  $("list").replaceChildren(...shown.map(entry));
  show(shown.includes(current) ? current : shown[0] ?? null, false);
}

function entry(row) {
  const share = row.outcome === "cut" ? `−${saved(row)}%` : row.outcome;
  const count = row.approaches.length;
  const meta = [row.domain, count ? `${count} approach${count === 1 ? "" : "es"}` : "", row.dropped ? "dropped" : ""].filter(Boolean).join(" · ");
  const size = `${number(row.tokens_before)}${row.tokens_after === row.tokens_before ? "" : " → " + number(row.tokens_after)}`;
  const button = make("button", "",
    make("span", "line", make("span", "what", `${row.trace}. ${visible(opening(row))}`), make("span", "saved", share)),
    make("span", "line meta", make("span", "what", meta), make("span", "saved", size)));
  button.type = "button";
  button.addEventListener("click", () => show(row, true));
  row.button = button;
  return make("li", "", button);
}

/* What tells a question from the others of its domain, which may all begin alike. */
const alike = new Map();
function compare() {
  for (const { domain, question } of rows) {
    const known = alike.get(domain) ?? question;
    let length = 0;
    while (length < known.length && known[length] === question[length]) length++;
    alike.set(domain, known.slice(0, length));
  }
}
function opening(row) {
  const from = rows.length > 1 ? alike.get(row.domain).search(/\S*$/) : 0;
  const rest = (row.question.slice(from > 40 ? from : 0).trim() ? row.question.slice(from > 40 ? from : 0) : row.question);
  return rest.slice(0, 160).replace(/\s+/g, " ").trim();
}

function show(row, scroll) {
  current?.button?.removeAttribute("aria-current");
  current = row;
  if (!row) {
    $("trace").replaceChildren(make("p", "empty", "No trace fits these filters."));
    return;
  }
  row.button.setAttribute("aria-current", "true");
  bringIntoList(row.button);
  history.replaceState(null, "", `#${row.trace}`);
  $("trace").replaceChildren(...draw(row));
  if (scroll && $("trace").getBoundingClientRect().top < 0) $("trace").scrollIntoView();
}

/* Scrolls the list alone; `scrollIntoView` would move the page too. */
function bringIntoList(button) {
  const list = $("list"), inner = button.getBoundingClientRect(), outer = list.getBoundingClientRect();
  list.scrollTop += Math.min(0, inner.top - outer.top) + Math.max(0, inner.bottom - outer.bottom);
}

function draw(row) {
  const text = slicer(row.thinking);
  const parts = [head(row), asked(row)];
  if (row.parts.length) parts.push(make("h3", "", "The trace at a glance"), map(row));
  if (row.approaches.length) parts.push(make("h3", "", `${row.approaches.length} approach${row.approaches.length === 1 ? "" : "es"}`), cards(row, text));
  if (row.cuts.length || row.left.length) parts.push(make("h3", "", "Seams"), seams(row, text));
  return [...parts, tools(row), trace(row, text)];
}

function head(row) {
  const ids = `problem ${row.problem_id} · sample ${row.sample} · ${row.domain} · teacher ${row.teacher}`;
  const outcome = { cut: "cut", unchanged: "nothing to cut", doubt: "left as it is", refused: "cut refused" }[row.outcome];
  const top = make("div", "head", make("h2", "", `Trace ${row.trace}`), make("span", `badge ${row.outcome}`, outcome),
    row.dropped ? make("span", "badge dropped", "dropped") : null, make("span", "ids", ids));
  const isCut = row.tokens_after !== row.tokens_before;
  const sizes = make("p", "sizes",
    `${number(row.tokens_before)}${isCut ? ` → ${number(row.tokens_after)}` : ""} ${settings.unit} of thinking${isCut ? ` (−${saved(row)}%)` : ""}`);
  const why = { doubt: "Not taken apart: ", refused: "The original stays: " }[row.outcome];
  return make("div", "", top, sizes, why ? make("p", "why", why + row.why + ".") : null,
    row.dropped ? make("p", "why", `Dropped from the corpus: ${row.dropped}.`) : null,
    row.notes.length ? make("p", "why", `Noticed: ${visible(row.notes.join(", "))}.`) : null);
}

function asked(row) {
  const before = row.verdict_before, after = row.verdict_after;
  const verdict = make("span", "verdict", make("span", `badge ${before}`, before), after ? make("span", "", "→") : null,
    after ? make("span", `badge ${after}`, after) : null, make("span", "", after ? "before and after cleaning" : "before cleaning"));
  const cell = (name, text, more = null) => make("div", "", make("b", "", name), words(text), more);
  return make("section", "asked", cell("Question", row.question), cell("Reference answer", row.gold), cell("Final answer", row.answer, verdict));
}

/* The blocks of a trace in order: parts, and the approaches in place of the exploration. */
function blocks(row, length) {
  const parts = row.parts.length ? row.parts : [{ name: "", start: 0, end: length }];
  return parts.flatMap((part) => part.name === "exploration" && row.approaches.length
    ? row.approaches.map((approach, index) => ({ ...approach, index, name: `approach ${index + 1}` })) : [{ ...part, index: null }]);
}

/* All blocks to scale, with what goes marked in them. */
function map(row) {
  const pieces = blocks(row, 0).map((block) => {
    const length = Math.max(1, block.end - block.start), percent = (count) => `${100 * count / length}%`;
    const piece = make("i", block.index === null ? "piece" : "piece approach", make("span", "", block.index === null ? block.name : `${letter(block.cluster)} ${block.index + 1}`));
    for (const cut of row.cuts.filter((cut) => cut.start < block.end && cut.end > block.start)) {
      const gone = make("i", `gone ${className(cut.reason)}`), start = Math.max(cut.start, block.start);
      gone.style.left = percent(start - block.start);
      gone.style.width = percent(Math.min(cut.end, block.end) - start);
      piece.append(gone);
    }
    piece.style.flexGrow = length;
    if (block.index !== null) {
      piece.style.setProperty("--method", `var(--m${block.cluster % 6})`);
      piece.addEventListener("click", () => go(block.index));
    }
    piece.title = block.index === null ? block.name : `${block.name}: ${visible(block.method)}`;
    return piece;
  });
  return make("div", "map", ...pieces);
}

function go(index) {
  const block = $(`approach-${index}`);
  block.scrollIntoView({ behavior: "smooth", block: "center" });
  block.classList.add("flash");
  setTimeout(() => block.classList.remove("flash"), 1200);
}

/* What became of an approach: [words, reason or null, whether all of it goes]. */
function fate(row, index) {
  const approach = row.approaches[index], mine = row.cuts.filter((cut) => cut.start < approach.end && cut.end > approach.start);
  const length = mine.reduce((sum, cut) => sum + Math.min(cut.end, approach.end) - Math.max(cut.start, approach.start), 0);
  const would = row.outcome === "refused" ? "would be " : "";
  if (!mine.length) return ["kept", null, false];
  if (length < 0.97 * (approach.end - approach.start)) return [`${would ? "would be kept" : "kept"}, ${Math.round(100 * length / (approach.end - approach.start))}% of it cut`, mine[0].reason, false];
  const like = mine[0].like;
  return [like === null || like === index ? `${would}cut: ${mine[0].reason}` : `${would}merged into ${like + 1}`, mine[0].reason, !would];
}

function cards(row, text) {
  const all = row.approaches.map((approach, index) => {
    const [words, reason, isGone] = fate(row, index);
    const tokens = Math.round(row.tokens_before * (approach.end - approach.start) / Math.max(1, text.length));
    const label = approach.label === "incomplete" && approach.settles ? "settles" : approach.label;
    const card = make("button", `card ${reason ? className(reason) : ""} ${isGone ? "is-cut" : ""}`,
      make("span", "top", make("span", "letter", letter(approach.cluster)), `Approach ${index + 1}`, make("span", `badge ${approach.label}`, { correct: "✓ ", incorrect: "✗ ", incomplete: "" }[approach.label] + label)),
      make("span", "method", visible(approach.method)),
      make("span", "opening", visible(text.slice(approach.start, Math.min(approach.end, approach.start + 220)).trim())),
      make("span", "fate", make("span", "reason", reason ? make("i") : null, words), make("span", "tokens", `≈ ${number(tokens)} ${settings.unit}`)));
    card.type = "button";
    card.style.setProperty("--method", `var(--m${approach.cluster % 6})`);
    card.title = `Method ${letter(approach.cluster)}, ${approach.steps.length} step${approach.steps.length === 1 ? "" : "s"}${approach.repaired ? `, ${approach.repaired} of them from the verification` : ""}`;
    card.addEventListener("click", () => go(index));
    return card;
  });
  return make("div", "cards", ...all);
}

/* The sentences before and after each cut, and before and after each place that was left alone. */
function seams(row, text) {
  const sentence = (piece, last) => {
    const all = piece.trim().split(/(?<=[.!?])\s+|\n+/).filter(Boolean);
    return all.at(last ? -1 : 0) ?? "";
  };
  const joined = [];
  for (const cut of row.cuts) {
    const last = joined.at(-1);
    if (last && !text.slice(last.end, cut.start).trim()) last.end = cut.end;
    else joined.push({ ...cut });
  }
  const left = row.left.map((place) => ({ ...place, reason: `left alone: ${place.why}` }));
  return make("ul", "seams", ...[...joined, ...left].sort((a, b) => a.start - b.start).map((place) => make("li", "",
    words(sentence(text.slice(Math.max(0, place.start - 600), place.start), true)),
    make("span", `tag ${place.why ? "" : `cut ${className(place.reason)}`}`, place.reason),
    words(sentence(text.slice(place.end, place.end + 600), false)))));
}

function tools(row) {
  const box = make("input");
  box.type = "checkbox";
  box.id = "hide";
  box.checked = $("trace").classList.contains("without-cuts");
  box.addEventListener("change", () => $("trace").classList.toggle("without-cuts", box.checked));
  const written = make("input");
  written.type = "checkbox";
  written.checked = $("trace").classList.contains("as-written");
  written.addEventListener("change", () => { $("trace").classList.toggle("as-written", written.checked); show(row, false); });
  const isCut = row.outcome === "cut";
  return make("div", "tools", make("h3", "", "The trace"), make("span", "",
    row.thinking.includes("\\") ? make("label", "", written, "LaTeX as written ") : null,
    isCut ? make("label", "", box, "as it was cleaned, without what was cut ", make("kbd", "", "c")) : null));
}

function trace(row, text) {
  return make("div", "text", ...blocks(row, text.length).map((span) => block(row, text, span)));
}

function block(row, text, span) {
  const margin = make("div", "margin");
  const element = make("div", "block", margin, make("div", "words", ...segments(row, text, span)));
  if (span.index === null) margin.append(make("b", "", span.name));
  else {
    element.id = `approach-${span.index}`;
    element.style.setProperty("--method", `var(--m${span.cluster % 6})`);
    margin.append(make("b", "", make("span", "letter", letter(span.cluster)), span.name), make("span", "", span.settles ? "settles" : span.label));
  }
  return element;
}

/* The marks that may lie on a span: cuts, errors, and steps that completeness repair moved in. */
function marks(row, span) {
  const found = row.cuts.map((cut) => ({ ...cut, kind: "cut" }));
  for (const approach of row.approaches) {
    for (const [start, end] of approach.errors) found.push({ start, end, kind: "error" });
    if (approach.repaired) found.push({ start: approach.steps[approach.steps.length - approach.repaired][0], end: approach.end, kind: "repaired" });
  }
  return found.filter((mark) => mark.start < span.end && mark.end > span.start);
}

function segments(row, text, span) {
  const found = marks(row, span);
  const places = new Set([span.start, span.end]);
  for (const mark of found) for (const place of [mark.start, mark.end]) if (place > span.start && place < span.end) places.add(place);
  const sorted = [...places].sort((a, b) => a - b), out = [];
  for (let i = 0; i + 1 < sorted.length; i++) {
    const [start, end] = [sorted[i], sorted[i + 1]];
    const here = found.filter((mark) => mark.start < end && mark.end > start);
    let piece = legible(visible(text.slice(start, end)));
    if (i === 0) piece = piece.replace(/^\s+/, "");
    if (i + 2 === sorted.length) piece = piece.replace(/\s+$/, "");
    if (!here.length) { out.push(piece); continue; }
    const classes = ["seg"];
    for (const mark of here) {
      if (mark.kind === "cut") classes.push(row.outcome === "cut" ? "gone" : "spared", className(mark.reason));
      else classes.push(mark.kind);
      if (Math.max(mark.start, span.start) === start) out.push(tag(row, mark));
    }
    out.push(make("span", classes.join(" "), piece));
  }
  return out;
}

function tag(row, mark) {
  if (mark.kind === "error") return make("span", "tag error", "error");
  if (mark.kind === "repaired") return make("span", "tag repaired", "from the verification");
  const would = row.outcome === "cut" ? "" : "would be cut: ";
  const like = mark.like === null || mark.like === mark.approach ? "" : `, repeats approach ${mark.like + 1}`;
  return make("span", `tag cut ${className(mark.reason)}`, would + mark.reason + like);
}

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input[type=search], select") && event.key !== "Escape") return;
  if (event.metaKey || event.ctrlKey || event.altKey) return;
  const place = shown.indexOf(current);
  if (event.key === "j" && place + 1 < shown.length) show(shown[place + 1], true);
  else if (event.key === "k" && place > 0) show(shown[place - 1], true);
  else if (event.key === "c") $("hide")?.click();
  else if (event.key === "/") { $("search").focus(); event.preventDefault(); }
  else if (event.key === "Escape") event.target.blur();
});
async function load() {
  const bytes = Uint8Array.from(atob($("rows").textContent.trim()), (character) => character.charCodeAt(0));
  const text = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  rows = text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  compare();
  setUpFilters();
  current = rows.find((row) => String(row.trace) === location.hash.slice(1)) ?? null;
  list();
}
load();
