// The server: its models, its answer to a file, a stream. Addresses are relative to the page. Knows no audio device.

import { Fault } from "./fault.js";

const [NORMAL, RESTARTING] = [1000, 1012];

export async function fetchModels(key) {
  return (await ask("v1/models", key)).models;
}

// The answer to one file, with the scores of every frame.
export async function classify(file, settings, key) {
  const body = new FormData();
  body.append("files", file);
  const { results } = await ask(`v1/classify?${new URLSearchParams({ ...settings, trace: true })}`, key, body);
  if (results[0].error) throw new Fault(`${file.name}: ${results[0].error.message}`);
  return results[0];
}

async function ask(path, key, body) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body }).catch(() => {
    throw new Fault("gone");
  });
  if (answer.ok) return answer.json();
  if (answer.status === 401) throw new Fault("key");
  const told = await answer.json().catch(() => ({}));
  throw new Fault(told.error?.message ?? `The server answers ${answer.status}.`);
}

// One stream: PCM up, events down. `on` has a handler for each type of message, and `end(fault or nothing)`.
export class Stream {
  #socket;
  #limit = Infinity; // bytes that may wait to be sent
  #error; // the server's last word

  constructor(settings, key, on) {
    const url = new URL(`v1/stream?${new URLSearchParams(settings)}`, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    this.#socket = new WebSocket(url, key ? [`bearer.${key}`] : []);
    this.#socket.onmessage = ({ data }) => this.#take(JSON.parse(data), on);
    this.#socket.onclose = async ({ code }) => on.end(await this.#reason(code, key));
  }

  get ready() {
    return this.#limit < Infinity && this.#socket.readyState === WebSocket.OPEN;
  }

  // Returns false when the network does not keep up.
  send(block) {
    this.#socket.send(block);
    return this.#socket.bufferedAmount <= this.#limit;
  }

  update(changes) {
    this.#tell({ type: "update", ...changes });
  }

  // The server decides on what it has, says its summary and closes.
  close() {
    if (this.ready) this.#tell({ type: "close" });
    else this.#socket.close();
  }

  #tell(message) {
    if (this.ready) this.#socket.send(JSON.stringify(message));
  }

  #take(message, on) {
    if (message.type === "ready") this.#limit = 2 * message.config.sample_rate * message.limits.max_backlog_s;
    if (message.type === "error" && message.fatal) this.#error = message.message;
    on[message.type]?.(message);
  }

  // Browsers hide why a handshake failed, so ask.
  async #reason(code, key) {
    if (code === NORMAL) return undefined;
    if (this.#error) return new Fault(`The server ended the stream: ${this.#error}.`);
    if (code === RESTARTING) return new Fault("restarting");
    if (this.#limit < Infinity) return new Fault("lost");
    const refused = await fetchModels(key).catch((error) => error);
    if (refused instanceof Error) return refused;
    return new Fault((await fetch("readyz")).ok ? "full" : "restarting");
  }
}
