/**
 * By how much her head moves across the picture from one yaw frame to the next.
 *
 * A plain cross-fade between two yaws shows two heads. Sliding both frames along this shift while
 * they fade keeps the eyes and the mouth over each other, so only one head is seen.
 */

const SIDE = 64; // pixels of the small grey copies that are compared
const REACH = 14; // largest shift looked for, in those pixels

/**
 * The shift (fractions of the frame) that lays `from` over `to`, by least squares on the middle.
 * @param {ImageBitmap} from
 * @param {ImageBitmap} to
 * @returns {{x: number, y: number}}
 */
export function headShift(from, to) {
  const [a, b] = [grey(from), grey(to)];
  let best = { x: 0, y: 0 };
  let least = Infinity;
  for (let dy = -3; dy <= 3; dy++) {
    for (let dx = -REACH; dx <= REACH; dx++) {
      const error = difference(a, b, dx, dy);
      if (error < least) [best, least] = [{ x: dx / SIDE, y: dy / SIDE }, error];
    }
  }
  return best;
}

/** Mean squared difference of a moved by (dx, dy) and b, over the part of a that holds the face. */
function difference(a, b, dx, dy) {
  let sum = 0;
  let count = 0;
  for (let y = 18; y < 52; y++) {
    for (let x = 18; x < 46; x++) {
      const [bx, by] = [x + dx, y + dy];
      if (bx < 0 || by < 0 || bx >= SIDE || by >= SIDE) continue;
      const d = a[y * SIDE + x] - b[by * SIDE + bx];
      sum += d * d;
      count += 1;
    }
  }
  return count < 200 ? Infinity : sum / count;
}

/** @returns {Float32Array} SIDE x SIDE luminance */
function grey(bitmap) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, SIDE, SIDE);
  const { data } = context.getImageData(0, 0, SIDE, SIDE);
  const out = new Float32Array(SIDE * SIDE);
  for (let i = 0; i < out.length; i++) {
    out[i] = 0.3 * data[4 * i] + 0.59 * data[4 * i + 1] + 0.11 * data[4 * i + 2];
  }
  return out;
}
