// The latest detection with its latency breakdown, and the table of all words.

import { nameOf } from "./chart.js";
import { element } from "./elements.js";

const RETRACTED = {
  fell: "the score fell again",
  timeout: "it was not confirmed in time",
  verifier: "a second look refused it",
  lost: "no answer came",
};
const MAX_ROWS = 100; // of a live session; the oldest go first
const $ = (id) => document.getElementById(id);
const ms = (value) => value.toFixed(1);
const seconds = (value) => value.toFixed(2);

// Nothing is left of an earlier source. `prompt` says what to do.
export function clearDetections(prompt) {
  $("label").className = "none";
  $("label").replaceChildren("—");
  showBreakdown([], []);
  $("detections").hidden = true;
  $("detections").querySelector("tbody").replaceChildren();
  showPrompt(prompt);
}

// Only while there is nothing else to show.
export function showPrompt(prompt) {
  if ($("label").className === "none") $("explanation").textContent = prompt;
}

// An early detection of a live stream, which may be taken back. `screen_ms` as for `addDetection`.
export function showEarly(message) {
  showLabel(nameOf(message.label), `score ${seconds(message.score)}, not certain yet`, "early");
  showLatency(message);
}

// An early detection was none. What another detection shows since then stays.
export function showRetracted({ label, reason }) {
  if ($("label").className !== "early" || $("label").textContent !== nameOf(label)) return;
  showLabel(nameOf(label), `taken back: ${RETRACTED[reason] ?? reason}`, "retracted");
}

// A final detection of a live stream, `screen_ms` after its newest sample was captured.
export function addDetection(message) {
  const { label, score, threshold, audio_time_s, lead_ms, screen_ms, latency } = message;
  const lead = lead_ms ? `, marked ${lead_ms.toFixed(0)} ms earlier` : "";
  showLabel(nameOf(label), `score ${seconds(score)}, threshold ${seconds(threshold)}${lead}`);
  showLatency(message);
  const { algorithmic_ms, server_ms, queue_ms, compute_ms } = latency;
  const latencies = [screen_ms, algorithmic_ms, server_ms, queue_ms, compute_ms].map(ms);
  const body = showTable("Detected words, newest first", false);
  body.prepend(row(label, audio_time_s, score, latencies));
  while (body.rows.length > MAX_ROWS) body.lastChild.remove();
}

function showLatency({ screen_ms, latency: { algorithmic_ms, server_ms, queue_ms, compute_ms } }) {
  showBreakdown(
    [
      ["model", algorithmic_ms],
      ["transit", screen_ms - server_ms],
      ["server", server_ms],
    ],
    [
      ["Model delay", ms(algorithmic_ms), "ms", "audio that the model waits for before it decides", "model"],
      ["Microphone to screen", ms(screen_ms), "ms", "after that audio: browser, network and server", "transit"],
      ["Server", ms(server_ms), "ms", "the server's part of it", "server"],
      ["Waiting", ms(queue_ms), "ms", "in the server, for the model to be free", "part"],
      ["Computing", ms(compute_ms), "ms", "in the server, running the model", "part"],
    ],
  );
}

// Every word of a recording.
export function showWords({ file, detections, duration_s }) {
  const count = detections.length;
  showLabel(count === 1 ? "1 word" : `${count} words`, `in ${file}${count ? "" : ": no score reached its threshold"}`);
  const length = ["Length", seconds(duration_s), "s", "of the recording"];
  const first = count && ["First word", seconds(detections[0].audio_time_s), "s", "after the start of the recording"];
  showBreakdown([], first ? [first, length] : [length]);
  const rows = detections.map(({ label, audio_time_s, score }) => row(label, audio_time_s, score));
  showTable(`Words in ${file}`, true).replaceChildren(...rows);
  $("detections").hidden = !count;
}

// The one answer to a recording.
export function showAnswer({ file, label, score, crossed, decision_time_s, duration_s }) {
  const rest = Math.max(0, duration_s - decision_time_s);
  showLabel(nameOf(label), `score ${seconds(score)}${crossed ? "" : ", below its threshold"}, in ${file}`);
  showBreakdown(
    [
      ["transit", decision_time_s],
      ["rest", rest],
    ],
    [
      ["Decided at", seconds(decision_time_s), "s", "after the start of the recording", "transit"],
      ["Not needed", seconds(rest), "s", "of the recording after that", "rest"],
    ],
  );
  $("detections").hidden = true;
}

// A new element each time, so that a repeated word is announced again. `kind`: early, retracted or empty.
function showLabel(text, explanation, kind = "") {
  $("label").className = kind;
  $("label").replaceChildren(element("span", text));
  $("explanation").textContent = explanation;
}

function showBreakdown(shares, entries) {
  $("shares").hidden = !shares.length;
  $("shares").replaceChildren(...shares.map(([name, size]) => {
    const share = element("span");
    share.className = name;
    share.style.flexGrow = Math.max(0, size);
    return share;
  }));
  $("breakdown").replaceChildren(...entries.map(([name, value, unit, note, share]) => {
    const amount = element("dd", `${value} `, element("small", unit));
    const entry = element("div", element("dt", name), amount, element("dd", note));
    if (share) entry.className = share;
    return entry;
  }));
}

// Returns the body of the table.
function showTable(caption, recording) {
  const section = $("detections");
  section.hidden = false;
  section.className = recording ? "recording" : "";
  section.querySelector("caption").textContent = caption;
  return section.querySelector("tbody");
}

function row(label, time_s, score, latencies = []) {
  const word = element("th", nameOf(label));
  word.scope = "row";
  return element("tr", word, ...[seconds(time_s), seconds(score), ...latencies].map((cell) => element("td", cell)));
}
