// Errors in words for the person at the page.

const MESSAGES = {
  insecure: "Browsers give the microphone to secure pages only. Open this page on localhost or over https.",
  refused: "The microphone is blocked. Allow it for this page in the browser, then listen again.",
  missing: "No microphone found. Connect one and listen again, or choose a recording.",
  absent: "That microphone is not connected. Choose another one and listen again.",
  busy: "The microphone does not start. Another program may be using it.",
  unplugged: "The microphone was disconnected. Connect it and listen again.",
  unreachable: "The server does not answer. Try again when it is running.",
  full: "The server takes no more streams at the moment. Try again soon.",
  restarting: "The server is starting or stopping. Try again in a moment.",
  overloaded: "The server is overloaded. Try again soon.",
  slow: "The connection is too slow for live audio.",
  key: "This server requires a key. Enter it, then listen.",
};

// Those after which another try may succeed, while it is going on.
const PASSING = {
  unreachable: "The server does not answer.",
  lost: "The connection to the server was lost.",
  full: "The server takes no more streams at the moment.",
  restarting: "The server restarts.",
  overloaded: "The server is overloaded.",
};

// `kind` is a key of MESSAGES, or the message itself. `passing`: what to say while it is tried again, if that may succeed.
export class UserError extends Error {
  constructor(kind) {
    super(MESSAGES[kind] ?? PASSING[kind] ?? kind);
    this.kind = kind;
    this.passing = PASSING[kind];
  }
}
