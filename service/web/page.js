// The page: what the person does, and which part it moves.

import { showDetection, showResult } from "./answer.js";
import { Chart } from "./chart.js";
import { Fault } from "./fault.js";
import { Listening } from "./listening.js";
import { Recording } from "./recording.js";
import { fetchModels } from "./server.js";
import { Tape } from "./tape.js";

const DECIDE_AFTER_MS = 80; // of a slider at rest
const $ = (id) => document.getElementById(id);
const controls = $("controls").elements;
const chart = new Chart($("chart"));

let models = []; // as the server lists them
let listening = null;
let recording = null; // the one that is shown
let deciding; // a timer

// Settings

function model() {
  return models.find(({ name }) => name === controls.model.value);
}

// A speed of the model, or a threshold of the person's own.
function choice() {
  const speed = controls.speed.value;
  return speed ? { speed } : { threshold: controls.threshold.valueAsNumber };
}

function thresholds() {
  const { speed, threshold } = choice();
  if (speed) return model().speeds[speed][recording ? "utterance" : "continuous"];
  return Object.fromEntries(model().labels.map((label) => [label, threshold]));
}

// The slider stands amid a speed's thresholds, which differ from word to word.
function showThresholds(byLabel) {
  const values = model().keywords.map((label) => byLabel[label]).sort();
  if (controls.speed.value) controls.threshold.value = values[values.length >> 1];
  const [low, high] = [values[0], values.at(-1)].map((value) => value.toFixed(2));
  const text = low === high ? low : `${low} to ${high} by word`;
  $("threshold-value").textContent = controls.threshold.ariaValueText = text;
  chart.show({ thresholds: byLabel });
}

function changed() {
  if (!model()) return;
  showThresholds(thresholds());
  listening?.update(choice());
  if (recording) decideSoon();
}

// The server

async function meetServer() {
  models = await fetchModels(controls.key.value);
  for (const model of models) model.keywords = model.labels.filter((label) => !label.startsWith("_"));
  controls.model.replaceChildren(...models.map(({ name, default: first }) => new Option(name, name, first, first)));
  $("models").hidden = models.length < 2;
  showModel();
}

function showModel() {
  $("keywords").textContent = model().keywords.join(", ");
  chart.show({ tape: new Tape(), labels: model().labels, thresholds: thresholds(), whole: false });
  showThresholds(thresholds());
}

// Listening

async function listen() {
  const mine = new Listening({
    ready: ({ config }) => (showThresholds(config.threshold), say(`Listening at ${config.sample_rate / 1000} kHz.`)),
    change: () => chart.draw(),
    detection: showDetection,
    end: (summary, reason) => ended(mine, summary, reason),
  });
  setListening(mine);
  say("Asking for the microphone.");
  try {
    if (!model()) await meetServer();
    recording = null;
    chart.show({ tape: mine.tape, whole: false });
    await mine.begin({ model: model().name, ...choice() }, controls.key.value);
  } catch (error) {
    ended(mine, undefined, error);
  }
}

function stop() {
  if (!listening) return;
  listening.stop();
  say("Stopped.");
  setListening(null);
}

function setListening(one) {
  listening = one;
  $("listen").textContent = one ? "Stop" : "Listen";
  $("listen").classList.toggle("on", Boolean(one));
}

function ended(mine, summary, reason) {
  if (listening === mine) setListening(null);
  if (reason) return sayFault(reason);
  if (!summary || listening || recording) return;
  const { p50_ms, p99_ms } = summary.latency;
  const latency = p50_ms === null ? "" : `; in the server ${p50_ms.toFixed(1)} ms at the median, ${p99_ms.toFixed(1)} at p99`;
  say(`Stopped. ${summary.audio_s.toFixed(1)} s heard, ${summary.detections} words${latency}.`);
}

// Recordings

async function show(file) {
  stop();
  try {
    if (!model()) await meetServer();
    const mine = (recording = new Recording(file));
    await mine.read();
    if (recording !== mine) return;
    showThresholds(thresholds());
    await decide();
  } catch (error) {
    sayFault(error);
  }
}

function decideSoon() {
  clearTimeout(deciding);
  deciding = setTimeout(() => decide().catch(sayFault), DECIDE_AFTER_MS);
}

async function decide() {
  const [mine, asked] = [recording, JSON.stringify(choice())];
  const result = await mine.decide(model(), choice(), controls.key.value);
  if (recording !== mine || asked !== JSON.stringify(choice())) return;
  chart.show({ tape: mine.tape, whole: true });
  showResult(result);
  say(`${mine.file.name}: the first label to reach its threshold is the answer. Move it to answer earlier or later.`);
}

// Words

function say(text) {
  $("status").textContent = text;
  $("status").className = "";
}

function sayFault(error) {
  say(error.message);
  $("status").className = "fault";
  if (error.kind === "key") $("keys").hidden = false;
  if (!(error instanceof Fault)) throw error;
}

// What the person does

$("listen").onclick = () => (listening ? stop() : listen());
$("speeds").onchange = changed;
controls.threshold.oninput = () => {
  for (const radio of controls.speed) radio.checked = false;
  changed();
};
controls.model.onchange = () => {
  const live = listening;
  stop();
  showModel();
  live ? listen() : changed();
};
controls.key.onchange = () => start();
$("controls").onsubmit = (event) => event.preventDefault();
$("file").onchange = ({ target }) => {
  if (target.files.length) show(target.files[0]);
  target.value = "";
};
document.ondragover = (event) => (event.preventDefault(), $("drop").classList.add("over"));
document.ondragleave = () => $("drop").classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  if (event.dataTransfer.files.length) show(event.dataTransfer.files[0]);
};

async function start() {
  try {
    await meetServer();
    say(`Ready: ${model().name}, ${model().frame_ms} ms a frame.`);
  } catch (error) {
    sayFault(error);
  }
}

controls.key.value = new URLSearchParams(location.search).get("token") ?? "";
start();
