// The latest answer with its ledger, and the table of all that was heard.

import { nameOf } from "./chart.js";

const ROWS = 100; // of the table, at most
const $ = (id) => document.getElementById(id);
const ms = (value) => value.toFixed(1);
const seconds = (value) => value.toFixed(2);

// A detection of a live stream, `since_ms` after its newest sample came to the page.
export function showDetection({ label, score, threshold, audio_time_s, since_ms, latency }) {
  const { algorithmic_ms, server_ms, queue_ms, compute_ms } = latency;
  showLabel(label, `score ${seconds(score)}, threshold ${seconds(threshold)}`);
  showShares([
    ["model", algorithmic_ms],
    ["way", since_ms - server_ms],
    ["server", server_ms],
  ]);
  showLedger([
    ["Algorithmic", ms(algorithmic_ms), "ms", "sound that the model must hear", "model"],
    ["Since capture", ms(since_ms), "ms", "page, network and server", "way"],
    ["Server", ms(server_ms), "ms", "of it, in the server", "server"],
    ["Queue", ms(queue_ms), "ms", "of it, waiting"],
    ["Compute", ms(compute_ms), "ms", "of it, in the model"],
  ]);
  const cells = [seconds(audio_time_s), seconds(score), ...[since_ms, algorithmic_ms, server_ms, queue_ms, compute_ms].map(ms)];
  const row = element("tr", "", element("th", nameOf(label)), ...cells.map((cell) => element("td", cell)));
  row.firstChild.scope = "row";
  $("heard").hidden = false;
  const body = document.querySelector("#heard tbody");
  body.prepend(row);
  while (body.rows.length > ROWS) body.lastChild.remove();
}

// The answer to a file.
export function showResult({ file, label, score, crossed, decision_time_s, duration_s }) {
  const unheard = Math.max(0, duration_s - decision_time_s);
  showLabel(label, crossed ? `score ${seconds(score)}, in ${file}` : `score ${seconds(score)}: none reached its threshold`);
  showShares([
    ["way", decision_time_s],
    ["rest", unheard],
  ]);
  showLedger([
    ["Decided at", seconds(decision_time_s), "s", "look-ahead included", "way"],
    ["Not needed", seconds(unheard), "s", "of the recording after it", "rest"],
  ]);
}

// A new element each time, so that a word said twice is announced twice.
function showLabel(label, verdict) {
  $("label").className = "";
  $("label").replaceChildren(element("span", nameOf(label)));
  $("verdict").textContent = verdict;
}

function showShares(shares) {
  $("shares").replaceChildren(...shares.map(([name, size]) => {
    const share = element("span");
    share.className = name;
    share.style.flexGrow = Math.max(0, size);
    return share;
  }));
}

function showLedger(entries) {
  $("ledger").replaceChildren(...entries.map(([name, value, unit, note, share]) => {
    const entry = element("div", "", element("dt", name), element("dd", `${value} `, element("small", unit)), element("dd", note));
    if (share) entry.className = share;
    return entry;
  }));
}

function element(tag, text = "", ...children) {
  const made = document.createElement(tag);
  made.append(text, ...children);
  return made;
}
