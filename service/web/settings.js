// What the person has chosen: the model, its keywords, its speed, and a threshold for each mode and speed of it.

const DEFAULT_SPEED = "balanced";
const EARLY_SPEED = "fast"; // at whose thresholds the server makes early detections

export class Settings {
  models = []; // as the server lists them
  model;
  speed = DEFAULT_SPEED;
  wantsEarly = true; // early detections at the microphone
  #keywords = new Map(); // name of a model -> its chosen keywords
  #thresholds = new Map(); // model, mode and speed -> the person's own threshold

  // Keeps the chosen model if the server still has it.
  load(models) {
    this.models = models;
    const chosen = models.find(({ name }) => name === this.model?.name);
    this.choose((chosen ?? models.find((model) => model.default)).name);
  }

  // Each model has its own keywords and speeds.
  choose(name) {
    this.model = this.models.find((model) => model.name === name);
    if (!(this.speed in this.model.speeds)) this.speed = DEFAULT_SPEED;
  }

  get canBeEarly() {
    return EARLY_SPEED in this.model.speeds;
  }

  get keywords() {
    const chosen = this.#keywords.get(this.model.name) ?? this.model.keywords;
    return this.model.keywords.filter((keyword) => chosen.includes(keyword));
  }

  set keywords(chosen) {
    this.#keywords.set(this.model.name, chosen);
  }

  // The chosen keywords and the labels that are not keywords, as the chart shows them.
  get labels() {
    const { labels, keywords } = this.model;
    return labels.filter((label) => !keywords.includes(label) || this.keywords.includes(label));
  }

  // The person's own threshold; undefined where the speed's own apply.
  threshold(mode) {
    return this.#thresholds.get(this.#key(mode));
  }

  setThreshold(mode, value) {
    if (value === undefined) this.#thresholds.delete(this.#key(mode));
    else this.#thresholds.set(this.#key(mode), value);
  }

  // Label -> threshold, of each label that may be the answer.
  thresholds(mode) {
    const bySpeed = this.model.speeds[this.speed][mode];
    const labels = mode === "continuous" ? this.keywords : this.labels;
    return Object.fromEntries(labels.map((label) => [label, this.threshold(mode) ?? bySpeed[label]]));
  }

  // As the server takes them, of a new stream.
  streamRequest(mode) {
    const early = this.canBeEarly && this.wantsEarly;
    return { model: this.model.name, ...this.request(mode), ...(early && { early }) };
  }

  // As the server takes them, of a stream that is open too.
  request(mode) {
    const threshold = this.threshold(mode);
    return { speed: this.speed, keywords: this.keywords, ...(threshold !== undefined && { threshold }) };
  }

  #key(mode) {
    return JSON.stringify([this.model.name, mode, this.speed]);
  }
}
