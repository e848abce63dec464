/** Short notes at the edge of the page, with at most one action; and one-off spoken announcements. */

import { byId, el } from "../dom.js";
import { t } from "../i18n.js";

const SHOW_MS = 6_000;

/**
 * @param {string | [string, Record<string, any>]} text an i18n key
 * @param {{label: string, run: () => void}} [action] `label` is an i18n key
 */
export function toast(text, action) {
  showToast(el("span", { say: text }), action);
}

/** @param {string} sentence already in the page's language */
export function toastSentence(sentence) {
  showToast(el("span", { dir: "auto" }, sentence));
}

function showToast(content, action) {
  const holder = byId("toasts");
  // A modal dialog makes everything outside it inert, so the notes move into it.
  const top = document.querySelector("dialog[open]") ?? document.body;
  if (holder.parentElement !== top) top.append(holder);
  const note = el("div", { class: "toast" }, content);
  const remove = () => note.remove();
  if (action) {
    const run = () => {
      remove();
      action.run();
    };
    note.append(el("button", { type: "button", class: "toast-action", say: action.label, onclick: run }));
  }
  holder.replaceChildren(note); // one at a time
  let timer = setTimeout(remove, SHOW_MS);
  const wait = () => clearTimeout(timer);
  const go = () => {
    wait();
    timer = setTimeout(remove, SHOW_MS);
  };
  note.addEventListener("pointerenter", wait);
  note.addEventListener("pointerleave", go);
  note.addEventListener("focusin", wait);
  note.addEventListener("focusout", go);
}

/** Let a screen reader say something once. @param {string} [lang] when it is not the page's */
export function announce(text, lang) {
  byId("announcer").replaceChildren(el("p", { lang }, text));
}

/** The bar above the messages: the line to the server is down. */
export class Banner {
  /** @param {() => void} retry */
  constructor(retry) {
    this.node = byId("banner");
    this.retry = retry;
    this.timer = 0;
    this.lost = false;
  }

  /** A short break is not worth a word: wait before saying so. */
  show() {
    if (this.lost) return;
    this.lost = true;
    this.timer = setTimeout(() => {
      const key = navigator.onLine ? "link.lost" : "link.offline";
      this.node.replaceChildren(
        el("span", { say: key }),
        el("button", { type: "button", class: "text-button", say: "link.retry", onclick: this.retry }),
      );
      this.node.classList.add("visible");
    }, 1_200);
  }

  hide() {
    clearTimeout(this.timer);
    if (this.node.classList.contains("visible")) announce(t("link.back"));
    this.lost = false;
    this.node.classList.remove("visible");
    this.node.replaceChildren();
  }
}
