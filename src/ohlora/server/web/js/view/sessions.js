/** The list of conversations: open, start, rename in place, delete after a second look. */

import { byId, el, iconButton } from "../dom.js";
import { dayName, errorText, onLanguage, say, t } from "../i18n.js";
import { panel } from "./panels.js";
import { toast, toastSentence } from "./toasts.js";

export class SessionsPanel {
  /** @param {import("../talk/conversation.js").Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
    this.list = byId("session-list");
    this.title = byId("title");
    const refresh = () => this.#attempt(() => conversation.loadSessions());
    this.panel = panel("sessions", "open-sessions", refresh);
    byId("sessions-new").addEventListener("click", () => this.#open(null));
    byId("new-session").addEventListener("click", () => this.#open(null));
    for (const name of ["sessions", "opened", "named"]) {
      conversation.addEventListener(name, () => this.#show());
    }
    onLanguage(() => this.#show());
  }

  async #attempt(work) {
    try {
      await work();
      return true;
    } catch (error) {
      toastSentence(errorText(error));
      return false;
    }
  }

  async #open(id) {
    this.panel.close();
    await this.#attempt(() => this.conversation.open(id));
    byId("text").focus();
  }

  #show() {
    const { sessions, sessionId } = this.conversation;
    const current = sessions.find((session) => session.id === sessionId);
    this.title.textContent = current?.title || t("chat.new");
    byId("sessions-empty").hidden = sessions.length > 0;
    if (this.list.querySelector("form, .confirm")) return; // do not pull it from under a hand
    this.list.replaceChildren(...sessions.map((session) => this.#row(session)));
  }

  #row(session) {
    const title = session.title || t("chat.new");
    const row = el("li", { class: "session" });
    const open = el(
      "button",
      {
        type: "button",
        class: "session-open",
        "aria-current": session.id === this.conversation.sessionId ? "true" : null,
        onclick: () => this.#open(session.id),
      },
      el("span", { class: "session-title", dir: "auto" }, title),
      el(
        "span",
        { class: "faint" },
        dayName(new Date(session.updated)),
        " · ",
        el("span", { say: ["sessions.count", { count: session.messages }] }),
      ),
    );
    row.append(
      open,
      iconButton("edit", ["sessions.rename", { title }], () => this.#rename(row, session)),
      iconButton("trash", ["sessions.delete", { title }], () => this.#confirm(row, session)),
    );
    return row;
  }

  #rename(row, session) {
    const input = el("input", { label: "sessions.name", maxlength: 200, dir: "auto" });
    input.value = session.title;
    const done = () => {
      row.replaceWith((row = this.#row(session)));
      row.querySelector("button").focus();
    };
    const form = el(
      "form",
      {
        class: "inline-edit one-line",
        onsubmit: async (event) => {
          event.preventDefault();
          const title = input.value.trim();
          if (title && (await this.#attempt(() => this.conversation.rename(session.id, title)))) {
            session = { ...session, title };
          }
          done();
          this.#show();
        },
        onkeydown: (event) => {
          if (event.key !== "Escape" || event.isComposing) return;
          event.preventDefault();
          event.stopPropagation();
          done();
        },
      },
      input,
      el("button", { class: "text-button strong", say: "save" }),
    );
    row.replaceChildren(form);
    input.focus();
    input.select();
  }

  #confirm(row, session) {
    const back = () => {
      row.replaceWith((row = this.#row(session)));
      row.querySelector("button").focus();
    };
    const remove = async () => {
      const removed = await this.#attempt(() => this.conversation.remove(session.id));
      if (!removed) return back();
      row.remove();
      this.#show();
      toast("sessions.deleted");
      (this.list.querySelector("button") ?? byId("sessions-new")).focus();
    };
    const no = el("button", { type: "button", class: "text-button", say: "cancel", onclick: back });
    const yes = el("button", { type: "button", class: "text-button danger", say: "delete", onclick: remove });
    const box = el(
      "div",
      {
        class: "confirm",
        role: "group",
        onkeydown: (event) => {
          if (event.key !== "Escape") return;
          event.preventDefault();
          event.stopPropagation();
          back();
        },
      },
      el("p", { say: "sessions.confirm" }),
      no,
      yes,
    );
    say(box, "label", ["sessions.delete", { title: session.title || t("chat.new") }]);
    row.replaceChildren(box);
    no.focus();
  }
}
