// The orb: a soft body whose colour is the state and whose movement is the sound that is there to hear.

const TONES = {
  offline: [[118, 128, 214], [140, 214, 208]],
  idle: [[70, 122, 205], [104, 214, 206]],
  listening: [[16, 178, 150], [96, 214, 190]],
  thinking: [[128, 92, 246], [186, 152, 255]],
  speaking: [[66, 98, 255], [110, 178, 255]],
  interrupted: [[240, 140, 40], [255, 196, 110]],
};

const mix = (a, b, part) => a.map((value, i) => value + (b[i] - value) * part);
const rgba = ([r, g, b], alpha) => `rgba(${r | 0}, ${g | 0}, ${b | 0}, ${alpha})`;

export class Orb {
  #canvas;
  #draw;
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  #tone = TONES.offline.map((colour) => [...colour]);
  #state = "offline";
  #target = 0;
  #level = 0;
  #phase = 0;
  #last = 0;

  constructor(canvas) {
    this.#canvas = canvas;
    this.#draw = canvas.getContext("2d");
    requestAnimationFrame((at) => this.#frame(at));
  }

  /** One of the five states, or what the page shows before a call: offline, connecting, waiting. */
  set state(state) {
    this.#state = state in TONES ? state : "offline";
  }

  /** How loud the one who has the floor is, 0 to 1. */
  set level(level) {
    this.#target = level;
  }

  #frame(at) {
    // Nothing to follow: half the frames do, and a phone stays cool.
    const calm = this.#target === 0 && this.#level < 0.02 && this.#state !== "thinking";
    if (calm && at - this.#last < 30) {
      requestAnimationFrame((next) => this.#frame(next));
      return;
    }
    const passed = Math.min(0.1, (at - this.#last) / 1000);
    this.#last = at;
    const still = this.#still.matches;
    const goal = TONES[this.#state];
    this.#tone = this.#tone.map((colour, i) => mix(colour, goal[i], still ? 1 : 1 - Math.exp(-passed * 7)));
    const rate = this.#target > this.#level ? 22 : 7;
    this.#level += (this.#target - this.#level) * (1 - Math.exp(-passed * rate));
    if (!still) this.#phase += passed * (this.#state === "thinking" ? 1.9 : 0.7 + this.#level * 1.4);
    this.#paint(still);
    requestAnimationFrame((next) => this.#frame(next));
  }

  #paint(still) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = Math.min(2, devicePixelRatio || 1);
    if (this.#canvas.width !== Math.round(width * scale)) {
      this.#canvas.width = Math.round(width * scale);
      this.#canvas.height = Math.round(height * scale);
    }
    const g = this.#draw;
    const level = this.#level;
    const t = this.#phase;
    g.setTransform(scale, 0, 0, scale, (width * scale) / 2, (height * scale) / 2);
    g.clearRect(-width, -height, 2 * width, 2 * height);
    const half = Math.min(width, height) / 2;
    const radius = half * (0.56 + (still ? 0 : 0.07 * level));
    const [deep, bright] = this.#tone;

    const halo = g.createRadialGradient(0, 0, radius * 0.7, 0, 0, half);
    halo.addColorStop(0, rgba(deep, 0.3 + 0.35 * level));
    halo.addColorStop(1, rgba(deep, 0));
    g.fillStyle = halo;
    g.fillRect(-half, -half, 2 * half, 2 * half);

    g.save();
    this.#outline(radius, still ? 0 : 0.01 + 0.055 * level, t);
    g.clip();
    const body = g.createLinearGradient(-radius, -radius, radius, radius);
    body.addColorStop(0, rgba(bright, 1));
    body.addColorStop(1, rgba(deep, 1));
    g.fillStyle = body;
    g.fillRect(-half, -half, 2 * half, 2 * half);
    this.#light(radius, Math.cos(t * 0.9) * 0.42, Math.sin(t * 0.7) * 0.42, 0.95, [255, 255, 255], 0.34 + 0.2 * level);
    this.#light(radius, Math.cos(t * 0.6 + 2.4) * 0.55, Math.sin(t * 0.8 + 1.2) * 0.5, 0.8, bright, 0.75);
    this.#light(radius, Math.cos(t * 0.5 + 4.2) * 0.6, Math.sin(t * 0.6 + 3.6) * 0.6, 0.9, mix(deep, [24, 20, 70], 0.45), 0.5);
    this.#light(radius, -0.32, -0.42, 0.5, [255, 255, 255], 0.4);
    g.restore();

    this.#ring(radius, level, t, deep, still);
  }

  #outline(radius, amount, t) {
    const g = this.#draw;
    g.beginPath();
    for (let i = 0; i <= 120; i++) {
      const a = (i / 120) * 2 * Math.PI;
      const wave = 0.5 * Math.sin(3 * a + 1.9 * t) + 0.32 * Math.sin(5 * a - 2.6 * t) + 0.28 * Math.sin(2 * a + 1.1 * t);
      const r = radius * (1 + amount * wave);
      g.lineTo(r * Math.cos(a), r * Math.sin(a));
    }
    g.closePath();
  }

  #light(radius, x, y, size, colour, alpha) {
    const g = this.#draw;
    const glow = g.createRadialGradient(x * radius, y * radius, 0, x * radius, y * radius, size * radius);
    glow.addColorStop(0, rgba(colour, alpha));
    glow.addColorStop(1, rgba(colour, 0));
    g.fillStyle = glow;
    g.fillRect(-2 * radius, -2 * radius, 4 * radius, 4 * radius);
  }

  #ring(radius, level, t, colour, still) {
    const g = this.#draw;
    const thinking = this.#state === "thinking";
    if (this.#state !== "listening" && !thinking) return;
    g.lineWidth = 2;
    g.lineCap = "round";
    const r = radius * (thinking ? 1.2 : 1.16 + (still ? 0 : 0.3 * level));
    g.strokeStyle = rgba(colour, thinking ? 0.75 : 0.25 + 0.45 * level);
    g.beginPath();
    if (thinking && !still) g.arc(0, 0, r, t * 2, t * 2 + Math.PI * 0.6);
    else g.arc(0, 0, r, 0, 2 * Math.PI);
    g.stroke();
  }
}
