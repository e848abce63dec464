/** The list of messages: history, what is said now, older pages on scrolling up, days between. */

import { byId, el } from "../dom.js";
import { currentLanguage, dayName, onLanguage } from "../i18n.js";
import { MessageView } from "./message.js";

const NEAR_END_PX = 90;

export class Log {
  /**
   * @param {import("../talk/conversation.js").Conversation} conversation
   * @param {import("../talk/memories.js").MemoryBook} book
   * @param {{ko: string, en: string}} greetings
   */
  constructor(conversation, book, greetings) {
    this.conversation = conversation;
    this.book = book;
    this.greetings = greetings;
    this.scroller = byId("log");
    this.list = byId("messages");
    this.older = byId("older");
    this.toLatest = byId("to-latest");
    this.welcome = byId("welcome");
    /** @type {Map<string, MessageView>} her messages by response_id, the person's by client_id */
    this.views = new Map();
    this.loading = false;
    this.#listen();
  }

  #listen() {
    const on = (name, react) =>
      this.conversation.addEventListener(name, (event) => react.call(this, event.detail));
    on("opened", this.#opened);
    on("older", this.#olderCame);
    on("said", this.#said);
    on("heard", this.#heard);
    on("refused", this.#refused);
    on("turn", this.#turn);
    on("event", this.#event);
    on("connection", this.#connection);
    this.scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.toLatest.addEventListener("click", () => this.toEnd("smooth"));
    new ResizeObserver(() => this.atEnd && this.toEnd()).observe(this.scroller);
    new IntersectionObserver(
      ([entry]) => entry.isIntersecting && !this.older.hidden && this.#loadOlder(),
      { root: this.scroller, rootMargin: "200px 0px 0px 0px" },
    ).observe(this.older);
    onLanguage(() => {
      this.#days();
      this.welcome.replaceChildren();
      this.#greet(!this.welcome.hidden);
    });
  }

  // History

  #opened({ messages, more, pending }) {
    this.views.clear();
    this.list.replaceChildren(...messages.map((message) => this.#fromHistory(message).node));
    this.older.hidden = !more;
    for (const { client_id, text } of pending) this.#said({ clientId: client_id, text });
    this.#greet(messages.length === 0 && pending.length === 0);
    this.#days();
    this.atEnd = true;
    this.toEnd();
  }

  #olderCame({ messages, more }) {
    const { scroller } = this;
    const fromEnd = scroller.scrollHeight - scroller.scrollTop;
    this.list.prepend(...messages.map((message) => this.#fromHistory(message).node));
    this.older.hidden = !more;
    this.#days();
    scroller.scrollTop = scroller.scrollHeight - fromEnd; // what is being read does not move
  }

  async #loadOlder() {
    if (this.loading) return;
    this.loading = true;
    try {
      await this.conversation.loadOlder();
    } catch {
      // Unreachable: scrolling up again asks again.
    } finally {
      this.loading = false;
    }
  }

  /** @param {import("../net/api.js").Message} message */
  #fromHistory(message) {
    const view = this.#make(message.role, new Date(message.created));
    view.setText(message.text);
    view.setState(message.status);
    if (message.status === "streaming" && !message.text) view.waitForText();
    for (const use of message.memories ?? []) view.addMemory(use);
    if (message.role === "assistant" && message.response_id) {
      this.views.set(message.response_id, view);
    }
    return view;
  }

  #make(role, created = new Date()) {
    return new MessageView(role, created, this.book);
  }

  // Now

  #said({ clientId, text }) {
    this.#greet(false);
    const view = this.#make("user");
    view.setText(text);
    view.setState(this.conversation.socket.open ? "sending" : "unsent");
    this.views.set(clientId, view);
    this.#append(view);
    this.toEnd();
  }

  #heard({ clientId, messageId }) {
    const view = this.views.get(clientId);
    if (!view) return;
    view.node.dataset.id = messageId;
    view.setState("complete");
  }

  #refused({ clientId, text, error }) {
    const view = this.views.get(clientId);
    if (!view) return;
    view.setState("failed");
    view.setError(error, () => {
      view.node.remove();
      this.conversation.say(text);
    });
    this.toEnd();
  }

  #turn({ turn, clientId }) {
    if (this.views.has(turn.responseId)) {
      if (clientId === null) this.#rebuild(turn);
      return;
    }
    const view = this.#make("assistant");
    view.asked = this.views.get(clientId)?.text.data ?? null;
    view.waitForText();
    view.setState("streaming");
    this.views.set(turn.responseId, view);
    this.#append(view);
  }

  /** After a reload the events come again from the first: chips are theirs to add. */
  #rebuild(turn) {
    const view = this.views.get(turn.responseId);
    view.chips.replaceChildren();
    for (const use of turn.memories) view.addMemory(use);
    if (turn.text) view.setText(turn.text);
    view.asked ??= view.node.previousElementSibling?.querySelector(".bubble")?.textContent ?? null;
  }

  #event({ turn, event }) {
    const view = this.views.get(turn.responseId);
    if (!view) return;
    if (event === null) view.setState("interrupted");
    else if (event.type === "memory") view.addMemory(turn.memories.at(-1));
    else if (event.type === "error") {
      view.setState("failed");
      view.setError(turn.error, () => view.asked && this.conversation.say(view.asked));
    } else if (event.type === "done") {
      view.setText(turn.text);
      view.setState(turn.status);
      if (turn.status === "complete") view.announce();
    } else if (turn.text.length >= turn.known) view.setText(turn.text);
    if (this.atEnd) this.toEnd();
  }

  #connection({ open }) {
    for (const view of this.views.values()) {
      const { state } = view.node.dataset;
      if (state === "sending" && !open) view.setState("unsent");
      if (state === "unsent" && open) view.setState("sending");
    }
  }

  #append(view) {
    const last = [...this.list.querySelectorAll(".message")].at(-1);
    const day = view.created.toDateString();
    if (last?.dataset.day !== day) this.list.append(dayRow(view.created));
    view.node.dataset.day = day;
    this.list.append(view.node);
    if (this.atEnd) this.toEnd();
  }

  /** Put a line with the date above the first message of each day. */
  #days() {
    for (const row of this.list.querySelectorAll(".day")) row.remove();
    let day = null;
    for (const node of [...this.list.children]) {
      const date = new Date(node.querySelector("time").dateTime);
      node.dataset.day = date.toDateString();
      if (node.dataset.day !== day) node.before(dayRow(date));
      day = node.dataset.day;
    }
  }

  /** An empty conversation begins with her greeting and a few ways to answer it. */
  #greet(empty) {
    this.welcome.hidden = !empty;
    if (!empty || this.welcome.childElementCount > 0) return;
    const start = (event) => this.conversation.say(event.currentTarget.textContent);
    const starters = [1, 2, 3].map((n) =>
      el("button", { type: "button", class: "starter", lang: "ko", say: `chat.starter.${n}`, onclick: start }),
    );
    this.welcome.append(
      el("p", { class: "greeting", dir: "auto" }, this.greetings[currentLanguage()]),
      el("div", { class: "starters" }, ...starters),
    );
  }

  // Scrolling

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    this.atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    this.toLatest.hidden = this.atEnd;
  }

  toEnd(behavior = "instant") {
    this.scroller.scrollTo({ top: this.scroller.scrollHeight, behavior });
    this.atEnd = true;
    this.toLatest.hidden = true;
  }
}

function dayRow(date) {
  return el("li", { class: "day" }, el("span", {}, dayName(date)));
}
