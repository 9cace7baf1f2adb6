// The form of settings: shows them and changes them. Knows no server and no audio.

import { element } from "./elements.js";

const $ = (id) => document.getElementById(id);

export class Controls {
  #fields = $("settings").elements;
  #settings;
  #mode; // the one whose thresholds are shown

  // `on` has change(), model(), stream() for what only a new stream takes, key() and noKeyword(): the person tried to
  // switch off the last one.
  constructor(settings, on) {
    this.#settings = settings;
    $("settings").onsubmit = (event) => event.preventDefault();
    $("speeds").onchange = ({ target }) => ((settings.speed = target.value), on.change());
    $("keywords").onchange = ({ target }) => this.#chooseKeywords(target, on);
    this.#fields.threshold.oninput = ({ target }) => this.#chooseThreshold(target.valueAsNumber, on);
    $("reset").onclick = () => this.#reset(on);
    this.#fields.model.onchange = ({ target }) => (settings.choose(target.value), on.model());
    this.#fields.early.onchange = ({ target }) => ((settings.wantsEarly = target.checked), on.stream());
    this.#fields.microphone.onchange = on.stream;
    this.#fields.key.onchange = on.key;
  }

  get key() {
    return this.#fields.key.value;
  }

  set key(value) {
    this.#fields.key.value = value;
  }

  get deviceId() {
    return this.#fields.microphone.value;
  }

  askForKey() {
    $("key-field").hidden = false;
  }

  // After the model has changed.
  showModel() {
    const { models, model, keywords } = this.#settings;
    this.#fields.model.replaceChildren(...models.map(({ name }) => new Option(name, name, false, name === model.name)));
    $("early-field").hidden = !this.#settings.canBeEarly;
    $("model-field").hidden = models.length < 2;
    this.#fields.threshold.disabled = false;
    replaceChoices($("speeds"), "radio", "speed", Object.keys(model.speeds));
    replaceChoices($("keywords"), "checkbox", "keyword", model.keywords);
    for (const box of this.#boxes) box.checked = keywords.includes(box.value);
  }

  // After any setting has changed.
  show(mode) {
    this.#mode = mode;
    for (const radio of document.querySelectorAll("[name=speed]")) radio.checked = radio.value === this.#settings.speed;
    const values = this.#settings.keywords.map((label) => this.#settings.thresholds(mode)[label]);
    values.sort((a, b) => a - b);
    const [low, high] = [values[0], values.at(-1)].map((value) => value.toFixed(2));
    this.#fields.threshold.value = values[values.length >> 1];
    const text = low === high ? low : `${low} to ${high}, by word`;
    $("threshold-value").textContent = this.#fields.threshold.ariaValueText = text;
    $("reset").hidden = this.#settings.threshold(mode) === undefined;
  }

  showMicrophones(devices) {
    const select = this.#fields.microphone;
    const chosen = devices.some(({ deviceId }) => deviceId === select.value) ? select.value : "";
    const options = devices.map(({ deviceId, label }) => new Option(label, deviceId));
    select.replaceChildren(new Option("System default", ""), ...options);
    select.value = chosen;
    $("microphone-field").hidden = !devices.length;
  }

  get #boxes() {
    return [...document.querySelectorAll("[name=keyword]")];
  }

  #chooseKeywords(box, on) {
    const chosen = this.#boxes.filter(({ checked }) => checked).map(({ value }) => value);
    if (!chosen.length) {
      box.checked = true;
      return on.noKeyword();
    }
    this.#settings.keywords = chosen;
    on.change();
  }

  #chooseThreshold(value, on) {
    this.#settings.setThreshold(this.#mode, value);
    on.change();
  }

  // The button hides, so the slider takes the focus.
  #reset(on) {
    this.#fields.threshold.focus();
    this.#chooseThreshold(undefined, on);
  }
}

function replaceChoices(fieldset, type, name, values) {
  const choices = values.map((value) => {
    const input = Object.assign(document.createElement("input"), { type, name, value });
    return element("label", input, element("span", value));
  });
  fieldset.querySelector(".choices").replaceChildren(...choices);
}
