/** Puts the page together: asks the server who she is, then connects views and conversation. */

import { byId, el } from "./dom.js";
import { currentLanguage, errorText, fillPage, onLanguage, say, setLanguage, setNames, t } from "./i18n.js";
import { api } from "./net/api.js";
import { Socket } from "./net/socket.js";
import { prefs } from "./prefs.js";
import { Conversation } from "./talk/conversation.js";
import { MemoryBook } from "./talk/memories.js";
import { Composer } from "./view/composer.js";
import { Her } from "./view/her.js";
import { Log } from "./view/log.js";
import { MemoryPanel } from "./view/memory_panel.js";
import { SessionsPanel } from "./view/sessions.js";
import { Banner } from "./view/toasts.js";

fillPage();
look();
start();

/** Theme and language. */
function look() {
  const theme = byId("theme");
  const word = byId("language-word");
  const show = () => {
    const dark = prefs.theme === "dark";
    say(theme, "label", dark ? "bar.light" : "bar.dark");
    theme.querySelector("use").setAttribute("href", `static/icons.svg#${dark ? "sun" : "moon"}`);
    word.textContent = currentLanguage() === "ko" ? "EN" : "한";
  };
  theme.addEventListener("click", () => {
    prefs.theme = prefs.theme === "dark" ? "light" : "dark";
    show();
  });
  byId("language").addEventListener("click", () => {
    setLanguage(currentLanguage() === "ko" ? "en" : "ko");
  });
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", show);
  onLanguage(show);
  show();
}

async function start() {
  let info;
  try {
    info = await api.info();
  } catch (error) {
    failed(error);
    return;
  }
  setNames(info.persona.names);
  fillPage();
  const socket = new Socket();
  const conversation = new Conversation(socket);
  const book = new MemoryBook();
  const composer = new Composer(info.limits.text_chars);
  const banner = new Banner(() => socket.retryNow());
  const entitle = () => (document.title = `${t("app.title")} · Oh-LoRA`);
  onLanguage(entitle);
  entitle();

  new Log(conversation, book, info.persona.greetings);
  new SessionsPanel(conversation);
  new MemoryPanel(book);
  new Her(conversation, info.face);

  composer.addEventListener("send", ({ detail }) => conversation.say(detail));
  composer.addEventListener("stop", () => conversation.stop());
  const replying = () => composer.replying(conversation.current !== undefined);
  const on = (event, react) => conversation.addEventListener(event, (e) => react(e.detail));
  on("turn", replying);
  on("event", ({ turn, event }) => {
    replying();
    if (event?.type === "memory" && event.action !== "recalled") book.heard(turn.memories.at(-1).memory);
  });
  on("opened", ({ session }) => {
    prefs.session = session;
    composer.open(session);
    replying();
  });
  on("named", ({ session }) => {
    if (conversation.sessionId !== session) return;
    prefs.session = session;
    composer.rename(session);
    conversation.loadSessions().catch(() => {});
  });
  on("connection", ({ open }) => (open ? banner.hide() : banner.show()));

  socket.connect();
  try {
    await Promise.all([openLast(conversation), conversation.loadSessions()]);
  } catch (error) {
    failed(error);
    return;
  }
  document.documentElement.dataset.ready = "";
  if (matchMedia("(pointer: fine)").matches) composer.focus();
}

/** The conversation that was open last, if it is still there. */
async function openLast(conversation) {
  try {
    await conversation.open(prefs.session);
  } catch (error) {
    if (error.status !== 404) throw error;
    await conversation.open(null);
  }
}

/** Nothing works without the server: say so once, clearly, with a way on. */
function failed(error) {
  const again = el("button", { type: "button", class: "wide", say: "error.retry", onclick: () => location.reload() });
  byId("messages").replaceChildren(
    el("li", { class: "failure", role: "alert" }, el("p", {}, `${t("error.start")}. ${errorText(error)}`), again),
  );
}
