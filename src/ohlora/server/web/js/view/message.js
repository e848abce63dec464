/** One message on the page: a bubble, what became of it, and the chips of its memories. */

import { el, icon, iconButton } from "../dom.js";
import { clockTime, errorText, say, t } from "../i18n.js";
import { memoryChip } from "./chips.js";
import { announce, toast } from "./toasts.js";

export class MessageView {
  /**
   * @param {"user" | "assistant"} role
   * @param {Date} created
   * @param {import("../talk/memories.js").MemoryBook} book
   */
  constructor(role, created, book) {
    this.role = role;
    this.book = book;
    this.created = created;
    this.text = document.createTextNode("");
    this.bubble = el("div", { class: "bubble", dir: "auto", lang: "ko" }, this.text);
    this.chips = el("ul", { class: "chips", hidden: true });
    this.note = el("p", { class: "note" });
    this.time = el("time", { datetime: created.toISOString() }, clockTime(created));
    const author = role === "user" ? "chat.you" : "chat.she";
    this.node = el(
      "li",
      { class: `message ${role}` },
      el("span", { class: "visually-hidden", say: author }),
      el(
        "div",
        { class: "row" },
        this.bubble,
        el("div", { class: "meta" }, this.#copyButton(), this.time),
      ),
      this.note,
      this.chips,
    );
  }

  #copyButton() {
    const button = iconButton("copy", "chat.copy", async () => {
      const done = await copy(this.text.data);
      toast(done ? "chat.copied" : "error.copy");
    });
    button.classList.add("copy");
    return button;
  }

  /** Text is only ever a text node's data. */
  setText(text) {
    const typing = this.bubble.querySelector(".dots");
    if (typing && text) typing.remove();
    if (text.startsWith(this.text.data)) this.text.appendData(text.slice(this.text.data.length));
    else this.text.data = text;
  }

  /** Three dots until the first word comes. */
  waitForText() {
    this.bubble.append(
      el(
        "span",
        { class: "dots" },
        el("span", { class: "visually-hidden", say: "chat.typing" }),
        ...[1, 2, 3].map(() => el("i", { "aria-hidden": "true" })),
      ),
    );
  }

  /** @param {"sending" | "unsent" | "streaming" | "complete" | "interrupted" | "crashed" | "failed"} state */
  setState(state) {
    this.node.dataset.state = state;
    const notes = {
      sending: "chat.sending",
      unsent: "chat.unsent",
      interrupted: "chat.stopped",
      crashed: "chat.crashed",
    };
    if (notes[state]) say(this.note, "text", notes[state]);
    else {
      delete this.note.dataset.text;
      this.note.textContent = "";
    }
    if (state !== "streaming") {
      this.bubble.querySelector(".dots")?.remove();
      this.bubble.parentElement.hidden = this.text.data === "";
    }
  }

  /** @param {import("../net/api.js").MemoryUse} use */
  addMemory(use) {
    this.chips.append(memoryChip(use, this.book));
    this.chips.hidden = false;
  }

  /** One sentence that says what went wrong, and a way on. @param {() => void} retry */
  setError(error, retry) {
    this.node.querySelector(".failure")?.remove();
    const again = () => {
      this.node.querySelector(".failure")?.remove();
      retry();
    };
    this.node.append(
      el(
        "div",
        { class: "failure", role: "alert" },
        icon("alert"),
        el("p", {}, errorText(error)),
        el("button", { type: "button", class: "text-button", say: "chat.retry", onclick: again }),
      ),
    );
  }

  /** The finished reply, once; tokens on their way stay silent. */
  announce() {
    if (this.text.data) announce(t("chat.announce", { text: this.text.data }), "ko");
  }
}

/** @returns {Promise<boolean>} */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text); // no clipboard API over plain http on a network
  }
}

function copyBySelection(text) {
  const box = el("textarea", { class: "visually-hidden", "aria-hidden": "true" });
  box.value = text;
  document.body.append(box);
  const focused = document.activeElement;
  box.select();
  const done = document.execCommand("copy");
  box.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return done;
}
