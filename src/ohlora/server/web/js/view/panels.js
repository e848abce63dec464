/** The two side panels are modal <dialog>s: the browser keeps focus inside and Esc closes them. */

import { byId } from "../dom.js";

/**
 * @param {string} panelId
 * @param {string} openerId the button that opens it and gets the focus back
 * @param {() => void} onOpen
 * @returns {{dialog: HTMLDialogElement, close: () => void}}
 */
export function panel(panelId, openerId, onOpen) {
  /** @type {HTMLDialogElement} */
  const dialog = byId(panelId);
  const close = () => dialog.close();
  byId(openerId).addEventListener("click", () => {
    dialog.showModal();
    onOpen();
  });
  dialog.querySelector("[data-close]").addEventListener("click", close);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close(); // the backdrop
  });
  return { dialog, close };
}
