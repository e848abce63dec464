/**
 * The conversation: which session is open, what was said, which replies are on their way.
 *
 * Knows no DOM. Fires CustomEvents the views listen to:
 *   sessions                       the list changed
 *   opened      {session, messages, more, pending}
 *   older       {messages, more}
 *   said        {clientId, text}   shown at once, before the server has it
 *   heard       {clientId, messageId}
 *   refused     {clientId, text, error}
 *   turn        {turn, clientId}   a reply begins
 *   event       {turn, event}      and goes on; `event` is null when it was stopped here
 *   named       {session}          the new conversation has its id now
 *   connection  {open}
 */

import { ApiError, api } from "../net/api.js";
import { Outbox, newClientId } from "./outbox.js";
import { Turn } from "./turn.js";

export class Conversation extends EventTarget {
  /** @param {import("../net/socket.js").Socket} socket */
  constructor(socket) {
    super();
    this.socket = socket;
    this.outbox = new Outbox();
    /** @type {import("../net/api.js").SessionInfo[]} */
    this.sessions = [];
    /** @type {string | null} null: a new conversation, made when the first message is sent */
    this.sessionId = null;
    /** @type {Map<string, Turn>} by response_id */
    this.turns = new Map();
    this.oldest = null;
    /** @type {Promise<string> | null} the new conversation on its way */
    this.making = null;
    socket.addEventListener("open", () => this.#reconnected());
    socket.addEventListener("close", () => this.#fire("connection", { open: false }));
    socket.addEventListener("message", (event) => this.#receive(event.detail));
  }

  #fire(name, detail = {}) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** The reply now streaming in the open session. @returns {Turn | undefined} */
  get current() {
    const here = [...this.turns.values()].filter((t) => t.sessionId === this.sessionId);
    return here.findLast((turn) => !turn.over && !turn.stopped);
  }

  // Sessions

  async loadSessions() {
    this.sessions = await api.sessions();
    this.#fire("sessions");
  }

  /** Open a session and show its latest messages; null opens an empty, new one. */
  async open(sessionId) {
    this.sessionId = sessionId;
    this.making = null;
    if (sessionId === null) {
      this.oldest = null;
      this.#fire("opened", { session: null, messages: [], more: false, pending: [] });
      return;
    }
    const { messages, more } = await api.messages(sessionId);
    if (this.sessionId !== sessionId) return; // another one was opened meanwhile
    this.oldest = messages[0]?.id ?? null;
    this.#reconcile(sessionId, messages);
    const pending = this.outbox.of(sessionId);
    this.#fire("opened", { session: sessionId, messages, more, pending });
    for (const message of messages) {
      if (message.status === "streaming" && message.response_id) this.#follow(message);
    }
    for (const entry of pending) this.#post(entry);
  }

  async loadOlder() {
    const { sessionId, oldest } = this;
    if (sessionId === null || oldest === null) return;
    const { messages, more } = await api.messages(sessionId, { before: oldest });
    if (this.sessionId !== sessionId) return;
    this.oldest = messages[0]?.id ?? oldest;
    this.#fire("older", { messages, more });
  }

  async rename(sessionId, title) {
    await api.renameSession(sessionId, title);
    await this.loadSessions();
  }

  async remove(sessionId) {
    await api.deleteSession(sessionId);
    if (sessionId === this.sessionId) await this.open(null);
    await this.loadSessions();
  }

  // Talking

  /** Say something. A reply still on its way is cut short, by the server too: people interrupt. */
  async say(text) {
    const clientId = newClientId();
    this.#fire("said", { clientId, text });
    if (this.current) this.#drop(this.current);
    let sessionId = this.sessionId;
    if (sessionId === null) {
      try {
        sessionId = await this.#makeSession();
      } catch (error) {
        this.#fire("refused", { clientId, text, error });
        return;
      }
    }
    const entry = { client_id: clientId, session_id: sessionId, text };
    this.outbox.add(entry);
    this.#post(entry);
  }

  /** One new session, also when two messages are sent before it is there. */
  #makeSession() {
    this.making ??= api
      .newSession()
      .then(({ id }) => {
        if (this.sessionId === null) this.sessionId = id;
        this.#fire("named", { session: id });
        return id;
      })
      .finally(() => {
        this.making = null;
      });
    return this.making;
  }

  /** Stop the reply. Whatever of it still arrives is not shown. */
  stop() {
    const turn = this.current;
    if (!turn) return;
    this.socket.send({ type: "interrupt-signal", response_id: turn.responseId });
    this.#drop(turn);
  }

  #drop(turn) {
    turn.stopped = true;
    this.#fire("event", { turn, event: null });
  }

  #post({ client_id, session_id, text }) {
    // When the line is down it stays in the outbox and leaves on reconnection.
    this.socket.send({ type: "text-input", session_id, text, client_id });
  }

