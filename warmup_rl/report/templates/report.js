"use strict";
const $ = (id) => document.getElementById(id);
const settings = JSON.parse($("settings").textContent), names = settings.columns;
const TELLING = 10;
let problems = [], shown = [], current = null;

/* Text of models enters the page as text nodes only. */
function make(tag, classes, ...children) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}
const [COLUMN, SEED, SAMPLE, OUTCOME, TOKENS, TEXT] = [0, 1, 2, 3, 4, 5];
const side = (problem, id) => problem.a.filter((one) => one[COLUMN] === Number($(id).value) && (!$("seed").value || String(one[SEED]) === $("seed").value));
const rate = (answers) => answers.length ? answers.filter((one) => one[OUTCOME] === "correct").length / answers.length : NaN;

/* A flip tells more the more often it happens, and if the failing side has a wrong answer rather than none; then the shorter. */
function judge(problem) {
  const left = side(problem, "left"), right = side(problem, "right");
  problem.rates = [rate(left), rate(right)];
  const change = problem.rates[1] - problem.rates[0];
  problem.change = Number.isNaN(change) ? "one side only" : change > 0 ? "gained" : change < 0 ? "lost"
    : problem.rates[0] === 1 ? "right in both" : problem.rates[0] === 0 ? "wrong in both" : "as often";
  const failed = [...left, ...right].filter((one) => one[OUTCOME] !== "correct");
  problem.weight = Math.abs(change || 0) + 0.2 * failed.filter((one) => one[OUTCOME] === "wrong").length / (failed.length || 1)
    - 1e-5 * Math.min(5000, [...left, ...right].reduce((sum, one) => sum + one[TEXT].length, 0) / (left.length + right.length || 1));
}

/* The most telling flips first, gains and losses in turn, so that neither hides the other. */
function ranked(found) {
  const sorted = [...found].sort((a, b) => b.weight - a.weight), top = [];
  const kinds = ["gained", "lost"].map((kind) => sorted.filter((problem) => problem.change === kind));
  for (let turn = 0; top.length < TELLING && kinds.some((kind) => kind.length); turn++) {
    const next = kinds[turn % 2].shift();
    if (next) top.push(next);
  }
  for (const problem of found) problem.top = top.indexOf(problem) + 1;
  const order = ["gained", "lost"], flips = sorted.filter((one) => !one.top && order.includes(one.change));
  return [...top, ...flips, ...sorted.filter((one) => !one.top && !order.includes(one.change))];
}

function list() {
  const wanted = $("search").value.trim().toLowerCase();
  problems.forEach(judge);
  const known = $("change").value;
  $("change").replaceChildren(new Option("any change", ""), ...["gained", "lost", "right in both", "wrong in both", "as often", "one side only"]
    .map((kind) => [kind, problems.filter((one) => one.change === kind).length]).filter(([, count]) => count).map(([kind, count]) => new Option(`${kind} (${count})`, kind)));
  $("change").value = [...$("change").options].some((option) => option.value === known) ? known : "";
  shown = ranked(problems.filter((one) => (!$("domain").value || one.d === $("domain").value) && (!$("change").value || one.change === $("change").value)
    && (!wanted || (one.hay ??= `${one.id}\n${one.q}\n${one.a.map((a) => a[TEXT]).join("\n")}`.toLowerCase()).includes(wanted))));
  const part = settings.kept < settings.all ? `, of ${settings.all} measured` : "";
  $("count").textContent = `${shown.length === problems.length ? "" : `${shown.length} of `}${problems.length} problems${part}`;
  $("list").replaceChildren(...shown.map(entry));
  show(shown[0] ?? null);
}

function entry(problem) {
  const sign = { gained: "▲ gained", lost: "▼ lost" }[problem.change] ?? problem.change;
  const share = (value) => Number.isNaN(value) ? "–" : value.toFixed(2).replace(/^0/, "");
  const button = make("button", problem.top ? "top" : "", make("span", "what", `${problem.top ? `★ ${problem.top}  ` : ""}${problem.q.replace(/\s+/g, " ").slice(0, 140)}`),
    make("span", "meta", make("span", "", problem.d), make("span", problem.change, `${sign}  ${share(problem.rates[0])} → ${share(problem.rates[1])}`)));
  button.type = "button";
  button.addEventListener("click", () => show(problem));
  problem.button = button;
  return make("li", "", button);
}

