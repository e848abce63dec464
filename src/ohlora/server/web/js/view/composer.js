/**
 * The message box: Enter sends, Shift+Enter breaks the line, and Hangul is never cut in half.
 *
 * While an input method composes a syllable, Enter belongs to it. Browsers differ in the order:
 *   Chrome, Firefox   keydown Enter (isComposing, keyCode 229), then compositionend, then on some
 *                     systems a second, plain keydown Enter
 *   Safari            compositionend, then keydown Enter with keyCode 229 and isComposing false
 * In each order the message leaves once, with its last syllable. Enter that only picks a candidate
 * (kana, hanja) does not send.
 */

import { byId } from "../dom.js";
import { prefs } from "../prefs.js";
import { say } from "../i18n.js";

const IME_KEY = 229;
const SAME_STROKE_MS = 80; // compositionend and its keydown, in Safari
const WARN_AT = 0.9; // of the limit
const HANGUL = /^[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]*$/;

export class Composer extends EventTarget {
  /** Fires "send" (event.detail is the text) and "stop". @param {number} limit characters */
  constructor(limit) {
    super();
    this.limit = limit;
    this.form = byId("composer");
    /** @type {HTMLTextAreaElement} */
    this.box = byId("text");
    this.sendButton = byId("send");
    this.stopButton = byId("stop");
    this.count = byId("count");
    this.session = null;
    this.composing = false;
    this.enterWaits = false; // Enter was pressed while composing
    this.composedAt = -Infinity;
    this.sentAt = -Infinity;
    this.#listen();
  }

  #listen() {
    const { box } = this;
    box.addEventListener("compositionstart", () => {
      this.composing = true;
    });
    box.addEventListener("compositionend", (event) => this.#composed(event));
    box.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("input", () => this.#changed());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.stopButton.addEventListener("click", () => this.dispatchEvent(new Event("stop")));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing || this.stopButton.hidden) return;
      if (document.querySelector("dialog[open], .log form.inline-edit")) return;
      event.preventDefault();
      this.dispatchEvent(new Event("stop"));
    });
  }

  #key(event) {
    if (event.key !== "Enter" && event.code !== "Enter" && event.code !== "NumpadEnter") return;
    if (event.shiftKey || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.isComposing || this.composing) {
      this.enterWaits = true; // the input method takes this Enter; we act when it is done
      return;
    }
    if (event.keyCode === IME_KEY && event.timeStamp - this.composedAt > SAME_STROKE_MS) return;
    event.preventDefault();
    if (event.repeat) return;
    this.enterWaits = false;
    this.send();
  }

  #composed(event) {
    this.composing = false;
    this.composedAt = event.timeStamp;
    if (!this.enterWaits) return;
    if (!HANGUL.test(event.data ?? "")) {
      this.enterWaits = false;
      return;
    }
    // After the box took the last syllable, and after a second keydown if this browser fires one.
    setTimeout(() => {
      if (!this.enterWaits || this.composing) return;
      this.enterWaits = false;
      this.send();
    }, 0);
  }

  #changed() {
    // Some input methods add the line break of an Enter that has already sent the message.
    if (performance.now() - this.sentAt < SAME_STROKE_MS && /^\n+$/.test(this.box.value)) {
      this.box.value = "";
    }
    prefs.keepDraft(this.session, this.box.value);
    this.#show();
  }

  send() {
    const text = this.box.value;
    if (text.trim() === "" || this.#length() > this.limit) return;
    this.box.value = "";
    this.sentAt = performance.now();
    prefs.keepDraft(this.session, "");
    this.#show();
    this.dispatchEvent(new CustomEvent("send", { detail: text }));
  }

  /** Show the draft of a session. @param {string | null} session */
  open(session) {
    this.session = session;
    this.box.value = prefs.draft(session);
    this.#show();
  }

  /** The new conversation has an id now; what is in the box belongs to it. */
  rename(session) {
    prefs.keepDraft(this.session, "");
    this.session = session;
    prefs.keepDraft(session, this.box.value);
  }

  /** Put words back, before what is there. */
  restore(text) {
    this.box.value = this.box.value ? `${text}\n${this.box.value}` : text;
    this.#changed();
    this.focus();
  }

  focus() {
    this.box.focus();
  }

  /** @param {boolean} replying show the stop button */
  replying(replying) {
    const hadFocus = document.activeElement === this.stopButton;
    this.stopButton.hidden = !replying;
    if (hadFocus && !replying) this.focus();
  }

  /** Characters as the server counts them: code points, not UTF-16 units. */
  #length() {
    const { value } = this.box;
    return value.length <= this.limit / 2 ? value.length : [...value].length;
  }

  #show() {
    const length = this.#length();
    const over = length - this.limit;
    this.sendButton.disabled = this.box.value.trim() === "" || over > 0;
    this.form.classList.toggle("too-long", over > 0);
    this.box.toggleAttribute("aria-invalid", over > 0);
    const format = (n) => n.toLocaleString();
    if (over > 0) say(this.count, "text", ["composer.long", { over: format(over) }]);
    else if (length >= WARN_AT * this.limit) {
      say(this.count, "text", ["composer.count", { count: format(length), limit: format(this.limit) }]);
    } else {
      delete this.count.dataset.text;
      this.count.textContent = "";
    }
    this.box.style.height = "auto";
    this.box.style.height = `${this.box.scrollHeight}px`;
  }
}
