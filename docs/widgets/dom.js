// Small helpers that the widgets share: elements, canvases, colors, digits, the clipboard.

/** An element: `set` holds properties, and attributes that have a dash or start with aria. */
export function make(tag, set = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(set)) {
    if (name in element && !name.includes("-")) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A control with its visible label before it. */
export function labeled(text, control) {
  return make("label", { className: "field" }, make("span", {}, text), control);
}

export function select(options, chosen) {
  const entries = options.map(([value, text]) =>
    make("option", { value, selected: value === chosen }, text),
  );
  return make("select", {}, ...entries);
}

/** Colors of the page's palette, read anew because readers change the scheme. */
export function colors(element) {
  const style = getComputedStyle(element);
  const names = ["ink", "paper", "grid", "box", "c1", "c3", "c4"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Call `draw` when the reader changes the scheme or `element` changes its width. */
export function redrawn(element, draw) {
  new MutationObserver(draw).observe(document.body, {
    attributes: true,
    attributeFilter: ["data-md-color-scheme"],
  });
  let width = 0;
  new ResizeObserver(() => {
    if (element.clientWidth === width) return;
    width = element.clientWidth;
    draw();
  }).observe(element);
}

/** A context in CSS pixels for a canvas that fills its width and is `height` high. */
export function context(canvas, height = canvas.clientWidth) {
  const width = canvas.clientWidth;
  const ratio = window.devicePixelRatio || 1;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const ctx = canvas.getContext("2d");
  ctx.scale(ratio, ratio);
  return { ctx, width, height };
}

/** Gray values (0 to 255) of a digit of data/digits.js. */
export function decode(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** A canvas of side x side pixels: ink where the value is high, on transparent ground. */
export function inked(values, side, ink) {
  const canvas = make("canvas", { width: side, height: side });
  const ctx = canvas.getContext("2d");
  const image = ctx.createImageData(side, side);
  const [red, green, blue] = components(ink);
  for (let i = 0; i < values.length; i++) {
    image.data.set([red, green, blue, values[i]], 4 * i); // clamped to 0 to 255
  }
  ctx.putImageData(image, 0, 0);
  return canvas;
}

const known = new Map();

/** Red, green and blue of a CSS color, from 0 to 255. */
function components(color) {
  if (!known.has(color)) {
    const ctx = make("canvas", { width: 1, height: 1 }).getContext("2d");
    ctx.fillStyle = color;
    ctx.fillRect(0, 0, 1, 1);
    known.set(color, ctx.getImageData(0, 0, 1, 1).data);
  }
  return known.get(color);
}

/** Copy text; says what happened in a sentence. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    return `${what} copied.`;
  } catch {
    return `The browser does not let this page copy. ${what}: ${text}`;
  }
}

/** Position of a pointer inside a canvas, as shares of its width and height. */
export function share(event, canvas) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}