/* Marks what was searched for, by text nodes. */
function marked(text) {
  const wanted = $("search").value.trim(), low = text.toLowerCase();
  if (!wanted || low.length !== text.length) return [text];
  const out = [];
  let from = 0;
  for (let at; (at = low.indexOf(wanted.toLowerCase(), from)) >= 0; from = at + wanted.length) out.push(text.slice(from, at), make("mark", "", text.slice(at, at + wanted.length)));
  return [...out, text.slice(from)];
}

function column(problem, id, prefer) {
  const answers = side(problem, id), box = make("div", "side"), body = make("div", "completion"), badge = make("p", "ids");
  const chips = answers.map((one) => {
    const right = one[OUTCOME] === "correct", several = answers.filter((other) => other[SEED] === one[SEED]).length > 1;
    const chip = make("button", right ? "correct" : "failed", `${right ? "✓" : "✗"} seed ${one[SEED]}${several ? `.${one[SAMPLE]}` : ""}`);
    chip.type = "button";
    chip.addEventListener("click", () => choose(one, chip));
    return chip;
  });
  const choose = (one, chip) => {
    chips.forEach((other) => other.setAttribute("aria-pressed", other === chip));
    body.replaceChildren(...marked(one[TEXT] || "(empty)"));
    badge.replaceChildren(make("span", `badge ${one[OUTCOME] === "correct" ? "correct" : "failed"}`, one[OUTCOME]), one[TOKENS] ? ` · ${one[TOKENS]} tokens` : "");
  };
  box.append(make("h4", "", names[$(id).value] ?? ""), make("div", "chips", ...chips), badge, body);
  const first = Math.max(0, answers.findIndex((one) => (one[OUTCOME] === "correct") === prefer));
  if (answers.length) choose(answers[first], chips[first]);
  else body.append("Not measured here.");
  return box;
}

function show(problem) {
  current?.button?.removeAttribute("aria-current");
  current = problem;
  if (!problem) return $("pair").replaceChildren(make("p", "empty", "No problem fits these filters."));
  problem.button.setAttribute("aria-current", "true");
  const list = $("list"), inner = problem.button.getBoundingClientRect(), outer = list.getBoundingClientRect();
  list.scrollTop += Math.min(0, inner.top - outer.top) + Math.max(0, inner.bottom - outer.bottom);
  const sides = names.length > 1 ? [column(problem, "left", problem.change !== "gained" && problem.change !== "wrong in both"), column(problem, "right", problem.change !== "lost" && problem.change !== "wrong in both")]
    : [column(problem, "left", true)];
  $("pair").replaceChildren(make("p", "ids", `${problem.d} · problem ${problem.id} · reference answer ${problem.g || "–"}`),
    make("div", "question", ...marked(problem.q)), make("div", "sides", ...sides));
}

function options(id, all, values) {
  $(id).replaceChildren(...(all ? [new Option(all, "")] : []), ...values.map(([value, text]) => new Option(text, value)));
  $(id).hidden = values.length < 2;
  $(id).addEventListener("change", list);
}

async function start() {
  const bytes = Uint8Array.from(atob($("rows").textContent), (one) => one.charCodeAt(0));
  const text = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  problems = text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  if (!problems.length) return $("completions").remove();
  for (const id of ["left", "right"]) options(id, "", names.map((name, number) => [number, name]));
  [$("left").value, $("right").value] = settings.sides;
  const distinct = (of) => [...new Set(problems.flatMap(of))].map((value) => [value, String(value)]);
  options("domain", "any domain", distinct((one) => [one.d]));
  options("seed", "all seeds", distinct((one) => one.a.map((a) => a[SEED])).map(([value]) => [value, `seed ${value}`]));
  options("change", "any change", [["gained", ""], ["lost", ""]]);
  let waiting;
  $("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(list, 150); });
  list();
}
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { j: 1, k: -1 }[event.key];
  if (event.key === "/") { event.preventDefault(); $("search").focus(); }
  else if (step) show(shown[Math.min(shown.length - 1, Math.max(0, shown.indexOf(current) + step))] ?? null);
});
const ready = start();