  // Receiving

  #receive(data) {
    if (data.type === "turn-started") return this.#started(data);
    const turn = this.turns.get(data.response_id);
    if (turn && data.seq !== undefined) return this.#advance(turn, data);
    if (data.type === "error") this.#refused(data);
  }

  #started(data) {
    const entry = this.outbox.take(data.client_id);
    if (!this.turns.has(data.response_id)) {
      this.turns.set(data.response_id, new Turn(data.response_id, data.session_id));
    }
    if (data.session_id !== this.sessionId) return;
    if (entry) this.#fire("heard", { clientId: data.client_id, messageId: data.user_message_id });
    this.#fire("turn", { turn: this.turns.get(data.response_id), clientId: data.client_id });
  }

  #advance(turn, event) {
    const shown = turn.text;
    const outcome = turn.apply(event);
    if (outcome === "hole") {
      if (turn.askedAfter === turn.seq) return;
      turn.askedAfter = turn.seq;
      this.socket.send({ type: "resume", response_id: turn.responseId, after: turn.seq });
      return;
    }
    if (outcome === "repeat") return;
    if (turn.stopped && !turn.over) {
      turn.text = shown; // stale: it left before the stop reached the server
      return;
    }
    if (turn.sessionId === this.sessionId) this.#fire("event", { turn, event });
    if (turn.over) this.loadSessions().catch(() => {});
  }

  #refused(data) {
    const error = new ApiError(400, data);
    const entry = data.client_id ? this.outbox.take(data.client_id) : undefined;
    if (entry) this.#fire("refused", { clientId: entry.client_id, text: entry.text, error });
    else this.#lost(data);
  }

  /** The server no longer knows a reply we asked to resume: what it has stored is the truth. */
  #lost(data) {
    for (const turn of this.turns.values()) {
      if (!turn.over && (!data.response_id || data.response_id === turn.responseId)) {
        turn.status = "crashed";
      }
    }
    if (this.sessionId !== null) this.open(this.sessionId).catch(() => {});
  }

  /** @param {import("../net/api.js").Message} message a reply that was on its way at a reload */
  #follow({ response_id: responseId, text }) {
    let turn = this.turns.get(responseId);
    if (!turn) {
      turn = new Turn(responseId, this.sessionId);
      turn.known = text.length;
      this.turns.set(responseId, turn);
    }
    this.#fire("turn", { turn, clientId: null });
    this.socket.send({ type: "resume", response_id: responseId, after: turn.seq });
  }

  /**
   * After a dropped line: send what was not confirmed (the server knows a repeat by its client_id)
   * and follow every unfinished reply from where it broke off.
   */
  #reconnected() {
    this.#fire("connection", { open: true });
    for (const turn of this.turns.values()) {
      if (turn.over) continue;
      turn.askedAfter = turn.seq;
      this.socket.send({ type: "resume", response_id: turn.responseId, after: turn.seq });
      if (turn.stopped) {
        this.socket.send({ type: "interrupt-signal", response_id: turn.responseId });
      }
    }
    for (const entry of this.outbox.entries) this.#post(entry);
  }

  /** Words that reached the server although its answer did not reach us need no second bubble. */
  #reconcile(sessionId, messages) {
    const known = new Set(messages.map((message) => message.client_id));
    for (const entry of this.outbox.of(sessionId)) {
      if (known.has(entry.client_id)) this.outbox.take(entry.client_id);
    }
  }
}
