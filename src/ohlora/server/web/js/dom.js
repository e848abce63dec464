/** Building elements. Text becomes text nodes only; nothing here parses HTML. */

import { say } from "./i18n.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Record<string, any>} [props] attributes; "on*" are listeners; `say` is the i18n key of the
 *   text (an array adds its arguments), `label` that of the accessible name and tooltip
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElement}
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "say") say(node, "text", value);
    else if (name === "label") say(node, "label", value);
    else node.setAttribute(name, value === true ? "" : `${value}`);
  }
  for (const child of children) if (child) node.append(child);
  return node;
}

/** @param {string} name a symbol of icons.svg, drawn in the colour of the text around it */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `static/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** A button that shows only an icon; `label` names it for everybody else. */
export function iconButton(name, label, onclick, props = {}) {
  return el("button", { type: "button", class: "icon-button", label, onclick, ...props }, icon(name));
}

/** @template {HTMLElement} T @returns {T} */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`index.html has no #${id}`);
  return /** @type {T} */ (node);
}
