/**
 * A web socket that comes back: reconnects with growing pauses, notices a dead line by heartbeat.
 *
 * Fires "open", "close" and "message" (event.detail is the parsed JSON).
 */

import { urlOf } from "./api.js";

const HEARTBEAT_MS = 15_000;
const SILENCE_MS = 40_000; // nothing heard for so long: the line is dead
const PAUSES_MS = [300, 600, 1_200, 2_500, 5_000, 10_000];

export class Socket extends EventTarget {
  constructor(path = "api/ws") {
    super();
    this.url = urlOf(path).replace(/^http/, "ws");
    /** @type {WebSocket | null} */
    this.socket = null;
    this.attempt = 0;
    this.timer = 0;
    this.heard = 0;
    this.opened = false;
    addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retryNow();
    });
    setInterval(() => this.#beat(), HEARTBEAT_MS);
  }

  get open() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  connect() {
    clearTimeout(this.timer);
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.addEventListener("open", () => {
      this.attempt = 0;
      this.opened = true;
      this.heard = Date.now();
      this.dispatchEvent(new Event("open"));
    });
    socket.addEventListener("message", (event) => {
      if (socket !== this.socket) return;
      this.heard = Date.now();
      const data = JSON.parse(event.data);
      if (data.type !== "heartbeat-ack") {
        this.dispatchEvent(new CustomEvent("message", { detail: data }));
      }
    });
    socket.addEventListener("close", () => {
      if (socket !== this.socket) return;
      this.socket = null;
      const pause = PAUSES_MS[Math.min(this.attempt, PAUSES_MS.length - 1)];
      this.attempt += 1;
      this.timer = setTimeout(() => this.connect(), pause * (0.8 + 0.4 * Math.random()));
      this.dispatchEvent(new Event("close"));
    });
  }

  /** Do not wait for the next pause to end. */
  retryNow() {
    if (this.socket) this.#beat();
    else if (this.opened || this.attempt > 0) this.connect();
  }

  /** @returns {boolean} whether it left; a message that did not is the caller's to keep */
  send(data) {
    if (!this.open) return false;
    this.socket.send(JSON.stringify(data));
    return true;
  }

  #beat() {
    if (!this.open) return;
    if (Date.now() - this.heard > SILENCE_MS) {
      const dead = this.socket;
      dead.close();
      dead.dispatchEvent(new Event("close")); // a dead line may take minutes to say so itself
      return;
    }
    this.send({ type: "heartbeat" });
  }
}
