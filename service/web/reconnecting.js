// A stream that goes on when its server stops, moves it, is overloaded or dies: Stream of server.js, opened again.

import { Continuation } from "./continuation.js";
import { Stream } from "./server.js";

const FIRST_DELAY_S = 0.5;
const LONGEST_DELAY_S = 30;
const JITTER = 0.5; // share of a delay by which it may be shorter: clients that lost the same server come back apart
const UNDECIDED_S = 10; // audio that is kept without a stream
const STEADY_MS = 10_000; // a stream that lasted this long resets the delay

export class ReconnectingStream {
  #settings;
  #key;
  #on;
  #continuation;
  #stream;
  #timer; // of the next try
  #delayS = FIRST_DELAY_S;
  #openedAt; // of the present stream; undefined before its `ready`
  #begun = false; // a stream has been ready
  #over = false;
  #updates = 0; // whose `ready` has not come
  #undecidedS = 0; // when the latest stream broke off
  #lostS = 0;

  // As Stream, and `on` has interrupted(error, seconds to the next try) and reconnected({undecided_s, resent_s, lost_s}).
  constructor(settings, key, on) {
    this.#settings = { ...settings };
    this.#key = key;
    this.#on = on;
    this.#continuation = new Continuation(settings.sample_rate);
    this.#open();
  }

  // Whether it takes audio: without a stream too, once there was one.
  get ready() {
    return this.#begun && !this.#over;
  }

  send(block) {
    this.#continuation.push(block);
    if (this.#stream.ready) return this.#stream.send(block);
    this.#lostS += this.#continuation.drop(UNDECIDED_S);
    return true;
  }

  update(changes) {
    if ("speed" in changes) delete this.#settings.threshold;
    Object.assign(this.#settings, changes);
    const sent = this.#stream.update(changes);
    if (sent) this.#updates++;
    return sent;
  }

  close() {
    this.#over = true;
    if (!this.#timer) return this.#stream.close();
    clearTimeout(this.#timer);
    this.#on.end();
  }

  #open() {
    this.#timer = undefined;
    this.#openedAt = undefined;
    const pass = (message) => this.#continuation.receive(message).forEach((event) => this.#on[event.type]?.(event));
    this.#stream = new Stream(this.#settings, this.#key, {
      ready: (message) => this.#ready(message),
      scores: pass,
      detection: pass,
      confirmed: pass,
      retracted: pass,
      summary: pass,
      end: (error) => this.#end(error),
    });
  }

  #ready(message) {
    if (this.#openedAt) {
      this.#updates--;
      return this.#on.ready(message);
    }
    this.#openedAt = Date.now();
    const blocks = this.#continuation.begin(message);
    this.#stream.resend(blocks);
    const isFirst = !this.#begun;
    this.#begun = true;
    // The settings are those of the updates that the broken stream has not answered.
    for (let answers = Math.max(1, this.#updates); answers; answers--) this.#on.ready(message);
    this.#updates = 0;
    if (!isFirst) this.#report(blocks);
  }

  #report(blocks) {
    const samples = blocks.reduce((sum, { length }) => sum + length, 0);
    const resent_s = samples / this.#settings.sample_rate;
    this.#on.reconnected({ undecided_s: this.#undecidedS, resent_s, lost_s: this.#lostS });
    this.#lostS = 0;
  }

  #end(error) {
    for (const message of this.#continuation.interrupt()) this.#on.retracted(message);
    if (this.#over || !this.#begun || !error?.passing) return this.#on.end(error);
    if (this.#openedAt) this.#undecidedS = this.#continuation.undecidedS;
    if (this.#openedAt && Date.now() - this.#openedAt > STEADY_MS) this.#delayS = FIRST_DELAY_S;
    const delayS = this.#delayS * (1 - JITTER * Math.random());
    this.#delayS = Math.min(2 * this.#delayS, LONGEST_DELAY_S);
    this.#timer = setTimeout(() => this.#open(), 1000 * delayS);
    return this.#on.interrupted(error, delayS);
  }
}
