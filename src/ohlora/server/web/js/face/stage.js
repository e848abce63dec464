/**
 * The canvas she lives on: blends lattice frames at their own size, then draws one enlarged picture.
 *
 * Tests read `data-fps`, `data-frames` and `data-cell` on the canvas.
 */

import { headShift } from "./align.js";

const SMALL = 0.02; // weights below this are not drawn
const LARGEST = 640; // canvas pixels; the frames hold no more detail than this shows
const FADE = { side: 0.16, top: 0.07 }; // of the frame: where her backdrop melts into the sky

export class Stage {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./lattice.js").Lattice} lattice
   * @param {import("./motion.js").Motion} motion
   */
  constructor(canvas, lattice, motion) {
    this.canvas = canvas;
    this.lattice = lattice;
    this.motion = motion;
    this.context = canvas.getContext("2d");
    this.near = scratch(); // the yaw she is at
    this.far = scratch(); // the yaw she turns to
    /** @type {Map<number, {x: number, y: number}>} */
    this.shifts = new Map();
    this.last = 0;
    this.frames = 0;
    this.counted = 0;
    this.mask = null;
    this.mood = "";
    this.onMood = () => {};
    this.draw = this.draw.bind(this);
  }

  start() {
    new ResizeObserver(() => this.#fit()).observe(this.canvas);
    this.#fit();
    requestAnimationFrame(this.draw);
  }

  #fit() {
    const side = Math.max(this.canvas.clientWidth, this.canvas.clientHeight);
    const pixels = Math.min(LARGEST, Math.round(side * Math.min(devicePixelRatio, 2)) || 1);
    if (this.canvas.width !== pixels) this.canvas.width = this.canvas.height = pixels;
  }

  /** @param {number} now milliseconds */
  draw(now) {
    requestAnimationFrame(this.draw);
    const dt = Math.min(0.1, this.last ? (now - this.last) / 1000 : 0);
    this.last = now;
    const pose = this.motion.step(dt);
    if (this.motion.mood !== this.mood) {
      this.mood = this.motion.mood;
      this.onMood();
    }
    if (this.lattice.bitmaps.size === 0) return;
    this.#paint(pose);
    if (this.frames === 0 && !this.counted) this.#arrive();
    this.#report(now, pose);
  }

  /** The first frame is here: show her, and tint the sky behind her like her own backdrop. */
  #arrive() {
    const dot = scratch();
    dot.canvas.width = dot.canvas.height = 1;
    const [bitmap] = this.lattice.bitmaps.values();
    dot.drawImage(bitmap, 0, 0, bitmap.width, 0.06 * bitmap.height, 0, 0, 1, 1);
    const [red, green, blue] = dot.getImageData(0, 0, 1, 1).data;
    this.canvas.parentElement.style.setProperty("--backdrop", `${red} ${green} ${blue}`);
    this.canvas.classList.add("here");
  }

  #paint(at) {
    const { context, canvas } = this;
    context.clearRect(0, 0, canvas.width, canvas.height);
    const from = Math.floor(at.pose);
    const between = at.pose - from;
    this.#blend(this.near, at.eyes, at.mouth, from);
    const side = canvas.width;
    context.imageSmoothingQuality = "high";
    context.save();
    context.translate(side * (0.5 + at.x), side * (0.9 + at.y));
    context.rotate(at.turn);
    context.scale(at.zoom, at.zoom);
    context.translate(-side * 0.5, -side * 0.9);
    context.drawImage(this.near.canvas, 0, 0, side, side);
    if (between > SMALL) {
      this.#blend(this.far, at.eyes, at.mouth, from + 1);
      const shift = this.#shift(from);
      const fade = between * between * (3 - 2 * between);
      const [x, y] = [shift.x * side, shift.y * side];
      context.drawImage(this.near.canvas, x * between, y * between, side, side);
      context.globalAlpha = fade;
      context.drawImage(this.far.canvas, x * (between - 1), y * (between - 1), side, side);
    }
    context.restore();
  }

  /** Mix the (up to four) eye and mouth frames around a place, all at one yaw, into `target`. */
  #blend(target, eyes, mouth, pose) {
    const [e, m] = [Math.floor(eyes), Math.floor(mouth)];
    const [fe, fm] = [eyes - e, mouth - m];
    const layers = [
      [e, m, (1 - fe) * (1 - fm)],
      [e + 1, m, fe * (1 - fm)],
      [e, m + 1, (1 - fe) * fm],
      [e + 1, m + 1, fe * fm],
    ];
    let total = 0;
    for (const [eye, lip, weight] of layers) {
      if (weight < SMALL) continue;
      const bitmap = this.lattice.frame(eye, lip, pose);
      if (target.canvas.width !== bitmap.width) {
        target.canvas.width = target.canvas.height = bitmap.width;
      }
      total += weight;
      target.globalAlpha = weight / total; // each new layer takes its share from those below
      target.drawImage(bitmap, 0, 0);
    }
    target.globalAlpha = 1;
    target.globalCompositeOperation = "destination-in";
    target.drawImage(this.#soft(target.canvas.width), 0, 0);
    target.globalCompositeOperation = "source-over";
  }

  /** Opaque in the middle, clear at the left, right and upper edge. Made once, at frame size. */
  #soft(side) {
    if (this.mask?.width === side) return this.mask;
    const mask = scratch();
    mask.canvas.width = mask.canvas.height = side;
    mask.fillRect(0, 0, side, side);
    mask.globalCompositeOperation = "destination-in";
    fade(mask, side, 0, (t) => Math.min(t, 1 - t) / FADE.side);
    fade(mask, 0, side, (t) => t / FADE.top);
    this.mask = mask.canvas;
    return this.mask;
  }

  #shift(from) {
    const known = this.shifts.get(from);
    if (known) return known;
    const { eyes, mouth } = this.motion.rest;
    const names = [from, from + 1].map((p) => `${Math.round(eyes)}-${Math.round(mouth)}-${p}`);
    const [a, b] = names.map((name) => this.lattice.bitmaps.get(name));
    if (!a || !b) return { x: 0, y: 0 };
    const shift = headShift(a, b);
    this.shifts.set(from, shift);
    return shift;
  }

  #report(now, at) {
    this.frames += 1;
    if (!this.counted) this.counted = now;
    const { dataset } = this.canvas;
    if (now - this.counted < 500) return;
    dataset.fps = ((this.frames * 1000) / (now - this.counted)).toFixed(1);
    dataset.frames = `${this.lattice.bitmaps.size}`;
    dataset.cell = [at.eyes, at.mouth, at.pose].map((v) => v.toFixed(1)).join(" ");
    this.frames = 0;
    this.counted = now;
  }
}

function scratch() {
  return document.createElement("canvas").getContext("2d");
}

/** Multiply alpha along a line from the corner to (x, y) by a smooth step of `ramp(t)`. */
function fade(context, x, y, ramp) {
  const gradient = context.createLinearGradient(0, 0, x, y);
  for (let i = 0; i <= 40; i++) {
    const k = Math.min(1, Math.max(0, ramp(i / 40)));
    gradient.addColorStop(i / 40, `rgb(0 0 0 / ${k * k * (3 - 2 * k)})`);
  }
  context.fillStyle = gradient;
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
}
