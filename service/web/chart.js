// The strip chart of a tape: its waveform, a lane for the score of each label, a mark for each decision.

const AXIS = 22; // CSS pixels, as all sizes here
const WIDE = { names: 84, values: 46, wave: 120, lane: 30 };
const NARROW = { names: 78, values: 36, wave: 92, lane: 25 }; // a phone
const NARROW_BELOW = 560;
const SECOND = 140; // width of a second of a live tape, where there is room
const LOUDNESS = 0.6; // the waveform is drawn as amplitude to this power, so that quiet speech shows
const GLOW_S = 1; // how long a label stays lit after its decision
const NAMES = { _unknown_: "other word", _silence_: "silence" };
const still = matchMedia("(prefers-reduced-motion: reduce)");

export function nameOf(label) {
  return NAMES[label] ?? label;
}

export class Chart {
  #canvas;
  #scene; // {tape, labels, thresholds: label -> number, whole: the tape is a file}
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

  // With the next frame, however often it is asked for.
  draw() {
    if (this.#waiting || !this.#scene) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      new Drawing(this.#canvas, this.#scene).draw();
    });
  }
}

// One frame of it.
class Drawing {
  constructor(canvas, scene) {
    Object.assign(this, scene);
    const width = canvas.parentElement.clientWidth;
    this.size = width < NARROW_BELOW ? NARROW : WIDE;
    this.left = this.size.names;
    this.right = width - this.size.values;
    this.height = this.size.wave + this.labels.length * this.size.lane;
    [this.from, this.to] = this.#span();
    this.seen = this.tape.scores.filter(({ t }) => t >= this.from - 0.1);
    this.pen = sharp(canvas, width, this.height + AXIS);
    this.style = getComputedStyle(canvas);
    this.pen.font = `${this.style.fontSize} ${this.style.fontFamily}`;
    this.pen.textBaseline = "middle";
  }

  draw() {
    this.#seconds();
    this.labels.forEach((label, row) => this.#lane(label, row));
    this.#inside(() => {
      this.#wave();
      this.labels.forEach((label, row) => this.#curve(label, row));
      for (const mark of this.tape.marks) this.#line(mark);
    });
    for (const mark of this.tape.marks) this.#flag(mark);
  }

  // A file is shown whole; a live tape runs, or is turned like a page where motion is unwelcome.
  #span() {
    const { end } = this.tape;
    if (this.whole) return [0, Math.max(end, this.tape.scores.at(-1)?.t ?? 0) || 1];
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
    const step = steps.find((step) => this.#x(step) - this.#x(0) >= 56) ?? steps.at(-1);
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
    const mark = this.tape.marks.findLast((mark) => mark.label === label);
    const lit = mark && (this.whole || this.tape.end - mark.t < GLOW_S);
    const score = this.#scoreAtEdge(label);
    this.#stroke("grid", [[0, bottom + 0.5], [this.right + this.size.values, bottom + 0.5]]);
    this.pen.textAlign = "left";
    this.#text(lit ? "mark" : label.startsWith("_") ? "soft" : "ink", nameOf(label), 2, bottom - lane / 2);
    this.pen.textAlign = "right";
    if (score !== undefined) this.#text("soft", score.toFixed(2), this.right + this.size.values - 2, bottom - lane / 2);
    const y = this.#y(row, this.thresholds[label]);
    if (this.thresholds[label] < 1) this.#stroke("bar", [[this.left, y], [this.right, y]], [2, 4]);
  }

  // Of a file, that of its decision; else the newest.
  #scoreAtEdge(label) {
    const [mark] = this.tape.marks;
    return this.whole && mark ? mark.scores[label] : this.tape.scores.at(-1)?.scores[label];
  }

  // Of a file, what was not needed for its decision is pale.
  #wave() {
    const middle = this.size.wave / 2 + 6;
    const room = this.size.wave / 2 - 16;
    const y = (value) => middle - Math.sign(value) * Math.abs(value) ** LOUDNESS * room;
    const decided = this.whole ? (this.tape.marks[0]?.t ?? Infinity) : Infinity;
    const [trace, unheard] = [this.#color("trace"), this.#color("unheard")];
    for (const { t, s, low, high } of this.tape.peaks) {
      if (t < this.from) continue;
      this.pen.fillStyle = t - s / 2 <= decided ? trace : unheard;
      const [x, top] = [this.#x(t - s), y(high)];
      this.pen.fillRect(x, top, Math.max(0.7, this.#x(t) - x), Math.max(1, y(low) - top));
    }
  }

  #curve(label, row) {
    if (!this.seen.length) return;
    const points = this.seen.map(({ t, scores }) => [this.#x(t), this.#y(row, scores[label])]);
    const floor = this.#y(row, 0);
    this.pen.fillStyle = this.#color("fill");
    this.#path([[points[0][0], floor], ...points, [points.at(-1)[0], floor]]);
    this.pen.fill();
    this.#stroke(label.startsWith("_") ? "soft" : "trace", points);
  }

  #line({ t, label, score }) {
    const x = this.#x(t);
    const row = this.labels.indexOf(label);
    this.#stroke("mark", [[x, 0], [x, this.height]]);
    this.pen.fillStyle = this.#color("mark");
    this.pen.beginPath();
    this.pen.arc(x, this.#y(row, score), 3.5, 0, 2 * Math.PI);
    this.pen.fill();
  }

  #flag({ t, label }) {
    const name = nameOf(label);
    const width = this.pen.measureText(name).width + 12;
    const x = this.#x(t);
    if (x < this.left || x > this.right) return;
    const start = Math.min(x, this.right + this.size.values - width);
    this.pen.fillStyle = this.#color("mark");
    this.pen.fillRect(start, 0, width, 20);
    this.pen.textAlign = "left";
    this.#text("on-mark", name, start + 6, 10.5);
  }

  #text(color, text, x, y) {
    this.pen.fillStyle = this.#color(color);
    this.pen.fillText(text, x, y);
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
