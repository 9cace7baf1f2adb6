// The strip chart of a timeline: its waveform, a lane for the score of each label, a mark for each detection.

const AXIS = 22; // CSS pixels, as all sizes here
const WIDE = { values: 46, wave: 120, lane: 30 };
const NARROW = { values: 36, wave: 92, lane: 25 }; // a phone
const NARROW_BELOW = 560;
const MAX_NAMES = 0.4; // part of the width that the names may take
const FLAG = 20; // height of the flag of a mark
const FLAG_ROWS = 3; // of flags that would cover each other
const SECOND = 140; // width of a second of a live timeline
const LOUDNESS = 0.6; // the waveform is drawn as amplitude to this power, so that quiet speech shows
const GLOW_S = 1; // how long a label stays lit after its detection
const RETRACTED_ALPHA = 0.5;
const NAMES = { _unknown_: "other word", _silence_: "silence" };
const still = matchMedia("(prefers-reduced-motion: reduce)");

export function nameOf(label) {
  return NAMES[label] ?? label;
}

function isHollow(status) {
  return status === "early" || status === "retracted";
}

export class Chart {
  #canvas;
  #scene = {}; // {source: a LiveSession or Recording, labels, thresholds: label -> number}
  #waiting = false;

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(scene) {
    this.#scene = { ...this.#scene, ...scene };
    this.draw();
  }

  // With the next animation frame, however often it is called.
  draw() {
    if (this.#waiting || !this.#scene.source || !this.#scene.labels) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      new Drawing(this.#canvas, this.#scene).draw();
    });
  }
}

// One frame of the chart.
class Drawing {
  constructor(canvas, { source, labels, thresholds }) {
    this.timeline = source.timeline;
    this.whole = source.whole;
    this.decision = source.decision;
    this.labels = labels;
    this.thresholds = thresholds;
    const width = canvas.parentElement.clientWidth;
    this.size = width < NARROW_BELOW ? NARROW : WIDE;
    this.right = width - this.size.values;
    this.height = this.size.wave + this.labels.length * this.size.lane;
    this.pen = sharp(canvas, width, this.height + AXIS);
    this.style = getComputedStyle(canvas);
    this.pen.font = `${this.style.fontSize} ${this.style.fontFamily}`;
    this.pen.textBaseline = "middle";
    const names = this.labels.map((label) => this.pen.measureText(nameOf(label)).width);
    this.left = Math.min(MAX_NAMES * width, Math.max(...names) + 14);
    [this.from, this.to] = this.#span();
    this.visibleScores = this.timeline.scores.filter(({ t }) => t >= this.from - 0.1);
  }

  draw() {
    this.#seconds();
    this.labels.forEach((label, row) => this.#lane(label, row));
    this.#inside(() => {
      this.#wave();
      this.labels.forEach((label, row) => this.#curve(label, row));
      for (const mark of this.timeline.marks) this.#faded(mark, () => this.#line(mark));
    });
    const ends = Array.from({ length: FLAG_ROWS }, () => -Infinity);
    for (const mark of this.timeline.marks) this.#faded(mark, () => this.#flag(mark, ends));
  }

