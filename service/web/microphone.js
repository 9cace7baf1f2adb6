// The microphone: blocks of pcm_s16le at the device's rate, each with its time of capture. Knows no server.

import { UserError } from "./errors.js";

const MAX_RATE = 48000; // the server's maximum; the browser resamples what a faster device delivers
const RAW = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const MONO = { channelCount: 1, channelCountMode: "explicit", outputChannelCount: [1] };
const KINDS = {
  NotAllowedError: "refused",
  NotFoundError: "missing",
  OverconstrainedError: "absent",
  NotReadableError: "busy",
};

// Calls onBlock({block, at}) for each block, and onEnd when the device disappears. Throws a UserError.
// `deviceId` is one of listMicrophones(), or empty for the system's default.
export async function openMicrophone(deviceId, onBlock, onEnd) {
  if (!navigator.mediaDevices || !window.AudioWorkletNode) throw new UserError("insecure");
  const context = openContext();
  try {
    await context.audioWorklet.addModule(new URL("worklet.js", import.meta.url)).catch(() => {
      throw new UserError("unreachable");
    });
    const audio = deviceId ? { ...RAW, deviceId: { exact: deviceId } } : RAW;
    const media = await navigator.mediaDevices.getUserMedia({ audio });
    const [track] = media.getAudioTracks();
    track.onended = onEnd;
    const capture = new AudioWorkletNode(context, "capture", MONO);
    capture.port.onmessage = ({ data }) => onBlock(data);
    context.createMediaStreamSource(media).connect(capture).connect(context.destination); // silent; keeps it running
    await context.resume();
    return { rate: context.sampleRate, close: () => (track.stop(), context.close()) };
  } catch (error) {
    context.close();
    if (error instanceof UserError) throw error;
    throw new UserError(KINDS[error.name] ?? `The microphone does not start: ${error.message}`);
  }
}

// [{deviceId, label}] of the connected microphones; empty until the person has allowed one.
export async function listMicrophones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.filter(({ kind, deviceId, label }) => kind === "audioinput" && deviceId !== "default" && label);
}

export function onMicrophonesChanged(listener) {
  navigator.mediaDevices?.addEventListener("devicechange", listener);
}

function openContext() {
  const context = new AudioContext({ latencyHint: "interactive" });
  if (context.sampleRate <= MAX_RATE) return context;
  context.close();
  return new AudioContext({ latencyHint: "interactive", sampleRate: MAX_RATE });
}
