// What went wrong before a call, in plain words, with what can be done about it.

import { MicrophoneError } from "./microphone.js";
import { CallError, useKey } from "./realtime.js";

const TITLES = {
  unreachable: "The server does not answer",
  refused: "The server refused the call",
  "no-media": "No connection for sound",
};

/** Show why there is no call or no microphone. retry() tries again, type() begins a call without a microphone. */
export function explain(error, notices, { inCall, retry, type }) {
  const again = ["Try again", retry];
  if (error instanceof MicrophoneError) {
    // No second try helps an address that is not secure.
    const actions = [...(error.kind === "insecure" ? [] : [again]), ...(inCall ? [] : [["Type instead", type]])];
    notices.show("microphone", { title: error.title, message: error.message, actions });
  } else if (error instanceof CallError && error.kind === "key") {
    const connect = () => {
      try {
        useKey(field.value.trim());
      } catch (unusable) {
        explain(unusable, notices, { inCall, retry, type });
        return;
      }
      retry();
    };
    const { field } = notices.show("call", {
      title: "API key required",
      message: `${error.message}. It is the API_KEY that the server was started with.`,
      field: "Key",
      actions: [["Connect with this key", connect]],
    });
    field.focus();
  } else if (error instanceof CallError) {
    if (error.kind === "cancelled") return;
    const advice = error.kind === "unreachable" ? " Start it with “make demo” or “goassist up”, then try again." : "";
    notices.show("call", { title: TITLES[error.kind], message: error.message + advice, actions: [again] });
  } else {
    // The browser lacks something, or this page has a defect: the console shows where.
    console.error(error);
    notices.show(inCall ? "microphone" : "call", {
      title: inCall ? "The microphone cannot be used" : "The call could not be started",
      message: `The browser says: ${error.message || error.name}`,
      actions: [again],
    });
  }
}

/** Show why the server takes no call now, for as long as it asked to be left alone. Throws CallError when aborted. */
export async function countDown(error, notices, signal) {
  const reason = error.message ? `${error.message.replace(/\.$/, "")}. ` : "";
  const notice = notices.show("wait", {
    tone: "wait",
    title: error.kind === "busy" ? "The server is at capacity" : "The server is not ready yet",
    message: reason,
    closable: false,
  });
  for (let left = error.retryAfterS; left > 0; left--) {
    notice.update(`${reason}Trying again in ${left} s.`);
    await second(signal);
  }
  notice.update(`${reason}Trying again now.`);
}

function second(signal) {
  return new Promise((done, fail) => {
    const timer = setTimeout(done, 1000);
    signal.addEventListener("abort", () => { clearTimeout(timer); fail(new CallError("cancelled", "")); }, { once: true });
  });
}