  // What was taken back is pale.
  #faded({ status }, paint) {
    this.pen.globalAlpha = status === "retracted" ? RETRACTED_ALPHA : 1;
    paint();
    this.pen.globalAlpha = 1;
  }

  // A recording is shown whole; a live timeline scrolls, or turns like a page where motion is unwelcome.
  #span() {
    const { end } = this.timeline;
    if (this.whole) return [0, Math.max(end, this.timeline.scores.at(-1)?.t ?? 0) || 1];
    const length = (this.right - this.left) / SECOND;
    const to = still.matches ? length * Math.ceil(end / length || 1) : Math.max(end, length);
    return [to - length, to];
  }

  #x(t) {
    return this.left + ((t - this.from) / (this.to - this.from)) * (this.right - this.left);
  }

  // The y of a score in a lane.
  #y(row, score) {
    const { wave, lane } = this.size;
    return wave + (row + 1) * lane - 3 - score * (lane - 7);
  }

  #color(name) {
    return this.style.getPropertyValue(`--${name}`);
  }

  #inside(paint) {
    this.pen.save();
    this.pen.beginPath();
    this.pen.rect(this.left, 0, this.right - this.left, this.height);
    this.pen.clip();
    paint();
    this.pen.restore();
  }

  #seconds() {
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20];
    const step = steps.find((length) => this.#x(length) - this.#x(0) >= 56) ?? steps.at(-1);
    this.pen.textAlign = "center";
    for (let n = Math.ceil(this.from / step); n * step <= this.to; n++) {
      const x = Math.round(this.#x(n * step));
      this.#stroke("grid", [[x + 0.5, 0], [x + 0.5, this.height]]);
      if (x <= this.right - 12) this.#text("soft", `${+(n * step).toFixed(1)} s`, x, this.height + AXIS / 2);
    }
  }

  #lane(label, row) {
    const { wave, lane } = this.size;
    const bottom = wave + (row + 1) * lane;
    const mark = this.timeline.marks.findLast((earlier) => earlier.label === label && earlier.status !== "retracted");
    const lit = mark && (this.whole || this.timeline.end - mark.t < GLOW_S);
    const score = this.#scoreAtEdge(label);
    this.#stroke("grid", [[0, bottom + 0.5], [this.right + this.size.values, bottom + 0.5]]);
    this.pen.textAlign = "left";
    const color = label.startsWith("_") ? "soft" : "ink";
    this.#text(lit ? "mark" : color, nameOf(label), 2, bottom - lane / 2, this.left - 8);
    this.pen.textAlign = "right";
    if (score !== undefined) this.#text("soft", score.toFixed(2), this.right + this.size.values - 2, bottom - lane / 2);
    const y = this.#y(row, this.thresholds[label]);
    if (this.thresholds[label] < 1) this.#stroke("threshold", [[this.left, y], [this.right, y]], [2, 4]);
  }

  // Of a recording, the score at its one decision; live, the newest.
  #scoreAtEdge(label) {
    return this.whole ? this.decision?.scores[label] : this.timeline.scores.at(-1)?.scores[label];
  }

  // Audio that the one decision on a recording did not need is pale.
  #wave() {
    const middle = this.size.wave / 2 + 6;
    const room = this.size.wave / 2 - 16;
    const y = (value) => middle - Math.sign(value) * Math.abs(value) ** LOUDNESS * room;
    const decided = this.decision?.t ?? Infinity;
    const [trace, unused] = [this.#color("trace"), this.#color("unused")];
    for (const { t, s, low, high } of this.timeline.peaks) {
      if (t < this.from) continue;
      this.pen.fillStyle = t - s / 2 <= decided ? trace : unused;
      const [x, top] = [this.#x(t - s), y(high)];
      this.pen.fillRect(x, top, Math.max(0.7, this.#x(t) - x), Math.max(1, y(low) - top));
    }
  }

  #curve(label, row) {
    if (!this.visibleScores.length) return;
    const points = this.visibleScores.map(({ t, scores }) => [this.#x(t), this.#y(row, scores[label])]);
    const floor = this.#y(row, 0);
    this.pen.fillStyle = this.#color("fill");
    this.#path([[points[0][0], floor], ...points, [points.at(-1)[0], floor]]);
    this.pen.fill();
    this.#stroke(label.startsWith("_") ? "soft" : "trace", points);
  }

  // Hollow while it is not certain, and where it has been taken back.
  #line({ t, label, score, status }) {
    const x = this.#x(t);
    const row = this.labels.indexOf(label);
    const hollow = isHollow(status);
    this.#stroke("mark", [[x, 0], [x, this.height]], hollow ? [3, 3] : []);
    if (row < 0) return; // a keyword that has been switched off since
    this.pen.fillStyle = this.#color(hollow ? "card" : "mark");
    this.pen.strokeStyle = this.#color("mark");
    this.pen.setLineDash([]);
    this.pen.beginPath();
    this.pen.arc(x, this.#y(row, score), 3.5, 0, 2 * Math.PI);
    this.pen.fill();
    this.pen.stroke();
  }

  // In the first row where it covers no earlier flag. `ends`: where the last flag of each row ends.
  #flag({ t, label, status }, ends) {
    const name = nameOf(label);
    const width = this.pen.measureText(name).width + 12;
    const x = this.#x(t);
    if (x < this.left || x > this.right) return;
    const start = Math.min(x, this.right + this.size.values - width);
    const row = Math.max(0, ends.findIndex((end) => end <= start));
    ends[row] = start + width;
    const top = row * (FLAG + 1);
    this.pen.fillStyle = this.pen.strokeStyle = this.#color("mark");
    this.pen.setLineDash([]);
    if (isHollow(status)) this.pen.strokeRect(start + 0.5, top + 0.5, width - 1, FLAG - 1);
    else this.pen.fillRect(start, top, width, FLAG);
    this.pen.textAlign = "left";
    this.#text(isHollow(status) ? "mark" : "on-mark", name, start + 6, top + FLAG / 2 + 0.5);
  }

  #text(color, text, x, y, maxWidth) {
    this.pen.fillStyle = this.#color(color);
    this.pen.fillText(text, x, y, maxWidth);
  }

  #stroke(color, points, dash = []) {
    this.pen.strokeStyle = this.#color(color);
    this.pen.setLineDash(dash);
    this.#path(points);
    this.pen.stroke();
  }

  #path(points) {
    this.pen.beginPath();
    for (const [x, y] of points) this.pen.lineTo(x, y);
  }
}

// A cleared pen in CSS pixels, as sharp as the screen.
function sharp(canvas, width, height) {
  const scale = devicePixelRatio || 1;
  const [across, down] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== across || canvas.height !== down) Object.assign(canvas, { width: across, height: down });
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}
