// The page: what the person does, and what follows from it.

import { Chart } from "./chart.js";
import { Controls } from "./controls.js";
import { addDetection, clearDetections, showAnswer, showEarly, showPrompt, showRetracted, showWords } from "./detections.js";
import { UserError } from "./errors.js";
import { onFile } from "./file_input.js";
import { LiveSession } from "./live_session.js";
import { listMicrophones, onMicrophonesChanged } from "./microphone.js";
import { Recording } from "./recording.js";
import { fetchModels } from "./server.js";
import { Settings } from "./settings.js";
import { Timeline } from "./timeline.js";

const DEBOUNCE_MS = 80; // from the last change of a setting to the decision on a recording
const NO_SOURCE = { timeline: new Timeline(), whole: false };
const $ = (id) => document.getElementById(id);
const chart = new Chart($("chart"));
const settings = new Settings();
const controls = new Controls(settings, {
  change: settingsChanged,
  model: modelChanged,
  stream: () => isListening() && listen(),
  key: start,
  noKeyword: () => showStatus("Keep at least one keyword."),
});

let source = NO_SOURCE; // the LiveSession or Recording that the page shows
let deciding; // a timer
let asked; // the newest request for a decision on a recording

// Settings

// Thresholds of a stream and of a single answer differ.
function mode() {
  return source instanceof Recording && $("one-answer").checked ? "utterance" : "continuous";
}

function showSettings() {
  controls.show(mode());
  chart.show({ labels: settings.labels, thresholds: settings.thresholds(mode()) });
  showPrompt(prompt());
}

function prompt() {
  return source instanceof Recording ? "" : `Say ${settings.keywords.join(", ")}.`;
}

function settingsChanged() {
  showSettings();
  if (isListening()) source.update(settings.request(mode()));
  if (source instanceof Recording) decideSoon();
}

// What another model scored says nothing here.
function modelChanged() {
  controls.showModel();
  if (source instanceof Recording) openRecording(source.file);
  else if (isListening()) listen();
  else showReady();
}

function showReady() {
  setSource(NO_SOURCE);
  const { name, frame_ms } = settings.model;
  showStatus(`Ready: ${name} decides every ${frame_ms} ms.`);
}

async function loadModels() {
  settings.load(await fetchModels(controls.key));
  controls.showModel();
  showSettings();
}

// Nothing that an earlier source has shown stays, and nothing that still comes from it is shown.
function setSource(next) {
  if (isListening()) source.stop();
  clearTimeout(deciding);
  source = next;
  chart.show({ source });
  if (settings.model) showSettings();
  clearDetections(settings.model ? prompt() : "");
  showListening();
}

// The microphone

function isListening() {
  return source instanceof LiveSession && !source.over;
}

async function listen() {
  const shown = (show) => (...event) => source === session && show(...event);
  const listening = (config) => showStatus(`Listening at ${config.sample_rate / 1000} kHz.`);
  const session = new LiveSession({
    ready: shown((config) => (session.level.silent ? showSilence() : listening(config))),
    silent: shown((silent) => (silent ? showSilence() : listening(session.config))),
    change: shown(showProgress),
    early: shown(showEarly),
    detection: shown(addDetection),
    interrupted: shown(showInterruption),
    reconnected: shown(showReconnection),
    retracted: shown(showRetracted),
    end: shown(showEnd),
  });
  setSource(session);
  showStatus("Asking for the microphone.");
  try {
    if (!settings.model) await loadModels();
    await session.begin(settings.streamRequest(mode()), { key: controls.key, deviceId: controls.deviceId });
    await showMicrophones();
  } catch (error) {
    session.stop();
    shown(showEnd)(undefined, error);
  }
}

function stopListening() {
  source.stop();
  showStatus("Stopped.");
  showListening();
}

function showListening() {
  $("listen").textContent = isListening() ? "Stop" : "Listen";
  $("listen").classList.toggle("on", isListening());
  if (!isListening()) $("level").value = $("level").min;
}

