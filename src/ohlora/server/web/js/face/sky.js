/**
 * The aurora behind her: three curtains of light that sway, drawn small and enlarged by the browser.
 *
 * Light so soft needs few pixels: 160 x 100 of them, ten times a second, cost a computer less than
 * one large animated gradient, and the language model may need the same processor.
 */

const [WIDTH, HEIGHT] = [160, 100];
const PAUSE_MS = 100;

/** Each curtain: where its foot hangs (of the height), how tall, how fast, its colours foot to top. */
const CURTAINS = [
  { foot: 0.36, tall: 0.5, pace: 0.05, shift: 0, colours: [[80, 245, 185], [60, 130, 255]] },
  { foot: 0.22, tall: 0.4, pace: 0.035, shift: 5.3, colours: [[80, 220, 230], [150, 90, 255]] },
  { foot: 0.66, tall: 0.46, pace: 0.043, shift: 3.4, colours: [[110, 130, 255], [205, 110, 240]] },
];

export class Sky {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    canvas.width = WIDTH;
    canvas.height = HEIGHT;
    this.context = canvas.getContext("2d");
    this.picture = this.context.createImageData(WIDTH, HEIGHT);
    this.light = new Float32Array(4 * WIDTH * HEIGHT);
    this.still = false;
  }

  start() {
    this.draw(performance.now() / 1000);
    setInterval(() => {
      if (!this.still && !document.hidden) this.draw(performance.now() / 1000);
    }, PAUSE_MS);
  }

  /** @param {number} t seconds */
  draw(t) {
    this.light.fill(0);
    for (const curtain of CURTAINS) this.#hang(curtain, t);
    const { data } = this.picture;
    for (let i = 0; i < this.light.length; i += 4) {
      const sum = this.light[i + 3];
      if (sum > 0) for (let c = 0; c < 3; c++) data[i + c] = this.light[i + c] / sum;
      data[i + 3] = 255 * (1 - Math.exp(-sum));
    }
    this.context.putImageData(this.picture, 0, 0);
  }

  /** Add one curtain's light: sharp at the foot, fading upwards, in folds along its length. */
  #hang({ foot, tall, pace, shift, colours: [low, high] }, t) {
    const time = t * pace * 2 * Math.PI;
    for (let x = 0; x < WIDTH; x++) {
      const u = x / WIDTH;
      const sway = 0.11 * Math.sin(4.1 * u + time + shift) + 0.05 * Math.sin(9.3 * u - 1.7 * time);
      const folds = 0.6 + 0.4 * Math.sin(14 * u + 1.3 * time + 3 * Math.sin(3 * u - time + shift));
      const along = 0.62 + 0.38 * Math.sin(2.3 * u - 0.6 * time + shift);
      const bright = 1.5 * folds * along;
      for (let y = 0; y < HEIGHT; y++) {
        const up = (foot + sway - y / HEIGHT) / tall; // 0 at the foot, 1 at the top
        if (up < -0.25 || up > 1.6) continue;
        const light = bright * (up < 0 ? (1 + 4 * up) ** 2 : Math.exp(-2.4 * up) * (1 - up / 1.6));
        const mix = Math.min(1, Math.max(0, up));
        const i = 4 * (y * WIDTH + x);
        for (let c = 0; c < 3; c++) this.light[i + c] += light * (low[c] + (high[c] - low[c]) * mix);
        this.light[i + 3] += light;
      }
    }
  }
}