function showInterruption(error, delayS) {
  showStatus(`${error.passing} Connecting again in ${delayS.toFixed(1)} s.`, "error");
}

function showReconnection({ undecided_s, lost_s }) {
  const lost = lost_s ? ` ${lost_s.toFixed(1)} s of sound are lost.` : "";
  showStatus(`Connected again: ${undecided_s.toFixed(1)} s of sound were not decided on and went to the server again.${lost}`);
}

function showProgress() {
  chart.draw();
  $("level").value = source.level.db;
}

function showSilence() {
  showStatus("No sound from this microphone. Check that it is not muted, or choose another one.", "error");
}

function showEnd(summary, reason) {
  showListening();
  if (reason) return showError(reason);
  if (!summary) return;
  const { audio_s, detections, latency } = summary;
  showStatus(`Stopped after ${audio_s.toFixed(1)} s: ${words(detections)}. ${describeLatency(latency)}`);
}

function describeLatency({ p50_ms, p99_ms }) {
  if (p50_ms === null) return "";
  const [half, most] = [p50_ms, p99_ms].map((value) => `${value.toFixed(1)} ms`);
  return `In the server half of the decisions took at most ${half}, 99 % at most ${most}.`;
}

async function showMicrophones() {
  controls.showMicrophones(await listMicrophones());
}

// Recordings

async function openRecording(file) {
  const recording = new Recording(file);
  setSource(recording);
  showStatus(`Reading ${file.name}.`);
  try {
    if (!settings.model) await loadModels();
    await recording.read();
    if (source === recording) await decide();
  } catch (error) {
    if (source === recording) showError(error);
  }
}

function decideSoon() {
  clearTimeout(deciding);
  deciding = setTimeout(decide, DEBOUNCE_MS);
}

// Shows the answer to the newest request only.
async function decide() {
  const recording = source;
  const request = (asked = { model: settings.model.name, mode: mode(), ...settings.request(mode()) });
  const outdated = () => source !== recording || asked !== request;
  try {
    const result = await recording.decide(settings.model, request, controls.key);
    if (!outdated()) showResult(result);
  } catch (error) {
    if (outdated()) return;
    recording.clear();
    clearDetections("");
    chart.draw();
    showError(error);
  }
}

function showResult({ result, show }) {
  show();
  chart.draw();
  if (result.detections) {
    showWords(result);
    const count = words(result.detections.length);
    showStatus(`${result.file}: ${count}. Change the speed, threshold or keywords to decide again.`);
  } else {
    showAnswer(result);
    const rule = "the first score to reach its threshold is the answer. A lower threshold answers earlier.";
    showStatus(`${result.file}: ${rule}`);
  }
}

function words(count) {
  return count === 1 ? "1 word" : `${count} words`;
}

// Status

function showStatus(text, kind = "") {
  $("status").textContent = text;
  $("status").className = kind;
}

function showError(error) {
  showStatus(error.message, "error");
  if (error.kind === "key") controls.askForKey();
  if (!(error instanceof UserError)) throw error;
}

// What the person does

$("listen").onclick = () => (isListening() ? stopListening() : listen());
$("one-answer").onchange = () => {
  if (!(source instanceof Recording && settings.model)) return;
  showSettings();
  clearTimeout(deciding);
  decide();
};
onFile(openRecording);

// The other pages of the server want the same key.
function showLinks() {
  for (const link of document.querySelectorAll("footer a")) {
    link.search = controls.key ? new URLSearchParams({ token: controls.key }) : "";
  }
}

async function start() {
  showLinks();
  try {
    await loadModels();
    if (source instanceof Recording) openRecording(source.file);
    else if (!isListening()) showReady();
  } catch (error) {
    showError(error);
  }
}

controls.key = new URLSearchParams(location.search).get("token") ?? "";
onMicrophonesChanged(showMicrophones);
setSource(NO_SOURCE);
showMicrophones();
start();
